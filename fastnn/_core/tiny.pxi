# Nets that registers hold, float32 with AVX-512: whole steps at once, see tiny.h.

cdef extern from "fastnn/_core/tiny.h":
    bint HAS_TINY "FASTNN_HAS_TINY"
    Py_ssize_t tiny_steps "fastnn_tiny_steps"(
        const Tiny* net, Py_ssize_t origin, Py_ssize_t count, double* sum, double* powers
    ) noexcept nogil


cdef inline TinyWeight* find_weight(TinyWeight* weights, int depth, const void* w) noexcept nogil:
    """Return the one of kernels or biases that is in memory `w`, or NULL."""
    cdef int layer
    for layer in range(depth):
        if weights[layer].w == w:
            return weights + layer
    return NULL


cdef bint prepare_tiny(Tiny* net, const Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil:
    """OUT net: what the ops of a step, prepared by `prepare_lane`, do; return whether they are of this kind.

    They are if they make a chain of few layers from a squared error back to all of its weights, and nothing
    else: each of these ops has one meaning only, so it is enough to follow the chain forward and to count.
    """
    cdef const Op* op
    cdef const double* c
    cdef const void* y = NULL
    cdef const void* targets = NULL
    cdef TinyWeight* weight = NULL
    cdef Py_ssize_t i
    cdef int layer, n_biases = 0, n_back = 0, n_updates = 0, n_gradients = 0, n_adam = 0
    cdef bint compared = False, derived = False
    if not HAS_TINY or frame.rows > LANES or frame.rows > frame.tile_rows:
        return False
    memset(net, 0, sizeof(Tiny))
    net.m, net.rate, net.alpha = frame.rows, frame.learning_rate, <float>(-frame.learning_rate)
    for i in range(count):
        op, layer = bound[i].op, net.depth
        c = <const double*>op.constants
        if op.code != OpCode.ADAM and bound[i].lane.code == LaneCode.ELSEWHERE:
            return False
        if bound[i].lane.another and op.activation != ActivationCode.TANH:
            return False
        if op.code == OpCode.GATHER or op.code == OpCode.TRANSPOSE:
            if op.code == OpCode.GATHER:
                net.rows = frame.permutation
            if net.x == NULL:
                net.x, y = <const float*>bound[i].operands[1], bound[i].operands[0]
                net.widths[0] = bound[i].lane.n
            else:
                net.t, targets = <const float*>bound[i].operands[1], bound[i].operands[0]
        elif op.code == OpCode.DENSE:
            if layer == TINY_DEPTH or bound[i].operands[1] != y:
                return False
            net.kernels[layer].w = <float*>bound[i].operands[2]
            net.biases[layer].w = <float*>bound[i].operands[3]
            n_biases += net.biases[layer].w != NULL
            net.widths[layer + 1], net.kinds[layer] = bound[i].lane.n, bound[i].lane.kind
            net.depth, y = layer + 1, bound[i].operands[0]
        elif op.code == OpCode.SQUARED_ERROR:
            if compared or bound[i].operands[1] != y or (targets != NULL and bound[i].operands[2] != targets):
                return False
            if targets == NULL:
                if net.rows != NULL or bound[i].lane.n != 1:
                    return False
                net.t = <const float*>bound[i].operands[2]
            net.error_step, net.factor, compared = bound[i].lane.alpha, bound[i].lane.factor, True
        elif op.code == OpCode.ACTIVATION_BACKWARD:
            if derived:
                return False
            derived = True
        elif op.code == OpCode.DENSE_BACKWARD:
            n_back += 1
        elif op.code == OpCode.SGD_DENSE or op.code == OpCode.SGD_BIAS:
            weight = find_weight(&net.kernels[0], layer, bound[i].operands[0])
            if weight == NULL:
                weight = find_weight(&net.biases[0], layer, bound[i].operands[0])
            if weight == NULL:
                return False
            weight.keep = bound[i].lane.beta
            n_updates += 1
        elif op.code == OpCode.WEIGHT_GRADIENT or op.code == OpCode.BIAS_GRADIENT:
            n_gradients += 1
        elif op.code == OpCode.ADAM:
            weight = find_weight(&net.kernels[0], layer, bound[i].operands[0])
            if weight == NULL:
                weight = find_weight(&net.biases[0], layer, bound[i].operands[0])
            if weight == NULL:
                return False
            weight.m, weight.v = <float*>bound[i].operands[1], <float*>bound[i].operands[2]
            weight.decay = <float>(2.0 * c[0])
            net.beta_1, net.beta_2, net.epsilon = c[1], c[2], <float>c[3]
            net.a, net.b = <float>(1.0 - c[1]), <float>(1.0 - c[2])
            n_adam += 1
        else:
            return False
    net.adam = n_adam > 0
    for layer in range(net.depth + 1):
        if net.widths[layer] > TINY_WIDTH:
            return False
    return (
        compared and n_back == net.depth - 1
        and derived == (net.kinds[net.depth - 1] != OF_NOTHING)
        and n_updates + n_adam == net.depth + n_biases
        and n_gradients == n_adam and (n_adam == 0 or n_updates == 0)
    )


cdef Py_ssize_t run_tiny(
    const Tiny* net, Py_ssize_t origin, Py_ssize_t count, double* sum_, double* powers
) noexcept nogil:
    return tiny_steps(net, origin, count, sum_, powers)
