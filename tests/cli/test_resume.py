"""stylize --checkpoint, killed, and gone on with by resume: the same bytes, and nothing left behind."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minitorch_style.cli import main, signals
from minitorch_style.restroke.canvas import Canvas
from minitorch_style.style.objective import Objective
from tests.cli.processes import PAINTING, PHOTO, SMALL, run, started

WAYS = {
    "default": ["--kernels", "numpy", "--size", "64", "--iterations", "12"],
    "instant": ["--kernels", "numpy", "--size", "128", "--preset", "instant"],
    **{name: [*SMALL, "--iterations", "12", "--optimizer", name] for name in ("lbfgs", "lbfgsb", "adam", "sgd")},
}

# What each of a way's steps calls.
WITHIN_STEPS: dict[str, tuple[type, str]] = {"default": (Canvas, "round"), "lbfgs": (Objective, "__call__")}
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP] if os.name == "posix" else [signal.SIGINT]


def painting(folder: Path, *more: str) -> list[str]:
    out, checkpoint = folder / "out.png", folder / "run.ckpt"
    return [
        "stylize",
        PHOTO,
        PAINTING,
        "-o",
        str(out),
        "--checkpoint",
        str(checkpoint),
        "--checkpoint-every",
        "0",
        *more,
    ]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_any_moment_it_ends_with_the_same_bytes(tmp_path: Path, way: str) -> None:
    """`python -m bench.kills` does this some hundred times."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    assert run(*painting(whole, *WAYS[way], "--quiet")).returncode == 0
    assert names(whole) == ["out.png"]
    chance, begin, checkpoint = random.Random(way), painting(broken, *WAYS[way], "--quiet"), broken / "run.ckpt"
    for _ in range(2):
        with started(*(["resume", str(checkpoint)] if checkpoint.exists() else begin)) as process:
            before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
            while process.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
    done = run(*(["resume", str(checkpoint), "--quiet"] if checkpoint.exists() else begin))
    assert done.returncode == 0 and done.stderr == ""
    assert (broken / "out.png").read_bytes() == (whole / "out.png").read_bytes()
    assert names(broken) == ["out.png"]


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    with started(*painting(tmp_path, *SMALL, "--iterations", "100000", "--json")) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM and f"resume {tmp_path / 'run.ckpt'}` goes on after" in errors
    assert names(tmp_path) == ["out.png", "run.ckpt"]
    with started("resume", str(tmp_path / "run.ckpt"), "--json", "-o", str(tmp_path / "other.png")) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["iteration"] >= 3
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert names(tmp_path) == ["other.png", "out.png", "run.ckpt"]


@pytest.fixture
def _attentive() -> Iterator[None]:
    """These tests send themselves signals, and may have been started ignoring some."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def painted_with_signals(
    patch: pytest.MonkeyPatch, way: str, numbers: dict[int, list[int]], arguments: list[str]
) -> tuple[int, int]:
    """(exit code, steps begun) of the program, which is sent those signals in the midst of the steps of those numbers."""
    owner, name = WITHIN_STEPS[way]
    real, count = getattr(owner, name), 0

    def interrupted(*given: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        for number in numbers.get(count, []):
            signal.raise_signal(number)
        return real(*given, **options)

    with patch.context() as within:
        within.setattr(owner, name, interrupted)
        return main(arguments), count


@pytest.mark.usefixtures("_attentive")
@pytest.mark.parametrize(
    ("way", "number"),
    [pytest.param("default", SIGNALS[0], marks=pytest.mark.slow), *(("lbfgs", number) for number in SIGNALS)],
)
def test_a_signal_within_a_step_loses_no_iteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str, number: int
) -> None:
    """What is under way is ended, and written down: with nothing written before, resume goes on after it."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    assert main([*painting(whole, *WAYS[way]), "--quiet"]) == 0
    begin = [*painting(broken, *WAYS[way]), "--checkpoint-every", "1e9", "--json"]
    late = {"default": 1, "lbfgs": 4}[way]
    assert painted_with_signals(monkeypatch, way, {late: [number]}, begin)[0] == 128 + number
    told, said = capsys.readouterr()
    *steps, last = map(json.loads, told.splitlines())
    assert "ends after this iteration" in said and last["interrupted"] and last["iterations"] == steps[-1]["iteration"]
    assert f"`resume {broken / 'run.ckpt'}` goes on after iteration {last['iterations']}" in said
    assert names(broken) == ["out.png", "run.ckpt"]
    assert main(["resume", str(broken / "run.ckpt"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["iteration"] == last["iterations"] + 1
    assert (broken / "out.png").read_bytes() == (whole / "out.png").read_bytes()
    assert names(broken) == ["out.png"]


@pytest.mark.usefixtures("_attentive")
def test_a_second_signal_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does the first one where there is nothing to lose: before the first iteration. What is written down then is
    older, and as good."""
    monkeypatch.setattr(signals, "SECONDS", 0.0)
    begin = [*painting(tmp_path, *WAYS["lbfgs"]), "--checkpoint-every", "1e9"]
    assert painted_with_signals(monkeypatch, "lbfgs", {2: [signal.SIGTERM]}, begin) == (143, 2)
    assert names(tmp_path) == []
    assert painted_with_signals(monkeypatch, "lbfgs", {5: [signal.SIGTERM] * 2}, begin) == (143, 5)
    assert names(tmp_path) == ["out.png"], "the step under way had changed what would have been written"
    begin[-1] = "0"
    assert painted_with_signals(monkeypatch, "lbfgs", {5: [signal.SIGTERM] * 2}, begin) == (143, 5)
    before = (tmp_path / "run.ckpt").read_bytes()
    resumed = ["resume", str(tmp_path / "run.ckpt"), "--quiet"]
    assert painted_with_signals(monkeypatch, "lbfgs", {1: [signal.SIGTERM]}, resumed) == (143, 1)
    assert (tmp_path / "run.ckpt").read_bytes() == before, "a run that has not gone on yet has nothing newer"
    assert main(resumed) == 0


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The checkpoint of a run that was left in the midst of it."""
    from minitorch_style.transfer.checkpoint import Checkpoints
    from minitorch_style.transfer.job import prepare
    from minitorch_style.transfer.run import run as run_job
    from minitorch_style.transfer.settings import Settings

    job = prepare(PHOTO, PAINTING, Settings(method="gram", model="distilled", kernels="numpy", size=48, iterations=3))
    command = {"content": PHOTO, "style": [PAINTING], "output": str(tmp_path / "out.png"), "save_every": None,
               "checkpoint_every": 0.0}  # fmt: skip
    path = tmp_path / "run.ckpt"
    run_job(job).complete(
        lambda event: event.iteration.number == 2, None, Checkpoints(path, job, 0, {"command": command}, print)
    )
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def test_what_does_not_fit_is_refused_in_one_line(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = kept.read_bytes()
    for damaged in (b"", data[:1000], data[:-10], b"PK\x03\x04" + bytes(100), PHOTO.encode()):
        kept.write_bytes(damaged)
        assert "run.ckpt: no checkpoint, or a damaged one" in refused(capsys, "resume", str(kept))
    assert "no such checkpoint" in refused(capsys, "resume", str(kept) + "x")
    kept.write_bytes(data.replace("photo.jpg".encode("utf-32-le"), "photo.jpx".encode("utf-32-le")))
    assert "damaged" in refused(capsys, "resume", str(kept)), "its check sum does not fit any more"
    kept.write_bytes(data)
    assert main(["resume", str(kept), "--quiet"]) == 0
    assert names(kept.parent) == ["out.png"]


def test_options_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, begin = str(tmp_path / "o.png"), ["stylize", PHOTO, PAINTING, *SMALL, "-o", str(tmp_path / "o.png")]
    assert "replace the picture" in refused(capsys, *begin, "--checkpoint", out)
    assert "replace an input" in refused(capsys, *begin, "--checkpoint", PHOTO)
    assert "does not exist" in refused(capsys, *begin, "--checkpoint", str(tmp_path / "no" / "c"))
    assert "at least 0" in refused(capsys, *begin, "--checkpoint", out + "c", "--checkpoint-every", "-1")


def test_a_draft_is_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture's own settings, but for what is given; by Gram matrices on from its pixels."""
    draft, out = str(tmp_path / "draft.png"), str(tmp_path / "out.png")
    assert (
        main(["stylize", PHOTO, PAINTING, "-o", draft, *SMALL, "--iterations", "2", "--tv-weight", "0.5", "--quiet"])
        == 0
    )
    more = ["stylize", PHOTO, PAINTING, "-o", out, "--resume-from", draft, "--quiet", "--json", "--iterations", "3"]
    capsys.readouterr()
    assert main([*more, "--size", "96"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["settings"]["tv_weight"] == 0.5 and told["settings"]["model"] == "distilled" and told["iterations"] == 3
    assert told["settings"]["init"] == draft and Image.open(out).size == (96, 64)
    assert main([*more, "--init", "content"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["settings"]["init"] == "content"
    assert "replace an input" in refused(capsys, *more, "-o", draft)
    assert "not a PNG" in refused(capsys, *more, "--resume-from", PHOTO)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "plain.png")
    assert "holds no settings" in refused(capsys, *more, "--resume-from", str(tmp_path / "plain.png"))
