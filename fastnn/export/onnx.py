"""A model as an ONNX graph: what each op of a prediction becomes.

Standard operators are used where onnxruntime has them for both dtypes; other functions are composed of
such ones.  This file must not know layers.

References
----------
ONNX operators, opset 17, https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastnn.compiler.plan import Activation, Op, OpCode, Operand
from fastnn.errors import ConfigurationError
from fastnn.export.forward import Forward, parameter, unsupported
from fastnn.ops import Numbers
from fastnn.run.reference.formulas import GELU, SELU, SELU_BELOW

__all__ = ["ML", "OPSET", "Writer"]

OPSET = 17  # operators of 2022, which all runtimes of today have
ML, ML_OPSET = "ai.onnx.ml", 3  # of the same year; for what reads texts
IR_VERSION = 8  # of the file, as of that opset

_ERFC_TERMS = 32  # of a series that has the precision of float64


class Writer:
    """Collects the nodes and constants of a graph.

    Parameters
    ----------
    forward : Forward
    taken : iterable of str
        Names of further inputs and outputs.
    """

    def __init__(self, forward: Forward, taken: Iterable[str] = ()) -> None:
        self.forward, self.dtype = forward, forward.dtype
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.uses_ml = False  # whether there are operators of ai.onnx.ml
        self._taken = {*taken, *(name for name, _ in (*forward.inputs, *forward.outputs))}
        self._values: dict[str, str] = {}  # of operands, by name: the value that was written last
        self._count = 0

    def model(self) -> Any:
        """Return the `onnx.ModelProto`."""
        from onnx import TensorProto

        kind = self.real
        values, inputs = [], []
        for name, external in self.forward.inputs:
            whole = external.kind.numbers is not Numbers.REAL
            values.append(name)
            inputs.append((name, TensorProto.INT64 if whole else kind, ["rows", external.columns]))
        outputs = [
            (name, value, kind, ["rows", external.columns])
            for (name, external), value in zip(self.forward.outputs, self.predicted(values), strict=True)
        ]
        return self.finish(inputs, outputs)

    def predicted(self, inputs: Sequence[str]) -> list[str]:
        """Append the forward of these values, and return its outputs."""
        for (_, external), value in zip(self.forward.inputs, inputs, strict=True):
            self._values[external.name] = value
        for op in self.forward.ops:
            self._write(op)
        return [self._values[external.name] for _, external in self.forward.outputs]

    def finish(
        self, inputs: Sequence[tuple[str, int, list[Any]]], outputs: Sequence[tuple[str, str, int, list[Any]]]
    ) -> Any:
        """Return the `onnx.ModelProto`.

        Parameters
        ----------
        inputs : sequence of (str, int, list)
            Name, type and shape.
        outputs : sequence of (str, str, int, list)
            Name, value, type and shape.
        """
        import onnx
        from onnx import helper, numpy_helper

        given = [helper.make_tensor_value_info(*one) for one in inputs]
        made = []
        names = {name for name, _, _ in inputs}
        for name, value, kind, shape in outputs:
            shown = name
            while shown in names:
                shown += "_output"
            names.add(shown)
            self.nodes.append(helper.make_node("Identity", [value], [shown]))
            made.append(helper.make_tensor_value_info(shown, kind, shape))
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "fastnn", given, made, constants)
        sets = [helper.make_opsetid("", OPSET)]
        if self.uses_ml:
            sets.append(helper.make_opsetid(ML, ML_OPSET))
        found: Any = helper.make_model(
            graph, opset_imports=sets, ir_version=IR_VERSION, producer_name="fastnn"
        )
        onnx.checker.check_model(found)
        return found

    @property
    def real(self) -> int:
        """The type of the model's dtype."""
        return _float_of(self)

    # -- values

    def node(self, kind: str, *inputs: str | float, **attributes: Any) -> str:
        """Append a node and return its output; numbers become constants."""
        from onnx import helper

        self._count += 1
        result = self._free(f"fastnn/{self._count}")
        self.uses_ml |= attributes.get("domain") == ML
        names = [value if isinstance(value, str) else self.number(value) for value in inputs]
        self.nodes.append(helper.make_node(kind, names, [result], **attributes))
        return result

    def number(self, value: float) -> str:
        """Return a constant of one number."""
        return self.constant(f"number {value!r}", np.array(value, self.dtype))

    def constant(self, name: str, value: np.ndarray) -> str:
        """Return a constant of this name, or one that is free."""
        name = self._free(name)
        self.constants[name] = value
        return name

    def fresh(self, value: np.ndarray) -> str:
        """Return a constant that has no name of its own."""
        return self.constant(f"constant {len(self.constants)}", value)

    def whole(self, *values: int) -> str:
        """Return a constant of whole numbers."""
        return self.constant(f"whole {values!r}", np.array(values, np.int64))

    def value(self, operand: Operand) -> str:
        """Return the name of what an operand holds."""
        if parameter(operand):
            found = self.forward.parameters[operand.name]
            return self.constant(operand.name, np.ascontiguousarray(found, self.dtype))
        return self._values[operand.name]

    def get(self, op: Op, role: str) -> str | None:
        """Return the value of an operand by its role, None where it is absent."""
        operand = op.operand(role)
        return None if operand is None else self.value(operand)

    def need(self, op: Op, role: str) -> str:
        """Return the value of an operand that must be there."""
        return self.value(op.need(role))

    def _write(self, op: Op) -> None:
        rule = _RULES.get(op.code)
        if rule is None:
            raise unsupported(op, "ONNX")
        self._values[op.need("y").name] = rule(self, op)

    def _free(self, name: str) -> str:
        """Return a name that no input or output has."""
        while name in self._taken or name.removesuffix("_output") in self._taken:
            name += "'"
        return name

    def among(self, condition: str, yes: str | float, no: str | float) -> str:
        """Return `yes` where the condition holds, else `no`."""
        return self.node("Where", condition, yes, no)


# -- activations


def _softplus(w: Writer, x: str) -> str:
    small = w.node("Exp", w.node("Neg", w.node("Abs", x)))
    return w.node("Add", w.node("Max", x, 0.0), _log1p(w, small))


def _log1p(w: Writer, x: str) -> str:
    """Return log(1 + x) for x in [0, 1], exact where x is small: log(u) * x / (u - 1) with u = 1 + x rounded.

    Kahan's way, as described by Higham, "Accuracy and Stability of Numerical Algorithms", 2002, 1.14.1.
    """
    u = w.node("Add", x, 1.0)
    rest = w.node("Sub", u, 1.0)
    none = w.node("Equal", rest, 0.0)
    safe = w.among(none, 1.0, rest)
    return w.among(none, x, w.node("Div", w.node("Mul", w.node("Log", u), x), safe))


def _expm1(w: Writer, x: str) -> str:
    """Return exp(x) - 1 for x <= 0, exact where x is small: 2 tanh(x/2) / (1 - tanh(x/2))."""
    t = w.node("Tanh", w.node("Mul", x, 0.5))
    return w.node("Div", w.node("Mul", t, 2.0), w.node("Sub", 1.0, t))


def _below(w: Writer, x: str, scale: float, amount: float) -> str:
    """Return amount * (exp(x / scale) - 1) of the part below 0."""
    low = w.node("Min", x, 0.0)
    return w.node("Mul", _expm1(w, low if scale == 1.0 else w.node("Div", low, scale)), amount)


def _hard_sigmoid(w: Writer, x: str) -> str:
    return w.node("Div", w.node("Min", w.node("Max", w.node("Add", x, 3.0), 0.0), 6.0), 6.0)


def _share_below(w: Writer, x: str) -> str:
    """Return the share of a standard normal distribution below x.

    In float64 it is made of erfcx(z), z = |x| / sqrt(2), as a series of Chebyshev polynomials in
    t = (1 - z) / (1 + z), as onnxruntime has no Erf of that dtype.
    """
    if w.dtype == np.float32:
        return w.node("Mul", w.node("Add", w.node("Erf", w.node("Mul", x, math.sqrt(0.5))), 1.0), 0.5)
    from scipy.special import erfcx

    # The fit is over the z up to 60; exp(-z^2) is 0 in float64 from 28 on.
    series = np.polynomial.Chebyshev.interpolate(
        lambda t: erfcx((1.0 - t) / (1.0 + t)) * (1.0 + (1.0 - t) / (1.0 + t)),
        _ERFC_TERMS,
        domain=(-59.0 / 61.0, 1.0),
    )
    z = w.node("Min", w.node("Mul", w.node("Abs", x), math.sqrt(0.5)), 60.0)
    more = w.node("Add", z, 1.0)
    t = w.node("Div", w.node("Sub", 1.0, z), more)
    offset, scale = series.mapparms()
    t = w.node("Add", w.node("Mul", t, scale), offset)
    twice, last, before = w.node("Mul", t, 2.0), w.number(0.0), w.number(0.0)
    for coefficient in series.coef[:0:-1]:  # Clenshaw's recurrence
        last, before = (
            w.node("Add", w.node("Sub", w.node("Mul", twice, last), before), float(coefficient)),
            last,
        )
    value = w.node("Add", w.node("Sub", w.node("Mul", t, last), before), float(series.coef[0]))
    tail = w.node("Div", w.node("Mul", w.node("Exp", w.node("Neg", w.node("Mul", z, z))), value), more)
    tail = w.node("Mul", tail, 0.5)
    return w.among(w.node("Less", x, 0.0), tail, w.node("Sub", 1.0, tail))


def _gelu(w: Writer, x: str, approximate: float) -> str:
    if not approximate:
        return w.node("Mul", x, _share_below(w, x))
    cube = w.node("Mul", w.node("Mul", x, x), x)
    score = w.node("Mul", w.node("Add", x, w.node("Mul", cube, 0.044715)), GELU)
    return w.node("Mul", x, w.node("Sigmoid", score))


def _rectifier(w: Writer, x: str, slope: float, top: float, threshold: float) -> str:
    above = w.node("Min", x, top) if top >= 0 else x
    below = w.node("Mul", w.node("Sub", x, threshold), slope)
    return w.among(w.node("Greater", x, threshold), above, below)


def _elu(w: Writer, x: str, alpha: float) -> str:
    return w.among(w.node("Greater", x, 0.0), x, _below(w, x, 1.0, alpha))


def _activation(w: Writer, op: Op, x: str) -> str:
    """Return the op's activation of x."""
    numbers = op.constants
    match op.activation:
        case Activation.LINEAR:
            return x
        case Activation.SIGMOID | Activation.TANH | Activation.RELU:
            return w.node(op.activation.name.capitalize(), x)
        case Activation.SOFTMAX:
            return w.node("Softmax", x, axis=1)
        case Activation.LOG_SOFTMAX:
            return w.node("LogSoftmax", x, axis=1)
        case Activation.EXPONENTIAL:
            return w.node("Exp", x)
        case Activation.RECIPROCAL | Activation.LOG:
            return w.node(op.activation.name.capitalize(), x)
        case Activation.LEAKY_RELU:
            return w.among(w.node("Greater", x, 0.0), x, w.node("Mul", x, numbers[0]))
        case Activation.ELU:
            return _elu(w, x, numbers[0])
        case Activation.SELU:
            below = _below(w, x, 1.0, SELU_BELOW)
            return w.among(w.node("Greater", x, 0.0), w.node("Mul", x, SELU), below)
        case Activation.CELU:
            below = _below(w, x, numbers[0], numbers[0])
            return w.among(w.node("Greater", x, 0.0), x, below)
        case Activation.SOFTPLUS:
            return _softplus(w, x)
        case Activation.LOG_SIGMOID:
            return w.node("Neg", _softplus(w, w.node("Neg", x)))
        case Activation.SOFTSIGN:
            return w.node("Div", x, w.node("Add", w.node("Abs", x), 1.0))
        case Activation.RELU6:
            return w.node("Min", w.node("Max", x, 0.0), 6.0)
        case Activation.GELU:
            return _gelu(w, x, numbers[0])
        case Activation.SILU:
            return w.node("Mul", x, w.node("Sigmoid", x))
        case Activation.MISH:
            return w.node("Mul", x, w.node("Tanh", _softplus(w, x)))
        case Activation.HARD_SIGMOID:
            return _hard_sigmoid(w, x)
        case Activation.HARD_SILU:
            return w.node("Mul", x, _hard_sigmoid(w, x))
        case Activation.HARD_TANH:
            return w.node("Min", w.node("Max", x, -1.0), 1.0)
        case Activation.SQUAREPLUS:
            root = w.node("Sqrt", w.node("Add", w.node("Mul", x, x), numbers[0]))
            return w.node("Mul", w.node("Add", x, root), 0.5)
        case Activation.TANH_SHRINK:
            return w.node("Sub", x, w.node("Tanh", x))
        case Activation.SOFT_SHRINK:
            size = w.node("Max", w.node("Sub", w.node("Abs", x), numbers[0]), 0.0)
            return w.node("Mul", w.node("Sign", x), size)
        case Activation.HARD_SHRINK:
            return w.among(w.node("Greater", w.node("Abs", x), numbers[0]), x, 0.0)
        case Activation.THRESHOLD:
            return w.among(w.node("Greater", x, numbers[0]), x, numbers[1])
        case Activation.RECTIFIER:
            return _rectifier(w, x, *numbers)
        case Activation.SPARSE_PLUS:
            root = w.node("Max", w.node("Add", x, 1.0), 0.0)
            return w.among(w.node("Less", x, 1.0), w.node("Mul", w.node("Mul", root, root), 0.25), x)
        case Activation.SPARSE_SIGMOID:
            return w.node("Mul", w.node("Min", w.node("Max", w.node("Add", x, 1.0), 0.0), 2.0), 0.5)
    raise ConfigurationError(
        f"layer {op.layer!r} has the activation {op.activation.name.lower()!r}, which has no counterpart in "
        "ONNX here; choose another one, or report it"
    )


# -- ops


def _dense(w: Writer, op: Op) -> str:
    bias = w.get(op, "b")
    given = [w.need(op, "x"), w.need(op, "w"), *([] if bias is None else [bias])]
    return _activation(w, op, w.node("Gemm", *given))


def _normalize(w: Writer, op: Op) -> str:
    deviation = w.node("Sqrt", w.node("Add", w.need(op, "variance"), op.constants[0]))
    y = w.node("Div", w.node("Sub", w.need(op, "x"), w.need(op, "mean")), deviation)
    return _scaled(w, op, y)


def _scaled(w: Writer, op: Op, y: str) -> str:
    gamma, beta = w.get(op, "gamma"), w.get(op, "beta")
    y = y if gamma is None else w.node("Mul", y, gamma)
    return y if beta is None else w.node("Add", y, beta)


def _row_normalize(w: Writer, op: Op) -> str:
    epsilon, centered, averaged = op.constants
    x = w.need(op, "x")
    if centered:
        x = w.node("Sub", x, w.node("ReduceMean", x, axes=[1], keepdims=1))
    squares = w.node("ReduceSum", w.node("Mul", x, x), w.whole(1), keepdims=1)
    if averaged:
        mean = w.node("Div", squares, float(op.need("x").columns))
        deviation = w.node("Sqrt", w.node("Add", mean, epsilon))
    else:
        deviation = w.node("Max", w.node("Sqrt", squares), epsilon)
    return _scaled(w, op, w.node("Div", x, deviation))


def _standardize(w: Writer, op: Op) -> str:
    epsilon, invert = op.constants
    x, mean = w.need(op, "x"), w.get(op, "mean")
    deviation = w.node("Max", w.node("Sqrt", w.need(op, "variance")), epsilon)
    if invert:
        y = w.node("Mul", x, deviation)
        return y if mean is None else w.node("Add", y, mean)
    return w.node("Div", x if mean is None else w.node("Sub", x, mean), deviation)


def _add(w: Writer, op: Op) -> str:
    terms: list[str] = []
    for role, factor in zip("ab", op.constants, strict=True):
        term = w.need(op, role)
        terms.append(term if factor == 1.0 else w.node("Mul", term, factor))
    return w.node("Add", *terms)


def _affine(w: Writer, op: Op) -> str:
    scale, shift = op.constants
    x = w.need(op, "x")
    x = x if scale == 1.0 else w.node("Mul", x, scale)
    return x if shift == 0.0 else w.node("Add", x, shift)


def _maximum(w: Writer, op: Op) -> str:
    return w.node("Max" if op.constants[0] > 0 else "Min", w.need(op, "a"), w.need(op, "b"))


def _concatenate(w: Writer, op: Op) -> str:
    parts = [w.value(operand) for operand in op.operands[1:] if operand is not None]
    return w.node("Concat", *parts, axis=1)


def _maxout(w: Writer, op: Op) -> str:
    pieces = w.node("Reshape", w.need(op, "x"), w.whole(0, -1, op.need("y").columns))
    return w.node("ReduceMax", pieces, axes=[1], keepdims=0)


def _gated_add(w: Writer, op: Op) -> str:
    y = w.node("Mul", w.need(op, "x"), w.node("Sigmoid", w.need(op, "w")))
    a = w.get(op, "a")
    return y if a is None else w.node("Add", y, a)


def _embedding(w: Writer, op: Op) -> str:
    found = w.node("Gather", w.need(op, "w"), w.need(op, "x"), axis=0)
    return w.node("Reshape", found, w.whole(0, op.need("y").columns))


def _prelu(w: Writer, op: Op) -> str:
    """Of x by the sign of z, where that is not x itself."""
    x, z = w.need(op, "x"), w.get(op, "z")
    below = w.node("Mul", x, w.need(op, "w"))
    return w.among(w.node("Greater", x if z is None else z, 0.0), x, below)


def _scale_features(w: Writer, op: Op) -> str:
    return w.node("Mul", w.need(op, "x"), w.need(op, "w"))


def _categories(w: Writer, op: Op, numbers: str, depth: int) -> str:
    """Return whole numbers (rows, k) as they are, one after the other as 0 and 1, as a set, or counted."""
    mode, width = int(op.constants[0]), op.need("y").columns
    kind = _float_of(w)
    if mode == 0:
        return w.node("Cast", numbers, to=kind)
    same = w.node("Equal", w.node("Unsqueeze", numbers, w.whole(2)), w.whole(*range(depth)))
    ones = w.node("Cast", same, to=kind)
    if mode == 1:
        return w.node("Reshape", ones, w.whole(0, width))
    if mode == 2:
        return w.node("ReduceMax", ones, axes=[1], keepdims=0)
    return w.node("ReduceSum", ones, w.whole(1), keepdims=0)


def _float_of(w: Writer) -> int:
    from onnx import TensorProto

    return int(TensorProto.DOUBLE if w.dtype == np.float64 else TensorProto.FLOAT)


def _encode_categories(w: Writer, op: Op) -> str:
    x = op.need("x")
    depth = op.need("y").columns // (x.columns if op.constants[0] == 1 else 1)
    return _categories(w, op, w.value(x), depth)


def _discretize(w: Writer, op: Op) -> str:
    """Of x, the number of bounds that are not above it."""
    from onnx import TensorProto

    bounds = op.need("w")
    x = w.node("Unsqueeze", w.need(op, "x"), w.whole(2))
    reached = w.node("GreaterOrEqual", x, w.value(bounds))
    counts = w.node("Cast", reached, to=TensorProto.INT64)
    number = w.node("ReduceSum", counts, w.whole(2), keepdims=0)
    return _categories(w, op, number, bounds.columns + 1)


def _whole_row(kind: str, roles: Sequence[str]) -> Callable[[Writer, Op], str]:
    return lambda w, op: w.node(kind, *(w.need(op, role) for role in roles))


_RULES: dict[OpCode, Callable[[Writer, Op], str]] = {
    OpCode.DENSE: _dense,
    OpCode.ACTIVATION: lambda w, op: _activation(w, op, w.need(op, "x")),
    OpCode.NORMALIZE: _normalize,
    OpCode.ROW_NORMALIZE: _row_normalize,
    OpCode.STANDARDIZE: _standardize,
    OpCode.ADD: _add,
    OpCode.MULTIPLY: _whole_row("Mul", "ab"),
    OpCode.MAXIMUM: _maximum,
    OpCode.CONCATENATE: _concatenate,
    OpCode.AFFINE: _affine,
    OpCode.ROW_SUM: lambda w, op: w.node("ReduceSum", w.need(op, "x"), w.whole(1), keepdims=1),
    OpCode.MAXOUT: _maxout,
    OpCode.GATED_ADD: _gated_add,
    OpCode.EMBEDDING: _embedding,
    OpCode.PRELU: _prelu,
    OpCode.SCALE_FEATURES: _scale_features,
    OpCode.ENCODE_CATEGORIES: _encode_categories,
    OpCode.DISCRETIZE: _discretize,
}
