"""What scikit-learn shows its perceptrons with: after a change of the import, the same figures.

Both perceptrons are run with several seeds; their mean scores have to agree within three standard errors of
the paired differences, and a small slack.  The data are scikit-learn's own, made by it, or bike sharing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

from sklearn import neural_network
from sklearn.compose import make_column_transformer
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    make_circles,
    make_classification,
    make_moons,
)
from sklearn.ensemble import StackingRegressor
from sklearn.inspection import partial_dependence
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, QuantileTransformer, StandardScaler

pytestmark = [
    pytest.mark.filterwarnings("ignore:(?s).*converge"),
    # What older versions of scikit-learn tell newer ones of SciPy is theirs.
    pytest.mark.filterwarnings("ignore:.*`disp` and `iprint`:DeprecationWarning"),
]
SEEDS = range(4)
LIBRARIES = (fastnn, neural_network)


def agree(score: Callable[[Any, int], float], least: float, slack: float = 0.01) -> None:
    """Compare the scores of both libraries over seeds, and with what the task allows."""
    ours, theirs = (np.array([score(library, seed) for seed in SEEDS]) for library in LIBRARIES)
    differences = ours - theirs
    error = differences.std(ddof=1) / np.sqrt(len(SEEDS))
    assert abs(differences.mean()) <= 3 * error + slack, (ours, theirs)
    assert ours.mean() > least, ours


def two_dimensional(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return three tables of two columns: two moons, two rings, two clouds."""
    x, y = make_classification(n_features=2, n_redundant=0, n_clusters_per_class=1, random_state=seed)
    x += 2 * np.random.RandomState(seed).uniform(size=x.shape)
    return {
        "moons": make_moons(noise=0.3, random_state=seed),
        "circles": make_circles(noise=0.2, factor=0.5, random_state=seed),
        "clouds": (x, y),
    }


@pytest.mark.parametrize("name", ["moons", "circles", "clouds"])
def test_regularization_bends_boundaries_less_and_less(name: str) -> None:
    def fit(library: Any, seed: int, alpha: float) -> tuple[float, float]:
        x, y = two_dimensional(seed)[name]
        parts = train_test_split(x, y, test_size=0.4, random_state=42)
        net = library.MLPClassifier((10, 10), solver="lbfgs", alpha=alpha, random_state=1, max_iter=300)
        model = make_pipeline(StandardScaler(), net).fit(parts[0], parts[2])
        grid = np.stack(np.meshgrid(*[np.linspace(-3, 3, 15)] * 2), axis=-1).reshape(-1, 2)
        steepness = np.abs(np.diff(model.predict_proba(grid)[:, 1])).max()
        return float(model.score(parts[1], parts[3])), float(steepness)

    agree(lambda library, seed: fit(library, seed, 1.0)[0], 0.7, 0.03)
    agree(lambda library, seed: fit(library, seed, 10.0)[0], 0.3)
    steep = [np.mean([fit(fastnn, seed, alpha)[1] for seed in SEEDS]) for alpha in (0.1, 1.0, 10.0)]
    assert steep[0] > steep[1] > steep[2]


TABLES: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "iris": lambda: load_iris(return_X_y=True),
    "digits": lambda: tuple(part[:600] for part in load_digits(return_X_y=True)),
    "circles": lambda: make_circles(noise=0.2, factor=0.5, random_state=1),
    "moons": lambda: make_moons(noise=0.3, random_state=0),
}
SOLVERS: dict[str, dict[str, Any]] = {
    "constant": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.2},
    "momentum": {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False, "learning_rate_init": 0.2},
    "nesterov": {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": True, "learning_rate_init": 0.2},
    "invscaling": {
        "solver": "sgd",
        "learning_rate": "invscaling",
        "momentum": 0.9,
        "learning_rate_init": 0.2,
    },
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
}


@pytest.mark.parametrize("table", TABLES)
def test_curves_of_losses_lie_on_each_other(table: str) -> None:
    x, y = TABLES[table]()
    x = MinMaxScaler().fit_transform(x)
    for settings in SOLVERS.values():
        curves = []
        for library in LIBRARIES:
            model = library.MLPClassifier(random_state=0, max_iter=15, **settings).fit(x, y)
            curves.append(model.loss_curve_)
        np.testing.assert_allclose(*curves, rtol=1e-5)


def test_first_weights_of_images_are_the_same_pictures() -> None:
    x, y = load_digits(return_X_y=True)
    train, test, train_y, test_y = train_test_split(x / 16.0, y, random_state=0, test_size=0.3)
    settings: dict[str, Any] = {"alpha": 1e-4, "solver": "sgd", "learning_rate_init": 0.2, "max_iter": 8}
    models = [
        library.MLPClassifier((40,), random_state=1, **settings).fit(train, train_y) for library in LIBRARIES
    ]
    pictures = [model.coefs_[0].T.reshape(40, 8, 8) for model in models]
    np.testing.assert_allclose(*pictures, atol=1e-6)
    assert models[0].score(test, test_y) == models[1].score(test, test_y) > 0.9


@pytest.mark.parametrize("name", ["moons", "circles", "clouds"])
def test_classifiers_are_compared_with_the_same_score(name: str) -> None:
    def score(library: Any, seed: int) -> float:
        x, y = two_dimensional(seed)[name]
        train, test, train_y, test_y = train_test_split(x, y, test_size=0.4, random_state=42)
        net = library.MLPClassifier(alpha=1, max_iter=1000, random_state=42)
        return float(make_pipeline(StandardScaler(), net).fit(train, train_y).score(test, test_y))

    agree(score, 0.7, 1e-9)  # the same steps, so the same predictions


@pytest.fixture(scope="module")
def bikes(published: Any) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return hours of bike sharing, how many were rented, and the names of the columns."""
    table = published("bike_sharing/hour.csv")
    names = ["season", "yr", "mnth", "hr", "holiday", "weekday", "workingday", "weathersit"]
    names += ["temp", "atemp", "hum", "windspeed"]
    columns = np.array([table[name] for name in names], float).T
    rented = np.array(table["cnt"], float)
    rows = np.random.RandomState(0).permutation(len(rented))[:3000]
    return columns[rows], rented[rows], names


def bike_model(library: Any, seed: int) -> Any:
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), [0, 2, 5, 7]),
        (QuantileTransformer(n_quantiles=100), [3, 8, 9, 10, 11]),
        remainder="passthrough",
    )
    net = library.MLPRegressor(
        hidden_layer_sizes=(30, 15), learning_rate_init=0.01, early_stopping=True, random_state=seed
    )
    return make_pipeline(columns, net)


def test_rented_bikes_depend_on_weather_in_the_same_way(bikes: Any) -> None:
    x, y, names = bikes
    y = (y - y.mean()) / y.std()
    train, test, train_y, test_y = train_test_split(x, y, test_size=0.1, random_state=0)
    curves: dict[Any, list[np.ndarray]] = {library: [] for library in LIBRARIES}

    def score(library: Any, seed: int) -> float:
        model = bike_model(library, seed).fit(train, train_y)
        found = partial_dependence(
            model, train[:300], [names.index("temp")], grid_resolution=6, percentiles=(0.1, 0.9)
        )
        curves[library].append(found["average"][0])
        return float(model.score(test, test_y))

    agree(score, 0.5)  # a linear model explains 0.4
    ours, theirs = (np.mean(curves[library], axis=0) for library in LIBRARIES)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98
    assert ours[-1] > ours[0]  # more bikes on warm days


def test_stacked_regressors_gain_by_the_same_amount(bikes: Any) -> None:
    x, y, _ = bikes
    x, y = x[:1200], y[:1200] / 100.0

    def score(library: Any, seed: int) -> float:
        net = library.MLPRegressor(hidden_layer_sizes=(20,), max_iter=40, random_state=seed)
        parts = [("line", RidgeCV()), ("net", make_pipeline(StandardScaler(), net))]
        stack = StackingRegressor(parts, final_estimator=RidgeCV(), cv=3)
        return float(stack.fit(x[:900], y[:900]).score(x[900:], y[900:]))

    agree(score, 0.3)


def test_a_table_of_findings_is_learned_alike() -> None:
    x, y = load_breast_cancer(return_X_y=True)

    def score(library: Any, seed: int) -> float:
        train, test, train_y, test_y = train_test_split(x, y, random_state=seed)
        net = library.MLPClassifier(random_state=seed, max_iter=60)
        return float(make_pipeline(StandardScaler(), net).fit(train, train_y).score(test, test_y))

    agree(score, 0.95, 1e-9)
