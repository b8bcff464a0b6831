"""Areas under curves, made of how many outputs lie between thresholds.

This file must not know layers or kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from fastnn import confusion
from fastnn.checks import check_count, check_flag, check_number, shown
from fastnn.errors import ConfigurationError, DTypeError, unknown_name
from fastnn.metrics._counts import EACH, MOST_THRESHOLDS, Counts, distinct, evenly_spread, levels_of
from fastnn.opcodes import MOST_SUMS
from fastnn.ops import Activation

__all__ = ["AUC"]

_CURVES = ("ROC", "PR", "PRGAIN")
_METHODS = ("interpolation", "minoring", "majoring")


@dataclass(frozen=True)
class AUC(Counts):
    """Area under the curve of a binary classifier, from counts between thresholds.

    Outputs lie between 0 and 1; targets are 0 or 1; several outputs count as if they were more rows, unless
    they are labels of their own.  The thresholds are 0, 1 and others at equal distances between them.

    Parameters
    ----------
    num_thresholds : int
        From 2 to 10000.
    curve : {"ROC", "PR", "PRGAIN"}
        Recall over the rate of false positives; precision over recall; or the gains of both over what all
        outputs at once would have, after Flach and Kull 2015.
    summation_method : {"interpolation", "minoring", "majoring"}
        Between two thresholds: the trapezoid of an ROC or of gains, and the formula of Davis and Goadrich
        2006 for a PR curve, or the lower, or the higher, of both.
    thresholds : list of float, optional
        Others between 0 and 1: up to 10 different ones, or more at equal distances.
    multi_label : bool
        Whether each output has an area of its own; the metric is their mean.
    num_labels : int, optional
        How many outputs there are, to be checked; with `multi_label` only.
    label_weights : list of float, optional
        One for each output, not negative: that of its area in the mean; without `multi_label`, that of its
        counts.
    from_logits : bool
        Whether outputs are scores before a sigmoid.
    name : str, optional

    Raises
    ------
    ConfigurationError, DTypeError
        If an argument is unknown, out of range or of another type.

    Examples
    --------
    >>> area = AUC(num_thresholds=3).result([1.0, 2.0, 2.0, 1.0])  # positives up to 0.5 and above, negatives
    >>> round(area, 3)
    0.667
    >>> t, y = [[0, 1], [0, 0], [1, 0], [1, 1]], [[0.1, 0.2], [0.4, 0.8], [0.6, 0.1], [0.9, 0.9]]
    >>> AUC(multi_label=True)(t, y)  # of areas 1 and 0.75
    0.875
    """

    num_thresholds: int = 200
    curve: str = "ROC"
    summation_method: str = "interpolation"
    thresholds: Sequence[float] | None = field(default=None, kw_only=True)
    multi_label: bool = field(default=False, kw_only=True)
    num_labels: int | None = field(default=None, kw_only=True)
    label_weights: Sequence[float] | None = field(default=None, kw_only=True)
    from_logits: bool = field(default=False, kw_only=True)

    default_name: ClassVar[str] = "auc"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("_listed", [])
        if self.thresholds is not None:
            levels = sorted(levels_of(self.thresholds))
            self._set("thresholds", tuple(levels))
            self._set("num_thresholds", len(levels) + 2)
            self._set("_listed", [] if evenly_spread((0.0, *levels, 1.0)) else distinct(levels))
        count = check_count(self.num_thresholds, "num_thresholds", 2, MOST_THRESHOLDS)
        self._set("num_thresholds", count)
        if self.curve not in _CURVES:
            raise unknown_name("curve", str(self.curve), _CURVES)
        if self.summation_method not in _METHODS:
            raise unknown_name("summation_method", str(self.summation_method), _METHODS)
        for name in ("multi_label", "from_logits"):
            self._set(name, check_flag(getattr(self, name), name))
        self._check_count("num_labels", 1)
        if self.num_labels is not None and not self.multi_label:
            raise ConfigurationError("num_labels is for multi_label=True; leave it out, or give both")
        if self.label_weights is not None:
            self._set("label_weights", _weights_of(self.label_weights, self.num_labels))
        self._set("weighs", "columns" if self._apart else "outputs")

    @property
    def _apart(self) -> bool:
        """Whether each output has counts of its own."""
        return self.multi_label or self.label_weights is not None

    def width(self, outputs: int) -> int:
        """Return how many sums there are: of positives between two thresholds each, then of negatives."""
        return 2 * self._buckets * (outputs if self._apart else 1)

    @property
    def _buckets(self) -> int:
        return len(vars(self)["_listed"]) + 1 if vars(self)["_listed"] else self.num_thresholds - 1

    @property
    def activation(self) -> Activation | None:
        """What outputs go through before they are measured."""
        return Activation.SIGMOID if self.from_logits else None

    def apart(self, outputs: int) -> bool:
        """Return whether the metric makes an array of its own: of probabilities."""
        return self.from_logits

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        self._check_labels(outputs)
        column = EACH if self._apart else None
        if listed := vars(self)["_listed"]:
            return self._between(outputs, listed, column)
        return self._constants(outputs, self.num_thresholds - 1, 0.0, self.num_thresholds - 1.0, 1.0, column)

    def _check_labels(self, outputs: int) -> None:
        """Raise if there are other labels than outputs, or too many counts."""
        for name, count in (
            ("num_labels", self.num_labels),
            ("label_weights", None if self.label_weights is None else len(self.label_weights)),
        ):
            if count is not None and count != outputs:
                raise ConfigurationError(
                    f"{self.name!r} has {name} for {count} outputs, but there are {outputs}; give as many"
                )
        if self.width(outputs) > MOST_SUMS:
            raise ConfigurationError(
                f"{self.name!r} has {self.num_thresholds} thresholds for each of {outputs} outputs: more "
                f"than {MOST_SUMS} counts; take fewer, as by num_thresholds={MOST_SUMS // 2 // outputs}"
            )

    def of_one_output(self) -> Self:
        """Return the metric of a single output."""
        return self._changed(num_labels=None, label_weights=None, multi_label=True) if self._apart else self

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the area."""
        if not self._apart:
            return confusion.area(sums, self._buckets, self.curve, self.summation_method)
        step = 2 * self._buckets
        labels = [sums[first : first + step] for first in range(0, len(sums), step)]
        weights = self.label_weights or (1.0,) * len(labels)
        if self.multi_label:
            areas = [confusion.area(one, self._buckets, self.curve, self.summation_method) for one in labels]
            return confusion.mean_by(areas, weights)
        total = [
            sum(w * one for w, one in zip(weights, each, strict=False)) for each in zip(*labels, strict=True)
        ]
        return confusion.area(total, self._buckets, self.curve, self.summation_method)


def _weights_of(given: Any, labels: int | None) -> tuple[float, ...]:
    """Return weights of labels, checked."""
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise DTypeError(f"label_weights must be a list of numbers, one for each output, got {shown(given)}")
    weights = tuple(check_number(one, "label_weights", 0.0) for one in given)
    if not weights or (labels is not None and len(weights) != labels):
        raise ConfigurationError(
            f"label_weights must have a number for each output, got {len(weights)}"
            + (f" for num_labels={labels}" if labels is not None else "")
        )
    return weights
