"""What the doors of `fastnn.kernels`, and `fastnn.activations`, refuse, and with which words."""

from __future__ import annotations

import decimal
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import activations, kernels
from fastnn.errors import ConfigurationError, DataError, DTypeError, FastnnError, ShapeError

Array = np.ndarray
X, W, B = np.ones((2, 3)), np.ones((3, 4)), np.ones(4)
Y = np.ones((2, 4))
BUFFER = np.ones(40)
NAMES = ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "softmax", "softplus", "softsign"]
DIRECTIONS = ["forward", "backward"]


def call_door(name: str, direction: str, array: Any, **options: Any) -> Array:
    """Call a door with one array for all its operands."""
    function = getattr(kernels, f"{name}_{direction}")
    result: Array = function(*[array] * (1 if direction == "forward" else 2), **options)
    return result


def read_only(array: Array) -> Array:
    result = array.copy()
    result.flags.writeable = False
    return result


def unaligned(array: Array) -> Array:
    result: Array = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    assert not result.flags.aligned
    return result


ERRORS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "integers": (lambda: kernels.tanh_forward(np.ones(3, int)), DTypeError, "z must be float32 or float64"),
    "float16": (lambda: kernels.tanh_forward(np.ones(3, np.float16)), DTypeError, "got float16; convert it"),
    "object": (lambda: kernels.dense_forward(X.astype(object), W), DTypeError, "x must be float32"),
    "nothing": (lambda: kernels.tanh_forward(np.zeros(3, "V0")), DTypeError, "z has dtype .*real numbers"),
    "records": (lambda: kernels.relu_backward(np.zeros(3, "f4,f4"), X[0]), DTypeError, "dy has the fields"),
    "None": (lambda: kernels.relu_forward(None), DTypeError, "z is None; give an array"),
    "text": (lambda: kernels.relu_forward("abc"), DTypeError, "z has dtype <U3, text"),
    "decimals": (
        lambda: kernels.dense_forward(X, [[decimal.Decimal(1)]] * 3),
        DTypeError,
        r"w holds Decimal\('1'\), a decimal number; .*astype\(float\)",
    ),
    "masked": (lambda: kernels.relu_forward(np.ma.masked_array(X, X > 0)), DTypeError, "z is a masked array"),
    "ragged": (lambda: kernels.relu_forward([[1.0], []]), ShapeError, "z cannot become.*of one length"),
    "symbolic": (lambda: kernels.relu_forward(fastnn.Input((3,))), DTypeError, "symbolic tensor has no val"),
    "two dtypes": (
        lambda: kernels.dense_forward(X, W.astype(np.float32)),
        DTypeError,
        "w is float32, but the first array is float64",
    ),
    "bias dtype": (lambda: kernels.dense_forward(X, W, B.astype(np.float32)), DTypeError, "b is float32"),
    "y dtype": (lambda: kernels.tanh_backward(X, X.astype(np.float32)), DTypeError, "y is float32"),
    "vector": (lambda: kernels.dense_forward(X[0], W), ShapeError, r"x must have 2 dimensions .* \(3,\)"),
    "cube": (lambda: kernels.dense_forward(X, W[None]), ShapeError, "w must have 2 dimensions"),
    "inner": (lambda: kernels.dense_forward(Y, W), ShapeError, "x has 4 columns but w has 3 rows"),
    "bias": (lambda: kernels.dense_forward(X, W, B[:3]), ShapeError, r"b must have shape \(4,\) .* \(3,\)"),
    "bias column": (lambda: kernels.dense_forward(X, W, B[:, None]), ShapeError, r"b must have shape \(4,\)"),
    "rows": (lambda: kernels.dense_backward(Y[:1], X, W), ShapeError, "dy has 1 rows but x has 2"),
    "kernel": (lambda: kernels.dense_backward(Y, X, W.T), ShapeError, r"w must have shape \(3, 4\)"),
    "no y": (
        lambda: kernels.dense_backward(Y, X, W, None, "relu"),
        ConfigurationError,
        "activation 'relu' needs y, the forward's output",
    ),
    "log": (
        lambda: kernels.dense_backward(Y, X, W, Y, "log"),
        ConfigurationError,
        "the derivative of log is one of z, not of its output; multiply dy by what it is at z",
    ),
    "y shape": (lambda: kernels.dense_backward(Y, X, W, X, "relu"), ShapeError, "y must have dy's shape"),
    "shapes": (lambda: kernels.relu_backward(X, Y), ShapeError, r"y must have dy's shape \(2, 3\)"),
    "unknown": (
        lambda: kernels.dense_forward(X, W, None, "rellu"),
        ConfigurationError,
        "unknown activation 'rellu'; did you mean 'relu'",
    ),
    "number as a name": (
        lambda: kernels.dense_forward(X, W, None, 3),  # type: ignore[arg-type]
        DTypeError,
        "activation must be a name, such as 'relu', or None, got 3",
    ),
    "list as a name": (
        lambda: kernels.dense_backward(Y, X, W, Y, ["relu"]),  # type: ignore[arg-type]
        DTypeError,
        r"activation must be a name, such as 'relu', or None, got \['relu'\]",
    ),
    "need_dx": (
        lambda: kernels.dense_backward(Y, X, W, need_dx=X),  # type: ignore[arg-type]
        DTypeError,
        "need_dx must be True or False",
    ),
    "slope": (
        lambda: kernels.leaky_relu_forward(X, negative_slope=-0.5),
        ConfigurationError,
        r"negative_slope must be a finite number of at least 0, got -0.5",
    ),
    "slope as text": (
        lambda: kernels.leaky_relu_backward(X, X, negative_slope="a"),  # type: ignore[arg-type]
        DTypeError,
        "negative_slope must be a number, got 'a'",
    ),
    "alpha": (
        lambda: kernels.elu_forward(X, alpha=[1.0]),  # type: ignore[arg-type]
        DTypeError,
        r"alpha must be a number, got \[1.0\]",
    ),
    "out is a list": (
        lambda: kernels.tanh_forward(X, out=[1.0]),  # type: ignore[arg-type]
        DTypeError,
        "out must be a numpy.ndarray, got a list",
    ),
    "out is an integer": (
        lambda: kernels.tanh_forward(X, out=1),  # type: ignore[arg-type]
        DTypeError,
        "out must be a numpy.ndarray, got an int",
    ),
    "out is of a subclass": (
        lambda: kernels.tanh_forward(X, out=np.empty((2, 3)).view(np.matrix)),
        DTypeError,
        r"out must be a numpy.ndarray, got a matrix; give np.asarray\(out\)",
    ),
    "out dtype": (
        lambda: kernels.tanh_forward(X, out=np.empty(X.shape, np.float32)),
        DTypeError,
        "out must be float64, as the operands are, got float32",
    ),
    "out of integers": (
        lambda: kernels.tanh_forward(X, out=np.empty(X.shape, int)),
        DTypeError,
        "out must be float64, as the operands are, got int64",
    ),
    "out byte order": (
        lambda: kernels.tanh_forward(X, out=np.empty(X.shape, np.dtype("f8").newbyteorder())),
        DTypeError,
        "out is float64 in the other byte order, .*; give one in the machine's",
    ),
    "out shape": (
        lambda: kernels.dense_forward(X, W, out=np.empty((2, 3))),
        ShapeError,
        r"out must have shape \(2, 4\), got \(2, 3\)$",
    ),
    "out shape transposed": (
        lambda: kernels.dense_forward(X, W, out=np.empty((4, 2))),
        ShapeError,
        r"out must have shape \(2, 4\), got \(4, 2\)$",
    ),
    "out in Fortran order": (
        lambda: kernels.tanh_forward(X, out=np.empty((3, 2)).T),
        DataError,
        r"out is in Fortran order, as a transpose is; give .* np.empty\(\(2, 3\), 'float64'\)",
    ),
    "out strided": (
        lambda: kernels.tanh_forward(X, out=np.empty((2, 6))[:, ::2]),
        DataError,
        r"out has gaps between its numbers, as a slice may; give .* np.empty\(\(2, 3\), 'float64'\)",
    ),
    "out read-only": (lambda: kernels.tanh_forward(X, out=read_only(X)), DataError, "out is read-only; give"),
    "out unaligned": (
        lambda: kernels.tanh_forward(X, out=unaligned(X)),
        DataError,
        "out does not begin at a multiple of 8 bytes; give",
    ),
    "out with two faults": (
        lambda: kernels.tanh_forward(X, out=read_only(np.ones((3, 2))).T),
        DataError,
        "out is read-only and is in Fortran order, as a transpose is; give",
    ),
    "out is x": (
        lambda: kernels.dense_forward(Y, np.ones((4, 4)), out=Y),
        DataError,
        "out overlaps an operand; give an array of its own",
    ),
    "out in w": (
        lambda: kernels.dense_forward(X, BUFFER[:12].reshape(3, 4), out=BUFFER[8:16].reshape(2, 4)),
        DataError,
        "out overlaps an operand",
    ),
    "out shifted": (
        lambda: kernels.tanh_forward(BUFFER[:20], out=BUFFER[1:21]),
        DataError,
        "overlaps an operand other than element for element",
    ),
    "out is y": (lambda: kernels.tanh_backward(X.copy(), X, out=X), DataError, "only dy may be overwritten"),
    "out shifted in dy": (
        lambda: kernels.tanh_backward(BUFFER[:20], np.ones(20), out=BUFFER[1:21]),
        DataError,
        "overlaps an operand other than element for element",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_what_is_wrong(case: str) -> None:
    call, error, message = ERRORS[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert type(caught.value) is error
    assert issubclass(error, FastnnError)
    assert isinstance(caught.value, TypeError if error is DTypeError else ValueError)
    for array in (X, W, B, Y, BUFFER):
        assert (array == 1).all(), "an operand changed"


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_every_door_explains_its_out(name: str, direction: str) -> None:
    for out, error, message in (
        (read_only(X), DataError, "out is read-only"),
        (np.empty((3, 2)).T, DataError, "out is in Fortran order"),
        (np.empty((4, 3))[::2], DataError, "out has gaps between its numbers"),
        (np.empty((4, 6))[::2, ::2].T, ShapeError, r"out must have shape \(2, 3\), got \(3, 2\)"),
        (unaligned(X), DataError, "out does not begin"),
        (np.empty((2, 3), np.float32), DTypeError, "out must be float64"),
        ("out", DTypeError, "out must be a numpy.ndarray, got a str"),
    ):
        with pytest.raises(error, match=message):
            call_door(name, direction, X, out=out)


@pytest.mark.parametrize("name", NAMES)
def test_writing_over_an_upstream_gradient_that_overlaps_y_is_refused(name: str) -> None:
    buffer = np.random.default_rng(9).uniform(0.1, 0.9, 70)
    dy, y = buffer[8:70], buffer[0:62]
    with pytest.raises(DataError, match="overlaps"):
        getattr(kernels, f"{name}_backward")(dy, y, out=dy)


# --- fastnn.activations ----------------------------------------------------------------------------------

FUNCTIONS = [getattr(activations, name) for name in (*NAMES, "exponential", "log", "reciprocal")]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_activations_take_all_real_numbers(function: Callable[[Any], Array]) -> None:
    wanted = function(np.array([[1.0, 2.0]], np.float32))
    assert wanted.dtype == np.float32
    for x in ([[1, 2]], [[True, 2]], np.array([[1, 2]], np.int8), np.array([[1, 2]], "u8"), [[1.0, 2.0]]):
        found = function(x)
        # What has no floating-point dtype of its own becomes float32, a list of floats is float64 in NumPy.
        assert found.dtype == (np.float64 if np.asarray(x).dtype == np.float64 else np.float32)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert function(np.array([[1, 2]], np.float16)).dtype == np.float32


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ("abc", DTypeError, "x has dtype <U3, text"),
        ([1j], DTypeError, "x has dtype complex128, complex numbers"),
        (None, DTypeError, "x is None"),
        ([[1.0], []], ShapeError, "x cannot become an array"),
        ([decimal.Decimal(1)], DTypeError, "x holds Decimal"),
        (np.zeros(2, "M8[s]"), DTypeError, "x has dtype datetime64.s., dates"),
        (fastnn.Input((3,)), DTypeError, "a symbolic tensor has no values"),
        (np.ma.masked_array(X, X > 0), DTypeError, "x is a masked array"),
    ],
    ids=["text", "complex", "None", "ragged", "decimal", "dates", "symbolic", "masked"],
)
def test_activations_explain_what_they_refuse(
    function: Callable[[Any], Array], x: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        function(x)


def test_slopes_of_activations_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="negative_slope must be a finite number"):
        activations.leaky_relu(X, -1.0)
    with pytest.raises(ConfigurationError, match="alpha must be a finite number"):
        activations.elu(X, np.inf)


@pytest.mark.parametrize(("name", "parameter"), [("leaky_relu", "negative_slope"), ("elu", "alpha")])
def test_slopes_by_name_are_the_same_everywhere(name: str, parameter: str) -> None:
    (alpha,) = activations.config_of(name).numbers
    assert alpha > 0
    for function in (
        getattr(activations, name),
        *(getattr(kernels, f"{name}_{direction}") for direction in DIRECTIONS),
    ):
        assert inspect.signature(function).parameters[parameter].default == alpha
    z = np.array([[-1.0, 2.0]])
    y = getattr(kernels, f"{name}_forward")(z)
    one = np.ones((1, 1))
    layer = fastnn.layers.Dense(1, name)
    assert layer.config.numbers == (alpha,)
    np.testing.assert_array_equal(kernels.dense_forward(z.T, one, None, name), y.T)
    dz = kernels.dense_backward(np.ones((2, 1)), z.T, one, y.T, name)[0]
    np.testing.assert_array_equal(dz, getattr(kernels, f"{name}_backward")(np.ones((1, 2)), y).T)
