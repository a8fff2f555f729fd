"""An App in this process, asked without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from minitorch_style.serve.app import App
from minitorch_style.serve.asked import Ceiling
from minitorch_style.serve.security import Door
from minitorch_style.serve.wall import wall

HOST = "127.0.0.1:8765"
RAW = {"content-type": "application/octet-stream"}
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@asynccontextmanager
async def asking(
    folder: Path, token: str | None = None, painting: bool = False, ceiling: Ceiling | None = None
) -> AsyncIterator[tuple[httpx.AsyncClient, App]]:
    """A client, and the app it asks. Without `painting` no worker is started: jobs wait."""
    app = App(folder, wall(), ceiling)
    transport = httpx.ASGITransport(Door(app.asgi, (HOST, "localhost:8765"), token))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", timeout=120) as client:
        worker = asyncio.create_task(app.queue.serve()) if painting else None
        try:
            yield client, app
        finally:
            if worker is not None:
                worker.cancel()
                await asyncio.gather(worker, return_exceptions=True)
            app.pictures.decoder.end()
            app.surveyor.end()


def asked(test: Callable[[httpx.AsyncClient, App], Awaitable[None]], folder: Path, **options: Any) -> None:
    """Runs `test(client, app)`."""

    async def run() -> None:
        async with asking(folder, **options) as (client, app):
            await test(client, app)

    asyncio.run(run())


async def uploaded(client: httpx.AsyncClient) -> str:
    answer = await client.put("/pictures", content=(EXAMPLES / "photo.jpg").read_bytes(), headers=RAW)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def ended(app: App, id: str) -> dict[str, Any]:
    """The last event of a job, when it has come."""
    async for _, event in app.queue.jobs[id].follow(0, 300):
        assert event is not None, "nothing happened for five minutes"
    assert event is not None
    return event
