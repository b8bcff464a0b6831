"""What a model is made of: its layers, its graph and its parameters.

The base of `Model`, which adds what is done with them.  It keeps what was compiled, and runs nothing.
This file must not know losses or plans.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from fastnn._core.guards import exchange, hold_all
from fastnn.border import data
from fastnn.checks import check_flag
from fastnn.errors import BusyError, ConfigurationError
from fastnn.graph.drawing import Drawing
from fastnn.graph.graph import Graph, Parameter
from fastnn.graph.symbolic import Maker
from fastnn.layers import Layer
from fastnn.model.parameters import ParameterStore, Place, merged_store, stores_of
from fastnn.model.programs import Programs

if TYPE_CHECKING:
    from fastnn.model.compiled import Compiled
    from fastnn.model.objective import Objective

__all__ = ["Binding", "Network", "check_dtype"]

_Entries: TypeAlias = Sequence[tuple[Maker, str, Parameter]]
_Value: TypeAlias = tuple[object, str, object]  # an attribute of something
_MOVED = object()
_DTYPES: dict[str, np.dtype] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}


def check_dtype(dtype: object) -> np.dtype:
    """Return the NumPy dtype of a model, float32 (also for None) or float64.

    Examples
    --------
    >>> check_dtype("float64")
    dtype('float64')
    """
    if dtype is None:
        return _DTYPES["float32"]
    if type(dtype) is str and dtype in _DTYPES:
        return _DTYPES[dtype]
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except TypeError:
        name = ""
    if name not in _DTYPES:
        raise ConfigurationError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return _DTYPES[name]


@dataclass(frozen=True, eq=False)
class Binding:
    """What a model is at one moment; a change replaces all of it at once.

    So whoever predicts, or looks at weights, meanwhile goes on with what belongs together.

    Attributes
    ----------
    drawing : Drawing or None
        None until the input width is known.
    store : ParameterStore
    places : dict of str to Place
        By the names of the graph's parameters.
    compiled : Compiled or None
    objective : Objective or None
        Of a model that is compiled and built.
    programs : Programs or None
        Of a model that is built.
    """

    drawing: Drawing | None
    store: ParameterStore
    places: Mapping[str, Place]
    compiled: Compiled | None = None
    objective: Objective | None = None
    programs: Programs | None = None

    def need_drawing(self) -> Drawing:
        """Return the drawing of a model that is built."""
        if self.drawing is None:
            raise ConfigurationError(
                "the model's input width is not known yet; begin with fastnn.Input((features,)), "
                "or call fit, or build((None, features))"
            )
        return self.drawing

    @property
    def graph(self) -> Graph:
        """The frozen graph that plans are compiled from."""
        return self.need_drawing().graph

    def need_compiled(self) -> Compiled:
        """Return what `compile` made."""
        if self.compiled is None:
            raise ConfigurationError("the model is not compiled; call model.compile(optimizer, loss) first")
        return self.compiled

    def need_objective(self) -> Objective:
        """Return the objective of a model that is compiled and built."""
        self.need_compiled()
        assert self.objective is not None
        return self.objective

    def need_programs(self) -> Programs:
        """Return the programs of a model that is built."""
        self.need_drawing()
        assert self.programs is not None
        return self.programs

    @classmethod
    def of(
        cls,
        drawing: Drawing,
        store: ParameterStore,
        places: Mapping[str, Place],
        compiled: Compiled | None,
        objective: Objective | None,
    ) -> Binding:
        """Return a binding with programs of its own, none of them compiled yet."""
        programs = Programs(drawing.graph, places, store.parameters, store.dtype, objective, compiled)
        return cls(drawing, store, places, compiled, objective, programs)

    def with_programs(self) -> Binding:
        """Return the same with programs of its own, none of them compiled yet."""
        return self.of(self.need_drawing(), self.store, self.places, self.compiled, self.objective)

    def weights(self) -> dict[str, Place]:
        """Return where the parameters are, by their names, in the order of the model's layers."""
        return {
            f"{name}/{role}": place
            for name, layer in self.need_drawing().layers.items()
            for role, place in self.store.places.get(layer, {}).items()
        }

    def view(self, parameter: Parameter, flat: np.ndarray) -> np.ndarray:
        """Return a parameter's part of an array that lies like the store's."""
        return self.places[parameter.name].view(flat)


class _Attempt(NamedTuple):
    """What `Network._bind` is about to do, and what it follows from."""

    drawing: Drawing
    entries: _Entries
    conditions: Sequence[_Value]
    check: Callable[[Binding], Any] | None
    changes: Sequence[_Value]


class Network:
    """Layers, graph and parameters; the base of `Model`.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the parameters.
    seed : int
        That initial values are drawn from.
    name : str
    """

    dtype: np.dtype
    seed: int
    name: str
    _now: Binding
    _draws_values = True  # else new parameters are 0: of a model that is being loaded

    def _exclusively(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return ``function(*arguments)``, called while no other thread trains or rebuilds the model."""

        def call() -> Any:
            return function(*arguments) if self._now.store is store else _MOVED

        found = _MOVED
        while found is _MOVED:  # the model may move to another store just before it is taken
            store = self._now.store
            found = store.exclusion.hold(call)
        return found

    # -- structure

    @property
    def layers(self) -> list[Layer | Any]:
        """The model's layers, and models used as layers, in Keras's order but without its input layers.

        In a graph the layer farthest from the outputs comes first, counted along the longest way; of
        layers equally far the one that is met first on the way back from the outputs, in their order.  The
        order in which a graph was drawn does not matter.
        """
        drawing = self._now.drawing
        if drawing is None:
            return []
        inputs = {tensor.name for tensor in drawing.graph.inputs}
        return [member for name, member in drawing.members.items() if name not in inputs]

    @property
    def graph(self) -> Graph:
        """The frozen graph that plans are compiled from."""
        return self._now.graph

    @property
    def built(self) -> bool:
        """Whether the model has its parameters."""
        return self._now.drawing is not None

    @property
    def trainable(self) -> bool:
        """Whether training changes all layers; setting it sets every layer's, from the next `compile` on."""
        return all(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = check_flag(value, "trainable")
        for layer in self.layers:
            layer.trainable = value

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in their order: the keys of `x` as a dict."""
        return [tensor.label for tensor in self.graph.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in their order: the keys of `y` as a dict."""
        return [tensor.label for tensor in self.graph.outputs]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer | Any:
        """Return a layer by its name or its index.

        Parameters
        ----------
        name : str, optional
        index : int, optional

        Returns
        -------
        Layer, or the model that is used as one

        Raises
        ------
        ConfigurationError
            If there is no such layer.
        """
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ConfigurationError(f"no layer {index}; there are {len(layers)}")
            return layers[index]
        drawing = self._now.drawing
        members = drawing.members if drawing is not None else {}
        for layer in layers:  # what this graph calls them: a shared one may have another name elsewhere
            if members.get(name or "") is layer:
                return layer
        for layer in layers:
            if layer.name == name:
                return layer
        raise ConfigurationError(f"no layer is named {name!r}; there are {[la.name for la in layers]}")

    def count_params(self) -> int:
        """Return the number of elements of all parameters, those that are not trained included."""
        return sum(place.size for place in self._now.weights().values())

    def _bind(
        self,
        drawing: Drawing,
        check: Callable[[Binding], Any] | None = None,
        changes: Sequence[_Value] = (),
    ) -> Any:
        """Make a drawing what the model is: all at once, or, if something raises, not at all.

        Parameters
        ----------
        drawing : Drawing
            Its parameters get a place; those that are new draw initial values, and if layers belong to
            other models, those move along.
        check : callable, optional
            Looks at the binding before that.
        changes : sequence of (object, str, object)
            Further attributes to assign.

        Returns
        -------
        (Binding, object)
            The model's new binding, and what `check` returned.

        Raises
        ------
        BusyError
            If a model that would have to move is being trained.
        """
        entries = _entries(drawing)
        done: tuple[Binding, Any] | None = None
        while done is None:  # another thread may have changed what this follows from: then anew
            seen = [(layer, "_store", layer._store) for layer in drawing.layers.values()]
            before = stores_of(entries, self.dtype)
            attempt = _Attempt(drawing, entries, [(self, "_now", self._now), *seen], check, changes)
            if len(before) == 1 and all(before[0].holds(la, role, p.shape) for la, role, p in entries):
                done = self._try_to_bind(attempt, before[0], ())
            else:
                done = hold_all(
                    [store.exclusion for store in before], partial(self._bind_anew, attempt, before)
                )
        if done[0].compiled is not None:
            done[0].compiled.judge(done[0].graph, done[0].need_objective())
        return done

    def _bind_anew(self, attempt: _Attempt, before: Sequence[ParameterStore]) -> tuple[Binding, Any] | None:
        """Bind to a new store, and take along the models over the layers' old ones, which are held."""
        if any(store.exclusion.depth > 1 or store.parameters.is_written for store in before):
            raise BusyError(
                "a model over these layers is being trained; make the new model before or after that"
            )
        seed = self.seed if self._draws_values else None
        store = merged_store(attempt.entries, before, self.dtype, seed)
        return self._try_to_bind(attempt, store, before)

    def _try_to_bind(
        self, attempt: _Attempt, store: ParameterStore, before: Sequence[ParameterStore]
    ) -> tuple[Binding, Any] | None:
        """Bind to a store and return what `_bind` does, or None if something has changed meanwhile."""
        drawing, now = attempt.drawing, self._now
        conditions = [*attempt.conditions, (store, "models", store.models)]
        conditions += [(old, "models", old.models) for old in before]
        layers = {id(layer): layer for layer in (*store.owners(), *drawing.layers.values())}
        made: list[_Value] = [(layer, "_store", store) for layer in layers.values()]
        made += [
            (member, "name", name)
            for name, member in drawing.members.items()
            if isinstance(member, Layer) and member.name is None
        ]
        places = {p.name: store.places[layer][role] for layer, role, p in attempt.entries}
        objective = now.compiled.objective(drawing.graph) if now.compiled is not None else None
        binding = Binding.of(drawing, store, places, now.compiled, objective)
        made.append((self, "_now", binding))
        if now.compiled is not None and store is not now.store:
            made.append((now.compiled, "state", _moved_state(now, places, store)))
        movers = [model for old in before for model in old.users() if model is not self]
        for model in movers:
            conditions.append((model, "_now", model._now))
            made += model._moves_to(store)
        made.append((store, "models", (*store.with_model(self), *map(weakref.ref, movers))))
        checked = attempt.check(binding) if attempt.check is not None else None
        if not exchange(conditions, [*made, *attempt.changes]):
            return None
        return binding, checked

    def _moves_to(self, store: ParameterStore) -> list[_Value]:
        """Return the assignments that let this model use another store, which has all its parameters."""
        now = self._now
        drawing = now.drawing
        assert drawing is not None
        places = {p.name: store.places[layer][role] for layer, role, p in _entries(drawing)}
        made: list[_Value] = [(layer, "_store", store) for layer in drawing.layers.values()]
        if now.compiled is not None:
            made.append((now.compiled, "state", _moved_state(now, places, store)))
        return [*made, (self, "_now", Binding.of(drawing, store, places, now.compiled, now.objective))]

    def _ready(self, x: object, check: Callable[[Binding], Any]) -> Any:
        """Return the binding and what `check` makes of it, first building the model from the width of `x`.

        If `check` raises, the model is not built.
        """
        now = self._now
        if now.drawing is not None:
            return now, check(now)
        return self._build(data.width_of(x, self.dtype), check)

    def _build(self, columns: int, check: Callable[[Binding], Any] | None = None) -> Any:
        """Build the model for inputs of a width, and return what `_bind` does."""
        raise ConfigurationError("this model cannot be built from a width")

    # -- weights

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all parameters: kernel, bias of the first of `layers`, of the second, ...

        They stand as in Keras 3, so that `set_weights` takes what `get_weights` of the same model in Keras
        returns, and the other way round.  Those of a model used as a layer stand together, in its own
        order; those of a layer that several models have stand once, at the first of them.  Frozen layers,
        and those behind outputs of a nested model that nobody reads, are not left out.

        Returns
        -------
        list of numpy.ndarray

        Raises
        ------
        ConfigurationError
            If the model is not built.

        Examples
        --------
        The sum reads `long` before `short`, and `first` is farther from it than both:

        >>> import fastnn
        >>> x = fastnn.Input((4,))
        >>> short = fastnn.layers.Dense(3, name="short")(x)
        >>> long = fastnn.layers.Dense(3, name="long")(fastnn.layers.Dense(2, name="first")(x))
        >>> model = fastnn.Model(x, long + short)
        >>> [layer.name for layer in model.layers]
        ['first', 'long', 'short', 'add']
        >>> [w.shape for w in model.get_weights()]
        [(4, 2), (2,), (2, 3), (3,), (4, 3), (3,)]
        """
        now = self._now
        array = now.store.array
        return [place.view(array).copy() for place in now.weights().values()]

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Replace all parameters.

        Parameters
        ----------
        weights : sequence of array_like
            In the order and of the shapes of `get_weights`, which are those of Keras 3.

        Raises
        ------
        ShapeError
            If their number or shapes differ.
        DataError
            If a value is not finite.
        BusyError
            If another thread trains the model.
        """
        now = self._now
        now.store.assign(now.weights(), weights)


def _entries(drawing: Drawing) -> _Entries:
    """Return layer, role and description of each parameter."""
    return [(layer, parameter.role, parameter) for layer, parameter in drawing.entries()]


def _moved_state(now: Binding, places: Mapping[str, Place], store: ParameterStore) -> np.ndarray:
    """Return the optimizer's state of a model that goes to another store."""
    compiled = now.need_compiled()
    if compiled.state is None:
        return compiled.new_state(store.size, store.dtype)
    return compiled.moved_state(now.places, now.store.size, places, store.array)
