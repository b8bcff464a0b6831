"""Several nets that differ in what they draw."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*converge")
RNG = np.random.RandomState(4)
X = RNG.uniform(-1, 1, (100, 2))
Y = X[:, 0] ** 2 + X[:, 1]
LABELS = np.array(["low", "high"])[(Y > 0.3).astype(int)]


def regressor(**settings: Any) -> Any:
    return fastnn.MLPRegressor(
        **({"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0, "n_ensemble": 4} | settings)
    )


def test_the_first_net_is_the_one_that_would_be_alone() -> None:
    many, alone = regressor().fit(X, Y), regressor(n_ensemble=1).fit(X, Y)
    np.testing.assert_array_equal(many.coefs_[0], alone.coefs_[0])
    assert len(many.ensemble_) == 3
    assert not hasattr(alone, "ensemble_")
    weights = [one.coefs_[0] for one in (many, *many.ensemble_)]
    assert all(np.abs(a - b).max() > 0.01 for n, a in enumerate(weights) for b in weights[:n])
    np.testing.assert_array_equal(regressor().fit(X, Y).predict(X), many.predict(X))


def test_predictions_are_means_with_their_spread() -> None:
    model = regressor(learning_rate_init=0.01, max_iter=200).fit(X, Y)
    alone = [one.predict(X) for one in model.ensemble_]
    first = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0) @ model.coefs_[1] + model.intercepts_[1]
    each = np.array([first[:, 0], *alone])
    mean, spread = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean, each.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(spread, each.std(axis=0), atol=1e-9)
    np.testing.assert_array_equal(model.predict(X), mean)
    assert model.predict(9 * X, return_std=True)[1].mean() > 3 * spread.mean()  # where no rows were
    with pytest.raises(ValueError, match="return_std needs several nets"):
        regressor(n_ensemble=1).fit(X, Y).predict(X, return_std=True)


def test_probabilities_are_means() -> None:
    model = fastnn.MLPClassifier((8,), max_iter=20, random_state=0, n_ensemble=3).fit(X, LABELS)
    alone = fastnn.MLPClassifier((8,), max_iter=20, random_state=0).fit(X, LABELS)
    each = [one.predict_proba(X) for one in (alone, *model.ensemble_)]
    np.testing.assert_allclose(model.predict_proba(X), np.mean(each, axis=0), atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.classes_[model.predict_proba(X).argmax(axis=1)])


def test_ensembles_go_on_grow_and_shrink() -> None:
    model = regressor(warm_start=True).fit(X, Y)
    before = [one.coefs_[0].copy() for one in model.ensemble_]
    kept = list(model.ensemble_)
    model.fit(X, Y, sample_weight=np.ones(100))
    model.partial_fit(X, Y)
    assert model.ensemble_ == kept
    assert all(np.abs(one.coefs_[0] - b).max() > 0 for one, b in zip(kept, before, strict=True))
    assert model.set_params(n_ensemble=6).fit(X, Y).ensemble_[:3] == kept
    assert len(model.ensemble_) == 5
    model.set_params(n_ensemble=1, warm_start=False).fit(X, Y)
    assert not hasattr(model, "ensemble_")
    fresh = fastnn.MLPClassifier((4,), n_ensemble=2, random_state=0)
    fresh.partial_fit(X[:50], LABELS[:50], classes=["high", "low"])
    fresh.partial_fit(X[50:], LABELS[50:])
    assert fresh.predict_proba(X).shape == (100, 2)


def test_members_stop_early_on_their_own() -> None:
    model = regressor(early_stopping=True, scoring="r2", max_iter=200, learning_rate_init=0.02)
    model.fit(X, Y, eval_set=(X, Y))
    assert len({one.n_iter_ for one in (model, *model.ensemble_)}) > 1
    assert model.score(X, Y) > 0.8
