"""The callbacks that steer training or keep what it gave.

Names, arguments, defaults and decisions are those of Keras 3, except that numbers are compared in
float64, not in float32.
"""
# A family of callbacks is a file.  This one must not know plans or kernels.

from __future__ import annotations

from typing import Any

from fastnn.absent import attribute_error
from fastnn.callbacks.averages import SwapEMAWeights
from fastnn.callbacks.backups import BackupAndRestore
from fastnn.callbacks.base import Callback, History, LambdaCallback
from fastnn.callbacks.checkpoints import ModelCheckpoint
from fastnn.callbacks.listeners import CallbackList
from fastnn.callbacks.logs import CSVLogger
from fastnn.callbacks.progress import ProgbarLogger
from fastnn.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from fastnn.callbacks.stopping import EarlyStopping, TerminateOnNaN, TimeLimit
from fastnn.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "TimeLimit",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name, __all__)
