"""What every model can do; `Sequential` is in `sequential.py`.

A model is a network (`network.py`: layers, graph, parameters) with the programs compiled for its
purposes; it checks what comes in, runs a program, and hands out what comes back.  The epoch loop
is in `training.py`, looking inside in `inspection.py`.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import data, losses, metrics, optimizers, training
from fastnn.callbacks import Callback, History
from fastnn.checks import check_count
from fastnn.compiler import compile_plan
from fastnn.errors import ConfigurationError, ShapeError, unknown_name
from fastnn.graph import Graph
from fastnn.layers import Layer
from fastnn.network import Network, check_dtype
from fastnn.plan import PURPOSES, Plan
from fastnn.program import Program, aligned_array, aligned_copy
from fastnn.runtime import resolve_threads, simd_level
from fastnn.utils import next_seed

if TYPE_CHECKING:
    from fastnn.inspection import Profile
    from fastnn.reference import ReferenceProgram

__all__ = ["Model"]

_CACHED_PROGRAMS = 8
_PREDICT = ("predict", 0, False, False)  # the key of the program for predictions


class Model(Network):
    """Base of the models; use `Sequential`.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    seed : int, optional
        For initial weights and the order of rows; by default that of
        `fastnn.utils.set_random_seed`, else a random one.
    name : str, optional
    """

    def __init__(self, dtype: object = "float32", seed: int | None = None, name: str | None = None) -> None:
        self.dtype = check_dtype(dtype)
        self.seed = next_seed() if seed is None else check_count(seed, "seed", 0, 2**63 - 1)
        self.name = name or type(self).__name__.lower()
        self.stop_training = False
        self.history: History | None = None
        self._layers: list[Layer] = []
        self._graph: Graph | None = None
        self._parameters = np.empty(0, self.dtype)
        self._offsets: dict[str, int] = {}
        self._compiled: training.Compiled | None = None
        self._programs: OrderedDict[tuple[Any, ...], Program | ReferenceProgram] = OrderedDict()
        self._make_locks()

    def _make_locks(self) -> None:
        self._training = threading.RLock()  # held while weights may change
        self._running = threading.RLock()  # held while a program runs that does not change them
        self._programs_lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles keep: everything but programs and locks, which are made anew."""
        kept = dict(self.__dict__)
        for name in ("_programs", "_training", "_running", "_programs_lock"):
            del kept[name]
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._programs = OrderedDict()
        self._make_locks()
        self._parameters = aligned_copy(self._parameters)

    def __copy__(self) -> Model:
        # Two models on one set of parameters would train each other.
        return copy.deepcopy(self)

    # -- compiling

    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "rmsprop",
        loss: str | losses.Loss | None = None,
        metrics: Iterable[str | metrics.Metric] | None = None,
        *,
        reference: bool = False,
    ) -> None:
        """Say how the model is trained.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str or Loss
        metrics : iterable of str or Metric, optional
        reference : bool
            Whether to run on the float64 NumPy interpreter instead of the kernels; slow, for
            finding out who is wrong.

        Raises
        ------
        ConfigurationError
            For unknown names, or metrics that do not suit the loss.
        """
        if loss is None:
            raise ConfigurationError("compile needs a loss, for example loss='mse'")
        names = [] if metrics is None else [metrics] if isinstance(metrics, str) else list(metrics)
        with self._exclusive():
            compiled = training.Compiled(optimizers.get(optimizer), losses.get(loss), names, reference)
            if self._graph is not None:
                compiled.attach(self._graph, self._parameters)
                self._install_trainable()
            self._compiled = compiled
            self._programs.clear()

    def _install_trainable(self) -> None:
        """Take over the layers' `trainable` flags, without touching weights."""

    @property
    def optimizer(self) -> training.Compiled:
        """What `compile` made: `learning_rate`, which may be set, and `iterations`."""
        return self._need_compiled()

    def _need_compiled(self) -> training.Compiled:
        if self._compiled is None:
            raise ConfigurationError("the model is not compiled; call model.compile(optimizer, loss) first")
        if not self._compiled.attached and self._graph is not None:
            self._compiled.attach(self._graph, self._parameters)
        return self._compiled

    def _exclusive(self) -> training.Exclusive:
        return training.Exclusive(self._training)

    # -- programs

    def _compile_plan(
        self, purpose: str, capacity: int = 0, *, gather: bool = False, weighted: bool = False
    ) -> Plan:
        compiled = self._compiled
        needs_loss = purpose in ("train", "gradients", "evaluate")
        if needs_loss:
            compiled = self._need_compiled()
        return compile_plan(
            self.graph,
            purpose,
            capacity=capacity,
            loss=compiled.loss if compiled is not None and needs_loss else None,
            metrics=compiled.metrics if compiled is not None and needs_loss else (),
            optimizer=compiled.description if compiled is not None and purpose == "train" else None,
            gather=gather,
            weighted=weighted,
            simd=simd_level(),
        )

    def _program(
        self, purpose: str, capacity: int = 0, *, gather: bool = False, weighted: bool = False
    ) -> Program | ReferenceProgram:
        """Return the program for a purpose, compiled at its first use; the latest few are kept."""
        with self._programs_lock:
            return self._cached_program((purpose, capacity, gather, weighted))

    def _cached_program(self, key: tuple[str, int, bool, bool]) -> Program | ReferenceProgram:
        purpose, capacity, gather, weighted = key
        program = self._programs.get(key)
        if program is not None:
            self._programs.move_to_end(key)
            return program
        plan = self._compile_plan(purpose, capacity, gather=gather, weighted=weighted)
        compiled = self._compiled
        kind: type[Program] | type[ReferenceProgram] = Program
        if compiled is not None and compiled.reference:
            from fastnn.reference import ReferenceProgram

            kind = ReferenceProgram
        gradients = aligned_array(self._parameters.size, self.dtype) if purpose == "gradients" else None
        state = compiled.state if compiled is not None and purpose == "train" else None
        program = kind(plan, self.dtype, self._parameters, gradients, state)
        if gradients is not None:
            program.gradients = gradients  # type: ignore[union-attr]
        self._programs[key] = program
        while len(self._programs) > _CACHED_PROGRAMS:
            self._programs.popitem(last=False)
        return program

    # -- running

    def fit(
        self,
        x: object,
        y: object,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, ...] | None = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: object = None,
        initial_epoch: int = 0,
        *,
        n_threads: int | None = None,
    ) -> History:
        """Train for a number of epochs.

        Parameters
        ----------
        x : array_like, (rows, features)
        y : array_like
            Targets as the loss takes them.
        batch_size : int, optional
            Default 32.  The last batch of an epoch may be shorter.
        epochs : int
            Number of the last epoch.
        verbose : {"auto", 0, 1, 2}
            1 shows a progress bar on standard error, 2 prints a line an epoch; "auto" is 1.
        callbacks : sequence of Callback, optional
        validation_split : float
            Share of the last rows, in [0, 1), set aside before shuffling.
        validation_data : tuple, optional
            ``(x, y)`` or ``(x, y, sample_weight)``; overrides `validation_split`.
        shuffle : bool
            Whether every epoch has an order of its own.
        class_weight : dict, optional
            Label to weight, for integer labels.
        sample_weight : array_like, (rows,), optional
        initial_epoch : int
            Number of epochs that count as done.
        n_threads : int, optional
            The most threads to use; the result does not depend on it.

        Returns
        -------
        History

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input, before anything changes.
        BusyError
            If another thread trains the model.

        Warns
        -----
        NonFiniteWarning
            If the loss stops being finite; the last finite weights are restored.

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
        self._need_compiled()
        return training.fit(
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
            n_threads=n_threads,
        )

    def train_on_batch(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Make one step on one batch.

        Parameters
        ----------
        x : array_like, (rows, features)
        y : array_like
        sample_weight : array_like, (rows,), optional
        class_weight : dict, optional
        return_dict : bool

        Returns
        -------
        float, list or dict
            The loss before the step; with metrics, a list of the loss and them; or a dict.
            NaN or infinite if the step was not made because the loss is not finite.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError, BusyError
            As `fit` does.
        """
        self._need_compiled()
        return training.train_on_batch(self, x, y, sample_weight, class_weight, return_dict)

    def evaluate(
        self,
        x: object,
        y: object,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: object = None,
        *,
        return_dict: bool = False,
        n_threads: int | None = None,
    ) -> float | list[float] | dict[str, float]:
        """Return the loss, and the metrics, on given rows.

        Parameters
        ----------
        x : array_like, (rows, features)
        y : array_like
        batch_size : int, optional
            Matters only for losses with reduction ``"sum"``; default 32.
        verbose : {"auto", 0, 1, 2}
            Accepted for Keras's sake; nothing is shown.
        sample_weight : array_like, (rows,), optional
        return_dict : bool
        n_threads : int, optional

        Returns
        -------
        float, list of float or dict
            The loss; with metrics, a list of the loss and them; or a dict.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input.
        """
        self._need_compiled()
        batch = check_count(32 if batch_size is None else batch_size, "batch_size")
        count = resolve_threads(n_threads)
        with self._built_for(x):
            compiled = self._need_compiled()
            rows_x, targets, weights = training.batch_of(self, x, y, sample_weight, None)
        values = training.evaluate(self, rows_x, targets, weights, batch, count)
        return compiled.shaped(values, return_dict)

    def predict(
        self,
        x: object,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        *,
        n_threads: int | None = None,
    ) -> np.ndarray:
        """Return the outputs for given rows.

        Parameters
        ----------
        x : array_like, (rows, features)
            Zero rows are allowed.
        batch_size : int, optional
            Accepted for Keras's sake; memory is steady for any number of rows.
        verbose : {"auto", 0, 1, 2}
            Accepted for Keras's sake; nothing is shown.
        n_threads : int, optional

        Returns
        -------
        numpy.ndarray, (rows, outputs)
            Of the model's dtype.

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
        if batch_size is not None:
            check_count(batch_size, "batch_size")
        count = resolve_threads(n_threads)
        with self._built_for(x):
            array = data.as_features(x, self.graph.input.columns, self.dtype, empty=True)
        output = np.empty((array.shape[0], self.graph.output.columns), self.dtype)
        self._run_rows("predict", {"x": array, "output": output}, count)
        return output

    def __call__(self, x: object, training: bool = False) -> np.ndarray:
        """Return the outputs for given rows; see `predict`.  Few rows go a short way to the kernels."""
        if type(x) is np.ndarray and x.ndim == 2:
            program = self._programs.get(_PREDICT)
            if program is not None and 0 < len(x) <= program.most_rows:
                output = np.empty((len(x), self.graph.output.columns), self.dtype)
                if program.apply(x, output):  # type: ignore[union-attr]
                    return output
        return self.predict(x)

    def _run_rows(self, purpose: str, externals: dict[str, np.ndarray], n_threads: int = 1) -> None:
        """Run a program that takes any number of rows, in one batch."""
        rows = externals["x"].shape[0]
        if rows == 0:
            return
        with self._running:
            result = self._program(purpose).run(externals, rows, rows, n_threads=n_threads)
        if result.exception is not None:
            raise result.exception

    # -- the core that a custom loop needs

    def loss_and_gradients(
        self, x: object, y: object, sample_weight: object = None
    ) -> tuple[float, dict[str, np.ndarray]]:
        """Return the loss, penalties included, and its gradient for every trainable parameter.

        Parameters
        ----------
        x : array_like, (rows, features)
        y : array_like
        sample_weight : array_like, (rows,), optional

        Returns
        -------
        loss : float
        gradients : dict of str to numpy.ndarray
            Parameter names, such as ``"dense/kernel"``, to arrays of the parameters' shapes.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], seed=0)
        >>> model.compile("sgd", "mse")
        >>> loss, gradients = model.loss_and_gradients(np.ones((4, 2)), np.ones((4, 1)))
        >>> sorted(gradients)
        ['dense/bias', 'dense/kernel']
        """
        self._need_compiled()
        with self._built_for(x):
            compiled = self._need_compiled()
            rows_x, targets, weights = training.batch_of(self, x, y, sample_weight, None)
        rows = rows_x.shape[0]
        with self._running:
            program = self._program("gradients", rows, weighted=weights is not None)
            result = program.run(training.externals_of(rows_x, targets, weights), rows, rows)
            flat = program.gradients.copy()  # type: ignore[union-attr]
        if result.exception is not None:
            raise result.exception
        values = compiled.values(program.plan, result.sums[0], rows)
        gradients = {p.name: self._view(p, flat) for p in self.graph.parameters if p.trainable}
        return values["loss"], gradients

    def input_gradients(self, x: object, upstream: object = None) -> np.ndarray:
        """Return the gradient of the outputs with respect to the inputs.

        Parameters
        ----------
        x : array_like, (rows, features)
        upstream : array_like, (rows, outputs), optional
            Gradient of something with respect to the outputs; default ones.

        Returns
        -------
        numpy.ndarray, (rows, features)
            ``upstream @ (d output / d input)``, row by row.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.set_weights([[[3.0]], [0.0]])
        >>> model.input_gradients([[5.0]])
        array([[3.]], dtype=float32)
        """
        with self._built_for(x):
            graph = self.graph
            array = data.as_features(x, graph.input.columns, self.dtype, empty=True)
        if upstream is None:
            above = np.ones((array.shape[0], graph.output.columns), self.dtype)
        else:
            above = data.as_features(upstream, graph.output.columns, self.dtype, name="upstream", empty=True)
            if above.shape[0] != array.shape[0]:
                raise ShapeError(f"upstream has {above.shape[0]} rows but x has {array.shape[0]}")
        gradient = np.empty(array.shape, self.dtype)
        self._run_rows("input_gradients", {"x": array, "upstream": above, "input_gradient": gradient})
        return gradient

    # -- looking inside

    def plan(self, batch_size: int = 32, purpose: str | None = None) -> Plan:
        """Return the compiled list of ops; print it to read it.

        Parameters
        ----------
        batch_size : int
            Rows of a training step.
        purpose : {"train", "gradients", "evaluate", "predict", "input_gradients"}, optional
            Default ``"train"`` if the model is compiled, else ``"predict"``.

        Returns
        -------
        Plan

        Raises
        ------
        ConfigurationError
            If the model is not built, or not compiled for a purpose that needs a loss.
        """
        if purpose is None:
            purpose = "predict" if self._compiled is None else "train"
        if purpose not in PURPOSES:
            raise unknown_name("purpose", purpose, PURPOSES)
        rows = check_count(batch_size, "batch_size")
        stepwise = purpose in ("train", "gradients")
        return self._compile_plan(purpose, rows if stepwise else 0, gather=purpose == "train")

    def profile(self, x: object, y: object, batch_size: int | None = None) -> Profile:
        """Time every op of a training step on copies of the weights; see `inspection.profile`."""
        from fastnn import inspection

        return inspection.profile(self, x, y, batch_size)

    def summary(self) -> None:
        """Print the layers, their output shapes and their numbers of parameters."""
        from fastnn import inspection

        print(inspection.summary(self))
