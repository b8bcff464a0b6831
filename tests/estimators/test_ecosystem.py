"""The estimators in what scikit-learn builds around estimators."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

import joblib
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingClassifier, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_predict, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*converge")
RNG = np.random.RandomState(5)
X = RNG.randn(150, 4)
Y = X[:, 0] - 2 * X[:, 1]
LABELS = np.array(["no", "yes"])[(Y > 0).astype(int)]


def classifier(**settings: Any) -> Any:
    usual = {"max_iter": 30, "random_state": 0, "learning_rate_init": 0.02, "batch_size": 30}
    return fastnn.MLPClassifier((6,), **(usual | settings))


def regressor(**settings: Any) -> Any:
    usual: dict[str, Any] = {"max_iter": 60, "random_state": 0, "learning_rate_init": 0.02, "batch_size": 30}
    return fastnn.MLPRegressor(hidden_layer_sizes=(6,), **(usual | settings))


@pytest.mark.parametrize(("backend", "jobs"), [("threading", 2), ("loky", 2), ("sequential", 1)])
def test_a_search_finds_the_same_wherever_its_jobs_run(backend: str, jobs: int) -> None:
    grid = {"alpha": [1e-4, 100.0], "activation": ["relu", "gelu"]}
    with joblib.parallel_backend(backend, n_jobs=jobs):
        search = GridSearchCV(classifier(), grid, cv=3).fit(X, LABELS)
    assert search.best_params_["alpha"] == 1e-4
    assert search.best_score_ > 0.85
    wanted = [
        cross_val_score(classifier(alpha=alpha, activation=name), X, LABELS, cv=3).mean()
        for name in grid["activation"]
        for alpha in grid["alpha"]
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], wanted)


def test_settings_of_all_kinds_can_be_searched() -> None:
    space = {
        "solver": ["adam", fastnn.optimizers.RMSprop(0.01), "lbfgs"],
        "loss": ["squared_error", fastnn.losses.Huber(0.5)],
        "dropout": [0.0, 0.1],
    }
    search = RandomizedSearchCV(regressor(), space, n_iter=4, cv=2, random_state=0).fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_pipelines_and_tables(peer: Any) -> None:
    pandas = peer("pandas")
    table = pandas.DataFrame(X, columns=list("abcd")).assign(kind=np.where(Y > 0.5, "high", "low"))
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), list("abcd")), ("kinds", OneHotEncoder(), ["kind"])]
    )
    model = make_pipeline(columns, classifier()).fit(table, LABELS)
    assert model.score(table, LABELS) > 0.9
    assert "MLPClassifier" in repr(model)
    assert "MLPClassifier" in model._repr_html_()
    sparse = make_pipeline(OneHotEncoder(), classifier(max_iter=60)).fit(table[["kind"]], LABELS)
    assert sparse.score(table[["kind"]], LABELS) > 0.7


def test_cross_validation_and_calibration() -> None:
    assert cross_val_score(regressor(), X, Y, cv=3).mean() > 0.8
    folds = cross_val_predict(classifier(), X, LABELS, cv=3, method="predict_proba")
    assert folds.shape == (150, 2)
    calibrated = CalibratedClassifierCV(classifier(), cv=3).fit(X, LABELS)
    assert log_loss(LABELS, calibrated.predict_proba(X)) < 0.5


def test_votes_stacks_and_bags() -> None:
    parts = [("net", classifier()), ("line", LogisticRegression())]
    for kind in (VotingClassifier(parts, voting="soft"), StackingClassifier(parts, cv=3)):
        assert kind.fit(X, LABELS).score(X, LABELS) > 0.9
    assert BaggingRegressor(regressor(), n_estimators=3, random_state=0).fit(X, Y).score(X, Y) > 0.8


def test_targets_may_be_transformed_or_split() -> None:
    model = TransformedTargetRegressor(regressor(), transformer=StandardScaler()).fit(X, 1e4 * Y)
    assert model.score(X, 1e4 * Y) > 0.9
    several = MultiOutputRegressor(regressor()).fit(X, np.c_[Y, -Y])
    assert several.predict(X).shape == (150, 2)


def test_the_columns_that_matter_are_found() -> None:
    model = regressor().fit(X, Y)
    found = permutation_importance(model, X, Y, n_repeats=3, random_state=0).importances_mean
    assert list(np.argsort(found)[:1:-1]) == [1, 0]
    assert found[2:].max() < 0.1 < found[0] < found[1]


def test_tables_are_searched_and_explained(peer: Any) -> None:
    pandas = peer("pandas")
    table = pandas.DataFrame(X, columns=list("abcd")).assign(kind=np.where(Y > 0.5, "high", "low"))
    settings: dict[str, Any] = {"random_state": 0, "n_epochs": 20, "hidden_layer_sizes": (16,)}
    model = fastnn.TabularClassifier(**settings)
    search = GridSearchCV(model, {"learning_rate": [1e-6, 0.04]}, cv=3).fit(table, LABELS)
    assert search.best_params_ == {"learning_rate": 0.04}
    assert search.best_score_ > 0.85
    with joblib.parallel_backend("loky", n_jobs=2):
        scores = cross_val_score(fastnn.TabularRegressor(**settings), table, Y, cv=3)
    assert scores.mean() > 0.8
    found = permutation_importance(search.best_estimator_, table, LABELS, n_repeats=3, random_state=0)
    assert found.importances_mean[[2, 3]].max() < found.importances_mean[1]
    assert "TabularClassifier" in repr(make_pipeline(model))
