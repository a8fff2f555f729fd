"""The command video, from file to file."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("av", reason="needs PyAV (the video extra)")

from minitorch_style.arrays import Rgb8
from minitorch_style.cli import main
from minitorch_style.files import alone
from minitorch_style.image.writing import save_picture
from minitorch_style.video import unfinished
from minitorch_style.video.film import Film
from tests.cli.processes import started
from tests.video import films

pytestmark = pytest.mark.slow

QUICK = ["--kernels", "numpy", "--iterations", "3", "--iterations-per-frame", "1"]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    films.write(tmp_path / "in.mp4", films.pan(8), films.UNEVEN, sound=True)
    return tmp_path / "in.mp4"


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    save_picture(tmp_path / "painting.png", films.texture(7, 64, 64))
    return tmp_path / "painting.png"


def test_sound_and_times_are_kept(film: Path, painting: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    assert main(["video", str(film), str(painting), "-o", str(out), *QUICK]) == 0
    assert films.times(out) == films.UNEVEN
    assert films.packets(out) == films.packets(film)


def test_a_part_of_a_film(film: Path, painting: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    assert main(["video", str(film), str(painting), "-o", str(out), *QUICK, "--start", "0.1", "--end", "0.4",
                 "--no-sound"]) == 0  # fmt: skip
    assert films.times(out) == [100, 133, 200]


def test_fewer_frames_a_second(film: Path, painting: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    films.write(film, films.pan(12), films.EVEN)
    assert main(["video", str(film), str(painting), "-o", str(out), *QUICK, "--fps", "12.5", "--preview", "0.3"]) == 0
    assert films.times(out) == [0, 80, 160, 240]


def test_folders_in_and_out(painting: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, frame in enumerate(films.pan(3)):
        save_picture(tmp_path / "in" / f"{number}.png", frame)
    assert main(["video", str(tmp_path / "in"), str(painting), "-o", str(tmp_path / "out"), *QUICK]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{n:06d}.png" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--start", "9"], "no frames from second 9"),
        (["--start", "3", "--end", "2"], "nothing to paint"),
        (["--fps", "0"], "--fps must be"),
        (["--codec", "nonsense"], "nonsense"),
        (["--consistency", "2"], "consistency"),
        (["--strength", "0.9"], "strength has no effect with the method gram"),
        (["--color", "match"], "color has no effect with the method gram"),
    ],
)
def test_bad_options_take_one_line_and_leave_nothing(
    options: list[str], said: str, film: Path, painting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    assert main(["video", str(film), str(painting), "-o", str(out), *QUICK, "--quiet", *options]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not out.exists()


def test_two_runs_do_not_write_one_film(
    film: Path, painting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    command = ["video", str(film), str(painting), "-o", str(out), *QUICK, "--quiet"]
    with alone(out):
        assert main(command) == 2
    assert capsys.readouterr().err == f"minitorch_style: {out}: is being written by another run\n"
    assert not out.exists() and main(command) == 0


def test_what_is_no_film(painting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.mp4").touch()
    assert main(["video", str(tmp_path / "empty.mp4"), str(painting), "-o", str(tmp_path / "out.mp4")]) == 2
    assert capsys.readouterr().err == f"minitorch_style: {tmp_path / 'empty.mp4'}: is empty\n"


@pytest.mark.parametrize(
    ("name", "method"),
    [("out.mp4", "gram"), ("out.mkv", "gram"), ("out.gif", "gram"), ("out", "gram"), ("out", "auto")],
)
def test_a_killed_film_goes_on_to_the_same_bytes(
    film: Path, painting: Path, tmp_path: Path, name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off at its sixth frame, when the last state is that after the fourth, as a kill would: nothing is tidied up."""
    command = ["video", str(film), str(painting), *QUICK, "--method", method]
    assert main([*command, "-o", str(tmp_path / f"whole{Path(name).suffix}")]) == 0
    painted, paint, clock = 0, Film.paint, iter([0.0] * 4 + [20.0] + [20.5] * 100)

    def until_killed(self: Film, frame: Rgb8) -> Rgb8:
        nonlocal painted
        painted += 1
        if painted == 6:
            raise RuntimeError("killed")
        return paint(self, frame)

    monkeypatch.setattr(Film, "paint", until_killed)
    monkeypatch.setattr(unfinished, "monotonic", lambda: next(clock))
    with pytest.raises(RuntimeError):
        main([*command, "-o", str(tmp_path / name)])
    kept = unfinished.folder_of(tmp_path / name)
    assert kept.exists()
    assert main([*command, "-o", str(tmp_path / name), "--consistency", "0.1"]) == 2  # another run's
    assert painted == 6
    assert main([*command, "-o", str(tmp_path / name)]) == 0
    assert painted == 6 + 4  # half of them were kept
    assert not kept.exists()
    assert contents(tmp_path / name) == contents(tmp_path / f"whole{Path(name).suffix}")


def contents(path: Path) -> list[bytes]:
    return [one.read_bytes() for one in (sorted(path.iterdir()) if path.is_dir() else [path])]


def test_a_damaged_folder_is_refused_in_one_line(
    film: Path, painting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(unfinished, "SECONDS", 0.0)
    monkeypatch.setattr(unfinished.Unfinished, "remove", lambda self: None)  # as if killed at the very end
    out = tmp_path / "out.mp4"
    command = ["video", str(film), str(painting), "-o", str(out), *QUICK]
    assert main(command) == 0
    kept = unfinished.folder_of(out)
    state = (kept / "state.npz").read_bytes()
    capsys.readouterr()
    for name, data in [("state.npz", b""), ("state.npz", state[:300]), ("frames", b"")]:
        before = (kept / name).read_bytes()
        (kept / name).write_bytes(data)
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "is damaged" in said and said.count("\n") == 1
        (kept / name).write_bytes(before)
    assert main(command) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_an_interrupted_film_can_be_played(painting: Path, tmp_path: Path) -> None:
    count = 4000
    films.write(tmp_path / "long.mp4", films.pan(1) * count, [40 * n for n in range(count)])
    out = tmp_path / "out.mp4"
    with started("video", str(tmp_path / "long.mp4"), str(painting), "-o", str(out), *QUICK) as process:
        assert process.stderr is not None
        killer = threading.Timer(120, process.kill)
        killer.start()
        for line in process.stderr:
            if line.startswith("frame "):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        code = process.wait()
        killer.cancel()
    assert code == 130, rest
    assert "interrupted; " in rest
    assert 2 <= len(films.times(out)) < count
