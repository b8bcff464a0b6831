"""Metrics of right and wrong: shares of outputs or rows that agree with their targets.

This file must not know layers or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from fastnn.checks import check_count, check_flag, check_number
from fastnn.errors import ConfigurationError
from fastnn.metrics._base import Metric
from fastnn.opcodes import OpCode

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
]


@dataclass(frozen=True)
class Accuracy(Metric):
    """Share of outputs that equal their targets, number for number.

    For outputs that are classes already.  The name ``"accuracy"`` stands for the accuracy that suits the
    loss, as in Keras.

    Examples
    --------
    >>> Accuracy()([1, 2, 3, 4], [0, 2, 3, 4])
    0.75
    """

    default_name: ClassVar[str] = "accuracy"
    code: ClassVar[OpCode] = OpCode.EXACT_ACCURACY
    weighs: ClassVar[str] = "outputs"
    larger_is_better: ClassVar[bool] = True


@dataclass(frozen=True)
class BinaryAccuracy(Metric):
    """Share of outputs on the right side of `threshold`.

    Parameters
    ----------
    name : str, optional
    threshold : float
        An output above it counts as 1.

    Examples
    --------
    >>> BinaryAccuracy().name
    'binary_accuracy'
    """

    threshold: float = 0.5

    default_name: ClassVar[str] = "binary_accuracy"
    code: ClassVar[OpCode] = OpCode.BINARY_ACCURACY
    weighs: ClassVar[str] = "outputs"
    larger_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("threshold", check_number(self.threshold, "threshold"))

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return (self.threshold,)


@dataclass(frozen=True)
class CategoricalAccuracy(Metric):
    """Share of rows whose largest output stands where the largest target stands.

    Examples
    --------
    >>> CategoricalAccuracy().name
    'categorical_accuracy'
    """

    default_name: ClassVar[str] = "categorical_accuracy"
    code: ClassVar[OpCode] = OpCode.CATEGORICAL_ACCURACY
    larger_is_better: ClassVar[bool] = True

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return (float(self.sparse),)


@dataclass(frozen=True)
class SparseCategoricalAccuracy(CategoricalAccuracy):
    """Share of rows whose largest output is the labelled one.

    Examples
    --------
    >>> SparseCategoricalAccuracy()([1, 0], [[0.2, 0.8], [0.4, 0.6]])
    0.5
    """

    default_name: ClassVar[str] = "sparse_categorical_accuracy"
    sparse: ClassVar[bool] = True


@dataclass(frozen=True)
class TopKCategoricalAccuracy(Metric):
    """Share of rows in which the output of the target's class is among the `k` largest.

    The target's class is where its row is largest.  Outputs as large as the k-th are among them.

    Parameters
    ----------
    k : int
        At least 1.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If `k` is no such number.

    Examples
    --------
    >>> TopKCategoricalAccuracy(k=2)([[0, 0, 1], [0, 1, 0]], [[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    0.5
    """

    name: str = field(default="", kw_only=True)
    k: int = 5

    default_name: ClassVar[str] = "top_k_categorical_accuracy"
    code: ClassVar[OpCode] = OpCode.TOP_K_ACCURACY
    larger_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("k", check_count(self.k, "k"))

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return float(self.sparse), float(self.k)


@dataclass(frozen=True)
class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """Share of rows in which the labelled output is among the `k` largest.

    Parameters
    ----------
    k : int
        At least 1.
    from_sorted_ids : bool
        Whether a row of outputs has labels, the best first, which those of a model are not.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If `k` is no such number.

    Examples
    --------
    >>> SparseTopKCategoricalAccuracy(k=2)([2, 1], [[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    0.5
    >>> SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True)([2, 1], [[1, 2, 0], [0, 2, 1]])
    0.5
    """

    from_sorted_ids: bool = False

    default_name: ClassVar[str] = "sparse_top_k_categorical_accuracy"
    sparse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("from_sorted_ids", check_flag(self.from_sorted_ids, "from_sorted_ids"))

    @property
    def of_labels(self) -> bool:
        """Whether it measures labels that were found."""
        return self.from_sorted_ids

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        if self.from_sorted_ids:
            raise ConfigurationError(
                f"{self.name!r} takes labels in the order of their scores, and outputs of a model are "
                "scores; leave from_sorted_ids out"
            )
        return super().constants(outputs)
