"""Estimators of tables as files: the same bits in another process; what a stranger changed is refused."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.errors import FileFormatError

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

RNG = np.random.RandomState(6)
X = RNG.randn(120, 3)
KINDS = np.array(["red", "green", "blue", "ü"])[RNG.randint(0, 4, 120)]
TABLE = np.c_[X.astype(object), KINDS, RNG.rand(120) > 0.5]
TABLE[5, 0] = TABLE[7, 3] = None
Y = X[:, 0] + (KINDS == "red")
CODES = (Y > 0).astype(int) + (Y > 1)
QUICK: dict[str, Any] = {"random_state": 0, "n_epochs": 3, "hidden_layer_sizes": (8, 6)}


def again(model: Any, tmp_path: Path) -> Any:
    model.save(tmp_path / "estimator.safetensors")
    return fastnn.load_estimator(tmp_path / "estimator.safetensors")


def results(model: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(model).items() if name.endswith("_")}


@pytest.mark.parametrize(
    "labels",
    [["x", "yy", "ü"], [-1, 5, 7], [1.0, 2.0, 4.0], np.array(["a", "b", "c"], object), [False, True, True]],
)
def test_classes_come_back(labels: Any, tmp_path: Path) -> None:
    settings: dict[str, Any] = QUICK | {"class_weight": "balanced", "max_categories": 3}
    with pytest.warns(fastnn.errors.TrainingWarning, match="column 3 has 4 categories"):
        model = fastnn.TabularClassifier(**settings).fit(TABLE, np.array(labels)[CODES])
    loaded = again(model, tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(TABLE), model.predict_proba(TABLE))
    np.testing.assert_array_equal(loaded.predict(TABLE), model.predict(TABLE))
    assert loaded.classes_.dtype == model.classes_.dtype
    before, after = results(model), results(loaded)
    np.testing.assert_array_equal(after.pop("classes_"), before.pop("classes_"))
    assert after == before
    assert loaded.get_params() == model.get_params()


@pytest.mark.parametrize(
    "settings",
    [{}, {"n_ensemble": 3}, {"dtype": "float32"}, {"cat_features": [4], "validation_fraction": None}],
)
def test_numbers_come_back(settings: dict[str, Any], tmp_path: Path) -> None:
    for y in (Y, np.c_[Y, 1e9 * Y]):
        model = fastnn.TabularRegressor(**QUICK | settings).fit(TABLE, y)
        loaded = again(model, tmp_path)
        np.testing.assert_array_equal(loaded.predict(TABLE), model.predict(TABLE))
        assert results(loaded) == results(model)
        second = again(loaded, tmp_path)
        np.testing.assert_array_equal(second.predict(TABLE), model.predict(TABLE))
    loaded.fit(TABLE, Y)


def test_another_process_predicts_the_same_bits(peer: Any, tmp_path: Path) -> None:
    frame = peer("pandas").DataFrame(TABLE, columns=["a", "b", "c", "kind", "member"])
    model = fastnn.TabularClassifier(**QUICK, n_ensemble=2, dtype="float32").fit(frame, CODES)
    model.save(tmp_path / "model.safetensors")
    frame.to_pickle(tmp_path / "frame.pickle")
    code = (
        "import fastnn, numpy, pandas\n"
        "frame = pandas.read_pickle('frame.pickle')[['member', 'kind', 'c', 'b', 'a']]\n"
        "model = fastnn.load_estimator('model.safetensors')\n"
        "assert list(model.feature_names_in_) == ['a', 'b', 'c', 'kind', 'member']\n"
        "numpy.save('found.npy', model.predict_proba(frame))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), model.predict_proba(frame))


def test_what_is_not_fitted_is_not_saved(tmp_path: Path) -> None:
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        fastnn.TabularRegressor().save(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update({"class": "TabularTransformer"}),
        lambda found: found["parameters"].update(preset="td"),
        lambda found: found["parameters"].update(unknown=1),
        lambda found: found["parameters"].update(n_epochs=-1),
        lambda found: found["attributes"].update(predict=1),
        lambda found: found["attributes"].update(n_features_in_=7),
        lambda found: found["classes_"]["values"].append(9),
        lambda found: found["classes_"].update(dtype="V8"),
        lambda found: found.update(nets=2),
        lambda found: found.update(nets=0),
        lambda found: found.update(nets=10**9),
        lambda found: found.update(dtype="float64"),
        lambda found: found.update(dtype="object"),
        lambda found: found["widths"].insert(1, 10**9),
        lambda found: found["widths"].__setitem__(1, 9),
        lambda found: found["widths"].__setitem__(0, 1.5),
        lambda found: found.pop("widths"),
        lambda found: found["encoder"].update(kinds=["number"] * 5),
        lambda found: found["encoder"].update(kinds=["date"] * 5),
        lambda found: found["encoder"].update(names=["a"]),
        lambda found: found["encoder"].update(names=["a"] * 5),
        lambda found: found["encoder"].update(names=[1, 2, 3, 4, 5]),
        lambda found: found["encoder"]["places"].reverse(),
        lambda found: found["encoder"]["places"].__setitem__(4, 99),
        lambda found: found["encoder"]["places"].__setitem__(0, -1),
        lambda found: found["encoder"]["columns"].pop(),
        lambda found: found["encoder"].update(columns=[], places=[]),
        lambda found: found["encoder"]["columns"][0].update(center="much"),
        lambda found: found["encoder"]["columns"][0].update(missing=[1.0]),
        lambda found: found["encoder"]["columns"][1].update(factor=True),
        lambda found: found["encoder"]["columns"][3].update(categories=[[1]] * 4),
        lambda found: found["encoder"]["columns"][3]["categories"].append("more"),
        lambda found: found["encoder"]["columns"][3]["centers"].pop(),
    ],
)
def test_damaged_files_are_refused(change: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    fastnn.TabularClassifier(**QUICK, dtype="float32").fit(TABLE, CODES).save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    found = json.loads(header["__metadata__"]["fastnn"])
    before = json.dumps(found)
    change(found["estimator"])
    assert json.dumps(found) != before
    header["__metadata__"].pop("crc32")  # which would tell that something was changed

    def write(description: str) -> None:
        header["__metadata__"]["fastnn"] = description
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])

    write(before)
    fastnn.load_estimator(path)  # it is not the writing that is refused
    write(json.dumps(found))
    with pytest.raises(FileFormatError):
        fastnn.load_estimator(path)
