"""Every call of the system that a save makes, to count it, fail in it or die in it.

``python tests/failing_saves.py FILE`` saves a model again and again, by processes that are killed.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.saving import container

MOST = 18_000  # bytes that a write takes


def install(setattr: Callable[..., None], meet: Callable[[str], object], most: int = MOST) -> None:
    """Let ``meet(moment)`` be called before each of them, and behind the renaming.

    Parameters
    ----------
    setattr : callable
        As that of `pytest.MonkeyPatch`.
    meet : callable
        Given "open", "chmod", "write", "fsync", "close", "replace" or "replaced".
    most : int
        Bytes that a write takes at most; the others are to be written again.
    """

    class File(io.FileIO):
        def write(self, content: Any) -> int:
            meet("write")
            return super().write(memoryview(content)[:most])

        def close(self) -> None:
            if not self.closed:
                super().close()
                meet("close")

    def opened(name: str, mode: str) -> io.BufferedWriter:
        meet("open")
        return io.BufferedWriter(File(name, mode))

    def before(moment: str, real: Callable[..., Any], later: str = "") -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            meet(moment)
            real(*arguments)
            if later:
                meet(later)

        return call

    setattr(container, "open", opened, raising=False)
    setattr(os, "chmod", before("chmod", os.chmod))
    setattr(os, "fsync", before("fsync", os.fsync))
    setattr(os, "replace", before("replace", os.replace, "replaced"))


def _set(owner: Any, name: str, value: object, raising: bool = True) -> None:
    owner.__dict__[name] = value


def die(path: str, number: int, at: int, write: int) -> None:
    """Save a model full of a number, and be killed at some moment, whose name is told before."""
    left = at

    def meet(moment: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.write(write, moment.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    model = fastnn.load_model(path)
    model.set_weights([np.full(w.shape, number) for w in model.get_weights()])
    install(_set, meet)
    model.save(path)


def main(path: str) -> None:
    """Kill a process at each moment, and print which it was, and whether the file was the new one then."""
    os.fsync = lambda descriptor: None  # processes are to die, not the machine
    model, moments = fastnn.load_model(path), []
    model.set_weights([np.zeros(w.shape) for w in model.get_weights()])
    with pytest.MonkeyPatch.context() as patch:
        install(patch.setattr, moments.append)
        model.save(path)
    killed, old = [], 0
    for number in range(1, len(moments) + 1):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                die(path, number, number, write)
            finally:
                os._exit(1)
        os.close(write)
        moment = os.read(read, 100).decode()
        os.close(read)
        status = os.waitpid(child, 0)[1]
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, (number, moment)
        found = {value for w in fastnn.load_model(path).get_weights() for value in np.unique(w).tolist()}
        assert found in ({number}, {old}), "parts of two saves"
        killed.append((moment, found == {number}))
        (old,) = found
    print(json.dumps({"killed": killed}))


if __name__ == "__main__":
    main(sys.argv[1])
