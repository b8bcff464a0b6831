"""Hooks around evaluation, prediction and batches: what they cost, what they are given, what is refused.

The order of all hooks is compared with Keras's in `parity/test_keras_callbacks.py`.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses
from fastnn.callbacks import Callback, CallbackList, EarlyStopping, LambdaCallback, ReduceLROnPlateau
from fastnn.callbacks.listeners import checked
from fastnn.errors import ConfigurationError, DTypeError
from fastnn.run.program import Program

RNG = np.random.default_rng(3)
X = RNG.standard_normal((40, 3))
Y = X @ [[1.0], [-2.0], [0.5]] + 0.25


def linear(**options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)], seed=1, dtype="float64")
    model.compile("sgd", **{"loss": "mse", **options})
    return model


def nothing(*_: Any, **__: Any) -> None:
    """Listen, and do nothing."""


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return a list that grows by the purpose and the rows of each call of the executor."""
    made: list[tuple[str, int]] = []
    run = Program.run

    def noted(program: Program, externals: Any, rows: int, batch: int, **options: Any) -> Any:
        made.append((program.plan.purpose, rows))
        return run(program, externals, rows, batch, **options)

    monkeypatch.setattr(Program, "run", noted)
    return made


HOOKS = [name for name in vars(Callback) if name.startswith("on_")]
WANTS = {
    "wants_batches": {"on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"},
    "wants_test_batches": {"on_test_batch_begin", "on_test_batch_end"},
    "wants_predict_batches": {"on_predict_batch_begin", "on_predict_batch_end"},
}


@pytest.mark.parametrize("hook", HOOKS)
def test_who_listens_between_batches_is_found_out(hook: str) -> None:
    of_class = type("Mine", (Callback,), {hook: nothing})()
    of_instance = Callback()
    setattr(of_instance, hook, nothing)
    for callback in (of_class, of_instance, LambdaCallback(**{hook: nothing})):
        for wants, names in WANTS.items():
            assert getattr(callback, wants) is (hook in names), wants


def test_nobody_else_wants_batches() -> None:
    for callback in (Callback(), EarlyStopping(), ReduceLROnPlateau(), fastnn.callbacks.TerminateOnNaN()):
        assert not any(getattr(callback, wants) for wants in WANTS)


@pytest.mark.parametrize(
    ("hook", "sliced"),
    [
        ("on_epoch_end", set()),
        ("on_test_begin", set()),
        ("on_test_end", set()),
        ("on_predict_begin", set()),
        ("on_predict_end", set()),
        ("on_batch_end", {"train"}),
        ("on_train_batch_begin", {"train"}),
        ("on_test_batch_begin", {"evaluate"}),
        ("on_test_batch_end", {"evaluate"}),
        ("on_predict_batch_begin", {"predict"}),
        ("on_predict_batch_end", {"predict"}),
    ],
)
def test_only_who_listens_between_batches_pays_for_it(
    hook: str, sliced: set[str], runs: list[tuple[str, int]]
) -> None:
    listener = LambdaCallback(**{hook: nothing})
    plain, heard = linear(), linear()
    for model, told in ((plain, None), (heard, [listener])):
        runs.clear()
        model.fit(X, Y, 16, 2, 0, told, validation_data=(X[:20], Y[:20]))
        model.evaluate(X, Y, 16, callbacks=told)
        model.predict(X, 16, callbacks=told)
    rows = {"train": [40], "evaluate": [20], "predict": [40]}
    rows |= {purpose: [min(16, n[0]), n[0] - 16] for purpose, n in rows.items() if purpose in sliced}
    if "train" in sliced:
        rows["train"] = [16, 16, 8]
    if "predict" in sliced:
        rows["predict"] = [16, 16, 8]
    epoch = [("train", n) for n in rows["train"]] + [("evaluate", n) for n in rows["evaluate"]]
    last = [16, 16, 8] if "evaluate" in sliced else [40]
    assert runs == 2 * epoch + [("evaluate", n) for n in last] + [("predict", n) for n in rows["predict"]]
    for a, b in zip(plain.get_weights(), heard.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
def test_listening_changes_no_result(reduction: str) -> None:
    options = {"loss": losses.MeanSquaredError(reduction=reduction), "metrics": ["mse"]}
    model = linear(**options)
    ends: list[dict[str, float]] = []
    listener = LambdaCallback(
        on_test_batch_end=nothing, on_test_end=ends.append, on_predict_batch_end=nothing
    )
    weights = RNG.random(40)
    for given in (None, weights):
        quiet = model.evaluate(X, Y, 16, sample_weight=given, return_dict=True)
        heard = model.evaluate(X, Y, 16, 0, given, None, [listener], True)
        assert heard == pytest.approx(quiet, rel=1e-12)
        assert ends.pop() == heard
    np.testing.assert_allclose(model.predict(X, 7, callbacks=listener), model.predict(X), rtol=1e-12)
    both = [
        linear(**options).fit(X, Y, 16, 3, 0, told, validation_split=0.5).history
        for told in (None, [listener])
    ]
    for name, values in both[0].items():
        assert both[1][name] == pytest.approx(values, rel=1e-12)
    assert len(ends) == 3


def test_what_is_added_to_logs_of_an_evaluation_is_not_returned() -> None:
    def add(*given: Any, logs: dict[str, float] | None = None) -> None:
        (given[-1] if logs is None else logs)["mine"] = 1.0

    listener = LambdaCallback(**{name: add for name in HOOKS if "test" in name})
    model = linear()
    assert list(model.evaluate(X, Y, callbacks=[listener], return_dict=True)) == ["loss"]
    history = model.fit(X, Y, epochs=1, verbose=0, validation_split=0.5, callbacks=[listener])
    assert list(history.history) == ["loss", "val_loss"]


def test_outputs_of_batches_are_those_of_the_model() -> None:
    x = fastnn.Input((3,))
    model = fastnn.Model(x, [layers.Dense(2)(x), layers.Dense(1)(x)], seed=0)
    seen: list[Any] = []
    listener = LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(logs["outputs"]))
    found = model.predict(X, 15, callbacks=[listener])
    assert [[part.shape for part in parts] for parts in seen] == [
        [(15, 2), (15, 1)],
        [(15, 2), (15, 1)],
        [(10, 2), (10, 1)],
    ]
    for output, alone, parts in zip(found, model.predict(X), zip(*seen, strict=True), strict=True):
        assert output.dtype == alone.dtype
        np.testing.assert_allclose(output, alone, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(output, np.concatenate(parts))


def test_no_rows_are_no_batches() -> None:
    calls: list[str] = []
    listener = LambdaCallback(
        **{name: lambda *_, name=name, **__: calls.append(name) for name in HOOKS if "predict" in name}
    )
    assert linear().predict(np.zeros((0, 3)), callbacks=[listener]).shape == (0, 1)
    assert calls == ["on_predict_begin", "on_predict_end"]
    assert listener.params == {"epochs": 1, "steps": 0, "verbose": "auto"}


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_what_a_hook_raises_comes_out_and_the_model_stays_usable(method: str) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("mine")

    kind = "test" if method == "evaluate" else "predict"
    data = (X, Y) if method == "evaluate" else (X,)
    model = linear()
    for part in ("begin", "end", "batch_begin", "batch_end"):
        with pytest.raises(KeyError, match="mine"):
            getattr(model, method)(*data, callbacks=[LambdaCallback(**{f"on_{kind}_{part}": fail})])
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_bad_arguments_are_refused_before_anything_changes(method: str, refused: Any) -> None:
    model = fastnn.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    data = (X, Y) if method == "evaluate" else (X,)
    for options, error, message in (
        ({"steps": 0}, ConfigurationError, "steps must be at least 1, got 0"),
        ({"callbacks": [print]}, DTypeError, "callbacks must be instances of fastnn.callbacks.Callback"),
        ({"callbacks": 3}, DTypeError, "callbacks must be instances of fastnn.callbacks.Callback, got 3"),
    ):
        with refused(model, error, match=message):
            getattr(model, method)(*data, **options)


def test_lambdas_for_hooks_that_are_not_there_are_refused() -> None:
    for name in ("on_epoch_over", "wants_batches", "_need_model", "__init__", "params"):
        with pytest.raises(DTypeError, match=f"no hook '{name}'; there are .*on_predict_batch_end"):
            LambdaCallback(**{name: print})
    with pytest.raises(DTypeError, match="on_test_end must be a function, got 3"):
        LambdaCallback(on_test_end=3)
    assert not LambdaCallback(on_test_batch_end=None).wants_test_batches


class Noting(Callback):
    """Notes its hooks, and adds to the logs of epochs."""

    def __init__(self, name: str, calls: list[Any]) -> None:
        super().__init__()
        for hook in HOOKS:
            if hook not in ("on_batch_begin", "on_batch_end"):
                setattr(self, hook, lambda *a, _hook=hook, **k: calls.append((name, _hook, len(a), *k)))


def test_a_list_calls_all_and_fit_takes_it_apart() -> None:
    found: list[list[Any]] = []
    for make in (list, CallbackList, lambda both: [CallbackList(both)]):
        calls: list[Any] = []
        model = linear()
        model.fit(X, Y, 16, 2, 0, make([Noting("a", calls), Noting("b", calls)]), validation_split=0.2)
        model.predict(X, callbacks=make([Noting("c", calls)]))
        found.append(calls)
    assert found[0] == found[1] == found[2]
    plain = CallbackList([EarlyStopping("loss"), LambdaCallback(on_epoch_end=nothing)])
    assert not any(one.wants_batches for one in checked([plain, Callback()]))

    calls = []
    both = CallbackList([Noting("a", calls), Noting("b", calls)])
    for hook in HOOKS:
        given = (5,) if "batch" in hook or "epoch" in hook else ()
        getattr(both, hook)(*given)
    expected = [hook for hook in HOOKS if hook not in ("on_batch_begin", "on_batch_end")]
    assert [call[:2] for call in calls] == [(name, hook) for hook in expected for name in "ab"]
    batch = [call for call in calls if "batch" in call[1]]
    assert {call[2:] for call in batch} == {(1, "logs")}


def test_a_list_hands_on_model_params_and_history() -> None:
    model, history = linear(), fastnn.callbacks.History()
    logs = {"loss": 1.0}
    told = CallbackList([LambdaCallback(on_epoch_end=lambda e, logs: logs.update(mine=e)), history], True)
    assert told.callbacks[1:] == [history]
    told.set_model(model)
    told.set_params({"epochs": 3})
    told.on_epoch_end(4, logs)
    assert [(one.model, one.params) for one in told.callbacks] == [(model, {"epochs": 3})] * 2
    assert model.history is history
    assert history.history == {"loss": [1.0], "mine": [4]}
    with pytest.raises(ConfigurationError, match=r"BackupAndRestore needs to know .*; use it in fit"):
        CallbackList([fastnn.callbacks.BackupAndRestore("x")]).on_train_begin()


def test_every_hook_says_when_it_runs() -> None:
    assert len(HOOKS) == 16
    for name in HOOKS:
        assert inspect.getdoc(getattr(Callback, name)), name
