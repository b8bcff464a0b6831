"""Tests of the benchmark workloads: sizes, data and initial weights. They must not know any contender."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastnn.benchmark.workloads import (
    WORKLOADS,
    Workload,
    check_weights,
    find_workloads,
    make_data,
    make_weights,
)

BY_NAME = {workload.name: workload for workload in WORKLOADS}
each_workload = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)


def few_rows(workload: Workload) -> Workload:
    """Return the workload with a batch that is quick to make."""
    return dataclasses.replace(workload, batch=min(workload.batch, 64))


def test_names_and_order() -> None:
    """The ten workloads stand in the order of the project's tables."""
    assert list(BY_NAME) == [
        "xnor",
        "admissions",
        "bike",
        "policy1",
        "policy64",
        "smallmlp",
        "twenty",
        "tabular",
        "mnist",
        "wide",
    ]


@pytest.mark.parametrize(
    ("name", "flops", "parameters"),
    [
        # 2 m k n for (m, k, n) = (4, 2, 2) and (4, 2, 1): forward, weight gradients, one input gradient.
        ("xnor", 32 + 16 + 32 + 16 + 16, 2 * 2 + 2 + 2 * 1 + 1),
        ("mnist", 2 * 200 * (2 * (784 * 500 + 500 * 10) + 500 * 10), 784 * 500 + 500 + 500 * 10 + 10),
        ("policy1", 2 * (2 * (4 * 64 + 64 * 64 + 64 * 2) + 64 * 64 + 64 * 2), 320 + 4160 + 130),
    ],
)
def test_flops_and_parameters(name: str, flops: int, parameters: int) -> None:
    """Derived sizes equal a count by hand."""
    workload = BY_NAME[name]
    assert workload.flops_per_step == flops
    assert workload.parameters == parameters


@each_workload
def test_parameters_are_those_of_the_weights(workload: Workload) -> None:
    """The count of parameters equals the size of the arrays."""
    assert workload.parameters == sum(weight.size for weight in make_weights(workload))


@each_workload
def test_outputs_fit_the_loss(workload: Workload) -> None:
    """Softmax goes with cross-entropy, and only with it; there is one activation per layer."""
    assert (workload.output_activation == "softmax") == (workload.loss == "sparse_categorical_crossentropy")
    assert len(workload.activations) == len(workload.widths) - 1
    assert workload.activations[-1] == workload.output_activation
    assert set(workload.activations[:-1]) == {workload.activation}


def test_workloads_are_immutable() -> None:
    """A workload is a value."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        WORKLOADS[0].batch = 5  # type: ignore[misc]


def test_steps_per_epoch() -> None:
    """Whole batches are counted."""
    assert BY_NAME["mnist"].steps_per_epoch(60_000) == 300


@pytest.mark.parametrize("n_rows", [0, 199, 201, -200])
def test_steps_per_epoch_refuses_a_short_batch(n_rows: int) -> None:
    """Rows that do not fill their batches are refused."""
    with pytest.raises(ValueError, match=f"positive multiple of 200 rows, got {n_rows}"):
        BY_NAME["mnist"].steps_per_epoch(n_rows)


def test_find_workloads() -> None:
    """Names select, in their order; no name means all."""
    assert find_workloads() == WORKLOADS
    assert find_workloads(["wide", "bike"]) == (BY_NAME["wide"], BY_NAME["bike"])


def test_find_workloads_names_the_nearest() -> None:
    """A misspelt name is answered with the known one."""
    with pytest.raises(ValueError, match="unknown workload 'mnits'; did you mean 'mnist'"):
        find_workloads(["xnor", "mnits"])


@each_workload
def test_data(workload: Workload) -> None:
    """Data have the promised shapes and types, and targets of unit size that differ from row to row."""
    workload = few_rows(workload)
    x, y = make_data(workload, n_batches=64)
    n_rows = 64 * workload.batch
    assert x.shape == (n_rows, workload.widths[0])
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    assert y.flags.c_contiguous
    assert abs(x.std() - 1) < 0.15
    outputs = workload.widths[-1]
    if workload.loss == "sparse_categorical_crossentropy":
        assert y.shape == (n_rows,)
        assert y.dtype == np.int64
        assert y.min() >= 0
        assert y.max() < outputs
        assert np.bincount(y).max() < 0.6 * n_rows
    else:
        assert y.shape == (n_rows, outputs)
        assert y.dtype == np.float32
        if workload.output_activation == "sigmoid":
            assert set(np.unique(y)) == {0.0, 1.0}
            assert 0.1 < y.mean() < 0.9
        else:
            assert 0.8 < y.std() < 1.3


@each_workload
def test_data_and_weights_are_functions_of_the_seed(workload: Workload) -> None:
    """The same seed gives the same bits, another seed other numbers."""
    workload = few_rows(workload)
    for once, again in zip(make_data(workload, 2, seed=3), make_data(workload, 2, seed=3), strict=True):
        np.testing.assert_array_equal(once, again)
    assert not np.array_equal(make_data(workload, 2, seed=3)[0], make_data(workload, 2, seed=4)[0])
    first, same, other = (make_weights(workload, seed) for seed in (3, 3, 4))
    for once, again in zip(first, same, strict=True):
        np.testing.assert_array_equal(once, again)
    assert not np.array_equal(first[0], other[0])


def test_data_needs_a_batch() -> None:
    """No batches are no data."""
    with pytest.raises(ValueError, match="at least 1 batch, got 0"):
        make_data(WORKLOADS[0], 0)


@each_workload
def test_weights(workload: Workload) -> None:
    """Kernels fill the Glorot interval, biases are zero."""
    weights = make_weights(workload)
    check_weights(workload, weights)
    for kernel, bias in zip(weights[0::2], weights[1::2], strict=True):
        assert kernel.dtype == bias.dtype == np.float32
        limit = (6 / sum(kernel.shape)) ** 0.5
        assert np.abs(kernel).max() <= limit * (1 + 1e-6)
        if kernel.size > 100:
            assert np.abs(kernel).max() > 0.9 * limit
            assert abs(kernel.mean()) < 0.2 * limit
        assert not bias.any()


def test_check_weights() -> None:
    """Weights of another network are refused."""
    weights = make_weights(BY_NAME["xnor"])
    with pytest.raises(ValueError, match=r"needs weights of shapes \[\(6, 2\), \(2,\).*got \[\(2, 2\)"):
        check_weights(BY_NAME["admissions"], weights)
    with pytest.raises(ValueError, match="'xnor' needs weights of shapes"):
        check_weights(BY_NAME["xnor"], weights[:-1])
