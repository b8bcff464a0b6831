"""What a model runs on: the programs compiled for its purposes, and what `compile` froze.

Between `network.py` (layers, graph, parameters) and `gradients.py` (forward and backward).  This
file must not know data.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from fastnn import optimizers
from fastnn.checks import check_count
from fastnn.compiled import Compiled
from fastnn.compiler import compile_plan
from fastnn.errors import ConfigurationError, unknown_name
from fastnn.network import Network
from fastnn.plan import PURPOSES, Plan
from fastnn.program import Program, aligned_array
from fastnn.runtime import simd_level
from fastnn.symbolic import SymbolicTensor, ancestry

if TYPE_CHECKING:
    from fastnn.reference import ReferenceProgram

__all__ = ["Engine"]

_CACHED_PROGRAMS = 8


class Engine(Network):
    """A network with its programs; the base of `Model`."""

    _compiled: Compiled | None
    _programs: OrderedDict[tuple[Any, ...], Program | ReferenceProgram]
    _ends: tuple[list[SymbolicTensor], list[SymbolicTensor]]  # inputs and outputs, as they were drawn

    def _make_locks(self) -> None:
        self._running = threading.RLock()  # held while a program runs that does not change weights
        self._programs_lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles keep: everything but programs and locks, which are made anew."""
        tensors = [] if self._drawing is None else self._drawing.order
        # First of all the tensors, each after what it is made of, so that no pickle is as deep as the graph.
        kept = {"_ancestry": ancestry([*self._ends[0], *self._ends[1]]), **self.__dict__}
        kept["_latest"] = [t for t in tensors if t.layer is not None and t.layer.output is t]
        for name in ("_programs", "_running", "_programs_lock"):
            del kept[name]
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        latest = state.pop("_latest")
        del state["_ancestry"]
        self.__dict__.update(state)
        for tensor in (*latest, *(reversed(self._drawing.order) if self._drawing is not None else ())):
            if tensor.layer is not None and tensor.layer.output is None:
                tensor.layer.output = tensor
        self._programs = OrderedDict()
        self._make_locks()
        self._store.models.add(self)

    def __copy__(self) -> Engine:
        # Two models on one set of parameters would train each other.
        return copy.deepcopy(self)

    # -- compiling

    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "rmsprop",
        loss: object = None,
        metrics: object = None,
        loss_weights: object = None,
        *,
        reference: bool = False,
    ) -> None:
        """Say how the model is trained.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str or Loss
            One for all outputs, or a list or dict with one for each.
        metrics : list of str or Metric, optional
            With several outputs a list with an entry, or list, for each, or a dict.
        loss_weights : list or dict of float, optional
            With several outputs, the factor of each loss in their sum; default 1.
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
        with self._exclusive():
            compiled = Compiled(optimizers.get(optimizer), loss, loss_weights, metrics, reference)
            if self._drawing is not None:
                drawing = self._drawing.with_flags()
                compiled.attach(drawing.graph, self._store.array.size, self.dtype)
                self._drawing = drawing
            self._compiled = compiled
            self._programs.clear()

    @property
    def optimizer(self) -> Compiled:
        """What `compile` made: `learning_rate`, which may be set, and `iterations`."""
        return self._need_compiled()

    def _need_compiled(self) -> Compiled:
        if self._compiled is None:
            raise ConfigurationError("the model is not compiled; call model.compile(optimizer, loss) first")
        if not self._compiled.attached and self._drawing is not None:
            self._compiled.attach(self.graph, self._store.array.size, self.dtype)
        return self._compiled

    # -- programs

    def _compile_plan(
        self,
        purpose: str,
        capacity: int = 0,
        *,
        gather: bool = False,
        weighted: bool = False,
        wrt: tuple[str, ...] = (),
    ) -> Plan:
        compiled = self._need_compiled() if purpose in ("train", "gradients", "evaluate") else None
        return compile_plan(
            self.graph,
            purpose,
            capacity=capacity,
            losses=compiled.losses if compiled is not None else (),
            metrics=compiled.metrics if compiled is not None else (),
            shares=compiled.shares if compiled is not None else (),
            optimizer=compiled.description if compiled is not None and purpose == "train" else None,
            wrt=wrt,
            layout=self._layout,
            gather=gather,
            weighted=weighted,
            simd=simd_level(),
            itemsize=self.dtype.itemsize,
        )

    def _program(
        self,
        purpose: str,
        capacity: int = 0,
        *,
        gather: bool = False,
        weighted: bool = False,
        wrt: tuple[str, ...] = (),
    ) -> Program | ReferenceProgram:
        """Return the program for a purpose, compiled at its first use; the latest few are kept."""
        with self._programs_lock:
            return self._cached_program((purpose, capacity, gather, weighted, wrt))

    def _cached_program(
        self, key: tuple[str, int, bool, bool, tuple[str, ...]]
    ) -> Program | ReferenceProgram:
        purpose, capacity, gather, weighted, wrt = key
        program = self._programs.get(key)
        if program is not None:
            self._programs.move_to_end(key)
            return program
        plan = self._compile_plan(purpose, capacity, gather=gather, weighted=weighted, wrt=wrt)
        compiled = self._compiled
        kind: type[Program] | type[ReferenceProgram] = Program
        if compiled is not None and compiled.reference:
            from fastnn.reference import ReferenceProgram

            kind = ReferenceProgram
        keeps = purpose in ("gradients", "backward")
        gradients = aligned_array(self._parameters.size, self.dtype) if keeps else None
        state = compiled.state if compiled is not None and purpose == "train" else None
        program = kind(plan, self.dtype, self._parameters, gradients, state)
        if gradients is not None:
            program.gradients = gradients  # type: ignore[union-attr]
        self._programs[key] = program
        while len(self._programs) > _CACHED_PROGRAMS:
            self._programs.popitem(last=False)
        return program

    # -- looking inside

    def plan(self, batch_size: int = 32, purpose: str | None = None) -> Plan:
        """Return the compiled list of ops; print it to read it.

        Parameters
        ----------
        batch_size : int
            Rows of a training step.
        purpose : {"train", "gradients", "evaluate", "predict", "input_gradients", "backward"}, optional
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
        stepwise = purpose in ("train", "gradients", "backward")
        return self._compile_plan(purpose, rows if stepwise else 0, gather=purpose == "train")
