"""The numbers of ops, by which plans and kernels name them.

They stand in `_core/types.pxd` as well; `runtime.py` compares them at import.  This file must not know what
ops are.
"""

from __future__ import annotations

import enum

__all__ = ["OpCode"]


class OpCode(enum.IntEnum):
    """What an op does; `run/reference/` holds the definition of each."""

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
