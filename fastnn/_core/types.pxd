# What the executor and the kernels share: enums, operands, ops, and the frame of a tile.
#
# The enums mirror those of fastnn/opcodes.py and ops.py; fastnn/run/runtime.py compares them at import.
# Nothing here knows Python objects.

ctypedef fused real:
    float
    double

cpdef enum Status:
    OK = 0
    NOT_FINITE = 1      # the loss of a step was not finite; the step's update was not made
    INTERRUPTED = 2     # a signal handler raised
    UNKNOWN_OP = 3
    ABANDONED = 4       # a signal handler forked; the child has no workers to go on with

cpdef enum OpCode:
    GATHER = 0
    ADD_BIAS = 1
    ACTIVATION = 2
    DENSE = 3
    ACTIVATION_BACKWARD = 4
    DENSE_BACKWARD = 5
    WEIGHT_GRADIENT = 6
    BIAS_GRADIENT = 7
    SQUARED_ERROR = 8
    CROSSENTROPY = 9
    SOFTMAX_CROSSENTROPY = 10
    BINARY_CROSSENTROPY = 11
    SIGMOID_CROSSENTROPY = 12
    CATEGORICAL_ACCURACY = 13
    BINARY_ACCURACY = 14
    WEIGHT_TOTAL = 15
    L2_PENALTY = 16
    L2_GRADIENT = 17
    SGD = 18
    MOMENTUM = 19
    ADAM = 20
    RMSPROP = 21
    SGD_DENSE = 22
    SGD_BIAS = 23
    TRANSPOSE = 24
    ADD = 25
    MULTIPLY = 26
    MAXIMUM = 27
    ROUTE = 28
    CONCATENATE = 29
    SLICE = 30
    AFFINE = 31
    ROW_SUM = 32
    BROADCAST = 33
    MAXOUT = 34
    MAXOUT_BACKWARD = 35
    ADD_GRADIENT = 36
    MULTICLASS_HINGE = 37
    GATED_ADD = 38
    GATE_GRADIENT = 39
    ADAM_DENSE = 40
    WEIGHT_DECAY = 41
    DROPOUT = 42
    GAUSSIAN_NOISE = 43
    POINTWISE_LOSS = 44
    THRESHOLD_COUNTS = 45
    BATCH_MOMENTS = 46
    NORMALIZE = 47
    MOMENT_GRADIENTS = 48
    NORMALIZE_BACKWARD = 49
    MOVING_AVERAGE = 50
    ADAGRAD = 51
    GRADIENT_SQUARES = 52
    SCALE_GRADIENT = 53
    CLIP_GRADIENT = 54
    EMBEDDING = 55
    EMBEDDING_GRADIENT = 56
    ROW_NORMALIZE = 57
    ROW_NORMALIZE_BACKWARD = 58
    ROW_NORMALIZE_GRADIENT = 59
    STANDARDIZE = 60
    PRELU = 61
    PRELU_GRADIENT = 62
    GAUSSIAN_DROPOUT = 63
    ALPHA_DROPOUT = 64
    DISCRETIZE = 65
    ENCODE_CATEGORIES = 66
    EXACT_ACCURACY = 67
    TOP_K_ACCURACY = 68
    CLASS_HITS = 69
    TARGET_MOMENTS = 70
    CONFUSION = 71
    ROWWISE_LOSS = 72
    AMSGRAD = 73
    RMSPROP_WITH = 74
    ADADELTA = 75
    ADAMAX = 76
    NADAM = 77
    FTRL = 78
    LION = 79
    LAMB = 80
    ADD_ACCUMULATED = 81
    KEEP_ACCUMULATED = 82
    AVERAGE_WEIGHTS = 83
    L1_PENALTY = 84
    L1_GRADIENT = 85
    CONSTRAIN_SIGNS = 86
    CONSTRAIN_NORMS = 87
    ACTIVITY_PENALTY = 88
    MUON = 89
    ORTHOGONAL_PENALTY = 90
    ROW_CORRELATION = 91
    SCALE_FEATURES = 92
    SCALE_FEATURES_GRADIENT = 93

cpdef enum ActivationCode:
    LINEAR = 0
    SIGMOID = 1
    TANH = 2
    RELU = 3
    SOFTMAX = 4
    LEAKY_RELU = 5
    ELU = 6
    EXPONENTIAL = 7
    RECIPROCAL = 8
    LOG = 9
    SOFTPLUS = 10
    SOFTSIGN = 11
    RELU6 = 12
    SELU = 13
    GELU = 14
    SILU = 15
    MISH = 16
    CELU = 17
    HARD_SIGMOID = 18
    HARD_SILU = 19
    HARD_TANH = 20
    LOG_SOFTMAX = 21
    LOG_SIGMOID = 22
    SQUAREPLUS = 23
    TANH_SHRINK = 24
    SOFT_SHRINK = 25
    HARD_SHRINK = 26
    THRESHOLD = 27
    RECTIFIER = 28
    SPARSE_PLUS = 29
    SPARSE_SIGMOID = 30

# What is true of activations here and in the table of fastnn/ops.py, which fastnn/run/runtime.py compares.
cdef inline bint is_row_wise(int activation) noexcept nogil:
    """Return whether an element depends on all of its row, so that no row may be cut."""
    return activation == ActivationCode.SOFTMAX or activation == ActivationCode.LOG_SOFTMAX


cdef inline bint needs_input(int activation) noexcept nogil:
    """Return whether the derivative is made of the input x; else of the output y."""
    return (
        activation == ActivationCode.LOG
        or activation == ActivationCode.GELU
        or activation == ActivationCode.SILU
        or activation == ActivationCode.MISH
        or activation == ActivationCode.HARD_SILU
        or activation == ActivationCode.TANH_SHRINK
        or activation == ActivationCode.THRESHOLD
        or activation == ActivationCode.RECTIFIER
    )


cpdef enum PointwiseCode:
    ABSOLUTE_ERROR = 0
    HUBER = 1
    PERCENTAGE_ERROR = 2
    LOGARITHMIC_ERROR = 3
    LOG_COSH = 4
    POISSON = 5
    HINGE = 6
    SQUARED_HINGE = 7
    QUANTILE = 8
    GAMMA = 9
    TWEEDIE = 10
    KL_DIVERGENCE = 11
    BINARY_FOCAL = 12
    QUANTILES = 13

cpdef enum RowwiseCode:
    COSINE_SIMILARITY = 0
    CATEGORICAL_HINGE = 1
    CATEGORICAL_FOCAL = 2
    GAUSSIAN = 3
    TVERSKY = 4
    GENERALIZED_CROSSENTROPY = 5

cpdef enum PathCode:
    BLAS = 0
    DIRECT = 1          # matmul.pxi
    COLUMNS = 2         # narrow.pxi: the batch is the fast axis
    BLOCKS = 3          # as DIRECT, but nothing is left to BLAS, whose threads are not ours to stop
    FEW_OUTPUTS = 4     # few_outputs.pxi: vectors along the inputs

# Along what a phase of a plan is cut into tiles.
cpdef enum Axis:
    ROWS = 0            # of the batch
    PARAMETER = 1       # rows of a parameter
    FEATURES = 2        # columns of what its op writes, for all rows of the batch

# From where an operand's rows are counted when a tile of it is addressed.
cpdef enum Addressing:
    FIXED = 0           # the operand's first row: parameters read whole, per-thread memory
    TILE = 1            # the tile's first row, counted in the batch or in the parameter
    STREAM_TILE = 2     # the same in an external array, counted from its first row
    STREAM = 3          # the batch's first row in an external array

cdef enum:
    MAX_OPERANDS = 8
    MAX_CONSTANTS = 16
    MAX_SCALARS = 3     # of an op
    N_ADDRESSINGS = 4
    N_PATHS = 5
    MAX_OPCODES = 128       # what tables have room for
    MAX_ACTIVATIONS = 32
    MOST_OUTPUTS = 4        # of the widest layer on the path FEW_OUTPUTS, and its inputs
    MOST_INPUTS = 1024

cdef struct Operand:
    int slot            # -1: absent
    int addressing
    Py_ssize_t offset   # elements from the slot's start
    Py_ssize_t columns  # elements per row; rows are adjacent

cdef struct Op:
    int code
    int activation
    int accumulator
    int path            # a PathCode: who multiplies matrices, and how tensors lie
    Operand operands[MAX_OPERANDS]
    double constants[MAX_CONSTANTS]     # of an op with an activation, that one's numbers
    int scalars[MAX_SCALARS]    # which of the step's

# What one thread sees while it runs ops on one tile.
cdef struct Frame:
    char** base                         # start of each slot
    Py_ssize_t row[N_ADDRESSINGS]       # first row, by addressing
    Py_ssize_t begin                    # the tile: rows of the batch or of a parameter
    Py_ssize_t end
    Py_ssize_t first_column             # of the part that a tile along features is
    Py_ssize_t n_columns                # 0: all
    Py_ssize_t rows                     # rows of the whole batch
    Py_ssize_t tile_rows                # rows of its tiles, but for the last
    Py_ssize_t origin                   # the batch's first row in the epoch
    const int* permutation              # row numbers of the epoch's order
    const double* scalars               # of the step: rates (Optimizer.scalars), then clip factors
    unsigned long long key              # of the step's random numbers
    double* sums                        # the tile's partial sums, one per accumulator

# What `_core/narrow.pxi` finds out about an op before it runs.
cdef struct Lane:
    int code            # a LaneCode; 0: the op runs elsewhere
    int kind            # of its activation
    bint update         # whether alpha and beta follow from the step's learning rate
    bint another        # an activation without a kind
    Py_ssize_t m
    Py_ssize_t n
    Py_ssize_t k
    Py_ssize_t lanes    # 0: of several blocks
    double alpha
    double beta
    double factor

cdef struct Bound

# Runs an op on one tile; `at` are the addresses of its operands.
ctypedef Status (*FloatKernel)(float** at, const Bound* bound, const Frame* frame) noexcept nogil
ctypedef Status (*DoubleKernel)(double** at, const Bound* bound, const Frame* frame) noexcept nogil

cdef union Kernel:
    FloatKernel of_float
    DoubleKernel of_double

# An op on one tile, with the addresses of its operands: NULL if one is absent.
cdef struct Bound:
    const Op* op
    Kernel kernel       # set by `prepare`
    Py_ssize_t begin
    Py_ssize_t end
    Py_ssize_t first_column
    Py_ssize_t n_columns
    Lane lane
    void* operands[MAX_OPERANDS]


cdef inline void bind(Bound* bound, const Op* op, const Frame* frame, Py_ssize_t itemsize) noexcept nogil:
    """OUT bound: the op on the frame's tile."""
    cdef const Operand* operand
    cdef int i
    bound.op, bound.begin, bound.end = op, frame.begin, frame.end
    bound.lane.code = 0
    bound.first_column, bound.n_columns = frame.first_column, frame.n_columns
    for i in range(MAX_OPERANDS):
        operand = &op.operands[i]
        bound.operands[i] = NULL
        if operand.slot >= 0:
            bound.operands[i] = frame.base[operand.slot] + itemsize * (
                operand.offset + frame.row[operand.addressing] * operand.columns
            )


ctypedef Status (*RunOps)(const Op* ops, Py_ssize_t count, const Frame* frame) noexcept nogil
ctypedef Status (*RunBound)(const Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil

ctypedef void (*Prepare)(bint is_double, Bound* bound, Py_ssize_t count, const Frame* frame) noexcept nogil

# The value of an activation, y, and what a gradient dy becomes by its derivative, given `from_`: y, or where
# `needs_input` says so, x.  `c` are the activation's numbers.
ctypedef void (*FloatForward)(
    float* y, const float* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil
ctypedef void (*DoubleForward)(
    double* y, const double* x, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil
ctypedef void (*FloatBackward)(
    float* dx, const float* dy, const float* from_, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil
ctypedef void (*DoubleBackward)(
    double* dx, const double* dy, const double* from_, const double* c, Py_ssize_t m, Py_ssize_t n
) noexcept nogil

# Of one dtype; NULL: this path cannot do this op.
cdef struct Kernels:
    Kernel cells[N_PATHS][MAX_OPCODES]
    RunOps run
    RunBound run_bound

# One per SIMD level; `name` is that of the level.
cdef struct KernelTable:
    Kernels of[2]           # float32, float64
    FloatForward float_forward[MAX_ACTIVATIONS]
    DoubleForward double_forward[MAX_ACTIVATIONS]
    FloatBackward float_backward[MAX_ACTIVATIONS]
    DoubleBackward double_backward[MAX_ACTIVATIONS]
    Prepare prepare         # bound ops, before they are run, maybe again and again
    # Counts the elements that are NaN or infinite.
    Py_ssize_t (*nonfinite)(bint is_double, const void* x, Py_ssize_t size) noexcept nogil
    const char* name
