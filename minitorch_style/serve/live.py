"""Frames of a camera, painted as they come: bytes in, bytes out, by a process of its own, for one page at a time."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from starlette.websockets import WebSocket, WebSocketDisconnect

from minitorch_style.arrays import Rgb8
from minitorch_style.errors import ImageError, StyleError
from minitorch_style.image.io import read_picture, to_bytes
from minitorch_style.image.writing import encoded
from minitorch_style.serve.child import Child
from minitorch_style.serve.probe import probe

SIZE, BUDGET_MS = 256, 33
MAX_SIDE, MAX_BYTES = 1280, 1_000_000  # of a frame
QUALITY = 80
READY_SECONDS = 300.0  # the first frame may wait for the compiler
SILENT_SECONDS = 20.0  # without a frame
MOST_SECONDS, WAITED_FOR_SECONDS = 1800.0, 60.0  # of a session, and of one that a job waits for
GONE, BUSY, WRONG = 1001, 1013, 1008  # why a WebSocket is closed, RFC 6455


class Painter(Protocol):
    """What a live session needs: `next` takes and gives (H, W, 3) uint8, `painting` may be set to another."""

    painting: Any

    def next(self, frame: Rgb8) -> Rgb8: ...


Maker: TypeAlias = Callable[[Path], Painter]
Answer: TypeAlias = "tuple[bytes, str]"  # a picture, or what was wrong


def painter(painting: Path) -> Painter:
    """The package's own."""
    made: Painter = import_module("minitorch_style.video.live").Live(painting, size=SIZE, budget_ms=BUDGET_MS)
    return made


def found() -> Maker | None:
    """Who paints live here; None where a library is missing."""
    needed = ("minitorch_style.video.live", "websockets")
    return painter if all(find_spec(name) is not None for name in needed) else None


def perform(pipe: Connection, maker: Maker) -> None:
    """The process: a painting's path or the bytes of a frame in; a picture, or a sentence, out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the server, which then ends this
    live: Painter | None = None
    while True:
        try:
            asked = pipe.recv()
        except (EOFError, OSError):
            return
        answer: Answer
        try:
            if not isinstance(asked, Path):
                assert live is not None
                answer = encoded("JPEG", live.next(_frame(asked)), quality=QUALITY), ""
            elif live is None:
                live, answer = maker(asked), (b"", "")
            else:
                live.painting = asked
                answer = b"", ""
        except StyleError as error:
            answer = b"", str(error).replace(str(asked), "the painting") if isinstance(asked, Path) else str(error)
        except MemoryError:
            answer = b"", "out of memory"
        try:
            pipe.send(answer)
        except OSError:
            return


def _frame(data: bytes) -> Rgb8:
    """(H, W, 3) of a JPEG. ImageError if it is none, or too large."""
    header = probe(io.BytesIO(data))
    if header.format != "JPEG" or max(header.width, header.height) > MAX_SIDE:
        raise ImageError(f"a frame is a JPEG of at most {MAX_SIDE}×{MAX_SIDE} pixels")
    return to_bytes(read_picture(io.BytesIO(data), "this frame").pixels)


class _Ended(Exception):
    """Why a session may not go on: a code of RFC 6455, and a sentence."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


class Session:
    """One page's: of frames that come faster than they are painted, only the newest is. `paintings` finds what the page
    names, `waited_for` tells whether somebody else waits for the processor."""

    def __init__(
        self, socket: WebSocket, paintings: Callable[[object], Path | None], waited_for: Callable[[], bool]
    ) -> None:
        self.socket, self.paintings, self.waited_for = socket, paintings, waited_for
        self._frame: bytes | None = None
        self._painting: Path | None = None
        self._came = asyncio.Event()
        self._pipe = ThreadPoolExecutor(1, "live's pipe")

    async def run(self, maker: Maker) -> None:
        """Until the page leaves, or may not go on."""
        reader = asyncio.create_task(self._read())
        child = Child(perform, maker)
        try:
            await self._paint(child, reader)
        except _Ended as end:
            await self._close(end)
        except (EOFError, OSError):
            await self._close(_Ended(BUSY, "the live painter died or hung; try again"))
        except WebSocketDisconnect:
            pass  # the page has left
        finally:
            child.kill()  # whoever reads its pipe wakes up
            self._pipe.shutdown(wait=False)
            reader.cancel()
            await asyncio.wait([reader])

    async def _read(self) -> None:
        """Takes what the page sends: a painting's id as text, frames as bytes."""
        try:
            while True:
                message = await self.socket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message.get("code", GONE))
                if message.get("bytes") is not None:
                    self._frame = message["bytes"]
                else:
                    self._painting = self.paintings(_id(message.get("text")))
                    if self._painting is None:
                        raise _Ended(WRONG, "there is no such painting any more; choose it again")
                self._came.set()
        finally:
            self._came.set()

    async def _paint(self, child: Child, reader: asyncio.Task[None]) -> None:
        begun, shown = time.monotonic(), False
        while True:
            try:
                await asyncio.wait_for(self._came.wait(), SILENT_SECONDS)
            except TimeoutError:
                raise _Ended(BUSY, "no frame has come for a while") from None
            self._came.clear()
            if reader.done():
                reader.result()  # raises why
            painting, self._painting = self._painting, None
            frame, self._frame = self._frame, None
            if painting is not None:
                await self._ask(child, painting, READY_SECONDS)
                shown = True
            if frame is not None:
                if not shown:
                    raise _Ended(WRONG, "a painting comes before the first frame")
                await self.socket.send_bytes(await self._ask(child, frame, READY_SECONDS))
            seconds = time.monotonic() - begun
            if seconds > MOST_SECONDS or (seconds > WAITED_FOR_SECONDS and self.waited_for()):
                raise _Ended(BUSY, "others wait for this machine; try again soon")

    async def _ask(self, child: Child, question: Path | bytes, seconds: float) -> bytes:
        def asked() -> Answer:
            child.pipe.send(question)
            if not child.pipe.poll(seconds):
                raise EOFError
            answer: Answer = child.pipe.recv()
            return answer

        data, wrong = await asyncio.get_running_loop().run_in_executor(self._pipe, asked)
        if wrong:
            raise _Ended(WRONG, wrong)
        return data

    async def _close(self, end: _Ended) -> None:
        with suppress(RuntimeError, WebSocketDisconnect):  # the page has left meanwhile
            await self.socket.close(end.code, end.sentence.encode()[:120].decode("utf-8", "ignore"))  # holds 123 bytes


def _id(text: object) -> object:
    """The painting that a message names: {"painting": id}."""
    try:
        message = json.loads(str(text)[:1000])
    except (ValueError, RecursionError):
        return None
    return message.get("painting") if isinstance(message, dict) else None
