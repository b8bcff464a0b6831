"""What a model runs on: the programs compiled for its purposes, and what `compile` froze.

Between `network.py` (layers, graph, parameters) and `gradients.py` (forward and backward).  This
file must not know data.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from fastnn import optimizers
from fastnn._core.guards import exchange
from fastnn.checks import check_count, with_arguments_of_keras
from fastnn.compiler.plan import PURPOSES, Plan
from fastnn.errors import BusyError, ConfigurationError, unknown_name
from fastnn.graph.symbolic import SymbolicTensor, ancestry
from fastnn.model.compiled import Compiled
from fastnn.model.network import Binding, Network
from fastnn.model.programs import Key

__all__ = ["Engine"]


class Engine(Network):
    """A network with its programs; the base of `Model`."""

    _ends: tuple[list[SymbolicTensor], list[SymbolicTensor]]  # inputs and outputs, as they were drawn

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles keep: everything but programs, which are compiled anew."""
        now = self._now
        tensors = [] if now.drawing is None else now.drawing.order
        # First of all the tensors, each after what it is made of, so that no pickle is as deep as the graph.
        kept = {"_ancestry": ancestry([*self._ends[0], *self._ends[1]]), **self.__dict__}
        kept["_latest"] = [t for t in tensors if t.layer is not None and t.layer.output is t]
        kept["_now"] = replace(now, programs=None)
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        latest = state.pop("_latest")
        del state["_ancestry"]
        self.__dict__.update(state)
        drawing = self._now.drawing
        for tensor in (*latest, *(reversed(drawing.order) if drawing is not None else ())):
            if tensor.layer is not None and tensor.layer.output is None:
                tensor.layer.output = tensor
        if drawing is not None:
            self._now = self._now.with_programs()
        store = self._now.store
        store.models = store.with_model(self)

    def __copy__(self) -> Engine:
        # Two models on one set of parameters would train each other.
        return copy.deepcopy(self)

    # -- compiling

    @with_arguments_of_keras("compile")
    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "rmsprop",
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
        loss : str or Loss
            One for all outputs, or a list or dict with one for each.
        metrics : list of str or Metric, optional
            With several outputs a list with an entry, or list, for each, or a dict.
        loss_weights : list or dict of float, optional
            With several outputs, the factor of each loss in their sum; default 1.
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
        if loss is None:
            raise ConfigurationError("compile needs a loss, for example loss='mse'")
        compiled = Compiled(
            optimizers.get(optimizer), loss, loss_weights, metrics, weighted_metrics, reference
        )
        now = self._exclusively(self._compile, compiled)
        if now.drawing is not None:
            compiled.judge(now.graph, now.need_objective())

    def _compile(self, compiled: Compiled) -> Binding:
        if self._now.store.exclusion.depth > 1:
            raise BusyError(
                "a model cannot be compiled in the midst of its training; do it before or after fit"
            )
        done = False
        while not done:  # another thread may build the model meanwhile
            before = self._now
            if before.drawing is None:
                now = replace(before, compiled=compiled)
            else:
                drawing = before.drawing.with_flags()
                compiled.state = compiled.new_state(before.store.size, self.dtype)
                objective = compiled.objective(drawing.graph)
                now = Binding.of(drawing, before.store, before.places, compiled, objective)
            done = exchange([(self, "_now", before)], [(self, "_now", now)])
        return now

    @property
    def optimizer(self) -> Compiled:
        """What `compile` made: `learning_rate`, which may be set, and `iterations`."""
        return self._now.need_compiled()

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
            purpose = "predict" if self._now.compiled is None else "train"
        if purpose not in PURPOSES:
            raise unknown_name("purpose", purpose, PURPOSES)
        rows = check_count(batch_size, "batch_size")
        stepwise = purpose in ("train", "gradients", "backward")
        key = Key(purpose, rows if stepwise else 0, gather=purpose == "train")
        return self._now.need_programs().plan(key)
