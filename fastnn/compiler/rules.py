"""The rules of lowering: what each layer becomes, and what leads back through each op.

One forward rule per layer configuration, one backward rule per opcode.  Layers whose file holds their rules
too, such as `layers/_normalization.py`, enter them here.  `lowering.py` walks the graph and calls them.
This file must not know arrays, dtypes or kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from fastnn.compiler.builder import Builder
from fastnn.compiler.plan import Activation, Op, OpCode, Operand
from fastnn.graph.graph import (
    ActivationConfig,
    AffineConfig,
    AlphaDropoutConfig,
    Config,
    DenseConfig,
    DropoutConfig,
    GaussianDropoutConfig,
    GaussianNoiseConfig,
    MaxoutConfig,
    Merge,
    MergeConfig,
    Node,
    SquareConfig,
    SumConfig,
    WeightedSumConfig,
)
from fastnn.ops import ACTIVATIONS

__all__ = ["BACKWARD", "FORWARD"]

_ABREAST = 5  # tensors that one op puts side by side
_SELU_LEAST = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946


# -- forward rules, by the class of a layer's configuration


def _dense(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    config = node.config
    assert isinstance(config, DenseConfig)
    kernel, *bias = (builder.parameter(p) for p in node.parameters)
    steps = [("product", OpCode.DENSE)]
    if bias:
        steps.append(("z", OpCode.ADD_BIAS))
    if isinstance(config, MaxoutConfig):
        steps.append(("pieces", OpCode.MAXOUT))
    if config.activation is not Activation.LINEAR:
        steps.append(("activation", OpCode.ACTIVATION))
    ops: list[Op] = []
    x, width = inputs[0], kernel.columns
    for position, (suffix, code) in enumerate(steps):
        last = position == len(steps) - 1
        if code is OpCode.MAXOUT:
            width = y.columns
        result = y if last else builder.inside(node, suffix, width)
        if code is OpCode.DENSE:
            ops.append(Op(code, node.layer, (result, x, kernel, None)))
        elif code is OpCode.ADD_BIAS:
            ops.append(Op(code, node.layer, (result, x, bias[0])))
        elif code is OpCode.MAXOUT:
            ops.append(Op(code, node.layer, (result, x)))
        else:
            ops.append(Op(code, node.layer, (result, x), config.activation, config.numbers))
        x = result
    return ops


def _activation(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    config = node.config
    assert isinstance(config, ActivationConfig)
    return [Op(OpCode.ACTIVATION, node.layer, (y, *inputs), config.activation, config.numbers)]


def _affine(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    assert isinstance(node.config, AffineConfig)
    return [Op(OpCode.AFFINE, node.layer, (y, *inputs), constants=(node.config.scale, node.config.shift))]


def _square(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    return [Op(OpCode.MULTIPLY, node.layer, (y, inputs[0], inputs[0]))]


def _draw(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    config = node.config
    assert isinstance(
        config, DropoutConfig | GaussianNoiseConfig | GaussianDropoutConfig | AlphaDropoutConfig
    )
    builder.n_draws += 1
    more: tuple[float, ...] = ()
    match config:
        case DropoutConfig():
            code, amount = OpCode.DROPOUT, config.rate
        case GaussianNoiseConfig():
            code, amount = OpCode.GAUSSIAN_NOISE, config.stddev
        case GaussianDropoutConfig():
            code, amount = OpCode.GAUSSIAN_DROPOUT, math.sqrt(config.rate / (1.0 - config.rate))
        case AlphaDropoutConfig():
            rate = config.rate
            scale = ((1.0 - rate) * (1.0 + rate * _SELU_LEAST**2)) ** -0.5
            code, amount, more = OpCode.ALPHA_DROPOUT, rate, (scale, scale * _SELU_LEAST * (1.0 - rate))
    return [Op(code, node.layer, (y, *inputs), constants=(amount, config.draw(builder.n_draws), *more))]


def _row_sum(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    return [Op(OpCode.ROW_SUM, node.layer, (y, *inputs))]


def _weighted_sum(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    ops: list[Op] = []
    total: Operand | None = None
    for position, (x, parameter) in enumerate(zip(inputs, node.parameters, strict=True)):
        last = position == len(inputs) - 1
        result = y if last else builder.inside(node, str(position), y.columns)
        ops.append(Op(OpCode.GATED_ADD, node.layer, (result, x, builder.parameter(parameter), total)))
        total = result
    return ops


def _merge_inputs(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    assert isinstance(node.config, MergeConfig)
    merge = node.config.merge
    if merge is Merge.CONCATENATE:
        return _concatenate(builder, node, inputs, y)
    code = {Merge.MULTIPLY: OpCode.MULTIPLY, Merge.MAXIMUM: OpCode.MAXIMUM, Merge.MINIMUM: OpCode.MAXIMUM}
    ops: list[Op] = []
    total = inputs[0]
    for position, x in enumerate(inputs[1:], 1):
        result = y
        if position < len(inputs) - 1:
            result = builder.inside(node, str(position), y.columns)
        constants: tuple[float, ...]
        match merge:
            case Merge.MULTIPLY:
                constants = ()
            case Merge.MAXIMUM | Merge.MINIMUM:
                constants = (1.0 if merge is Merge.MAXIMUM else -1.0,)
            case Merge.AVERAGE:
                share = 1.0 / len(inputs)
                constants = (share if position == 1 else 1.0, share)
            case _:
                constants = (1.0, -1.0 if merge is Merge.SUBTRACT else 1.0)
        ops.append(Op(code.get(merge, OpCode.ADD), node.layer, (result, total, x), constants=constants))
        total = result
    return ops


def _concatenate(builder: Builder, node: Node, inputs: tuple[Operand, ...], y: Operand) -> list[Op]:
    """Put tensors side by side, `_ABREAST` at a time, until one is left."""
    ops: list[Op] = []
    round_, parts = 0, list(inputs)
    while len(parts) > 1:
        groups = [parts[i : i + _ABREAST] for i in range(0, len(parts), _ABREAST)]
        parts = []
        for number, group in enumerate(groups):
            if len(group) == 1:
                parts.append(group[0])
                continue
            result = y
            if len(groups) > 1:
                width = sum(part.columns for part in group)
                result = builder.inside(node, f"{round_}.{number}", width)
            absent = (None,) * (_ABREAST - len(group))
            ops.append(Op(OpCode.CONCATENATE, node.layer, (result, *group, *absent)))
            parts.append(result)
        round_ += 1
    return ops


FORWARD: dict[type[Config], Callable[[Builder, Node, tuple[Operand, ...], Operand], list[Op]]] = {
    DenseConfig: _dense,
    MaxoutConfig: _dense,
    ActivationConfig: _activation,
    AffineConfig: _affine,
    SquareConfig: _square,
    DropoutConfig: _draw,
    GaussianNoiseConfig: _draw,
    GaussianDropoutConfig: _draw,
    AlphaDropoutConfig: _draw,
    SumConfig: _row_sum,
    MergeConfig: _merge_inputs,
    WeightedSumConfig: _weighted_sum,
}


# -- backward rules, by opcode: given the gradient of an op's output, add to those of its inputs


def _dense_backward(builder: Builder, op: Op, dy: Operand) -> None:
    x, w = op.need("x"), op.need("w")
    builder.add_parameter_gradient(OpCode.WEIGHT_GRADIENT, w, x, dy)
    builder.pass_on(op.layer, x, OpCode.DENSE_BACKWARD, dy, w, None)


def _add_bias_backward(builder: Builder, op: Op, dy: Operand) -> None:
    builder.add_parameter_gradient(OpCode.BIAS_GRADIENT, op.need("b"), dy)
    builder.lend(op.need("x"), dy)


def _activation_backward(builder: Builder, op: Op, dy: Operand) -> None:
    x = op.need("x")
    source = x if ACTIVATIONS[op.activation].from_input else op.need("y")
    builder.pass_on(
        op.layer,
        x,
        OpCode.ACTIVATION_BACKWARD,
        dy,
        source,
        activation=op.activation,
        constants=op.constants,
    )


def _add_backward(builder: Builder, op: Op, dy: Operand) -> None:
    for name, factor in zip(("a", "b"), op.constants, strict=True):
        if factor == 1.0:
            builder.lend(op.need(name), dy)
        else:
            builder.pass_on(op.layer, op.need(name), OpCode.AFFINE, dy, constants=(factor, 0.0))


def _multiply_backward(builder: Builder, op: Op, dy: Operand) -> None:
    a, b = op.need("a"), op.need("b")
    builder.pass_on(op.layer, a, OpCode.MULTIPLY, dy, b)
    builder.pass_on(op.layer, b, OpCode.MULTIPLY, dy, a)


def _maximum_backward(builder: Builder, op: Op, dy: Operand) -> None:
    # Where both are equal the first one has the gradient.
    a, b, sign = op.need("a"), op.need("b"), op.constants[0]
    builder.pass_on(op.layer, a, OpCode.ROUTE, dy, a, b, constants=(sign, 0.0))
    builder.pass_on(op.layer, b, OpCode.ROUTE, dy, b, a, constants=(sign, 1.0))


def _concatenate_backward(builder: Builder, op: Op, dy: Operand) -> None:
    first = 0
    for x in op.inputs():
        builder.pass_on(op.layer, x, OpCode.SLICE, dy, constants=(float(first),))
        first += x.columns


def _affine_backward(builder: Builder, op: Op, dy: Operand) -> None:
    if op.constants[0] == 1.0:
        builder.lend(op.need("x"), dy)
    else:
        builder.pass_on(op.layer, op.need("x"), OpCode.AFFINE, dy, constants=(op.constants[0], 0.0))


def _dropout_backward(builder: Builder, op: Op, dy: Operand) -> None:
    builder.pass_on(op.layer, op.need("x"), op.code, dy, constants=op.constants)  # the same numbers


def _alpha_dropout_backward(builder: Builder, op: Op, dy: Operand) -> None:
    constants = (*op.constants[:3], 0.0)  # what was dropped, and the shift, do not depend on x
    builder.pass_on(op.layer, op.need("x"), OpCode.ALPHA_DROPOUT, dy, constants=constants)


def _noise_backward(builder: Builder, op: Op, dy: Operand) -> None:
    builder.lend(op.need("x"), dy)


def _gated_add_backward(builder: Builder, op: Op, dy: Operand) -> None:
    x, w, a = op.need("x"), op.need("w"), op.operand("a")
    builder.add_parameter_gradient(OpCode.GATE_GRADIENT, w, x, dy, w)
    builder.pass_on(op.layer, x, OpCode.GATED_ADD, dy, w, None)
    if a is not None:
        builder.lend(a, dy)


def _row_sum_backward(builder: Builder, op: Op, dy: Operand) -> None:
    builder.pass_on(op.layer, op.need("x"), OpCode.BROADCAST, dy)


def _maxout_backward(builder: Builder, op: Op, dy: Operand) -> None:
    builder.pass_on(op.layer, op.need("x"), OpCode.MAXOUT_BACKWARD, dy, op.need("x"))


BACKWARD: dict[OpCode, Callable[[Builder, Op, Operand], None]] = {
    OpCode.DENSE: _dense_backward,
    OpCode.ADD_BIAS: _add_bias_backward,
    OpCode.ACTIVATION: _activation_backward,
    OpCode.ADD: _add_backward,
    OpCode.MULTIPLY: _multiply_backward,
    OpCode.MAXIMUM: _maximum_backward,
    OpCode.CONCATENATE: _concatenate_backward,
    OpCode.AFFINE: _affine_backward,
    OpCode.DROPOUT: _dropout_backward,
    OpCode.GAUSSIAN_DROPOUT: _dropout_backward,
    OpCode.ALPHA_DROPOUT: _alpha_dropout_backward,
    OpCode.GAUSSIAN_NOISE: _noise_backward,
    OpCode.ROW_SUM: _row_sum_backward,
    OpCode.GATED_ADD: _gated_add_backward,
    OpCode.MAXOUT: _maxout_backward,
}
