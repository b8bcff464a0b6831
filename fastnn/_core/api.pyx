"""NumPy doors to single kernels: `fastnn.kernels`.

Each door checks its arrays, then runs one op through the same function table as a whole plan,
without the GIL.
"""

import difflib

import numpy as np

from fastnn._core import types as _types

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memset

from fastnn._core.table cimport kernel_table, need_table
from fastnn._core.types cimport MAX_OPERANDS, ActivationCode, Frame, Op, OpCode, Status

_ACTIVATIONS = {name.lower(): int(member) for name, member in _types.ActivationCode.__members__.items()}
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_LIMIT = 2**31 - 1


cdef int run_one(OpCode code, int activation, bint double, Py_ssize_t begin, Py_ssize_t end,
                 Py_ssize_t rows, int n_outputs, tuple arrays, tuple columns,
                 double alpha=0.0) except -1:
    """Run one op on arrays that were checked; the first `n_outputs` are written."""
    cdef Py_buffer views[MAX_OPERANDS]
    cdef char* base[MAX_OPERANDS]
    cdef Op op
    cdef Frame frame
    cdef int i, opened = 0
    cdef double sums[1]
    cdef Status status
    need_table()
    memset(&op, 0, sizeof(Op))
    memset(&frame, 0, sizeof(Frame))
    op.code, op.activation, op.alpha = code, activation, alpha
    frame.base, frame.begin, frame.end, frame.rows, frame.sums = base, begin, end, rows, sums
    for i in range(MAX_OPERANDS):
        op.operands[i].slot = -1
    try:
        for i in range(len(arrays)):
            if arrays[i] is None:
                PyObject_GetBuffer(b"", &views[i], PyBUF_SIMPLE)
            else:
                PyObject_GetBuffer(arrays[i], &views[i], PyBUF_WRITABLE if i < n_outputs else PyBUF_SIMPLE)
                op.operands[i].slot = i
                op.operands[i].columns = columns[i]
            base[i] = <char*>views[i].buf
            opened += 1
        with nogil:
            if double:
                status = kernel_table().run_double(&op, 1, &frame)
            else:
                status = kernel_table().run_float(&op, 1, &frame)
        if status != Status.OK:
            raise RuntimeError(f"kernel {code} is missing from the function table")
    finally:
        for i in range(opened):
            PyBuffer_Release(&views[i])
    return 0


def _operand(value, name, dtype=None):
    """Return `value` as an aligned C-order array of float32 or float64, copied only if it is not one."""
    array = value if type(value) is np.ndarray else np.asarray(value)
    native = array.dtype.newbyteorder("=")
    if native not in _FLOATS:
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}; convert it with astype")
    if dtype is not None and native != dtype:
        raise TypeError(f"{name} is {array.dtype}, but the first array is {dtype}; use one dtype for all")
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned and array.dtype.isnative):
        array = np.require(array, dtype=native, requirements="CA")
    return array


def _matrix(value, name, dtype=None):
    array = _operand(value, name, dtype)
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions (rows, columns), got shape {array.shape}")
    if array.shape[0] > _LIMIT or array.shape[1] > _LIMIT:
        raise ValueError(f"{name} has shape {array.shape}; a dimension over {_LIMIT} does not fit BLAS")
    return array


def _result(out, shape, dtype, inputs, in_place):
    """Return the array to write: `out` once checked, or a new one."""
    if out is None:
        return np.empty(shape, dtype)
    if type(out) is not np.ndarray or out.dtype != dtype or out.shape != shape or not out.flags.carray:
        given = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"out must be a writeable C-order ndarray of {dtype} {shape}, got {given}")
    for array in inputs:
        if array is not None and np.may_share_memory(out, array):
            if not (in_place and out.ctypes.data == array.ctypes.data and out.shape == array.shape):
                how = " other than element for element" if in_place else ""
                raise ValueError(f"out overlaps an operand{how}")
    return out


# What an activation's slope or scale is unless told otherwise, as in Keras.
_ALPHAS = {"leaky_relu": 0.2, "elu": 1.0}


def _not_negative(value, name):
    number = float(value)
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name} must be at least 0 and finite, got {value!r}")
    return number


def _activation(name):
    if name is None:
        return 0
    if name not in _ACTIVATIONS:
        nearest = difflib.get_close_matches(str(name), _ACTIVATIONS, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
        raise ValueError(f"unknown activation {name!r}{hint} Known: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]


def dense_forward(x, w, b=None, activation=None, out=None):
    """Return ``activation(x @ w + b)``.

    Parameters
    ----------
    x : array_like, (m, k), float32 or float64
        Input rows.
    w : array_like, (k, n), of x's dtype
        Kernel.
    b : array_like, (n,), of x's dtype, optional
        Bias.
    activation : str, optional
        A name of `fastnn.activations`, with its default slope or scale; None is linear.
    out : numpy.ndarray, (m, n), of x's dtype, optional
        Where to write the result; may not overlap an operand.

    Returns
    -------
    numpy.ndarray, (m, n)
        `out` if it was given.

    Raises
    ------
    TypeError
        For a dtype that is not float32 or float64, or that differs.
    ValueError
        For shapes that do not fit, an unknown activation, or an `out` that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> dense_forward(np.ones((1, 2)), np.array([[1.0, -1.0], [2.0, -2.0]]), activation="relu")
    array([[3., 0.]])
    """
    code = _activation(activation)
    x = _matrix(x, "x")
    w = _matrix(w, "w", x.dtype)
    m, k = x.shape
    n = w.shape[1]
    if w.shape[0] != k:
        raise ValueError(f"x has {k} columns but w has {w.shape[0]} rows; they must agree")
    if b is not None:
        b = _operand(b, "b", x.dtype)
        if b.shape != (n,):
            raise ValueError(f"b must have shape ({n},) to match w, got {b.shape}")
    out = _result(out, (m, n), x.dtype, (x, w, b), False)
    if m and n:
        run_one(
            OpCode.DENSE, code, x.itemsize == 8, 0, m, m, 1, (out, x, w, b), (n, k, n, n),
            _ALPHAS.get(activation, 0.0),
        )
    return out


def dense_backward(dy, x, w, y=None, activation=None, need_dx=True):
    """Return the gradients of a dense layer.

    With ``dz = dy * activation'(z)``: ``dx = dz @ w.T``, ``dw = x.T @ dz``, ``db = dz.sum(0)``.

    Parameters
    ----------
    dy : array_like, (m, n), float32 or float64
        Gradient of the layer's output.
    x : array_like, (m, k), of dy's dtype
        The layer's input.
    w : array_like, (k, n), of dy's dtype
        Kernel.
    y : array_like, (m, n), of dy's dtype, optional
        The forward's output; needed with an activation.
    activation : str, optional
        A name of `fastnn.activations`, with its default slope or scale; None is linear.
    need_dx : bool
        Whether to compute `dx`.

    Returns
    -------
    dx : numpy.ndarray, (m, k), or None
    dw : numpy.ndarray, (k, n)
    db : numpy.ndarray, (n,)

    Raises
    ------
    TypeError
        For a dtype that is not float32 or float64, or that differs.
    ValueError
        For shapes that do not fit, an unknown activation, or a missing `y`.

    Examples
    --------
    Lecture A.10: an upstream gradient on ``y = x @ w``.

    >>> import numpy as np
    >>> x = np.array([[2.0, 1.0, -3.0]])
    >>> w = np.array([[1.0, 3, 2, 0], [2, -1, 1, 2], [3, 0, 1, 4]])
    >>> dx, dw, db = dense_backward(np.array([[0.028, 0.01, 0.22, 0.0]]), x, w)
    >>> dx.round(2)
    array([[0.5 , 0.27, 0.3 ]])
    """
    code = _activation(activation)
    dy = _matrix(dy, "dy")
    x = _matrix(x, "x", dy.dtype)
    w = _matrix(w, "w", dy.dtype)
    m, n = dy.shape
    k = x.shape[1]
    if x.shape[0] != m:
        raise ValueError(f"dy has {m} rows but x has {x.shape[0]}; they must agree")
    if w.shape != (k, n):
        raise ValueError(f"w must have shape ({k}, {n}) to match x and dy, got {w.shape}")
    double = dy.itemsize == 8
    dz = dy
    if code:
        if y is None:
            raise ValueError(f"activation {activation!r} needs y, the forward's output")
        if code == ActivationCode.LOG:
            raise ValueError("the derivative of log does not follow from its output; divide dy by z")
        y = _matrix(y, "y", dy.dtype)
        if y.shape != dy.shape:
            raise ValueError(f"y must have dy's shape {dy.shape}, got {y.shape}")
        dz = np.empty_like(dy)
        if dy.size:
            run_one(
                OpCode.ACTIVATION_BACKWARD, code, double, 0, m, m, 1, (dz, dy, y), (n, n, n),
                _ALPHAS.get(activation, 0.0),
            )
    dw, db = np.zeros((k, n), dy.dtype), np.zeros(n, dy.dtype)
    dx = np.zeros((m, k), dy.dtype) if need_dx else None
    if m and n and k:
        run_one(OpCode.WEIGHT_GRADIENT, 0, double, 0, k, m, 1, (dw, x, dz), (n, k, n))
        if need_dx:
            run_one(OpCode.DENSE_BACKWARD, 0, double, 0, m, m, 1, (dx, dz, w), (k, n, n))
    if m and n:
        run_one(OpCode.BIAS_GRADIENT, 0, double, 0, 1, m, 1, (db, dz), (n, n))
    return dx, dw, db


# Calls its first argument with parts of a range, by several threads; see `share_large_work`.
cdef object _sharing = None
cdef Py_ssize_t _large = 0


def share_large_work(sharing, Py_ssize_t elements):
    """Say how to share out what goes element by element or row by row.

    Parameters
    ----------
    sharing : callable
        Called with a function of two integers and the length of a range; calls the function with the
        bounds of parts of that range, which together are all of it.
    elements : int
        Arrays with fewer are not worth it.
    """
    global _sharing, _large
    _sharing, _large = sharing, elements


cdef enum:
    PIECE = 4096    # elements that are not shared out further


cdef run_rows(OpCode code, int activation, double alpha, tuple arrays):
    """Run an op of an activation on arrays of one shape, of which the first is written."""
    first = arrays[0]
    cdef bint double = first.itemsize == 8
    cdef Py_ssize_t n = first.shape[first.ndim - 1] if first.ndim else 1
    cdef Py_ssize_t m = first.size // n, piece = n if activation == ActivationCode.SOFTMAX else PIECE
    if _sharing is None or first.size < _large:
        run_one(code, activation, double, 0, m, m, 1, arrays, (n,) * len(arrays), alpha)
        return
    flat = tuple(array.reshape(-1) for array in arrays)

    def part(begin, end):
        pieces = tuple(array[begin * piece : end * piece] for array in flat)
        width = n if activation == ActivationCode.SOFTMAX else pieces[0].size
        rows = pieces[0].size // width
        run_one(code, activation, double, 0, rows, rows, 1, pieces, (width,) * len(pieces), alpha)

    _sharing(part, (first.size + piece - 1) // piece)


cdef forward(int activation, z, out, double alpha=0.0):
    z = _operand(z, "z")
    out = _result(out, z.shape, z.dtype, (z,), True)
    if z.size:
        run_rows(OpCode.ACTIVATION, activation, alpha, (out, z))
    return out


cdef backward(int activation, dy, y, out, double alpha=0.0):
    dy = _operand(dy, "dy")
    y = _operand(y, "y", dy.dtype)
    if y.shape != dy.shape:
        raise ValueError(f"y must have dy's shape {dy.shape}, got {y.shape}")
    out = _result(out, dy.shape, dy.dtype, (dy,), True)
    # Where dy is y, element for element, that was just checked.
    if np.may_share_memory(out, y) and y.ctypes.data != dy.ctypes.data:
        raise ValueError("out overlaps y; only dy may be overwritten")
    if dy.size:
        run_rows(OpCode.ACTIVATION_BACKWARD, activation, alpha, (out, dy, y))
    return out


def sigmoid_forward(z, out=None):
    """Return ``1 / (1 + exp(-z))``; `out` may be `z`.

    Parameters
    ----------
    z : array_like of any shape, float32 or float64
    out : numpy.ndarray of z's shape and dtype, optional

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For a dtype, or an `out`, that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid_forward(np.array([[-5.0, 5.0, 2.0]])).round(3)
    array([[0.007, 0.993, 0.881]])
    """
    return forward(ActivationCode.SIGMOID, z, out)


def sigmoid_backward(dy, y, out=None):
    """Return ``dy * y * (1 - y)`` from the forward's output `y`; `out` may be `dy`.

    Parameters
    ----------
    dy, y : array_like of one shape, float32 or float64
    out : numpy.ndarray of dy's shape and dtype, optional

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For dtypes, shapes, or an `out`, that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid_backward(np.ones((1, 1)), np.full((1, 1), 0.5))
    array([[0.25]])
    """
    return backward(ActivationCode.SIGMOID, dy, y, out)


def tanh_forward(z, out=None):
    """Return the hyperbolic tangent; `out` may be `z`.

    Parameters
    ----------
    z : array_like of any shape, float32 or float64
    out : numpy.ndarray of z's shape and dtype, optional

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For a dtype, or an `out`, that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> tanh_forward(np.array([[0.0, 1.0]])).round(4)
    array([[0.    , 0.7616]])
    """
    return forward(ActivationCode.TANH, z, out)


def tanh_backward(dy, y, out=None):
    """Return ``dy * (1 - y**2)`` from the forward's output `y`; `out` may be `dy`.

    Parameters
    ----------
    dy, y : array_like of one shape, float32 or float64
    out : numpy.ndarray of dy's shape and dtype, optional

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For dtypes, shapes, or an `out`, that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> tanh_backward(np.ones((1, 1)), np.full((1, 1), 0.5))
    array([[0.75]])
    """
    return backward(ActivationCode.TANH, dy, y, out)


def relu_forward(z, out=None):
    """Return ``max(z, 0)``, NaN for NaN; `out` may be `z`.

    Parameters
    ----------
    z : array_like of any shape, float32 or float64
    out : numpy.ndarray of z's shape and dtype, optional

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For a dtype, or an `out`, that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> relu_forward(np.array([[-1.0, 2.0]]))
    array([[0., 2.]])
    """
    return forward(ActivationCode.RELU, z, out)


def relu_backward(dy, y, out=None):
    """Return `dy` where the forward's output `y` is positive, else 0; `out` may be `dy`.

    Parameters
    ----------
    dy, y : array_like of one shape, float32 or float64
    out : numpy.ndarray of dy's shape and dtype, optional

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For dtypes, shapes, or an `out`, that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> relu_backward(np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]]))
    array([[0., 4.]])
    """
    return backward(ActivationCode.RELU, dy, y, out)


def leaky_relu_forward(z, out=None, negative_slope=0.2):
    """Return ``z`` where it is positive, else ``negative_slope * z``; `out` may be `z`.

    Parameters
    ----------
    z : array_like of any shape, float32 or float64
    out : numpy.ndarray of z's shape and dtype, optional
    negative_slope : float
        At least 0.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For a dtype, a slope or an `out` that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> leaky_relu_forward(np.array([[-1.0, 2.0]]), negative_slope=0.1)
    array([[-0.1,  2. ]])
    """
    return forward(ActivationCode.LEAKY_RELU, z, out, _not_negative(negative_slope, "negative_slope"))


def leaky_relu_backward(dy, y, out=None, negative_slope=0.2):
    """Return ``dy`` times 1 where the output `y` is positive, else `negative_slope`; `out` may be `dy`.

    Parameters
    ----------
    dy, y : array_like of one shape, float32 or float64
    out : numpy.ndarray of dy's shape and dtype, optional
    negative_slope : float
        At least 0.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For dtypes, shapes, a slope or an `out` that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> leaky_relu_backward(np.array([[3.0, 4.0]]), np.array([[-1.0, 2.0]]), negative_slope=0.5)
    array([[1.5, 4. ]])
    """
    return backward(ActivationCode.LEAKY_RELU, dy, y, out, _not_negative(negative_slope, "negative_slope"))


def elu_forward(z, out=None, alpha=1.0):
    """Return ``z`` where it is positive, else ``alpha * (exp(z) - 1)``; `out` may be `z`.

    Parameters
    ----------
    z : array_like of any shape, float32 or float64
    out : numpy.ndarray of z's shape and dtype, optional
    alpha : float
        At least 0.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For a dtype, an `alpha` or an `out` that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> elu_forward(np.array([[-1.0, 2.0]])).round(4)
    array([[-0.6321,  2.    ]])
    """
    return forward(ActivationCode.ELU, z, out, _not_negative(alpha, "alpha"))


def elu_backward(dy, y, out=None, alpha=1.0):
    """Return `dy` where the forward's output `y` is positive, else ``dy * (y + alpha)``; `out` may be `dy`.

    Parameters
    ----------
    dy, y : array_like of one shape, float32 or float64
    out : numpy.ndarray of dy's shape and dtype, optional
    alpha : float
        At least 0.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For dtypes, shapes, an `alpha` or an `out` that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> elu_backward(np.ones((1, 2)), np.array([[-0.5, 2.0]]))
    array([[0.5, 1. ]])
    """
    return backward(ActivationCode.ELU, dy, y, out, _not_negative(alpha, "alpha"))


def softmax_forward(z, out=None):
    """Return ``exp(z) / sum(exp(z))`` over the last axis, shifted by its maximum; `out` may be `z`.

    Parameters
    ----------
    z : array_like of at least one dimension, float32 or float64
    out : numpy.ndarray of z's shape and dtype, optional

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For a dtype, or an `out`, that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_forward(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    return forward(ActivationCode.SOFTMAX, z, out)


def softmax_backward(dy, y, out=None):
    """Return ``y * (dy - sum(dy * y))`` over the last axis, from the output `y`; `out` may be `dy`.

    Parameters
    ----------
    dy, y : array_like of one shape, float32 or float64
    out : numpy.ndarray of dy's shape and dtype, optional

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    TypeError, ValueError
        For dtypes, shapes, or an `out`, that cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_backward(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]))
    array([[ 0.25, -0.25]])
    """
    return backward(ActivationCode.SOFTMAX, dy, y, out)
