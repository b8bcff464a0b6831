"""What a loop of one's own needs of a model: outputs, losses, and gradients of whatever is asked for.

This file must not know epochs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastnn.border import data
from fastnn.checks import check_count
from fastnn.compiler.plan import OpCode
from fastnn.errors import ConfigurationError, NonFiniteWarning, ShapeError, unknown_name, warn
from fastnn.graph.graph import Tensor, array_name
from fastnn.graph.symbolic import SymbolicTensor
from fastnn.layers import Layer
from fastnn.model.batch import Batch, batch_of, features_of
from fastnn.model.beside import gradients_of
from fastnn.model.outputs import new_arrays, outputs_of, run_rows
from fastnn.model.programs import Key, capacity_for
from fastnn.model.structure import Structure, Structured
from fastnn.run.program import aligned_array

__all__ = ["Differentiable"]

_JACOBIAN_ELEMENTS = 4_000_000  # of the arrays that one call of the kernels reads
_FIRST_CALL = 2**62  # the number of the first of the steps that calls draw for; those of training lie below
_Tensors = str | SymbolicTensor | Layer


class Differentiable(Structured):
    """What runs forward and backward on given rows; a part of `Model`."""

    _forwarded: Batch | None  # the rows of the latest `forward`

    def loss_and_gradients(
        self, x: object, y: object, sample_weight: object = None, *, step: int | None = None
    ) -> tuple[float, dict[str, np.ndarray]]:
        """Return the loss, penalties included, and its gradient for every trainable parameter.

        Both are those of training: layers that draw random numbers, such as `Dropout`, do so.

        Parameters
        ----------
        x : array_like, (rows, features)
        y : array_like
        sample_weight : array_like, (rows,), optional
        step : int, optional
            The steps made before the one whose random numbers are drawn; a loop of your own counts them.
            By default those that the optimizer has made.

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
        optimizer = self._now.need_loss()
        step = optimizer.iterations if step is None else check_count(step, "step", 0, 2**62)
        now, given = self._ready(x, lambda now: batch_of(now, x, y, sample_weight))
        flat = aligned_array(now.store.size, self.dtype)
        loss = gradients_of(now, given, self.seed, step, flat)
        return loss, {p.name: now.view(p, flat) for p in now.graph.parameters if p.is_trained}

    # How many outputs there are is not in a model's type: `| Any` lets a list of them pass too.

    def input_gradients(self, x: object, upstream: object = None) -> np.ndarray | Any:
        """Return the gradient of the outputs with respect to the inputs.

        Parameters
        ----------
        x : array_like, (rows, features), or a list or dict of them
        upstream : array_like, (rows, outputs), or a list or dict of them, optional
            Gradient of something with respect to the outputs; default ones.

        Returns
        -------
        numpy.ndarray, (rows, features), or a list of them
            ``upstream @ (d output / d input)``, row by row; a list if the model has several inputs, with
            None for those of integers, which have no gradient.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input, or if all inputs are of integers.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.set_weights([[[3.0]], [0.0]])
        >>> model.input_gradients([[5.0]])
        array([[3.]], dtype=float32)
        """

        def checked(now: Structure) -> tuple[dict[str, np.ndarray], int]:
            given = features_of(now, x, empty=True)
            return given.arrays | _upstream(now, upstream, given.rows), given.rows

        now, (arrays, rows) = self._ready(x, checked)
        inputs = _inputs_with_gradients(now)
        made = new_arrays(now, "gradient", inputs, rows)
        run_rows(now, "input_gradients", arrays | made, rows)
        of_input = dict(zip(inputs, made.values(), strict=True))
        found = [of_input.get(tensor) for tensor in now.graph.inputs]
        return found if len(found) > 1 else found[0]

    def jacobian(self, x: object) -> np.ndarray | Any:
        """Return the derivatives of all outputs with respect to all inputs, row by row.

        Layers are those of `predict`.  Of second derivatives there is no method; central differences of
        first ones are good to about seven digits, of a model with dtype ``"float64"``: along a direction
        ``d`` of the inputs ``(jacobian(x + h * d) - jacobian(x - h * d)) / (2 * h)``, with ``h`` of 1e-5
        times the size of the inputs.  Along a direction of the weights, move them by `set_flat_weights`, and
        take the difference of `loss_and_gradients`, which is the product of Hessian and direction.

        Parameters
        ----------
        x : array_like, (rows, features), or a list or dict of them

        Returns
        -------
        numpy.ndarray, (rows, outputs, features), or a list of them
            Element ``[r, i, j]`` is the derivative of output ``i`` by feature ``j`` at row ``r``.  A list if
            the model has several inputs, with None for those of integers, which have no derivatives; if it
            has several outputs, a list with one of these for each.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input, or if all inputs are of integers.

        Examples
        --------
        The product of two features, and its second derivatives along the first of them:

        >>> import numpy as np
        >>> import fastnn
        >>> x = fastnn.Input((2,))
        >>> log = fastnn.layers.Log()(x)
        >>> model = fastnn.Model(x, fastnn.layers.Exp()(fastnn.layers.Sum()(log)), dtype="float64")
        >>> model.jacobian([[2.0, 3.0]]).round(6)
        array([[[3., 2.]]])
        >>> point, step = np.array([[2.0, 3.0]]), np.array([[1e-5, 0.0]])
        >>> second = (model.jacobian(point + step) - model.jacobian(point - step)) / 2e-5
        >>> abs(second).round(6)
        array([[[0., 1.]]])
        """
        now, given = self._ready(x, lambda now: features_of(now, x, empty=True))
        inputs, outputs = _inputs_with_gradients(now), now.graph.outputs
        ends = np.cumsum([tensor.columns for tensor in outputs])
        n_outputs = int(ends[-1])
        # Each row stands there once for each output, whose gradient is 1.
        found = new_arrays(now, "gradient", inputs, given.rows * n_outputs)
        widths = n_outputs + sum(tensor.columns for tensor in now.graph.inputs)
        step = max(1, _JACOBIAN_ELEMENTS // (n_outputs * widths))
        for first in range(0, given.rows, step):
            last = min(first + step, given.rows)
            ones = np.tile(np.eye(n_outputs, dtype=self.dtype), (last - first, 1))
            arrays = {name: np.repeat(a[first:last], n_outputs, axis=0) for name, a in given.arrays.items()}
            for tensor, end in zip(outputs, ends, strict=True):
                part = np.ascontiguousarray(ones[:, end - tensor.columns : end])
                arrays[array_name("upstream", tensor, outputs)] = part
            part_of = slice(first * n_outputs, last * n_outputs)
            made = {name: array[part_of] for name, array in found.items()}
            run_rows(now, "input_gradients", arrays | made, part_of.stop - part_of.start)
        of_input = {
            tensor: array.reshape(given.rows, n_outputs, tensor.columns)
            for tensor, array in zip(inputs, found.values(), strict=True)
        }
        split = []
        for tensor, end in zip(outputs, ends, strict=True):
            rows = slice(end - tensor.columns, end)
            several = [of_input[t][:, rows] if t in of_input else None for t in now.graph.inputs]
            split.append(several if len(several) > 1 else several[0])
        return split if len(split) > 1 else split[0]

    def forward(self, x: object) -> np.ndarray | Any:
        """Return the outputs for given rows, and keep the rows for `backward` (lecture B.4).

        Parameters
        ----------
        x : array_like, (rows, features), or a list or dict of them

        Returns
        -------
        numpy.ndarray, (rows, outputs), or a list or dict of them

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input.
        """
        now, given = self._ready(x, lambda now: features_of(now, x))
        # What the caller does to its arrays afterwards must not change the gradients.
        kept = Batch({name: array.copy() for name, array in given.arrays.items()}, given.rows)
        self._forwarded = kept
        return self._keyed(outputs_of(now, kept))

    def _outputs_in_training(self, x: object) -> Any:
        """Return the outputs for given rows, of layers as in training; see `Model.__call__`."""
        now, given = self._ready(x, lambda now: features_of(now, x, empty=True))
        if not given.rows:
            return outputs_of(now, given)
        # Each call has a number of its own, whatever threads call at the same time.
        number = _FIRST_CALL + next(self.__dict__.setdefault("_calls", itertools.count()))
        key = Key("training_outputs", capacity_for(given.rows))

        def call(now: Structure, restore: bool) -> tuple[Any, bool]:
            given = features_of(now, x)
            made = new_arrays(now, "output", now.graph.outputs, given.rows)
            options: dict[str, Any] = {"seed": self.seed, "step": number, "restore": restore}
            _, result = now.need_programs().run(key, given.arrays | made, given.rows, **options)
            if result.exception is not None:
                raise result.exception
            found = list(made.values())
            return found if len(found) > 1 else found[0], result.finite

        plan = now.need_programs().program(key).plan
        if all(op.code is not OpCode.MOVING_AVERAGE for op in plan.ops):
            return call(now, False)[0]
        found, finite = self._binder.exclusively(lambda: call(self._now, True))
        if not finite:
            warn("a moving statistic would not be finite; all of them stay as they were", NonFiniteWarning)
        return found

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
            Inputs of integers have none.

        Raises
        ------
        ConfigurationError
            If there was no `forward` before, a name is unknown, or that of an input of integers.
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
        now = self._now
        graph = now.graph
        items = [wrt] if isinstance(wrt, _Tensors) else list(wrt)
        asked = {tensor.name: tensor for tensor in (_tensor_of(now, item) for item in items)}
        for tensor in asked.values():
            if tensor.kind.is_whole:
                raise ConfigurationError(
                    f"input {tensor.label!r} has integers, which have no gradient; ask for that of the layer "
                    "that reads it"
                )
        inputs = {tensor.name: tensor for tensor in graph.inputs}
        names = tuple(name for name in asked if name not in inputs)
        tensors = (*_real(graph.inputs), *(asked[name] for name in names))
        arrays = given.arrays | _upstream(now, upstream, given.rows)
        made = new_arrays(now, "gradient", tensors, given.rows)
        flat = aligned_array(now.store.size, self.dtype)
        key = Key("backward", capacity_for(given.rows), wrt=names)
        _, result = now.need_programs().run(key, arrays | made, given.rows, gradients=flat)
        if result.exception is not None:
            raise result.exception
        found = {tensor.label: array for tensor, array in zip(tensors, made.values(), strict=True)}
        return found | {p.name: now.view(p, flat) for p in graph.parameters if p.is_trained}


def _real(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors of real numbers, which alone have gradients."""
    return [tensor for tensor in tensors if not tensor.kind.is_whole]


def _inputs_with_gradients(now: Structure) -> list[Tensor]:
    """Return the inputs of real numbers, of which there must be one."""
    inputs = _real(now.graph.inputs)
    if not inputs:
        raise ConfigurationError(
            "the model's inputs are integers, which have no gradient; ask for that of what an Embedding "
            "makes, by forward(x) and backward(wrt=[its name])"
        )
    return inputs


def _upstream(now: Structure, upstream: object, rows: int) -> dict[str, np.ndarray]:
    """Return gradients of the outputs, checked, by the names that plans know them by."""
    outputs, dtype = now.graph.outputs, now.store.dtype
    one = len(outputs) == 1
    given = (
        [None] * len(outputs)
        if upstream is None
        else data.by_name(upstream, [tensor.title for tensor in outputs], "upstream", now.nests[1])
    )
    arrays: dict[str, np.ndarray] = {}
    for tensor, value in zip(outputs, given, strict=True):
        name = array_name("upstream", tensor, outputs)
        if value is None:
            arrays[name] = np.ones((rows, tensor.columns), dtype)
            continue
        said = "upstream" if one else f"upstream[{tensor.title!r}]"
        arrays[name] = data.as_features(value, tensor.columns, dtype, name=said, empty=True)
        if arrays[name].shape[0] != rows:
            raise ShapeError(f"{said} has {arrays[name].shape[0]} rows but x has {rows}")
    return arrays


def _tensor_of(now: Structure, item: object) -> Tensor:
    """Return the graph's tensor that a name, a layer or a symbolic tensor stands for."""
    graph, drawing = now.graph, now.drawing
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
