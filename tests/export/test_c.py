"""Models as files of C: compiled, they predict what the models predict, and need no memory but their own."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import DTYPES, WHOLE, pairwise
from compiled_c import COMPILER, checked, compiled
from exported_cases import ACTIVATIONS, LAYERS, MODELS, predicted, trained

import fastnn
from fastnn import layers
from fastnn.errors import ConfigurationError

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


@pytest.mark.parametrize("name", MODELS)
def test_the_program_agrees(tmp_path: Path, name: str) -> None:
    for dtype in DTYPES:
        made = trained(MODELS[name](dtype))
        x = made[1] if len(made[1]) > 1 else made[1][0]
        files = fastnn.export.to_c(made[0], tmp_path / dtype, x=x, verbose=0)
        code, error = checked(files)
        assert code == 0
        assert error < (1e-5 if dtype == "float32" else 1e-12)


QUANTIZED = [name for name in LAYERS if "bins" not in name]


@pytest.mark.parametrize(
    ("activation", "layer"),
    pairwise(list(ACTIVATIONS)[::3], QUANTIZED)
    if WHOLE
    else list(zip(itertools.cycle(ACTIVATIONS), [*QUANTIZED, *QUANTIZED], strict=False)),
)
def test_of_whole_numbers_it_agrees_as_well(tmp_path: Path, activation: str, layer: str) -> None:
    model = fastnn.Sequential(
        [fastnn.Input((5,)), layers.Dense(6, ACTIVATIONS[activation]), LAYERS[layer](), layers.Dense(2)],
        seed=1,
    )
    code, error = checked(fastnn.export.to_c(model, tmp_path, int8=True, verbose=0))
    assert code == 0
    assert error < 1e-2


def test_of_whole_numbers_it_keeps_the_accuracy(tmp_path: Path) -> None:
    data = fastnn.datasets.load_digits()
    (x, y), (x_test, y_test) = data
    model = fastnn.Sequential(
        [fastnn.Input((64,)), layers.Dense(32, "relu"), layers.Dense(10, "softmax")], seed=0
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=30, verbose=0)
    files = fastnn.export.to_c(model, tmp_path, int8=True, x=x_test, verbose=0)
    assert files.flash == 64 * 32 + 32 * 10 + 4 * (32 + 32 + 10 + 10)
    main = tmp_path / "main.c"
    main.write_text(
        '#include "model.h"\n#include <stdio.h>\n'
        "int main(void) {\n    float x[64], y[10];\n    while (fread(x, 4, 64, stdin) == 64) {\n"
        "        model_predict(x, y);\n        fwrite(y, 4, 10, stdout);\n    }\n    return 0;\n}\n"
    )
    program = compiled(files.source, main, to=tmp_path / "main")
    rows = np.ascontiguousarray(x_test, np.float32).tobytes()
    found = np.frombuffer(
        subprocess.run([str(program)], input=rows, capture_output=True, check=True).stdout, "<f4"
    )
    accuracy = (found.reshape(-1, 10).argmax(1) == y_test).mean()
    assert accuracy > 0.9
    assert abs(accuracy - (predicted((model, [x_test]))[0].argmax(1) == y_test).mean()) <= 0.01


def test_the_program_tells_wrong_weights(tmp_path: Path) -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2)], seed=0)
    files = fastnn.export.to_c(model, tmp_path, verbose=0)
    text = files.source.read_text()
    first = re.search(r"w_dense_kernel\[6\] = \{\n    ([^,]+),", text)
    assert first
    files.source.write_text(text.replace(first[1], "0.5f", 1))
    assert checked(files)[0] == 1


def test_an_index_out_of_range_writes_nothing(tmp_path: Path) -> None:
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Embedding(5, 3), layers.Dense(1)], seed=0)
    files = fastnn.export.to_c(model, tmp_path, verbose=0)
    main = tmp_path / "main.c"
    main.write_text(
        '#include "model.h"\n'
        "int main(void) {\n    int32_t below[2] = {-1, 0}, above[2] = {0, 5}, good[2] = {0, 4};\n"
        "    float y = 7;\n"
        "    if (!model_predict(below, &y) || !model_predict(above, &y) || y != 7)\n        return 1;\n"
        "    return model_predict(good, &y) || y == 7;\n}\n"
    )
    program = compiled(files.source, main, to=tmp_path / "main")
    assert subprocess.run([str(program)], check=False).returncode == 0


def test_no_memory_is_allocated_and_its_size_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fastnn.Sequential(
        [
            fastnn.Input((5,)),
            layers.Dense(16, "tanh"),
            layers.Dense(8, "tanh"),
            layers.Dense(16),
            layers.Dense(2),
        ]
    )
    files = fastnn.export.to_c(model, tmp_path, name="net")
    assert files.flash == 4 * model.count_params()
    assert files.ram == 4 * (16 + 8)  # the layers of 16 take turns
    assert str(capsys.readouterr().out) == f"{files}\n"
    assert f"{files.flash} bytes of weights (flash), 96 bytes of memory (RAM)" in str(files)
    text = files.source.read_text()
    assert "alloc" not in text.replace("no allocation", "")
    assert "int net_predict(const float* x, float* y);" in files.header.read_text()


def test_two_models_in_one_program(tmp_path: Path) -> None:
    for name in ("one", "two"):
        model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2, "relu")], seed=len(name))
        fastnn.export.to_c(model, tmp_path, name=name, verbose=0)
    main = tmp_path / "main.c"
    main.write_text(
        '#include "one.h"\n#include "two.h"\n'
        "int main(void) {\n    float x[ONE_X_LENGTH] = {0}, y[TWO_Y_LENGTH];\n"
        "    return one_predict(x, y) + two_predict(x, y);\n}\n"
    )
    program = compiled(tmp_path / "one.c", tmp_path / "two.c", main, to=tmp_path / "main")
    assert subprocess.run([str(program)], check=False).returncode == 0


@pytest.mark.parametrize("name", ["", "3d", "a-b", "while", "π", None, "a b"])
def test_names_that_c_has_not(tmp_path: Path, name: Any) -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2)])
    with pytest.raises(ConfigurationError, match="name must be an identifier of C"):
        fastnn.export.to_c(model, tmp_path / "new", name=name)
    assert not (tmp_path / "new").exists()


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    graph = fastnn.export.forward.forward_of(model)
    graph.parameters["dense/kernel"][...] = np.nan
    with pytest.raises(ConfigurationError, match="weights are not finite"):
        fastnn.export.c.Source(graph, "model", int8=False)


@pytest.mark.parametrize("x", [np.ones((2, 4)), np.ones((0, 3)), [np.ones((2, 3))] * 2])
def test_rows_of_another_shape(tmp_path: Path, x: Any) -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2)])
    with pytest.raises(ConfigurationError, match=r"x must be rows of \[3\] features"):
        fastnn.export.to_c(model, tmp_path / "new", x=x)
    assert not (tmp_path / "new").exists()


def test_names_of_layers_with_any_characters(tmp_path: Path) -> None:
    x = fastnn.Input((3,), name="in \u4e2d ??")
    model = fastnn.Model(x, layers.Dense(2, name="a\n#error \u00e9 *")(x), seed=0)
    code, error = checked(fastnn.export.to_c(model, tmp_path, verbose=0))
    assert code == 0
    assert error < 1e-5
