"""Data that come in batches, in Keras and here: the same numbers, and who hears of what."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fastnn

pytestmark = [
    # Keras hands its variables to NumPy in a way that NumPy 2 warns about; that is not ours to fix.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*ran out of data"),
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed"),
]

RNG = np.random.default_rng(5)
X = RNG.standard_normal((29, 3)).astype(np.float32)
LABELS = (X.sum(1) > 0).astype(np.float32)[:, None]
WEIGHTS = RNG.uniform(0.5, 2.0, 29).astype(np.float32)
ROWS = (8, 8, 8, 5)  # of each batch
BATCHES = [
    (X[end - rows : end], LABELS[end - rows : end], WEIGHTS[end - rows : end])
    for rows, end in zip(ROWS, itertools.accumulate(ROWS), strict=True)
]


def without_end(parts: int = 2) -> Iterator[Any]:
    for batch in itertools.cycle(BATCHES):
        yield batch[:parts]


def data_set(library: Any, calls: list[Any], parts: int = 2) -> Any:
    class Batches(library.utils.PyDataset):  # type: ignore[misc,name-defined]
        def __len__(self) -> int:
            return len(BATCHES)

        def __getitem__(self, index: int) -> Any:
            calls.append(index)
            return BATCHES[index][:parts]

        def on_epoch_begin(self) -> None:
            calls.append("begin")

        def on_epoch_end(self) -> None:
            calls.append("end")

    return Batches()


def loader() -> Any:
    import torch

    tensors = (torch.from_numpy(X), torch.from_numpy(LABELS))
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=8)


def pair(keras: Any, optimizer: str = "Adam", reduction: str = "sum_over_batch_size", **options: Any) -> Any:
    """Return a model of Keras and one of ours, with equal weights."""
    made = []
    for library in (keras, fastnn):
        model = library.Sequential([library.Input((3,)), library.layers.Dense(1, "sigmoid")])
        model.compile(
            getattr(library.optimizers, optimizer)(0.05, **options),
            library.losses.BinaryCrossentropy(reduction=reduction),
            metrics=["accuracy"],
            weighted_metrics=["mse"],
        )
        made.append(model)
    theirs, ours = made
    ours.set_weights(theirs.get_weights())
    return theirs, ours


def noting(library: Any, seen: list[Any]) -> Any:
    class Noting(library.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            seen.append(("epoch", epoch, self.params["steps"], self.params["epochs"]))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(("epoch end", epoch, logs))

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            seen.append(("batch", batch))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(("batch end", batch, logs))

        def on_test_begin(self, logs: Any = None) -> None:
            seen.append(("test", self.params["steps"]))

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(("test batch end", batch, logs))

        def on_test_end(self, logs: Any = None) -> None:
            seen.append(("test end", logs))

    return Noting()


def assert_same(ours: Any, theirs: Any) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine[:-1] == other[:-1]
        if isinstance(mine[-1], dict):
            assert mine[-1].keys() == other[-1].keys(), mine[:-1]
            for name, value in mine[-1].items():
                np.testing.assert_allclose(value, other[-1][name], rtol=1e-4, atol=1e-5, err_msg=str(mine))
        else:
            assert mine == other


KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "generator": (lambda library, calls: without_end(), {"steps_per_epoch": 3}),
    "weighted": (lambda library, calls: without_end(3), {"steps_per_epoch": 4}),
    "data set": (data_set, {}),
    "data set, fewer steps": (data_set, {"steps_per_epoch": 3}),
    "data set, more steps": (data_set, {"steps_per_epoch": 6}),
    "data set, class weights": (data_set, {"class_weight": {0: 0.5, 1: 2.0}}),
    "loader": (lambda library, calls: loader(), {}),
    "validated at times": (data_set, {"validation_freq": 2, "validation_steps": 3}),
    "validated in some epochs": (data_set, {"validation_freq": [1, 3], "validation_steps": 2}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_training_and_who_hears_of_it(keras: Any, kind: str) -> None:
    make, options = KINDS[kind]
    found = []
    for library, model in zip((keras, fastnn), pair(keras), strict=True):
        seen: list[Any] = []
        calls: list[Any] = []
        test_calls: list[Any] = []
        if kind.startswith("validated"):
            options = options | {"validation_data": data_set(library, test_calls)}
        data = make(library, calls)
        model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=[noting(library, seen)], **options)
        if library is keras and calls:
            del calls[:2]  # it looks at a batch to make its metrics
        found.append((seen, calls, test_calls, model.get_weights()))
    theirs, ours = found
    assert_same(ours[0], theirs[0])
    assert ours[1:3] == theirs[1:3]
    for mine, other in zip(ours[3], theirs[3], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("SGD", {"reduction": "sum"}),
        ("Adam", {"use_ema": True, "ema_momentum": 0.9}),
        ("SGD", {"gradient_accumulation_steps": 3}),
        ("Adam", {"reduction": "mean_with_sample_weight"}),
    ],
)
def test_steps_of_all_kinds(keras: Any, optimizer: str, options: dict[str, Any]) -> None:
    theirs, ours = pair(keras, optimizer, **options)
    histories = [
        model.fit(without_end(3), steps_per_epoch=4, epochs=3, verbose=0).history for model in (ours, theirs)
    ]
    for name, column in histories[1].items():
        np.testing.assert_allclose(histories[0][name], column, rtol=1e-4, atol=1e-5, err_msg=name)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 8, "steps_per_epoch": 3},  # which ends within the second epoch
        {"steps_per_epoch": 3},
        {"batch_size": 8, "steps_per_epoch": 4, "validation_steps": 2},
        {"batch_size": 8, "validation_batch_size": 5, "validation_steps": 9, "validation_freq": 2},
        {"validation_steps": 2},
    ],
)
def test_steps_of_arrays(keras: Any, options: dict[str, Any]) -> None:
    found = []
    for library, model in zip((keras, fastnn), pair(keras), strict=True):
        seen: list[Any] = []
        if "validation_steps" in options:
            options = options | {"validation_data": (X[:11], LABELS[:11], WEIGHTS[:11])}
        model.fit(
            X,
            LABELS,
            sample_weight=WEIGHTS,
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=[noting(library, seen)],
            **options,
        )
        found.append(seen)
    assert_same(found[1], found[0])


def test_evaluation_and_prediction(keras: Any) -> None:
    theirs, ours = pair(keras)
    cases: list[tuple[Any, dict[str, Any]]] = [
        (lambda library: without_end(3), {"steps": 3}),
        (lambda library: data_set(library, [], 3), {}),
        (lambda library: data_set(library, []), {"steps": 2}),
        (lambda library: data_set(library, []), {"steps": 7}),
        (lambda library: loader(), {}),
        (lambda library: X, {"batch_size": 8, "steps": 2}),
        (lambda library: X, {"steps": 2}),
    ]
    for make, options in cases:
        for method in ("evaluate", "predict"):
            targets = {"y": LABELS} if make(fastnn) is X and method == "evaluate" else {}
            mine, other = (
                getattr(model, method)(make(library), verbose=0, **targets, **options)
                for model, library in ((ours, fastnn), (theirs, keras))
            )
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_a_generator_that_ends_is_warned_of_as_in_keras(keras: Any) -> None:
    for library, model in zip((keras, fastnn), pair(keras), strict=True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            batches = (batch[:2] for batch in BATCHES)
            history = model.fit(batches, steps_per_epoch=3, epochs=2, verbose=0)
        assert sum("ran out of data" in str(warning.message) for warning in caught) == 1, library
        assert len(history.history["loss"]) == 2


@pytest.mark.parametrize("beside", [{"y": LABELS}, {"sample_weight": WEIGHTS}, {"validation_split": 0.5}])
def test_what_keras_refuses_beside_batches_is_refused(keras: Any, beside: dict[str, Any]) -> None:
    for model in pair(keras):
        with pytest.raises(ValueError, match=r"(leave|should not|only supported)"):
            model.fit(without_end(), steps_per_epoch=1, verbose=0, **beside)


def test_data_sets_of_keras_are_taken(keras: Any) -> None:
    _, ours = pair(keras)
    calls: list[Any] = []
    ours.fit(data_set(keras, calls), verbose=0, shuffle=False)
    assert calls == ["end", "begin", 0, 1, 2, 3, "end"]
