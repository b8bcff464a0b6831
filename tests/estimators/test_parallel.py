"""Estimators beside each other: joblib's workers, their share of the threads, the GIL."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

import joblib
from shares import share
from sklearn.base import clone
from sklearn.model_selection import cross_validate

from fastnn._core import pool
from fastnn.estimators._threads import threads_for
from fastnn.run import program
from fastnn.run.runtime import default_threads

pytestmark = [
    pytest.mark.filterwarnings("ignore:(?s).*converge"),
    # JAX, where other tests have loaded it, warns of every fork.
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
]
RNG = np.random.RandomState(8)
X = RNG.randn(120, 4)
Y = X[:, 0] - 2 * X[:, 1]
TWO = np.array(["no", "yes"])[(Y > 0).astype(int)]


def regressor(**settings: Any) -> Any:
    return fastnn.MLPRegressor(hidden_layer_sizes=(5,), **({"max_iter": 6, "random_state": 0} | settings))


def weights_of(model: Any) -> list[np.ndarray]:
    return [*model.coefs_, *model.intercepts_]


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing", "sequential"])
def test_jobs_give_the_same_bits_wherever_they_run(backend: str) -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"solver": "lbfgs"},
        {"dropout": 0.3, "normalization": "batch"},
        {"early_stopping": True, "n_ensemble": 2},
    ]
    models = [regressor(**one) for one in settings]
    wanted = [clone(model).fit(X, Y) for model in models]
    with joblib.parallel_config(backend, n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(clone(model).fit)(X, Y) for model in models)
    for one, other in zip(found, wanted, strict=True):
        for a, b in zip(weights_of(one), weights_of(other), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(one.predict(X), other.predict(X))
        assert one.loss_ == other.loss_
    for model in (found[0], wanted[0]):  # what came back trains on as what was here
        model.partial_fit(X, Y)
    np.testing.assert_array_equal(found[0].coefs_[0], wanted[0].coefs_[0])


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_folds_have_the_same_scores_wherever_they_run(backend: str) -> None:
    model = fastnn.MLPClassifier((5,), max_iter=6, random_state=0)
    wanted = cross_validate(model, X, TWO, cv=4, scoring=["neg_log_loss", "accuracy"])
    with joblib.parallel_config(backend, n_jobs=2):
        found = cross_validate(model, X, TWO, cv=4, scoring=["neg_log_loss", "accuracy"])
    for name in ("test_neg_log_loss", "test_accuracy"):
        np.testing.assert_array_equal(found[name], wanted[name])


def test_callbacks_with_a_memory_are_not_shared_by_jobs() -> None:
    patient = fastnn.callbacks.EarlyStopping("loss", min_delta=1e9, patience=2)
    model = regressor(callbacks=[patient], max_iter=30)
    with joblib.parallel_config("threading", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(clone(model).fit)(X, Y) for _ in range(6))
    assert [one.n_iter_ for one in found] == [3] * 6
    assert patient.stopped_epoch == 0
    assert len({id(one.callbacks[0]) for one in found}) == 6


def test_files_of_joblib_bring_the_estimator_back(tmp_path: Path) -> None:
    model = regressor().fit(X, Y)
    for options in ({}, {"compress": 3}):
        joblib.dump(model, tmp_path / "model", **options)
        found = joblib.load(tmp_path / "model")
        np.testing.assert_array_equal(found.predict(X), model.predict(X))
    mapped = joblib.load(joblib.dump(model, tmp_path / "plain")[0], mmap_mode="r")
    np.testing.assert_array_equal(mapped.predict(X), model.predict(X))
    mapped.partial_fit(X, Y)
    assert np.abs(mapped.coefs_[0] - model.coefs_[0]).max() > 0


# -- threads


def _shares(backend: str, jobs: int, **options: Any) -> set[tuple[int | None, int]]:
    with joblib.parallel_config(backend, n_jobs=jobs, **options):
        return set(joblib.Parallel()(joblib.delayed(share)() for _ in range(4)))


def test_jobs_of_joblib_take_no_more_than_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "FASTNN_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    cpus = default_threads()
    assert share() == (None, cpus)
    # loky says in each process's environment how many threads it may have.
    assert _shares("loky", 2) == {(None, max(1, joblib.cpu_count() // 2))}
    assert _shares("loky", 2, inner_max_num_threads=1) == {(None, 1)}
    # Others say nothing, so that each job has one.
    assert _shares("threading", 2) == {(1, cpus)}
    assert {one for one, _ in _shares("multiprocessing", 2)} == {1}
    # Where all jobs run one after the other there is nobody to share with.
    assert _shares("threading", 1) == _shares("sequential", 1) == {(None, cpus)}


def test_what_the_user_says_counts_in_jobs_as_well() -> None:
    def ask() -> tuple[int | None, int | None]:
        with fastnn.threads(1):
            return threads_for(None), threads_for(1)

    with joblib.parallel_config("threading", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(ask)() for _ in range(2)) == [(None, 1)] * 2
    assert threads_for(10_000) == len(os.sched_getaffinity(0)) or sys.platform != "linux"


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_call_of_an_estimator_keeps_to_its_threads(
    solver: str, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []
    run = program.Program.run

    def noted(self: Any, *arguments: Any, n_threads: int | None = None, **options: Any) -> Any:
        asked.append(n_threads)
        return run(self, *arguments, n_threads=n_threads, **options)

    monkeypatch.setattr(program.Program, "run", noted)
    weights = np.linspace(0.1, 1.0, 120) if weighted else None
    settings: dict[str, Any] = {"solver": solver, "n_threads": 1, "max_iter": 2}
    settings |= {"early_stopping": True} if solver == "adam" else {}
    model = regressor(**settings).fit(X, Y, sample_weight=weights)
    model.predict(np.tile(X, (200, 1)))
    assert len(asked) > 3
    assert set(asked) == {1}


def test_a_row_of_a_wide_net_is_predicted_by_as_many_threads_as_it_may(
    soon: Any, dismiss_helpers: Any
) -> None:
    wide = fastnn.MLPRegressor(hidden_layer_sizes=(1500, 1500), max_iter=1, random_state=0, n_threads=1)
    wide.fit(X[:20].astype(np.float32), Y[:20])
    row = X[:1].astype(np.float32)
    wide.predict(row)
    wanted = wide.predict(row)
    dismiss_helpers()
    before = pool.count_jobs()
    for _ in range(300):
        wide.predict(row)
    assert pool.count_jobs() == before
    assert pool.count_workers() == 0
    wide.set_params(n_threads=None)
    np.testing.assert_array_equal(wide.predict(row), wanted)
    if default_threads() > 1 and wide._net()._now.programs.few_rows.most_rows > 0:
        assert soon(lambda: pool.count_jobs() > before, lambda: wide.predict(row))


def test_training_leaves_the_gil_to_others() -> None:
    # One epoch of a large net is one call: if it kept the GIL, no other thread could come in between.
    rows, target = RNG.randn(4000, 50), RNG.randn(4000)
    model = fastnn.MLPRegressor(hidden_layer_sizes=(256, 256), max_iter=1, random_state=0, n_threads=1)
    model.fit(rows, target)
    running = threading.Event()
    counts = [0]
    within: list[int] = []
    run = program.Program.run

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        before = counts[0]
        running.set()
        found = run(self, *arguments, **options)
        within.append(counts[0] - before)
        return found

    over = threading.Event()

    def count() -> None:
        running.wait()
        while not over.is_set():
            counts[0] += 1

    other = threading.Thread(target=count)
    other.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program.Program, "run", counted)
        model.set_params(max_iter=3).fit(rows, target)
    over.set()
    other.join()
    # With the GIL held there would be none but for the few around the call itself.
    assert max(within) > 10_000


def test_an_estimator_predicts_while_another_thread_trains_it() -> None:
    labels = np.digitize(Y, [-1.0, 1.0])
    model = fastnn.MLPClassifier((5,), max_iter=3, random_state=0).fit(X, labels)
    over = threading.Event()
    failed: list[BaseException] = []
    made = [0]

    def predict() -> None:
        while not over.is_set():
            try:
                found = model.predict_proba(X[:1]), model.predict_proba(X)
                for one in found:
                    np.testing.assert_allclose(one.sum(axis=1), 1.0)
                assert set(model.predict(X)) <= {0, 1, 2}
            except BaseException as error:
                failed.append(error)
                return
            made[0] += 1

    other = threading.Thread(target=predict)
    other.start()
    for _ in range(40):
        model.fit(X, labels).partial_fit(X, labels)
    while not made[0] and not failed:
        model.partial_fit(X, labels)
    model.fit(X, labels).partial_fit(X, labels)
    over.set()
    other.join()
    assert not failed
    alone = fastnn.MLPClassifier((5,), max_iter=3, random_state=0).fit(X, labels).partial_fit(X, labels)
    np.testing.assert_array_equal(model.coefs_[0], alone.coefs_[0])


def test_two_searches_in_threads_do_not_disturb_each_other() -> None:
    found: list[Any] = [None, None]

    def work(number: int) -> None:
        with joblib.parallel_config("threading", n_jobs=2):
            model = fastnn.MLPClassifier((5,), max_iter=6, random_state=number)
            found[number] = cross_validate(model, X, TWO, cv=3)["test_score"]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(2):
        model = fastnn.MLPClassifier((5,), max_iter=6, random_state=number)
        np.testing.assert_array_equal(found[number], cross_validate(model, X, TWO, cv=3)["test_score"])


SCRIPT = """
import sys
import joblib
import numpy as np
import fastnn

def jobs_of_helpers(seed):
    from fastnn._core import pool
    rng = np.random.RandomState(seed)
    x, y = rng.randn(3000, 60), rng.randn(3000)
    model = fastnn.MLPRegressor(hidden_layer_sizes=(200, 200), max_iter=2, random_state=0).fit(x, y)
    model.predict(np.tile(x, (20, 1)))
    return pool.count_jobs()

with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=int(sys.argv[1])):
    print(joblib.Parallel()(joblib.delayed(jobs_of_helpers)(seed) for seed in range(2)))
"""


def test_processes_of_joblib_start_no_helpers_beyond_their_share(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("NUM_THREADS")}
    environment["PYTHONPATH"] = str(Path(fastnn.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "script.py", "1"],
        cwd=tmp_path,
        env=environment | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.strip() == "[0, 0]", done.stdout + done.stderr[-2000:]
