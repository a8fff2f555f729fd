"""Work once done is never lost: not by a signal, a stream, a preview, a disk or a name, at whatever moment it comes."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minitorch_style import files
from minitorch_style.cli import main, stylize
from minitorch_style.errors import DivergedError
from minitorch_style.image import writing
from minitorch_style.transfer import descent
from minitorch_style.transfer import run as transfer
from minitorch_style.transfer.events import Iterated
from tests.cli.processes import PHOTO, names, painting, require_whole, run, started

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and devices as POSIX has them")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _attentive() -> Iterator[None]:
    """These tests send themselves signals, and may have been started ignoring some."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


# Where the work is done and the picture not yet on the disk.
LATE_MOMENTS: dict[str, tuple[Any, str]] = {
    "the picture is made": (transfer, "to_bytes"),
    "it is encoded": (writing, "_encode"),
    "the disk is synced": (os, "fsync"),
    "it gets its name": (Path, "replace"),
    "it is saved": (stylize, "_save"),
    "the run reports": (json, "dumps"),
}


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("moment", LATE_MOMENTS)
@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_when_the_work_is_done(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    moment: str,
    times: int,
) -> None:
    owner, name = LATE_MOMENTS[moment]
    real, sent, complete = getattr(owner, name), [0], transfer.Run.complete

    def interrupting(*arguments: Any, **options: Any) -> Any:
        if sent[0] >= 0:
            for _ in range(times):
                signal.raise_signal(number)
                sent[0] += 1
        return real(*arguments, **options)

    def worked(running: transfer.Run, listener: Any, *rest: Any) -> Any:
        """Puts the signals where they belong, once the last iteration is done."""

        def listening(event: Iterated) -> bool | None:
            if event.iteration.number == 3:
                monkeypatch.setattr(owner, name, interrupting)
            return bool(listener(event))

        return complete(running, listening, *rest)

    monkeypatch.setattr(transfer.Run, "complete", worked)
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    code = main(painting(out, "--json"))
    monkeypatch.undo()
    assert sent[0] >= times and code == 128 + number
    require_whole(out)
    assert names(tmp_path) == ["out.png"]
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["iterations"] == 3 and last["output"] == str(out)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_it_works(tmp_path: Path, number: int) -> None:
    out = tmp_path / "out.png"
    with started(*painting(out, "--json", iterations=100_000)) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first iteration is done
        for _ in range(4):
            process.send_signal(number)
            time.sleep(0.03)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "interrupted after" in errors and str(out) in errors and "Traceback" not in errors
    assert json.loads(rest.splitlines()[-1])["interrupted"]
    require_whole(out)
    assert names(tmp_path) == ["out.png"]


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_signals_at_any_moment(tmp_path: Path, seed: int) -> None:
    """From loading to the end: the old file or a whole new one, and never a traceback."""
    chance = random.Random(seed)
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    with started(*painting(out, "--save-every", "1", iterations=12)) as process:
        time.sleep(chance.uniform(0.6, 3))
        numbers = [chance.choice(SIGNALS) for _ in range(chance.randint(1, 3))]
        for number in numbers:
            process.send_signal(number)
            time.sleep(chance.uniform(0, 0.3))
        _, errors = process.communicate(timeout=60)
    # A process that is only being loaded has no handlers yet: the system ends it, or Python by a traceback and the signal.
    assert process.returncode in (0, *(128 + number for number in numbers), *(-number for number in numbers)), errors
    assert process.returncode < 0 or "Traceback" not in errors
    if out.read_bytes() != b"old":
        require_whole(out)
    for path in tmp_path.iterdir():
        assert path == out or path.name.startswith("out-00")
        if path != out:
            require_whole(path)


def test_a_signal_before_the_first_iteration_leaves_the_old_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The untouched photo is no picture of anybody's."""
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    for owner, name in ((stylize, "prepare"), (descent.Descent, "objective")):
        real = getattr(owner, name)

        def interrupted(*arguments: Any, real: Callable[..., Any] = real, **options: Any) -> Any:
            signal.raise_signal(signal.SIGTERM)
            return real(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupted)
            assert main(painting(out, "--quiet")) == 143
        assert capsys.readouterr().err.count("\n") == 1
        assert out.read_bytes() == b"old" and names(tmp_path) == ["out.png"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_is_ignored_stays_ignored(tmp_path: Path, number: int) -> None:
    """As `nohup` and a shell's `&` want it."""
    out = tmp_path / "out.png"
    with started(*painting(out, "--json", iterations=4), ignored=(number,)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    require_whole(out)


def test_a_command_in_a_thread(tmp_path: Path) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(painting(tmp_path / "out.png", "--quiet"))))
    thread.start()
    thread.join()
    assert codes == [0]
    require_whole(tmp_path / "out.png")


def test_handlers_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    main(["networks"])
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_previews_that_fail_are_let_be(tmp_path: Path) -> None:
    (tmp_path / "out-0001.png").mkdir()
    done = run(*painting(tmp_path / "out.png", "--save-every", "1", "--quiet"))
    assert done.returncode == 0 and done.stderr.count("\n") == 1 and "out-0001.png: is a directory" in done.stderr
    require_whole(tmp_path / "out.png")
    assert names(tmp_path) == ["out-0001.png", "out.png"]


@pytest.mark.parametrize("length", [240, 244, 247, 250, 255])
def test_long_names(tmp_path: Path, length: int) -> None:
    out = tmp_path / ("x" * (length - 4) + ".png")
    assert main(painting(out, "--quiet")) == 0
    require_whole(out)
    assert names(tmp_path) == [out.name]


def test_names_that_are_no_text(tmp_path: Path, weight_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = [tmp_path / os.fsdecode(name) for name in (b"w\xff.h5", b"i\xe9.jpg", b"o\xfe.png")]
    weight_file.rename(odd[0])
    odd[1].write_bytes(Path(PHOTO).read_bytes())
    assert main(painting(odd[2], "--weights", str(odd[0]), "--init", str(odd[1]))) == 0
    require_whole(odd[2])
    assert "o\\udcfe.png" in capsys.readouterr().err
    info = Image.open(odd[2]).info
    assert info["minitorch_style.weights"].endswith("w\\udcff.h5")


def test_a_disk_that_is_full_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The picture goes where there is room, and the message says where."""
    (tmp_path / "out").mkdir()
    (tmp_path / "spare").mkdir()
    out = tmp_path / "out" / "out.png"
    out.write_bytes(b"old")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spare"))
    real = files._take_after

    def full(temporary: Path, there: os.stat_result) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_take_after", full)
    assert main(painting(out, "--quiet")) == 2
    monkeypatch.setattr(files, "_take_after", real)
    errors = capsys.readouterr().err
    (spare,) = (tmp_path / "spare").glob("*/out.png")
    assert "No space left on device" in errors and str(spare) in errors and errors.count("\n") == 1
    require_whole(spare)
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize("problem", [DivergedError("the loss is nan"), MemoryError()])
def test_a_run_that_breaks_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], problem: Exception
) -> None:
    complete = transfer.Run.complete

    def breaking(running: transfer.Run, listener: Any, *rest: Any) -> transfer.Result:
        def after(event: Iterated) -> bool | None:
            if event.iteration.number == 2:
                raise problem
            return bool(listener(event))

        return complete(running, after, *rest)

    monkeypatch.setattr(transfer.Run, "complete", breaking)
    checkpoint = str(tmp_path / "run.ckpt")
    written = ["--checkpoint", checkpoint, "--checkpoint-every", "0"]
    assert main(painting(tmp_path / "out.png", *written, iterations=9)) == 0
    said = capsys.readouterr().err
    assert "ended after 2 iterations: " + (str(problem) or "out of memory") in said
    assert f"`resume {checkpoint}` goes on after iteration 2" in said
    require_whole(tmp_path / "out.png")
    assert not np.array_equal(
        np.asarray(Image.open(tmp_path / "out.png")), np.asarray(Image.open(PHOTO).resize((48, 32)))
    )
    monkeypatch.undo()
    assert main(["resume", checkpoint, "--quiet"]) == 0 and not Path(checkpoint).exists()
    assert main(painting(tmp_path / "whole.png", "--quiet", iterations=9)) == 0
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "whole.png").read_bytes()
