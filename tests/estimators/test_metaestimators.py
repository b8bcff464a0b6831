"""Inside what scikit-learn builds around estimators, fastnn's do what scikit-learn's own perceptrons do."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

import sklearn
from scipy import sparse
from sklearn import (
    calibration,
    compose,
    ensemble,
    feature_selection,
    inspection,
    model_selection,
    multiclass,
    multioutput,
    neural_network,
    semi_supervised,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8):
    pytest.skip("before scikit-learn 1.8 not all of these are there", allow_module_level=True)

from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator

pytestmark = pytest.mark.filterwarnings(
    "ignore:(?s).*converge", "ignore:(?s).*least populated class", "ignore:(?s).*n_samples"
)
RNG = np.random.RandomState(0)
X = RNG.randn(150, 4)
Y = X[:, 0] - 2 * X[:, 1]
TWO = np.array(["no", "yes"])[(Y > 0).astype(int)]
THREE = np.array(["a", "b", "c"])[(Y > 1).astype(int) + (Y > -1)]
SEVERAL = np.c_[Y > 0, X[:, 2] > 0, X[:, 3] > 0.5].astype(int)
WEIGHTS = np.linspace(0.1, 1.0, 150)
HALF = np.where(np.arange(150) < 60, (Y > 0).astype(int), -1)  # the rest has no label


class Kind:
    """Both perceptrons of one library."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def classifier(self, **settings: Any) -> Any:
        usual = {"hidden_layer_sizes": (6,), "max_iter": 15, "random_state": 0}
        return self._library.MLPClassifier(**(usual | settings))

    def regressor(self, **settings: Any) -> Any:
        usual = {"hidden_layer_sizes": (6,), "max_iter": 15, "random_state": 0}
        return self._library.MLPRegressor(**(usual | settings))


def searched(kind: Kind) -> Any:
    grid = {"hidden_layer_sizes": [3, (3,), [4, 4], np.array([2, 2])], "alpha": [1e-4, 10.0]}
    return model_selection.GridSearchCV(kind.classifier(), grid, cv=2).fit(X, TWO)


def drawn(kind: Kind) -> Any:
    space = {"hidden_layer_sizes": np.arange(2, 9), "learning_rate_init": np.geomspace(1e-3, 0.1, 9)}
    search = model_selection.RandomizedSearchCV(kind.regressor(), space, n_iter=4, cv=2, random_state=0)
    return search.fit(X, Y)


def halved(kind: Kind, **settings: Any) -> Any:
    search = model_selection.HalvingGridSearchCV(
        kind.classifier(), {"alpha": [1e-4, 1.0, 100.0]}, random_state=0, cv=3, **settings
    )
    return search.fit(X, TWO)


def boundary(kind: Kind) -> np.ndarray:
    model = kind.classifier().fit(X[:, :2], THREE)
    display = inspection.DecisionBoundaryDisplay.from_estimator(
        model, X[:, :2], grid_resolution=8, plot_method="contour"
    )
    return np.asarray(display.response)


CASES: dict[str, Callable[[Kind], Any]] = {
    "grid search": lambda kind: searched(kind).cv_results_["mean_test_score"],
    "randomized search": lambda kind: drawn(kind).cv_results_["mean_test_score"],
    "halving search": lambda kind: halved(kind).cv_results_["mean_test_score"],
    "halving search over epochs": lambda kind: halved(
        kind, resource="max_iter", max_resources=20, min_resources=5
    ).cv_results_["mean_test_score"],
    "nested search": lambda kind: model_selection.cross_val_score(
        model_selection.GridSearchCV(kind.classifier(), {"alpha": [1e-4, 1.0]}, cv=2), X, TWO, cv=2
    ),
    "learning curve": lambda kind: model_selection.learning_curve(kind.regressor(), X, Y, cv=3)[2],
    "learning curve, incremental": lambda kind: model_selection.learning_curve(
        kind.classifier(), X, TWO, cv=3, exploit_incremental_learning=True
    )[1],
    "validation curve": lambda kind: model_selection.validation_curve(
        kind.regressor(), X, Y, param_name="alpha", param_range=[0.0, 1.0, 10.0], cv=3
    )[1],
    "folds, log probabilities": lambda kind: model_selection.cross_val_predict(
        kind.classifier(), X, THREE, cv=3, method="predict_log_proba"
    ),
    "folds, training scores": lambda kind: model_selection.cross_validate(
        kind.classifier(), X, TWO, cv=2, return_estimator=True, return_train_score=True
    )["train_score"],
    "permuted labels": lambda kind: model_selection.permutation_test_score(
        kind.classifier(), X, TWO, cv=2, n_permutations=3, random_state=0
    )[1],
    "tuned threshold": lambda kind: (
        model_selection.TunedThresholdClassifierCV(kind.classifier(), cv=3, random_state=0)
        .fit(X, TWO)
        .best_threshold_
    ),
    "fixed threshold": lambda kind: (
        model_selection.FixedThresholdClassifier(kind.classifier(), threshold=0.3, pos_label="yes")
        .fit(X, TWO)
        .predict(X)
    ),
    "calibration, sigmoid": lambda kind: (
        calibration.CalibratedClassifierCV(kind.classifier(), cv=3)
        .fit(X, TWO, sample_weight=WEIGHTS)
        .predict_proba(X)
    ),
    "calibration, isotonic": lambda kind: (
        calibration.CalibratedClassifierCV(kind.classifier(), method="isotonic", cv=3, ensemble=False)
        .fit(X, THREE)
        .predict_proba(X)
    ),
    "calibration, temperature": lambda kind: (
        calibration.CalibratedClassifierCV(kind.classifier(), method="temperature", cv=3, ensemble=False)
        .fit(X, THREE)
        .predict_proba(X)
    ),
    "calibration, frozen": lambda kind: (
        calibration.CalibratedClassifierCV(FrozenEstimator(kind.classifier().fit(X[:75], TWO[:75])))
        .fit(X[75:], TWO[75:])
        .predict_proba(X)
    ),
    "vote, soft": lambda kind: (
        ensemble.VotingClassifier(
            [("a", kind.classifier()), ("b", kind.classifier(activation="tanh"))], voting="soft"
        )
        .fit(X, THREE)
        .predict_proba(X)
    ),
    "vote, hard": lambda kind: (
        ensemble.VotingClassifier([("a", kind.classifier()), ("b", kind.classifier(activation="tanh"))])
        .fit(X, THREE)
        .predict(X)
    ),
    "vote, numbers": lambda kind: (
        ensemble.VotingRegressor([("a", kind.regressor()), ("b", kind.regressor(activation="tanh"))])
        .fit(X, Y, sample_weight=WEIGHTS)
        .predict(X)
    ),
    "stack": lambda kind: (
        ensemble.StackingRegressor([("a", kind.regressor())], final_estimator=kind.regressor(), cv=3)
        .fit(X, Y)
        .predict(X)
    ),
    "stack of what is fitted": lambda kind: (
        ensemble.StackingClassifier([("a", kind.classifier().fit(X, TWO))], cv="prefit")
        .fit(X, TWO)
        .predict_proba(X)
    ),
    "bags": lambda kind: (
        ensemble.BaggingClassifier(kind.classifier(), n_estimators=3, max_features=3, random_state=0)
        .fit(X, THREE, sample_weight=WEIGHTS)
        .predict_proba(X)
    ),
    "boosted classes": lambda kind: (
        ensemble.AdaBoostClassifier(kind.classifier(learning_rate_init=0.02), n_estimators=3, random_state=0)
        .fit(X, THREE)
        .predict_proba(X)
    ),
    "boosted numbers": lambda kind: (
        ensemble.AdaBoostRegressor(kind.regressor(), n_estimators=3, random_state=0).fit(X, Y).predict(X)
    ),
    "one against the rest": lambda kind: (
        multiclass.OneVsRestClassifier(kind.classifier()).fit(X, THREE).predict_proba(X)
    ),
    "one against the rest, part by part": lambda kind: (
        multiclass.OneVsRestClassifier(kind.classifier())
        .partial_fit(X[:80], THREE[:80], classes=["a", "b", "c"])
        .partial_fit(X[80:], THREE[80:])
        .predict_proba(X)
    ),
    "one against one": lambda kind: (
        multiclass.OneVsOneClassifier(kind.classifier()).fit(X, THREE).decision_function(X)
    ),
    "codes": lambda kind: (
        multiclass.OutputCodeClassifier(kind.classifier(), random_state=0).fit(X, THREE).predict(X)
    ),
    "several labels, one net each": lambda kind: np.array(
        multioutput.MultiOutputClassifier(kind.classifier()).fit(X, SEVERAL).predict_proba(X)
    ),
    "several labels, part by part": lambda kind: np.array(
        multioutput.MultiOutputClassifier(kind.classifier())
        .partial_fit(X, SEVERAL, classes=[[0, 1]] * 3)
        .predict_proba(X)
    ),
    "several numbers, one net each": lambda kind: (
        multioutput.MultiOutputRegressor(kind.regressor())
        .fit(X, np.c_[Y, -Y], sample_weight=WEIGHTS)
        .predict(X)
    ),
    "chain of labels": lambda kind: (
        multioutput.ClassifierChain(kind.classifier(), order="random", random_state=0, cv=3)
        .fit(X, SEVERAL)
        .predict_proba(X)
    ),
    "chain of numbers": lambda kind: (
        multioutput.RegressorChain(kind.regressor()).fit(X, np.c_[Y, -Y]).predict(X)
    ),
    "self-training": lambda kind: (
        semi_supervised.SelfTrainingClassifier(kind.classifier(max_iter=60), threshold=0.8)
        .fit(X, HALF)
        .predict_proba(X)
    ),
    "transformed targets": lambda kind: (
        compose.TransformedTargetRegressor(kind.regressor(), func=np.log1p, inverse_func=np.expm1)
        .fit(X, np.exp(Y / 3))
        .predict(X)
    ),
    "partial dependence": lambda kind: inspection.partial_dependence(
        kind.classifier().fit(X, THREE), X, [(1, 2)], grid_resolution=5
    )["average"],
    "individual dependence": lambda kind: inspection.partial_dependence(
        kind.regressor().fit(X, Y), X, [0], kind="individual", grid_resolution=5
    )["individual"],
    "permutation importance": lambda kind: (
        inspection.permutation_importance(
            kind.classifier().fit(X, THREE), X, THREE, scoring=["accuracy", "neg_log_loss"], random_state=0
        )["neg_log_loss"].importances
    ),
    "decision boundary": boundary,
    "chosen columns": lambda kind: (
        feature_selection.SequentialFeatureSelector(kind.regressor(), n_features_to_select=2, cv=2)
        .fit(X, Y)
        .get_support()
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_result_is_that_of_scikit_learns_perceptrons(case: str, peer: Any) -> None:
    if case == "decision boundary":
        peer("matplotlib").use("agg")
    ours, theirs = (CASES[case](Kind(library)) for library in (fastnn, neural_network))
    if np.asarray(theirs).dtype.kind in "US":
        np.testing.assert_array_equal(ours, theirs)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_what_has_no_importances_is_refused_as_by_scikit_learn() -> None:
    with pytest.raises(ValueError, match="coef_"):
        feature_selection.RFE(Kind(fastnn).regressor()).fit(X, Y)


def test_weights_are_routed_through_a_pipeline_into_folds_and_scores() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        net = Kind(fastnn).classifier().set_fit_request(sample_weight=True)
        net.set_score_request(sample_weight=True)
        model = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), net)
        given = {"sample_weight": WEIGHTS}
        found = model_selection.cross_val_score(model, X, TWO, params=given, cv=3)
        wanted = []
        for train, test in model_selection.StratifiedKFold(3).split(X, TWO):
            scaler, plain = StandardScaler().fit(X[train]), Kind(fastnn).classifier()
            plain.fit(scaler.transform(X[train]), TWO[train], sample_weight=WEIGHTS[train])
            wanted.append(plain.score(scaler.transform(X[test]), TWO[test], sample_weight=WEIGHTS[test]))
        search = model_selection.GridSearchCV(model, {"mlpclassifier__alpha": [1.0, 10.0]}, cv=3)
        search.fit(X, TWO, sample_weight=WEIGHTS)
        unasked = make_pipeline(StandardScaler(), Kind(fastnn).regressor())
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
            unasked.fit(X, Y, sample_weight=WEIGHTS)
    np.testing.assert_allclose(found, wanted)
    assert len(set(wanted)) > 1
    assert search.best_score_ <= 1.0


def test_what_fastnn_adds_is_routed_as_well() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        net = Kind(fastnn).regressor(n_ensemble=2).set_predict_request(return_std=True)
        net.set_fit_request(eval_set=True)
        model = make_pipeline(StandardScaler(), net)
        model.fit(X, Y, eval_set=(X, Y))
        mean, spread = model.predict(X, return_std=True)
        Kind(fastnn).classifier().set_partial_fit_request(classes=True, sample_weight=True)
    assert mean.shape == spread.shape == (150,)
    assert len(model[-1].validation_scores_) == 15


def test_sparse_columns_of_categories_reach_the_net_sparse() -> None:
    from sklearn.preprocessing import OneHotEncoder

    kinds = np.array(list("uvwxyz"))[np.clip((Y * 1.5 + 3).astype(int), 0, 5)][:, None]
    encoded = OneHotEncoder().fit_transform(kinds)
    assert sparse.issparse(encoded)
    models = [make_pipeline(OneHotEncoder(sparse_output=one), Kind(fastnn).classifier(max_iter=90))
              for one in (True, False)]  # fmt: skip
    found = [model.fit(kinds, TWO).predict_proba(kinds) for model in models]
    np.testing.assert_allclose(found[0], found[1], atol=1e-9)
    theirs = make_pipeline(OneHotEncoder(), Kind(neural_network).classifier(max_iter=90)).fit(kinds, TWO)
    np.testing.assert_allclose(found[0], theirs.predict_proba(kinds), atol=1e-6)
