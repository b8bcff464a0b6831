"""NumPy doors to single kernels: `fastnn.kernels`.

Each door checks its arrays, then runs one op through the same function table as a whole plan,
without the GIL.
"""

import numpy as np


from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.string cimport memset

from fastnn._core.pool cimport Workers, hire, note_work, wanted_workers
from fastnn._core.table cimport kernel_table, need_table
from fastnn._core.tiles cimport Tiles, check_status, share_tiles
from fastnn._core.tuning cimport (
    BACKWARD_ROWS, BLAS_THREADS_FROM, ELEMENTS_PER_NANOSECOND, FEW_DOUBLE_ROWS, FLOPS_PER_NANOSECOND, OP_WORK,
    PARTS, PIECE, PRODUCT_STEP, SUMMED_ROWS, UNCUT,
)
from fastnn._core.types cimport (
    MAX_OPERANDS, MOST_INPUTS, MOST_OUTPUTS, Addressing, Frame, Op, OpCode, PathCode, Status, is_row_wise,
    needs_input,
)

include "sharing.pxi"
include "border.pxi"


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
        A name of `fastnn.activations`, None is linear.  The slope of ``"leaky_relu"`` is 0.2, not 0.3 as
        that of the layer `LeakyReLU`; the scale of ``"elu"`` is 1.
    out : numpy.ndarray, (m, n), of x's dtype, optional
        Where to write the result; may not overlap an operand.

    Returns
    -------
    numpy.ndarray, (m, n)
        `out` if it was given.

    Raises
    ------
    DTypeError
        For a dtype that is not float32 or float64, or that differs.
    ShapeError
        For shapes that do not fit.
    ConfigurationError
        For an unknown activation.
    DataError
        If `out` cannot be written to, or overlaps an operand.

    Examples
    --------
    >>> import numpy as np
    >>> dense_forward(np.ones((1, 2)), np.array([[1.0, -1.0], [2.0, -2.0]]), activation="relu")
    array([[3., 0.]])
    """
    code, numbers = _activation(activation)
    x = _matrix(x, "x")
    w = _matrix(w, "w", x.dtype)
    m, k = x.shape
    n = w.shape[1]
    if w.shape[0] != k:
        raise _errors.ShapeError(f"x has {k} columns but w has {w.shape[0]} rows; they must agree")
    if b is not None:
        b = _operand(b, "b", x.dtype)
        if b.shape != (n,):
            raise _errors.ShapeError(f"b must have shape ({n},) to match w, got {b.shape}")
    out = _result(out, (m, n), x.dtype, (x, w, b), False)
    if m and n:
        run_one(
            OpCode.DENSE, code, x.itemsize == 8, m, m, (out, x, w, b), (n, k, n, n), 2,
            numbers,
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
        A name of `fastnn.activations`, None is linear.  The slope of ``"leaky_relu"`` is 0.2, not 0.3 as
        that of the layer `LeakyReLU`; the scale of ``"elu"`` is 1.
    need_dx : bool
        Whether to compute `dx`.

    Returns
    -------
    dx : numpy.ndarray, (m, k), or None
    dw : numpy.ndarray, (k, n)
    db : numpy.ndarray, (n,)

    Raises
    ------
    DTypeError
        For a dtype that is not float32 or float64, or that differs.
    ShapeError
        For shapes that do not fit.
    ConfigurationError
        For an unknown activation, or a missing `y`.

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
    code, numbers = _activation(activation)
    need_dx = _checks.check_flag(need_dx, "need_dx")
    dy = _matrix(dy, "dy")
    x = _matrix(x, "x", dy.dtype)
    w = _matrix(w, "w", dy.dtype)
    m, n = dy.shape
    k = x.shape[1]
    if x.shape[0] != m:
        raise _errors.ShapeError(f"dy has {m} rows but x has {x.shape[0]}; they must agree")
    if w.shape != (k, n):
        raise _errors.ShapeError(f"w must have shape ({k}, {n}) to match x and dy, got {w.shape}")
    double = dy.itemsize == 8
    if code:
        if y is None:
            raise _errors.ConfigurationError(f"activation {activation!r} needs y, the forward's output")
        if needs_input(code):
            raise _errors.ConfigurationError(
                f"the derivative of {activation} is one of z, not of its output; multiply dy by what it is "
                "at z, and leave the activation out"
            )
        y = _matrix(y, "y", dy.dtype)
        if y.shape != dy.shape:
            raise _errors.ShapeError(f"y must have dy's shape {dy.shape}, got {y.shape}")
    make = np.empty if m and n and k else np.zeros      # what kernels write need not be anything before
    dw, db = make((k, n), dy.dtype), make(n, dy.dtype)
    dx = make((m, k), dy.dtype) if need_dx else None
    if not (m and n):
        return dx, dw, db
    # Not all rows at once, so that the gradient before the activation stays in a cache.
    dz = np.empty((min(m, BACKWARD_ROWS), n), dy.dtype) if code else None
    totals = None
    for begin in range(0, m, BACKWARD_ROWS):
        rows = min(m - begin, BACKWARD_ROWS)
        upstream = rows_of(dy, begin)
        if code:
            given, upstream = upstream, dz[:rows] if rows < len(dz) else dz
            run_one(
                OpCode.ACTIVATION_BACKWARD, code, double, rows, rows, (upstream, given, rows_of(y, begin)),
                (n, n, n), 3, numbers,
            )
        first = begin == 0 if double else begin % SUMMED_ROWS == 0
        if first and begin:
            totals = added(totals, dw, db)
        # What the first rows gave becomes less by -1 times the gradient of the others.
        op = OpCode.BIAS_GRADIENT if first else OpCode.SGD_BIAS
        run_one(op, 0, double, 1, rows, (db, upstream), (n, n), 0)
        if k:
            op = OpCode.WEIGHT_GRADIENT if first else OpCode.SGD_DENSE
            run_one(op, 0, double, k, rows, (dw, rows_of(x, begin), upstream), (n, k, n), 1)
            if need_dx:
                results = rows_of(dx, begin)
                run_one(OpCode.DENSE_BACKWARD, 0, double, rows, rows, (results, upstream, w), (k, n, n), 2)
    if totals is not None:
        with np.errstate(all="ignore"):     # what is not finite shows in the results
            dw[...], db[...] = added(totals, dw, db)
    return dx, dw, db


cdef tuple added(tuple totals, dw, db):
    """Return two gradients plus what was added up before, if anything, in float64."""
    if totals is None:
        return dw.astype(np.float64), db.astype(np.float64)
    with np.errstate(all="ignore"):
        return totals[0] + dw, totals[1] + db


cdef rows_of(array, Py_ssize_t begin):
    """Return the rows that `dense_backward` takes at once."""
    return array if len(array) <= BACKWARD_ROWS else array[begin : begin + BACKWARD_ROWS]


def make_doors(int code, option=None, default=0.0):
    """Return the doors to an activation and to its derivative, which get names and texts above.

    Parameters
    ----------
    code : int
        Of the activation.
    option : {"negative_slope", "alpha"}, optional
        What they call its slope or scale, if it has one.
    default : float
        What that is unless told otherwise.

    Returns
    -------
    tuple of two functions
        ``(z, out=None)`` and ``(dy, y, out=None)``, both with `option` behind.
    """
    if option is None:
        def plain_forward(z, out=None):
            return activate(code, (), z, out)

        def plain_backward(dy, y, out=None):
            return derive(code, (), dy, y, out)

        return plain_forward, plain_backward

    if option == "negative_slope":
        def sloped_forward(z, out=None, negative_slope=default):
            return activate(code, (_not_negative(negative_slope, "negative_slope"),), z, out)

        def sloped_backward(dy, y, out=None, negative_slope=default):
            return derive(code, (_not_negative(negative_slope, "negative_slope"),), dy, y, out)

        return sloped_forward, sloped_backward

    if option == "alpha":
        def scaled_forward(z, out=None, alpha=default):
            return activate(code, (_not_negative(alpha, "alpha"),), z, out)

        def scaled_backward(dy, y, out=None, alpha=default):
            return derive(code, (_not_negative(alpha, "alpha"),), dy, y, out)

        return scaled_forward, scaled_backward

    raise ValueError(f"no door calls its slope or scale {option!r}")
