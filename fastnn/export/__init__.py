"""Models and estimators for other runtimes, and weights from other libraries.

`to_onnx` and `to_c` write models down; `from_torch`, `to_torch`, `from_keras` and `from_sklearn` carry
weights across.  Other libraries are imported when they are needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.errors import ConfigurationError
from fastnn.export.estimators import is_estimator
from fastnn.export.files import write_files
from fastnn.export.forward import forward_of
from fastnn.export.weights import from_keras, from_sklearn, from_torch, to_torch
from fastnn.graph.nests import leaves, packed
from fastnn.ops import Numbers

__all__ = ["CFiles", "from_keras", "from_sklearn", "from_torch", "to_c", "to_onnx", "to_torch"]

_GOLDEN_ROWS = 8
# fmt: off
_C_WORDS = frozenset((
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum",
    "extern", "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return",
    "short", "signed", "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void",
    "volatile", "while", "main", "real", "work", "whole",
))
# fmt: on


def __dir__() -> list[str]:
    return __all__


def to_onnx(model: Any, path: str | os.PathLike[str] | None = None) -> Any:
    """Return a model or an estimator as an ONNX graph, and write it to a file if there is a path.

    Inputs and outputs of a model have the names of `Input` and of the layers that make them, the model's
    dtype, and any number of rows; indices are int64. The operators are those of opset 17. What only training
    does, such as Dropout, is left out.

    An estimator has the input ``X``, or one for each column of a table, and the outputs ``label`` and
    ``probabilities``, or ``variable`` if it predicts numbers; docs/export.md has the steps of a Pipeline that
    there are.

    Parameters
    ----------
    model : Model, MLPClassifier, MLPRegressor or Pipeline
        Estimators are fitted.
    path : path-like, optional
        A file is written whole or not at all.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ConfigurationError
        If it is no model and no fitted estimator, or if a layer, a step of a Pipeline or the labels have no
        counterpart; the message names what it is.
    ImportError
        If onnx is not installed.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((4,)), fastnn.layers.Dense(3, "relu")], seed=0)
    >>> graph = fastnn.export.to_onnx(model).graph
    >>> [node.op_type for node in graph.node]
    ['Gemm', 'Relu', 'Identity']
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError("export to ONNX needs onnx: `pip install onnx`") from error
    from fastnn.export.onnx import Writer
    from fastnn.export.onnx_estimators import estimator_as_onnx

    made = estimator_as_onnx(model) if is_estimator(model) else Writer(forward_of(model)).model()
    if path is not None:
        write_files({path: made.SerializeToString()})
    return made


@dataclass(frozen=True)
class CFiles:
    """What `to_c` wrote.

    Attributes
    ----------
    header, source, test : pathlib.Path
        The test is a program that compares predictions with what they must be.
    flash : int
        Bytes of weights.
    ram : int
        Bytes of static memory that is written; the stack needs some hundred more.

    Examples
    --------
    >>> from pathlib import Path
    >>> print(CFiles(Path("net.h"), Path("net.c"), Path("net_test.c"), 60, 12))
    net.c: 60 bytes of weights (flash), 12 bytes of memory (RAM)
    """

    header: Path
    source: Path
    test: Path
    flash: int
    ram: int

    def __str__(self) -> str:
        return f"{self.source}: {self.flash} bytes of weights (flash), {self.ram} bytes of memory (RAM)"


def to_c(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    name: str = "model",
    int8: bool = False,
    x: ArrayLike | Sequence[ArrayLike] | None = None,
    verbose: int = 1,
) -> CFiles:
    """Write a model or an estimator as one file of C99 that predicts a row, with a header and a test.

    ``<name>.c`` needs math.h alone, allocates nothing, and holds the weights as static constants. It defines
    ``int <name>_predict(const float* x, float* y)``, with one pointer an input and output; indices are
    int32_t, and one that is out of range makes it return 1. ``<name>_test.c`` compares predictions with what
    the model returns, and says how to compile it.

    A classifier has ``int <name>_class(const float* x, float* y)`` besides, which returns the number of the
    class, and the array ``<name>_labels``. Of a Pipeline the steps before the net are scalers.

    Parameters
    ----------
    model : Model, MLPClassifier, MLPRegressor or Pipeline
        Of float32, or float64, which becomes double. Estimators are fitted.
    folder : path-like
        Made if it is not there; files of these names in it are replaced.
    name : str
        A name that C allows.
    int8 : bool
        Whether kernels of dense layers become whole numbers of eight bits, one scale a unit. Their inputs are
        then rounded to eight bits as well, by the largest of a row.
    x : array_like, (rows, features), or a list of them, optional
        Rows to test with; by default eight rows of normal numbers, or what scalers make such of.
    verbose : int
        Whether to print what was written, with its bytes.

    Returns
    -------
    CFiles

    Raises
    ------
    ConfigurationError
        If it is no model and no fitted estimator, if a layer, a step or the labels have no counterpart, if
        weights are not finite, or if the name is none of C.
    OSError
        If a file cannot be written; then none is changed.

    Examples
    --------
    >>> import fastnn, tempfile
    >>> model = fastnn.Sequential([fastnn.Input((4,)), fastnn.layers.Dense(3, "relu")], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = fastnn.export.to_c(model, folder, verbose=0)
    >>> files.flash, files.ram
    (60, 0)
    """
    from fastnn.export.c import Source
    from fastnn.export.c_check import check_program
    from fastnn.export.c_estimators import EstimatorForC
    from fastnn.export.golden import evaluate

    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or name in _C_WORDS:
        raise ConfigurationError(f"name must be an identifier of C, such as 'model', got {name!r}")
    net = EstimatorForC(model) if is_estimator(model) else None
    forward = forward_of(model) if net is None else net.forward
    source = Source(forward, name, int8, None if net is None else net.labels)
    inputs = _rows(forward, x)
    if net is not None and x is None:
        inputs = [net.unscaled(inputs[0])]
    if int8:
        expected = evaluate(forward, inputs, int8)
    else:
        expected = _predicted(model, inputs) if net is None else [net.predicted(inputs[0])]
    header, main, test = (Path(folder) / f"{name}{end}" for end in (".h", ".c", "_test.c"))
    files = CFiles(header, main, test, source.flash, source.ram)
    texts = (source.header(), source.source(), check_program(source, inputs, expected))
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = (files.header, files.source, files.test)
    write_files({path: text.encode("ascii") for path, text in zip(paths, texts, strict=True)})
    if verbose:
        print(files)
    return files


def _predicted(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    nest = model._now.need_drawing().nests[0]
    given: Any = packed(nest, inputs) if nest is not None else inputs if len(inputs) > 1 else inputs[0]
    return list(leaves(model.predict(given, verbose=0), "outputs"))


def _rows(forward: Any, x: Any) -> list[np.ndarray]:
    """Return rows to test with, one array an input."""
    if x is None:
        rng = np.random.default_rng(0)
        return [
            rng.standard_normal((_GOLDEN_ROWS, external.columns)).astype(forward.dtype)
            if external.kind.numbers is Numbers.REAL
            else rng.integers(0, external.kind.limit, (_GOLDEN_ROWS, external.columns)).astype(forward.dtype)
            for _, external in forward.inputs
        ]
    given = [x] if len(forward.inputs) == 1 else list(x)
    arrays = [np.ascontiguousarray(array, forward.dtype) for array in given]
    shapes = [external.columns for _, external in forward.inputs]
    if [array.shape[1:] for array in arrays] != [(columns,) for columns in shapes] or not len(arrays[0]):
        raise ConfigurationError(
            f"x must be rows of {shapes} features, one array an input, got {[a.shape for a in arrays]}"
        )
    return arrays
