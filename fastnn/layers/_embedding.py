"""Embedding: the layer, its configuration, and what it becomes in a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import constraints, initializers, regularizers
from fastnn.checks import check_count, with_arguments_of_keras
from fastnn.compiler.builder import Builder
from fastnn.compiler.plan import Op, OpCode, Operand, Slot
from fastnn.compiler.rules import BACKWARD, FORWARD
from fastnn.described import written
from fastnn.graph.graph import Config, Node, Parameter
from fastnn.initializers import Initializer, RandomUniform
from fastnn.layers._base import Layer
from fastnn.ops import Kind, Numbers
from fastnn.regularizers import Regularizer

__all__ = ["Embedding"]


@dataclass(frozen=True)
class EmbeddingConfig(Config):
    """The fields are the arguments of `Embedding`."""

    input_dim: int
    output_dim: int
    embeddings_initializer: Initializer
    embeddings_regularizer: Regularizer | None
    embeddings_constraint: constraints.Constraint | None = None
    activity_regularizer: Regularizer | None = None

    @property
    def output_penalty(self) -> tuple[float, float]:
        """What its outputs pay, call by call: the factors of their absolute values and of their squares."""
        return (0.0, 0.0) if self.activity_regularizer is None else self.activity_regularizer.factors()

    @property
    def takes(self) -> Kind:
        """Indices of the table's rows."""
        return Kind(Numbers.INDEX, self.input_dim)

    def parameters(self, layer: str, widths: tuple[int, ...], trainable: bool) -> tuple[Parameter, ...]:
        """Return the table, which all columns share."""
        shape = (self.input_dim, self.output_dim)
        how = self.embeddings_initializer, self.embeddings_regularizer, trainable
        return (Parameter(f"{layer}/embeddings", shape, *how, constraint=self.embeddings_constraint),)

    def columns(self, layer: str, widths: tuple[int, ...]) -> int:
        """Return the output's width."""
        return widths[0] * self.output_dim


class Embedding(Layer):
    """A learned vector for each category: rows of a table that integers name.

    An input (rows, columns) of integers becomes (rows, columns * output_dim): the vectors of a row's
    integers one after the other, all columns by the same table.  That is `Embedding` and then `Flatten` of
    Keras, as tensors are (rows, features) here.  For columns with categories of their own, give each an
    `Input` and an `Embedding`, and put what these make side by side with `Concatenate`.

    It stands directly on an `Input`, which then takes whole numbers from 0 to ``input_dim - 1``, of any real
    dtype but bool: all are looked at before anything changes.  Gradients and updates are those of the whole
    table, as in Keras with dense gradients: momentum moves rows that a batch does not name, too.

    Parameters
    ----------
    input_dim : int
        Categories, the rows of the table.
    output_dim : int
        Length of the vectors.
    embeddings_initializer : str or Initializer
        Default uniform in [-0.05, 0.05).
    embeddings_regularizer : str, Regularizer or None
    embeddings_constraint : str, Constraint or None
        Of the whole table.
    activity_regularizer : str, Regularizer or None
        Penalty on the vectors of a batch, divided by its rows, once for each call of the layer.
    name : str, optional
    trainable : bool

    Raises
    ------
    ConfigurationError
        For an impossible size or an unknown name; when it is called on anything but an `Input`.
    DTypeError
        For arguments of the wrong type, and those of Keras that are for sequences.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), Embedding(3, 2)])
    >>> model.set_weights([[[0.0, 0.0], [1.0, 1.5], [2.0, 2.5]]])
    >>> model.predict([[1, 0], [2, 1]])
    array([[1. , 1.5, 0. , 0. ],
           [2. , 2.5, 1. , 1.5]], dtype=float32)
    """

    config: EmbeddingConfig

    @with_arguments_of_keras("Embedding")
    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: str | Initializer = "uniform",
        embeddings_regularizer: str | Regularizer | None = None,
        embeddings_constraint: str | constraints.Constraint | None = None,
        *,
        activity_regularizer: str | Regularizer | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name, trainable)
        self.config = EmbeddingConfig(
            check_count(input_dim, "input_dim"),
            check_count(output_dim, "output_dim"),
            initializers.settled(embeddings_initializer),
            regularizers.get(embeddings_regularizer),
            constraints.get(embeddings_constraint),
            regularizers.of_outputs(activity_regularizer),
        )

    @property
    def input_dim(self) -> int:
        """Categories, the rows of the table."""
        return self.config.input_dim

    @property
    def output_dim(self) -> int:
        """Length of the vectors."""
        return self.config.output_dim

    @property
    def embeddings(self) -> np.ndarray:
        """A copy of the table, (input_dim, output_dim)."""
        return self.get_weights()[0]

    def _arguments(self) -> dict[str, Any]:
        penalty, limit = self.config.embeddings_regularizer, self.config.embeddings_constraint
        paid = self.config.activity_regularizer
        return {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": written(self.config.embeddings_initializer),
            "embeddings_regularizer": None if penalty is None else written(penalty),
            "embeddings_constraint": None if limit is None else written(limit),
            "activity_regularizer": None if paid is None else written(paid),
        }

    def _code(self) -> Iterator[str]:
        yield from (str(self.input_dim), str(self.output_dim))
        if self.config.embeddings_initializer != RandomUniform():
            yield f"embeddings_initializer={self.config.embeddings_initializer!r}"
        if self.config.embeddings_regularizer is not None:
            yield f"embeddings_regularizer={self.config.embeddings_regularizer!r}"
        if self.config.embeddings_constraint is not None:
            yield f"embeddings_constraint={self.config.embeddings_constraint!r}"
        if self.config.activity_regularizer is not None:
            yield f"activity_regularizer={self.config.activity_regularizer!r}"


def _look_up(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    return [Op(OpCode.EMBEDDING, node.layer, (y, inputs[0], builder.parameter(node.parameters[0])))]


def _look_up_backward(builder: Builder, op: Op, dy: Operand) -> None:
    x, w = op.need("x"), op.need("w")
    lost = Operand(f"lost({w.name})+{len(builder.ops)}", Slot.LOCAL, w.rows, w.columns)
    builder.add_parameter_gradient(OpCode.EMBEDDING_GRADIENT, w, lost, x, dy)


FORWARD[EmbeddingConfig] = _look_up
BACKWARD[OpCode.EMBEDDING] = _look_up_backward
