"""The estimators beside what scikit-learn tests: weights from outside, the short way, errors, copies."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*converge")
RNG = np.random.RandomState(1)
X = RNG.randn(90, 4)
Y = X[:, 0] - X[:, 1] * X[:, 2]


def classifier(**settings: Any) -> Any:
    return fastnn.MLPClassifier((6,), **({"max_iter": 5, "random_state": 0} | settings))


def regressor(**settings: Any) -> Any:
    return fastnn.MLPRegressor(hidden_layer_sizes=(6,), **({"max_iter": 5, "random_state": 0} | settings))


def test_weights_that_are_assigned_or_changed_count_at_once() -> None:
    model = regressor(activation="identity").fit(X, Y)
    model.coefs_[0] = np.ones((4, 6))
    model.intercepts_ = [np.zeros(6), np.array([0.5])]
    model.coefs_[1][...] = 0.25
    wanted = 1.5 * X.sum(axis=1) + 0.5
    np.testing.assert_allclose(model.predict(X), wanted)
    model.coefs_[1] *= 2.0
    np.testing.assert_allclose(model.predict(X[:1]), 2 * wanted[:1] - 0.5)
    before = model.coefs_[0].copy()
    model.partial_fit(X, Y)
    assert 0 < abs(model.coefs_[0] - before).max() < 0.01  # a step of Adam from there


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"solver": "lbfgs"}, {"solver": "adam"}),
        ({"solver": "lbfgs"}, {"solver": "adam", "early_stopping": True}),
        ({}, {"early_stopping": True}),
        ({"early_stopping": True}, {"early_stopping": False}),
        ({}, {"solver": "lbfgs"}),
    ],
)
def test_training_can_go_on_in_another_way(first: dict[str, Any], then: dict[str, Any]) -> None:
    model = regressor(warm_start=True, max_iter=20, **first).fit(X, Y)
    loss = model.loss_
    model.set_params(**then).fit(X, Y)
    assert model.loss_ < loss
    if model.early_stopping:
        assert len(model.validation_scores_) == model.n_iter_
    elif model.solver != "lbfgs":
        assert model.best_loss_ == min(model.loss_curve_[-20:])


def test_weights_of_other_widths_make_another_net() -> None:
    model = regressor().fit(X, Y)
    model.coefs_ = [np.ones((4, 2)), np.ones((2, 3))]
    model.intercepts_ = [np.zeros(2), np.zeros(3)]
    assert model.predict(X).shape == (90, 3)
    with pytest.raises(ValueError, match=r"layer widths \[4, 2, 3\].*ask for \[4, 6, 1\].*warm_start=False"):
        model.partial_fit(X, Y)


def test_one_row_has_the_same_outputs_by_the_short_way_and_by_the_long_one() -> None:
    for model in (classifier().fit(X, Y > 0), regressor().fit(X, Y)):
        whole = model.predict(X)
        rows = [model.predict(X[i : i + 1])[0] for i in range(len(X))]
        np.testing.assert_allclose(rows, whole, rtol=1e-12)
        np.testing.assert_allclose([model.predict([list(row)])[0] for row in X[:9]], rows[:9], rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((1, 4), np.nan), "contains NaN"),
        (np.full((1, 4), np.inf), "contains infinity"),
        (np.zeros((1, 3)), "X has 3 features, but MLP.* is expecting 4 features"),
        (np.zeros(4), "Expected 2D array, got 1D array"),
        (np.zeros((0, 4)), "Found array with 0 sample"),
        ([["a"] * 4], "could not convert string|dtype='numeric' is not compatible"),
    ],
)
def test_the_short_way_lets_no_bad_row_pass(x: Any, message: str) -> None:
    for model in (classifier().fit(X, Y > 0), regressor().fit(X, Y)):
        model.predict(X[:1])
        with pytest.raises(ValueError, match=message):
            model.predict(x)


def test_names_of_columns_are_missed_where_they_were_there(peer: Any) -> None:
    pandas = peer("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    model = regressor().fit(frame, Y)
    assert list(model.feature_names_in_) == list("abcd")
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X[:1])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[list("dcba")])


def test_rows_too_large_for_float32_are_refused() -> None:
    model = regressor().fit(X.astype(np.float32), Y)
    assert model.predict(X).dtype == np.float32
    with pytest.raises(ValueError, match="too large for float32"):
        model.predict(np.full((1, 4), 1e300))


@pytest.mark.parametrize("labels", [["no", "yes"], [3, 7], [False, True], [1.0, 4.0], ["ü", "β", "z"]])
def test_labels_of_any_kind_come_back(labels: list[Any]) -> None:
    y = np.array(labels)[RNG.randint(len(labels), size=90)]
    model = classifier().fit(X, y)
    assert list(model.classes_) == sorted(labels)
    found = model.predict(X)
    assert found.dtype == y.dtype
    probabilities = model.predict_proba(X)
    np.testing.assert_array_equal(found, model.classes_[probabilities.argmax(axis=1)])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert found[0] == model.predict(X[:1])[0]


@pytest.mark.parametrize("make", [classifier, regressor])
def test_copies_train_on_as_the_original(make: Any) -> None:
    from sklearn.base import clone

    y = Y > 0 if make is classifier else Y
    model = make(momentum=0.5, solver="sgd").fit(X, y)
    copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model)]
    model.partial_fit(X, y)
    for other in copies:
        assert not np.array_equal(other.coefs_[0], model.coefs_[0])
        other.partial_fit(X, y)
        np.testing.assert_array_equal(other.coefs_[0], model.coefs_[0])
        other.coefs_[0][...] = 0.0
        assert abs(model.coefs_[0]).min() > 0.0
        assert abs(other.predict(X) - other.predict(-X)).max() == 0 if make is regressor else True
    assert not hasattr(clone(model), "coefs_")


def test_a_loss_that_is_not_finite_ends_training() -> None:
    huge = {"solver": "sgd", "learning_rate_init": 1e6, "activation": "identity", "max_iter": 40}
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        regressor(**huge).fit(X, Y)
    with pytest.warns(UserWarning, match="loss was not finite in iteration"):
        model = regressor(early_stopping=True, **huge).fit(X, Y)
    assert len(model.validation_scores_) == len(model.loss_curve_) == model.n_iter_ < 40
    assert np.isnan(model.loss_curve_[-1])
    assert np.isfinite(model.coefs_[0]).all()


@pytest.mark.parametrize(
    ("settings", "y", "options", "error", "message"),
    [
        ({"hidden_layer_sizes": (3, 0)}, Y, {}, ValueError, "hidden_layer_sizes must be > 0, got"),
        ({"activation": "swoosh"}, Y, {}, ValueError, "The 'activation' parameter of MLPRegressor must be"),
        ({"alpha": -1.0}, Y, {}, ValueError, "The 'alpha' parameter of MLPRegressor must be"),
        ({"loss": "poisson"}, Y, {}, ValueError, "loss='poisson' needs y >= 0, and the least value of y is"),
        ({}, np.full(90, np.nan), {}, ValueError, "Input y contains NaN"),
        ({}, Y[:80], {}, ValueError, "inconsistent numbers of samples"),
        ({}, Y, {"sample_weight": np.ones(3)}, ValueError, "sample_weight.shape == "),
        ({}, Y, {"sample_weight": np.zeros(90)}, (ValueError, ZeroDivisionError), "zero"),
        ({"solver": "lbfgs"}, Y, {"sample_weight": np.zeros(90)}, (ValueError, ZeroDivisionError), "zero"),
    ],
)
def test_bad_settings_and_data_are_named(
    settings: Any, y: Any, options: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        regressor().set_params(**settings).fit(X, y, **options)


def test_partial_fit_is_there_for_solvers_that_make_steps() -> None:
    for make in (classifier, regressor):
        assert not hasattr(make(solver="lbfgs"), "partial_fit")
        assert hasattr(make(), "partial_fit")


def test_weights_of_rows_can_be_routed() -> None:
    import sklearn
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            regressor().set_fit_request(sample_weight=True),
        )
        weights = np.linspace(0.1, 1.0, 90)
        model.fit(X, Y, sample_weight=weights)
        plain = regressor().fit(StandardScaler().fit_transform(X), Y, sample_weight=weights)
    np.testing.assert_allclose(model[-1].coefs_[0], plain.coefs_[0], atol=1e-12)


def test_without_scikit_learn_the_estimators_say_what_to_install(tmp_path: Path) -> None:
    script = """
import sys
sys.modules["sklearn"] = None
import fastnn
assert "MLPClassifier" in dir(fastnn)
try:
    fastnn.MLPClassifier
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True
    )
    assert "need scikit-learn: `pip install scikit-learn`" in done.stdout
