"""Outputs of a model for checked rows: as `predict` has them, or as training makes them.

This file must not know losses or epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.graph.graph import Graph, Tensor, array_name
from fastnn.model.batch import Batch
from fastnn.model.programs import Key, capacity_for
from fastnn.model.structure import Structure

__all__ = ["differs_in_training", "new_arrays", "outputs_of", "prediction", "run_rows", "training_outputs"]


def outputs_of(now: Structure, given: Batch, n_threads: int | None = None) -> Any:
    """Return the outputs for checked rows: an array, or a list of them."""
    made = new_arrays(now, "output", now.graph.outputs, given.rows)
    run_rows(now, "predict", given.arrays | made, given.rows, n_threads)
    found = list(made.values())
    return found if len(found) > 1 else found[0]


def new_arrays(now: Structure, what: str, tensors: Sequence[Tensor], rows: int) -> dict[str, np.ndarray]:
    """Return arrays that a plan writes, by the names that it knows them by."""
    return {
        array_name(what, tensor, tensors): np.empty((rows, tensor.columns), now.store.dtype)
        for tensor in tensors
    }


def run_rows(
    now: Structure, purpose: str, externals: dict[str, np.ndarray], rows: int, n_threads: int | None = None
) -> None:
    """Run a program that takes any number of rows, in one batch."""
    if rows == 0:
        return
    _, result = now.need_programs().run(Key(purpose), externals, rows, n_threads=n_threads)
    if result.exception is not None:
        raise result.exception


def differs_in_training(graph: Graph) -> bool:
    """Return whether a layer, such as `Dropout` or `BatchNormalization`, does something else in training.

    Examples
    --------
    >>> import fastnn
    >>> parts = fastnn.Input((2,)), fastnn.layers.Dense(1), fastnn.layers.Dropout(0.5)
    >>> [differs_in_training(fastnn.Sequential(parts[:n]).graph) for n in (2, 3)]
    [False, True]
    """
    return any(node.config.training_only for node in graph.nodes) or any(
        p.statistic for p in graph.parameters
    )


def prediction(now: Structure, given: Batch, n_threads: int | None = None) -> list[np.ndarray]:
    """Return the outputs for checked rows, always as a list."""
    found = outputs_of(now, given, n_threads)
    return found if isinstance(found, list) else [found]


def training_outputs(
    now: Structure, given: Batch, seed: int, step: int, n_threads: int | None = None
) -> list[np.ndarray]:
    """Return the outputs for checked rows as training makes them.

    Parameters
    ----------
    now : Structure
    given : Batch
    seed, step : int
        Of the random numbers: the steps made before the one whose outputs these are.
    n_threads : int, optional

    Returns
    -------
    list of numpy.ndarray, (rows, outputs)
    """
    if not differs_in_training(now.graph):
        return prediction(now, given, n_threads)
    made = new_arrays(now, "output", now.graph.outputs, given.rows)
    _, result = now.need_programs().run(
        Key("outputs", capacity_for(given.rows)),
        given.arrays | made,
        given.rows,
        seed=seed,
        step=step,
        n_threads=n_threads,
    )
    if result.exception is not None:
        raise result.exception
    return list(made.values())
