"""Estimators as files: data, and never code."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.errors import ConfigurationError, FileFormatError

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*converge")
RNG = np.random.RandomState(3)
X = RNG.randn(70, 4)
CODES = (X[:, 0] > 0.5).astype(int) + (X[:, 1] > 0)
STEP = functools.partial(fastnn.activations.elu, alpha=0.5)


def again(model: Any, tmp_path: Path) -> Any:
    model.save(tmp_path / "estimator.safetensors")
    return fastnn.load_estimator(tmp_path / "estimator.safetensors")


def names_of_results(model: Any) -> set[str]:
    return {name for name in vars(model) if name.endswith("_")}


@pytest.mark.parametrize(
    "labels",
    [["x", "yy", "ü"], [-1, 5, 7], [1.0, 2.0, 4.0], np.array(["a", "b", "c"], object), [False, True, True]],
)
def test_labels_come_back_with_their_dtype(labels: Any, tmp_path: Path) -> None:
    y = np.array(labels)[CODES]
    model = fastnn.MLPClassifier((5,), max_iter=4, random_state=0).fit(X, y)
    loaded = again(model, tmp_path)
    assert loaded.classes_.dtype == model.classes_.dtype
    np.testing.assert_array_equal(loaded.classes_, model.classes_)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert names_of_results(loaded) == names_of_results(model)
    assert loaded.loss_curve_ == model.loss_curve_
    assert loaded.score(X, y) == model.score(X, y)
    loaded.partial_fit(X, y)


def test_several_labels_come_back(tmp_path: Path) -> None:
    y = np.c_[CODES > 0, CODES > 1].astype(int)
    model = fastnn.MLPClassifier((5,), max_iter=4, random_state=0).fit(X, y)
    np.testing.assert_array_equal(again(model, tmp_path).predict(X), model.predict(X))


@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "lbfgs", "max_iter": 5},
        {
            "early_stopping": True,
            "n_iter_no_change": np.inf,
            "alpha": np.float64(0.1),
            "max_iter": np.int64(5),
        },
        {"solver": fastnn.optimizers.AdamW(0.01, clipnorm=1.0), "loss": fastnn.losses.Huber(0.5)},
        {"solver": fastnn.optimizers.SGD(fastnn.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5))},
        {"activation": [STEP, fastnn.layers.LeakyReLU(0.1)], "dropout": [0.1, 0.2], "normalization": "batch"},
        {"loss": "quantile", "quantiles": [0.1, 0.9], "normalization": "layer"},
        {"loss": "poisson", "activation": "logistic"},
        {"n_ensemble": 3},
    ],
)
def test_all_that_shapes_a_net_comes_back(settings: dict[str, Any], tmp_path: Path) -> None:
    sizes = {"hidden_layer_sizes": (5, 4), "max_iter": 4, "random_state": 0}
    y = np.exp(X[:, 0])
    model = fastnn.MLPRegressor(**sizes | settings).fit(X.astype(np.float32), y)
    loaded = again(model, tmp_path)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.predict(X).dtype == model.predict(X).dtype
    before, after = model.get_params(), loaded.get_params()
    for name in before.keys() - {"activation", "hidden_layer_sizes"}:
        assert after[name] == before[name], name
    assert list(after["hidden_layer_sizes"]) == list(before["hidden_layer_sizes"])
    second = again(loaded, tmp_path)
    np.testing.assert_array_equal(second.predict(X), model.predict(X))
    loaded.fit(X, y)


def test_names_of_columns_and_weights_of_classes_come_back(peer: Any, tmp_path: Path) -> None:
    frame = peer("pandas").DataFrame(X, columns=["a", "b", "ü", "d e"])
    y = np.array(["no", "yes"])[CODES % 2]
    model = fastnn.MLPClassifier((5,), max_iter=4, class_weight={"yes": 3.0}).fit(frame, y)
    loaded = again(model, tmp_path)
    assert list(loaded.feature_names_in_) == list(frame.columns)
    assert loaded.class_weight == {"yes": 3.0}
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame[["b", "a", "ü", "d e"]])


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    from sklearn.exceptions import NotFittedError

    path = tmp_path / "model.safetensors"
    with pytest.raises(NotFittedError):
        fastnn.MLPRegressor().save(path)
    settings: dict[str, Any] = {"scoring": lambda *_: 0.0, "early_stopping": True, "max_iter": 2}
    model = fastnn.MLPRegressor(**settings).fit(X, X[:, 0])
    with pytest.raises(ConfigurationError, match=r"scoring is .*data, never code"):
        model.save(path)
    assert list(tmp_path.iterdir()) == []
    model.set_params(scoring=None, callbacks=[fastnn.callbacks.TerminateOnNaN()], random_state=RNG).save(path)
    loaded = fastnn.load_estimator(path)
    assert loaded.callbacks is loaded.random_state is None
    with pytest.raises(ConfigurationError, match="overwrite is False"):
        model.save(path, overwrite=False)


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], seed=0)
    model.save(path)
    with pytest.raises(FileFormatError, match=r"holds no estimator.*load_model"):
        fastnn.load_estimator(path)
    fastnn.MLPRegressor(max_iter=2).fit(X, X[:, 0]).save(path)
    with pytest.raises(FileFormatError):
        fastnn.load_model(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update(format=2),
        lambda found: found["estimator"].update({"class": "Model"}),
        lambda found: found["estimator"].update(weights=[]),
        lambda found: found["estimator"]["weights"].reverse(),
        lambda found: found["estimator"]["weights"].__setitem__(0, "dense/other"),
        lambda found: found["estimator"].pop("seed"),
        lambda found: found["estimator"]["parameters"].update(activation="swoosh"),
        lambda found: found["estimator"]["parameters"].update(unknown=1),
        lambda found: found["estimator"]["parameters"].update(alpha="much"),
        lambda found: found["estimator"]["attributes"].update(predict=1),
        lambda found: found["estimator"]["attributes"].update(out_activation_=3),
        lambda found: found["estimator"]["attributes"].update(n_features_in_=7),
        lambda found: found["estimator"]["classes_"]["values"].append(9),
        lambda found: found["estimator"]["labels"].__setitem__(0, "binary"),
        lambda found: found["estimator"].update(classes_={"dtype": "V8", "values": [1, 2]}),
    ],
)
def test_damaged_files_are_refused(change: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    fastnn.MLPClassifier((5,), max_iter=2).fit(X, CODES).save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    found = json.loads(header["__metadata__"]["fastnn"])
    before = json.dumps(found)
    change(found)
    assert json.dumps(found) != before
    header["__metadata__"]["fastnn"] = json.dumps(found)
    header["__metadata__"].pop("crc32")  # which would tell that something was changed
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    with pytest.raises(FileFormatError):
        fastnn.load_estimator(path)
