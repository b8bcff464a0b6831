"""Data that come in batches: what they promise beside Keras's numbers, and how bad batches are refused."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers
from fastnn.border.feeds import is_feed
from fastnn.errors import ConfigurationError, DataError, DTypeError, ShapeError, TrainingWarning

RNG = np.random.default_rng(3)
X = RNG.standard_normal((32, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)


def net(**options: Any) -> fastnn.Sequential:
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)], seed=1)
    model.compile(fastnn.optimizers.Adam(0.02, **options), "mse")
    return model


class Batches(fastnn.utils.PyDataset):
    def __init__(self, rows: int = 8) -> None:
        super().__init__()
        self.rows, self.asked = rows, list[int]()

    def __len__(self) -> int:
        return 32 // self.rows

    def __getitem__(self, index: int) -> Any:
        self.asked.append(index)
        rows = slice(index * self.rows, (index + 1) * self.rows)
        return X[rows], Y[rows]


def batches(n: int = 4) -> Iterator[Any]:
    return ((X[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8]) for i in range(n))


def test_what_gives_batches() -> None:
    for thing in (batches(), iter([1]), Batches(), map(len, [])):
        assert is_feed(thing)
    for thing in (X, [X], (X, Y), {"x": X}, {1.0}, "text", None, fastnn.Input((3,)), {1: 2}.values()):
        assert not is_feed(thing)


def test_batches_are_trained_as_the_same_rows_of_arrays() -> None:
    fed, whole = net(), net()
    found = fed.fit(Batches(), epochs=3, shuffle=False, verbose=0).history
    wanted = whole.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0).history
    assert found == wanted
    for mine, other in zip(fed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_batches_of_many_lengths_share_few_plans() -> None:
    model = net()
    lengths = [*range(1, 33), *range(32, 0, -1)]
    model.fit(((X[:rows], Y[:rows]) for rows in lengths), verbose=0)
    assert int(model.optimizer.iterations) == 64
    plans = [key for key in model._now.need_programs()._kept if key.purpose == "train"]
    assert len(plans) == 6


def test_a_data_set_is_shuffled_by_the_seed() -> None:
    orders = []
    for _ in range(2):
        data = Batches(4)
        net().fit(data, epochs=2, verbose=0)
        orders.append(data.asked)
    assert orders[0] == orders[1]
    first, second = orders[0][:8], orders[0][8:]
    assert first != second
    assert sorted(first) == sorted(second) == list(range(8))


def test_arrays_go_through_all_rows_before_they_begin_anew() -> None:
    seen: list[float] = []
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1)], seed=0)
    model.compile(fastnn.optimizers.SGD(0.0), "mae")
    model.set_weights([[[0.0]], [0.0]])
    told = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"] * 4))
    model.fit(
        np.zeros((8, 1)), 2.0 ** np.arange(8), batch_size=4, steps_per_epoch=1, epochs=4, callbacks=[told]
    )
    assert seen[0] + seen[1] == seen[2] + seen[3] == 255
    assert seen[0] != seen[2]


def test_an_iterator_that_is_used_up_ends_training() -> None:
    model = net()
    with pytest.warns(TrainingWarning, match="x ran out of data after epoch 1; training stopped"):
        history = model.fit(batches(), epochs=3, verbose=0)
    assert (len(history.epoch), int(model.optimizer.iterations)) == (1, 4)
    with pytest.warns(TrainingWarning, match="x ran out of data after 1 of 3 batches"):
        history = model.fit(batches(), steps_per_epoch=3, epochs=2, verbose=0)
    assert len(history.epoch) == 2
    with pytest.warns(TrainingWarning, match="validation_data ran out of data"):
        history = model.fit(Batches(), validation_data=batches(), epochs=2, verbose=0)
    assert len(history.history["val_loss"]) == 1


def test_batches_of_several_inputs_and_outputs() -> None:
    left, right = fastnn.Input((2,), name="left"), fastnn.Input((1,), name="right")
    both = layers.Concatenate()([left, right])
    model = fastnn.Model([left, right], [layers.Dense(1, name="a")(both), layers.Dense(1, name="b")(both)])
    model.compile("sgd", ["mse", "mae"])
    parts = [({"left": X[i::2, :2], "right": X[i::2, 2:]}, [Y[i::2], -Y[i::2]]) for i in range(2)]
    found = model.evaluate(iter(parts), return_dict=True)
    wanted = model.evaluate([X[:, :2], X[:, 2:]], [Y, -Y], return_dict=True)
    assert found == pytest.approx(wanted)
    model.fit(iter(parts), verbose=0)
    assert [rows.shape for rows in model.predict(iter(parts))] == [(32, 1), (32, 1)]


def test_nothing_is_read_beyond_what_is_trained() -> None:
    source = batches()
    net().fit(source, steps_per_epoch=1, epochs=2, verbose=0)
    assert len(list(source)) == 2


def test_a_model_without_a_width_gets_that_of_the_first_batch() -> None:
    model = fastnn.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    assert model.predict(batches()).shape == (32, 1)
    model = fastnn.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(batches(), verbose=0)
    assert model.count_params() == 4


def test_a_callback_stops_within_an_epoch() -> None:
    model, source = net(), batches()

    def stop(batch: int, logs: Any) -> None:
        model.stop_training = batch == 1

    model.fit(source, epochs=5, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=stop)])
    assert int(model.optimizer.iterations) == 2
    assert len(list(source)) == 2


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "no batch": (lambda: iter(()), DataError, "x gives no batch"),
    "no targets": (lambda: iter([(X,)]), DataError, "batch 1 of x has no targets"),
    "an array": (lambda: iter([X]), DataError, "batch 1 of x has no targets"),
    "four parts": (lambda: iter([(X, Y, Y, Y)]), ShapeError, "batch 1 of x has 4 parts; a batch is"),
    "other widths": (
        lambda: iter([(X[:, :2], Y)]),
        ShapeError,
        r"in batch 1 of x: x must have shape \(rows, 3",
    ),
    "NaN": (lambda: iter([(X * np.nan, Y)]), DataError, "in batch 1 of x: x has 96 values that are NaN"),
    "fewer targets": (lambda: iter([(X, Y[:5])]), ShapeError, "in batch 1 of x: .*32"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_first_batches_are_refused(case: str, refused: Any) -> None:
    make, error, message = WRONG[case]
    model = net()
    with refused(model, error, match=message):
        model.fit(make(), verbose=0)
    with refused(model, error, match=message.replace("of x", "of validation_data").replace("x g", "a g")):
        model.fit(X, Y, validation_data=make(), verbose=0)
    with refused(model, error, match=message):
        model.evaluate(make())


def test_bad_batches_are_named(refused: Any) -> None:
    model = net()
    with pytest.raises(ShapeError, match=r"in batch 3 of x: x must have shape \(rows, 3\)"):
        model.fit(itertools.chain(batches(2), [(X[:, :1], Y)]), verbose=0)
    assert int(model.optimizer.iterations) == 2
    with refused(model, ShapeError, match="in batch 2 of x: x must"):
        model.predict(iter([X, X[:, :1]]))
    with pytest.raises(DataError, match="batch 2 of x has some sample weights and those before it have none"):
        model.fit(iter([(X, Y), (X, Y, np.ones(32))]), verbose=0)
    with pytest.raises(DataError, match="batch 2 of x has no sample weights and those before it have some"):
        model.evaluate(iter([(X, Y, np.ones(32)), (X, Y)]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"y": Y}, ConfigurationError, "x gives batches, so leave y out"),
        ({"sample_weight": np.ones(32)}, ConfigurationError, "x gives batches, so leave sample_weight out"),
        ({"validation_split": 0.5}, ConfigurationError, "leave validation_split out: give validation_data"),
        ({"class_weight": "balanced"}, ConfigurationError, "needs all labels, and x gives batches"),
        ({"steps_per_epoch": 0}, ConfigurationError, "steps_per_epoch must be at least 1"),
        ({"validation_freq": "all"}, DTypeError, "validation_freq must be a number of epochs, or a list"),
        ({"validation_freq": True}, DTypeError, "validation_freq must be an integer"),
        ({"validation_freq": [0]}, ConfigurationError, "an epoch of validation_freq must be at least 1"),
        ({"validation_data": X}, DTypeError, r"validation_data must be \(x, y\)"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], error: Any, message: str, refused: Any) -> None:
    model = net()
    with refused(model, error, match=message):
        model.fit(batches(), verbose=0, **options)


def test_data_sets_without_a_length() -> None:
    class Endless(fastnn.utils.PyDataset):
        @property
        def num_batches(self) -> None:
            return None

        def __getitem__(self, index: int) -> Any:
            return X[index % 2 :: 2], Y[index % 2 :: 2]

    model = net()
    with pytest.raises(ConfigurationError, match="x has no end; say how long an epoch is by steps_per_epoch"):
        model.fit(Endless(), verbose=0)
    assert len(model.fit(Endless(), steps_per_epoch=3, epochs=2, verbose=0).epoch) == 2
    with pytest.raises(NotImplementedError, match="PyDataset needs a method __len__"):
        model.fit(fastnn.utils.PyDataset(), verbose=0)


def test_a_loss_that_is_not_finite_ends_training() -> None:
    model = net()
    model.fit(batches(2), verbose=0)
    before = model.get_weights()
    huge = itertools.chain([(X, np.full_like(Y, 3e38))], batches())
    with pytest.warns(fastnn.errors.NonFiniteWarning, match="not finite in epoch 1"):
        history = model.fit(huge, epochs=3, verbose=0)
    assert np.isnan(history.history["loss"]).all()
    for mine, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_longer_batch_does_not_bring_back_weights_that_nobody_had() -> None:
    model = net()

    def spoil(batch: int, logs: Any) -> None:
        if batch == 0:
            model._now.store.array[:] = np.nan

    told = callbacks.LambdaCallback(on_train_batch_end=spoil)
    with pytest.warns(fastnn.errors.NonFiniteWarning):
        model.fit(iter([(X[:8], Y[:8]), (X, Y)]), verbose=0, callbacks=[told])
    assert all(np.isnan(weights).all() for weights in model.get_weights())


@pytest.mark.parametrize("stopped_at", [3, 8, 11])  # in the first epoch, after it, in the second
def test_an_interrupted_training_goes_on_with_the_same_batches(tmp_path: Path, stopped_at: int) -> None:
    wanted = net()
    wanted.fit(Batches(4), epochs=3, verbose=0)
    steps = itertools.count(1)

    def fall(batch: int, logs: Any) -> None:
        if next(steps) > stopped_at:
            raise KeyboardInterrupt

    backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
    model = net()
    with pytest.raises(KeyboardInterrupt):
        model.fit(
            Batches(4),
            epochs=3,
            verbose=0,
            callbacks=[backup, callbacks.LambdaCallback(on_train_batch_end=fall)],
        )
    model = net()
    backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
    model.fit(Batches(4), epochs=3, verbose=0, callbacks=[backup])
    for mine, other in zip(model.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_memory_is_that_of_a_batch() -> None:
    model = fastnn.Sequential([fastnn.Input((100,)), layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    rows = 1000

    def many() -> Iterator[Any]:
        for _ in range(20):
            yield np.zeros((rows, 100), np.float32), np.ones((rows, 1), np.float32)

    model.fit(itertools.islice(many(), 1), verbose=0)
    for run in (model.fit, model.evaluate):
        gc.collect()
        tracemalloc.start()
        try:
            run(many(), verbose=0)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 5 * 4 * 101 * rows
