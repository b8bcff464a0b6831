"""What a model computes, written out: the ops of its prediction, in order, and the numbers they use.

The ops are those of the plan that `predict` runs, so that whatever lowering knows can be exported.
This file must not know formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.pipeline import compile_plan
from fastnn.compiler.plan import External, Op, Operand, Slot
from fastnn.errors import ConfigurationError
from fastnn.graph.graph import array_name
from fastnn.model.model import Model

__all__ = ["Forward", "forward_of", "parameter", "unsupported"]


@dataclass(frozen=True)
class Forward:
    """The prediction of a model.

    Attributes
    ----------
    inputs, outputs : tuple of (str, External)
        Names as users know them, and the arrays of the plan.
    ops : tuple of Op
        Each reads what earlier ones wrote; operands are known by their names.
    parameters : dict of str to ndarray
        By the names of operands; matrices, a bias is one row.
    dtype : numpy.dtype
    """

    inputs: tuple[tuple[str, External], ...]
    outputs: tuple[tuple[str, External], ...]
    ops: tuple[Op, ...]
    parameters: dict[str, NDArray[Any]]
    dtype: np.dtype[Any]


def forward_of(model: Any) -> Forward:
    """Return what `model.predict` computes.

    Parameters
    ----------
    model : Model

    Returns
    -------
    Forward

    Raises
    ------
    ConfigurationError
        If it is not a model of fastnn, or its input width is not known yet.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3, "relu")], seed=0)
    >>> [op.code.name for op in forward_of(model).ops], forward_of(model).parameters["dense/kernel"].shape
    (['DENSE'], (2, 3))
    """
    if not isinstance(model, Model):
        raise ConfigurationError(
            f"expected a model of fastnn, got {type(model).__name__}; give a fastnn.Sequential, a "
            "fastnn.Model or a fitted estimator"
        )
    graph = model.graph
    plan = compile_plan(graph, "predict")
    values = zip(model._now.weights(), model.get_weights(), strict=True)
    parameters = {name: value.reshape(-1, value.shape[-1]) for name, value in values}
    given = [external for external in plan.externals if not external.written]
    written = [external for external in plan.externals if external.written]
    by_name = {external.name: external for external in given}
    keys = [(tensor.title, array_name("x", tensor, graph.inputs)) for tensor in graph.inputs]
    return Forward(
        tuple((title, by_name[key]) for title, key in keys if key in by_name),  # what is read
        tuple((tensor.title, external) for tensor, external in zip(graph.outputs, written, strict=True)),
        plan.ops,
        parameters,
        np.dtype(model.dtype),
    )


def parameter(operand: Operand) -> bool:
    """Return whether an operand is a parameter of the model, not a tensor of the batch.

    Examples
    --------
    >>> parameter(Operand("dense/kernel", Slot.PARAMETERS, 2, 3))
    True
    """
    return operand.slot == Slot.PARAMETERS


def unsupported(op: Op, where: str) -> ConfigurationError:
    """Return the error that says which op of which layer has no counterpart.

    Examples
    --------
    >>> from fastnn.compiler.plan import OpCode
    >>> str(unsupported(Op(OpCode.GATHER, "dense", ()), "ONNX"))
    "layer 'dense' needs GATHER, which ONNX does not have here; leave the layer out, or report it"
    """
    return ConfigurationError(
        f"layer {op.layer!r} needs {op.code.name}, which {where} does not have here; leave the layer "
        "out, or report it"
    )
