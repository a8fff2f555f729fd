"""Whether a job can be painted here at all, asked before it waits in the queue.

`prepare` reads and checks everything and computes no picture; it loads networks and kernels, and so has a process of its
own, which goes when it has not been needed for a while.
"""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from minitorch_style.errors import StyleError, TooLittleMemoryError
from minitorch_style.serve.child import Answerer, Silent
from minitorch_style.serve.errors import Refused
from minitorch_style.serve.worker import Order, without_paths
from minitorch_style.transfer.job import prepare
from minitorch_style.transfer.settings import Settings

SECONDS = 60.0
REST_SECONDS = 60.0


def survey(pipe: Connection) -> None:
    """The process: an order in, its refusal or "" out, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the server, which then ends this
    blank = np.zeros((64, 64, 3), np.float32)
    prepare(blank, blank, Settings(size=64))  # loads what the first order would otherwise wait for
    while True:
        try:
            order, painter = pipe.recv()
        except (EOFError, OSError):
            return
        assert isinstance(order, Order)
        answer = ""
        try:
            prepare(order.photo, order.paintings, order.settings)
        except TooLittleMemoryError as error:
            if error.needed > error.available + _resident(
                painter
            ):  # what the job before takes is free when this begins
                answer = without_paths(str(error), order)
        except StyleError as error:
            answer = without_paths(str(error), order)
        except MemoryError:
            answer = "out of memory; a smaller size needs less"
        pipe.send(answer)


def _resident(pid: int | None) -> int:
    """Bytes that a process holds; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class Surveyor:
    """Refuses what cannot be painted."""

    def __init__(self) -> None:
        self.process = Answerer(survey, SECONDS)

    def require_possible(self, order: Order, painter: int | None) -> None:
        """Blocks. Refused (422) with the sentence that the command line prints. `painter` is the process that paints."""
        try:
            answer = self.process.ask((order, painter))
        except (Silent, EOFError, OSError) as error:
            raise Refused(503, "this picture could not be weighed up; try again, or a smaller size") from error
        if answer:
            raise Refused(422, answer)

    def wake(self) -> None:
        """Blocks a moment. An order is to come soon."""
        self.process.wake()

    def tidy(self) -> None:
        self.process.rest(REST_SECONDS)

    def end(self) -> None:
        self.process.end()
