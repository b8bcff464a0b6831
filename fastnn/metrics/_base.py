"""What all metrics are: frozen descriptions, and sums of their own for use without a model.

A description says which op, without a gradient, adds up its sums while a plan runs, what these are divided
by, and what number is made of them at the end.  Sums of its own are no part of its value.  What runs the op
on arrays is handed down by `fastnn/__init__.py`.  This file must not know layers, losses or kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from fastnn.checks import check_dtype
from fastnn.described import Described, snake_case
from fastnn.errors import ConfigurationError, ShapeError
from fastnn.opcodes import OpCode
from fastnn.ops import REAL, Activation, Kind, Numbers

__all__ = ["Metric", "equip"]

_METHODS = ("update_state", "result", "reset_state")  # of a class of the user's own

# Returns the sums of a metric on arrays, and what they are divided by: the rows, or their weights.
_measure: Callable[[Metric, object, object, object], tuple[list[float], float]]


def equip(measure: Callable[[Metric, object, object, object], tuple[list[float], float]]) -> None:
    """Receive what runs a metric on arrays: targets, outputs and sample weights."""
    global _measure
    _measure = measure


@dataclass(frozen=True)
class Metric(Described):
    """Base of the metrics.

    A model keeps sums of its own for the metrics that it was compiled with.  Without a model, a metric
    measures arrays: call it, or `update_state`, once for each part of them.

    A class of your own has the methods ``update_state(self, y_true, y_pred, sample_weight=None)``,
    ``result(self)`` and ``reset_state(self)``.  `fit` and `evaluate` call the first one once a batch, with
    read-only arrays (rows, columns), the second one behind it, and the third one before each pass through the
    data.  What it returns is a number, or an array.

    Parameters
    ----------
    name : str, optional
        The key in a `History`; the default is the metric's own name.
    dtype : {"float32", "float64"}, optional
        Of the arrays that are measured without a model; by default, as `update_state` says.  In a model they
        have the model's.  Sums are float64 everywhere.

    Examples
    --------
    >>> class Largest(Metric):
    ...     value = 0.0
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value = max(self.value, float(abs(y_true - y_pred).max()))
    ...     def result(self):
    ...         return self.value
    ...     def reset_state(self):
    ...         self.value = 0.0
    >>> Largest().name
    'largest'
    """

    name: str = ""
    dtype: str | None = field(default=None, kw_only=True, repr=False)

    default_name: ClassVar[str] = ""
    code: ClassVar[OpCode]
    sparse: ClassVar[bool] = False
    counts: ClassVar[bool] = False  # whether the sums are not divided: by the rows, or by their weights
    # What a sample weight may be for, without a model: "rows", "outputs" if these all count alike, or
    # "columns" if there are sums of each output.
    weighs: ClassVar[str] = "rows"
    larger_is_better: ClassVar[bool] = False  # which way callbacks with mode="auto" look

    def __post_init__(self) -> None:
        if type(self) is Metric:
            raise ConfigurationError("Metric is a base class; use one of its subclasses")
        if not self.name:
            self._set("name", self.default_name or snake_case(type(self).__name__))
        self._set("dtype", check_dtype(self.dtype))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make such a metric, as plain values; `dtype` only if it was given."""
        config = super().get_config()
        if self.dtype is None:
            del config["dtype"]
        return config

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_state"}

    @property
    def planned(self) -> bool:
        """Whether plans measure it."""
        return hasattr(self, "code")

    @property
    def has_direction(self) -> bool:
        """Whether it is known which way is better; classes of the user's own may say `larger_is_better`."""
        return self.planned or any(
            "larger_is_better" in vars(c) for c in type(self).__mro__ if c is not Metric
        )

    def check_runs(self) -> None:
        """Raise for a class without a kernel that lacks a method of its own.

        Raises
        ------
        ConfigurationError
        """
        lacking = [name for name in _METHODS if getattr(type(self), name) is getattr(Metric, name)]
        if not self.planned and lacking:
            raise ConfigurationError(
                f"{type(self).__name__} cannot run: metrics are those of fastnn.metrics, or have methods of "
                f"their own; it lacks {', '.join(lacking)}"
            )

    # -- what plans read

    def width(self, outputs: int) -> int:
        """Return how many sums there are."""
        return 1

    def constants(self, outputs: int) -> tuple[float, ...]:
        """Return the op's constants."""
        return ()

    def apart(self, outputs: int) -> bool:
        """Return whether the metric makes an array of its own: of smoothed labels, or of probabilities."""
        return False

    def kind(self, outputs: int) -> Kind:
        """Return what targets for so many outputs are."""
        return Kind(Numbers.LABEL, outputs) if self.sparse else REAL

    @property
    def activation(self) -> Activation | None:
        """What outputs go through before they are measured."""
        return None

    @property
    def of_labels(self) -> bool:
        """Whether it measures labels that were found, which are no outputs of a model."""
        return False

    @property
    def ignored(self) -> int | None:
        """The label of rows that do not count, if there is one."""
        return getattr(self, "ignore_class", None)

    def of_one_output(self) -> Self:
        """Return the metric of a single output with the same sums, for outputs that are chosen already."""
        return self

    def joined(self, parts: Sequence[list[float]]) -> list[float]:
        """Return the sums of several outputs, from those of each alone."""
        return [total for part in parts for total in part]

    def of_sums(self, sums: Sequence[Any]) -> Any:
        """Return the metric from its sums; see `result`."""
        return sums[0]

    # -- what users call

    def update_state(self, y_true: object, y_pred: object, sample_weight: object = None) -> None:
        """Add what is measured on some rows to the metric's own sums.

        Parameters
        ----------
        y_true : array_like, (..., outputs), or (...) for one output or for integer labels
        y_pred : array_like, (..., outputs), or (rows,) for one output
            Axes before the last one are rows.  Computed with in float64 if it is an array of that, else in
            float32.
        sample_weight : array_like, (...) or (..., 1), optional
            A weight for each row, or a number for all.  Metrics that look at each output alone, as
            `BinaryAccuracy`, `AUC`, `Precision` and `R2Score`, take one for each output, too, in
            what can be broadcast to the shape of `y_pred`.

        Raises
        ------
        ShapeError, DataError, DTypeError
            If they do not fit each other, or the rows before; nothing is added then.

        Examples
        --------
        >>> import fastnn
        >>> metric = fastnn.metrics.MeanSquaredError()
        >>> metric.update_state([[1.0], [2.0]], [[1.0], [4.0]])
        >>> metric.result()
        2.0
        """
        added, count = _measure(self, y_true, y_pred, sample_weight)
        sums, counted = vars(self).get("_state", ([0.0] * len(added), 0.0))
        if len(sums) != len(added):
            raise ShapeError(
                f"{type(self).__name__} has measured other numbers of outputs before; "
                "call its reset_state() first"
            )
        self._set("_state", ([a + b for a, b in zip(sums, added, strict=True)], counted + count))

    def result(self, sums: Sequence[Any] | None = None) -> Any:
        """Return the metric of all rows since `reset_state`, or of given sums.

        Parameters
        ----------
        sums : sequence of float, or of numpy.ndarray, optional
            Those of a plan, divided by the rows, or by their weights, unless `counts`; arrays have a number
            for each epoch.

        Returns
        -------
        float or numpy.ndarray
            An array if the metric is made of several numbers; given arrays, with the epochs as the last axis.

        Examples
        --------
        >>> import fastnn
        >>> fastnn.metrics.RootMeanSquaredError().result([4.0])
        2.0
        """
        if sums is None:
            sums, count = vars(self).get("_state", ([0.0] * self.width(1), 0.0))
            if not self.counts:
                sums = [total / count if count else 0.0 for total in sums]
        return self.of_sums(sums)

    def reset_state(self) -> None:
        """Forget all rows.

        Examples
        --------
        >>> import fastnn
        >>> metric = fastnn.metrics.MeanAbsoluteError()
        >>> metric([[1.0]], [[3.0]])
        2.0
        >>> metric.reset_state()
        >>> metric.result()
        0.0
        """
        vars(self).pop("_state", None)

    def __call__(self, y_true: object, y_pred: object, sample_weight: object = None) -> Any:
        """Add rows, as `update_state` does, and return the metric of all so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()
