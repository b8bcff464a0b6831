"""Single kernels as NumPy functions: arrays in, arrays out, `out=`.

Names and argument order are fixed.  Activations of large arrays use as many threads as `fastnn.threads`
says; so do large products with AVX-512, elsewhere they use those of BLAS.  Exceptions are
those of `fastnn.errors`.
"""

from fastnn import checks, errors
from fastnn._core.api import (
    count_threads_by,
    dense_backward,
    dense_forward,
    elu_backward,
    elu_forward,
    equip,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    softmax_backward,
    softmax_forward,
    softplus_backward,
    softplus_forward,
    tanh_backward,
    tanh_forward,
)
from fastnn.numeric import as_numbers
from fastnn.ops import alphas
from fastnn.runtime import default_threads

__all__ = [
    "dense_backward",
    "dense_forward",
    "elu_backward",
    "elu_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "softmax_backward",
    "softmax_forward",
    "softplus_backward",
    "softplus_forward",
    "tanh_backward",
    "tanh_forward",
]


def __dir__() -> list[str]:
    return __all__


# The core imports nothing from above, so what it needs from there is handed down.
equip(errors, checks, as_numbers, alphas())
count_threads_by(default_threads)
