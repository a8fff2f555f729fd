"""A job as the server knows it: what was asked, what has happened since, and what came of it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minitorch_style.serve.worker import Order, Painted
from minitorch_style.transfer.settings import INITS

ENDED = ("finished", "failed", "discarded")
MAX_LISTENERS = 16  # pages that follow one job


@dataclass
class Job:
    """`state` is waiting, running, or one of ENDED. `events` are numbered by their place in the list."""

    client: str
    order: Order
    asked: dict[str, Any]  # for the page that finds the job again
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    state: str = "waiting"
    events: list[dict[str, Any]] = field(default_factory=list)
    preview: bytes | None = None
    painted: Painted | None = None
    listeners: int = 0
    seen: float = field(default_factory=time.monotonic)
    ended: float | None = None
    stopping: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        return self.state in ENDED

    def publish(self, event: dict[str, Any]) -> None:
        """Tells all who listen, now and later."""
        kind = event["type"]
        if kind == "started":
            self.state = "running"
        elif kind in ENDED:
            self.state, self.ended = kind, time.monotonic()
            self.drop_start()
        self.events.append(event)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def drop_start(self) -> None:
        """Removes the picture that this job was to go on from, a file of its own."""
        if self.order.settings.init not in INITS:
            with suppress(OSError):
                Path(self.order.settings.init).unlink(missing_ok=True)

    async def follow(self, begin: int, heartbeat: float) -> AsyncGenerator[tuple[int, dict[str, Any] | None], None]:
        """(number, event) from `begin` to the job's end; (-1, None) when nothing happened for `heartbeat` seconds."""
        self.listeners += 1
        try:
            number = begin
            while True:
                changed = self._changed
                while number < len(self.events):
                    yield number, self.events[number]
                    number += 1
                if self.over:
                    return
                try:
                    await asyncio.wait_for(changed.wait(), heartbeat)
                except TimeoutError:
                    yield -1, None
        finally:
            self.listeners -= 1
            self.seen = time.monotonic()

    def as_json(self) -> dict[str, Any]:
        """The job in short."""
        self.seen = time.monotonic()
        return {
            "id": self.id,
            "state": self.state,
            "asked": self.asked,
            "events": len(self.events),
            "last": self.events[-1] if self.events else None,
        }
