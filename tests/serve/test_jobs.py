"""Jobs by the HTTP API, painted by a real worker."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from contextlib import aclosing
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from minitorch_style.errors import SettingsError
from minitorch_style.serve.app import App
from minitorch_style.serve.asked import Ceiling, settings_of
from minitorch_style.serve.child import Child
from minitorch_style.serve.compose import composed, to_linear, to_srgb
from minitorch_style.serve.errors import Refused
from minitorch_style.serve.jobs import Job
from minitorch_style.serve.queue import MAX_WAITING, Queue
from minitorch_style.serve.worker import Order, Painted, _compiling
from minitorch_style.transfer.job import prepare
from minitorch_style.transfer.settings import Settings
from tests.serve.client import EXAMPLES, asked, ended, uploaded


def order(photo: str, **more: Any) -> dict[str, Any]:
    return {
        "photo": photo,
        "paintings": ["mosaic"],
        "preset": "instant",
        "settings": {"size": 64, "plan_size": 64},
        **more,
    }


async def events(client: httpx.AsyncClient, id: str, last: int | None = None) -> list[tuple[int, dict[str, Any]]]:
    headers = {} if last is None else {"last-event-id": str(last)}
    text = (await client.get(f"/jobs/{id}/events", headers=headers)).text
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in lines:
            found.append((int(lines["id"]), json.loads(lines["data"])))
    return found


def opened(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


def test_a_job_from_upload_to_picture_and_on_to_a_larger_one(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        photo = await uploaded(client)
        answer = await client.post("/jobs", json=order(photo, paintings=["mosaic", "ink-wash"],
                                   settings={"size": 64, "plan_size": 64, "style_blend": [2, 1]}))  # fmt: skip
        assert answer.status_code == 201, answer.text
        id = answer.json()["id"]
        told = await events(client, id)
        assert [number for number, _ in told] == list(range(len(told)))
        kinds = [event["type"] for _, event in told]
        assert kinds[0] == "waiting" and "preparing" in kinds and "started" in kinds and kinds[-1] == "finished"
        steps = [event for _, event in told if event["type"] == "iterated"]
        assert steps[0]["preview"] and steps[-1]["seconds_left"] == 0
        assert await events(client, id, last=len(told) - 3) == told[-2:]
        assert (await client.get(f"/jobs/{id}")).json()["state"] == "finished"
        assert opened(await client.get(f"/jobs/{id}/preview")).format == "JPEG"

        picture = opened(await client.get(f"/jobs/{id}/picture"))
        assert picture.size == (64, 43) and picture.format == "PNG"
        assert picture.text["minitorch_style.size"] == "64"  # type: ignore[attr-defined]
        assert picture.text["minitorch_style.paintings"] == "mosaic,ink-wash"  # type: ignore[attr-defined]
        assert str(tmp_path) not in str(picture.text)  # type: ignore[attr-defined]
        for kind in ("jpeg", "webp"):
            other = opened(await client.get(f"/jobs/{id}/picture?format={kind}"))
            assert json.loads(other.getexif()[0x010E])["minitorch_style.size"] == "64"
            bare = await client.get(f"/jobs/{id}/picture?format={kind}&settings=0")
            assert b"minitorch_style" not in bare.content
        under = opened(await client.get(f"/jobs/{id}/photo"))
        asleep = opened(await client.get(f"/jobs/{id}/picture?strength=0"))
        assert np.array_equal(np.asarray(under), np.asarray(asleep)), "of strength 0 there is only the photo"
        assert opened(await client.get(f"/jobs/{id}/people")).mode == "L"

        larger = await client.post("/jobs", json=order(photo, settings={"size": 96, "plan_size": 64}, **{"from": id}))
        assert larger.status_code == 201, larger.text
        on = larger.json()["id"]
        assert (await ended(app, on))["type"] == "finished"
        started = next(event for event in app.queue.jobs[on].events if event["type"] == "started")
        assert len(started["stages"]) == 1 and "repainted" in started["stages"][0], "no plan is made again"
        picture = opened(await client.get(f"/jobs/{on}/picture"))
        assert picture.size == (96, 64)
        assert "minitorch_style.init" not in picture.text  # type: ignore[attr-defined]
        small = np.asarray(
            opened(await client.get(f"/jobs/{id}/picture")).resize((24, 16), Image.Resampling.BOX), float
        )
        large = np.asarray(picture.resize((24, 16), Image.Resampling.BOX), float)
        assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.7, "the larger picture shows the same"
        assert [path.stem for path in tmp_path.glob("*.tif")] == [photo], "the picture it went on from is not kept"

    asked(test, tmp_path, painting=True)


@pytest.mark.slow
def test_stopped_discarded_and_killed_jobs(tmp_path: Path) -> None:
    long = {"preset": "gram", "settings": {"size": 96, "iterations": 500, "model": "distilled-perceptual"}}

    async def running(client: httpx.AsyncClient, app: App, photo: str) -> str:
        answer = await client.post("/jobs", json=order(photo, **long))
        assert answer.status_code == 201, answer.text
        id = str(answer.json()["id"])
        async with aclosing(app.queue.jobs[id].follow(0, 300)) as told:
            async for _, event in told:
                assert event is not None and event["type"] not in ("finished", "failed"), event
                if event["type"] == "iterated" and event["iteration"] >= 3:
                    return id
        raise AssertionError

    async def test(client: httpx.AsyncClient, app: App) -> None:
        header = {"x-minitorch-style": "1"}
        photo = await uploaded(client)
        id = await running(client, app, photo)
        assert (await client.post(f"/jobs/{id}/stop", headers=header)).status_code == 204
        last = await ended(app, id)
        assert last["type"] == "finished" and last["interrupted"] and 3 <= last["iterations"] < 500
        assert opened(await client.get(f"/jobs/{id}/picture")).size == (96, 64)

        id = await running(client, app, photo)
        pid = app.queue.worker_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        last = await ended(app, id)
        assert last["type"] == "failed" and "died" in last["sentence"]

        id = await running(client, app, photo)  # by the worker that took its place
        assert app.queue.worker_pid != pid
        assert (await client.delete(f"/jobs/{id}", headers=header)).status_code == 204
        assert (await client.get(f"/jobs/{id}")).status_code == 404

        id = await running(client, app, photo)
        app.queue.gone_seconds = 0
        app.queue.tidy()  # nobody looks at it
        last = await ended(app, id)
        assert last["type"] == "finished" and last["interrupted"]

    asked(test, tmp_path, painting=True)


def test_a_worker_that_hangs_is_ended_with_a_sentence(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        app.queue.silent_seconds = 0.2
        photo = await uploaded(client)
        while app.queue.worker_pid is None:
            await asyncio.sleep(0.05)
        os.kill(app.queue.worker_pid, signal.SIGSTOP)
        id = (await client.post("/jobs", json=order(photo))).json()["id"]
        last = await ended(app, id)
        assert last["type"] == "failed" and "too long" in last["sentence"]

    asked(test, tmp_path, painting=True)


def test_the_first_iteration_has_a_preview_and_compiling_is_told(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        photo = await uploaded(client)
        answer = await client.post("/jobs", json=order(photo))
        assert answer.status_code == 201, answer.text
        id = answer.json()["id"]
        job = app.queue.jobs[id]
        await ended(app, id)
        first = next(event for event in job.events if event["type"] == "iterated")
        assert first["iteration"] == 1 and first["preview"]

    asked(test, tmp_path, painting=True)
    ours, theirs = Pipe()
    _compiling(ours)(0, 0)  # nothing to compile, nothing told
    _compiling(ours)(3, 12)
    queue, told = Queue(), Job("client", Order("", (), Settings()), {})
    assert not queue._take(told, theirs.recv())
    assert told.events == [{"type": "compiling", "done": 3, "count": 12}] and not told.over


def test_what_prepare_refuses_is_refused_before_it_waits(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        photo = await uploaded(client)
        answer = await client.post("/jobs", json=order(photo, settings={"region": "person", "size": 64}))
        assert answer.status_code == 422 and "finds no person" in answer.json()["error"]
        assert str(tmp_path) not in answer.text
        assert not app.queue.jobs and not app.queue.waiting

    asked(test, tmp_path)


@pytest.mark.slow
@pytest.mark.jit  # without compiled kernels 300 MB are enough
def test_more_memory_than_there_is_is_refused_with_the_sentence_of_the_command_line(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        photo = await uploaded(client)
        settings = settings_of({"size": 1024, "method": "gram"}, "default", app.ceiling)
        made = Order(str(app.pictures.get(photo).path), (str(EXAMPLES / "paintings" / "mosaic.jpg"),), settings)  # type: ignore[union-attr]
        starved = replace(made, settings=replace(settings, max_memory=350_000_000))
        with pytest.raises(SettingsError) as caught:
            prepare(starved.photo, starved.paintings, starved.settings)
        with pytest.raises(Refused) as refused:
            app.surveyor.require_possible(starved, None)
        assert refused.value.status == 422 and refused.value.sentence == str(caught.value)
        assert "350 MB may be used; --size" in refused.value.sentence
        # What the painter of another job holds is free when this one begins.
        holder = Child(_holds, 500_000_000)
        assert holder.pipe.recv() == "held"
        app.surveyor.require_possible(starved, holder.process.pid)
        holder.kill()

    asked(test, tmp_path)


def _holds(pipe: Connection, count: int) -> None:
    held = np.ones(count, np.uint8)
    pipe.send("held")
    pipe.recv()
    del held


def test_the_queue_is_bounded_and_fair(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        photo = await uploaded(client)
        ids = []
        for number in range(MAX_WAITING + 1):
            client.cookies.clear()
            await client.get("/")
            answer = await client.post("/jobs", json=order(photo))
            if number < MAX_WAITING:
                assert answer.status_code == 201
                ids.append(answer.json()["id"])
                again = await client.post("/jobs", json=order(photo))
                assert again.status_code == 429 and again.headers["retry-after"]
        assert answer.status_code == 503 and answer.headers["retry-after"]
        assert app.queue.jobs[ids[2]].events[-1] == {"type": "waiting", "place": 3}
        await client.delete(f"/jobs/{ids[0]}", headers={"x-minitorch-style": "1"})
        assert app.queue.jobs[ids[2]].events[-1] == {"type": "waiting", "place": 2}
        app.queue.gone_seconds = 0
        app.queue.tidy()
        assert app.queue.waiting == 0 and app.queue.jobs[ids[2]].state == "discarded"

    asked(test, tmp_path)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"size": 4}, "size must be at least 16, is 4"), ({"strength": 2}, "strength must be at most 1, is 2"),
     ({"size": 4096}, "size must be at most 512 on this server"), ({"iterations": 10**5}, "iterations must be at most 50"),
     ({"weights": "/etc/passwd"}, "no setting 'weights' here"), ({"allow_large": True}, "no setting 'allow_large' here"),
     ({"init": "/etc/passwd"}, "there are content, style, random"),
     ({"size": "64"}, "size must be a whole number"), ({"strength": float("1e999")}, "strength must be"),
     ({"model": "vgg19"}, "model 'vgg19'"), ({"style_blend": [1, 2]}, "1 styles need as many blend weights, got 2"),
     ({"stroke_size": 8}, "stroke_size times size")],
)  # fmt: skip
def test_settings_are_refused_with_the_sentence_of_the_command_line(
    tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        text = json.dumps(order(await uploaded(client), settings=settings)).encode()
        answer = await client.post("/jobs", content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert sentence in answer.json()["error"]

    asked(test, tmp_path, ceiling=Ceiling(size=512, iterations=50))


def test_old_results_are_forgotten_when_memory_runs_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minitorch_style.serve.queue.MAX_KEPT_BYTES", 3 * 6 * 7 * 7)

    async def test(client: httpx.AsyncClient, app: App) -> None:
        for number in range(6):
            job = Job(f"client {number}", Order("", (), Settings()), {})
            job.painted, app.queue.jobs[job.id] = painted(np.random.default_rng(number)), job
            job.publish({"type": "finished"})
        ids = list(app.queue.jobs)
        app.queue.tidy()
        assert list(app.queue.jobs) == ids[-3:]

    asked(test, tmp_path)


def test_what_the_server_forgot_is_asked_for_again(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        photo = await uploaded(client)
        assert (await client.post("/jobs", json=order("0" * 32))).status_code == 410
        assert (await client.post("/jobs", json=order(photo, paintings=["0" * 32]))).status_code == 410
        assert (await client.post("/jobs", json=order(photo, **{"from": "0" * 32}))).status_code == 404

    asked(test, tmp_path)


def test_the_settings_a_page_can_show(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, app: App) -> None:
        told = (await client.get("/settings")).json()
        names = {one["name"]: one for one in told["settings"]}
        assert names["size"]["most"] == 2048 and names["strength"]["default"] == 0.6
        assert "weights" not in names and names["init"]["choices"] == ["content", "style", "random"]
        assert "distilled-perceptual" in names["model"]["choices"]
        assert {"default", "instant", "best"} <= set(told["presets"])

    asked(test, tmp_path)


def painted(rng: np.random.Generator) -> Painted:
    image, photo = (rng.integers(0, 256, (6, 7, 3), np.uint8) for _ in range(2))
    return Painted(image, photo, None, rng.choice(np.array([0, 255], np.uint8), (6, 7)), {})


def test_composing_in_linear_light(rng: np.random.Generator) -> None:
    made = painted(rng)
    assert np.array_equal(composed(made), made.image)
    assert np.array_equal(composed(made, strength=0), made.photo)
    person = composed(made, region="person")
    assert np.array_equal(person[made.people == 255], made.image[made.people == 255])
    assert np.array_equal(person[made.people == 0], made.photo[made.people == 0])
    ends = Painted(
        np.full((1, 1, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8), None, np.zeros((1, 1), np.uint8), {}
    )
    assert np.all(composed(ends, strength=0.5) == 188)  # half the light of white, not half its number
    grey = composed(Painted(made.image, np.full_like(made.photo, 128), None, made.people, {}), colors="photo")
    assert np.ptp(grey.astype(int), axis=2).max() == 0
    values = np.linspace(0, 1, 999, dtype=np.float32)
    np.testing.assert_allclose(to_srgb(to_linear(values)), values, atol=1e-5)
