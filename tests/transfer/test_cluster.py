"""Pictures on the workers of a cluster: the bytes of a single machine, whoever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import minitorch_style as ms
from minitorch_style.errors import ClusterError
from minitorch_style.transfer.batch import Stylizer, Task, encoded_as, texts_of
from tests.cli.processes import PAINTING, PHOTO

distributed = pytest.importorskip("distributed")
from minitorch_style.transfer import cluster, workers  # noqa: E402

SETTINGS = ms.Settings(kernels="numpy", size=48, iterations=2)


@pytest.fixture
def todo(tmp_path: Path) -> list[tuple[Task, dict[str, str]]]:
    photo = Image.open(PHOTO)
    found = []
    for number, ending in enumerate(("png", "jpg", "png", "webp"), 1):
        path = tmp_path / f"photo{number}.png"
        photo.resize((48, 20 + 4 * number)).save(path)
        task = Task(path, Path(PAINTING), tmp_path / f"out{number}.{ending}")
        found.append((task, texts_of(task, SETTINGS)))
    return found


@pytest.fixture(scope="module")
def in_process() -> Iterator[Any]:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", memory_limit=0
        ) as here,
        distributed.Client(here, set_as_default=False) as client,
    ):
        yield client


def alone(todo: list[tuple[Task, dict[str, str]]], settings: ms.Settings) -> dict[Path, bytes]:
    """The files as one process makes them."""
    painter = Stylizer(PAINTING, settings)
    return {task.out: encoded_as(task.out.suffix, painter(task.photo), texts) for task, texts in todo}


def by(client: Any, todo: list[tuple[Task, dict[str, str]]], settings: ms.Settings = SETTINGS) -> dict[Path, bytes]:
    done = [one for one in cluster.painted(todo, settings, client) if one is not None]
    assert [one.problem for one in done] == [""] * len(todo)
    return {one.task.out: one.data for one in done}


def test_the_bytes_of_one_machine(in_process: Any, todo: list[tuple[Task, dict[str, str]]]) -> None:
    assert by(in_process, todo) == alone(todo, SETTINGS)


def test_files_that_settings_name_travel(
    in_process: Any, todo: list[tuple[Task, dict[str, str]]], tmp_path: Path, weight_file: Path
) -> None:
    init = tmp_path / "init.png"
    Image.open(PHOTO).resize((48, 30)).rotate(180).save(init)
    settings = ms.Settings(
        kernels="numpy",
        size=48,
        iterations=1,
        method="gram",
        model="distilled",
        weights=str(weight_file),
        init=str(init),
    )
    some = [(task, texts_of(task, settings)) for task, _ in todo[:2]]
    assert by(in_process, some, settings) == alone(some, settings)


def test_what_fails_ends_nothing_else(in_process: Any, todo: list[tuple[Task, dict[str, str]]]) -> None:
    todo[0][0].photo.write_bytes(b"no picture")
    todo[1][0].photo.unlink()
    done = {one.task.out.name: one for one in cluster.painted(todo, SETTINGS, in_process) if one is not None}
    assert len(done) == 4 and "cannot be read" in done["out2.jpg"].problem
    assert done["out1.png"].problem and not done["out1.png"].data
    assert done["out3.png"].data and done["out4.webp"].data


class Answering:
    """A stand-in for a client whose workers say that they have such versions."""

    def __init__(self, versions: dict[str, Any]) -> None:
        self.versions = versions

    def run(self, *arguments: object, on_error: str) -> dict[str, Any]:
        return self.versions


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        ({}, "no workers"),
        ({"tcp://a:1": ms.__version__, "tcp://b:1": None}, "tcp://b:1 has no minitorch_style"),
        ({"tcp://b:1": "0.0.1"}, "tcp://b:1 has minitorch_style 0.0.1, this is " + ms.__version__),
        ({"tcp://b:1": OSError("gone")}, "tcp://b:1 cannot be asked"),
    ],
)
def test_workers_that_cannot_do_this(versions: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        workers.require_alike(Answering(versions))


def test_a_worker_of_another_version_that_came_later(in_process: Any) -> None:
    order = cluster.Order("0.0.1", b"", b"", ".png", SETTINGS, {}, {})
    with pytest.raises(ClusterError, match=f"has version {ms.__version__}, this is 0.0.1"):
        in_process.submit(cluster.paint, order, pure=False).result()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 as POSIX has it")
def test_a_worker_that_is_killed(todo: list[tuple[Task, dict[str, str]]]) -> None:
    settings = ms.Settings(kernels="numpy", size=48, iterations=30)
    many = [(task, texts_of(task, settings)) for task, _ in todo]
    expected = alone(many, settings)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0
        ) as here,
        distributed.Client(here, set_as_default=False) as client,
    ):
        found: dict[Path, bytes] = {}
        for done in cluster.painted(many, settings, client):
            if done is None:
                continue
            if not found:  # both are at work at the next
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            assert not done.problem
            found[done.task.out] = done.data
    assert found == expected
