"""What a model is in the midst of when a signal comes, or an exception at some line.

Each `Act` is one call, or a few, on a `Subject`.  Of those that train, `steps_of` knows the model after each
step, so that weights and counted steps can be compared after any interruption.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import common
import numpy as np
from common import LARGE_ROWS, ROWS, Recorder, Subject, first_of, frozen

import fastnn
from fastnn import callbacks, kernels, layers


class Listener(callbacks.Callback):
    """Has `fit` come back to Python after each batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass


@dataclass(frozen=True)
class Act:
    """Something to be interrupted.

    Attributes
    ----------
    run : callable
        What is done with a subject, and whatever `prepare` made for it.
    large : bool
        Whether products are so large that BLAS would start threads of its own.
    fit : dict, optional
        Arguments of `fit`, if that is what is done.
    team : bool
        Whether small nets have teams of threads meanwhile.
    prepare : callable, optional
        Makes something else that is needed.
    after : callable, optional
        Tells what is wrong with that afterwards.
    """

    run: Callable[[Subject, Any], Any]
    large: bool = False
    fit: dict[str, Any] | None = None
    team: bool = False
    prepare: Callable[[Subject], Any] = lambda subject: None
    after: Callable[[Subject, Any], list[str]] = lambda subject, made: []

    def around(self) -> contextlib.AbstractContextManager[None]:
        """Return the context that this is to be run in."""
        return common.teams() if self.team else contextlib.nullcontext()


def _rows(subject: Subject, many: bool) -> tuple[np.ndarray, np.ndarray]:
    return (subject.many, subject.labels) if many else (subject.x, subject.y)


def _fit(large: bool = False, team: bool = False, **arguments: Any) -> Act:
    arguments = {"batch_size": LARGE_ROWS // 2 if large else ROWS // 3, "verbose": 0} | arguments

    def run(subject: Subject, _: Any) -> Any:
        return subject.model.fit(*_rows(subject, large), **arguments).history

    return Act(run, large, arguments, team)


# -- what is prepared, and what must be true of it afterwards


def _second_weights(subject: Subject) -> Any:
    """Return the weights that the subject has, and others."""
    return subject.model.get_weights(), [w + 1 for w in subject.model.get_weights()]


def _all_or_none(subject: Subject, weights: Any) -> list[str]:
    found = frozen(subject.model.get_weights())
    return [] if found in map(frozen, weights) else ["weights are neither the old ones nor the new ones"]


def _late(subject: Subject) -> fastnn.Sequential:
    """Return a chain whose width will be known by what it is given first."""
    model = fastnn.Sequential([layers.Dense(8, "relu"), layers.Dense(common.CLASSES, "softmax")], seed=3)
    model.compile("sgd", common.LOSS)
    return model


def _late_works(subject: Subject, late: fastnn.Sequential) -> list[str]:
    late.fit(subject.x, subject.y, verbose=0)
    return (
        []
        if frozen(late(subject.x)) == frozen(late.predict(subject.x))
        else ["wrong numbers of a late model"]
    )


def _apart(subject: Subject) -> Any:
    """Return a model with a store of its own, and what it predicts."""
    model = common.chain((subject.hidden.columns,), seed=5)
    return model, frozen(model.predict(subject.x))


def _join(subject: Subject, made: Any) -> Any:
    """Make a model over layers of two stores, which become one."""
    added = layers.Add()([subject.hidden, first_of(made[0])(subject.inputs)])
    return fastnn.Model(subject.inputs, added).predict(subject.x)


def _apart_works(subject: Subject, made: Any) -> list[str]:
    model, predicted = made
    found = (
        []
        if frozen(model.predict(subject.x)) == predicted
        else ["a model that was joined predicts otherwise"]
    )
    model.fit(subject.x, subject.y, verbose=0)
    return found


def _in_one_thread(subject: Subject, _: Any) -> Any:
    with fastnn.threads(1):
        return subject.model.predict(subject.many)


def _kernels(subject: Subject, made: Any) -> Any:
    large, y = made
    w = np.ones((common.FEATURES, common.FEATURES), np.float32)
    h = kernels.dense_forward(subject.x, w, activation="relu")
    return kernels.sigmoid_forward(large, out=y), kernels.dense_backward(h, subject.x, w, h, "relu")


def _there_and_back(subject: Subject, _: Any) -> Any:
    subject.model.forward(subject.x)
    return subject.model.backward()


ACTS: dict[str, Act] = {
    "fit": _fit(epochs=3),
    "fit_in_order": _fit(epochs=2, shuffle=False, sample_weight=np.linspace(0, 1, ROWS)),
    "fit_with_callbacks": _fit(epochs=2, callbacks=[Listener()], validation_split=0.25),
    "fit_large": _fit(large=True, epochs=2),
    "fit_large_validated": _fit(large=True, epochs=2, validation_split=0.5, batch_size=256),
    "fit_team": _fit(team=True, epochs=2, n_threads=3),
    "fit_late": Act(lambda s, late: late.fit(s.x, s.y, verbose=0), prepare=_late, after=_late_works),
    "train_on_batch": Act(
        lambda s, _: s.model.train_on_batch(s.x, s.y), fit={"batch_size": ROWS, "verbose": 0}
    ),
    "predict": Act(lambda s, _: s.model.predict(s.x)),
    "predict_large": Act(lambda s, _: s.model.predict(s.many), large=True),
    "predict_team": Act(lambda s, _: s.model.predict(s.many, n_threads=3), team=True),
    "call": Act(lambda s, _: s.model(s.x), prepare=lambda s: s.model(s.x)),
    "evaluate": Act(lambda s, _: s.model.evaluate(s.many, s.labels, verbose=0), large=True),
    "loss_and_gradients": Act(lambda s, _: s.model.loss_and_gradients(s.many, s.labels), large=True),
    "input_gradients": Act(lambda s, _: s.model.input_gradients(s.x)),
    "forward_backward": Act(_there_and_back),
    "get_weights": Act(lambda s, _: s.model.get_weights()),
    "set_weights": Act(lambda s, w: s.model.set_weights(w[1]), prepare=_second_weights, after=_all_or_none),
    "compile": Act(lambda s, _: s.compile()),
    "build": Act(lambda s, _: common.chain((8,), seed=3).predict(s.x)),
    "new_model": Act(lambda s, _: fastnn.Model(s.inputs, layers.Dense(2)(s.hidden)).predict(s.x)),
    "join": Act(_join, prepare=_apart, after=_apart_works),
    "threads": Act(_in_one_thread, large=True),
    "kernels": Act(_kernels, prepare=lambda s: np.ones((2, 1024, 2050), np.float32)),
}


# -- models after each step


class Steps:
    """A model after each step of an act that trains, done twice.

    Parameters
    ----------
    act : Act
    """

    def __init__(self, act: Act) -> None:
        self.act, subject = act, Subject(act.large)
        arguments = {name: value for name, value in (act.fit or {}).items() if name != "callbacks"}
        self.subject, self.models = subject, []  # type: ignore[var-annotated]
        for _ in range(2):  # it may be done again
            recorder = Recorder(copy.deepcopy)
            with act.around():
                subject.model.fit(*_rows(subject, act.large), callbacks=[recorder], **arguments)
            self.models += recorder.made[len(self.models) > 0 :]
        self.weights = [frozen(model.get_weights()) for model in self.models]

    @functools.cache  # noqa: B019 - lives as long as the process
    def one_more(self, number: int) -> Any:
        """Return the weights after so many steps and another one."""
        model = copy.deepcopy(self.models[number])
        model.train_on_batch(self.subject.x, self.subject.y)
        return frozen(model.get_weights())

    def broken(self, model: fastnn.Model) -> list[str]:
        """Return what is wrong with the weights, for the steps that a model says it made; makes another."""
        number = model.optimizer.iterations
        if not 0 <= number < len(self.models):
            return [f"counted {number} steps of {len(self.models) - 1}"]
        found = frozen(model.get_weights())
        if found != self.weights[number]:
            at = self.weights.index(found) if found in self.weights else "no number of"
            return [f"counted {number} steps, but weights are those after {at} steps"]
        model.train_on_batch(self.subject.x, self.subject.y)
        if frozen(model.get_weights()) != self.one_more(number):
            return [f"after {number} steps, the optimizer goes on otherwise"]
        return []


@functools.cache
def steps_of(name: str) -> Steps:
    """Return the steps of an act, computed once."""
    return Steps(ACTS[name])


def broken(name: str, subject: Subject, made: Any, outside: common.Outside) -> list[str]:
    """Return all promises that do not hold any more after an act was interrupted."""
    act = ACTS[name]
    found = outside.broken()
    checks: list[Callable[[], list[str]]] = [
        lambda: act.after(subject, made),
        lambda: common.broken(subject, outside),
    ]
    if act.fit is not None:
        checks.insert(0, lambda: steps_of(name).broken(subject.model))
    for check in checks:
        try:
            found += check()
        except BaseException as error:
            found.append(f"{type(error).__name__}: {error}")
    return found
