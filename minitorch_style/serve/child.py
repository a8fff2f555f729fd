"""A spawned process at the other end of a pipe."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 2.0  # seconds that a process may take to end by itself


class Child:
    """Runs `target(pipe, *arguments)`. The process ends when its pipe does, at the latest when it is asked to."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")  # of a server's threads and sockets a fork would keep half
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def kill(self) -> None:
        """Ends it at once; whoever waits for a message of it gets an EOFError."""
        self.process.kill()
        self.process.join()

    def end(self) -> None:
        """Closes the pipe, which an idle process takes as its end; one that computes is killed after a while."""
        self.pipe.close()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.kill()


class Silent(Exception):
    """A process that did not answer in time, and was ended."""


class Answerer:
    """A process that answers one question after another, started when the first is asked; one that died or hung is
    replaced. Questions and answers must be picklable."""

    def __init__(self, target: Callable[..., None], seconds: float) -> None:
        self.target, self.seconds = target, seconds
        self._child: Child | None = None
        self._lock = threading.Lock()
        self._asked = time.monotonic()

    def wake(self) -> None:
        """Starts the process, if there is none, for a question that is to come soon."""
        with self._lock:
            self._living()

    def _living(self) -> Child:
        self._asked = time.monotonic()
        if self._child is None or not self._child.alive:
            self._child = Child(self.target)
        return self._child

    def ask(self, question: Any) -> Any:
        """Blocks. Silent after `seconds`, EOFError or OSError if the process dies of the question."""
        with self._lock:
            child = self._living()
            try:
                child.pipe.send(question)
                if not child.pipe.poll(self.seconds):
                    child.kill()
                    raise Silent
                return child.pipe.recv()
            except (EOFError, OSError):
                child.kill()
                raise

    def rest(self, seconds: float) -> None:
        """Ends the process if nobody has asked for so long: the next question starts another."""
        if time.monotonic() - self._asked > seconds and self._lock.acquire(blocking=False):
            try:
                self.end()
            finally:
                self._lock.release()

    def end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None
