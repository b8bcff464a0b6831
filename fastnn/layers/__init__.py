"""Layers: descriptions that models are made of, with Keras's names where Keras has them.

==============================  ==========================================================================
with weights                    `Dense`, `Maxout`, `WeightedSum`, `BatchNormalization`
vectors for categories          `Embedding`
a function of every element     `Activation`, `ReLU`, `LeakyReLU`, `ELU`, `Exp`, `Log`, `Reciprocal`,
                                `Negate`, `Scale`, `Shift`, `Square`; of a row `Softmax`, `Sum`;
                                by its name, as in ``Activation("gelu")``, any of `fastnn.activations`
random, in training only         `Dropout`, `GaussianNoise`
several tensors become one      `Add`, `Subtract`, `Multiply`, `Average`, `Maximum`, `Minimum`,
                                `Concatenate`, and `add`, ... as functions
==============================  ==========================================================================
"""

from typing import Any

from fastnn.absent import attribute_error
from fastnn.layers._activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from fastnn.layers._base import Input, Layer
from fastnn.layers._dense import Dense, Maxout
from fastnn.layers._embedding import Embedding
from fastnn.layers._functions import (
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)
from fastnn.layers._gates import (
    Add,
    Average,
    Concatenate,
    Exp,
    Log,
    Maximum,
    Minimum,
    Multiply,
    Negate,
    Reciprocal,
    Scale,
    Shift,
    Square,
    Subtract,
    Sum,
    WeightedSum,
)
from fastnn.layers._normalization import BatchNormalization
from fastnn.layers._random import Dropout, GaussianNoise

__all__ = [
    "ELU",
    "Activation",
    "Add",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "Exp",
    "GaussianNoise",
    "Input",
    "Layer",
    "LeakyReLU",
    "Log",
    "Maximum",
    "Maxout",
    "Minimum",
    "Multiply",
    "Negate",
    "ReLU",
    "Reciprocal",
    "Scale",
    "Shift",
    "Softmax",
    "Square",
    "Subtract",
    "Sum",
    "WeightedSum",
    "add",
    "average",
    "concatenate",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
