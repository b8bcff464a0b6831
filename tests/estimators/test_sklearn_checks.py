"""What scikit-learn asks of every estimator."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from cases import WHOLE

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

from sklearn.utils.estimator_checks import parametrize_with_checks

SMALLER: dict[str, Any] = {} if WHOLE else {"hidden_layer_sizes": (64, 64), "n_epochs": 64}
SETTINGS = [
    fastnn.MLPClassifier(max_iter=100),
    fastnn.MLPRegressor(max_iter=100),
    fastnn.MLPClassifier(solver="lbfgs", alpha=0.1),
    fastnn.MLPClassifier((20, 10), "tanh", solver="sgd", learning_rate_init=0.1, max_iter=100),
    fastnn.MLPRegressor(solver="lbfgs"),
    fastnn.MLPClassifier(
        activation=["gelu"],
        solver="rmsprop",
        learning_rate_init=0.01,
        max_iter=60,
        normalization="layer",
        n_ensemble=2,
    ),
    fastnn.MLPRegressor(solver="sgd", learning_rate="adaptive", max_iter=100),
    # As they are by default, they take 15 times as long.
    fastnn.TabularClassifier(**SMALLER),
    fastnn.TabularRegressor(**SMALLER),
]


@pytest.mark.filterwarnings("ignore")  # most of the checks train for a short time
@parametrize_with_checks(SETTINGS)
def test_the_estimators_are_as_scikit_learn_wants_them(estimator: Any, check: Any) -> None:
    check(estimator)
