"""Ctrl-C, SIGTERM and a closed terminal: each asks the program to end, none may cost what has been done.

A first signal raises KeyboardInterrupt where work can be broken off, and is remembered where it cannot: while a file is
written, and from the end of a picture's last iteration until it is saved. More signals change nothing there. Where `hold`
has asked for it the first one waits for the end of the step under way, and the second interrupts.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last is Windows's, the one before POSIX's
SECONDS = 1.0  # between two interruptions, so that a second Ctrl-C does not break off the tidying up after the first


class _Region:
    """A stretch of the program in which signals are deferred, or the first one interrupts."""

    def __init__(self, signals: Signals, deferring: bool) -> None:
        self.signals, self.deferring = signals, deferring

    def __enter__(self) -> None:
        if not self.deferring and self.signals.received is not None:
            raise KeyboardInterrupt
        self.before = self.signals.deferring, self.signals._once, self.signals._held
        self.signals._once, self.signals.deferring = not self.deferring, self.deferring

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.signals.deferring, self.signals._once, self.signals._held = self.before


class Signals:
    """What has been received so far, and what a signal does at the moment."""

    def __init__(self) -> None:
        self.received: int | None = None  # the first
        self.deferring = False
        self._once = False  # in an interruptible region: what comes after it must not be broken off
        self._held: Callable[[], None] | None = None
        self._raised = float("-inf")
        self._before: dict[int, Callable[[int, FrameType | None], object] | int] = {}

    @property
    def exit_code(self) -> int:
        """128 + the signal, as shells count: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP; 0 without a signal."""
        return 0 if self.received is None else 128 + self.received

    def deferred(self) -> _Region:
        """A region that no signal breaks off."""
        return _Region(self, True)

    def interruptible(self) -> _Region:
        """A region inside a deferred one that the first signal breaks off, at once if it has come already."""
        return _Region(self, False)

    def hold(self, waiting: Callable[[], None]) -> None:
        """To the end of this region the first signal only calls `waiting`: whoever asks `received` soon will end by it, with
        more than an interruption would leave."""
        self._held = waiting

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first = self.received is None
        self.received = number if first else self.received
        if self.deferring or time.monotonic() - self._raised < SECONDS:
            return
        self._raised = time.monotonic()
        if first and self._held is not None:
            self._held()
            return
        self.deferring = self._once
        raise KeyboardInterrupt

    def install(self) -> None:
        """Handles the signals that this process does not ignore (under `nohup`, or started with `&`). Only the main thread
        of a program can; one that runs a command in another thread has handlers of its own."""
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
                handler = signal.getsignal(number)
                if handler is not None and handler != signal.SIG_IGN:
                    self._before[number] = handler
                    signal.signal(number, self._handle)

    def restore(self) -> None:
        """As it was before `install`."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def ignore(self) -> None:
        """For the last moments of the program, which is ending anyway."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)
