"""One picture over the workers of a cluster: the bytes of one machine, whoever dies."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minitorch_style as ms
from minitorch_style.engine.tiles import Part
from minitorch_style.errors import ClusterError, SettingsError
from minitorch_style.transfer.checkpoint import about_job, load_checkpoint, save_checkpoint
from minitorch_style.transfer.descent import Descent
from minitorch_style.transfer.events import Iterated

distributed = pytest.importorskip("distributed")
from minitorch_style.transfer import actors, workers  # noqa: E402

SIZE = (116, 148)
SETTINGS = ms.Settings(
    method="gram", model="distilled", weights="random:0", kernels="numpy", size=SIZE[1], iterations=4, tv_weight=0.1,
    tiles=6,
)  # fmt: skip


@contextmanager
def cluster(workers: int, processes: bool = False, **options: Any) -> Iterator[Any]:
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=processes, dashboard_address="127.0.0.1:0",
            memory_limit=0, silence_logs=50,
        ) as here,
        distributed.Client(here, set_as_default=False, **options) as client,
    ):  # fmt: skip
        yield client


def prepared(client: Any = None, **other: Any) -> ms.Job:
    rng = np.random.default_rng(0)
    photo, painting = rng.random((*SIZE, 3), np.float32), rng.random((90, 70, 3), np.float32)
    return ms.prepare(photo, painting, replace(SETTINGS, **other), client=client)


@pytest.fixture(scope="module")
def alone() -> ms.Result:
    return ms.run(prepared()).complete()


def same(one: ms.Result, other: ms.Result) -> bool:
    losses = [[(made.number, made.loss, made.terms) for made in result.history] for result in (one, other)]
    return losses[0] == losses[1] and one.image.tobytes() == other.image.tobytes() and not other.interrupted


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_bytes_of_one_machine(alone: ms.Result, count: int) -> None:
    with cluster(count) as client:
        assert same(alone, ms.run(prepared(client)).complete())


def test_without_balance_and_with_a_single_tile() -> None:
    single = {"tiles": 1, "balanced": False, "content_layers": ("conv1_1",), "style_layers": ("conv2_1",)}
    with cluster(2) as client:
        assert same(ms.run(prepared(**single)).complete(), ms.run(prepared(client, **single)).complete())


def test_a_tile_for_each_worker_unless_told() -> None:
    with cluster(2) as client:
        assert prepared(client, tiles=None).settings.tiles == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "voting", "tv_weight": 0.0, "tiles": None}, "is made with the method gram"),
        ({"optimizer": "adam"}, "share the vectors of the optimizer lbfgs, not those of adam"),
        ({"max_memory": 10**9}, "max_memory limits one process"),
    ],
)
def test_what_workers_cannot_share(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        prepared(object(), **settings)


def test_a_worker_without_memory_for_its_tiles_is_refused_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with cluster(2) as client:
        monkeypatch.setattr(workers, "available_memory", lambda: 200_000_000)
        with pytest.raises(
            ClusterError, match=r"worker inproc://.* needs about .* 100 MB are left for each of 2: take"
        ):
            prepared(client)
        monkeypatch.setattr(workers, "available_memory", lambda: None)
        prepared(client)


def test_more_workers_need_less_each() -> None:
    stage = prepared().stages[0]
    assert isinstance(stage, Descent)
    needed = [stage.worker_bytes(count) for count in (1, 2, 3, 6, 7)]
    assert needed == sorted(needed, reverse=True) and needed[-1] == needed[-2]
    assert needed[0] == stage.estimate().nbytes


def test_workers_go_on_with_what_was_begun_whole(tmp_path: Path) -> None:
    whole = prepared(tiles=None)
    run = ms.run(whole)
    for event in run:
        if isinstance(event, Iterated) and event.iteration.number == 2:
            break
    written = run.checkpoint()
    assert written is not None
    save_checkpoint(tmp_path / "run", written, about_job(whole, {}))
    expected = ms.run(whole, resumed=load_checkpoint(tmp_path / "run", whole)).complete()
    with cluster(2) as client:
        job = prepared(client, tiles=None)
        assert job.settings.tiles == 2
        found = ms.run(job, resumed=load_checkpoint(tmp_path / "run", job)).complete()
    assert found.loss == pytest.approx(expected.loss, rel=1e-3)
    assert [made.number for made in found.history] == [made.number for made in expected.history]
    assert np.abs(found.image.astype(int) - expected.image).max() <= 2


def test_what_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each tile its Gram matrices, in double, and matrices of as many floats to each worker; strips that other crops reach
    into, of the picture and its gradient; and little else. No vector as long as the picture."""
    sizes: dict[str, list[int]] = {}
    ask = actors.answer

    async def weighed(rpc: Any, seat: actors.Seat, method: str, arguments: Sequence[Any]) -> Any:
        found = await ask(rpc, seat, method, arguments)
        sizes.setdefault(method, []).append(len(pickle.dumps((arguments, found))))
        return found

    monkeypatch.setattr(actors, "answer", weighed)
    with cluster(2) as client:
        job = prepared(client)
        run = ms.run(job)
        numbers = [event.iteration.number for event in run if isinstance(event, Iterated)]
        evaluations = len(sizes["merge"]) // 2
    stage = job.stages[0]
    assert isinstance(stage, Descent) and numbers == [1, 2, 3, 4]
    tiles, taps = stage.plan.tiles, job.network.architecture
    gram = 8 * sum(tiles.shape(tap)[2] ** 2 for tap in taps.style_layers)
    at = [number * 2 // len(tiles.tiles) for number in range(len(tiles.tiles))]

    def values(part: Part) -> int:
        return 3 * (part.rows.stop - part.rows.start) * (part.columns.stop - part.columns.start)

    halo = 4 * sum(
        values(part) for one in range(6) for other, part in tiles.seen_by(one).items() if at[one] != at[other]
    )
    little = 20_000
    assert 6 * gram <= sum(sizes["sums"]) / evaluations <= 6 * gram + little
    assert sum(sizes["back"]) / evaluations <= gram + little
    assert 2 * halo <= sum(sizes["give"]) / evaluations <= 2.4 * halo + little  # and the photo's, once
    assert sum(sizes["do"]) / evaluations <= 2 * little
    assert gram < 85_000


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 as POSIX has it")
@pytest.mark.parametrize("direct", [True, False])
def test_a_worker_that_is_killed(direct: bool) -> None:
    expected = ms.run(prepared(iterations=12)).complete()
    with cluster(3, processes=True, direct_to_workers=direct) as client:
        run = ms.run(prepared(client, iterations=12))

        def listen(event: Iterated) -> None:
            if event.iteration.number in (1, 6):
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

        assert same(expected, run.complete(listen))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 as POSIX has it")
def test_when_nobody_is_left_the_picture_so_far_is_kept() -> None:
    with cluster(1, processes=True) as client:
        run = ms.run(prepared(client, iterations=12))

        def listen(event: Iterated) -> None:
            if event.iteration.number == 3:
                client.cluster.scale(0)

        result = run.complete(listen)
    assert not result.interrupted and len(result.history) < 13 and "worker" in result.message
    assert result.image.shape == (*SIZE, 3)
    with pytest.raises(ClusterError), cluster(0) as client:
        prepared(client)
