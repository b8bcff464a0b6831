# What lies between the doors of `api.pyx` and the kernels: checks of arrays and names, then one op.

_ndarray = np.ndarray
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_LIMIT = 2**31 - 1
_INFINITY = float("inf")

# What comes from above, which the core does not import; see `equip`.
_errors = _checks = _as_numbers = None
_activations = {}   # codes and numbers by name


def equip(errors, checks, as_numbers, activations):
    """Hand doors what they need from above; none may be called before.

    Parameters
    ----------
    errors : module
        `fastnn.errors`, whose exceptions doors raise.
    checks : module
        `fastnn.checks`.
    as_numbers : callable
        `fastnn.border.numeric.as_numbers`.
    activations : dict of str to (int, tuple of float)
        The code of each activation, and its numbers unless told otherwise.
    """
    global _errors, _checks, _as_numbers, _activations
    _errors, _checks, _as_numbers, _activations = errors, checks, as_numbers, activations


def _operand(value, name, dtype=None):
    """Return `value` as an aligned C-order array of float32 or float64, copied only if it is not one."""
    array = value if type(value) is np.ndarray else _as_numbers(value, name)
    native = array.dtype.newbyteorder("=")
    if native not in _FLOATS:
        _as_numbers(array, name)    # says so if these are no numbers at all
        raise _errors.DTypeError(
            f"{name} must be float32 or float64, got {array.dtype}; convert it with astype"
        )
    if dtype is not None and native != dtype:
        raise _errors.DTypeError(
            f"{name} is {array.dtype}, but the first array is {dtype}; use one dtype for all"
        )
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned and array.dtype.isnative):
        array = np.require(array, dtype=native, requirements="CA")
    return array


def _matrix(value, name, dtype=None):
    array = _operand(value, name, dtype)
    if array.ndim != 2:
        raise _errors.ShapeError(f"{name} must have 2 dimensions (rows, columns), got shape {array.shape}")
    if array.shape[0] > _LIMIT or array.shape[1] > _LIMIT:
        raise _errors.ShapeError(
            f"{name} has shape {array.shape}; a dimension over {_LIMIT} does not fit BLAS"
        )
    return array


def _result(out, shape, dtype, inputs, in_place):
    """Return the array to write: `out` once checked, or a new one."""
    if out is None:
        return np.empty(shape, dtype)
    if type(out) is not np.ndarray or out.dtype != dtype or out.shape != shape or not out.flags.carray:
        raise _unfit(out, shape, dtype)
    for array in inputs:
        if array is not None and np.may_share_memory(out, array):
            if not (in_place and out.ctypes.data == array.ctypes.data and out.shape == array.shape):
                how = " other than element for element" if in_place else ""
                raise _errors.DataError(f"out overlaps an operand{how}; give an array of its own")
    return out


def _unfit(out, shape, dtype):
    """Return the error for an `out` that cannot be written to as it is."""
    if type(out) is not np.ndarray:
        kind = type(out).__name__
        hint = "; give np.asarray(out)" if isinstance(out, np.ndarray) else ""
        article = "an" if kind[0] in "aeiou" else "a"
        return _errors.DTypeError(f"out must be a numpy.ndarray, got {article} {kind}{hint}")
    if out.dtype.newbyteorder("=") != dtype:
        return _errors.DTypeError(f"out must be {dtype}, as the operands are, got {out.dtype}")
    if not out.dtype.isnative:
        return _errors.DTypeError(
            f"out is {dtype} in the other byte order, {out.dtype.str!r}; give one in the machine's"
        )
    if out.shape != shape:
        return _errors.ShapeError(f"out must have shape {shape}, got {out.shape}")
    faults = []
    if not out.flags.writeable:
        faults.append("is read-only")
    if not out.flags.c_contiguous:
        transposed = out.flags.f_contiguous
        faults.append(
            "is in Fortran order, as a transpose is" if transposed
            else "has gaps between its numbers, as a slice may"
        )
    if not out.flags.aligned:
        faults.append(f"does not begin at a multiple of {dtype.itemsize} bytes")
    return _errors.DataError(
        f"out {' and '.join(faults)}; give an array that can be written in C order, such as "
        f"np.empty({shape}, {dtype.name!r})"
    )


def _not_negative(value, name):
    if type(value) is float and 0 <= value < _INFINITY:     # `check_number` takes longer
        return value
    return _checks.check_number(value, name, 0.0)


def _activation(name):
    """Return the code of an activation, and its numbers."""
    if name is None:
        return 0, ()
    if not isinstance(name, str):
        raise _errors.DTypeError(
            f"activation must be a name, such as 'relu', or None, got {_checks.shown(name)}"
        )
    if name not in _activations:
        raise _errors.unknown_name("activation", name, _activations)
    return _activations[name]


cdef void put_numbers(Op* op, tuple numbers):
    """OUT op.constants: the numbers of its activation."""
    cdef int i
    for i in range(len(numbers)):
        op.constants[i] = numbers[i]


cdef int run_one(OpCode code, int activation, bint double, Py_ssize_t end, Py_ssize_t rows, tuple arrays,
                 tuple columns, int n_tiled, tuple numbers=()) except -1:
    """Run one op on arrays that were checked; the first is written, `n_tiled` of them are cut into tiles.

    The op runs along `end` rows, of a batch or a parameter; `rows` are those of the batch.
    """
    cdef Py_buffer views[MAX_OPERANDS]
    cdef char* base[MAX_OPERANDS]
    cdef Op op
    cdef Frame frame
    cdef int i, opened = 0
    cdef double minus_one = -1.0
    need_table()
    memset(&op, 0, sizeof(Op))
    memset(&frame, 0, sizeof(Frame))
    op.code, op.activation = code, activation
    put_numbers(&op, numbers)
    frame.base, frame.rows, frame.scalars = base, rows, &minus_one     # updates add the gradient
    for i in range(MAX_OPERANDS):
        op.operands[i].slot = -1
    try:
        for i in range(len(arrays)):
            if arrays[i] is None:
                PyObject_GetBuffer(b"", &views[i], PyBUF_SIMPLE)
            else:
                PyObject_GetBuffer(arrays[i], &views[i], PyBUF_SIMPLE if i else PyBUF_WRITABLE)
                op.operands[i].slot = i
                op.operands[i].columns = columns[i]
                op.operands[i].addressing = Addressing.TILE if i < n_tiled else Addressing.FIXED
            base[i] = <char*>views[i].buf
            opened += 1
        if code in (OpCode.BIAS_GRADIENT, OpCode.SGD_BIAS):
            share(&op, &frame, double, False, end, end, 0)
        elif code in (OpCode.ACTIVATION, OpCode.ACTIVATION_BACKWARD):
            share_activation(&op, &frame, double, end * columns[0], columns[0])
        else:
            share_product(&op, &frame, double, end)
    finally:
        for i in range(opened):
            PyBuffer_Release(&views[i])
    return 0


cdef bint run_as_given(OpCode code, int activation, tuple numbers, out, first, second):
    """Run an op of an activation on arrays if they need neither copies nor an explanation; return whether.

    Looking at three buffers takes 0.3 us, checks in Python 1.2, as long as a kernel on 10 000 numbers.
    """
    cdef Py_buffer views[3]
    cdef char* base[MAX_OPERANDS]
    cdef Op op
    cdef Frame frame
    cdef Py_ssize_t i, n, count = 2 if second is None else 3, opened = 0
    cdef bint fit = True
    cdef tuple arrays = (out, first, second)
    for i in range(count):
        if type(arrays[i]) is not _ndarray:
            return False
    need_table()
    try:
        for i in range(count):
            PyObject_GetBuffer(
                arrays[i], &views[i], PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if i == 0 else 0)
            )
            opened += 1
            fit = fit and views[i].ndim == views[0].ndim > 0 and 0 < views[i].len == views[0].len
            fit = fit and views[i].format[0] == views[0].format[0] and views[i].format[1] == 0
            fit = fit and <size_t>views[i].buf % views[i].itemsize == 0
            for n in range(views[0].ndim if fit else 0):
                fit = fit and views[i].shape[n] == views[0].shape[n]
            # Only the first input may be written over, and only element for element.
            if i > 0 and (i > 1 or views[i].buf != views[0].buf):
                fit = fit and (
                    <char*>views[i].buf + views[i].len <= <char*>views[0].buf
                    or <char*>views[0].buf + views[0].len <= <char*>views[i].buf
                )
            base[i] = <char*>views[i].buf
        if not fit or (views[0].format[0] != c"f" and views[0].format[0] != c"d"):
            return False
        n = views[0].len // views[0].itemsize
        memset(&op, 0, sizeof(Op))
        memset(&frame, 0, sizeof(Frame))
        op.code, op.activation = code, activation
        put_numbers(&op, numbers)
        frame.base = base
        for i in range(MAX_OPERANDS):
            op.operands[i].slot = <int>i if i < count else -1
        share_activation(&op, &frame, views[0].format[0] == c"d", n, views[0].shape[views[0].ndim - 1])
        return True
    except (BufferError, ValueError):
        return False
    finally:
        for i in range(opened):
            PyBuffer_Release(&views[i])


cdef run_rows(OpCode code, int activation, tuple numbers, tuple arrays):
    """Run an op of an activation on checked arrays of one shape, of which the first is written."""
    first = arrays[0]
    cdef Py_ssize_t n = first.shape[first.ndim - 1] if first.ndim else 1
    cdef Py_ssize_t m = first.size // n
    if not run_as_given(code, activation, numbers, first, arrays[1], arrays[2] if len(arrays) > 2 else None):
        run_one(code, activation, first.itemsize == 8, m, m, arrays, (n,) * len(arrays), len(arrays), numbers)


cpdef activate(int activation, tuple numbers, z, out=None):
    """Return an activation of an array; `numbers`, which were checked, are those of its options."""
    given = np.empty_like(z) if out is None and type(z) is _ndarray else out
    if run_as_given(OpCode.ACTIVATION, activation, numbers, given, z, None):
        return given
    z = _operand(z, "z")
    out = _result(out, z.shape, z.dtype, (z,), True)
    if z.size:
        run_rows(OpCode.ACTIVATION, activation, numbers, (out, z))
    return out


cpdef derive(int activation, tuple numbers, dy, y, out=None):
    """Return `dy` times the derivative of an activation, made of its output y or, for some, its input."""
    given = np.empty_like(dy) if out is None and type(dy) is _ndarray else out
    if y is not None and run_as_given(OpCode.ACTIVATION_BACKWARD, activation, numbers, given, dy, y):
        return given
    dy = _operand(dy, "dy")
    name = "z" if needs_input(activation) else "y"
    y = _operand(y, name, dy.dtype)
    if y.shape != dy.shape:
        raise _errors.ShapeError(f"{name} must have dy's shape {dy.shape}, got {y.shape}")
    out = _result(out, dy.shape, dy.dtype, (dy,), True)
    # Where dy is y, element for element, that was just checked.
    if np.may_share_memory(out, y) and y.ctypes.data != dy.ctypes.data:
        raise _errors.DataError(f"out overlaps {name}; only dy may be overwritten")
    if dy.size:
        run_rows(OpCode.ACTIVATION_BACKWARD, activation, numbers, (out, dy, y))
    return out
