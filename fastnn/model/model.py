"""Models: graphs of layers that can be trained; chains, `Sequential`, are in `sequential.py`.

A model has a structure (`structure.py`: graph, parameters, what it was compiled with), which its parts share:
its inputs and outputs (`ends.py`), what it shows of itself (`overview.py`), single batches (`batchwise.py`),
forward and backward (`gradients.py`), updates from outside (`updates.py`), its loss as a function
(`search.py`), how it is kept (`serializable.py`).  This file adds compile, fit, evaluate and predict.  What
these are given is checked in `feeding.py`; the epoch loop is in `fit.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from fastnn import absent, optimizers
from fastnn._core.guards import load
from fastnn.callbacks.base import Callback, History, Record
from fastnn.checks import check_count, check_flag, check_name, with_arguments_of_keras
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.graph.symbolic import SymbolicTensor
from fastnn.model import feeding
from fastnn.model.batch import Batch
from fastnn.model.batchwise import Batchwise
from fastnn.model.ends import Ended, is_symbolic
from fastnn.model.gradients import Differentiable
from fastnn.model.optimizer_state import OptimizerState
from fastnn.model.overview import Overview
from fastnn.model.search import Searchable
from fastnn.model.serializable import Serializable
from fastnn.model.structure import Binder, check_dtype
from fastnn.model.updates import Updatable
from fastnn.utils import next_seed

__all__ = ["Model"]


class Model(Ended, Overview, Batchwise, Differentiable, Updatable, Searchable, Serializable):
    """A graph of layers, from inputs to outputs.

    Parameters
    ----------
    inputs : SymbolicTensor, or list, tuple or dict of them
        Where the graph begins: what `Input` made, or the output of a layer.
    outputs : SymbolicTensor, or list, tuple or dict of them
        Where it ends.  Inputs and outputs may be nested, as in ``{"a": x, "b": [y, z]}``; then `x` and `y` of
        `fit` may be so, and `predict` returns such a nest.  Keys are the names of losses and metrics too,
        and order the tensors, as in Keras.
    dtype : {"float32", "float64"}
    seed : int, optional
        For initial weights and the order of rows; by default that of
        `fastnn.utils.set_random_seed`, else a random one.
    name : str, optional
    trainable : bool
        False freezes all layers, as ``model.trainable = False`` does.

    Raises
    ------
    ConfigurationError
        If an output depends on an input that is not given, an input leads nowhere, or two layers have
        one name.
    ShapeError, DTypeError
        If a layer is used on tensors of different widths; if these are not symbolic tensors.

    Examples
    --------
    A residual block: its input is added to its output.

    >>> import fastnn
    >>> x = fastnn.Input((8,))
    >>> h = fastnn.layers.Dense(8, "relu")(x)
    >>> y = fastnn.layers.Add()([x, fastnn.layers.Dense(8)(h)])
    >>> fastnn.Model(x, y, seed=0).count_params()
    144
    """

    @with_arguments_of_keras("Model")
    def __init__(
        self,
        inputs: object = None,
        outputs: object = None,
        dtype: object = "float32",
        seed: int | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        self._begin(dtype, seed, name)
        check_flag(trainable, "trainable")
        if inputs is not None or outputs is not None:
            self._bind_ends(inputs, outputs)
            if not trainable:
                self.trainable = False
        elif type(self) is Model:
            raise ConfigurationError(
                "a Model needs inputs and outputs, fastnn.Model(inputs, outputs); for a chain use Sequential"
            )

    def _begin(self, dtype: object, seed: int | None, name: str | None) -> None:
        """Be a model without a graph."""
        self.dtype = check_dtype(dtype)
        self.seed = next_seed() if seed is None else check_count(seed, "seed", 0, 2**63 - 1)
        self.name = check_name(name) or type(self).__name__.lower()
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self.history = None
        self._binder = Binder(self.dtype)
        self._forwarded: Batch | None = None
        self._ends: tuple[list[SymbolicTensor], list[SymbolicTensor]] = ([], [])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {load('fastnn.model.summaries').headline(self)}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the table of `summary`."""
        text: str = load("fastnn.model.summaries").in_html(self)
        return text

    if not TYPE_CHECKING:  # for type checkers a name that is not there is an error

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property raised AttributeError
                return object.__getattribute__(self, name)
            raise absent.of_model(self, name)

    @property
    def history(self) -> History | None:
        """What the latest `fit` returned, or is about to; None before."""
        return None if self._record is None else self._record.of(self)

    @history.setter
    def history(self, history: History | None) -> None:
        self._record = None if history is None else Record(history)

    # -- compiling and running

    @with_arguments_of_keras("compile")
    def compile(
        self,
        optimizer: str | optimizers.Optimizer | OptimizerState = "rmsprop",
        loss: object = None,
        metrics: object = None,
        loss_weights: object = None,
        *,
        weighted_metrics: object = None,
        reference: bool = False,
    ) -> None:
        """Say how the model is trained.

        Parameters
        ----------
        optimizer : str or Optimizer
            Also ``model.optimizer`` of another model, or of this one; it begins anew, with the learning rate
            that it has.
        loss : str, Loss or callable, optional
            One for all outputs, or a list or dict with one for each, None for an output without one; lists
            and dicts in one another where outputs are.  Where one output has a loss, that is ``"loss"``, and
            has no other name.  Without
            any, steps are made by `apply_gradients`, and `evaluate` gives the metrics alone.  A callable is a
            loss of your own, ``f(y_true, y_pred)``, as is a class derived from `fastnn.losses.Loss` with a
            method `call`.  Both arguments are NumPy arrays (rows, columns) of the model's dtype, not to be
            written to.  It returns ``(value, gradient)``: one value for each row, of which the reduction is
            taken, a mean if nothing else is said; or one number, which is the loss of the batch.
            `gradient` is the derivative of ``np.sum(value)`` with respect to `y_pred`, and has its shape.
        metrics : list of str, Metric or callable, optional
            With several outputs a list with an entry, or list, for each, or a dict.  A callable,
            ``f(y_true, y_pred)``, returns one value a row, or a number a batch; the metric is their mean.
            What is computed in Python is so once a batch, which takes its time.
        loss_weights : list or dict of float, optional
            With several outputs, the factor of each loss in their sum, in the forms of `loss`; default 1.
        weighted_metrics : list of str or Metric, optional
            As `metrics`, for those that count each row by its sample weight and the weight of its class; the
            others count all rows alike.  Where `metrics` has one of the same name, it is ``"weighted_..."``.
        reference : bool
            Whether to run on the float64 NumPy interpreter instead of the kernels; slow, for
            finding out who is wrong.

        Raises
        ------
        ConfigurationError
            For unknown names, or metrics that do not suit the loss.
        BusyError
            If the model is being trained: by another thread, or by a `fit` that a callback is called from.

        Warns
        -----
        TrainingWarning
            If an output does not suit its loss, such as scores one that takes probabilities; of a model
            without an input width, when it gets one.
        """
        rule = optimizer.now() if isinstance(optimizer, OptimizerState) else optimizers.get(optimizer)
        if rule is None:
            raise DTypeError("an optimizer is a name or an Optimizer, got None")
        state = OptimizerState(rule, loss, loss_weights, metrics, weighted_metrics, reference)
        now = self._binder.exclusively(self._binder.compile, state)
        state.with_update(self.apply_gradients).works_for(rule)
        if now.drawing is not None:
            state.judge(now.graph, now.need_objective())

    @with_arguments_of_keras("fit")
    def fit(
        self,
        x: object,
        y: object = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | str | None = None,
        sample_weight: object = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        *,
        n_threads: int | None = None,
    ) -> History:
        """Train for a number of epochs, or until ``model.stop_training`` is set to True.

        Callbacks may set it, see `Callback`, and other threads, which are heard within about a tenth of a
        second, or a step that takes longer, also in the middle of an epoch.

        Parameters
        ----------
        x : array_like, (rows, features), or iterable of batches
            Batches come from a generator or another iterator, each once; from a `fastnn.utils.PyDataset`; or
            from what can be iterated anew for each epoch, such as a DataLoader of PyTorch.  Each is
            ``(x, y)`` or ``(x, y, sample_weight)``, checked when its turn comes.
        y : array_like, optional
            Targets as the loss takes them; not beside batches.
        batch_size : int, optional
            Default 32, or with `steps_per_epoch` all rows over it.  The last batch of an epoch may be
            shorter.  Batches that come one by one have the rows that they have.
        epochs : int
            Number of the last epoch.
        verbose : {"auto", 0, 1, 2}
            1 shows a progress bar on standard error, of all epochs or, where an epoch takes long, of each,
            2 prints a line an epoch; "auto" is 1 if standard error is a terminal or a notebook, else 0: for
            a log, ask for 2.
        callbacks : sequence of Callback, optional
            With validation data they hear of each validation too.  Epochs take longer if one of them has
            a hook for batches.
        validation_split : float
            Share of the last rows, in [0, 1), set aside before shuffling.
        validation_data : tuple, or iterable of batches, optional
            ``(x, y)`` or ``(x, y, sample_weight)``, or as `x`; overrides `validation_split`.
        shuffle : bool
            Whether every epoch has an order of its own: of rows, or of the batches of a PyDataset.  Other
            batches come as they come.
        class_weight : dict or "balanced", optional
            Label to weight, or the same sum of weights for each label that there is; for a model with one
            output.  One-hot rows count by their largest entry.
        sample_weight : array_like, (rows,), optional
        initial_epoch : int
            Number of epochs that count as done.
        steps_per_epoch : int, optional
            Batches of an epoch, which goes on where the one before ended; by default all that there are.  Of
            arrays the first epoch goes on so too, behind an earlier call, if `initial_epoch` is above 0.
        validation_steps : int, optional
            Batches of a validation; the first ones each time, except of iterators, which go on.
        validation_batch_size : int, optional
            Rows of a batch of arrays in validations; by default `batch_size`.
        validation_freq : int, or list of int
            After every how many epochs the model is validated, or after which, counted from 1.
        n_threads : int, optional
            The most threads to use; the result does not depend on it.

        Returns
        -------
        History

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input, before anything changes; for a bad batch after the first, when its turn comes.
        BusyError
            If another thread trains the model.

        Warns
        -----
        NonFiniteWarning
            If the loss, or a weight, stops being finite.  Training ends with that epoch, which is the
            last of the history: its loss and metrics are NaN there, and in the logs of callbacks.  The
            weights of the latest snapshot are restored - those at the beginning of the epoch, or of an
            epoch up to 16 steps before - and the optimizer's state begins anew.  What has ``val_`` in
            front is measured with these weights.
        TrainingWarning
            Once, if data and settings hardly suit each other: a class weight for a label that no row has,
            values of `x` that float32 cannot tell apart, the accuracy of a regression, or a first loss
            above 1e12, or one that does not move, in the first training after `compile`.  If data end within
            `steps_per_epoch`, or before the last epoch, where training ends then.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> x = np.linspace(-1, 1, 64).reshape(-1, 1)
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
        >>> model.compile(fastnn.optimizers.SGD(0.1), "mse")
        >>> history = model.fit(x, 2 * x + 1, epochs=50, verbose=0)
        >>> history.history["loss"][-1] < 1e-3
        True
        """
        self._now.need_loss()
        return feeding.fit(
            self,
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
            n_threads=n_threads,
        )

    @overload
    def evaluate(
        self,
        x: object,
        y: object = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: object = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: Literal[False] = False,
        *,
        n_threads: int | None = None,
    ) -> float | list[float]: ...

    @overload
    def evaluate(
        self,
        x: object,
        y: object = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: object = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        *,
        return_dict: Literal[True],
        n_threads: int | None = None,
    ) -> dict[str, float]: ...

    @overload
    def evaluate(
        self,
        x: object,
        y: object = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: object = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: bool = False,
        *,
        n_threads: int | None = None,
    ) -> float | list[float] | dict[str, float]: ...

    def evaluate(
        self,
        x: object,
        y: object = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: object = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: bool = False,
        *,
        n_threads: int | None = None,
    ) -> float | list[float] | dict[str, float]:
        """Return the loss, and the metrics, on given rows.

        Parameters
        ----------
        x : array_like, (rows, features), or iterable of batches
            As in `fit`.
        y : array_like, optional
        batch_size : int, optional
            Matters only for losses with reduction ``"sum"``, `steps` and callbacks; default 32.
        verbose : {"auto", 0, 1, 2}
            Accepted for Keras's sake; nothing is shown.
        sample_weight : array_like, (rows,), optional
        steps : int, optional
            Batches to use; by default all.
        callbacks : sequence of Callback, optional
            Their hooks ``on_test_...`` are called.  All rows are one batch unless one of them has a hook
            for batches.
        return_dict : bool
            Whether to return a dict.
        n_threads : int, optional
            The most threads to use; the result does not depend on it.

        Returns
        -------
        float, list of float or dict
            The loss; with metrics, a list of the loss and them; or a dict.  With several outputs, the
            losses of the outputs come after the loss, and the metrics in alphabetical order.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input.
        """
        self._now.need_optimizer()
        as_dict = check_flag(return_dict, "return_dict")
        values = feeding.evaluate(
            self,
            x,
            y,
            batch_size=batch_size,
            sample_weight=sample_weight,
            steps=steps,
            callbacks=callbacks,
            verbose=verbose,
            n_threads=n_threads,
        )
        return self._now.need_objective().shaped(values, as_dict)

    def predict(
        self,
        x: object,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        *,
        n_threads: int | None = None,
    ) -> np.ndarray | Any:
        """Return the outputs for given rows.

        Parameters
        ----------
        x : array_like, (rows, features), or iterable of batches
            Zero rows are allowed in arrays.  Of batches ``(x, ...)`` the inputs count.
        batch_size : int, optional
            Matters only for `steps` and callbacks, default 32: memory is steady for any number of rows.
        verbose : {"auto", 0, 1, 2}
            Accepted for Keras's sake; nothing is shown.
        steps : int, optional
            Batches to use; by default all.
        callbacks : sequence of Callback, optional
            Their hooks ``on_predict_...`` are called.  All rows are one batch unless one of them has a
            hook for batches.
        n_threads : int, optional
            The most threads to use; the result does not depend on it.

        Returns
        -------
        numpy.ndarray, (rows, outputs), or a list or dict of them
            Of the model's dtype; a list if the model has several outputs, or as its outputs are nested.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)], seed=0)
        >>> model.predict(np.zeros((4, 3)))[0]
        array([0., 0.], dtype=float32)
        """
        found = feeding.predict(
            self,
            x,
            batch_size=batch_size,
            steps=steps,
            callbacks=callbacks,
            verbose=verbose,
            n_threads=n_threads,
        )
        return self._keyed(found)

    def __call__(self, x: object, training: bool | None = False) -> Any:
        """Return the outputs for given rows; see `predict`.

        Few rows go a short way to the kernels, of 1 to 2 us for small nets, if they are C-order arrays of
        float32 or float64.

        Called on symbolic tensors, return those that the model, used as a layer, makes of them.

        Parameters
        ----------
        x : array_like, (rows, features), or SymbolicTensor, or as in `Model` several of them
        training : bool
            Whether layers do what they do in training, as in Keras: those such as `Dropout` draw, and
            `BatchNormalization` takes the moments of these rows and moves its statistics towards them, for
            which no other thread may be training the model.  What is drawn follows from the model's seed and
            the number of such calls so far, and is nothing that training draws; a model that was copied or
            loaded counts anew.  Threads may call at the same time, and get different numbers.

        Raises
        ------
        ConfigurationError
            If `training` is True, a layer does something else then, and `x` is a symbolic tensor.
        BusyError
            If statistics would move, and another thread trains the model, or makes such a call.

        Warns
        -----
        NonFiniteWarning
            If a statistic would not be finite afterwards; all of them stay as they were.
        """
        if training and self._differs_in_training(x):
            return self._keyed(self._outputs_in_training(x))
        now = self._binder.now
        programs = now.programs
        if programs is not None and programs.few_rows is not None and now.drawing is not None:
            begin, end = now.drawing.nests
            found = programs.few_rows.predict(x) if begin is None or type(x) is np.ndarray else None
            if found is not None:
                return found if end is None else self._keyed(found)
        if is_symbolic(x):
            return self._draw_again(x)
        return self.predict(x)

    def _differs_in_training(self, x: object) -> bool:
        """Return whether a layer does something else in training, which graphs cannot say."""
        drawn = is_symbolic(x)
        drawing = self._now.drawing
        if drawing is None:  # nobody knows yet
            return not drawn
        for node in drawing.graph.nodes:
            if node.config.training_only or any(parameter.statistic for parameter in node.parameters):
                if not drawn:
                    return True
                raise ConfigurationError(
                    f"a graph does not say that layer {node.layer!r} runs as in training: call model(x, "
                    "training=True) on arrays; fit and loss_and_gradients run all layers so"
                )
        return False
