"""Metrics of how outputs of a row go with its targets: correlations.

This file must not know layers or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from fastnn.checks import check_axis
from fastnn.errors import ConfigurationError
from fastnn.metrics._base import Metric
from fastnn.opcodes import OpCode

__all__ = ["ConcordanceCorrelation", "PearsonCorrelation"]


@dataclass(frozen=True)
class _Correlation(Metric):
    """Base of both."""

    name: str = field(default="", kw_only=True)
    axis: int = -1

    code: ClassVar[OpCode] = OpCode.ROW_CORRELATION
    larger_is_better: ClassVar[bool] = True
    concordance: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("axis", check_axis(self.axis))

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        if outputs < 2:
            raise ConfigurationError(
                f"{self.name!r} correlates the outputs of a row, and there is {outputs}; for one output over "
                "all rows, compute it from model.predict(x), as by np.corrcoef, or use R2Score"
            )
        return (float(self.concordance),)


@dataclass(frozen=True)
class PearsonCorrelation(_Correlation):
    """Mean over rows of Pearson's correlation of a row's outputs and its targets: 1 on a rising line.

    Of rows whose outputs, or targets, are all alike, there is none: it is NaN, as in Keras.

    Parameters
    ----------
    axis : int
        Of the outputs; in a model -1, or 1.
    name : str, optional

    Raises
    ------
    DTypeError
        If the axis is no integer.

    Examples
    --------
    >>> round(PearsonCorrelation()([[0, 1, 0.5], [1, 1, 0.2]], [[0.1, 0.9, 0.5], [1, 0.9, 0.2]]), 4)
    0.9967
    """

    default_name: ClassVar[str] = "pearson_correlation"


@dataclass(frozen=True)
class ConcordanceCorrelation(_Correlation):
    """Mean over rows of Lin's concordance of a row's outputs and its targets: 1 only if they are equal.

    ``2 cov(t, y) / (var(t) + var(y) + (mean(t) - mean(y))^2 + 1e-7)``, after Lin 1989, as in Keras.

    Parameters
    ----------
    axis : int
        Of the outputs; in a model -1, or 1.
    name : str, optional

    Raises
    ------
    DTypeError
        If the axis is no integer.

    Examples
    --------
    >>> round(ConcordanceCorrelation()([[0, 1, 0.5], [1, 1, 0.2]], [[0.1, 0.9, 0.5], [1, 0.9, 0.2]]), 4)
    0.9816
    """

    default_name: ClassVar[str] = "concordance_correlation"
    concordance: ClassVar[bool] = True
