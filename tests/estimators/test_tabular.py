"""The estimators of tables: their recipe step by step, and what users meet."""

from __future__ import annotations

import importlib.util
import itertools
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.errors import ConfigurationError, DataError, NonFiniteWarning, TrainingWarning

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from fastnn.estimators._epochs import Rows
from fastnn.estimators._network import Network
from fastnn.estimators._tabular_net import Cycles, TabularRecipe, initialize, smoothed, train

RNG = np.random.RandomState(3)
X = RNG.randn(300, 4)
KINDS = np.array(["red", "green", "blue"])[RNG.randint(0, 3, 300)]
TABLE = np.c_[X.astype(object), KINDS]
Y = np.where(KINDS == "red", X[:, 0], X[:, 1] * X[:, 2]) + 0.05 * RNG.randn(300)
LABELS = np.array(["low", "middle", "high"])[(Y > -0.4).astype(int) + (Y > 0.4)]
QUICK: dict[str, Any] = {"random_state": 0, "n_epochs": 12, "hidden_layer_sizes": (16, 16)}


def never(epochs: int, logs: dict[str, float]) -> bool:
    return False


class Statement:
    """The authors' net and step, stated anew in float64: ``y = x W / sqrt(n) + b``, and Adam on W and b."""

    betas, epsilon = (0.9, 0.95), 1e-8

    def __init__(self, widths: tuple[int, ...], activation: str, seed: int) -> None:
        random = np.random.RandomState(seed)
        self.activation = activation
        self.scale = np.ones(widths[0])
        self.w, self.b = [], []
        for number, (n, m) in enumerate(itertools.pairwise(widths)):
            last = number == len(widths) - 2
            self.w.append(np.zeros((n, m)) if last else random.standard_normal((n, m)))
            self.b.append(np.zeros(m) if last else random.standard_normal(m))
        self.moments = [(np.zeros_like(p), np.zeros_like(p)) for p in self.parameters]
        self.steps = 0

    @property
    def parameters(self) -> list[np.ndarray]:
        return [self.scale, *self.w, *self.b]

    def act(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.activation == "selu":
            a, s = 1.6732632423543772, 1.0507009873554805
            return s * np.where(z > 0, z, a * np.expm1(z)), s * np.where(z > 0, 1.0, a * np.exp(z))
        t = np.tanh(np.logaddexp(0.0, z))
        return z * t, t + z * (1.0 - t * t) / (1.0 + np.exp(-z))

    def gradients(self, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        h, kept = x * self.scale, []
        for number, (w, b) in enumerate(zip(self.w, self.b, strict=True)):
            z = h @ w / math.sqrt(len(w)) + b
            below = h
            h, slope = (z, np.ones_like(z)) if number == len(self.w) - 1 else self.act(z)
            kept.append((below, slope))
        if self.activation == "selu":
            p = np.exp(h - h.max(1, keepdims=True))
            d = (p / p.sum(1, keepdims=True) - y) / len(x)
        else:
            d = 2.0 * (h - y) / h.size
        dw, db = [], []
        for w, (below, slope) in zip(self.w[::-1], kept[::-1], strict=True):
            d = d * slope
            dw.append(below.T @ d / math.sqrt(len(w)))
            db.append(d.sum(0))
            d = d @ w.T / math.sqrt(len(w))
        return [(d * x).sum(0), *dw[::-1], *db[::-1]]

    def step(self, x: np.ndarray, y: np.ndarray, rate: float) -> None:
        self.steps += 1
        first, second = (1.0 - beta**self.steps for beta in self.betas)
        rates = [6.0 * rate] + [rate] * len(self.w) + [0.1 * rate] * len(self.b)
        for p, g, (m, v), own in zip(self.parameters, self.gradients(x, y), self.moments, rates, strict=True):
            m += (1.0 - self.betas[0]) * (g - m)
            v += (1.0 - self.betas[1]) * (g * g - v)
            p -= own * (m / first) / (np.sqrt(v / second) + self.epsilon)


@pytest.mark.parametrize("activation", ["selu", "mish"])
def test_steps_are_those_of_the_authors(activation: str) -> None:
    widths = (5, 16, 9, 3) if activation == "selu" else (5, 16, 9, 1)
    x = RNG.randn(40, 5)
    y = smoothed(RNG.randint(0, 3, 40), 3, 0.1) if activation == "selu" else RNG.randn(40, 1)
    steps, rate = 10, 0.04
    stated = Statement(widths, activation, 7)
    for step in range(steps):
        t = step / steps
        factor = 0.5 - 0.5 * math.cos(2.0 * math.pi * math.log2(1.0 + 15.0 * t))
        stated.step(x, y, rate * factor)
    loss = (
        fastnn.losses.CategoricalCrossentropy() if activation == "selu" else fastnn.losses.MeanSquaredError()
    )
    output = "softmax" if activation == "selu" else "linear"
    recipe = TabularRecipe(widths, (activation,) * (len(widths) - 2), output, loss, 1.0)
    network = Network(recipe, np.dtype(np.float64))
    initialize(network, np.random.RandomState(7))
    train(network, Rows(x, y), 40, steps, rate, np.random.RandomState(0), None, never, None)
    near = {"rtol": 0.0, "atol": 1e-11}
    np.testing.assert_allclose(network.model.get_layer("scale").scale, stated.scale, **near)
    for number, kernel in enumerate(network.kernels):
        np.testing.assert_allclose(kernel * math.sqrt(widths[number]), stated.w[number], **near)
        np.testing.assert_allclose(network.biases[number], stated.b[number], **near)
    assert np.abs(stated.scale - 1.0).max() > 0.1
    assert all(np.abs(w).max() > 1e-3 for w in stated.w)


def test_rates_go_in_cycles_that_double() -> None:
    rates = Cycles(0.1, 1500).rates(0, 1500)
    assert rates[0] == 0.0
    np.testing.assert_allclose(rates[100], 0.0, atol=1e-12)  # t = 1/15
    np.testing.assert_allclose(rates[300], 0.0, atol=1e-12)  # t = 3/15
    np.testing.assert_allclose(rates[700], 0.0, atol=1e-12)  # t = 7/15
    assert rates.max() == pytest.approx(0.1, rel=1e-3)
    assert Cycles(0.1, 1500)(1500) == pytest.approx(0.0, abs=1e-12)


def test_incomplete_batches_are_left_out_and_the_last_best_epoch_is_kept() -> None:
    recipe = TabularRecipe((4, 8, 1), ("mish",), "linear", fastnn.losses.MeanSquaredError(), 1.0)
    network = Network(recipe, np.dtype(np.float64))
    initialize(network, np.random.RandomState(0))
    scores = iter([0.1, 0.5, 0.2, 0.5, 0.3])
    weights: list[np.ndarray] = []

    def score() -> float:
        weights.append(network.flat.copy())
        return next(scores)

    rows = Rows(X[:70], Y[:70, None])
    course = train(network, rows, 32, 5, 0.05, np.random.RandomState(0), score, never, None)
    assert network.need_optimizer().progress.steps == 5 * 2
    assert (course.best, course.scores) == (4, [0.1, 0.5, 0.2, 0.5, 0.3])
    np.testing.assert_array_equal(network.flat, weights[3])


def test_tables_are_learned() -> None:
    train_rows, test_rows = slice(0, 220), slice(220, None)
    classifier = fastnn.TabularClassifier(random_state=0).fit(TABLE[train_rows], LABELS[train_rows])
    assert classifier.score(TABLE[test_rows], LABELS[test_rows]) > 0.7
    assert list(classifier.classes_) == ["high", "low", "middle"]
    found = classifier.predict_proba(TABLE)
    np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(classifier.predict_log_proba(TABLE), np.log(found))
    assert classifier.predict(TABLE).dtype == LABELS.dtype
    assert (len(classifier.loss_curve_), len(classifier.validation_scores_)) == (256, 256)
    assert classifier.best_validation_score_ == max(classifier.validation_scores_)
    assert classifier.validation_scores_[classifier.best_epoch_ - 1] == classifier.best_validation_score_
    regressor = fastnn.TabularRegressor(random_state=0).fit(TABLE[train_rows], Y[train_rows])
    assert regressor.score(TABLE[test_rows], Y[test_rows]) > 0.7
    assert regressor.predict(TABLE).shape == (300,)
    assert not hasattr(regressor, "feature_names_in_")


def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads() -> None:
    found = [
        fastnn.TabularClassifier(**QUICK, n_threads=threads, dtype=dtype)
        .fit(TABLE, LABELS)
        .predict_proba(TABLE)
        for dtype in ("float32", "float64")
        for threads in (1, 2, 3)
    ]
    for one, other in ((0, 1), (0, 2), (3, 4), (3, 5)):
        np.testing.assert_array_equal(found[one], found[other])
    np.testing.assert_allclose(found[0], found[3], atol=0.05)
    assert (found[0] != found[3]).any()
    again = fastnn.TabularClassifier(**QUICK | {"random_state": 1}, dtype="float32").fit(TABLE, LABELS)
    assert (again.predict_proba(TABLE) != found[0]).any()


def test_validation_rows_are_a_share_of_each_class() -> None:
    y = np.repeat(["a", "b", "c"], [200, 80, 20])
    model = fastnn.TabularClassifier(**QUICK)
    kept, held = model._split(np.unique(y, return_inverse=True)[1], np.random.RandomState(0), False, [])
    assert held is not None
    assert sorted([*kept, *held]) == list(range(300))
    assert [int((y[held] == one).sum()) for one in "abc"] == [40, 16, 4]
    alone = np.r_[np.zeros(99, int), 1]
    for seed in range(20):
        kept, held = model._split(alone, np.random.RandomState(seed), False, [])
        assert 99 in kept
    few = model.fit(TABLE[:40], LABELS[:40])
    assert few.notes_ == [
        "no rows are set aside, as 0.2 of 40 rows are fewer than 10; the weights of the last epoch are kept"
    ]
    assert not hasattr(few, "validation_scores_")
    for fraction in (0, None):
        model.set_params(validation_fraction=fraction).fit(TABLE, LABELS)
        assert (model.notes_, model.best_epoch_, hasattr(model, "validation_scores_")) == ([], 12, False)


def test_rows_of_the_callers_are_scored() -> None:
    model = fastnn.TabularRegressor(**QUICK).fit(TABLE[:200], Y[:200], eval_set=(TABLE[200:], Y[200:]))
    assert model.best_validation_score_ == pytest.approx(model.score(TABLE[200:], Y[200:]), rel=1e-6)
    weights = RNG.rand(100)
    model.fit(TABLE[:200], Y[:200], eval_set=[(TABLE[200:], Y[200:], weights)])
    scored = model.score(TABLE[200:], Y[200:], weights)
    assert model.best_validation_score_ == pytest.approx(scored, rel=1e-6)
    labels = fastnn.TabularClassifier(**QUICK)
    labels.fit(TABLE[:200], LABELS[:200], eval_set=(TABLE[200:], LABELS[200:]))
    assert labels.best_validation_score_ == pytest.approx(labels.score(TABLE[200:], LABELS[200:]))
    with pytest.raises(ValueError, match="in eval_set: y has the label 'other', which is none of"):
        labels.fit(TABLE, LABELS, eval_set=(TABLE[:2], ["low", "other"]))
    with pytest.raises(ValueError, match="eval_set must be"):
        labels.fit(TABLE, LABELS, eval_set=TABLE)


def test_weights_of_rows_and_classes_count() -> None:
    settings: dict[str, Any] = QUICK | {"validation_fraction": None, "n_epochs": 60}
    few = LABELS == "high"
    plain = fastnn.TabularClassifier(**settings).fit(TABLE[:, :1], LABELS)
    heavy = fastnn.TabularClassifier(**settings, class_weight={"high": 20.0}).fit(TABLE[:, :1], LABELS)
    same = fastnn.TabularClassifier(**settings).fit(TABLE[:, :1], LABELS, np.where(few, 20.0, 1.0))
    rates = [float((one.predict(TABLE[:, :1]) == "high").mean()) for one in (plain, heavy, same)]
    assert rates[0] < rates[1]
    assert rates[0] < rates[2]
    fastnn.TabularClassifier(**settings, class_weight="balanced").fit(TABLE, LABELS)
    with pytest.raises(ValueError, match="class_weight has the label 'hi', which is none of"):
        fastnn.TabularClassifier(**settings, class_weight={"hi": 2.0}).fit(TABLE, LABELS)
    for weights, said in ((-np.ones(300), "must not be negative"), (np.zeros(300), "zero")):
        with pytest.raises(ValueError, match=said):
            plain.fit(TABLE, LABELS, weights)


def test_ensembles_are_means() -> None:
    model = fastnn.TabularRegressor(**QUICK, n_ensemble=3).fit(TABLE, Y)
    mean, spread = model.predict(TABLE, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(TABLE))
    assert (spread > 0).all()
    first = fastnn.TabularRegressor(**QUICK).fit(TABLE, Y)
    assert first.loss_curve_ == model.loss_curve_
    with pytest.raises(ValueError, match="return_std needs several nets"):
        first.predict(TABLE, return_std=True)
    several = fastnn.TabularClassifier(**QUICK, n_ensemble=2).fit(TABLE, LABELS)
    np.testing.assert_allclose(several.predict_proba(TABLE).sum(1), 1.0)


def test_several_targets_of_any_size() -> None:
    several = np.c_[1e6 * Y + 3e8, 1e-6 * X[:, 3]]
    model = fastnn.TabularRegressor(random_state=0, n_epochs=100).fit(TABLE, several)
    assert model.predict(TABLE).shape == (300, 2)
    assert model.score(TABLE, several) > 0.8
    constant = fastnn.TabularRegressor(**QUICK).fit(TABLE, np.full(300, 7.0))
    np.testing.assert_allclose(constant.predict(TABLE), 7.0, atol=1e-5)


def test_what_is_done_to_the_table_is_said() -> None:
    with pytest.warns(
        TrainingWarning, match=r"TabularRegressor: column 1 is dropped: it is always 5"
    ) as caught:
        model = fastnn.TabularRegressor(**QUICK).fit(np.c_[X[:, :1], np.full(300, 5.0), X[:, 1:]], Y)
    assert model.notes_ == ["column 1 is dropped: it is always 5"]
    assert caught[0].filename == __file__
    assert model.n_features_in_ == 5


def test_names_are_kept_and_missed(peer: Any) -> None:
    frame = peer("pandas").DataFrame(TABLE, columns=["a", "b", "c", "d", "kind"])
    model = fastnn.TabularClassifier(**QUICK).fit(frame, peer("pandas").Series(LABELS))
    assert list(model.feature_names_in_) == ["a", "b", "c", "d", "kind"]
    wanted = model.predict_proba(frame)
    np.testing.assert_array_equal(model.predict_proba(frame[["kind", "d", "b", "a", "c"]]), wanted)
    np.testing.assert_array_equal(
        model.predict_proba(peer("polars").DataFrame(frame.to_dict("list"))), wanted
    )
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        np.testing.assert_array_equal(model.predict_proba(TABLE), wanted)


def test_a_bar_and_a_limit_of_time(capsys: Any) -> None:
    model = fastnn.TabularClassifier(**QUICK | {"n_epochs": 100_000}, time_limit=0.2, progress_bar=True)
    with pytest.warns(
        ConvergenceWarning, match=r"The time limit of 0.2 s ended training after \d+ of 100000"
    ):
        model.fit(TABLE, LABELS)
    assert model.n_iter_ < 100_000
    assert "val_score" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (["one"] * 300, "y has one class only, 'one', in 300 rows"),
        ([f"name {row}" for row in range(300)], "each of the 300 rows has a label of its own.*identifier"),
        (range(300), "identifier.*TabularRegressor"),
        ([None, *LABELS[1:]], "missing labels, in 1 rows, first in row 0"),
        ([*LABELS[:299], float("nan")], "Input y contains NaN.* row 299"),
        (np.r_[np.nan, np.ones(299)], "Input y contains NaN.* row 0"),
        (np.r_[np.inf, np.ones(299)], "Input y contains infinity"),
        (Y, "Unknown label type"),
        (np.c_[LABELS, LABELS], r"y should be a 1d array.*\(300, 2\)"),
        (LABELS[:9], "inconsistent numbers of samples"),
        (None, "requires y to be passed, but the target y is None"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(y: Any, said: str) -> None:
    model = fastnn.TabularClassifier(**QUICK).fit(TABLE, LABELS)
    before = model.predict_proba(TABLE)
    with pytest.raises(ValueError, match=said):
        model.fit(TABLE, y)
    np.testing.assert_array_equal(model.predict_proba(TABLE), before)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.r_[np.nan, Y[1:]], "Input y contains NaN"),
        (np.r_[np.inf, Y[1:]], "Input y contains infinity"),
        (["much", *Y[1:]], "could not convert string to float"),
        (Y[:9], "inconsistent numbers of samples"),
    ],
)
def test_numbers_that_cannot_be_learned_are_refused(y: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fastnn.TabularRegressor(**QUICK).fit(TABLE, y)


def test_settings_that_are_impossible_are_refused() -> None:
    for settings, said in (
        ({"preset": "td"}, "preset must be 'td-s', got 'td', whose recipe is not here yet"),
        ({"preset": "best"}, "preset must be 'td-s', got 'best'"),
        ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes must be whole numbers above 0"),
        ({"hidden_layer_sizes": ()}, "hidden_layer_sizes must be whole numbers above 0"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            fastnn.TabularClassifier(**QUICK | settings).fit(TABLE, LABELS)
    for settings in ({"time_limit": 0}, {"n_epochs": 0}, {"dtype": "float16"}, {"label_smoothing": 1.0}):
        with pytest.raises(ValueError, match=f"The '{next(iter(settings))}' parameter"):
            fastnn.TabularClassifier(**QUICK | settings).fit(TABLE, LABELS)
    with pytest.raises(NotFittedError):
        fastnn.TabularClassifier().predict(TABLE)


def test_training_that_fails_says_so() -> None:
    y = Y.copy()
    settings: dict[str, Any] = QUICK | {"learning_rate": 1e30, "dtype": "float32"}
    with pytest.raises(ValueError, match="the loss is not finite any more; lower learning_rate"):
        fastnn.TabularRegressor(**settings, validation_fraction=None).fit(TABLE, y)
    with pytest.warns(NonFiniteWarning, match=r"In epoch \d the loss is not finite any more") as caught:
        model = fastnn.TabularRegressor(**settings).fit(TABLE, y)
    assert caught[0].filename == __file__
    assert np.isfinite(model.predict(TABLE)).all()


def test_copies_predict_the_same(tmp_path: Path) -> None:
    model = fastnn.TabularClassifier(**QUICK, n_ensemble=2).fit(TABLE, LABELS)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.predict_proba(TABLE), model.predict_proba(TABLE))
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    np.testing.assert_array_equal(fresh.fit(TABLE, LABELS).predict_proba(TABLE), model.predict_proba(TABLE))


def test_many_rows_are_encoded_in_parts(monkeypatch: Any) -> None:
    from fastnn.estimators import _encoder, _tabular

    model = fastnn.TabularClassifier(**QUICK).fit(TABLE, LABELS)
    wanted = model.predict_proba(TABLE)
    looked_up = []
    codes = _encoder.Category.codes

    def counted(self: Any, values: Any) -> np.ndarray:
        looked_up.append(len(values))
        return codes(self, values)

    monkeypatch.setattr(_encoder.Category, "codes", counted)
    monkeypatch.setattr(_tabular, "_CHUNK", 32)
    np.testing.assert_allclose(model.predict_proba(TABLE), wanted, rtol=1e-12)
    assert looked_up == [300]  # each category once, whatever the parts


def test_arguments_stay_as_they_were(peer: Any) -> None:
    frame = peer("pandas").DataFrame(TABLE, columns=["a", "b", "c", "d", "kind"])
    before, labels = frame.copy(), LABELS.copy()
    model = fastnn.TabularClassifier(**QUICK).fit(frame, labels)
    model.predict(frame)
    peer("pandas").testing.assert_frame_equal(frame, before)
    np.testing.assert_array_equal(labels, LABELS)
    with pytest.raises(DataError, match="column 'a' has an infinite value"):
        model.predict(frame.assign(a=np.inf))
