"""Estimators as files of C: compiled, they give the numbers, probabilities and classes that they give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import DTYPES
from compiled_c import COMPILER, checked, compiled
from exported_estimators import ESTIMATORS, SCALERS, SETTINGS, fitted, rows, scaled

import fastnn
from fastnn.errors import ConfigurationError
from fastnn.export.c_labels import in_comment

pytestmark = [
    pytest.mark.usefixtures("sklearn"),
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
]
to_c = fastnn.export.to_c


@pytest.fixture
def sklearn(peer: Any) -> None:
    peer("sklearn")


def run(files: Any, x: np.ndarray, dtype: str, outputs: int, function: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs of rows, and what the function returns."""
    real, main = ("double" if dtype == "float64" else "float"), files.source.parent / "main.c"
    main.write_text(
        f'#include "{files.header.name}"\n#include <stdio.h>\n'
        f"int main(void) {{\n    {real} x[{x.shape[1]}], y[{outputs}];\n    int found;\n"
        f"    while (fread(x, sizeof(x), 1, stdin) == 1) {{\n        found = {function}(x, y);\n"
        "        fwrite(y, sizeof(y), 1, stdout);\n        fwrite(&found, sizeof(int), 1, stdout);\n    }\n"
        "    return 0;\n}\n"
    )
    program = compiled(files.source, main, to=files.source.parent / "main")
    given = np.ascontiguousarray(x, dtype).tobytes()
    out = subprocess.run([str(program)], input=given, capture_output=True, check=True, timeout=60).stdout
    found = np.frombuffer(out, [("y", dtype, (outputs,)), ("found", np.int32)])
    return found["y"], found["found"]


def check(made: Any, x: np.ndarray, folder: Path, dtype: str) -> None:
    files = to_c(made, folder, x=x, verbose=0)
    code, error = checked(files)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    assert code == 0
    assert error < tolerance
    if hasattr(made, "classes_"):
        wanted, labels = made.predict_proba(x), made.predict(x)
        y, found = run(
            files, x, dtype, wanted.shape[1], "model_class" if labels.ndim == 1 else "model_predict"
        )
        if labels.ndim == 1:
            assert made.classes_[found].tolist() == labels.tolist()
        else:
            assert (y > 0.5).astype(int).tolist() == labels.tolist()
    else:
        wanted = made.predict(x).reshape(len(x), -1)
        y, _ = run(files, x, dtype, wanted.shape[1], "model_predict")
    np.testing.assert_allclose(y, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(tmp_path: Path, name: str, dtype: str) -> None:
    made, x = ESTIMATORS[name](dtype)
    check(made, x, tmp_path, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCALERS)
def test_scalers(tmp_path: Path, name: str, dtype: str) -> None:
    made, x = scaled(name, dtype)
    check(made, x, tmp_path, dtype)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_of_whole_numbers(tmp_path: Path, name: str) -> None:
    made, _ = ESTIMATORS[name]("float32")
    code, error = checked(to_c(made, tmp_path, int8=True, verbose=0))
    assert code == 0
    assert error < 1e-2


@pytest.mark.parametrize("name", ["StandardScaler", "RobustScaler"])
def test_columns_far_from_zero_keep_their_digits(tmp_path: Path, name: str) -> None:
    from sklearn.pipeline import make_pipeline

    x = (rows() + np.array([1e6, -1e5, 0, 0, 1e4])).astype(np.float32)
    made = fitted(make_pipeline(SCALERS[name](), fastnn.MLPRegressor(**SETTINGS)), x, x[:, 0] - 1e6)
    if name == "RobustScaler":  # whose means may have digits that float32 has not
        made[0].center_ = made[0].center_ + np.array([0.0123, 0.00123, 0.0, 0.0, 0.0001])
    check(made, x, tmp_path, "float32")
    code, error = checked(to_c(made, tmp_path / "rows of its own", verbose=0))
    assert code == 0
    assert error < 1e-5


def test_scaling_takes_one_step(tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline

    x = rows(np.float32)
    steps = [SCALERS[name]() for name in ("StandardScaler", "MaxAbsScaler", "RobustScaler")]
    net = fastnn.MLPRegressor(**SETTINGS)
    alone = to_c(fitted(net, x, x[:, 0]), tmp_path, name="alone", verbose=0)
    files = to_c(fitted(make_pipeline(*steps, net), x, x[:, 0]), tmp_path, verbose=0)
    assert files.flash - alone.flash in (2 * 4 * 5, 3 * 4 * 5)  # means and factors, and what means lack
    assert files.source.read_text().count("/* scaling */") == (files.flash - alone.flash) // 20


def test_digits_of_whole_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sklearn.pipeline import make_pipeline

    (x, y), (x_test, y_test) = fastnn.datasets.load_digits()
    x, x_test = np.float32(x), np.float32(x_test)
    net = fastnn.MLPClassifier((32,), max_iter=40, random_state=0)
    made = fitted(make_pipeline(SCALERS["StandardScaler"](), net), x, y)
    files = to_c(made, tmp_path, int8=True, x=x_test)
    assert capsys.readouterr().out == f"{files}\n"
    assert f"{files.flash} bytes of weights (flash), {files.ram} bytes of memory (RAM)" in str(files)
    assert files.flash == 64 * 32 + 32 * 10 + 4 * 2 * (32 + 10) + 2 * 4 * 64
    _, found = run(files, x_test, "float32", 10, "model_class")
    accuracy = (made.classes_[found] == y_test).mean()
    assert accuracy > 0.9
    assert abs(accuracy - made.score(x_test, y_test)) <= 0.01


def test_the_program_tells_another_class(tmp_path: Path) -> None:
    made, x = ESTIMATORS["classes, texts"]("float64")
    files = to_c(made, tmp_path, x=x, verbose=0)
    text = files.source.read_text()
    assert text.count("y[i] > y[best]") == 1
    files.source.write_text(text.replace("y[i] > y[best]", "y[i] < y[best]"))
    program = compiled(files.source, files.test, to=tmp_path / "check")
    assert subprocess.run([str(program)], check=False, capture_output=True).returncode == 3


HOSTILE = [
    'a"b',
    "back\\slash",
    "*/ end",
    "??/ trigraph",
    "line\nbreak",
    "\u4e2d\u00e9\u20ac1",
    "%s\t",
    "\x7f7",
]


def test_labels_are_there_as_they_are(tmp_path: Path) -> None:
    x = rows()
    for labels in (HOSTILE, [-(2**63), -1, 2**63 - 1], [False, True], [-1.0, 2.0, 65536.0]):
        made = fitted(fastnn.MLPClassifier(**SETTINGS), x, np.array(labels)[np.arange(len(x)) % len(labels)])
        files = to_c(made, tmp_path, verbose=0)
        classes, main = made.classes_.tolist(), tmp_path / "print.c"
        shown = {str: ("%s%c", ", 0"), float: ("%.17g%c", ", 0")}.get(
            type(classes[0]), ('%" PRId64 "%c', ", 0")
        )
        main.write_text(
            '#include "model.h"\n#include <inttypes.h>\n#include <stdio.h>\n'
            "int main(void) {\n    int i;\n    for (i = 0; i < MODEL_CLASSES; i++)\n"
            f'        printf("{shown[0]}", model_labels[i]{shown[1]});\n    return 0;\n}}\n'
        )
        program = compiled(files.source, main, to=tmp_path / "print")
        out = subprocess.run([str(program)], capture_output=True, check=True).stdout.decode()
        read = type(classes[0]) if type(classes[0]) is not bool else int
        assert [read(one) for one in out.split("\0")[:-1]] == classes


def test_labels_that_c_cannot_hold(tmp_path: Path) -> None:
    made = fitted(fastnn.MLPClassifier(**SETTINGS), rows(), np.arange(60) % 2)
    for labels, message in (
        (np.array(["a", "b" * 4096]), "a label has 4096 bytes, and a string of C at most 4095"),
        (np.array(["a", "b\0c"]), "has a character that C cannot hold"),
        (np.array([1, None], object), "the labels are of type NoneType, int .object., and C holds strings"),
        (np.array([1.0, np.inf]), "the label inf is no number of C"),
    ):
        made.classes_ = labels
        with pytest.raises(ConfigurationError, match=message):
            to_c(made, tmp_path / "new", verbose=0)
        assert not (tmp_path / "new").exists()


def test_steps_that_c_has_not(tmp_path: Path) -> None:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    x = rows()
    made = Pipeline([("fill", SimpleImputer()), ("net", fastnn.MLPRegressor(**SETTINGS))])
    with pytest.raises(
        ConfigurationError,
        match=r"the step 'fill' \(SimpleImputer\) has no counterpart .*StandardScaler, MinMax",
    ):
        to_c(fitted(made, x, x[:, 0]), tmp_path / "new")
    made = Pipeline([("scale", StandardScaler()), ("net", made[-1])])
    with pytest.raises(ConfigurationError, match=r"the step 'scale' \(StandardScaler\) is not fitted"):
        to_c(made, tmp_path / "new")
    with pytest.raises(ConfigurationError, match="MLPRegressor is not fitted; call fit, then export it"):
        to_c(fastnn.MLPRegressor(), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_scale_that_float32_cannot_hold(tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline

    x = rows(np.float32)
    made = fitted(make_pipeline(SCALERS["MaxAbsScaler"](), fastnn.MLPRegressor(**SETTINGS)), x, x[:, 0])
    made[0].scale_ = made[0].scale_.astype(float) * 1e-60
    with pytest.raises(
        ConfigurationError, match="factors that float32 cannot hold; fit the Pipeline on float64"
    ):
        to_c(made, tmp_path / "new")


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    made, _ = ESTIMATORS["classes, texts"]("float64")
    (tmp_path / "net_test.c").mkdir()
    with pytest.raises(ConfigurationError, match=r"net_test\.c' is a folder"):
        to_c(made, tmp_path, name="net")
    assert [path.name for path in tmp_path.iterdir()] == ["net_test.c"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        to_c(made, tmp_path / "file")


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not protected that way")
def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last file fails: those before it are not there."""
    import builtins

    made, _ = ESTIMATORS["classes, texts"]("float64")
    opened, real = [], builtins.open

    def failing(path: Any, *arguments: Any, **options: Any) -> Any:
        if str(path).endswith(".tmp"):
            opened.append(path)
            if len(opened) == 3:
                raise OSError(28, "No space left on device", path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(builtins, "open", failing)
    with pytest.raises(OSError, match=r"No space left on device: '.*net_test\.c'"):
        to_c(made, tmp_path, name="net")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["a */ b", "/* c", "*\n/ \u4e2d", "**//"])
def test_comments_cannot_be_left(text: str) -> None:
    found = in_comment(text)
    assert found.isascii()
    assert "*/" not in found
    assert "/*" not in found
    assert "\n" not in found
