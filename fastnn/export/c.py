"""A model as one file of C99: static weights, no allocation, one row at a time.

What each op of a prediction becomes.  This file must not know layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.compiler.plan import Activation, Op, OpCode, Operand, Slot
from fastnn.errors import ConfigurationError
from fastnn.export.c_functions import ACTIVATIONS, LOOPS
from fastnn.export.c_labels import Labels, in_comment
from fastnn.export.forward import Forward, parameter, unsupported
from fastnn.ops import Numbers, name_of
from fastnn.version import __version__

__all__ = ["Source", "quantized"]

_PER_LINE = 8  # numbers
_WHOLE = "int32_t"  # the type of indices


def quantized(kernel: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """Return a kernel (inputs, units) as whole numbers (units, inputs) and the scale of each unit.

    Examples
    --------
    >>> quantized(np.array([[1.0, 0.0], [-2.0, 0.0]]))[0]
    array([[  64, -127],
           [   0,    0]], dtype=int8)
    """
    most = np.abs(kernel).max(0)
    scale = np.where(most > 0, most / 127.0, 1.0).astype(kernel.dtype)
    return np.rint(kernel / scale).astype(np.int8).T.copy(), scale


class Source:
    """Writes the header and the source of a model.

    Parameters
    ----------
    forward : Forward
    name : str
        The prefix of all public names.
    int8 : bool
        Whether kernels of dense layers are whole numbers of eight bits.
    labels : Labels, optional
        Of a classifier.
    """

    def __init__(self, forward: Forward, name: str, int8: bool, labels: Labels | None = None) -> None:
        self.forward, self.name, self.int8, self.labels = forward, name, int8, labels
        self.real = "double" if forward.dtype == np.float64 else "float"
        self.lines: list[str] = []
        self.flash = 0  # bytes of weights
        self._tables: dict[str, str] = {}  # definitions of weights, by the name of the array
        self._names: dict[str, str] = {}  # which weights those are
        self._used: dict[str, None] = {}  # functions, in order
        self._places = _places(forward.ops)
        self._identifiers: dict[str, str] = {}
        self._longest = 0  # inputs of a layer whose input becomes whole numbers
        for position, (_, external) in enumerate(forward.inputs):
            self._identifiers[external.name] = _numbered("x", position, len(forward.inputs))
        for position, (_, external) in enumerate(forward.outputs):
            self._identifiers[external.name] = _numbered("y", position, len(forward.outputs))
        for op in forward.ops:
            rule = _RULES.get(op.code)
            if rule is None:
                raise unsupported(op, "C")
            self.lines.append(f"/* {in_comment(op.layer)} */")
            rule(self, op)

    @property
    def ram(self) -> int:
        """Bytes of static memory that is written."""
        return self._places.size * self.forward.dtype.itemsize + self._longest

    @property
    def parameters(self) -> str:
        """The parameters of the function that predicts."""
        return ", ".join([f"const {t}* {name}" for t, name, _, _ in self.inputs()] + self._results())

    def inputs(self) -> list[tuple[str, str, int, str]]:
        """Return type, name, length and label of each input."""
        return [
            (
                self.real if external.kind.numbers is Numbers.REAL else _WHOLE,
                self._identifiers[external.name],
                external.columns,
                label,
            )
            for label, external in self.forward.inputs
        ]

    def outputs(self) -> list[tuple[str, int, str]]:
        """Return name, length and label of each output."""
        return [
            (self._identifiers[external.name], external.columns, label)
            for label, external in self.forward.outputs
        ]

    def _results(self) -> list[str]:
        return [f"{self.real}* {name}" for name, _, _ in self.outputs()]

    def header(self) -> str:
        """Return the text of the header."""
        guard = f"{self.name.upper()}_H"
        shapes = [
            f" *   {name}: {in_comment(label)}, {length} numbers" for _, name, length, label in self.inputs()
        ]
        shapes += [
            f" *   {name}: {in_comment(label)}, {length} numbers, written"
            for name, length, label in self.outputs()
        ]
        prefix = self.name.upper()
        sizes = [
            f"#define {prefix}_{name.upper()}_LENGTH {length}"
            for name, length in [(n, c) for _, n, c, _ in self.inputs()]
            + [(n, c) for n, c, _ in self.outputs()]
        ]
        return "\n".join(
            [
                f"/* Made by fastnn {__version__}.",
                " *",
                " * Predicts one row; returns 0, or 1 if an index is out of range, and then writes nothing.",
                *shapes,
                f" * Weights take {self.flash} bytes, memory that is written {self.ram}; it is static, so",
                " * one call runs at a time. */",
                f"#ifndef {guard}",
                f"#define {guard}",
                "#include <stdint.h>",
                "",
                *sizes,
                "",
                f"int {self.name}_predict({self.parameters});",
                *([] if self.labels is None else self.labels.declared(self.name, self.parameters)),
                "",
                "#endif",
                "",
            ]
        )

    def source(self) -> str:
        """Return the text of the source."""
        suffix = "name##f" if self.real == "float" else "name"
        parts = [
            f"/* Made by fastnn {__version__}; see {self.name}.h. C99, no allocation. */",
            f'#include "{self.name}.h"',
            "",
            "#include <math.h>",
            "#include <stddef.h>",
            "",
            f"typedef {self.real} real;",
            f"#define F(name) {suffix}",
            "",
            *self._tables.values(),
            *(text for name in self._used for text in [_text_of(name)]),
        ]
        if self._places.size:
            parts.append(f"static real work[{self._places.size}];")
        if self._longest:
            parts.append(f"static int8_t whole[{self._longest}];")
        body = [f"    {line}" for line in [*self._index_checks(), *self.lines, "return 0;"]]
        needs_i = any(re.search(r"\bi\b", line) for line in self.lines)
        declared = ["    int i;"] if needs_i or self._index_checks() else []
        parts += ["", f"int {self.name}_predict({self.parameters}) {{", *declared, *body, "}", ""]
        if self.labels is not None:
            parts += self.labels.defined(self.name, self.parameters)
        return "\n".join(parts)

    def _index_checks(self) -> list[str]:
        checks = []
        for _, external in self.forward.inputs:
            if external.kind.numbers is not Numbers.REAL:
                name, limit = self._identifiers[external.name], external.kind.limit
                checks.append(f"for (i = 0; i < {external.columns}; i++)")
                checks.append(f"    if ({name}[i] < 0 || {name}[i] >= {limit})")
                checks.append("        return 1;")
        return checks

    # -- what rules use

    def use(self, *names: str) -> None:
        """Say that functions of these names are called."""
        for name in names:
            if name in ACTIVATIONS:
                self.use(*ACTIVATIONS[name][1])
            self._used.setdefault(name)

    def at(self, operand: Operand | None) -> str:
        """Return the expression of an operand's first number."""
        if operand is None:
            return "NULL"
        if parameter(operand):
            return self.table(operand.name, self.forward.parameters[operand.name])
        if operand.name in self._identifiers:
            return self._identifiers[operand.name]
        place = self._places.starts[operand.name]
        return f"(work + {place})" if place else "work"

    def table(self, name: str, values: NDArray[Any]) -> str:
        """Return the name of a static array with these values."""
        identifier = re.sub(r"\W", "_", f"w_{name}", flags=re.ASCII)
        while identifier in self._tables and name != self._names.get(identifier):
            identifier += "_"
        if identifier not in self._tables:
            self._names[identifier] = name
            kind = "int8_t" if values.dtype == np.int8 else "real"
            self.flash += values.nbytes
            self._tables[identifier] = self.array(f"static const {kind} {identifier}", values) + "\n"
        return identifier

    def array(self, declared: str, values: NDArray[Any]) -> str:
        """Return the definition of an array."""
        if not np.isfinite(values).all():
            raise ConfigurationError(
                "weights are not finite (NaN or infinity); train with a smaller learning rate, then export"
            )
        texts = [self.literal(value) for value in values.ravel()]
        rows = [", ".join(texts[i : i + _PER_LINE]) for i in range(0, len(texts), _PER_LINE)]
        return f"{declared}[{values.size}] = {{\n    " + ",\n    ".join(rows) + "\n};"

    def literal(self, value: Any) -> str:
        """Return a number in C."""
        if isinstance(value, np.integer | int):
            return str(int(value))
        text = f"{float(value):.9g}" if self.real == "float" else f"{float(value):.17g}"
        text = text if re.search(r"[.e]", text) else f"{text}.0"
        return f"{text}f" if self.real == "float" else text

    def each(self, y: Operand, expression: str) -> None:
        """Append a loop over the row of `y`."""
        self.lines.append(f"for (i = 0; i < {y.columns}; i++)")
        self.lines.append(f"    {self.at(y)}[i] = {expression};")

    def activate(self, op: Op, y: Operand, x: str) -> None:
        """Append the op's activation of x."""
        if op.activation is Activation.LINEAR:
            return
        if op.activation in (Activation.SOFTMAX, Activation.LOG_SOFTMAX):
            function = op.activation.name.lower()
            self.use(function)
            self.lines.append(f"{function}({self.at(y)}, {x}, {y.columns});")
            return
        name = op.activation.name.lower()
        if name not in ACTIVATIONS:
            raise ConfigurationError(
                f"layer {op.layer!r} has the activation {name_of(op.activation)!r}, which has no counterpart "
                "in C here; choose another one, or report it"
            )
        self.use(name)
        function = f"{name}_" if name in ("tanh", "log") else name
        more = "".join(
            f", {int(number) if name == 'gelu' else self.literal(np.float64(number))}"
            for number in op.constants
        )
        self.each(y, f"{function}({x}[i]{more})")


def _text_of(name: str) -> str:
    return ACTIVATIONS[name][0] if name in ACTIVATIONS else LOOPS[name]


def _numbered(letter: str, position: int, count: int) -> str:
    return letter if count == 1 else f"{letter}{position}"


class _Places:
    """Where tensors lie: the first place that is free as long as they are needed."""

    def __init__(self) -> None:
        self.starts: dict[str, int] = {}
        self.size = 0


def _places(ops: tuple[Op, ...]) -> _Places:
    """Return places for what is written and read later; no result overlaps the inputs of its op."""
    born: dict[str, tuple[int, int]] = {}
    dies: dict[str, int] = {}
    for position, op in enumerate(ops):
        for operand in op.operands:
            if operand is not None:
                dies[operand.name] = position
        y = op.need("y")
        if y.slot < Slot.EXTERNAL:
            born.setdefault(y.name, (position, y.columns))
    found = _Places()
    for name, (start, columns) in born.items():
        others = sorted(
            (found.starts[other], found.starts[other] + born[other][1])
            for other in found.starts
            if dies[other] >= start and born[other][0] <= dies[name]
        )
        place = 0
        for begin, end in others:
            if place + columns <= begin:
                break
            place = max(place, end)
        found.starts[name] = place
        found.size = max(found.size, place + columns)
    return found


# -- ops


def _dense(s: Source, op: Op) -> None:
    y, x, w, b = (op.operand(role) for role in ("y", "x", "w", "b"))
    assert y is not None
    assert w is not None
    if s.int8:
        whole, scale = quantized(s.forward.parameters[w.name])
        s.use("dense_int8")
        s._longest = max(s._longest, w.rows)
        kernel, scales = s.table(f"{w.name}_int8", whole), s.table(f"{w.name}_scale", scale)
        s.lines.append(
            f"dense_int8({s.at(y)}, {s.at(x)}, whole, {kernel}, {scales}, {s.at(b)}, {w.rows}, {w.columns});"
        )
    else:
        s.use("dense")
        s.lines.append(f"dense({s.at(y)}, {s.at(x)}, {s.at(w)}, {s.at(b)}, {w.rows}, {w.columns});")
    s.activate(op, y, s.at(y))


def _activation(s: Source, op: Op) -> None:
    if op.activation is Activation.LINEAR:
        s.each(op.need("y"), f"{s.at(op.need('x'))}[i]")
    s.activate(op, op.need("y"), s.at(op.need("x")))


def _scaled(s: Source, op: Op, expression: str) -> str:
    gamma, beta = op.operand("gamma"), op.operand("beta")
    expression = f"({expression})" if gamma is None else f"({expression}) * {s.at(gamma)}[i]"
    return expression if beta is None else f"{expression} + {s.at(beta)}[i]"


def _normalize(s: Source, op: Op) -> None:
    x, mean, variance = (s.at(op.need(role)) for role in ("x", "mean", "variance"))
    epsilon = s.literal(np.float64(op.constants[0]))
    s.each(op.need("y"), _scaled(s, op, f"({x}[i] - {mean}[i]) / F(sqrt)({variance}[i] + {epsilon})"))


def _row_normalize(s: Source, op: Op) -> None:
    y, x = op.need("y"), op.need("x")
    epsilon, centered, averaged = op.constants
    s.use("normalize_row")
    s.lines.append(
        f"normalize_row({s.at(y)}, {s.at(x)}, {x.columns}, {s.literal(np.float64(epsilon))}, "
        f"{int(centered)}, {int(averaged)});"
    )
    if op.operand("gamma") is not None or op.operand("beta") is not None:
        s.each(y, _scaled(s, op, f"{s.at(y)}[i]"))


def _standardize(s: Source, op: Op) -> None:
    epsilon, invert = op.constants
    variance = s.forward.parameters[op.need("variance").name]
    deviation = s.table(
        f"{op.need('variance').name}_deviation", np.maximum(np.sqrt(variance), variance.dtype.type(epsilon))
    )
    x, mean = f"{s.at(op.need('x'))}[i]", op.operand("mean")
    if invert:
        shift = "" if mean is None else f" + {s.at(mean)}[i]"
        s.each(op.need("y"), f"{x} * {deviation}[i]{shift}")
    else:
        shifted = x if mean is None else f"({x} - {s.at(mean)}[i])"
        s.each(op.need("y"), f"{shifted} / {deviation}[i]")


def _add(s: Source, op: Op) -> None:
    a, b = (
        f"{s.at(op.need(role))}[i]"
        if factor == 1.0
        else f"{s.literal(np.float64(factor))} * {s.at(op.need(role))}[i]"
        for role, factor in zip("ab", op.constants, strict=True)
    )
    s.each(op.need("y"), f"{a} + {b}")


def _affine(s: Source, op: Op) -> None:
    scale, shift = (s.literal(np.float64(number)) for number in op.constants)
    x = f"{s.at(op.need('x'))}[i]"
    s.each(op.need("y"), x if op.constants == (1.0, 0.0) else f"{scale} * {x} + {shift}")


def _multiply(s: Source, op: Op) -> None:
    s.each(op.need("y"), f"{s.at(op.need('a'))}[i] * {s.at(op.need('b'))}[i]")


def _maximum(s: Source, op: Op) -> None:
    a, b = s.at(op.need("a")), s.at(op.need("b"))
    sign = ">" if op.constants[0] > 0 else "<"
    s.each(op.need("y"), f"{a}[i] {sign} {b}[i] ? {a}[i] : {b}[i]")


def _concatenate(s: Source, op: Op) -> None:
    first, y = 0, s.at(op.need("y"))
    for operand in op.operands[1:]:
        if operand is not None:
            s.lines.append(f"for (i = 0; i < {operand.columns}; i++)")
            s.lines.append(f"    {y}[{first} + i] = {s.at(operand)}[i];")
            first += operand.columns


def _row_sum(s: Source, op: Op) -> None:
    x, y = op.need("x"), s.at(op.need("y"))
    s.lines.append(f"{y}[0] = 0;")
    s.lines.append(f"for (i = 0; i < {x.columns}; i++)")
    s.lines.append(f"    {y}[0] += {s.at(x)}[i];")


def _maxout(s: Source, op: Op) -> None:
    y, x = op.need("y"), op.need("x")
    s.each(y, f"{s.at(x)}[i]")
    s.lines.append(f"for (i = {y.columns}; i < {x.columns}; i++)")
    s.lines.append(f"    if ({s.at(x)}[i] > {s.at(y)}[i % {y.columns}])")
    s.lines.append(f"        {s.at(y)}[i % {y.columns}] = {s.at(x)}[i];")


def _gated_add(s: Source, op: Op) -> None:
    s.use("sigmoid")
    a, w = op.operand("a"), op.need("w")
    gate = f"sigmoid({s.at(w)}[{'i' if w.columns > 1 else '0'}])"
    shift = "" if a is None else f" + {s.at(a)}[i]"
    s.each(op.need("y"), f"{gate} * {s.at(op.need('x'))}[i]{shift}")


def _embedding(s: Source, op: Op) -> None:
    width = op.need("w").columns
    s.each(op.need("y"), f"{s.at(op.need('w'))}[{s.at(op.need('x'))}[i / {width}] * {width} + i % {width}]")


def _prelu(s: Source, op: Op) -> None:
    x, w, z = s.at(op.need("x")), s.at(op.need("w")), s.at(op.operand("z") or op.need("x"))
    s.each(op.need("y"), f"{z}[i] > 0 ? {x}[i] : {x}[i] * {w}[i]")


def _scale_features(s: Source, op: Op) -> None:
    s.each(op.need("y"), f"{s.at(op.need('x'))}[i] * {s.at(op.need('w'))}[i]")


def _categories(s: Source, op: Op, number: Callable[[str], str], count: int, depth: int) -> None:
    """Write whole numbers as they are, one after the other as 0 and 1, as a set, or counted."""
    y, mode = op.need("y"), int(op.constants[0])
    if mode == 0:
        s.each(y, number("i"))
        return
    s.each(y, "0")
    place = number("i") if mode != 1 else f"i * {depth} + {number('i')}"
    s.lines.append(f"for (i = 0; i < {count}; i++)")
    s.lines.append(f"    {s.at(y)}[{place}] {'+= 1' if mode == 3 else '= 1'};")


def _encode_categories(s: Source, op: Op) -> None:
    x = op.need("x")
    depth = op.need("y").columns // (x.columns if op.constants[0] == 1 else 1)
    _categories(s, op, lambda i: f"(int){s.at(x)}[{i}]", x.columns, depth)


def _discretize(s: Source, op: Op) -> None:
    bounds, x = op.need("w"), op.need("x")
    s.use("bin_of")
    _categories(
        s,
        op,
        lambda i: f"bin_of({s.at(x)}[{i}], {s.at(bounds)}, {bounds.columns})",
        x.columns,
        bounds.columns + 1,
    )


_RULES: dict[OpCode, Callable[[Source, Op], None]] = {
    OpCode.DENSE: _dense,
    OpCode.ACTIVATION: _activation,
    OpCode.NORMALIZE: _normalize,
    OpCode.ROW_NORMALIZE: _row_normalize,
    OpCode.STANDARDIZE: _standardize,
    OpCode.ADD: _add,
    OpCode.MULTIPLY: _multiply,
    OpCode.MAXIMUM: _maximum,
    OpCode.CONCATENATE: _concatenate,
    OpCode.AFFINE: _affine,
    OpCode.ROW_SUM: _row_sum,
    OpCode.MAXOUT: _maxout,
    OpCode.GATED_ADD: _gated_add,
    OpCode.EMBEDDING: _embedding,
    OpCode.PRELU: _prelu,
    OpCode.SCALE_FEATURES: _scale_features,
    OpCode.ENCODE_CATEGORIES: _encode_categories,
    OpCode.DISCRETIZE: _discretize,
}
