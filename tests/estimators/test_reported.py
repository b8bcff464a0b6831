"""What users of scikit-learn's perceptrons have reported since 2015: here it does what they expected."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

from sklearn.datasets import make_classification, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score, r2_score

fits = pytest.mark.filterwarnings("ignore:(?s).*converge")
RNG = np.random.RandomState(11)
X = RNG.randn(200, 4)
Y = X[:, 0] - 2 * X[:, 1]
THREE = np.array(["Class_A", "Class_B", "Class_C"])[(Y > 1).astype(int) + (Y > -1)]


def classifier(**settings: Any) -> Any:
    return fastnn.MLPClassifier((8,), **({"random_state": 0, "max_iter": 20} | settings))


def regressor(**settings: Any) -> Any:
    return fastnn.MLPRegressor(hidden_layer_sizes=(8,), **({"random_state": 0, "max_iter": 20} | settings))


def test_a_later_part_may_hold_nothing_but_a_class_that_no_row_had_before() -> None:
    model = fastnn.MLPClassifier(random_state=0)
    model.partial_fit([[1.0], [2.0], [3.0]], list("abc"), classes=list("abcd"))
    for _ in range(300):
        model.partial_fit([[4.0]], ["d"])
    assert list(model.predict([[4.0]])) == ["d"]


def test_the_order_in_which_classes_are_named_does_not_matter() -> None:
    found = []
    for names in (["Class_C", "Class_A", "Class_B"], ["Class_A", "Class_B", "Class_C"]):
        model = classifier()
        for part in (slice(0, 3), slice(3, 200)):
            model.partial_fit(X[part], THREE[part], classes=names)
        found.append(model.predict_proba(X))
        assert list(model.classes_) == sorted(names)
    np.testing.assert_array_equal(*found)


@fits
@pytest.mark.parametrize("labels", [THREE, THREE.astype(object), np.where(Y > 0, "ja", "nein")])
def test_texts_as_labels_can_be_stopped_early(labels: Any) -> None:
    model = classifier(early_stopping=True, max_iter=60, learning_rate_init=0.02).fit(X, labels)
    assert model.best_validation_score_ > 0.7
    assert np.isfinite(model.validation_scores_).all()


@pytest.mark.parametrize("make", [classifier, regressor])
def test_no_names_of_columns_are_missed_while_a_table_trains(make: Any, peer: Any) -> None:
    table = peer("pandas").DataFrame({"colname_a": range(40), "colname_b": range(40)})
    target = table["colname_a"] % 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        make(early_stopping=True, validation_fraction=0.2).fit(table, target)


@fits
def test_several_labels_can_be_learned_part_by_part() -> None:
    x, y = make_multilabel_classification(400, 10, n_classes=5, random_state=1, allow_unlabeled=False)
    whole = fastnn.MLPClassifier((50,), max_iter=40, random_state=1, shuffle=False, tol=0.0).fit(x, y)
    parts = fastnn.MLPClassifier((50,), max_iter=40, random_state=1, shuffle=False)
    for _ in range(whole.n_iter_):
        parts.partial_fit(x, y, classes=list(range(5)))
    np.testing.assert_allclose(parts.predict_proba(x), whole.predict_proba(x), atol=1e-9)
    assert (parts.predict(x) == y).mean() > 0.8


@fits
def test_probabilities_of_several_labels_are_independent() -> None:
    x, y = make_multilabel_classification(100, random_state=0, n_classes=4)
    model = fastnn.MLPClassifier((30,), solver="lbfgs", random_state=0, max_iter=100).fit(x, y)
    found = model.predict_proba(x)
    np.testing.assert_array_equal(found > 0.5, model.predict(x) == 1)
    assert np.abs(found.sum(axis=1) - 1).max() > 0.5
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(model.predict_log_proba(x), np.log(found))


def test_early_stopping_part_by_part_says_that_it_cannot_be() -> None:
    for make, y in ((regressor, Y), (classifier, THREE)):
        fresh, fitted = make(early_stopping=True), make(early_stopping=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.fit(X, y)
        first = {"classes": np.unique(y)} if make is classifier else {}
        for model, options in ((fresh, first), (fitted, {})):
            with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
                model.partial_fit(X, y, **options)


@fits
def test_one_iteration_at_a_time_never_goes_back() -> None:
    curve = np.sin(3 * X[:, 0])
    model = regressor(activation="logistic", solver="lbfgs", max_iter=1, alpha=0.0, warm_start=True)
    losses = [model.fit(X[:, :1], curve).loss_ for _ in range(150)]
    assert (np.diff(losses) <= 1e-12).all()
    assert losses[-1] < losses[9] < losses[0]


@fits
def test_a_warm_start_goes_on_for_max_iter_epochs() -> None:
    model = classifier(warm_start=True, max_iter=7, tol=0.0).fit(X, THREE)
    assert model.fit(X, THREE).n_iter_ == 7
    assert len(model.loss_curve_) == 14
    assert model.t_ == 14 * 200


@fits
def test_training_again_begins_anew() -> None:
    for solver in ("adam", "sgd", "lbfgs"):
        model = regressor(solver=solver)
        first = model.fit(X, Y).coefs_[0].copy()
        model.fit(9 * X[:50, :2], -Y[:50])
        np.testing.assert_array_equal(model.fit(X, Y).coefs_[0], first)


@fits
def test_columns_that_are_not_scaled_can_be_trained_on_twice() -> None:
    wild = X * [1.0, 1e5, -100.0, 300.0] + [50.0, 8e4, -10.0, 140.0]
    for solver in ("adam", "lbfgs"):
        model = classifier(solver=solver)
        for _ in range(2):
            assert np.isfinite(model.fit(wild, THREE).predict_proba(wild)).all()


@fits
def test_the_smallest_of_tables_can_be_learned() -> None:
    for solver in ("lbfgs", "adam", "sgd"):
        model = fastnn.MLPRegressor(solver=solver, random_state=0, learning_rate_init=0.01)
        assert model.fit([[1], [0]], [1, 0]).predict([[1], [0]]) == pytest.approx([1, 0], abs=0.2)


@fits
def test_the_usual_batch_does_not_warn_of_itself() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor().fit(X[:5], Y[:5])
    with pytest.warns(UserWarning, match="larger than sample size"):
        regressor(batch_size=500).fit(X[:5], Y[:5])


@fits
def test_what_early_stopping_leaves_is_always_there() -> None:
    plain, early = regressor().fit(X, Y), regressor(early_stopping=True).fit(X, Y)
    assert plain.validation_scores_ is plain.best_validation_score_ is early.best_loss_ is None
    assert plain.best_loss_ == min(plain.loss_curve_)
    assert early.best_validation_score_ == max(early.validation_scores_)


@pytest.mark.parametrize("patience", [1, 3, 10])
def test_training_ends_after_as_many_epochs_without_improvement_as_were_asked_for(patience: int) -> None:
    model = regressor(n_iter_no_change=patience, tol=1e9, max_iter=100).fit(X, Y)
    # The first epoch improves on nothing, and one more than asked for has to go by.
    assert model.n_iter_ == patience + 2


@fits
def test_an_adaptive_rate_is_lowered_until_it_is_too_small(capsys: pytest.CaptureFixture[str]) -> None:
    model = regressor(
        solver="sgd", learning_rate="adaptive", tol=1e9, n_iter_no_change=1, max_iter=100, verbose=True
    )
    model.fit(X, Y)
    said = capsys.readouterr().out
    assert said.count("Setting learning rate to") == 5  # of 0.001, to below 1e-6
    assert "Learning rate too small. Stopping." in said


@fits
def test_a_column_of_targets_gives_a_row_of_predictions() -> None:
    with pytest.warns(Warning, match="column-vector"):
        model = regressor().fit(X, Y[:, None])
    assert model.predict(X).shape == (200,)
    assert regressor().fit(X, np.c_[Y, Y]).predict(X).shape == (200, 2)


@fits
def test_float32_stays_float32() -> None:
    model = classifier().fit(X.astype(np.float32), THREE)
    assert {array.dtype for array in (*model.coefs_, *model.intercepts_)} == {np.dtype(np.float32)}
    assert model.predict_proba(X.astype(np.float32)).dtype == np.float32


@fits
def test_iterations_and_evaluations_of_lbfgs_are_limited_apart() -> None:
    with pytest.warns(ConvergenceWarning, match=r"(?i)lbfgs failed to converge"):
        few = regressor(solver="lbfgs", max_iter=5).fit(X, Y)
    assert few.n_iter_ == 5
    with pytest.warns(ConvergenceWarning, match=r"(?i)lbfgs failed to converge"):
        fewer = regressor(solver="lbfgs", max_iter=1000, max_fun=7).fit(X, Y)
    assert fewer.n_iter_ < 7
    assert fewer.loss_ > regressor(solver="lbfgs", max_iter=1000).fit(X, Y).loss_


@fits
def test_rare_classes_can_be_made_to_count() -> None:
    x, y = make_classification(1500, 8, weights=[0.97], class_sep=0.6, random_state=3)
    plain, fair = (classifier(class_weight=one, max_iter=60).fit(x, y) for one in (None, "balanced"))
    found = [balanced_accuracy_score(y, model.predict(x)) for model in (plain, fair)]
    assert found[1] > found[0] + 0.1


def test_classes_too_rare_to_be_set_aside_are_named() -> None:
    rare = np.where(np.arange(200) < 1, "rare", "usual")
    with pytest.raises(ValueError, match=r"(?s)least populated class.* 1 |1 member"):
        classifier(early_stopping=True).fit(X, rare)
    with pytest.raises(ValueError, match="validation_fraction"):
        regressor(early_stopping=True).fit(X[:9], Y[:9])


@fits
def test_a_generator_of_numbers_goes_on_from_call_to_call() -> None:
    source = np.random.RandomState(0)
    first, second = (regressor(random_state=source).fit(X, Y).coefs_[0] for _ in range(2))
    assert np.abs(first - second).max() > 0.01
    again = np.random.RandomState(0)
    np.testing.assert_array_equal(regressor(random_state=again).fit(X, Y).coefs_[0], first)


@fits
def test_what_is_given_is_not_written() -> None:
    x, y, weights = X.copy(), Y.copy(), np.ones(200)
    for solver in ("adam", "lbfgs"):
        regressor(solver=solver, early_stopping=solver == "adam").fit(x, y, sample_weight=weights)
    for array, before in ((x, X), (y, Y), (weights, np.ones(200))):
        np.testing.assert_array_equal(array, before)


@fits
def test_pickles_are_not_much_larger_than_their_weights(tmp_path: Path) -> None:
    model = fastnn.MLPRegressor(hidden_layer_sizes=(200, 200), solver="lbfgs", max_iter=2, random_state=0)
    model.fit(X, Y)
    weights = sum(array.nbytes for array in (*model.coefs_, *model.intercepts_))
    written = pickle.dumps(model)
    assert len(written) < 2.1 * weights + 30_000  # the net's array, and the views of it as arrays
    (tmp_path / "model.pickle").write_bytes(written)
    script = (
        "import pickle, sys, numpy as np;"
        "model = pickle.load(open('model.pickle', 'rb'));"
        "print(repr(float(model.predict(np.ones((1, 4)))[0])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=None,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert float(done.stdout) == model.predict(np.ones((1, 4)))[0]


@fits
def test_sure_predictions_have_no_nan_in_their_logarithms() -> None:
    far = 1e4 * X
    model = classifier(max_iter=5).fit(X, THREE)
    with np.errstate(divide="ignore"):
        found = model.predict_log_proba(far)
    assert not np.isnan(found).any()
    assert (found.max(axis=1) > -1e-6).mean() > 0.9


@fits
def test_weights_of_rows_count_as_copies_of_them() -> None:
    times = RNG.randint(1, 4, 200)
    settings: dict[str, Any] = {"solver": "lbfgs", "max_iter": 40, "alpha": 0.1}
    weighted = regressor(**settings).fit(X, Y, sample_weight=times)
    copied = regressor(**settings).fit(np.repeat(X, times, axis=0), np.repeat(Y, times))
    assert weighted.loss_ == pytest.approx(copied.loss_, rel=0.05)
    assert r2_score(copied.predict(X), weighted.predict(X)) > 0.98
