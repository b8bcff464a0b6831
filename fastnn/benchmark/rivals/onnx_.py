"""ONNX Runtime as a contender for inference: a ``Gemm`` and an activation per layer, made in memory.

All graph optimisations are on. The number of threads belongs to a session, so there is one session for
each. This file must not know how contenders are timed. onnx and onnxruntime are imported when a
contender is built, not before.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn.benchmark.rivals._library import OptionalLibrary, quietly
from fastnn.benchmark.workloads import Workload, check_weights

__all__ = ["OnnxPredictor"]

_OPSET, _FILE_VERSION = 17, 9  # known to every runtime of the last years
_OPERATORS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "softmax": "Softmax"}
_ERROR = 3  # the lowest severity that the runtime may report


class OnnxPredictor(OptionalLibrary):
    """The outputs of a network for NumPy rows, by ONNX Runtime.

    Parameters
    ----------
    workload : Workload
        The network.
    weights : sequence of ndarray
        Its kernels and biases.
    """

    name: ClassVar[str] = "ONNX Runtime"
    module: ClassVar[str] = "onnxruntime"
    distribution: ClassVar[str] = "onnxruntime"
    requires: ClassVar[str] = "onnx and onnxruntime"

    def __init__(self, workload: Workload, weights: Sequence[NDArray[np.float32]]) -> None:
        check_weights(workload, weights)
        with quietly():
            self._model = _serialise(workload, weights)
        self._sessions: dict[int, Any] = {}

    @classmethod
    def available(cls) -> bool:
        """Say whether the runtime and the library that writes its format are installed."""
        return super().available() and importlib.util.find_spec("onnx") is not None

    @classmethod
    def threads(cls, n_threads: int) -> AbstractContextManager[Any]:
        """Return a context that does nothing: `function` takes the number of threads."""
        return contextlib.nullcontext()

    def function(self, n_threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """Return the function from rows to outputs, of a session with `n_threads` threads."""
        if n_threads not in self._sessions:
            with quietly():
                self._sessions[n_threads] = _session(self._model, n_threads)
        run = self._sessions[n_threads].run
        names = ["y"]

        def predict(x: NDArray[np.float32]) -> NDArray[np.float32]:
            outputs: NDArray[np.float32] = run(names, {"x": x})[0]
            return outputs

        return predict


def _session(model: bytes, n_threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ERROR
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _serialise(workload: Workload, weights: Sequence[NDArray[np.float32]]) -> bytes:
    """Return the network as the bytes of an ONNX file."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, below = [], [], "x"
    for layer, activation in enumerate(workload.activations):
        names = [f"kernel{layer}", f"bias{layer}"]
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(weight), name)
            for weight, name in zip(weights[2 * layer : 2 * layer + 2], names, strict=True)
        ]
        last = layer == len(workload.activations) - 1
        operator = _OPERATORS.get(activation)
        output = "y" if last else f"y{layer}"
        product = output if operator is None else f"z{layer}"
        nodes.append(helper.make_node("Gemm", [below, *names], [product]))
        if operator is not None:
            nodes.append(helper.make_node(operator, [product], [output]))
        below = output
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])
        for name, width in (("x", workload.widths[0]), ("y", workload.widths[-1]))
    )
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_FILE_VERSION
    )
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised
