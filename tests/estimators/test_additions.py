"""What the estimators have beyond scikit-learn's."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from typing import Any

import numpy as np
import pytest

import fastnn

if importlib.util.find_spec("sklearn") is None:  # an optional library
    pytest.skip("scikit-learn is not installed", allow_module_level=True)

from sklearn.metrics import log_loss, mean_absolute_error, mean_pinball_loss, roc_auc_score

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*converge")
RNG = np.random.RandomState(2)
X = RNG.randn(120, 5)
Y = X[:, 0] - X[:, 1] * X[:, 2]
CLASSES = np.array(["a", "b", "c"])[(X[:, 0] > 0.8).astype(int) + (X[:, 1] > 0.5)]


def classifier(**settings: Any) -> Any:
    return fastnn.MLPClassifier((8,), **({"max_iter": 8, "random_state": 0} | settings))


def regressor(**settings: Any) -> Any:
    return fastnn.MLPRegressor(**({"hidden_layer_sizes": (8,), "max_iter": 8, "random_state": 0} | settings))


def weights_of(model: Any) -> list[np.ndarray]:
    return [*model.coefs_, *model.intercepts_]


def same(one: Any, other: Any, tolerance: float = 1e-12) -> None:
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


# -- classes


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_class_weights_are_sample_weights(solver: str) -> None:
    weights = {"a": 0.5, "b": 2.0, "c": 3.0}
    rows = np.array([weights[label] for label in CLASSES])
    found = classifier(class_weight=weights, solver=solver).fit(X, CLASSES)
    same(found, classifier(solver=solver).fit(X, CLASSES, sample_weight=rows))
    own = RNG.rand(120)
    found = classifier(class_weight=weights, solver=solver).fit(X, CLASSES, sample_weight=own)
    same(found, classifier(solver=solver).fit(X, CLASSES, sample_weight=own * rows))


def test_balanced_classes_have_the_same_sum_of_weights() -> None:
    labels, counts = np.unique(CLASSES, return_counts=True)
    rows = (120 / (3 * counts))[np.searchsorted(labels, CLASSES)]
    same(
        classifier(class_weight="balanced").fit(X, CLASSES),
        classifier().fit(X, CLASSES, sample_weight=rows),
    )
    rare = np.where(np.arange(120) < 6, "rare", "usual")
    apart = X + 1.5 * (rare == "rare")[:, None]
    plain, fair = (
        classifier(class_weight=weight, max_iter=150).fit(apart, rare) for weight in (None, "balanced")
    )
    assert (fair.predict(apart) == "rare").sum() > (plain.predict(apart) == "rare").sum()


def test_class_weights_do_not_count_in_scores() -> None:
    settings = {"early_stopping": True, "max_iter": 1, "learning_rate_init": 1e-9}
    scores = [
        classifier(class_weight=weight, **settings).fit(X, CLASSES).validation_scores_
        for weight in (None, {"a": 100.0})
    ]
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("settings", "y", "message"),
    [
        ({"class_weight": {"z": 1.0}}, CLASSES, r"class_weight has the label 'z', which is none of"),
        ({"class_weight": "fair"}, CLASSES, "The 'class_weight' parameter of MLPClassifier must be"),
        ({"class_weight": "balanced"}, np.eye(3, dtype=int)[RNG.randint(3, size=120)] | 1, "one label a row"),
    ],
)
def test_class_weights_without_a_sense_are_refused(settings: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier(**settings).fit(X, y)


# -- validation


@pytest.mark.parametrize("make", [classifier, regressor])
def test_rows_of_the_callers_are_scored_and_change_nothing_else(make: Any) -> None:
    y = CLASSES if make is classifier else Y
    weights = np.linspace(0.1, 1.0, 40)
    plain = make().fit(X[:80], y[:80])
    for given in ((X[80:], y[80:], weights), [(X[80:], y[80:], weights)]):
        watched = make().fit(X[:80], y[:80], eval_set=given)
        same(watched, plain)
        assert watched.loss_curve_ == plain.loss_curve_
        assert watched.best_loss_ == plain.best_loss_
        assert len(watched.validation_scores_) == 8
        last = watched.score(X[80:], y[80:], sample_weight=weights)
        assert watched.validation_scores_[-1] == pytest.approx(last, abs=1e-12)
        assert watched.best_validation_score_ == max(watched.validation_scores_)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_early_stopping_on_rows_of_the_callers_keeps_the_best_weights(make: Any) -> None:
    y = CLASSES if make is classifier else Y
    settings = {"early_stopping": True, "max_iter": 300, "learning_rate_init": 0.05, "n_iter_no_change": 5}
    model = make(**settings).fit(X[:80], y[:80], eval_set=(X[80:], y[80:]))
    assert model.n_iter_ < 300
    assert model.t_ == 80 * model.n_iter_  # no row is set aside
    best = max(model.validation_scores_)
    assert model.validation_scores_[-1] < best
    assert model.score(X[80:], y[80:]) == pytest.approx(best, abs=1e-12)


def test_scores_are_those_of_any_metric() -> None:
    two = CLASSES == "a"
    model = classifier(scoring="roc_auc").fit(X[:80], two[:80], eval_set=(X[80:], two[80:]))
    wanted = roc_auc_score(two[80:], model.predict_proba(X[80:])[:, 1])
    assert model.validation_scores_[-1] == pytest.approx(wanted)

    def least(estimator: Any, rows: Any, y: Any) -> float:
        return -log_loss(y, estimator.predict_proba(rows), labels=estimator.classes_)

    model = classifier(scoring=least, early_stopping=True).fit(X, CLASSES)
    assert max(model.validation_scores_) < 0
    numbers = regressor(scoring="neg_mean_absolute_error").fit(X[:80], Y[:80], eval_set=(X[80:], Y[80:]))
    error = mean_absolute_error(Y[80:], numbers.predict(X[80:]))
    assert numbers.validation_scores_[-1] == pytest.approx(-error)


def test_names_of_columns_are_not_missed_in_scores(peer: Any) -> None:
    frame = peer("pandas").DataFrame(X, columns=list("abcde"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", ".*converge")
        regressor(scoring="r2", early_stopping=True).fit(frame, Y)
        model = regressor(scoring="r2").fit(frame, Y, eval_set=(frame, Y))
    assert model.validation_scores_[-1] == pytest.approx(model.score(frame, Y))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (X, "eval_set must be"),
        ((X[:, :3], Y), "in eval_set: X has 3 features"),
        ((X, Y[:5]), "in eval_set: .*inconsistent"),
        ((X, np.full(120, np.inf)), "in eval_set: Input y contains infinity"),
    ],
)
def test_bad_validation_rows_are_named(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regressor().fit(X, Y, eval_set=given)


def test_labels_of_validation_rows_must_be_known() -> None:
    with pytest.raises(ValueError, match=r"in eval_set: y has the label .*'z'.*which is none of"):
        classifier().fit(X, CLASSES, eval_set=(X, np.full(120, "z")))


# -- layers


def test_each_hidden_layer_may_have_an_activation_of_its_own() -> None:
    settings: dict[str, Any] = {"hidden_layer_sizes": (6, 4), "solver": "sgd", "max_iter": 3}
    listed = regressor(activation=["tanh", "tanh"], **settings).fit(X, Y)
    same(listed, regressor(activation="tanh", **settings).fit(X, Y))
    model = regressor(activation=["gelu", "logistic"], **settings).fit(X, Y)
    first, second, third = model.coefs_
    a, b, c = model.intercepts_
    hidden = fastnn.kernels.gelu_forward(X @ first + a)
    hidden = 1 / (1 + np.exp(-(hidden @ second + b)))
    np.testing.assert_allclose(model.predict(X), (hidden @ third + c)[:, 0], atol=1e-7)


@pytest.mark.parametrize(
    "activation",
    [
        "gelu",
        "silu",
        "selu",
        "mish",
        functools.partial(fastnn.activations.elu, alpha=0.5),
        fastnn.layers.LeakyReLU(0.1),
    ],
)
def test_all_activations_can_be_trained_and_copied(activation: Any) -> None:
    from sklearn.base import clone

    model = clone(regressor(activation=activation, max_iter=60, learning_rate_init=0.02)).fit(X, Y)
    assert model.score(X, Y) > 0.4
    assert model.loss_curve_[-1] < model.loss_curve_[0]


@pytest.mark.parametrize("weights", [None, RNG.rand(120)], ids=["alike", "weighted"])
def test_dropout_is_for_training_only_and_follows_the_seed(weights: Any) -> None:
    plain, one, other = (
        regressor(dropout=rate, max_iter=5).fit(X, Y, sample_weight=weights) for rate in (0.0, 0.5, [0.5])
    )
    same(one, other)
    assert np.abs(one.coefs_[0] - plain.coefs_[0]).max() > 1e-4
    np.testing.assert_array_equal(one.predict(X), one.predict(X))
    hidden = np.maximum(X @ one.coefs_[0] + one.intercepts_[0], 0)
    np.testing.assert_allclose(one.predict(X), (hidden @ one.coefs_[1] + one.intercepts_[1])[:, 0], atol=1e-9)
    assert np.abs(regressor(dropout=0.5, random_state=1).fit(X, Y).coefs_[0] - one.coefs_[0]).max() > 1e-3


@pytest.mark.parametrize("weights", [None, RNG.rand(120)], ids=["alike", "weighted"])
@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_normalization_makes_nets_indifferent_to_scales(normalization: str, weights: Any) -> None:
    wide = X * 1e3
    settings = {"max_iter": 120, "learning_rate_init": 0.02, "batch_size": 30}
    model = regressor(normalization=normalization, **settings).fit(wide, Y, sample_weight=weights)
    assert model.score(wide, Y) > 0.5
    (layer,) = [
        one for one in model._network.model.layers if type(one).__name__.lower().startswith(normalization)
    ]
    z = wide @ model.coefs_[0] + model.intercepts_[0]
    np.testing.assert_allclose(
        model.predict(wide), _normal(z, layer, normalization) @ model.coefs_[1][:, 0] + model.intercepts_[1]
    )


def _normal(z: np.ndarray, layer: Any, kind: str) -> np.ndarray:
    gamma, beta, *moving = layer.get_weights()
    mean, variance = moving if kind == "batch" else (z.mean(1, keepdims=True), z.var(1, keepdims=True))
    return np.maximum((z - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)


# -- losses and optimizers


def test_other_optimizers_train() -> None:
    by_name = regressor(solver="rmsprop", learning_rate_init=0.01).fit(X, Y)
    by_hand = regressor(solver=fastnn.optimizers.RMSprop(0.01)).fit(X, Y)
    same(by_name, by_hand)
    usual = regressor(solver=fastnn.optimizers.Adam(0.001, epsilon=1e-8)).fit(X, Y)
    same(usual, regressor().fit(X, Y))
    schedule = fastnn.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    for solver in ("lion", fastnn.optimizers.AdamW(schedule, weight_decay=0.1, clipnorm=1.0)):
        model = regressor(solver=solver, max_iter=40, learning_rate_init=0.01).fit(X, Y)
        assert model.score(X, Y) > 0.1
        assert hasattr(model, "partial_fit")


def test_averages_of_weights_are_taken_at_the_end() -> None:
    rule = fastnn.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9)
    plain = regressor(solver=fastnn.optimizers.SGD(0.05)).fit(X, Y)
    averaged = regressor(solver=rule).fit(X, Y)
    assert 0 < np.abs(averaged.coefs_[0] - plain.coefs_[0]).max() < 1


def test_another_loss_of_numbers_is_minimised() -> None:
    for loss in ("mae", "huber", fastnn.losses.LogCosh()):
        model = regressor(loss=loss, max_iter=300, learning_rate_init=0.02).fit(X, Y)
        assert model.score(X, Y) > 0.8
        assert model.out_activation_ == "identity"
    amounts = np.exp(X[:, 0])
    model = regressor(loss="gamma", max_iter=300, learning_rate_init=0.02).fit(X, amounts)
    assert model.out_activation_ == "exp"
    assert model.score(X, amounts) > 0.8
    with pytest.raises(ValueError, match="gamma"):
        regressor(loss="gamma").fit(X, Y)
    with pytest.raises(ValueError, match="are no predicted numbers"):
        regressor(loss=fastnn.losses.GaussianNLL()).fit(X, Y)


def test_the_mean_squared_error_is_twice_scikit_learns() -> None:
    # One output: the same gradient but for a factor, to which plain steps answer with a learning rate.
    half = regressor(solver="sgd", momentum=0, alpha=0, learning_rate_init=0.02).fit(X, Y)
    whole = regressor(loss="mse", solver="sgd", momentum=0, alpha=0, learning_rate_init=0.01).fit(X, Y)
    same(half, whole)
    np.testing.assert_allclose(np.array(whole.loss_curve_), 2 * np.array(half.loss_curve_))


def test_another_loss_of_classes_is_minimised() -> None:
    usual = classifier().fit(X, CLASSES)
    same(usual, classifier(loss="categorical_crossentropy").fit(X, CLASSES))
    same(usual, classifier(loss="sparse_categorical_crossentropy").fit(X, CLASSES))
    smooth = fastnn.losses.CategoricalCrossentropy(label_smoothing=0.3)
    settings: dict[str, Any] = {"max_iter": 400, "learning_rate_init": 0.02}
    sure, unsure = (classifier(loss=loss, **settings).fit(X, CLASSES) for loss in ("log_loss", smooth))
    assert unsure.predict_proba(X).max() < 0.95 < sure.predict_proba(X).max()
    assert unsure.score(X, CLASSES) > 0.9
    focal = fastnn.losses.BinaryFocalCrossentropy()
    assert classifier(loss=focal, **settings).fit(X, CLASSES == "a").score(X, CLASSES == "a") > 0.9


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (fastnn.losses.BinaryCrossentropy(from_logits=True), "from_logits=True.*probabilities"),
        ("hinge", "targets of -1 and 1.*probabilities"),
        ("quantile", "targets that are no classes"),
        ("logloss", "logloss"),
        ("categorical_crossentropy", "outputs"),
    ],
)
def test_losses_that_are_not_for_probabilities_are_refused(loss: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier(loss=loss).fit(X, CLASSES == "a")


def test_quantiles_have_their_shares_of_the_rows_below() -> None:
    rows = RNG.rand(1500, 1)
    y = rows[:, 0] + RNG.exponential(size=1500)
    settings: dict[str, Any] = {"loss": "quantile", "max_iter": 200, "learning_rate_init": 0.01}
    model = regressor(quantiles=[0.1, 0.5, 0.9], **settings).fit(rows, y)
    found = model.predict(rows)
    assert found.shape == (1500, 3)
    np.testing.assert_allclose((y[:, None] < found).mean(axis=0), [0.1, 0.5, 0.9], atol=0.04)
    loss = np.mean([mean_pinball_loss(y, f, alpha=q) for f, q in zip(found.T, (0.1, 0.5, 0.9), strict=True)])
    constant = np.mean(
        [mean_pinball_loss(y, np.full(1500, np.quantile(y, q)), alpha=q) for q in (0.1, 0.5, 0.9)]
    )
    assert loss < constant
    assert 0 < model.score(rows, y) < 1
    median = regressor(**settings).fit(rows, y)
    assert median.predict(rows).shape == (1500,)
    assert (y < median.predict(rows)).mean() == pytest.approx(0.5, abs=0.05)
    early = regressor(quantiles=[0.1, 0.9], early_stopping=True, **settings).fit(rows, y)
    assert len(early.validation_scores_) == early.n_iter_


# -- around training


class Heard(fastnn.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.logs: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logs.append(dict(logs))


def test_callbacks_hear_of_epochs_and_can_end_training() -> None:
    heard = Heard()
    model = regressor(callbacks=[heard]).fit(X, Y, eval_set=(X, Y))
    assert [logs["loss"] for logs in heard.logs] == model.loss_curve_
    assert [logs["val_score"] for logs in heard.logs] == model.validation_scores_
    same(model, regressor().fit(X, Y))
    enough = fastnn.callbacks.EarlyStopping("loss", min_delta=1e9, patience=1)
    assert regressor(callbacks=[enough]).fit(X, Y).n_iter_ == 2
    rates = fastnn.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0)
    still = regressor(callbacks=rates, solver="sgd").fit(X, Y)
    assert len(set(still.loss_curve_)) == 1


def test_callbacks_that_want_batches_are_refused() -> None:
    told = fastnn.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    with pytest.raises(ValueError, match="hear of epochs only"):
        regressor(callbacks=[told]).fit(X, Y)


def test_an_interrupt_leaves_the_weights_of_the_epochs_before() -> None:
    def interrupt(epoch: int, logs: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    told = fastnn.callbacks.LambdaCallback(on_epoch_end=interrupt)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = regressor(callbacks=[told]).fit(X, Y)
    assert model.n_iter_ == 3
    same(model, regressor(max_iter=3).fit(X, Y))


def test_a_time_limit_ends_training_after_an_epoch() -> None:
    with pytest.warns(UserWarning, match="time limit of 1e-09 s ended training after 1 iter"):
        model = regressor(time_limit=1e-9, max_iter=1000).fit(X, Y)
    assert model.n_iter_ == 1


def test_a_bar_shows_epochs_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    regressor(progress_bar=True).fit(X, Y)
    out, shown = capsys.readouterr()
    assert out == ""
    assert "8/8" in shown
    assert "loss=" in shown


def test_the_number_of_threads_changes_no_bit() -> None:
    found = [regressor(hidden_layer_sizes=(256, 256), n_threads=n).fit(X, Y) for n in (1, 2)]
    same(found[0], found[1], 0.0)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"solver": "lbfgs", "time_limit": 1.0}, {}, "time_limit needs a solver that goes in epochs"),
        ({"solver": "lbfgs", "callbacks": [Heard()]}, {}, "callbacks needs a solver"),
        ({"solver": "lbfgs"}, {"eval_set": (X, Y)}, "eval_set needs a solver"),
        ({"solver": "lbfgs", "normalization": "batch"}, {}, "normalization='batch' needs batches"),
        ({"scoring": "r2"}, {}, "scoring needs rows to score"),
        ({"quantiles": [0.5]}, {}, "quantiles are those of loss='quantile'"),
        ({"loss": "quantile", "quantiles": [1.5]}, {}, "quantile"),
        ({"activation": ["relu", "tanh"]}, {}, "activation has 2 entries, and there are 1 hidden layers"),
        ({"activation": ["swoosh"]}, {}, "swoosh"),
        ({"dropout": [0.5, 0.5]}, {}, "dropout has 2 entries"),
        ({"dropout": [1.5]}, {}, r"dropout must be in \[0, 1\)"),
        ({"dropout": 1.0}, {}, "The 'dropout' parameter of MLPRegressor must be"),
        ({"solver": "adma"}, {}, "The 'solver' parameter of MLPRegressor must be"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regressor(**settings).fit(X, Y, **options)
