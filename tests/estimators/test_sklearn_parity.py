"""Equal parameters, equal seeds: the losses and weights of scikit-learn's perceptrons, epoch by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*converge")
RNG = np.random.RandomState(0)
X = RNG.randn(230, 7)  # with the usual batches of 200 the last one has 30 rows
LABELS = (X[:, 0] + X[:, 1] ** 2 > 1).astype(int) + (X[:, 2] > 0.5)
TARGETS: dict[str, Any] = {
    "classes": LABELS,
    "two": LABELS > 0,
    "several labels": np.c_[LABELS > 0, LABELS == 1, X[:, 3] > 0].astype(int),
    "number": 2 * X[:, 0] + X[:, 1] ** 2,
    "numbers": X[:, :3] ** 2,
    "counts": np.floor(np.exp(X[:, 0])),
}
WEIGHTS = RNG.rand(230)
SETTINGS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "a strong penalty": {"alpha": 1.0},
    "no penalty": {"alpha": 0.0, "batch_size": 50},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "tanh": {"activation": "tanh", "batch_size": 64, "alpha": 0.3, "hidden_layer_sizes": (9, 4)},
    "logistic": {"activation": "logistic", "shuffle": False},
    "identity": {"activation": "identity", "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.01, "alpha": 0.5},
    "sgd, plain": {"solver": "sgd", "momentum": 0.0},
    "sgd, without Nesterov": {"solver": "sgd", "nesterovs_momentum": False},
    "sgd, with all momentum": {"solver": "sgd", "momentum": 1.0, "max_iter": 5},
    "sgd, adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 2},
    "sgd, invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.02},
    "early": {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 3, "tol": 0.01},
}


def need_all_arguments(peer: Any) -> None:
    """Skip unless the perceptrons of scikit-learn have all arguments of today's."""
    if tuple(map(int, peer("sklearn").__version__.split(".")[:2])) < (1, 7):
        pytest.skip("before scikit-learn 1.7 its perceptrons have no sample_weight and no loss")


def both(peer: Any, target: str, **settings: Any) -> tuple[Any, Any]:
    kind = "MLPClassifier" if target in ("classes", "two", "several labels") else "MLPRegressor"
    settings = {"random_state": 3, "max_iter": 25, "hidden_layer_sizes": (20,)} | settings
    if target == "counts":
        settings["loss"] = "poisson"
    need_all_arguments(peer)
    theirs = getattr(peer("sklearn.neural_network"), kind)(**settings)
    return theirs, getattr(fastnn, kind)(**settings)


def agree(theirs: Any, ours: Any, tolerance: float = 1e-6) -> None:
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.t_ == theirs.t_
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=tolerance, abs=tolerance)
    if hasattr(theirs, "loss_curve_"):
        assert ours.loss_curve_ == pytest.approx(theirs.loss_curve_, rel=tolerance, abs=tolerance)
        for name in ("best_loss_", "best_validation_score_", "validation_scores_"):
            found, wanted = getattr(ours, name), getattr(theirs, name)
            assert found == (None if wanted is None else pytest.approx(wanted, rel=tolerance, abs=tolerance))
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name)
    for mine, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_training_is_that_of_scikit_learn(peer: Any, setting: str, target: str) -> None:
    for weights in (None, WEIGHTS):
        theirs, ours = both(peer, target, **SETTINGS[setting])
        for one in (theirs, ours):
            one.fit(X, TARGETS[target], sample_weight=weights)
        agree(theirs, ours)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6, atol=1e-6)
        if hasattr(theirs, "classes_"):
            np.testing.assert_array_equal(ours.classes_, theirs.classes_)
            np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
            np.testing.assert_allclose(
                ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-6, atol=1e-6
            )
        y = TARGETS[target]
        assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-6)


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "counts"])
def test_the_first_iterations_of_lbfgs_are_those_of_scikit_learn(peer: Any, target: str) -> None:
    for weights in (None, WEIGHTS):
        # Rounding errors grow from iteration to iteration.
        theirs, ours = both(peer, target, solver="lbfgs", max_iter=8, alpha=0.1, activation="tanh")
        for one in (theirs, ours):
            one.fit(X, TARGETS[target], sample_weight=weights)
        agree(theirs, ours)


def test_the_minimum_of_lbfgs_for_counts_is_that_of_scikit_learn(peer: Any) -> None:
    theirs, ours = both(
        peer, "counts", solver="lbfgs", hidden_layer_sizes=(), max_iter=500, tol=1e-8, alpha=0.1
    )
    for one in (theirs, ours):
        one.fit(X, TARGETS["counts"])
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], atol=1e-5)
    assert ours.loss_ == pytest.approx(theirs.loss_, abs=1e-6)


@pytest.mark.parametrize("target", ["classes", "number"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_float32_is_trained_in_the_dtype_of_scikit_learn(peer: Any, solver: str, target: str) -> None:
    theirs, ours = both(peer, target, solver=solver, max_iter=5)
    for one in (theirs, ours):
        one.fit(X.astype(np.float32), TARGETS[target].astype(np.float32))
    agree(theirs, ours, 1e-4)


@pytest.mark.parametrize("target", ["classes", "numbers"])
@pytest.mark.parametrize("form", ["csr_matrix", "csc_matrix", "csr_array"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_sparse_rows_train_as_dense_ones_do(peer: Any, form: str, target: str, weights: Any) -> None:
    peer("sklearn")
    from scipy import sparse

    thin = np.where(X > 0.5, X, 0.0)
    for solver in ("adam", "lbfgs"):
        dense, given = (both(peer, target, solver=solver, max_iter=4)[1] for _ in range(2))
        dense.fit(thin, TARGETS[target], sample_weight=weights)
        given.fit(getattr(sparse, form)(thin), TARGETS[target], sample_weight=weights)
        assert given.loss_ == pytest.approx(dense.loss_, rel=1e-9)
        np.testing.assert_allclose(given.coefs_[0], dense.coefs_[0], atol=1e-9)
        np.testing.assert_array_equal(
            given.predict(getattr(sparse, form)(thin)).shape, dense.predict(thin).shape
        )
        assert given.score(getattr(sparse, form)(thin), TARGETS[target]) == pytest.approx(
            dense.score(thin, TARGETS[target])
        )


@pytest.mark.parametrize("target", ["classes", "two", "number"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_training_goes_on_as_in_scikit_learn(peer: Any, solver: str, target: str) -> None:
    y = TARGETS[target]
    first = {"classes": np.unique(y)} if target != "number" else {}
    theirs, ours = both(peer, target, solver=solver, max_iter=3)
    for one in (theirs, ours):
        one.partial_fit(X[:100], y[:100], **first)
        one.partial_fit(X[100:], y[100:], sample_weight=WEIGHTS[100:])
        one.fit(X, y)
        one.partial_fit(X, y)
    agree(theirs, ours)
    theirs, ours = both(peer, target, solver=solver, max_iter=3, warm_start=True)
    for one in (theirs, ours):
        one.fit(X, y).fit(X, y, sample_weight=WEIGHTS).set_params(max_iter=5).fit(X, y)
    agree(theirs, ours)


@pytest.mark.parametrize("target", ["two", "number"])
def test_what_is_printed_and_warned_is_that_of_scikit_learn(
    peer: Any, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    settings: dict[str, Any] = {"verbose": True, "tol": 0.05, "n_iter_no_change": 1, "solver": "sgd"}
    for more in ({}, {"early_stopping": True}, {"learning_rate": "adaptive"}, {"max_iter": 1}):
        for one in both(peer, target, **(settings | more)):
            capsys.readouterr()
            with pytest.warns(UserWarning, match="clipped") as caught:
                one.set_params(batch_size=400).fit(X, TARGETS[target])
            said.append((capsys.readouterr().out, [str(warning.message) for warning in caught]))
            assert {warning.filename for warning in caught} == {__file__} or len(said) % 2
    assert said[::2] == said[1::2]
    assert "Stopping." in said[0][0]
    assert "Setting learning rate" in said[4][0]
    assert "hasn't converged" in " ".join(said[6][1])
