"""Metrics of classes as sets of rows: their intersection with what is found, over the union of both.

This file must not know layers or kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastnn import confusion
from fastnn.checks import check_axis, check_count, check_flag, check_number, shown
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.metrics._base import Metric
from fastnn.opcodes import OpCode

__all__ = ["BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"]


def _classes_of(given: Any, classes: int) -> tuple[int, ...]:
    """Return labels of classes, checked."""
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise DTypeError(f"target_class_ids must be a list of labels, got {shown(given)}")
    chosen = tuple(check_count(one, "target_class_ids", 0, classes - 1) for one in given)
    if not chosen:
        raise ConfigurationError("target_class_ids is empty; give the label of at least one class")
    return chosen


@dataclass(frozen=True)
class _Overlap(Metric):
    """Base of those made of a table of classes; a row stands for each true class, a column for each found."""

    name: str = field(default="", kw_only=True)

    code: ClassVar[OpCode] = OpCode.CONFUSION
    counts: ClassVar[bool] = True
    larger_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Any = self
        self._set("num_classes", check_count(given.num_classes, "num_classes", 2))
        if hasattr(self, "target_class_ids"):
            self._set("target_class_ids", _classes_of(given.target_class_ids, given.num_classes))
        for name in ("sparse_y_true", "sparse_y_pred"):
            self._set(name, check_flag(getattr(self, name, False), name))
        if self.ignored is not None:
            self._set("ignore_class", check_count(self.ignored, "ignore_class", -(2**31)))
        self._set("axis", check_axis(given.axis))
        self._set("sparse", given.sparse_y_true)

    @property
    def of_labels(self) -> bool:
        """Whether it measures labels that were found."""
        return True

    def width(self, outputs: int) -> int:
        """Return how many sums there are: the square of the number of classes."""
        return int(vars(self)["num_classes"]) ** 2

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        classes = vars(self)["num_classes"]
        if vars(self)["sparse_y_pred"]:
            raise ConfigurationError(
                f"{self.name!r} takes labels that were found, and a model has an output for each class; give "
                "sparse_y_pred=False"
            )
        if outputs != classes:
            hint = "; for one output use BinaryIoU" if outputs == 1 else ""
            raise ConfigurationError(
                f"{self.name!r} has num_classes={classes}, but there are {outputs} outputs{hint}"
            )
        return float(self.sparse), 0.5

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the share."""
        chosen = vars(self).get("target_class_ids")
        return confusion.overlap(sums, range(vars(self)["num_classes"]) if chosen is None else chosen)


@dataclass(frozen=True)
class IoU(_Overlap):
    """Mean over some classes of intersection over union: of the rows that are one, and those taken for it.

    Labels outside of the classes do not count.  Weights are taken as they are, unlike in Keras, which cuts
    their fractions off unless a dtype is given.

    Parameters
    ----------
    num_classes : int
        At least 2.
    target_class_ids : list of int
        The labels of the classes that count.
    ignore_class : int, optional
        The label of rows that do not count.
    sparse_y_true : bool
        Whether targets are labels; else they have a number for each class, the largest being the true one's.
    sparse_y_pred : bool
        Whether outputs are labels, which those of a model are not.
    axis : int
        That of the classes, where there is one; in a model -1, or 1.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is out of range or of another type.

    Examples
    --------
    >>> round(IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1]), 4)
    0.3333
    """

    num_classes: int
    target_class_ids: Sequence[int]
    ignore_class: int | None = field(default=None, kw_only=True)
    sparse_y_true: bool = field(default=True, kw_only=True)
    sparse_y_pred: bool = field(default=True, kw_only=True)
    axis: int = field(default=-1, kw_only=True)

    default_name: ClassVar[str] = "io_u"


@dataclass(frozen=True)
class MeanIoU(_Overlap):
    """Mean over all classes of intersection over union, as of `IoU`; classes that do not occur do not count.

    Parameters
    ----------
    num_classes : int
        At least 2.
    ignore_class : int, optional
        The label of rows that do not count.
    sparse_y_true, sparse_y_pred : bool
        As those of `IoU`.
    axis : int
        As that of `IoU`.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is out of range or of another type.

    Examples
    --------
    >>> round(MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 1, 1]), 4)
    0.5833
    """

    num_classes: int
    ignore_class: int | None = field(default=None, kw_only=True)
    sparse_y_true: bool = field(default=True, kw_only=True)
    sparse_y_pred: bool = field(default=True, kw_only=True)
    axis: int = field(default=-1, kw_only=True)

    default_name: ClassVar[str] = "mean_io_u"


@dataclass(frozen=True)
class OneHotIoU(_Overlap):
    """`IoU` for targets, and outputs, with a number for each class.

    Parameters
    ----------
    num_classes : int
        At least 2.
    target_class_ids : list of int
        The labels of the classes that count.
    ignore_class : int, optional
        The label of rows that do not count.
    sparse_y_pred : bool
        As that of `IoU`.
    axis : int
        As that of `IoU`.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is out of range or of another type.

    Examples
    --------
    >>> t, y = [[0, 1], [1, 0], [0, 1]], [[0.4, 0.6], [0.2, 0.8], [0.1, 0.9]]
    >>> round(OneHotIoU(num_classes=2, target_class_ids=[1])(t, y), 4)
    0.6667
    """

    num_classes: int
    target_class_ids: Sequence[int]
    ignore_class: int | None = field(default=None, kw_only=True)
    sparse_y_pred: bool = field(default=False, kw_only=True)
    axis: int = field(default=-1, kw_only=True)

    default_name: ClassVar[str] = "one_hot_io_u"


@dataclass(frozen=True)
class OneHotMeanIoU(_Overlap):
    """`MeanIoU` for targets, and outputs, with a number for each class.

    Parameters
    ----------
    num_classes : int
        At least 2.
    ignore_class : int, optional
        The label of rows that do not count.
    sparse_y_pred : bool
        As that of `IoU`.
    axis : int
        As that of `IoU`.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is out of range or of another type.

    Examples
    --------
    >>> t, y = [[0, 1], [1, 0], [0, 1]], [[0.4, 0.6], [0.2, 0.8], [0.1, 0.9]]
    >>> round(OneHotMeanIoU(num_classes=2)(t, y), 4)
    0.3333
    """

    num_classes: int
    ignore_class: int | None = field(default=None, kw_only=True)
    sparse_y_pred: bool = field(default=False, kw_only=True)
    axis: int = field(default=-1, kw_only=True)

    default_name: ClassVar[str] = "one_hot_mean_io_u"


@dataclass(frozen=True)
class BinaryIoU(Metric):
    """Intersection over union of the classes 0 and 1, or of one, for outputs of a binary classifier.

    An output is of class 1 if it is at least the threshold, a target if it is not 0.  Several outputs count
    as if they were more rows.

    Parameters
    ----------
    target_class_ids : list of int
        The labels of the classes that count: 0, 1 or both.
    threshold : float
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is out of range or of another type.

    Examples
    --------
    >>> round(BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]), 4)
    0.3333
    """

    name: str = field(default="", kw_only=True)
    target_class_ids: Sequence[int] = (0, 1)
    threshold: float = 0.5

    default_name: ClassVar[str] = "binary_io_u"
    code: ClassVar[OpCode] = OpCode.THRESHOLD_COUNTS
    counts: ClassVar[bool] = True
    larger_is_better: ClassVar[bool] = True
    weighs: ClassVar[str] = "outputs"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("target_class_ids", _classes_of(self.target_class_ids, 2))
        self._set("threshold", check_number(self.threshold, "threshold"))

    def width(self, outputs: int) -> int:
        """Return how many sums there are: of positives from the threshold on and below, then of negatives."""
        return 4

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants, by which what is on the threshold is with what is above."""
        return 2.0, self.threshold, -1.0, 0.0, -1.0, 0.0

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the share."""
        return confusion.overlap([sums[place] for place in (3, 2, 1, 0)], vars(self)["target_class_ids"])
