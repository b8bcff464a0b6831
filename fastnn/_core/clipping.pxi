# What limits gradients before the updates: the squares that norms are made of, and two ways to change them.
# The factor of a norm is made between two phases, by `make_factors` in run.pxd.

cdef void scale_gradient(real* dw, double factor_, Py_ssize_t size) noexcept nogil:
    """INOUT dw *= factor; most steps have the factor 1, and touch nothing."""
    cdef Py_ssize_t i
    cdef real factor = <real>factor_
    if factor == 1:
        return
    for i in range(size):
        dw[i] = factor * dw[i]


cdef void clip_gradient(real* dw, double limit_, Py_ssize_t size) noexcept nogil:
    """INOUT dw within -limit and limit; NaN stays NaN."""
    cdef Py_ssize_t i
    cdef real limit = <real>limit_
    for i in range(size):
        dw[i] = limit if dw[i] > limit else (-limit if dw[i] < -limit else dw[i])


cdef Status gradient_squares_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    return add_total(bound, frame, sum_of_squares(at[0], size_of(bound)))


enter(PathCode.BLAS, OpCode.GRADIENT_SQUARES, gradient_squares_op[float], gradient_squares_op[double])


cdef Status scale_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    scale_gradient(at[0], frame.scalars[bound.op.scalars[0]], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.SCALE_GRADIENT, scale_gradient_op[float], scale_gradient_op[double])


cdef Status clip_gradient_op(real** at, const Bound* bound, const Frame* frame) noexcept nogil:
    clip_gradient(at[0], constants_of(bound)[0], size_of(bound))
    return Status.OK


enter(PathCode.BLAS, OpCode.CLIP_GRADIENT, clip_gradient_op[float], clip_gradient_op[double])
