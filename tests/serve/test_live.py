"""Live: frames over a WebSocket, with a stand-in that paints at once what it is told to."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from minitorch_style.errors import ImageError
from minitorch_style.serve import live
from minitorch_style.serve.app import App
from minitorch_style.serve.server import listen, serving
from minitorch_style.serve.wall import wall

websockets = pytest.importorskip("websockets", reason="websockets is not installed (the web extra)")
client = pytest.importorskip("websockets.asyncio.client")
exceptions = pytest.importorskip("websockets.exceptions")


class Negative:
    """Gives each frame back inverted; with the mosaic as it is. A frame whose first pixel is pure red breaks it."""

    def __init__(self, painting: Path) -> None:
        self.painting = painting

    @property
    def painting(self) -> Any:
        return self._painting

    @painting.setter
    def painting(self, painting: Any) -> None:
        self._painting = painting
        if painting.stem == "stained-glass":
            raise ImageError(f"{painting}: cannot be read")
        self.same = painting.stem == "mosaic"

    def next(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        assert frame.dtype == np.uint8 and frame.shape[2] == 3
        if frame[0, 0, 0] > 240 and frame[0, 0, 1] < 15:
            raise SystemExit
        return frame if self.same else 255 - frame


@contextmanager
def serving_live(
    folder: Path, maker: live.Maker | None = Negative, token: str | None = None
) -> Iterator[tuple[str, App]]:
    """The WebSocket's address at a server in a thread of this process, and its app."""
    address = replace(listen(0, False, False), token=token)
    app = App(folder, wall(), live_painter=maker)
    server = serving(app, address)
    thread = Thread(target=server.run, kwargs={"sockets": [address.socket]})
    thread.start()
    try:
        yield address.link.replace("http", "ws") + "live", app
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def jpeg(color: tuple[int, int, int], side: int = 32) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), color).save(out, "JPEG")
    return out.getvalue()


def middle(data: bytes) -> tuple[int, ...]:
    with Image.open(io.BytesIO(data)) as image:
        pixel = image.convert("RGB").getpixel((16, 16))
    assert isinstance(pixel, tuple)
    return pixel


def close_to(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) < 8


def talking(folder: Path, talk: Callable[[Any, App], Awaitable[None]], **options: Any) -> None:
    async def run(link: str, app: App) -> None:
        async with client.connect(link, open_timeout=30) as socket:
            await asyncio.wait_for(talk(socket, app), 60)

    with serving_live(folder, **options) as (link, app):
        asyncio.run(run(link, app))


async def ending(socket: Any) -> str:
    """Why the server closes."""
    with pytest.raises(exceptions.ConnectionClosed) as caught:
        while True:
            await socket.recv()
    return str(caught.value.rcvd.reason)


PAINTING = json.dumps({"painting": "ink-wash"})


def test_frames_are_painted_and_the_painting_can_change(tmp_path: Path) -> None:
    async def talk(socket: Any, app: App) -> None:
        await socket.send(PAINTING)
        await socket.send(jpeg((200, 50, 60)))
        assert close_to(middle(await socket.recv()), (55, 205, 195))
        await socket.send(json.dumps({"painting": "mosaic"}))
        await socket.send(jpeg((200, 50, 60)))
        assert close_to(middle(await socket.recv()), (200, 50, 60))

    talking(tmp_path, talk)


def test_of_frames_that_come_too_fast_only_the_newest_is_painted(tmp_path: Path) -> None:
    async def talk(socket: Any, app: App) -> None:
        await socket.send(json.dumps({"painting": "mosaic"}))
        for grey in range(0, 250, 5):
            await socket.send(jpeg((grey, grey, grey)))
        answers = []
        while not answers or not close_to(middle(answers[-1]), (245, 245, 245)):
            answers.append(await socket.recv())
        assert len(answers) < 25  # of 50: the painter was still starting when most of them came

    talking(tmp_path, talk)


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [([jpeg((9, 9, 9))], "a painting comes before"), ([PAINTING, b"\xff\xd8\xff nothing"], "not a JPEG"),
     ([PAINTING, jpeg((9, 9, 9), 1300)], "at most 1280"), (["[" * 900], "no such painting"),
     (['{"painting": "/etc/passwd"}'], "no such painting"), (["7"], "no such painting"),
     ([PAINTING, jpeg((255, 0, 0))], "died"), (['{"painting": "stained-glass"}'], "the painting: cannot be read")],
)  # fmt: skip
def test_what_breaks_the_rules_is_closed_with_a_sentence(
    tmp_path: Path, sent: list[bytes | str], sentence: str
) -> None:
    async def talk(socket: Any, app: App) -> None:
        for message in sent:
            await socket.send(message)
        assert sentence in await ending(socket)

    talking(tmp_path, talk)


def test_a_frame_of_a_megabyte_is_not_taken(tmp_path: Path) -> None:
    async def talk(socket: Any, app: App) -> None:
        await socket.send(PAINTING)
        await socket.send(bytes(live.MAX_BYTES + 1))
        with pytest.raises(exceptions.ConnectionClosed) as caught:
            await socket.recv()
        assert caught.value.rcvd.code == 1009

    talking(tmp_path, talk)


def test_silence_and_those_who_wait_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SILENT_SECONDS", 0.3)

    async def silent(socket: Any, app: App) -> None:
        assert "no frame has come" in await ending(socket)
        while app.queue.processor.locked():  # it is free again
            await asyncio.sleep(0.01)

    talking(tmp_path, silent)
    monkeypatch.setattr(live, "MOST_SECONDS", 0.0)

    async def long(socket: Any, app: App) -> None:
        await socket.send(PAINTING)
        await socket.send(jpeg((9, 9, 9)))
        assert "others wait" in await ending(socket)

    monkeypatch.setattr(live, "SILENT_SECONDS", 20)
    talking(tmp_path, long)


def test_one_session_or_one_job_at_a_time(tmp_path: Path) -> None:
    async def run(link: str, app: App) -> None:
        async with client.connect(link) as first, client.connect(link) as second:
            await first.send(PAINTING)
            await first.send(jpeg((9, 9, 9)))
            await first.recv()
            assert "painting already" in await ending(second)
            assert app.queue.running is None and app.queue.processor.locked()
        async with asyncio.timeout(20):
            while app.queue.processor.locked():  # whoever leaves frees it
                await asyncio.sleep(0.01)

    with serving_live(tmp_path) as (link, app):
        asyncio.run(run(link, app))


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
)
def test_another_site_may_not_look_through_the_camera(tmp_path: Path, headers: dict[str, str]) -> None:
    async def run(link: str) -> None:
        given = dict(headers)
        if "Host" in given:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(link.split(":")[2].split("/")[0]))
            writer.write(
                b"GET /live HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            assert (await reader.readline()).startswith(b"HTTP/1.1 403")
            writer.close()
            return
        with pytest.raises(exceptions.InvalidStatus) as caught:
            await client.connect(link, additional_headers=given)
        assert caught.value.response.status_code == 403

    with serving_live(tmp_path) as (link, _):
        asyncio.run(run(link))


def test_on_a_network_live_needs_the_key_too(tmp_path: Path) -> None:
    async def run(link: str) -> None:
        with pytest.raises(exceptions.InvalidStatus):
            await client.connect(link)
        async with client.connect(link, additional_headers={"Authorization": "Bearer secret"}) as socket:
            await socket.send(PAINTING)
            await socket.send(jpeg((200, 50, 60)))
            assert close_to(middle(await socket.recv()), (55, 205, 195))

    with serving_live(tmp_path, token="secret") as (link, _):
        asyncio.run(run(link))


def test_the_page_is_told_whether_there_is_live(tmp_path: Path) -> None:
    for maker, there in ((Negative, True), (None, False)):
        with serving_live(tmp_path, maker) as (link, _):
            told = httpx.get(link.replace("ws", "http").replace("live", "settings")).json()
            assert told["live"] is there
