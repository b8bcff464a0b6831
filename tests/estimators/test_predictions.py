"""Predictions of one row and of many: the work that is done around the net, and the memory that it takes."""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

from scipy import sparse

from fastnn.estimators._network import _COPIED_ROWS, _SPARSE_ROWS
from fastnn.run import program

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*converge")
RNG = np.random.RandomState(10)
X = RNG.randn(120, 8)
Y = X[:, 0] - 2 * X[:, 1]
TWO, THREE = Y > 0, (Y > 1).astype(int) + (Y > -1)


def fitted(labels: Any, dtype: Any = np.float64, **settings: Any) -> Any:
    usual: dict[str, Any] = {"max_iter": 4, "random_state": 0}
    return fastnn.MLPClassifier((16,), **(usual | settings)).fit(X.astype(dtype), labels)


def number_of_calls(function: Callable[[], object]) -> int:
    """Return how many functions, those in C included, a call calls."""
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("labels", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_passes_few_functions(labels: Any, dtype: Any) -> None:
    model = fitted(labels, dtype)
    for row in (X[:1].astype(np.float32), X[:1].copy()):
        for method, most in ((model.predict_proba, 30), (model.predict, 35)):
            method(row)
            assert number_of_calls(lambda m=method, r=row: m(r)) <= most  # scikit-learn: hundreds


def test_a_row_sees_what_changed_between_calls() -> None:
    model = fastnn.MLPRegressor(hidden_layer_sizes=(3,), activation="identity", max_iter=2).fit(X, Y)
    row = X[:1].copy()
    model.predict(row)

    def wanted() -> float:
        hidden = row @ model.coefs_[0] + model.intercepts_[0]
        return float((hidden @ model.coefs_[1] + model.intercepts_[1])[0, 0])

    changes: list[Callable[[], Any]] = [
        lambda: model.coefs_.__setitem__(0, np.full((8, 3), 0.5)),
        lambda: model.coefs_[0].fill(0.25),
        lambda: setattr(model, "intercepts_", [np.ones(3), np.array([7.0])]),
        lambda: setattr(model, "coefs_", tuple(np.array(one) * 2 for one in model.coefs_)),
        lambda: (
            setattr(model, "coefs_", [np.ones((8, 2)), np.ones((2, 1))])
            or setattr(model, "intercepts_", [np.zeros(2), np.zeros(1)])
        ),
        lambda: model.fit(X, -Y),
        lambda: model.partial_fit(X, Y) if len(model.coefs_[0][0]) == 3 else None,
    ]
    for change in changes:
        before = model.predict(row)[0]
        change()
        assert model.predict(row)[0] == pytest.approx(wanted(), rel=1e-12)
        assert model.predict(row)[0] != before
    model.coefs_ = [np.ones((8, 3)), np.full((3, 1), -1.0)]
    model.intercepts_ = [np.zeros(3), np.zeros(1)]
    model.predict(row)
    positive = np.abs(row)
    model.set_params(activation="tanh")  # of the net that is there
    assert model.predict(positive)[0] == pytest.approx(-3 * np.tanh(positive.sum()))
    model.set_params(activation=["relu"])
    model.predict(positive)
    model.activation[0] = "tanh"  # a list that changes in its place
    assert model.predict(positive)[0] == pytest.approx(-3 * np.tanh(positive.sum()))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the rows of each run of a compiled plan."""
    found: list[int] = []
    run = program.Program.run

    def noted(self: Any, externals: Any, rows: int, *arguments: Any, **options: Any) -> Any:
        found.append(rows)
        return run(self, externals, rows, *arguments, **options)

    monkeypatch.setattr(program.Program, "run", noted)
    return found


def peak(function: Callable[[], object]) -> int:
    """Return how many bytes a call had at once, beyond those there were."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_million_rows_are_one_call_without_a_copy(dtype: Any, runs: list[int]) -> None:
    rows = np.zeros((1_000_000, 8), dtype)
    rows[::7] = 1.0
    model, numbers = fitted(TWO, dtype), fastnn.MLPRegressor(max_iter=1).fit(X.astype(dtype), Y)
    item = np.dtype(dtype).itemsize
    for one in (model, numbers):
        one.predict(rows[:100_000])
    runs.clear()
    # The outputs; of classes, what is above a half, its number (8 bytes), and the label.
    assert peak(lambda: model.predict(rows)) <= 1_000_000 * (item + 1 + 8 + 1) + 1_000_000
    assert runs == [1_000_000]
    assert peak(lambda: numbers.predict(rows)) <= 1_000_000 * item + 1_000_000
    assert peak(lambda: model.predict_proba(rows)) <= 1_000_000 * 3 * item + 1_000_000
    assert runs == [1_000_000] * 3


@pytest.mark.parametrize("form", [np.asfortranarray, lambda x: x.astype(np.float32), lambda x: x[:, ::-1]])
def test_rows_in_another_form_are_copied_part_by_part(form: Any, runs: list[int]) -> None:
    rows = form(np.arange(8.0 * 200_000).reshape(-1, 8) % 3.0)
    model = fastnn.MLPRegressor(max_iter=1, random_state=0).fit(X, Y)
    wanted = model.predict(np.ascontiguousarray(rows, np.float64))
    runs.clear()
    assert peak(lambda: model.predict(rows)) < 200_000 * 8 + _COPIED_ROWS * 8 * 8 * 2
    assert sum(runs) == 200_000
    assert len(runs) == -(-200_000 // _COPIED_ROWS)
    np.testing.assert_allclose(model.predict(rows), wanted, rtol=1e-12)


def test_sparse_rows_become_dense_part_by_part(runs: list[int]) -> None:
    wide = 3000
    rows = sparse.random(8000, wide, 0.001, format="csr", random_state=0)
    dense = 8000 * wide * 8
    for model in (
        fastnn.MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, batch_size=100, random_state=0),
        fastnn.MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, solver="lbfgs", random_state=0),
        fastnn.MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, early_stopping=True, random_state=0),
    ):
        target = np.asarray(rows[:, :9].sum(axis=1)).ravel()
        assert peak(lambda m=model, t=target: m.fit(rows, t)) < dense / 2
        runs.clear()
        assert peak(lambda m=model: m.predict(rows)) < 3 * _SPARSE_ROWS * wide * 8
        assert len(runs) == -(-8000 // _SPARSE_ROWS)


def test_no_rows_are_refused_and_parts_meet() -> None:
    model = fitted(THREE)
    rows = RNG.randn(_COPIED_ROWS + 1, 8).astype(np.float32)
    whole = model.predict_proba(rows)
    for part in (slice(0, 3), slice(_COPIED_ROWS - 2, None)):
        np.testing.assert_allclose(model.predict_proba(rows[part]), whole[part], rtol=1e-9)
    with pytest.raises(ValueError, match=r"0 sample"):
        model.predict(rows[:0])
