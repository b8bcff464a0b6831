"""The estimators against scikit-learn's perceptrons: fits, single rows, many rows, jobs side by side.

    python benchmarks/estimators.py [--seeds 20] [--rounds 9] [--parts fits,rows,jobs] [--smoke]

Equal settings, seeds and data; contenders take turns, and who begins changes; times are medians, ratios those
of each turn.  Fits print the largest relative difference of the two curves of losses, up to where the first
one ends: above 1e-4 there is no race.  Scores are of rows that were not trained on; their differences are
paired, with standard errors.  What is printed goes to `benchmarks/results/estimators.txt` as well, but for a
smoke run.
"""

from __future__ import annotations

import argparse
import functools
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import sklearn
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fastnn

RESULTS = Path(__file__).parent / "results" / "estimators.txt"
LIBRARIES = (neural_network, fastnn)
Table = tuple[np.ndarray, np.ndarray]


def whole(parts: Any) -> Table:
    """Return the parts of one of fastnn's data sets as one table."""
    x, y = (np.concatenate([part[place] for part in parts]).astype(float) for place in (0, 1))
    return x, y.reshape(-1)


def plain(found: Any) -> Table:
    return np.asarray(found[0], float), found[1]


CLASSES: dict[str, Callable[[], Table]] = {
    "digits": lambda: plain(datasets.load_digits(return_X_y=True)),
    "breast cancer": lambda: plain(datasets.load_breast_cancer(return_X_y=True)),
    "wine": lambda: plain(datasets.load_wine(return_X_y=True)),
    "admissions": lambda: whole(fastnn.datasets.load_admissions()),
    "moons": lambda: plain(datasets.make_moons(2000, noise=0.3, random_state=0)),
    "hypercube": lambda: plain(
        datasets.make_classification(3000, 20, n_informative=10, n_classes=4, random_state=0)
    ),
    "hastie": lambda: plain(datasets.make_hastie_10_2(4000, random_state=0)),
}
NUMBERS: dict[str, Callable[[], Table]] = {
    "diabetes": lambda: plain(datasets.load_diabetes(return_X_y=True)),
    "bike sharing": lambda: whole(fastnn.datasets.load_bike_sharing()),
    "friedman": lambda: plain(datasets.make_friedman1(3000, noise=1.0, random_state=0)),
    "linear": lambda: plain(datasets.make_regression(3000, 30, noise=20.0, random_state=0)),
}
SMALL = ("wine", "diabetes")


class Fit(NamedTuple):
    """One fit: seconds, score on other rows, and the losses of its epochs."""

    seconds: float
    score: float
    losses: list[float]


def seconds(function: Callable[[], Any]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def in_turns(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each contender in each round; who is first in one is last in the next."""
    names, times = list(contenders), {name: [] for name in contenders}
    for name in names:
        contenders[name]()
    for number in range(rounds):
        for name in names if number % 2 else names[::-1]:
            times[name].append(seconds(contenders[name]))
    return times


def ratio(slow: list[float], fast: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def fitted(library: Any, kind: str, table: Table, seed: int, epochs: int) -> Fit:
    """Fit with the usual settings on three quarters of a table."""
    x, y = table
    stratify = y if kind == "MLPClassifier" else None
    train, test, train_y, test_y = train_test_split(x, y, random_state=seed, stratify=stratify)
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    if stratify is None:
        middle, spread = train_y.mean(), train_y.std()
        train_y, test_y = (train_y - middle) / spread, (test_y - middle) / spread
    model = getattr(library, kind)(random_state=seed, max_iter=epochs)
    taken = seconds(lambda: model.fit(train, train_y))
    return Fit(taken, float(model.score(test, test_y)), model.loss_curve_)


def fits(say: Callable[[str], None], seeds: int, smoke: bool) -> None:
    say(
        f"{'a fit':15} {'rows':>6} {'columns':>7} {'scikit-learn':>13} {'fastnn':>9} {'ratio':>6}  "
        f"{'scores':>13} {'difference':>16}  losses differ by"
    )
    epochs = 5 if smoke else 200
    for kind, tables in (("MLPClassifier", CLASSES), ("MLPRegressor", NUMBERS)):
        for name, load in tables.items():
            if smoke and name not in SMALL:
                continue
            table = load()
            for library in LIBRARIES:
                fitted(library, kind, table, 0, 2)
            found: list[list[Fit]] = [[], []]
            for seed in range(seeds):
                for place in (0, 1) if seed % 2 else (1, 0):
                    found[place].append(fitted(LIBRARIES[place], kind, table, seed, epochs))
            times = [[one.seconds for one in fits_] for fits_ in found]
            scores = np.array([[one.score for one in fits_] for fits_ in found])
            gain = scores[1] - scores[0]
            error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
            apart = 0.0
            for theirs, ours in zip(*found, strict=True):
                count = min(len(theirs.losses), len(ours.losses))
                pair = np.array([theirs.losses[:count], ours.losses[:count]])
                apart = max(apart, float(np.max(np.abs(pair[1] / pair[0] - 1))))
            say(
                f"{name:15} {len(table[0]):6} {table[0].shape[1]:7} {statistics.median(times[0]):11.4f} s "
                f"{statistics.median(times[1]):7.4f} s {ratio(*times):6.1f}  {scores[0].mean():6.3f} "
                f"{scores[1].mean():6.3f} {gain.mean():+8.4f} +-{error:6.4f}  {apart:.0e}"
            )


def rows(say: Callable[[str], None], rounds: int, smoke: bool) -> None:
    rng = np.random.RandomState(0)
    many = 10_000 if smoke else 1_000_000
    calls = 10 if smoke else 1000
    say("")
    say(f"{'a call, 20-100-3':38} {'scikit-learn':>13} {'fastnn':>12} {'ratio':>6}")
    for dtype in (np.float32, np.float64):
        x, labels = rng.randn(500, 20).astype(dtype), rng.randint(0, 3, 500)
        models = [library.MLPClassifier(max_iter=3, random_state=0).fit(x, labels) for library in LIBRARIES]
        np.testing.assert_allclose(models[0].predict_proba(x), models[1].predict_proba(x), atol=1e-4)
        inputs = {"one row": (x[:1].copy(), calls), f"{many:,} rows": (np.tile(x, (many // 500, 1)), 1)}
        for method in ("predict_proba", "predict"):
            for name, (given, repeats) in inputs.items():
                contenders = {
                    library.__name__: functools.partial(repeat, getattr(model, method), given, repeats)
                    for library, model in zip(LIBRARIES, models, strict=True)
                }
                theirs, ours = in_turns(contenders, rounds if repeats > 1 else min(rounds, 5)).values()
                shown = [statistics.median(one) / repeats * 1e6 for one in (theirs, ours)]
                say(
                    f"{f'{method}, {name}, {np.dtype(dtype)}':38} {shown[0]:10.1f} us {shown[1]:9.1f} us "
                    f"{ratio(theirs, ours):6.1f}"
                )


def repeat(function: Callable[[np.ndarray], Any], given: np.ndarray, repeats: int) -> None:
    for _ in range(repeats):
        function(given)


def work(library: Any, table: Table, seed: int, options: dict[str, Any]) -> None:
    """Fit once; what a job does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        library.MLPClassifier(random_state=seed, max_iter=10, tol=0.0, **options).fit(*table)


def jobs(say: Callable[[str], None], rounds: int, smoke: bool) -> None:
    x, y = CLASSES["hastie"]()
    table = (x[:300], y[:300]) if smoke else (np.tile(x, (4, 1)), np.tile(y, 4))
    count = 2 if smoke else 8

    def run(library: Any, backend: str, n_jobs: int, **options: Any) -> Callable[[], Any]:
        def call() -> None:
            with joblib.parallel_config(backend, n_jobs=n_jobs):
                joblib.Parallel()(
                    joblib.delayed(work)(library, table, seed, options) for seed in range(count)
                )

        return call

    say("")
    say(f"{count} fits, {len(table[0])} rows, 10-100-1, 10 epochs")
    for library in LIBRARIES:
        name = library.__name__.partition(".")[0]
        alone = {"n_threads": 1} if library is fastnn else {}
        times = in_turns(
            {
                "one": run(library, "sequential", 1, **alone),
                "threads": run(library, "threading", 2),
                "processes": run(library, "loky", 2),
                "processes of one thread": run(library, "loky", 2, **alone),
            },
            min(rounds, 5),
        )
        for case, taken in times.items():
            say(
                f"{name:10} {case:24} {statistics.median(taken):8.3f} s, "
                f"{ratio(times['one'], taken):5.2f} times as much as one"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--parts", default="fits,rows,jobs")
    parser.add_argument("--smoke", action="store_true", help="little work, and no file")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    unknown = set(parts) - {"fits", "rows", "jobs"}
    if unknown:
        parser.error(f"--parts must be of fits, rows, jobs; got {', '.join(sorted(unknown))}")
    seeds, rounds = (2, 1) if arguments.smoke else (arguments.seeds, arguments.rounds)
    warnings.simplefilter("ignore", ConvergenceWarning)
    lines: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    info = fastnn.build_info()
    say(
        f"scikit-learn {sklearn.__version__}, fastnn {info['version']} ({info['simd']}), "
        f"NumPy {np.__version__}, Python {platform.python_version()}, {info['cpus']} CPUs"
    )
    say("")
    if "fits" in parts:
        fits(say, seeds, arguments.smoke)
    if "rows" in parts:
        rows(say, rounds, arguments.smoke)
    if "jobs" in parts:
        jobs(say, rounds, arguments.smoke)
    if not arguments.smoke:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
