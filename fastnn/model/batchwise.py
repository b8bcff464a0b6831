"""Single batches, for loops of one's own that leave the step to the model.

This file must not know plans or losses.
"""

from __future__ import annotations

from typing import Any, Literal, overload

from fastnn.callbacks.listeners import Listeners
from fastnn.checks import check_flag
from fastnn.model import fit as loop
from fastnn.model.batch import batch_of
from fastnn.model.structure import Structured
from fastnn.run.runtime import resolve_threads

__all__ = ["Batchwise"]


class Batchwise(Structured):
    """What trains, tests and predicts on one batch; a part of `Model`."""

    @overload
    def train_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: dict[int, float] | str | None = None,
        return_dict: Literal[False] = False,
    ) -> float | list[float]: ...

    @overload
    def train_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: dict[int, float] | str | None = None,
        *,
        return_dict: Literal[True],
    ) -> dict[str, float]: ...

    @overload
    def train_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: dict[int, float] | str | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]: ...

    def train_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: dict[int, float] | str | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Make one step on one batch.

        Parameters
        ----------
        x : array_like, (rows, features)
        y : array_like
        sample_weight : array_like, (rows,), optional
        class_weight : dict or "balanced", optional
        return_dict : bool
            Whether to return a dict.

        Returns
        -------
        float, list or dict
            The loss before the step; with metrics, a list of the loss and them; or a dict.
            NaN, all of them, if the step was not made because the loss is not finite.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError, BusyError
            As `fit` does.

        Warns
        -----
        NonFiniteWarning
            If the loss is not finite; the model stays as it was.

        Examples
        --------
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
        >>> model.compile("sgd", "mse")
        >>> model.set_weights([[[1.0]], [0.0]])
        >>> model.train_on_batch([[1.0]], [[3.0]], return_dict=True)
        {'loss': 4.0}
        """
        self._now.need_loss()
        as_dict = check_flag(return_dict, "return_dict")
        whole: Any = self
        return loop.train_on_batch(whole, x, y, sample_weight, class_weight, as_dict)

    def test_on_batch(
        self, x: object, y: object, sample_weight: object = None, return_dict: bool = False
    ) -> float | list[float] | dict[str, float]:
        """Return the loss, and the metrics, of one batch.

        Parameters
        ----------
        x : array_like, (rows, features)
        y : array_like
        sample_weight : array_like, (rows,), optional
        return_dict : bool
            Whether to return a dict.

        Returns
        -------
        float, list or dict
            As `evaluate` does.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input.

        Examples
        --------
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
        >>> model.compile("sgd", "mse")
        >>> model.set_weights([[[1.0]], [0.0]])
        >>> model.test_on_batch([[1.0]], [[3.0]])
        4.0
        """
        self._now.need_optimizer()
        as_dict = check_flag(return_dict, "return_dict")
        whole: Any = self
        now, given = self._ready(x, lambda now: batch_of(now, x, y, sample_weight))
        listeners = Listeners([], whole, epochs=1, steps=1, verbose=0)
        values = loop.evaluate(whole, now, given, given.rows, resolve_threads(None), listeners)
        return now.need_objective().shaped(values, as_dict)

    def predict_on_batch(self, x: object) -> Any:
        """Return the outputs for one batch; see `predict`.

        Parameters
        ----------
        x : array_like, (rows, features)

        Returns
        -------
        numpy.ndarray, (rows, outputs), or a list or dict of them

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input.
        """
        whole: Any = self
        return whole.predict(x)
