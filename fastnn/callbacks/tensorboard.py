"""The callback that writes what TensorBoard draws, by tensorboardX, which is loaded with the first of them.

This file must not know plans or kernels.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

from fastnn.callbacks.base import Callback, Logs
from fastnn.checks import check_count, check_flag, shown
from fastnn.errors import ConfigurationError, DTypeError

__all__ = ["TensorBoard"]

_numbers = itertools.count()  # of files


class TensorBoard(Callback):
    """Writes losses, metrics and weights for TensorBoard, which ``tensorboard --logdir=...`` shows.

    Needs ``pip install tensorboardX``.  Names are those of Keras: ``epoch_loss`` and so on by the
    epoch, from 0, in the folder ``train``, and what has ``val_`` in front, without that, in
    ``validation``; there also ``evaluation_loss_vs_iterations`` of each evaluation; ``batch_loss`` by
    the batch, from 1; and ``dense/kernel/histogram``.

    Parameters
    ----------
    log_dir : str or path-like
        A folder, which is made; one for each run that is to be a line of its own.
    histogram_freq : int
        Epochs between two histograms of all weights; 0: none.
    write_graph : bool
        Whether to write the model's configuration, as text.
    write_images : bool
        Needs to be False.
    write_steps_per_second : bool
        Whether to write the steps that are made in a second.
    update_freq : {"epoch", "batch"} or int
        Batches between two rows of ``batch_...``, "batch" being 1.  Epochs take longer then.
    profile_batch : int
        Needs to be 0.
    embeddings_freq : int
        Needs to be 0.
    embeddings_metadata : None
        Needs to be None.

    Raises
    ------
    ImportError
        If tensorboardX is not installed.
    DTypeError, ConfigurationError
        For bad arguments.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     board = TensorBoard(folder, histogram_freq=1)
    ...     _ = model.fit([[1.0]], [[2.0]], epochs=2, callbacks=[board], verbose=0)
    ...     os.listdir(folder)
    ['train']
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: None = None,
    ) -> None:
        super().__init__()
        if not isinstance(log_dir, str | os.PathLike):
            raise DTypeError(f"log_dir must be a string or a path, got {shown(log_dir)}")
        for name, value, instead in (
            ("write_images", write_images, "histogram_freq shows weights"),
            ("profile_batch", profile_batch, "model.profile(x, y) times every op"),
            ("embeddings_freq", embeddings_freq, "the weights are in layer.get_weights()"),
            ("embeddings_metadata", embeddings_metadata, "the weights are in layer.get_weights()"),
        ):
            if value:
                raise ConfigurationError(f"{name} is not there, got {shown(value)}; {instead}")
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = check_count(histogram_freq, "histogram_freq", 0)
        self.write_graph = check_flag(write_graph, "write_graph")
        self.write_steps_per_second = check_flag(write_steps_per_second, "write_steps_per_second")
        if isinstance(update_freq, str):
            if update_freq not in ("batch", "epoch"):
                raise ConfigurationError(
                    f"update_freq must be 'epoch', 'batch' or a number of batches, got {update_freq!r}"
                )
            self.update_freq: str | int = 1 if update_freq == "batch" else update_freq
        else:
            self.update_freq = check_count(update_freq, "update_freq")
        self._make = _summary_writer()
        self._writers: dict[str, Any] = {}
        self._trains = False
        self._batches = 0
        self._began = (0.0, 0)  # an epoch: the time, and steps made before
        self._batch_began = 0.0

    @property
    def wants_batches(self) -> bool:
        """Whether it writes between batches; else epochs are as fast as without it."""
        return self.update_freq != "epoch"

    def _writer(self, name: str) -> Any:
        if name not in self._writers:
            # Two files of one second would else have one name, and the second one replace the first.
            suffix = f".{os.getpid()}.{next(_numbers)}"
            self._writers[name] = self._make(os.path.join(self.log_dir, name), filename_suffix=suffix)
        return self._writers[name]

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def on_train_begin(self, logs: Logs = None) -> None:
        """Write the model's configuration."""
        self._close()  # of a run that an error ended
        self._trains, self._batches = True, 0
        if self.write_graph:
            self._writer("train").add_text("model", f"    {self.model.to_json()}", 0)

    def get_state(self) -> dict[str, Any]:
        """Return the number of batches, by which they are written."""
        return {"batches": self._batches}

    def set_state(self, state: dict[str, Any]) -> None:
        """Count on from there."""
        self._batches = state["batches"]

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Look at the clock."""
        self._began = time.perf_counter(), self._need_model().optimizer.iterations

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Look at the clock."""
        self._batch_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Write the epoch's numbers so far."""
        self._batches += 1
        if isinstance(self.update_freq, str) or self._batches % self.update_freq:
            return
        values = {f"batch_{name}": value for name, value in (logs or {}).items()}
        if self.write_steps_per_second:
            values["batch_steps_per_second"] = 1.0 / max(time.perf_counter() - self._batch_began, 1e-9)
        self._write("train", values, self._batches)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the epoch's numbers, and histograms."""
        parts: dict[str, dict[str, float]] = {"train": {}, "validation": {}}
        for name, value in (logs or {}).items():
            bare = name.removeprefix("val_")
            parts["train" if bare == name else "validation"][f"epoch_{bare}"] = value
        model = self._need_model()
        train, (began, steps) = parts["train"], self._began
        train["epoch_learning_rate"] = float(model.optimizer.learning_rate)
        if self.write_steps_per_second:
            seconds = max(time.perf_counter() - began, 1e-9)
            train["epoch_steps_per_second"] = (model.optimizer.iterations - steps) / seconds
        for part, values in parts.items():
            if values:
                self._write(part, values, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for name, weights in zip(model._now.weights(), model.get_weights(), strict=True):
                self._writer("train").add_histogram(f"{name}/histogram", weights, epoch, bins="tensorflow")
        for writer in self._writers.values():
            writer.flush()

    def on_test_end(self, logs: Logs = None) -> None:
        """Write what was evaluated, by the steps made."""
        values = {f"evaluation_{name}_vs_iterations": value for name, value in (logs or {}).items()}
        self._write("validation", values, self._need_model().optimizer.iterations)
        if not self._trains:
            self._close()

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the files."""
        self._trains = False
        self._close()

    def _write(self, part: str, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer(part).add_scalar(name, value, step)


def _summary_writer() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError("callbacks.TensorBoard needs tensorboardX: pip install tensorboardX") from error
    return SummaryWriter
