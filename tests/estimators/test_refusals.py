"""What an estimator refuses leaves it as it was."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*converge")
RNG = np.random.RandomState(9)
X = RNG.randn(90, 4)
Y = X[:, 0] - 2 * X[:, 1]
TWO = np.array(["no", "yes"])[(Y > 0).astype(int)]
THREE = np.array(["a", "b", "c"])[(Y > 1).astype(int) + (Y > -1)]
BATCHWISE = fastnn.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
HOLES = np.where(X > 2, np.nan, X)


def classifier(**settings: Any) -> Any:
    return fastnn.MLPClassifier((5,), **({"max_iter": 5, "random_state": 0} | settings))


def state(model: Any) -> dict[str, Any]:
    """Return copies of all that training leaves in an estimator."""
    found = {}
    for name, value in vars(model).items():
        if name in model.get_params(deep=False):
            continue
        is_list = isinstance(value, list)
        found[name] = [np.copy(one) for one in value] if is_list else value
    return found


def unchanged(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert before.keys() == after.keys()
    for name, value in before.items():
        if isinstance(value, list):
            assert len(value) == len(after[name])
            assert all(map(np.array_equal, value, after[name])), name
        else:
            assert value is after[name], name


CASES: dict[str, tuple[dict[str, Any], tuple[Any, Any], dict[str, Any]]] = {
    "holes": ({}, (HOLES, THREE), {}),
    "labels and rows": ({}, (X, THREE[:80]), {}),
    "numbers as labels": ({}, (X, Y), {}),
    "weights": ({}, (X, THREE), {"sample_weight": np.ones(3)}),
    "weights of zero": ({}, (X, THREE), {"sample_weight": np.zeros(90)}),
    "weights of zero, lbfgs": ({"solver": "lbfgs"}, (X, THREE), {"sample_weight": np.zeros(90)}),
    "class weights": ({"class_weight": {"z": 1.0}}, (X, THREE), {}),
    "validation rows": ({}, (X, THREE), {"eval_set": (X[:, :2], THREE)}),
    "validation labels": ({}, (X, THREE), {"eval_set": (X, TWO)}),
    "too few rows to set aside": ({"early_stopping": True}, (X[:9], THREE[:9]), {}),
    "a class of one row": ({"early_stopping": True}, (X, np.where(np.arange(90) < 1, "rare", "usual")), {}),
    "widths": ({"hidden_layer_sizes": (5.5,)}, (X, THREE), {}),
    "activations": ({"activation": ["relu", "tanh"]}, (X, THREE), {}),
    "dropout": ({"dropout": [0.1, 0.1]}, (X, THREE), {}),
    "loss": ({"loss": "hinge"}, (X, THREE), {}),
    "scoring": ({"scoring": "acuracy", "early_stopping": True}, (X, THREE), {}),
    "callbacks": ({"callbacks": [BATCHWISE]}, (X, THREE), {}),
    "something else as a callback": ({"callbacks": [print]}, (X, THREE), {}),
}


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_what_fit_refuses_changes_nothing(case: str, fitted: bool) -> None:
    settings, rows, options = CASES[case]
    model = classifier().fit(X, TWO) if fitted else classifier()
    model.set_params(**settings)
    before = state(model)
    with pytest.raises((ValueError, TypeError, ZeroDivisionError)):
        model.fit(*rows, **options)
    unchanged(before, state(model))
    if fitted:
        model.set_params(**classifier().get_params())
        np.testing.assert_array_equal(model.predict(X), classifier().fit(X, TWO).predict(X))


@pytest.mark.parametrize("settings", [{}, {"warm_start": True}])
def test_what_a_later_call_refuses_changes_nothing(settings: dict[str, Any]) -> None:
    model = classifier(**settings).fit(X, TWO)
    before = state(model)
    calls: list[Any] = [
        lambda: model.partial_fit(X, THREE),
        lambda: model.partial_fit(X[:, :3], TWO),
        lambda: model.partial_fit(X, TWO, classes=["a", "b"]),
        lambda: model.partial_fit(X, TWO, sample_weight=np.full(90, np.nan)),
    ]
    if settings:
        calls += [lambda: model.fit(X, THREE), lambda: model.fit(X, TWO, eval_set=(X, THREE))]
    for call in calls:
        with pytest.raises(ValueError, match=r"X has|classes|NaN|label"):
            call()
        unchanged(before, state(model))


def test_a_refused_first_part_does_not_fix_the_classes() -> None:
    model = classifier()
    with pytest.raises(ValueError, match="contains NaN"):
        model.partial_fit(HOLES, TWO, classes=["no", "yes"])
    assert not hasattr(model, "classes_")
    assert list(model.partial_fit(X, THREE, classes=["c", "b", "a"]).classes_) == ["a", "b", "c"]


def test_numbers_that_do_not_suit_the_loss_change_nothing() -> None:
    model = fastnn.MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, random_state=0).fit(X, Y)
    before = state(model)
    for loss in ("gamma", "poisson"):
        model.set_params(loss=loss)
        with pytest.raises(ValueError, match=loss):
            model.fit(X, Y)
        unchanged(before, state(model))
    with pytest.raises(TypeError, match="y has dtype"):
        model.set_params(loss="squared_error").fit(X, TWO)
    unchanged(before, state(model))


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((5.5,), TypeError, r"hidden_layer_sizes of MLPClassifier must be whole numbers.*\(5.5,\)"),
        ((64.0, 32.0), TypeError, "must be whole numbers.*int"),
        (("5",), TypeError, "must be whole numbers"),
        (((5, 4), 3), TypeError, "must be whole numbers"),
        (np.array([[3, 4]]), TypeError, "must be whole numbers"),
        ((None,), TypeError, "must be whole numbers"),
        ((4, -1), ValueError, "hidden_layer_sizes must be > 0"),
    ],
)
def test_widths_that_are_no_whole_numbers_are_not_cut(sizes: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        classifier().set_params(hidden_layer_sizes=sizes).fit(X, TWO)


@pytest.mark.parametrize("sizes", [3, (3,), [3], np.int32(3), np.array([3]), range(3, 4), ()])
def test_widths_come_in_many_forms(sizes: Any) -> None:
    model = classifier().set_params(hidden_layer_sizes=sizes).fit(X, TWO)
    assert model.coefs_[0].shape == ((4, 3) if len(model.coefs_) == 2 else (4, 1))
