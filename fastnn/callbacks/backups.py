"""The callback by which training that was interrupted goes on, and how callbacks' memories are written down.

This file must not know plans or kernels, nor what a file of a model looks like.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.callbacks.base import Callback, Keeper, Logs, Position
from fastnn.checks import check_count, check_flag, shown
from fastnn.errors import ConfigurationError, DTypeError, FileFormatError, warn

__all__ = ["BackupAndRestore"]

LATEST, PREVIOUS = "training.backup", "training.previous.backup"


class BackupAndRestore(Keeper):
    """Keeps how far training has come, so that a run that was cut off goes on when it is started again.

    The second run is to be started by the same script: the same model, data, arguments of `fit` and
    callbacks.  Then it ends with the bits of a run that was not interrupted, in whatever moment that
    was: weights, the optimizer's state, the learning rate, the seed, the order of rows, and what the
    callbacks remember, such as the patience of `EarlyStopping`.  `initial_epoch` is that of the backup,
    and the history begins there.

    Arrays go on with the rows that were next, also where ``steps_per_epoch`` is not all their batches.  Of
    batches that come one by one, those of a data set, and of what is iterated anew for each epoch, go on
    where they were, if they are the same again.  An iterator goes on with what it gives next: batches of the
    epoch at hand that were trained are skipped, those of epochs before are not.  Where ``steps_per_epoch`` is
    not all of them, the epoch begins with the first one.

    A callback of your own takes part by two methods: ``get_state()`` returns what it remembers, a dict,
    and ``set_state(state)`` takes it back.  They are found again by the name of their class, and their
    order among those of one class.

    Parameters
    ----------
    backup_dir : str or path-like
        A folder for this run alone; it is made.
    save_freq : "epoch" or int
        A number of batches, which are counted on from epoch to epoch; else after every epoch.
    double_checkpoint : bool
        Whether the backup before the latest one is kept too, for when that cannot be read.
    delete_checkpoint : bool
        Whether the backup goes when training is through, also if a callback ended it.  With
        `TimeLimit` use False, if it is to go on another time.

    Raises
    ------
    DTypeError, ConfigurationError
        For bad arguments; in `fit`, if the backup is of an epoch with another number of batches.
    FileFormatError
        In `fit`, if the backup is damaged or of another model, which is left as it was.
    OSError
        In `fit`, if the backup cannot be written or read.

    Warns
    -----
    UserWarning
        In `fit`, if the latest backup cannot be read and the one before it is used.

    Examples
    --------
    >>> import tempfile
    >>> import fastnn
    >>> def train(folder, *others):
    ...     model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)], seed=0)
    ...     model.compile(fastnn.optimizers.SGD(0.1), "mse")
    ...     told = [*others, BackupAndRestore(folder)]
    ...     return model.fit([[1.0]], [[9.0]], epochs=5, callbacks=told, verbose=0).epoch
    >>> def fail(epoch, logs):
    ...     if epoch == 3:
    ...         raise KeyboardInterrupt
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         train(folder, fastnn.callbacks.LambdaCallback(on_epoch_begin=fail))
    ...     except KeyboardInterrupt:
    ...         train(folder)
    [3, 4]
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(backup_dir, str | os.PathLike):
            raise DTypeError(f"backup_dir must be a string or a path, got {shown(backup_dir)}")
        self.backup_dir = os.fspath(backup_dir)
        if not self.backup_dir:
            raise ConfigurationError("backup_dir is empty; name a folder")
        if isinstance(save_freq, str) and save_freq != "epoch":
            raise ConfigurationError(f"save_freq must be 'epoch' or a number of batches, got {save_freq!r}")
        self.save_freq = save_freq if isinstance(save_freq, str) else check_count(save_freq, "save_freq")
        self.double_checkpoint = check_flag(double_checkpoint, "double_checkpoint")
        self.delete_checkpoint = check_flag(delete_checkpoint, "delete_checkpoint")
        self._batches = 0

    @property
    def wants_batches(self) -> bool:
        """Whether it saves after batches; else epochs are as fast as without it."""
        return self.save_freq != "epoch"

    def _paths(self) -> tuple[str, str]:
        return os.path.join(self.backup_dir, LATEST), os.path.join(self.backup_dir, PREVIOUS)

    # -- writing

    def keep(self, position: Position, callbacks: Sequence[Callback]) -> None:
        """Write a backup, if one is due."""
        if isinstance(self.save_freq, str):
            due = not position.batch
        else:
            self._batches += position.batch > 0
            due = self._batches == self.save_freq
            self._batches %= self.save_freq
        if due:
            self._write(position, callbacks)

    def _write(self, position: Position, callbacks: Sequence[Callback]) -> None:
        arrays: dict[str, np.ndarray] = {}
        notes = {
            "epoch": position.epoch,
            "batch": position.batch,
            "sums": position.sums,
            "steps": self.params.get("steps"),
            "batches": self._batches,
            "callbacks": [
                [type(callback).__name__, _written(callback.get_state(), callback, arrays)]
                for callback in callbacks
            ],
        }
        os.makedirs(self.backup_dir, exist_ok=True)
        latest, previous = self._paths()
        if self.double_checkpoint and os.path.exists(latest):
            os.replace(latest, previous)
        self._need_model()._save_training(latest, json.dumps(notes), arrays)

    # -- and back

    def take_up(self, callbacks: Sequence[Callback]) -> Position | None:
        """Restore the latest backup, if there is one."""
        self._batches = 0
        self._delete()
        latest, previous = (path if os.path.exists(path) else None for path in self._paths())
        if latest is None:
            return None if previous is None else self._read(previous, callbacks)
        try:
            return self._read(latest, callbacks)
        except (OSError, FileFormatError) as error:
            if previous is None:
                raise
            warn(f"the latest backup cannot be read, and the one before it is used: {error}")
            return self._read(previous, callbacks)

    def _read(self, path: str, callbacks: Sequence[Callback]) -> Position:
        model, steps = self._need_model(), self.params.get("steps")

        def check(text: str) -> None:
            notes = _notes(text)
            if notes is None:
                raise FileFormatError(f"{path!r} cannot be loaded: its notes on the training are damaged")
            if notes["batch"] and notes["steps"] != steps:
                raise ConfigurationError(
                    f"{path!r} is from the midst of an epoch of {notes['steps']} batches, and this one has "
                    f"{steps}; use the same rows and batch_size, or delete it"
                )

        text, arrays = model._load_training(path, check)
        notes = json.loads(text)
        self._batches = notes["batches"]
        states = dict(_numbered(notes["callbacks"]))
        asked, model.stop_training = model.stop_training, False
        for key, callback in _numbered((type(callback).__name__, callback) for callback in callbacks):
            if state := _read_again(states.get(key, {}), arrays):
                callback.set_state(state)
        over = model.stop_training and not notes["batch"]
        model.stop_training = model.stop_training or asked
        return Position(notes["epoch"], notes["batch"], tuple(notes["sums"]), over)

    def on_train_end(self, logs: Logs = None) -> None:
        """Delete the backup."""
        if self.delete_checkpoint:
            self._delete(LATEST, PREVIOUS)
            with contextlib.suppress(OSError):  # others may have put files there
                os.rmdir(self.backup_dir)

    def _delete(self, *names: str) -> None:
        """Delete files, and what is left of those whose writing was cut off."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.backup_dir):
                if name in names or name.startswith(f".{LATEST}."):
                    os.unlink(os.path.join(self.backup_dir, name))


def _notes(text: object) -> dict[str, Any] | None:
    """Return what `BackupAndRestore` noted, or None if it is not that."""
    try:
        notes = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(notes, dict):
        return None
    numbers = [notes.get(key) for key in ("epoch", "batch", "batches")]
    sums, states = notes.get("sums"), notes.get("callbacks")
    is_whole = (
        all(type(number) is int and 0 <= number < 2**62 for number in numbers)
        and isinstance(sums, list)
        and all(isinstance(one, int | float) for one in sums)
        and isinstance(states, list)
        and all(isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) for one in states)
        and "steps" in notes
    )
    return notes if is_whole else None


# -- what callbacks remember


def _numbered(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[tuple[str, int], Any]]:
    """Yield things by their names, which are numbered where several have one."""
    seen: Counter[str] = Counter()
    for name, thing in named:
        yield (name, seen[name]), thing
        seen[name] += 1


def _written(value: Any, owner: Callback, arrays: dict[str, np.ndarray]) -> Any:
    """Return a value of a state as JSON has them; arrays that files can hold are put aside."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_written(one, owner, arrays) for one in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _written(one, owner, arrays) for key, one in value.items()}}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        if value.dtype in (np.float32, np.float64) and np.isfinite(value).all():
            name = str(len(arrays))
            arrays[name] = value
            return {"array": name}
        return {"numbers": value.ravel().tolist(), "shape": value.shape, "dtype": value.dtype.str}
    raise DTypeError(
        f"get_state of {type(owner).__name__} must return numbers, strings, None, arrays of numbers, and "
        f"lists and dicts of them, got {shown(value)} ({type(value).__name__})"
    )


def _read_again(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return what `_written` was given."""
    if isinstance(value, list):
        return [_read_again(one, arrays) for one in value]
    if not isinstance(value, dict) or not value:
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "numbers" in value:
        return np.array(value["numbers"], value["dtype"]).reshape(value["shape"])
    return {key: _read_again(one, arrays) for key, one in value["dict"].items()}
