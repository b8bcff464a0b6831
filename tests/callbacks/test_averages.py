"""`SwapEMAWeights`, who has which weights when; `ProgbarLogger`; what a callback of one's own is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers, optimizers
from fastnn.callbacks import LambdaCallback, SwapEMAWeights
from fastnn.errors import ConfigurationError

X = np.linspace(-1.0, 1.0, 24).reshape(8, 3)
Y = X.sum(axis=1, keepdims=True)


def compiled(**options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(2, "tanh"), layers.Dense(1)], "float64", seed=1
    )
    model.compile(optimizers.SGD(0.5, momentum=0.5, **options), "mse")
    return model


def averaged() -> fastnn.Sequential:
    return compiled(use_ema=True, ema_momentum=0.75)


def fit(model: fastnn.Sequential, *told: Any, epochs: int = 4, **options: Any) -> dict[str, list[float]]:
    found = model.fit(X, Y, batch_size=4, epochs=epochs, callbacks=list(told), verbose=0, **options)
    return found.history


def averages_of(model: fastnn.Sequential) -> np.ndarray:
    found = [v.numpy().ravel() for v in model.optimizer.variables if v.path.endswith("_average")]
    return np.concatenate(found)


def test_validation_sees_the_averages_and_training_does_not() -> None:
    model, plain = averaged(), averaged()
    history = fit(model, SwapEMAWeights(), validation_data=(X, Y))
    losses = fit(plain)["loss"]
    np.testing.assert_array_equal(history["loss"], losses)
    np.testing.assert_array_equal(model.get_flat_weights(), plain.get_flat_weights())
    assert history["val_loss"][-1] == model.evaluate(X, Y, verbose=0)
    assert (
        np.array(history["val_loss"]) != np.array(fit(averaged(), validation_data=(X, Y))["val_loss"])
    ).all()


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_who_has_which_weights(swap_on_epoch: bool) -> None:
    model = averaged()
    seen: dict[str, np.ndarray] = {}

    def look(where: str) -> Any:
        def hook(*_: Any, **__: Any) -> None:
            seen[where] = model.get_flat_weights()
            seen[f"average at {where}"] = averages_of(model)

        return hook

    watch = LambdaCallback(
        **{name: look(name) for name in ("on_epoch_begin", "on_test_begin", "on_test_end", "on_epoch_end")}
    )
    fit(model, SwapEMAWeights(swap_on_epoch), watch, epochs=2, validation_data=(X, Y))
    np.testing.assert_array_equal(seen["on_test_begin"], seen["average at on_test_begin"])
    assert (seen["on_test_end"] != seen["average at on_test_end"]).all()
    np.testing.assert_array_equal(seen["average at on_test_end"], seen["average at on_test_begin"])
    assert (seen["on_epoch_begin"] != seen["average at on_epoch_begin"]).all()
    same = seen["on_epoch_end"] == seen["average at on_epoch_end"]
    assert same.all() if swap_on_epoch else not same.any()


def test_files_have_the_averages(tmp_path: Path) -> None:
    model = averaged()
    keep = callbacks.ModelCheckpoint(tmp_path / "{epoch}")
    history = fit(model, SwapEMAWeights(swap_on_epoch=True), keep, validation_data=(X, Y))
    for epoch, loss in enumerate(history["val_loss"], 1):
        assert fastnn.load_model(tmp_path / str(epoch)).evaluate(X, Y, verbose=0) == loss


def test_training_that_a_callback_ends_ends_with_the_averages() -> None:
    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = epoch == 1

    model = averaged()
    fit(model, SwapEMAWeights(swap_on_epoch=True), LambdaCallback(on_epoch_end=stop), validation_data=(X, Y))
    plain = averaged()
    fit(plain, epochs=2)
    np.testing.assert_array_equal(model.get_flat_weights(), plain.get_flat_weights())


def test_evaluate_and_predict() -> None:
    model, swap = averaged(), SwapEMAWeights()
    before = model.evaluate(X, Y, verbose=0)
    assert model.evaluate(X, Y, callbacks=[swap], verbose=0) == before  # no step, no average
    for _ in range(3):
        model.train_on_batch(X, Y)
    own, wanted = model.get_flat_weights(), averaged()
    wanted.set_flat_weights(averages_of(model))
    found = model.predict(X, callbacks=[swap], verbose=0)
    np.testing.assert_array_equal(found, wanted.predict(X, verbose=0))
    assert model.evaluate(X, Y, callbacks=[swap], verbose=0) == wanted.evaluate(X, Y, verbose=0)
    np.testing.assert_array_equal(model.get_flat_weights(), own)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_an_optimizer_without_averages_is_refused(method: str) -> None:
    model = compiled()
    arguments = {"fit": (X, Y), "evaluate": (X, Y), "predict": (X,)}[method]
    options = {"validation_data": (X, Y)} if method == "fit" else {}
    with pytest.raises(ConfigurationError, match="SwapEMAWeights needs averages of weights: compile"):
        getattr(model, method)(*arguments, callbacks=[SwapEMAWeights()], verbose=0, **options)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_a_run_that_was_cut_off_goes_on(swap_on_epoch: bool, tmp_path: Path) -> None:
    def told(folder: str, *others: Any) -> list[Any]:
        return [SwapEMAWeights(swap_on_epoch), callbacks.BackupAndRestore(tmp_path / folder), *others]

    def fail(epoch: int, logs: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    whole = averaged()
    wanted = fit(whole, *told("whole"), validation_data=(X, Y))
    with pytest.raises(KeyboardInterrupt):
        fit(averaged(), *told("cut", LambdaCallback(on_epoch_begin=fail)), validation_data=(X, Y))
    again = averaged()
    found = fit(again, *told("cut"), validation_data=(X, Y))
    assert found == {name: values[2:] for name, values in wanted.items()}
    np.testing.assert_array_equal(again.get_flat_weights(), whole.get_flat_weights())


# --- bars ----------------------------------------------------------------------------------------------


def test_a_bar_for_loops_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    model = compiled()
    told = callbacks.CallbackList(add_progbar=True, model=model, epochs=2, steps=3, verbose=1)
    assert [type(one) for one in told.callbacks] == [callbacks.ProgbarLogger]
    told.on_train_begin()
    for epoch in range(2):
        told.on_epoch_begin(epoch)
        for batch in range(3):
            told.on_train_batch_begin(batch)
            told.on_train_batch_end(batch, model.train_on_batch(X, Y, return_dict=True))
        told.on_epoch_end(epoch, {"loss": 0.125})
    told.on_train_end()
    shown = capsys.readouterr().err
    assert "Epoch 1/2" in shown
    assert "Epoch 2/2" in shown
    assert "3/3" in shown
    assert "loss=0.125" in shown


@pytest.mark.parametrize("params", [{"verbose": 0}, {"verbose": 2}])
def test_no_bar_where_none_is_wanted(params: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    bar = callbacks.ProgbarLogger()
    bar.set_params(params)
    bar.on_epoch_begin(0)
    bar.on_train_batch_end(0, {"loss": 1.0})
    bar.on_epoch_end(0, {"loss": 1.0})
    assert capsys.readouterr().err == ""


def test_fit_draws_no_second_bar(capsys: pytest.CaptureFixture[str]) -> None:
    fit(compiled(), callbacks.ProgbarLogger())
    assert capsys.readouterr().err == ""


# --- callbacks of one's own ----------------------------------------------------------------------------


class Watch(callbacks.Callback):
    """Without a constructor of the base, as many are written."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[str]]] = []
        self.at_begin: dict[str, Any] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self.at_begin = dict(self.params)
        assert self.model.optimizer.iterations == 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(("batch", list(logs)))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["added"] = 7.0
        self.seen.append(("epoch", list(logs)))

    def on_test_end(self, logs: Any = None) -> None:
        self.seen.append(("test", list(logs)))


def test_what_a_callback_of_ones_own_is_given() -> None:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse", metrics=["mae"])
    watch = Watch()
    history = fit(model, watch, epochs=1, validation_data=(X, Y))
    assert watch.at_begin == {"epochs": 1, "steps": 2, "verbose": 0}
    ours = ["loss", "mae"]
    both = [*ours, "val_loss", "val_mae", "added"]
    assert watch.seen == [("batch", ours), ("batch", ours), ("test", ours), ("epoch", both)]
    assert history["added"] == [7.0]


def test_a_lambda_callback_has_what_else_it_was_given() -> None:
    told: list[str] = []
    watch: Any = LambdaCallback(
        on_train_end=lambda logs: told.append(watch.word()), word=lambda: "over", limit=3
    )
    fit(compiled(), watch, epochs=1)
    assert (told, watch.limit) == (["over"], 3)
