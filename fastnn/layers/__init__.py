"""Layers: descriptions that models are made of, with Keras's names where Keras has them.

==============================  ==========================================================================
with weights                    `Dense`, `Maxout`, `WeightedSum`, `PReLU`, `FeatureScale`
normalising                     `BatchNormalization`; row by row `LayerNormalization`, `RMSNormalization`,
                                `UnitNormalization`
vectors for categories          `Embedding`
a function of every element     `Activation`, `ReLU`, `LeakyReLU`, `ELU`, `Exp`, `Log`, `Reciprocal`,
                                `Negate`, `Scale`, `Shift`, `Square`; of a row `Softmax`, `Sum`;
                                by its name, as in ``Activation("gelu")``, any of `fastnn.activations`
a function of yours             `Lambda`, of operators and layers without weights
where a graph begins            `Input`, and `InputLayer`, what a model has among its layers for it
preprocessing                   `Normalization`, `Rescaling`, `Discretization`, `CategoryEncoding`
penalties on what is computed   `ActivityRegularization`
no arithmetic, no cost          `Identity`, `Flatten`, `Reshape` to the width that is there
random, in training only         `Dropout`, `AlphaDropout`, `GaussianDropout`, `GaussianNoise`
several tensors become one      `Add`, `Subtract`, `Multiply`, `Average`, `Maximum`, `Minimum`,
                                `Concatenate`, `Dot`, and `add`, ... as functions
written down                    `serialize`, `deserialize`
==============================  ==========================================================================
"""

from typing import Any

from fastnn.absent import attribute_error
from fastnn.layers._activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from fastnn.layers._activity import ActivityRegularization
from fastnn.layers._base import Layer
from fastnn.layers._categories import CategoryEncoding, Discretization
from fastnn.layers._dense import Dense, Maxout
from fastnn.layers._dot import Dot
from fastnn.layers._embedding import Embedding
from fastnn.layers._feature_scale import FeatureScale
from fastnn.layers._functions import (
    add,
    average,
    concatenate,
    dot,
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
from fastnn.layers._input import Input, InputLayer
from fastnn.layers._lambda import Lambda
from fastnn.layers._normalization import BatchNormalization
from fastnn.layers._prelu import PReLU
from fastnn.layers._preprocessing import Normalization, Rescaling
from fastnn.layers._random import AlphaDropout, Dropout, GaussianDropout, GaussianNoise
from fastnn.layers._row_normalization import LayerNormalization, RMSNormalization, UnitNormalization
from fastnn.layers._shapes import Flatten, Identity, Reshape
from fastnn.layers._written import deserialize, serialize

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "CategoryEncoding",
    "Concatenate",
    "Dense",
    "Discretization",
    "Dot",
    "Dropout",
    "Embedding",
    "Exp",
    "FeatureScale",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "Input",
    "InputLayer",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Log",
    "Maximum",
    "Maxout",
    "Minimum",
    "Multiply",
    "Negate",
    "Normalization",
    "PReLU",
    "RMSNormalization",
    "ReLU",
    "Reciprocal",
    "Rescaling",
    "Reshape",
    "Scale",
    "Shift",
    "Softmax",
    "Square",
    "Subtract",
    "Sum",
    "UnitNormalization",
    "WeightedSum",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
