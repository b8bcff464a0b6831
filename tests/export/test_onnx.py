"""Models as ONNX graphs: onnxruntime predicts what they predict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import DTYPES
from exported_cases import MODELS, predicted, trained

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError
from fastnn.export.forward import forward_of
from fastnn.export.onnx import Writer


def run(runtime: Any, model: Any, x: list[np.ndarray], dtype: str) -> list[np.ndarray]:
    session = runtime.InferenceSession(model.SerializeToString())
    kinds = {"tensor(int64)": "int64"}
    feed = {i.name: a.astype(kinds.get(i.type, dtype)) for i, a in zip(session.get_inputs(), x, strict=True)}
    found: list[np.ndarray] = session.run(None, feed)
    return found


@pytest.fixture
def runtime(peer: Any) -> Any:
    peer("onnx")
    return peer("onnxruntime")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_predicts_the_same(runtime: Any, name: str, dtype: str) -> None:
    made = trained(MODELS[name](dtype))
    found = run(runtime, fastnn.export.to_onnx(made[0]), made[1], dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for one, wanted in zip(found, predicted(made), strict=True):
        assert one.dtype == wanted.dtype
        np.testing.assert_allclose(one, wanted, rtol=tolerance, atol=tolerance)


def test_tails_of_gelu_in_float64(runtime: Any) -> None:
    # There it is a series of ours, as onnxruntime has no Erf of float64.
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Activation("gelu")], dtype="float64")
    x = np.array([[-40.0], [-9.0], [-5.0], [-1e-8], [0.0], [1e-8], [3.0], [9.0], [40.0], [1e5], [-1e5]])
    (found,) = run(runtime, fastnn.export.to_onnx(model), [x], "float64")
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("dtype", DTYPES)
def test_small_numbers_keep_their_digits(runtime: Any, dtype: str) -> None:
    # exp(x) - 1 and log(1 + x), written down naively, would lose them all.
    x = np.array([[-1e-9, 1e-9, -60.0, 60.0, 30.0]])
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    for name in ("elu", "selu", "celu", "softplus", "log_sigmoid", "mish"):
        model = fastnn.Sequential([fastnn.Input((5,)), layers.Activation(name)], dtype=dtype)
        (found,) = run(runtime, fastnn.export.to_onnx(model), [x], dtype)
        np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=tolerance, err_msg=name)


def test_names_rows_and_files(runtime: Any, tmp_path: Path) -> None:
    made = MODELS["graph"]("float32")
    fastnn.export.to_onnx(made[0], tmp_path / "net.onnx")
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"))
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("a", "tensor(float)", ["rows", 4]),
        ("b", "tensor(int64)", ["rows", 2]),
    ]
    assert [o.name for o in session.get_outputs()] == ["p", "dropout", "dense", "minimum"]
    one = session.run(None, {"a": made[1][0][:1].astype("float32"), "b": made[1][1][:1]})
    assert [o.shape for o in one] == [(1, 3), (1, 8), (1, 8), (1, 8)]


def test_what_is_no_model(runtime: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a model of fastnn, got int; give a fastnn\.Seq"):
        fastnn.export.to_onnx(3)


@pytest.mark.parametrize("name", ["number 0.0", "fastnn/1", "dense/kernel", 'quote"d\n\u4e2d'])
def test_names_of_inputs_meet_no_others(runtime: Any, name: str) -> None:
    model = fastnn.Sequential(
        [fastnn.Input((3,), name="x"), layers.Dense(2, "softplus", name="dense"), layers.Dense(1)], seed=0
    )
    forward = forward_of(model)
    named = replace(forward, inputs=((name, forward.inputs[0][1]),))
    x = np.ones((2, 3))
    (found,) = run(runtime, Writer(named).model(), [x], "float32")
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-5)
