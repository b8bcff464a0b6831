"""How much of training goes into one call of the executor: about a tenth of a second of it.

Between two calls `fit` sees that another thread has set ``stop_training``, and moves its progress bar.
This file must not know models or plans.
"""

from __future__ import annotations

from fastnn.graph.graph import Graph

__all__ = ["CALL_FLOPS", "CALL_SECONDS", "MOST_EPOCHS", "SNAPSHOT_STEPS", "CallLengths", "cost_of_step"]

CALL_SECONDS = 0.1
CALL_FLOPS = 10_000_000_000  # which take as long at 100 GFLOP/s
MOST_EPOCHS = 65536  # of a call, which keeps their sums
# What takes time beside the products, in flops: 50 ns a layer, half a nanosecond a number between layers; a
# millisecond a layer in the reference interpreter.
LAYER_FLOPS = 5_000
NUMBER_FLOPS = 50
REFERENCE_LAYER_FLOPS = 100_000_000
# The executor copies the weights, so as to come back to them, where a call or an epoch begins after so many
# steps; the number of `_core/run.pxd`.
SNAPSHOT_STEPS = 16


def cost_of_step(graph: Graph, rows: int, reference: bool = False) -> int:
    """Return an estimate of the time of a training step, in flops.

    Parameters
    ----------
    graph : Graph
    rows : int
    reference : bool
        Whether the reference interpreter makes the step.

    Returns
    -------
    int

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((64,)), fastnn.layers.Dense(64), fastnn.layers.Dense(1)])
    >>> cost_of_step(model.graph, 32)
    925200
    """
    weights, columns = graph.totals
    layers = len(graph.nodes) * (REFERENCE_LAYER_FLOPS if reference else LAYER_FLOPS)
    return layers + rows * (6 * weights + NUMBER_FLOPS * columns)  # two flops forward, four backward


class CallLengths:
    """The lengths of calls of the executor: in batches, of an epoch that takes long, and in epochs.

    The lengths in epochs follow the time that calls took, but calls begin where the executor would copy
    the weights anyway, so that no clock decides which weights are restored when a loss is not finite.

    Parameters
    ----------
    cost : int
        Of a step, in flops.
    steps : int
        Of an epoch.

    Attributes
    ----------
    batches : int
        The most batches of a call.
    epochs : int
        Epochs of the next call, if a whole epoch fits into one.

    Examples
    --------
    >>> lengths = CallLengths(cost=1_000_000, steps=10)
    >>> lengths.batches, lengths.epochs
    (10000, 250)
    >>> lengths.learn(250, 0.05)
    >>> lengths.epochs
    500
    """

    def __init__(self, cost: int, steps: int) -> None:
        self.batches = max(1, CALL_FLOPS // cost)
        most = max(1, min(self.batches // steps, MOST_EPOCHS))
        self._unit = -(-SNAPSHOT_STEPS // steps)
        self._by_time = most > self._unit
        # Small steps do fewer flops a second: the first call is to be too short rather than too long.
        self.epochs = self._whole_units(self.batches // steps // 4) if self._by_time else most

    def learn(self, epochs: int, seconds: float) -> None:
        """Learn that a call of so many epochs took so long."""
        if self._by_time:
            self.epochs = self._whole_units(int(epochs * CALL_SECONDS / max(seconds, 1e-6)))

    def _whole_units(self, epochs: int) -> int:
        return max(1, min(epochs, MOST_EPOCHS) // self._unit) * self._unit
