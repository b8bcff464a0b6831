"""What a model is made of: its graph, its parameters, and what it was compiled with; all change at once.

A model has a `Binder`, which has the `Structure` that holds now.  This file must not know losses or plans.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from fastnn._core.guards import exchange, hold_all
from fastnn.border import data
from fastnn.errors import BusyError, ConfigurationError, NotBuiltError
from fastnn.graph.drawing import Drawing
from fastnn.graph.graph import Graph, Parameter
from fastnn.graph.nests import packed
from fastnn.graph.symbolic import Maker, SymbolicTensor
from fastnn.layers import Layer
from fastnn.model.parameters import ParameterStore, Place, merged_store, stores_of
from fastnn.model.programs import Programs

if TYPE_CHECKING:
    from fastnn.model.objective import Objective
    from fastnn.model.optimizer_state import OptimizerState

__all__ = ["Binder", "Structure", "Structured", "check_dtype"]

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
class Structure:
    """What a model is at one moment; a change replaces all of it at once.

    So whoever predicts, or looks at weights, meanwhile goes on with what belongs together.

    Attributes
    ----------
    drawing : Drawing or None
        None until the input width is known.
    store : ParameterStore
    places : dict of str to Place
        By the names of the graph's parameters.
    optimizer : OptimizerState or None
    objective : Objective or None
        Of a model that is compiled and built.
    programs : Programs or None
        Of a model that is built.  Pickles leave them out: they are compiled anew.
    """

    drawing: Drawing | None
    store: ParameterStore
    places: Mapping[str, Place]
    optimizer: OptimizerState | None = None
    objective: Objective | None = None
    programs: Programs | None = None

    def need_drawing(self) -> Drawing:
        """Return the drawing of a model that is built."""
        if self.drawing is None:
            raise NotBuiltError(
                "the model's input width is not known yet; begin with fastnn.Input((features,)), "
                "or call fit, or build((None, features))"
            )
        return self.drawing

    @property
    def graph(self) -> Graph:
        """The frozen graph that plans are compiled from."""
        return self.need_drawing().graph

    @property
    def nests(self) -> tuple[Any, Any]:
        """How inputs and outputs are nested, see `Drawing`."""
        return self.need_drawing().nests

    def need_optimizer(self) -> OptimizerState:
        """Return what `compile` made."""
        if self.optimizer is None:
            raise ConfigurationError("the model is not compiled; call model.compile(optimizer, loss) first")
        return self.optimizer

    def need_loss(self) -> OptimizerState:
        """Return what `compile` made, if that was given a loss."""
        optimizer = self.need_optimizer()
        if not optimizer.has_loss:
            raise ConfigurationError(
                "the model has no loss; compile it with one, model.compile(optimizer, loss='mse'), or make "
                "steps by apply_gradients"
            )
        return optimizer

    def need_objective(self) -> Objective:
        """Return the objective of a model that is compiled and built."""
        self.need_optimizer()
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
        optimizer: OptimizerState | None,
        objective: Objective | None,
    ) -> Structure:
        """Return a binding with programs of its own, none of them compiled yet."""
        programs = Programs(drawing.graph, places, store.parameters, store.dtype, objective, optimizer)
        return cls(drawing, store, places, optimizer, objective, programs)

    def with_programs(self) -> Structure:
        """Return the same with programs of its own, none of them compiled yet."""
        return self.of(self.need_drawing(), self.store, self.places, self.optimizer, self.objective)

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
    """What `Binder.bind` is about to do, and what it follows from."""

    drawing: Drawing
    entries: _Entries
    conditions: Sequence[_Value]
    check: Callable[[Structure], Any] | None
    changes: Sequence[_Value]
    seed: int


class Binder:
    """Holds a model's structure, and changes it: all at once, or, if something raises, not at all.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the parameters.

    Attributes
    ----------
    now : Structure
    initializes : bool
        Whether new parameters get initial values; else they are 0, of a model that is being loaded.
    """

    def __init__(self, dtype: np.dtype) -> None:
        self.now = Structure(None, ParameterStore(dtype), {})
        self.initializes = True

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"now": replace(self.now, programs=None)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.now.drawing is not None:
            self.now = self.now.with_programs()
        store = self.now.store
        store.models = store.with_model(self)

    def exclusively(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return ``function(*arguments)``, called while no other thread trains or rebuilds the model."""

        def call() -> Any:
            return function(*arguments) if self.now.store is store else _MOVED

        found = _MOVED
        while found is _MOVED:  # the model may move to another store just before it is taken
            store = self.now.store
            found = store.exclusion.hold(call)
        return found

    def bind(
        self,
        drawing: Drawing,
        seed: int,
        check: Callable[[Structure], Any] | None = None,
        changes: Sequence[_Value] = (),
    ) -> Any:
        """Make a drawing what the model is: all at once, or, if something raises, not at all.

        Parameters
        ----------
        drawing : Drawing
            Its parameters get a place; those that are new draw initial values, and if layers belong to
            other models, those move along.
        seed : int
            That initial values are drawn from.
        check : callable, optional
            Looks at the structure before that.
        changes : sequence of (object, str, object)
            Further attributes to assign.

        Returns
        -------
        (Structure, object)
            The model's new structure, and what `check` returned.

        Raises
        ------
        BusyError
            If a model that would have to move is being trained.
        """
        entries = _entries(drawing)
        done: tuple[Structure, Any] | None = None
        while done is None:  # another thread may have changed what this follows from: then anew
            seen = [(layer, "_store", layer._store) for layer in drawing.layers.values()]
            before = stores_of(entries, self.now.store.dtype)
            attempt = _Attempt(drawing, entries, [(self, "now", self.now), *seen], check, changes, seed)
            if len(before) == 1 and all(before[0].holds(la, role, p.shape) for la, role, p in entries):
                done = self._try_to_bind(attempt, before[0], ())
            else:
                done = hold_all(
                    [store.exclusion for store in before], partial(self._bind_anew, attempt, before)
                )
        if done[0].optimizer is not None:
            done[0].optimizer.judge(done[0].graph, done[0].need_objective())
        return done

    def _bind_anew(self, attempt: _Attempt, before: Sequence[ParameterStore]) -> tuple[Structure, Any] | None:
        """Bind to a new store, and take along the models over the layers' old ones, which are held."""
        if any(store.exclusion.depth > 1 or store.parameters.is_written for store in before):
            raise BusyError(
                "a model over these layers is being trained; make the new model before or after that"
            )
        seed = attempt.seed if self.initializes else None
        store = merged_store(attempt.entries, before, self.now.store.dtype, seed)
        return self._try_to_bind(attempt, store, before)

    def _try_to_bind(
        self, attempt: _Attempt, store: ParameterStore, before: Sequence[ParameterStore]
    ) -> tuple[Structure, Any] | None:
        """Bind to a store and return what `bind` does, or None if something has changed meanwhile."""
        drawing, now = attempt.drawing, self.now
        conditions = [*attempt.conditions, (store, "models", store.models)]
        conditions += [(old, "models", old.models) for old in before]
        layers = {id(layer): layer for layer in (*store.owners(), *drawing.layers.values())}
        made: list[_Value] = [(layer, "_store", store) for layer in layers.values()]
        made += [
            (member, "name", name)
            for name, member in drawing.members.items()
            if isinstance(member, Layer) and member.name is None
        ]
        places = _places(attempt.entries, store)
        objective = now.optimizer.objective(drawing.graph) if now.optimizer is not None else None
        structure = Structure.of(drawing, store, places, now.optimizer, objective)
        made.append((self, "now", structure))
        if now.optimizer is not None and store is not now.store:
            made.append((now.optimizer, "state", _moved_state(now, places, store)))
        movers = [model for old in before for model in old.users() if model is not self]
        for model in movers:
            conditions.append((model, "now", model.now))
            made += model.moves_to(store)
        made.append((store, "models", (*store.with_model(self), *map(weakref.ref, movers))))
        checked = attempt.check(structure) if attempt.check is not None else None
        if not exchange(conditions, [*made, *attempt.changes]):
            return None
        return structure, checked

    def moves_to(self, store: ParameterStore) -> list[_Value]:
        """Return the assignments that let this model use another store, which has all its parameters."""
        now = self.now
        drawing = now.drawing
        assert drawing is not None
        places = _places(_entries(drawing), store)
        made: list[_Value] = [(layer, "_store", store) for layer in drawing.layers.values()]
        if now.optimizer is not None:
            made.append((now.optimizer, "state", _moved_state(now, places, store)))
        return [*made, (self, "now", Structure.of(drawing, store, places, now.optimizer, now.objective))]

    def compile(self, optimizer: OptimizerState) -> Structure:
        """Let a new optimizer train the model, as its layers' flags are now; see `exclusively`."""
        if self.now.store.exclusion.depth > 1:
            raise BusyError(
                "a model cannot be compiled in the midst of its training; do it before or after fit"
            )
        done = False
        while not done:  # another thread may build the model meanwhile
            before = self.now
            if before.drawing is None:
                now = replace(before, optimizer=optimizer)
            else:
                drawing = before.drawing.with_flags()
                optimizer.state = optimizer.new_state(before.store.size, before.store.dtype)
                objective = optimizer.objective(drawing.graph)
                now = Structure.of(drawing, before.store, before.places, optimizer, objective)
            done = exchange([(self, "now", before)], [(self, "now", now)])
        return now


class Structured:
    """What has a structure: a model, for those of its parts that add methods.

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
    _binder: Binder
    _ends: tuple[list[SymbolicTensor], list[SymbolicTensor]]  # inputs and outputs, as they were drawn

    @property
    def _now(self) -> Structure:
        return self._binder.now

    def _nests(self) -> tuple[Any, Any]:
        drawing = self._now.drawing
        return (None, None) if drawing is None else drawing.nests

    def _keyed(self, found: Any) -> Any:
        """Return outputs, one array or a list of them, as the model's outputs are nested."""
        nest = self._nests()[1]
        return found if nest is None else packed(nest, found if isinstance(found, list) else [found])

    def _ready(self, x: object, check: Callable[[Structure], Any]) -> Any:
        """Return the structure and what `check` makes of it, first building the model from the width of `x`.

        If `check` raises, the model is not built.
        """
        now = self._now
        if now.drawing is not None:
            return now, check(now)
        return self._build(data.width_of(x, self.dtype), check)

    def _build(self, columns: int, check: Callable[[Structure], Any] | None = None) -> Any:
        """Build the model for inputs of a width, and return what `Binder.bind` does."""
        raise ConfigurationError("this model cannot be built from a width")


def _entries(drawing: Drawing) -> _Entries:
    """Return layer, role and description of each parameter."""
    return [(layer, parameter.role, parameter) for layer, parameter in drawing.entries()]


def _places(entries: _Entries, store: ParameterStore) -> dict[str, Place]:
    """Return where a store has parameters, by their names."""
    return {parameter.name: store.places[layer][role] for layer, role, parameter in entries}


def _moved_state(now: Structure, places: Mapping[str, Place], store: ParameterStore) -> np.ndarray:
    """Return the optimizer's state of a model that goes to another store."""
    optimizer = now.need_optimizer()
    if optimizer.state is None:
        return optimizer.new_state(store.size, store.dtype)
    return optimizer.moved_state(now.places, now.store.size, places, store.array)
