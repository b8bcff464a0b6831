"""Children of forks: what they do, what they tell, and what becomes of those that hang.

This file must not know fastnn.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import time
import traceback
from collections.abc import Callable

from harness import Round

LIMIT = 20.0  # seconds that a child may take for some milliseconds of work


class Child:
    """A process that was forked, seen from its parent.

    Parameters
    ----------
    pid : int
    told : int
        The end of a pipe that the child writes what is wrong to.
    """

    def __init__(self, pid: int, told: int) -> None:
        self.pid, self.told = pid, told

    def join(self, round_: Round, what: str, limit: float = LIMIT) -> bool:
        """Wait for the child; tell the round what it told, and how it ended; return whether it did."""
        end = time.monotonic() + limit
        hung = False
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL if hung else signal.SIGABRT)  # tells where it is, if it can
                end, hung = time.monotonic() + 2, True
            time.sleep(0.0005)
        os.set_blocking(self.told, False)
        message = ""  # also if a child of another thread still has the other end
        with contextlib.suppress(BlockingIOError):
            message = os.read(self.told, 60_000).decode(errors="replace")
        os.close(self.told)
        message = message.partition("\nExtension modules:")[0]
        round_.did("forks")
        code = os.waitstatus_to_exitcode(status)
        if hung:
            round_.hung(f"the child of a fork {what}\n{message}")
        elif code < 0:
            round_.crashed(f"the child of a fork {what} died of signal {-code}\n{message}")
        elif code or message:
            round_.wrong(f"in the child of a fork {what}: {message or f'status {code}'}")
        return not hung


def leave(write: int, job: Callable[[], list[str]]) -> None:
    """Do a job in a child, write down what is wrong, and end."""
    status = 70
    try:
        faulthandler.enable(file=write)
        found = "\n    ".join(job())
        os.write(write, found.encode()[:50_000])
        status = 0
    except BaseException:
        os.write(write, traceback.format_exc().encode()[:50_000])
    finally:
        os._exit(status)


def fork(job: Callable[[], list[str]]) -> Child:
    """Do a job, which returns what is wrong, in a child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        leave(write, job)
    os.close(write)
    return Child(pid, read)
