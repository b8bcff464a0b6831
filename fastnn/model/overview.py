"""What a model shows of itself: layers, graph, weights, plans, and pictures of them in text.

This file must not know data or epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._core.guards import load
from fastnn.checks import check_count, check_flag, with_arguments_of_keras
from fastnn.compiler.plan import PURPOSES, STEPWISE, Plan
from fastnn.errors import ConfigurationError, unknown_name
from fastnn.graph.graph import Graph
from fastnn.graph.symbolic import SymbolicTensor
from fastnn.layers import InputLayer, Layer
from fastnn.layers._weight import Weight
from fastnn.model.optimizer_state import OptimizerState
from fastnn.model.programs import Key
from fastnn.model.structure import Structured

if TYPE_CHECKING:
    from fastnn.graph.drawing import Drawing
    from fastnn.model.inspection import Profile

__all__ = ["Overview"]


class Overview(Structured):
    """Layers, weights and plans, to look at and to set; a part of `Model`."""

    @property
    def layers(self) -> list[Layer | Any]:
        """The model's inputs, layers, and models used as layers, in Keras's order.

        An input is an `InputLayer`; chains leave theirs out.  What operators such as ``+`` draw is no layer
        in Keras, and is left out as well.  In a graph the layer farthest from the outputs comes first,
        counted along the longest way; of layers equally far the one that is met first on the way back from
        the outputs, in their order.  The order in which a graph was drawn does not matter.
        """
        drawing = self._now.drawing
        return [] if drawing is None else [layer for _, layer in self._members(drawing)]

    def _members(self, drawing: Drawing) -> Iterator[tuple[str, Any]]:
        """Yield `layers`, each with its name in the graph."""
        for name, member in drawing.members.items():
            if isinstance(member, SymbolicTensor):
                yield name, InputLayer.of(member, name)
            elif not getattr(member, "is_operator", False):
                yield name, member

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
        known = {} if drawing is None else drawing.members
        member = known.get(name or "")
        if isinstance(member, SymbolicTensor):
            member = InputLayer.of(member, name or "")
        if member is not None:
            return member  # what this graph calls so: a shared one may have another name elsewhere
        for layer in layers:
            if layer.name == name:
                return layer
        raise ConfigurationError(f"no layer is named {name!r}; there are {[la.name for la in layers]}")

    def count_params(self) -> int:
        """Return the number of elements of all parameters, those that are not trained included."""
        return sum(place.size for place in self._now.weights().values())

    @property
    def optimizer(self) -> OptimizerState:
        """What `compile` made: `learning_rate`, which may be set, `iterations`, and `apply_gradients`."""
        whole: Any = self
        return self._now.need_optimizer().with_update(whole.apply_gradients)

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
        ['input', 'first', 'long', 'short']
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

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._now.optimizer is not None

    @property
    def metrics_names(self) -> list[str]:
        """What `evaluate` and `train_on_batch` return as a list: the names of its numbers.

        There are none before the model is compiled, and knows its input width.
        """
        now = self._now
        return [] if now.objective is None else now.objective.names(now.graph)

    def reset_metrics(self) -> None:
        """Do nothing, as metrics begin anew at every call; for loops that are written for Keras."""

    @property
    def weights(self) -> list[Weight]:
        """All parameters one by one, in the order of `get_weights`."""
        return [weight for weight, _ in self._weights()]

    @property
    def trainable_weights(self) -> list[Weight]:
        """Those that an optimizer changes, as layers are frozen now."""
        return [weight for weight, trained in self._weights() if trained]

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """Those of frozen layers, and statistics of the data."""
        return [weight for weight, trained in self._weights() if not trained]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def _weights(self) -> list[tuple[Weight, bool]]:
        """Return the parameters, each with whether it is trained; none before the model is built."""
        now = self._now
        if now.drawing is None:
            return []
        statistics = {(id(layer), p.role) for layer, p in now.drawing.entries() if p.statistic}
        return [
            (Weight(layer, role), layer.trainable and (id(layer), role) not in statistics)
            for layer in now.drawing.layers.values()
            for role in now.store.places.get(layer, {})
        ]

    # -- looking inside

    def plan(self, batch_size: int = 32, purpose: str | None = None) -> Plan:
        """Return the compiled list of ops; print it to read it.

        Parameters
        ----------
        batch_size : int
            Rows of a training step.
        purpose : str, optional
            One of "train", "gradients", "evaluate", "predict", "outputs", "training_outputs",
            "input_gradients", "backward" and "update".
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
            purpose = "predict" if self._now.optimizer is None else "train"
        if purpose not in PURPOSES:
            raise unknown_name("purpose", purpose, PURPOSES)
        rows = check_count(batch_size, "batch_size")
        key = Key(purpose, rows if purpose in STEPWISE else 0, gather=purpose == "train")
        return self._now.need_programs().plan(key)

    def profile(self, x: object, y: object, batch_size: int | None = None) -> Profile:
        """Time every op of a training step, on one thread and on copies of the weights.

        Parameters
        ----------
        x, y : array_like
            As for `fit`.
        batch_size : int, optional
            Default 32.

        Returns
        -------
        fastnn.model.inspection.Profile
            Prints as a table.

        Raises
        ------
        ShapeError, DataError, DTypeError, ConfigurationError
            For bad input.
        """
        return load("fastnn.model.inspection").profile(self, x, y, batch_size)

    @with_arguments_of_keras("summary")
    def summary(
        self,
        *,
        print_fn: Callable[[str], Any] | None = None,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print inputs and layers, in the order of `layers`: activations, shapes, parameters, connections.

        Parameters
        ----------
        print_fn : callable, optional
            Called with each line instead of `print`.
        show_trainable : bool
            Whether a column says which layers are trained.
        layer_range : sequence of two str, optional
            Names, or regular expressions, of the first and the last layer to be printed.

        Raises
        ------
        ConfigurationError
            If no layer has such a name.
        """
        show = print if print_fn is None else print_fn
        flags = check_flag(show_trainable, "show_trainable")
        text = load("fastnn.model.summaries").summary(self, flags, layer_range)
        for line in text.splitlines():
            show(line)
