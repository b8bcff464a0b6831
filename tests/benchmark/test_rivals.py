"""Tests of the contenders on optional libraries: they train as NumPy does, and say what they cannot.

The NumPy contender is itself held against double precision and finite differences; it is the reference.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cases import WHOLE

from fastnn.benchmark import rivals
from fastnn.benchmark.rivals import RIVALS, Rival, find_rivals, load_rivals
from fastnn.benchmark.rivals._library import OptionalLibrary, quietly
from fastnn.benchmark.rivals.numpy_ import NumpyRival
from fastnn.benchmark.runner import LOSS_TOLERANCE
from fastnn.benchmark.workloads import WORKLOADS, Workload, find_workloads, make_data, make_weights

Peer = Callable[[str], ModuleType]
OPTIONAL = ["sklearn", "torch", "jax", "jax-step"]
# Small enough to be quick, of every form that the workloads have, and both optimizers on both losses.
FORMS = [
    dataclasses.replace(
        workload,
        widths=tuple(min(width, limit) for width, limit in zip(workload.widths, (6, 5, 4, 3), strict=False)),
        batch=min(workload.batch, 10),
        optimizer=optimizer,
        learning_rate={"sgd": 0.2, "adam": 0.01}[optimizer],
    )
    for workload in find_workloads(["xnor", "policy64", "bike", "tabular"])
    for optimizer in ("sgd", "adam")
]


def rival_of(key: str, peer: Peer) -> type[Rival]:
    """Return a contender, or skip the test because its library is missing."""
    rival = find_rivals([key])[0]
    peer(rival.module)
    return rival


def train(rival: type[Rival], workload: Workload, n_epochs: int = 3) -> tuple[float, list[Any]]:
    """Return the loss and the weights after some epochs of four batches."""
    x, y = make_data(workload, 4, seed=3)
    x.flags.writeable = y.flags.writeable = False
    weights = make_weights(workload, seed=5)
    before = [weight.copy() for weight in weights]
    contender = rival(workload, weights, x, y)
    loss = contender.run_epochs(n_epochs)
    for given, kept in zip(weights, before, strict=True):
        np.testing.assert_array_equal(given, kept)
    return loss, contender.get_weights()


@pytest.mark.parametrize("workload", FORMS, ids=lambda w: f"{w.name}-{w.optimizer}")
@pytest.mark.parametrize("key", OPTIONAL)
def test_trains_as_numpy_does(key: str, workload: Workload, peer: Peer) -> None:
    rival = rival_of(key, peer)
    if (reason := rival.refuses(workload)) is not None:
        assert key == "sklearn"
        with pytest.raises(ValueError, match=reason):
            train(rival, workload)
        return
    expected_loss, expected_weights = train(NumpyRival, workload)
    loss, weights = train(rival, workload)
    assert loss == pytest.approx(expected_loss, rel=LOSS_TOLERANCE / 10)
    start = make_weights(workload, seed=5)
    for weight, expected, initial in zip(weights, expected_weights, start, strict=True):
        assert weight.dtype == np.float32
        moved = np.abs(expected - initial).max()
        assert moved > 0
        np.testing.assert_allclose(weight, expected, rtol=0, atol=2e-3 * moved)


@pytest.mark.parametrize("key", OPTIONAL)
def test_goes_on_where_it_stopped(key: str, peer: Peer) -> None:
    """Two runs of one epoch are a run of two: optimizer state is kept."""
    rival, workload = rival_of(key, peer), FORMS[3]
    x, y = make_data(workload, 4)
    once, twice = (rival(workload, make_weights(workload), x, y) for _ in range(2))
    once.run_epochs(1)
    assert once.run_epochs(1) == pytest.approx(twice.run_epochs(2), rel=1e-6)
    assert once.run_epochs(1) < make_loss(workload, x, y)


def make_loss(workload: Workload, x: Any, y: Any) -> float:
    """Return NumPy's loss of the first epoch."""
    return NumpyRival(workload, make_weights(workload), x, y).run_epochs(1)


@pytest.mark.parametrize("key", OPTIONAL)
def test_refuses_what_makes_no_sense(key: str, peer: Peer) -> None:
    rival, workload = rival_of(key, peer), FORMS[2]
    x, y = make_data(workload, 2)
    weights = make_weights(workload)
    with pytest.raises(ValueError, match="at least 1 epoch"):
        rival(workload, weights, x, y).run_epochs(0)
    with pytest.raises(ValueError, match="needs whole batches"):
        rival(workload, weights, x[:-1], y[:-1])
    with pytest.raises(ValueError, match="needs weights of shapes"):
        rival(workload, weights[:-1], x, y)


@pytest.mark.skipif(not WHOLE, reason="compiling takes half a minute: FASTNN_WHOLE=1 runs it")
def test_compiled_pytorch_trains_as_numpy_does(peer: Peer) -> None:
    rival = rival_of("torch-compile", peer)
    if not rival.available():
        pytest.skip("no C++ compiler is installed")
    workload = FORMS[1]
    loss, _ = train(rival, workload)
    assert loss == pytest.approx(train(NumpyRival, workload)[0], rel=LOSS_TOLERANCE / 10)


def test_pytorch_leaves_the_number_of_threads_as_it_was(peer: Peer) -> None:
    rival, torch = rival_of("torch", peer), peer("torch")
    before = torch.get_num_threads()
    for n_threads in {1, before}:
        with rival.threads(n_threads):
            assert torch.get_num_threads() == n_threads
        assert torch.get_num_threads() == before


def test_pytorch_has_keras_epsilon_at_every_step(peer: Peer) -> None:
    """Also in a second call: the steps are counted on."""
    rival, workload = rival_of("torch", peer), FORMS[3]
    contender: Any = rival(workload, make_weights(workload), *make_data(workload, 4))
    for n_steps in (4, 8):
        contender.run_epochs(1)
        assert contender._optimizer.param_groups[0]["eps"] == 1e-7 / (1 - 0.999**n_steps) ** 0.5


def test_jax_has_one_number_of_threads(peer: Peer) -> None:
    assert rival_of("jax", peer).thread_counts(8) == (8,)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("xnor", "no squared error after a sigmoid"), ("admissions", "no squared error"), ("mnist", None)],
)
def test_scikit_learn_says_what_it_does_not_have(name: str, reason: str | None) -> None:
    answer = find_rivals(["sklearn"])[0].refuses(find_workloads([name])[0])
    assert answer is None if reason is None else answer is not None and reason in answer


def test_scikit_learn_does_not_train_two_classes() -> None:
    workload = dataclasses.replace(FORMS[-1], widths=(6, 5, 2))
    answer = find_rivals(["sklearn"])[0].refuses(workload)
    assert answer == "two classes have one output in scikit-learn"


# --- the list of contenders -----------------------------------------------------------------------


def test_all_contenders_can_be_named_without_their_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True if name == "numpy" else None)
    named = find_rivals(RIVALS)
    assert [rival.name for rival in named][:3] == ["NumPy", "scikit-learn", "PyTorch"]
    assert [rival.name for rival in load_rivals(RIVALS)] == ["NumPy", "fastnn"]
    assert all(rival.requires for rival in named)


def test_fastnn_always_takes_part_and_is_last() -> None:
    assert [rival.name for rival in find_rivals(["jax", "numpy"])] == ["NumPy", "JAX scan", "fastnn"]


def test_unknown_contender() -> None:
    with pytest.raises(ValueError, match="unknown rival 'troch'; did you mean 'torch'"):
        find_rivals(["numpy", "troch"])


def test_nobody_refuses_among_those_that_are_always_there() -> None:
    assert not any(rival.refuses(workload) for rival in load_rivals() for workload in WORKLOADS)


def test_a_compiler_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = find_rivals(["torch-compile"])[0]
    monkeypatch.setattr(OptionalLibrary, "available", classmethod(lambda cls: True))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not compiled.available()
    monkeypatch.setattr("shutil.which", lambda name: "/there" if name == "clang++" else None)
    assert compiled.available()
    assert compiled in rivals.load_rivals(["torch-compile"])


def test_a_library_is_kept_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    import logging

    level = logging.root.manager.disable
    with quietly():
        warnings.warn("news", stacklevel=1)
        logging.getLogger("library").warning("news")
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == level
    with pytest.warns(UserWarning, match="again"):
        warnings.warn("again", stacklevel=1)
