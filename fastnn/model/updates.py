"""What changes a model's weights from outside: gradients of a loop of one's own, another model, a vector.

This file must not know losses or epochs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.border import data
from fastnn.checks import check_number, shown
from fastnn.errors import (
    ConfigurationError,
    DTypeError,
    NonFiniteWarning,
    ShapeError,
    TrainingWarning,
    unknown_name,
    warn,
)
from fastnn.layers._weight import Weight
from fastnn.model.programs import Key
from fastnn.model.structure import Structure, Structured
from fastnn.run.program import aligned_array

__all__ = ["Updatable"]

_FORMS = (
    "grads must be a dict of arrays by the names of parameters, a list of arrays in the order of "
    "model.trainable_weights, or a list of pairs (gradient, weight)"
)


class Updatable(Structured):
    """What takes gradients and weights that others made; a part of `Model`."""

    def apply_gradients(self, grads: object) -> int:
        """Make one update of the optimizer with given gradients, as the step of a loop of one's own.

        It is the update of `train_on_batch`: clipping, decay, schedules, averages, constraints and sums of
        gradients included.  Penalties are not added: their gradients are part of what `loss_and_gradients`
        returns, and not of what `backward` does.  Moving statistics of layers stay as they are.

        Parameters
        ----------
        grads : dict, or sequence or iterator of array_like or of pairs
            A dict from the names of all trained parameters to arrays of their shapes, as
            `loss_and_gradients` and `backward` return it; what it has of inputs and layers is left aside.
            Or a list of such arrays in the order of `trainable_weights`.  Or, as in Keras, pairs of a
            gradient and the `Weight` that it belongs to; other weights are not updated then, nor are those
            whose gradient is None.

        Returns
        -------
        int
            Calls and steps so far, as in Keras: `iterations` of the optimizer, but for those that only add to
            sums of gradients, which count as well.

        Raises
        ------
        ConfigurationError
            If the model is not compiled or built; if names or weights are unknown or missing.
        ShapeError, DataError, DTypeError
            If shapes differ from those of parameters, or a number is not finite.
        BusyError
            If another thread trains the model.
            In all these cases nothing changes.

        Warns
        -----
        NonFiniteWarning
            If a weight would not be finite afterwards; the update is taken back.
        TrainingWarning
            If a gradient is None.

        Examples
        --------
        Any loss, by its gradient with respect to the outputs:

        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
        >>> model.compile(fastnn.optimizers.SGD(0.1), "mse")
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> for _ in range(200):
        ...     error = model.forward(x) - (2 * x + 1)
        ...     count = model.apply_gradients(model.backward(2 * error / len(x)))
        >>> count, bool(abs(model.predict(x) - (2 * x + 1)).max() < 0.01)
        (200, True)
        """
        if not isinstance(grads, Mapping):
            if isinstance(grads, str | bytes | np.ndarray) or not isinstance(grads, Iterable):
                raise DTypeError(f"{_FORMS}; got {shown(grads)}")
            grads = list(grads)
        left_out: list[str] = []

        def step() -> tuple[int, bool]:
            now = self._now
            optimizer = now.need_optimizer()
            trained = [p.name for p in now.graph.parameters if p.is_trained]
            named = _by_name(now, grads, trained)
            left_out[:] = [name for name, gradient in named.items() if gradient is None]
            flat = _laid_out(now, {name: g for name, g in named.items() if g is not None})
            updated = tuple(name for name in trained if named.get(name) is not None)
            program = now.need_programs().program(
                Key("update", wrt=() if len(updated) == len(trained) else updated)
            )
            result = program.run(
                {},
                1,
                1,
                n_threads=None,
                scalars=optimizer.scalars,
                progress=optimizer.progress,
                gradients=flat,
                restore=True,
            )
            if result.exception is not None:
                raise result.exception
            if not result.finite and optimizer.state is not None and not data.all_finite(optimizer.state):
                optimizer.forget()  # the step was made, to infinity, and is taken back
            return optimizer.progress.steps, result.finite

        steps, finite = self._binder.exclusively(step)
        if left_out:
            warn(f"there is no gradient of {', '.join(left_out)}; not updated", TrainingWarning)
        if not finite:
            warn("a weight would not be finite after this update; it was not made", NonFiniteWarning)
        return int(steps)

    def polyak_from(self, other: Any, tau: float) -> None:
        """Move all weights towards those of another model: ``tau * other + (1 - tau) * own``.

        So a target network follows the one that is trained.  Statistics of layers move as well.  Whoever
        reads meanwhile sees all weights as before, or all as after.

        Parameters
        ----------
        other : Model
            With weights of the same shapes, in the order of `get_weights`.
        tau : float
            In [0, 1]; 1 copies.

        Raises
        ------
        ConfigurationError
            If `tau` is out of range, or a model is not built.
        ShapeError
            If shapes differ.
        DTypeError
            If `other` is no model.
        DataError
            If a weight would not be finite.
        BusyError
            If another thread trains the model.

        Examples
        --------
        >>> import fastnn
        >>> model, target = (
        ...     fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)]) for _ in range(2)
        ... )
        >>> model.set_weights([[[1.0]], [2.0]])
        >>> target.set_weights([[[0.0]], [0.0]])
        >>> target.polyak_from(model, 0.25)
        >>> target.get_flat_weights()
        array([0.25, 0.5 ], dtype=float32)
        """
        share = check_number(tau, "tau", 0.0, 1.0)
        if not isinstance(other, Structured):
            raise DTypeError(f"other must be a model, got {shown(other)}")

        def mix() -> None:
            now, source = self._now, other._now
            own, theirs = now.weights(), source.weights()
            shapes, wanted = [p.shape for p in own.values()], [p.shape for p in theirs.values()]
            if shapes != wanted:
                raise ShapeError(
                    f"the weights of other have the shapes {wanted}, this model's {shapes}; they must agree"
                )
            to, given = now.store.array, source.store.array
            pairs = zip(own.values(), theirs.values(), strict=True)
            now.store.assign(own, [share * b.view(given) + (1.0 - share) * a.view(to) for a, b in pairs])

        self._binder.exclusively(mix)

    def get_flat_weights(self) -> np.ndarray:
        """Return all weights as one vector, in the order of `get_weights`, each in C order.

        Returns
        -------
        numpy.ndarray, (count_params(),)
            A copy, of the model's dtype.

        Raises
        ------
        ConfigurationError
            If the model is not built.

        Examples
        --------
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        >>> model.set_flat_weights([1.0, 2.0, 3.0])
        >>> model.get_flat_weights()
        array([1., 2., 3.], dtype=float32)
        """
        now = self._now
        array = now.store.array
        parts = [array[:0], *(array[p.offset : p.offset + p.size] for p in now.weights().values())]
        return np.concatenate(parts)

    def set_flat_weights(self, vector: Sequence[float] | np.ndarray) -> None:
        """Replace all weights by the parts of a vector, as `get_flat_weights` returns it.

        Parameters
        ----------
        vector : array_like, (count_params(),)

        Raises
        ------
        ConfigurationError
            If the model is not built.
        ShapeError, DataError, DTypeError
            If its length is wrong, or a number is not finite.
        BusyError
            If another thread trains the model.
        """
        now = self._now
        places = now.weights()
        total = sum(place.size for place in places.values())
        checked = data.as_weights(vector, (total,), self.dtype, "vector")
        ends = np.cumsum([place.size for place in places.values()])
        parts = [
            part.reshape(p.shape) for p, part in zip(places.values(), np.split(checked, ends), strict=False)
        ]
        now.store.assign(places, parts)


def _by_name(now: Structure, grads: object, trained: list[str]) -> dict[str, object]:
    """Return gradients by the names of their parameters, all of which are trained."""
    if isinstance(grads, Mapping):
        known = set(trained)
        missing = known - grads.keys()
        if missing:
            raise ConfigurationError(
                f"grads has no gradient of {', '.join(sorted(missing))}; to update some parameters only, "
                "give pairs (gradient, weight)"
            )
        others = grads.keys() - known
        if others:
            graph = now.graph
            tensors = {t.label for t in (*graph.inputs, *(node.output for node in graph.nodes))}
            for name in others - tensors:
                raise unknown_name("trained parameter", str(name), trained)
        named = {name: grads[name] for name in trained}
    else:
        assert isinstance(grads, list)
        found = _of_pairs if any(map(_is_pair, grads)) else _in_order
        named = found(now, grads, set(trained))
    if all(gradient is None for gradient in named.values()):
        raise ConfigurationError("grads has no gradient of any parameter; nothing can be updated")
    return named


def _in_order(now: Structure, grads: list[Any], trained: set[str]) -> dict[str, object]:
    """Return the gradients of a list in the order of `trainable_weights` by their names."""
    names = [name for name in now.weights() if name in trained]
    if len(grads) != len(names):
        raise ShapeError(f"grads has {len(grads)} arrays, needs {len(names)}: {', '.join(names)}")
    return dict(zip(names, grads, strict=True))


def _is_pair(item: object) -> bool:
    return isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[1], Weight)


def _of_pairs(now: Structure, pairs: list[Any], trained: set[str]) -> dict[str, object]:
    """Return the gradients of pairs by the names that the model's graph has for their weights."""
    names = {id(layer): name for name, layer in now.need_drawing().layers.items()}
    named: dict[str, object] = {}
    for number, item in enumerate(pairs):
        if not _is_pair(item):
            raise DTypeError(f"{_FORMS}; number {number} is no pair as others are")
        gradient, weight = item
        name = f"{names.get(id(weight._layer), '?')}/{weight.name}"
        if name not in trained:
            raise ConfigurationError(
                f"weight {weight.path!r} of pair {number} is none that this model trains; it trains "
                f"{', '.join(sorted(trained))}"
            )
        if name in named:
            raise ConfigurationError(f"two pairs have the weight {weight.path!r}; add their gradients up")
        named[name] = gradient
    return named


def _laid_out(now: Structure, named: Mapping[str, Any]) -> np.ndarray:
    """Return an array that lies like the store's, with gradients, checked."""
    store = now.store
    flat = aligned_array(store.size, store.dtype)
    for name, gradient in named.items():
        place = now.places[name]
        if type(gradient) is not np.ndarray or gradient.dtype != store.dtype or gradient.shape != place.shape:
            gradient = data.as_weights(gradient, place.shape, store.dtype, f"the gradient of {name!r}")
        place.view(flat)[...] = gradient
    if not data.all_finite(flat):
        for name in named:
            data.as_weights(
                now.places[name].view(flat), now.places[name].shape, store.dtype, f"the gradient of {name!r}"
            )
    return flat
