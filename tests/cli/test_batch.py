"""Many photos by many paintings: the bytes of single runs, nothing twice, nothing lost to what fails."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minitorch_style as ms
from minitorch_style.cli import main
from minitorch_style.transfer import batch
from tests.cli.processes import PAINTING, PHOTO, started

pytestmark = pytest.mark.slow

QUICK = ["--kernels", "numpy", "--size", "64", "--iterations", "2"]


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of two photos, one upright, and of two paintings."""
    photos, paintings = tmp_path / "photos", tmp_path / "paintings"
    for folder in (photos, paintings):
        folder.mkdir()
    photo, painting = Image.open(PHOTO), Image.open(PAINTING)
    photo.resize((96, 64)).save(photos / "lake.png")
    photo.resize((64, 96)).save(photos / "tower.png")
    painting.resize((80, 60)).save(paintings / "stars.png")
    painting.rotate(90).resize((60, 70)).save(paintings / "waves.png")
    return photos, paintings


def made(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[dict[str, object]]:
    """What a batch tells as JSON lines."""
    capsys.readouterr()
    assert main(["batch", *arguments, "--json"]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def command(pictures: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    return [str(pictures[0]), "--paintings", str(pictures[1]), "-o", str(out), *QUICK, *more]


@pytest.mark.parametrize(
    "way",
    [
        [],
        ["--strength", "0.9"],
        ["--preset", "instant"],
        ["--color", "match"],
        ["--preset", "fast", "--model", "distilled", "--scales", "2"],
    ],
    ids=["default", "bold", "instant", "match", "gram"],
)
def test_the_bytes_of_single_runs(
    pictures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], way: list[str]
) -> None:
    out = tmp_path / "out"
    assert len(made(capsys, *command(pictures, out, *way))) == 4
    for photo in ("lake", "tower"):
        for painting in ("stars", "waves"):
            alone = tmp_path / "alone.png"
            sources = [str(pictures[0] / f"{photo}.png"), str(pictures[1] / f"{painting}.png")]
            assert main(["stylize", *sources, "-o", str(alone), *QUICK, *way, "--quiet"]) == 0
            assert np.array_equal(Image.open(alone), Image.open(out / f"{photo}-{painting}.png"))


def test_finished_ones_are_skipped(
    pictures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for ending in ("png", "jpg"):
        out = tmp_path / ending
        begin = command(pictures, out, "--name", "{photo}-{painting}." + ending)
        assert len(made(capsys, *begin)) == 4
        before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
        assert made(capsys, *begin) == []
        assert made(capsys, *begin, "--max-memory", "8G") == [], "which changes no picture"
        assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
        (out / f"lake-stars.{ending}").write_bytes(b"damaged") if ending == "png" else (
            out / f"lake-stars.{ending}"
        ).unlink()
        assert [row["output"] for row in made(capsys, *begin)] == [str(out / f"lake-stars.{ending}")]
        assert len(made(capsys, *begin, "--detail", "0.5")) == 4, "other settings"
    Image.open(PAINTING).resize((50, 60)).save(pictures[1] / "waves.png")
    changed = made(capsys, *command(pictures, tmp_path / "png", "--detail", "0.5", "--name", "{photo}-{painting}.png"))
    assert sorted(Path(str(row["output"])).name for row in changed) == ["lake-waves.png", "tower-waves.png"]


def test_what_fails_ends_nothing_else(
    pictures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures[0] / "bad.jpg").write_bytes(b"no picture")
    (pictures[1] / "worse.png").write_bytes(b"")
    capsys.readouterr()
    assert main(["batch", *command(pictures, tmp_path / "out", "--quiet")]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 5 and all(" failed: " in line for line in errors)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["lake-stars.png", "lake-waves.png", "tower-stars.png", "tower-waves.png"]


def test_pairs_names_and_the_contact_sheet(
    pictures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    begin = command(pictures, out, "--pairs", "--name", "{number:03}.jpg", "--contact-sheet", "--quiet")
    assert main(["batch", *begin]) == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == ["001.jpg", "001.jpg.json", "002.jpg", "002.jpg.json", "contact-sheet.html", "contact-sheet.jpg"]
    page = (out / "contact-sheet.html").read_text()
    assert '<a href="001.jpg">' in page and "lake by stars" in page and "tower by waves" in page
    assert Image.open(out / "contact-sheet.jpg").size == (256 + 16, 2 * (256 + 16))
    assert main(["batch", *command(pictures, tmp_path / "all", "--contact-sheet", "--quiet")]) == 0
    sheet = np.asarray(Image.open(tmp_path / "all" / "contact-sheet.jpg"))
    assert sheet.shape == (2 * 272, 2 * 272, 3)
    assert all((sheet[y + 100 : y + 170, x + 110 : x + 150] < 240).any() for y in (0, 272) for x in (0, 272))


@pytest.mark.parametrize("option", ["--init", "--resume-from"])
def test_no_result_replaces_a_picture_that_settings_name(
    pictures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    out = tmp_path / "out"
    assert main(["batch", *command(pictures, out, "--quiet")]) == 0
    before = (out / "lake-stars.png").read_bytes()
    assert main(["batch", *command(pictures, out, "--strength", "0.1", option, str(out / "lake-stars.png"))]) == 2
    assert "replace an input" in capsys.readouterr().err and (out / "lake-stars.png").read_bytes() == before


def test_options_that_cannot_be(
    pictures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    photos, paintings = map(str, pictures)
    out = str(tmp_path / "out")
    for arguments, message in (
        ([photos, "--paintings", paintings, "--name", "x.png"], "the name of two results"),
        ([photos, "--paintings", paintings, "--name", "{photo.__class__}.png"], "may have {photo}"),
        ([photos, "--paintings", paintings, "--name", "{photo"], "may have {photo}"),
        ([photos, "--paintings", paintings, "--name", "a/{number}.png"], "makes no folders"),
        ([photos, "--paintings", paintings, "--name", "{number}.xyz"], "must end in"),
        ([photos, "--paintings", PAINTING, "--pairs"], "make no pairs"),
        ([str(tmp_path / "empty"), "--paintings", PAINTING], "without pictures"),
        ([photos, "--paintings", paintings, "--style-blend", "1,1"], "--style-blend"),
        ([photos, "--paintings", paintings, "--strength", "7"], "strength"),
        ([photos, "--paintings", paintings, "-o", photos], "painted again"),
        ([PHOTO, "--paintings", PAINTING, "--name", "{photo}.jpg", "-o", str(Path(PHOTO).parent)], "replace an input"),
    ):
        capsys.readouterr()
        assert main(["batch", "-o", out, *QUICK, *arguments]) == 2, arguments
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1
    assert not list(Path(out).glob("*"))


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_interrupted_it_goes_on_with_the_rest(
    pictures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    slow = command(pictures, out, "--iterations", "60")
    with started("batch", *slow, "--json") as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT and "goes on with the rest" in errors
    done = sorted(path.name for path in out.iterdir())
    assert Path(first["output"]).name in done and len(done) < 4 and all(name.endswith(".png") for name in done)
    assert len(made(capsys, *slow)) == 4 - len(done)


def test_paintings_are_looked_at_once(pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The network sees the painting for the first photo, of whichever shape, and not for the next."""
    from minitorch_style.plans import neighbours
    from minitorch_style.transfer import descent

    looks: list[object] = []
    for module, name in ((neighbours, "Likeness"), (descent, "StyleTargets")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, Counted(real, looks))
    for method, each in (("auto", 2), ("gram", 1)):
        settings = ms.Settings(method=method, kernels="numpy", size=64, iterations=1)
        painter = ms.Stylizer(pictures[1] / "stars.png", settings)
        looks.clear()
        for photo in ("lake", "tower", "lake"):
            assert painter(pictures[0] / f"{photo}.png").image.shape in ((43, 64, 3), (64, 43, 3))
        assert len(looks) == each
        Image.open(PHOTO).resize((50, 40)).save(pictures[0] / "small.png")
        painter(pictures[0] / "small.png")
        assert len(looks) == each + (1 if method == "auto" else 0), "whose paintings are smaller"


class Counted:
    def __init__(self, real: object, looks: list[object]) -> None:
        self.real, self.looks = real, looks

    def __call__(self, *arguments: object, **more: object) -> object:
        self.looks.append(self.real)
        return self.real(*arguments, **more)  # type: ignore[operator]

    def of(self, *arguments: object) -> object:
        self.looks.append(self.real)
        return self.real.of(*arguments)  # type: ignore[attr-defined]


def test_folders_are_read_by_name(pictures: tuple[Path, Path]) -> None:
    (pictures[0] / "notes.txt").write_text("no picture")
    assert [path.name for path in batch.found([PHOTO, pictures[0]])] == ["photo.jpg", "lake.png", "tower.png"]
