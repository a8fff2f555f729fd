"""Every row of the table in docs/page.md, and hundreds of hostile requests: none is answered with 5xx, the server goes on."""

from __future__ import annotations

import asyncio
import io
import json
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from minitorch_style.serve.app import App
from minitorch_style.serve.asked import Ceiling
from tests.serve.client import HOST, RAW, asked, uploaded
from tests.serve.test_pictures import bomb, picture

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("host", "status"),
    [(HOST, 200), ("localhost:8765", 200), ("LOCALHOST:8765", 200), ("evil.example", 421), ("127.0.0.1", 421),
     ("127.0.0.1:80", 421), ("127.0.0.1.evil.example:8765", 421), ("", 421), ("localhost:8765@evil.example", 421)],
)  # fmt: skip
def test_only_the_printed_address_is_answered(tmp_path: Path, host: str, status: int) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        answer = await client.get("/health", headers={"host": host})
        assert answer.status_code == status

    asked(test, tmp_path)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [("PUT", "/pictures", {}, 415), ("PUT", "/pictures", {"content-type": "multipart/form-data; boundary=x"}, 415),
     ("POST", "/jobs", {"content-type": "text/plain"}, 415),
     ("POST", "/jobs", {"content-type": "application/x-www-form-urlencoded"}, 415),
     ("DELETE", "/jobs/1", {}, 415), ("POST", "/jobs/1/stop", {}, 415),
     ("POST", "/jobs", {**JSON, "sec-fetch-site": "cross-site"}, 403),
     ("POST", "/jobs", {**JSON, "sec-fetch-site": "same-site"}, 403),
     ("POST", "/jobs", {**JSON, "origin": "https://evil.example"}, 403), ("POST", "/jobs", {**JSON, "origin": "null"}, 403),
     ("GET", "/paintings", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
     ("GET", "/", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
     ("GET", "/", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),
     ("POST", "/jobs", {**JSON, "sec-fetch-site": "same-origin", "origin": f"http://{HOST}"}, 400),
     ("DELETE", "/jobs/1", {"x-minitorch-style": "1"}, 404)],
)  # fmt: skip
def test_another_site_changes_nothing(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code == status, answer.text
        assert not [name for name in answer.headers if name.startswith("access-control")]

    asked(test, tmp_path)


def test_on_a_network_every_request_needs_the_key(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        for path in ("/", "/static/app.js", "/health", "/paintings/mosaic", "/?token=wrong", "/?token=", "/?token=%00"):
            assert (await client.get(path)).status_code == 401
        assert (await client.put("/pictures", content=b"x", headers=RAW)).status_code == 401
        assert (await client.get("/health", headers={"authorization": "Bearer key"})).status_code == 200
        assert (await client.get("/health", headers={"cookie": "minitorch_style_8765=guessed"})).status_code == 401
        first = await client.get("/?token=key")
        cookie = first.headers["set-cookie"]
        assert first.status_code == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert (await client.get("/health")).status_code == 200  # by the cookie

    asked(test, tmp_path, token="key")


def test_every_answer_forbids_the_browser_what_the_page_does_not_need(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        for path, headers in (("/", {}), ("/nothing", {}), ("/health", {"host": "evil"}), ("/jobs/x/picture", {})):
            answer = await client.get(path, headers=headers)
            assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"

    asked(test, tmp_path)


def test_the_page_names_no_other_address() -> None:
    static = Path(__file__).resolve().parents[2] / "minitorch_style" / "serve" / "static"
    for path in static.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and 'src="//' not in text, path
        assert "innerHTML" not in text and "style=" not in text.replace("-style=", ""), path


def test_uploads_are_counted_and_must_go_on_arriving(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            yield picture("PNG")
            while True:
                sent += 1
                yield bytes(10_000)

        async def slow() -> AsyncIterator[bytes]:
            yield picture("PNG")
            await asyncio.sleep(60)

        told = await client.put("/pictures", content=b"", headers={**RAW, "content-length": "31000000"})
        assert told.status_code == 413
        assert (await client.put("/pictures", content=endless(), headers=RAW)).status_code == 413
        assert sent < 20
        app.pictures.chunk_seconds = 0.1
        assert (await client.put("/pictures", content=slow(), headers=RAW)).status_code == 408
        assert not list(tmp_path.iterdir()), "nothing is left of them"

    asked(test, tmp_path, ceiling=Ceiling(upload=100_000))


@contextmanager
def small_disk(folder: Path, nbytes: int) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={nbytes}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here (that takes root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    noise = io.BytesIO()
    Image.effect_noise((300, 300), 90).save(noise, "PNG")  # too large for the disk

    async def test(client: httpx.AsyncClient, app: App) -> None:
        plain = picture("PNG", (300, 300))  # small, but not as the TIFF that is kept
        for data in (noise.getvalue(), plain):
            answer = await client.put("/pictures", content=data, headers=RAW)
            assert answer.status_code == 507, answer.text
            assert "cannot be kept" in answer.json()["error"] and str(tmp_path) not in answer.text
            assert not list(tmp_path.iterdir()), "what was written of it is gone"
        answer = await client.put("/pictures", content=picture("PNG", (16, 16)), headers=RAW)
        assert answer.status_code == 201, answer.text

    with small_disk(tmp_path, 64 * 1024):
        asked(test, tmp_path)


TRAVERSAL = (
    "/static/../app.py", "/static/%2e%2e%2fapp.py", "/static/..%5capp.py", "/paintings/../../etc/passwd", "//etc/passwd",
    "/paintings/%2fetc%2fpasswd", "/jobs/..%2f..%2f/picture", "/jobs/%00/events", "/jobs/" + "a" * 32,
    "/jobs/" + "f" * 4000 + "/photo", "/static/", "/pictures/x", "/jobs//stop",
)  # fmt: skip
VALUES = (
    None, True, -1, 0, 1e308, -1e308, 10**40, "x" * 5000, "../../etc/passwd", [], {}, [[]], ["a"] * 500, "NaN", "\0", "<b>",
)  # fmt: skip
NAMES = (
    "size", "init", "weights", "model", "iterations", "strength", "kernels", "style_blend", "__class__", "seed",
    "max_memory", "content_layers", "style_size", "stroke_size", "scales", "plan_size", "region", "preset",
)  # fmt: skip
METHODS = ("GET", "HEAD", "DELETE", "POST", "PUT", "OPTIONS", "PATCH", "TRACE")
RANGES = ("bytes=0-0", "bytes=0-,0-,0-", "bytes=-1", "lines=1", "bytes=9-1")
BODIES = (
    b"{", b"[" * 60_000, b"\xff\xfe", b'{"photo":' * 5000, b"NaN", b'"x"', b"1" * 9000, b"", b"null", b"x" * 99_000,
)  # fmt: skip
LENGTHS: tuple[dict[str, str], ...] = ({}, {"content-length": "-5"}, {"content-length": "x"})
COOKIES = ("=", ";;;=", "a" * 3000, '"\\', "minitorch_style_8765=")


def hostile(rng: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    """(method, path, body, headers) of one request that means no good."""
    way = rng.randrange(8)
    if way == 0:
        return rng.choice(METHODS), rng.choice(TRAVERSAL), b"", {"x-minitorch-style": "1", "range": rng.choice(RANGES)}
    if way == 1:
        job = {name: rng.choice(VALUES) for name in ("photo", "paintings", "settings", "from")}
        return "POST", "/jobs", json.dumps(job).encode(), JSON
    if way == 2:
        settings = {rng.choice(NAMES): rng.choice(VALUES) for _ in range(3)}
        return (
            "POST",
            "/jobs",
            json.dumps({"photo": "PHOTO", "paintings": ["mosaic"], "settings": settings}).encode(),
            JSON,
        )
    if way == 3:
        return "POST", "/jobs", rng.choice(BODIES), JSON
    if way == 4:
        whole = rng.choice([picture("PNG"), picture("JPEG"), picture("WEBP"), bomb(7000), bomb(60_000)])
        return "PUT", "/pictures", whole[: rng.randrange(len(whole))], RAW
    if way == 5:
        return "PUT", "/pictures", rng.randbytes(rng.randrange(3000)), {**RAW, **rng.choice(LENGTHS)}
    if way == 6:
        flood = {f"x-{rng.randrange(99)}": "y" * rng.randrange(4000) for _ in range(30)}
        path = rng.choice(["/", "/health", "/paintings", "/settings"])
        return "GET", path, b"", {**flood, "cookie": rng.choice(COOKIES)}
    name = rng.choice(["format", "strength", "colors", "token"])
    value = rng.choice(["nan", "%00", "1e999", "../..", "%ff"])
    return "GET", f"/jobs/x/picture?{name}={value}", b"", {"last-event-id": rng.choice(["-1", "9" * 400, "x"])}


def test_six_hundred_hostile_requests(tmp_path: Path) -> None:
    rng = random.Random(7)
    seen: dict[int, int] = {}

    async def test(client: httpx.AsyncClient, app: App) -> None:
        photo = await uploaded(client)
        for _ in range(600):
            method, path, body, headers = hostile(rng)
            answer = await client.request(method, path, content=body.replace(b"PHOTO", photo.encode()), headers=headers)
            assert answer.status_code < 500 and "Traceback" not in answer.text, (method, path, body[:200], answer.text)
            assert "root:" not in answer.text
            seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
            for job in list(app.queue.jobs.values()):  # the few that were allowed would stand in the way of others
                app.queue.stop(job, discard=True)
        assert (await client.get("/health")).status_code == 200
        assert len(app.pictures) < 40 and not list(tmp_path.glob("*.upload"))

    asked(test, tmp_path)
    assert {400, 404, 405, 413, 415, 422} <= set(seen), f"not all kinds of refusal were met: {seen}"
