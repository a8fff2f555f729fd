"""How the page's server stands up to many clients at once: `python -m bench.serve_load [--clients 50]`.

Each client opens the page, sends a photo, asks for a picture and waits for its end, on loopback. All must be served or told
429 or 503 with Retry-After. Meanwhile `/health` is asked every 50 ms while a job is painted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench.record import RESULTS, save, text

PHOTO = Path(__file__).resolve().parents[1] / "examples" / "photo.jpg"
ORDER = {"paintings": ["mosaic"], "preset": "instant", "settings": {"size": 96, "plan_size": 64}}
MAX_TRIES = 3


async def client(link: str, told: Counter[str]) -> None:
    """One client from the page to its picture."""
    async with httpx.AsyncClient(base_url=link, timeout=300) as session:
        await session.get("/")
        photo = await patiently(session, "PUT", "/pictures", told, content=PHOTO.read_bytes(),
                                headers={"content-type": "application/octet-stream"})  # fmt: skip
        if photo is None:
            return
        job = await patiently(session, "POST", "/jobs", told, json={**ORDER, "photo": photo["id"]})
        if job is None:
            return
        events = (await session.get(f"/jobs/{job['id']}/events")).text
        told["painted" if '"type": "finished"' in events else "failed"] += 1


async def patiently(
    session: httpx.AsyncClient, method: str, path: str, told: Counter[str], **more: object
) -> dict[str, str] | None:
    """The answer, or None for a client that was turned away as often as it is willing to come."""
    for _ in range(MAX_TRIES):
        answer = await session.request(method, path, **more)  # type: ignore[arg-type]
        if answer.status_code == 201:
            return dict(answer.json())
        assert answer.status_code in (429, 503) and "retry-after" in answer.headers, answer.text
        told[f"{answer.status_code} with Retry-After"] += 1
        await asyncio.sleep(float(answer.headers["retry-after"]))
    told["gave up"] += 1
    return None


async def health(link: str, waits: list[float]) -> None:
    """Milliseconds that `/health` takes, while a job is painted."""
    async with httpx.AsyncClient(base_url=link, timeout=60) as session:
        while True:
            begun = time.perf_counter()
            painting = (await session.get("/health")).json()["painting"]
            if painting:
                waits.append(1e3 * (time.perf_counter() - begun))
            await asyncio.sleep(0.05)


async def load(link: str, clients: int) -> dict[str, Any]:
    told: Counter[str] = Counter()
    waits: list[float] = []
    asking = asyncio.create_task(health(link, waits))
    begun = time.perf_counter()
    await asyncio.gather(*(client(link, told) for _ in range(clients)))
    seconds = time.perf_counter() - begun
    asking.cancel()
    median, most_of_them, most = np.percentile(waits, [50, 95, 100])
    return {
        "clients": clients,
        "seconds": seconds,
        "told": dict(sorted(told.items())),
        "health": {
            "times": len(waits),
            "median_ms": float(median),
            "p95_ms": float(most_of_them),
            "most_ms": float(most),
        },
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args()
    command = [sys.executable, "-m", "minitorch_style", "serve", "--port", "0"]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            record = asyncio.run(load(process.stdout.readline().strip(), options.clients))
        finally:
            process.terminate()
    print(text(record), end="")
    save(record, RESULTS / "serve-load.json")


if __name__ == "__main__":
    main()
