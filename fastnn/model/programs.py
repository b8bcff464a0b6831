"""The programs of a model: plans compiled for its purposes when they are first needed, and kept.

A program runs once at a time.  Where it is busy, in another thread or under a signal handler, a second one
of the same plan is made, so nobody waits, and nothing must be unlocked.  This file must not know data.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._core.guards import Parameters, load
from fastnn.compiler.memory import Layout
from fastnn.compiler.plan import UPDATING, Plan
from fastnn.compiler.shared_plans import shared_plan
from fastnn.errors import BusyError, ConfigurationError
from fastnn.graph.graph import Graph
from fastnn.model.objective import Objective
from fastnn.model.optimizer_state import OptimizerState
from fastnn.run.program import FewRows, Program, Result
from fastnn.run.runtime import simd_level

if TYPE_CHECKING:
    from fastnn.model.parameters import Place
    from fastnn.run.reference import ReferenceProgram

__all__ = ["Key", "Programs", "capacity_for"]

_KEPT_PLANS = 16
_COARSE = 1024  # rows up to which a plan may have room for twice as many; of more, for an eighth more
_KEPT_PROGRAMS = 4


def capacity_for(rows: int) -> int:
    """Return for how many rows the plan of a single batch is compiled: at least so many.

    Batches of many lengths share few plans.  It depends on the rows alone, and so do results.

    Examples
    --------
    >>> [capacity_for(rows) for rows in (1, 20, 32, 33, 1500)]
    [1, 32, 32, 64, 1536]
    """
    step = 1 << (rows - 1).bit_length()  # the next power of two
    if rows > _COARSE:
        step //= 16
    return -(-rows // step) * step


class Key(NamedTuple):
    """What a plan is compiled for.

    Attributes
    ----------
    purpose : str
        One of `fastnn.compiler.plan.PURPOSES`.
    capacity : int
        The most rows of a step; 0 for any number.
    gather : bool
        Whether rows are picked by a permutation.
    weighted : bool
        Whether there are sample weights.
    wrt : tuple of str
        Tensors whose gradients are wanted; parameters that are updated, if not all.
    """

    purpose: str
    capacity: int = 0
    gather: bool = False
    weighted: bool = False
    wrt: tuple[str, ...] = ()


@dataclass
class _Kept:
    plan: Plan
    programs: list[Program | ReferenceProgram] = field(default_factory=list)


class Programs:
    """The programs of a graph with its parameters and its objective.

    Parameters
    ----------
    graph : Graph
    places : mapping of str to Place
        Where the parameters are in their array.
    parameters : Parameters
    dtype : numpy.dtype
    objective : Objective or None
    optimizer : OptimizerState or None

    Attributes
    ----------
    few_rows : FewRows or None
        The short way of the program for predictions, once that was used.
    """

    def __init__(
        self,
        graph: Graph,
        places: Mapping[str, Place],
        parameters: Parameters,
        dtype: np.dtype,
        objective: Objective | None,
        optimizer: OptimizerState | None,
    ) -> None:
        self._graph, self._places, self._parameters, self._dtype = graph, places, parameters, dtype
        self._objective, self._optimizer = objective, optimizer
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self.few_rows: FewRows | None = None

    def plan(self, key: Key) -> Plan:
        """Compile a plan.

        Raises
        ------
        ConfigurationError
            If its purpose needs a loss, and the model is not compiled.
        """
        objective, description = None, None
        if key.purpose in ("train", "gradients", "evaluate", "update"):
            if self._objective is None or self._optimizer is None:
                raise ConfigurationError(
                    "the model is not compiled; call model.compile(optimizer, loss) first"
                )
            if key.purpose in ("train", "gradients") and not self._objective.has_loss:
                raise ConfigurationError(
                    f"the model has no loss, which {key.purpose!r} needs; compile it with one"
                )
            objective = self._objective if key.purpose != "update" else None
            description = self._optimizer.rule if key.purpose in UPDATING else None
        return shared_plan(
            self._graph,
            key.purpose,
            Layout({name: place.offset for name, place in self._places.items()}, self._parameters.array.size),
            capacity=key.capacity,
            losses=objective.planned if objective is not None else (),
            metrics=objective.metrics if objective is not None else (),
            weighted_metrics=objective.weighted_metrics if objective is not None else (),
            shares=objective.shares if objective is not None else (),
            optimizer=description,
            wrt=key.wrt,
            gather=key.gather,
            weighted=key.weighted,
            simd=simd_level(),
            itemsize=self._dtype.itemsize,
        )

    def program(self, key: Key) -> Program | ReferenceProgram:
        """Return the first program of a plan, made at its first use; the latest few are kept."""
        kept = self._kept_of(key)
        if not kept.programs:
            kept.programs.append(self._new_program(kept, key))
        return kept.programs[0]

    def run(
        self, key: Key, externals: Mapping[str, np.ndarray], rows: int, **options: Any
    ) -> tuple[Plan, Result]:
        """Run a program that changes no parameters on one batch of all rows, or as `options` say.

        Parameters
        ----------
        key : Key
        externals : mapping of str to numpy.ndarray
        rows : int
        **options
            As for `Program.run`.
        """
        kept = self._kept_of(key)
        batch = options.pop("batch", rows)
        for program in list(kept.programs):
            with contextlib.suppress(BusyError):
                return kept.plan, program.run(externals, rows, batch, **options)
        program = self._new_program(kept, key)
        result = program.run(externals, rows, batch, **options)
        # Only now, so that no other thread can be quicker.
        if len(kept.programs) < _KEPT_PROGRAMS:
            kept.programs.append(program)
        if key == _PREDICT and isinstance(program, Program):
            self.few_rows = program.few_rows
        return kept.plan, result

    def _kept_of(self, key: Key) -> _Kept:
        kept = self._kept.get(key)
        if kept is None:
            # Threads that come at once may each compile the plan; one of them is kept.
            kept = self._kept.setdefault(key, _Kept(self.plan(key)))
            while len(self._kept) > _KEPT_PLANS:
                with contextlib.suppress(KeyError):
                    self._kept.popitem(last=False)
        else:
            with contextlib.suppress(KeyError):  # another thread took it out
                self._kept.move_to_end(key)
        return kept

    def _new_program(self, kept: _Kept, key: Key) -> Program | ReferenceProgram:
        """Return one more program of a plan."""
        optimizer = self._optimizer
        make: type[Program] | type[ReferenceProgram] = Program
        if optimizer is not None and optimizer.reference:
            make = load("fastnn.run.reference").ReferenceProgram
        state = optimizer.state if optimizer is not None and key.purpose in UPDATING else None
        return make(kept.plan, self._dtype, self._parameters, None, state)


_PREDICT = Key("predict")
