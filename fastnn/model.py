"""Models: graphs of layers that can be trained; chains, `Sequential`, are in `sequential.py`.

A model is a network (`network.py`: layers, graph, parameters) with an engine (`engine.py`: compiled
programs); it checks what comes in, runs a program, and hands out what comes back.  The epoch loop is in
`training.py`, looking inside in `inspection.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import data, training
from fastnn.callbacks import Callback, History
from fastnn.checks import check_count, check_name
from fastnn.engine import Engine
from fastnn.errors import ConfigurationError, ShapeError, unknown_name
from fastnn.graph import Tensor
from fastnn.layers import Layer
from fastnn.network import check_dtype
from fastnn.program import Program
from fastnn.runtime import resolve_threads
from fastnn.store import ParameterStore, Place
from fastnn.symbolic import Drawing, SymbolicTensor, as_list, draw, replay
from fastnn.utils import next_seed

if TYPE_CHECKING:
    from fastnn.inspection import Profile
    from fastnn.reference import ReferenceProgram

__all__ = ["Model"]

_Tensors = str | SymbolicTensor | Layer
_MOST_ENDS = 100  # arrays that a program takes, and gives
# The key of the program for predictions.
_PREDICT: tuple[str, int, bool, bool, tuple[str, ...]] = ("predict", 0, False, False, ())


class Model(Engine):
    """A graph of layers, from inputs to outputs.

    Parameters
    ----------
    inputs : SymbolicTensor or sequence of SymbolicTensor
        Where the graph begins: what `Input` made, or the output of a layer.
    outputs : SymbolicTensor or sequence of SymbolicTensor
        Where it ends.
    dtype : {"float32", "float64"}
    seed : int, optional
        For initial weights and the order of rows; by default that of
        `fastnn.utils.set_random_seed`, else a random one.
    name : str, optional

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

    def __init__(
        self,
        inputs: object = None,
        outputs: object = None,
        dtype: object = "float32",
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        self.dtype = check_dtype(dtype)
        self.seed = next_seed() if seed is None else check_count(seed, "seed", 0, 2**63 - 1)
        self.name = check_name(name) or type(self).__name__.lower()
        self.stop_training = False
        self.history: History | None = None
        self._drawing: Drawing | None = None
        self._store = ParameterStore(self.dtype)
        self._places: dict[str, Place] = {}
        self._compiled: training.Compiled | None = None
        self._programs: OrderedDict[tuple[Any, ...], Program | ReferenceProgram] = OrderedDict()
        self._forwarded: training.Batch | None = None
        self._ends: tuple[list[SymbolicTensor], list[SymbolicTensor]] = ([], [])
        self._make_locks()
        if inputs is not None or outputs is not None:
            self._ends = as_list(inputs, "inputs"), as_list(outputs, "outputs")
            if len(self._ends[0]) + len(self._ends[1]) > _MOST_ENDS:
                raise ConfigurationError(f"a model has at most {_MOST_ENDS} inputs and outputs")
            self._install(draw(*self._ends))
        elif type(self) is Model:
            raise ConfigurationError(
                "a Model needs inputs and outputs, fastnn.Model(inputs, outputs); for a chain use Sequential"
            )

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors where the graph begins."""
        return list(self._ends[0])

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors where the graph ends."""
        return list(self._ends[1])

    @property
    def input(self) -> SymbolicTensor | list[SymbolicTensor]:
        """The only input, or the list of them."""
        return self._ends[0][0] if len(self._ends[0]) == 1 else self.inputs

    @property
    def output(self) -> SymbolicTensor | list[SymbolicTensor]:
        """The only output, or the list of them."""
        return self._ends[1][0] if len(self._ends[1]) == 1 else self.outputs

    def _draw_again(self, inputs: object) -> SymbolicTensor | list[SymbolicTensor]:
        """Return the tensors that this model, used as a layer, makes of others."""
        if self._drawing is None:
            raise ConfigurationError(
                f"model {self.name!r} has no input width yet; begin it with fastnn.Input"
            )
        given = as_list(inputs, f"the inputs of model {self.name!r}")
        widths = [tensor.columns for tensor in self._ends[0]]
        if [tensor.columns for tensor in given] != widths:
            raise ShapeError(
                f"model {self.name!r} takes tensors of widths {widths}, got {[t.columns for t in given]}"
            )
        mapped = dict(zip(self._ends[0], given, strict=True))
        replay(self._drawing.order, mapped, self)
        found = [mapped[tensor] for tensor in self._ends[1]]
        return found if len(found) > 1 else found[0]

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
            The loss; with metrics, a list of the loss and them; or a dict.  With several outputs, the
            losses of the outputs come after the loss, and the metrics in alphabetical order.

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
            given = training.batch_of(self, x, y, sample_weight)
        values = training.evaluate(self, given, batch, count)
        return compiled.shaped(values, return_dict)

    def predict(
        self,
        x: object,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        *,
        n_threads: int | None = None,
    ) -> Any:
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
        numpy.ndarray, (rows, outputs), or a list of them
            Of the model's dtype; a list if the model has several outputs.

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
            given = training.features_of(self, x, empty=True)
        return self._outputs(given, count)

    def _outputs(self, given: training.Batch, n_threads: int) -> Any:
        made = self._new_arrays("output", self.graph.outputs, given.rows)
        self._run_rows("predict", given.arrays | made, given.rows, n_threads)
        found = list(made.values())
        return found if len(found) > 1 else found[0]

    def _new_arrays(self, kind: str, tensors: Sequence[Tensor], rows: int) -> dict[str, np.ndarray]:
        """Return arrays that a plan writes, by the names that it knows them by."""
        one = len(tensors) == 1
        return {
            kind if one else f"{kind}:{tensor.label}": np.empty((rows, tensor.columns), self.dtype)
            for tensor in tensors
        }

    def __call__(self, x: object, training: bool = False) -> Any:
        """Return the outputs for given rows; see `predict`.  Few rows go a short way to the kernels.

        Called on symbolic tensors, return those that the model, used as a layer, makes of them.
        """
        if type(x) is np.ndarray and x.ndim == 2:
            program = self._programs.get(_PREDICT)
            if program is not None and 0 < len(x) <= program.most_rows:
                output = np.empty((len(x), self.graph.outputs[0].columns), self.dtype)
                if program.apply(x, output):  # type: ignore[union-attr]
                    return output
        if isinstance(x, SymbolicTensor) or (
            isinstance(x, list | tuple) and x and isinstance(x[0], SymbolicTensor)
        ):
            return self._draw_again(x)
        return self.predict(x)

    def _run_rows(
        self, purpose: str, externals: dict[str, np.ndarray], rows: int, n_threads: int = 1
    ) -> None:
        """Run a program that takes any number of rows, in one batch."""
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
            given = training.batch_of(self, x, y, sample_weight)
        rows = given.rows
        with self._running:
            program = self._program("gradients", rows, weighted=given.weighted)
            result = program.run(given.arrays, rows, rows)
            flat = program.gradients.copy()  # type: ignore[union-attr]
        if result.exception is not None:
            raise result.exception
        values = compiled.values(program.plan, result.sums[0], rows)
        gradients = {p.name: self._view(p, flat) for p in self.graph.parameters if p.trainable}
        return values["loss"], gradients

    def input_gradients(self, x: object, upstream: object = None) -> Any:
        """Return the gradient of the outputs with respect to the inputs.

        Parameters
        ----------
        x : array_like, (rows, features), or a list or dict of them
        upstream : array_like, (rows, outputs), or a list or dict of them, optional
            Gradient of something with respect to the outputs; default ones.

        Returns
        -------
        numpy.ndarray, (rows, features), or a list of them
            ``upstream @ (d output / d input)``, row by row; a list if the model has several inputs.

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
            given = training.features_of(self, x, empty=True)
            arrays = given.arrays | self._upstream(upstream, given.rows)
        made = self._new_arrays("gradient", self.graph.inputs, given.rows)
        self._run_rows("input_gradients", arrays | made, given.rows)
        found = list(made.values())
        return found if len(found) > 1 else found[0]

    def _upstream(self, upstream: object, rows: int) -> dict[str, np.ndarray]:
        """Return gradients of the outputs, checked, by the names that plans know them by."""
        outputs = self.graph.outputs
        one = len(outputs) == 1
        given = (
            [None] * len(outputs)
            if upstream is None
            else data.by_name(upstream, self.output_names, "upstream")
        )
        arrays: dict[str, np.ndarray] = {}
        for tensor, value in zip(outputs, given, strict=True):
            name = "upstream" if one else f"upstream:{tensor.label}"
            if value is None:
                arrays[name] = np.ones((rows, tensor.columns), self.dtype)
                continue
            said = "upstream" if one else f"upstream[{tensor.label!r}]"
            arrays[name] = data.as_features(value, tensor.columns, self.dtype, name=said, empty=True)
            if arrays[name].shape[0] != rows:
                raise ShapeError(f"{said} has {arrays[name].shape[0]} rows but x has {rows}")
        return arrays

    def forward(self, x: object) -> Any:
        """Return the outputs for given rows, and keep the rows for `backward` (lecture B.4).

        Parameters
        ----------
        x : array_like, (rows, features), or a list or dict of them

        Returns
        -------
        numpy.ndarray, (rows, outputs), or a list of them

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input.
        """
        with self._built_for(x):
            given = training.features_of(self, x)
        # What the caller does to its arrays afterwards must not change the gradients.
        kept = {name: array.copy() for name, array in given.arrays.items()}
        self._forwarded = training.Batch(kept, given.rows)
        return self._outputs(self._forwarded, 1)

    def backward(
        self, upstream: object = None, wrt: _Tensors | Iterable[_Tensors] = ()
    ) -> dict[str, np.ndarray]:
        """Return gradients at the rows of the latest `forward`, by the chain rule.

        Parameters
        ----------
        upstream : array_like, (rows, outputs), or a list or dict of them, optional
            Gradient of something with respect to the outputs; default ones.
        wrt : str, SymbolicTensor or Layer, or an iterable of them
            Intermediate tensors whose gradients are wanted too: a layer, or its name, stands for the
            output of its first use.

        Returns
        -------
        dict of str to numpy.ndarray
            The gradient of every input (rows, features) by its name, of every trainable parameter by
            its name (its shape; the sum over the rows), and of every tensor in `wrt` by its layer's name.

        Raises
        ------
        ConfigurationError
            If there was no `forward` before, or a name is unknown.
        ShapeError, DataError, DTypeError
            For bad input.

        Examples
        --------
        Lecture B.1: f = (x + y) z.

        >>> import fastnn
        >>> from fastnn.layers import Add, Multiply
        >>> x, y, z = (fastnn.Input((1,), name=name) for name in "xyz")
        >>> f = fastnn.Model([x, y, z], Multiply()([Add(name="q")([x, y]), z]))
        >>> float(f.forward([[-2.0], [5.0], [-4.0]])[0, 0])
        -12.0
        >>> {name: float(g[0, 0]) for name, g in f.backward(wrt=["q"]).items()}
        {'x': -4.0, 'y': -4.0, 'z': 3.0, 'q': -4.0}
        """
        given = self._forwarded
        if given is None:
            raise ConfigurationError("backward needs the rows of a forward pass; call model.forward(x) first")
        graph, drawing = self.graph, self._drawing
        assert drawing is not None
        items = [wrt] if isinstance(wrt, _Tensors) else list(wrt)
        asked = {tensor.name: tensor for tensor in map(self._tensor_of, items)}
        inputs = {tensor.name: tensor for tensor in graph.inputs}
        names = tuple(name for name in asked if name not in inputs)
        tensors = (*graph.inputs, *(asked[name] for name in names))
        arrays = given.arrays | self._upstream(upstream, given.rows)
        made = self._new_arrays("gradient", tensors, given.rows)
        with self._running:
            program = self._program("backward", given.rows, wrt=names)
            result = program.run(arrays | made, given.rows, given.rows)
            flat = program.gradients.copy()  # type: ignore[union-attr]
        if result.exception is not None:
            raise result.exception
        found = {tensor.label: array for tensor, array in zip(tensors, made.values(), strict=True)}
        return found | {p.name: self._view(p, flat) for p in graph.parameters if p.trainable}

    def _tensor_of(self, item: object) -> Tensor:
        """Return the graph's tensor that a name, a layer or a symbolic tensor stands for."""
        graph, drawing = self.graph, self._drawing
        assert drawing is not None
        by_name = {t.label: t for t in (*graph.inputs, *(node.output for node in graph.nodes))}
        if isinstance(item, SymbolicTensor) and item in drawing.tensors:
            wanted = drawing.tensors[item]
            return next(t for t in by_name.values() if t.name == wanted)
        name = item
        if isinstance(item, Layer):  # what this graph calls it: a shared one may have another name elsewhere
            name = next((known for known, la in drawing.layers.items() if la is item), item.name)
        if name not in by_name:
            raise unknown_name("tensor", str(name), by_name)
        return by_name[str(name)]

    # -- looking inside

    def profile(self, x: object, y: object, batch_size: int | None = None) -> Profile:
        """Time every op of a training step on copies of the weights; see `inspection.profile`."""
        from fastnn import inspection

        return inspection.profile(self, x, y, batch_size)

    def summary(self) -> None:
        """Print the layers, their output shapes and their numbers of parameters."""
        from fastnn import inspection

        print(inspection.summary(self))
