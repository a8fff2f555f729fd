"""What could not be written after the work, or would overwrite what is read, is refused before it, in one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from minitorch_style.cli import main
from minitorch_style.image import writing
from tests.cli.processes import PAINTING, PHOTO, SMALL, names, painting
from tests.image.make import png

pytestmark = pytest.mark.skipif(os.name != "posix", reason="devices and links as POSIX has them")


@pytest.mark.parametrize("linked", [None, "soft", "hard"])
@pytest.mark.parametrize("role", ["content", "style", "init"])
@pytest.mark.parametrize("written", ["out.jpg", "out-0001.jpg", "out-0010.jpg"])
def test_no_input_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], linked: str | None, role: str, written: str
) -> None:
    target, source = tmp_path / written, tmp_path / "away" / "source.jpg"
    source.parent.mkdir()
    source.write_bytes(Path(PHOTO).read_bytes())
    if linked is None:
        source = source.rename(target)
    elif linked == "soft":
        target.symlink_to(source)
    else:
        target.hardlink_to(source)
    photo, style = (str(source) if role == name else PHOTO for name in ("content", "style"))
    init = ["--init", str(source)] if role == "init" else []
    arguments = ["stylize", photo, style, "-o", str(tmp_path / "out.jpg"), *init, *SMALL]
    assert main([*arguments, "--iterations", "11", "--save-every", "1"]) == 2
    assert "would replace an input" in capsys.readouterr().err
    assert source.read_bytes() == Path(PHOTO).read_bytes()


def test_what_is_no_name_of_a_preview_may_be_an_input(tmp_path: Path) -> None:
    for name in ("out-0001.jpg", "out-0004.jpg", "out-1.jpg"):  # every second of three: 2 alone
        (tmp_path / name).write_bytes(Path(PHOTO).read_bytes())
        arguments = ["stylize", str(tmp_path / name), PAINTING, "-o", str(tmp_path / "out.jpg"), *SMALL, "--quiet"]
        assert main([*arguments, "--iterations", "3", "--save-every", "2", "--dry-run"]) == 0


def test_weights_and_masks_replace_no_input(
    tmp_path: Path, weight_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    Image.open(PHOTO).save(photo)
    for arguments in (
        ["weights", "convert", str(weight_file), "--network", "distilled", "-o", str(weight_file)],
        ["weights", "normalize", str(weight_file), str(Path(PHOTO).parent), "-o", str(weight_file)],
        ["segment", str(photo), "-o", str(photo)],
    ):
        before = weight_file.read_bytes(), photo.read_bytes()
        assert main(arguments) == 2
        assert "would replace an input" in capsys.readouterr().err
        assert before == (weight_file.read_bytes(), photo.read_bytes())


def test_a_folder_for_the_history_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, folder = tmp_path / "out.png", tmp_path / "none"
    begin = ["stylize", PHOTO, PAINTING, *SMALL, "--scratch", str(folder), "-o", str(out)]
    assert main(begin) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"scratch {folder}: cannot be written (No such file or directory)" in told
    assert not out.exists()


def test_pictures_of_many_pixels_are_read_when_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    width, height = 16_000, 12_501
    path = tmp_path / "map.png"
    path.write_bytes(png(width, height, 1, 0, (b"\0" + b"\xff" * (width // 8)) * height))
    begin = ["stylize", str(path), PAINTING, *SMALL, "-o", str(tmp_path / "out.png"), "--dry-run"]
    assert main(begin) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "map.png: 16000×12501 is more than 200 million pixels; --allow-large" in told
    assert main([*begin, "--allow-large", "--max-memory", "400M"]) == 2
    assert "take about" in capsys.readouterr().err
    assert main([*begin, "--allow-large"]) == 0


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--style-blend", "1,nan"], "--style-blend: expected a number"),
        (["--style-blend", "1,-1"], "style_blend"),
        (["--style-blend", "0,0"], "style_blend"),
        (["--style-blend", "1,inf"], "--style-blend: expected a number"),
        (["--size", "128", "--scales", "3", "--style-size", "16"], "is too small for 3 scales"),
        (["--save-every", "1", "-o", "DIR/" + "x" * 247 + ".png"], "too long"),
        (["-o", "DIR/" + "x" * 252 + ".png"], "too long"),
        (["--init", "y" * 300], "too long"),
        (["--weights", "y" * 300], "too long"),
        (["--weights", "DIR/state.pth"], "weights convert"),
    ],
)
def test_a_dry_run_refuses_what_the_run_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], reason: str, dry: list[str]
) -> None:
    (tmp_path / "state.pth").write_bytes(b"PK\x03\x04")
    filled = [part.replace("DIR", str(tmp_path)) for part in more]
    styles = [PAINTING, PAINTING] if "--style-blend" in more else [PAINTING]
    options = [*SMALL, "--model", "enet", "--iterations", "2", *filled, *dry]
    try:
        code = main(["stylize", PHOTO, *styles, "-o", str(tmp_path / "o.png"), *options])
    except SystemExit as ended:  # what the parser of options refuses
        code = int(ended.code or 0)
    assert code == 2
    errors = capsys.readouterr().err
    assert reason in errors and errors.count("\n") == 1
    assert names(tmp_path) == ["state.pth"]


@pytest.mark.parametrize("name", ["o.webp", "o.jpg"])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_size_that_the_format_cannot_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, dry: list[str]
) -> None:
    monkeypatch.setitem(writing.LONGEST_SIDE, writing.WRITABLE[Path(name).suffix], 47)
    assert main(painting(tmp_path / name, *dry)) == 2
    assert "48×32 pixels are too many" in capsys.readouterr().err and not names(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(
    "arguments",
    [
        ["stylize", "CLOSED/photo.jpg", PAINTING, "-o", "DIR/o.png"],
        ["stylize", PHOTO, "CLOSED/photo.jpg", "-o", "DIR/o.png"],
        ["stylize", PHOTO, PAINTING, "-o", "CLOSED/o.png"],
        ["stylize", PHOTO, PAINTING, "-o", "DIR/o.png", "--preset", "gram", "--init", "CLOSED/photo.jpg"],
        ["stylize", PHOTO, PAINTING, "-o", "DIR/o.png", "--weights", "CLOSED/w.h5"],
        ["weights", "info", "CLOSED/w.h5"],
        ["weights", "verify", "CLOSED/w.h5"],
        ["weights", "convert", "CLOSED/w.h5", "--network", "vgg16", "-o", "DIR/o.h5"],
        ["weights", "convert", "DIR/w.h5", "--network", "distilled", "-o", "CLOSED/o.h5"],
        ["weights", "normalize", "DIR/w.h5", "CLOSED", "-o", "DIR/o.h5"],
        ["segment", "CLOSED/photo.jpg", "-o", "DIR/o.png"],
        ["segment", PHOTO, "-o", "CLOSED/o.png"],
        ["cross-compile", "--target", "aarch64", "-o", "CLOSED/board"],
    ],
)
def test_a_closed_folder_is_one_line(
    loaded: None, tmp_path: Path, weight_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    closed, open_ = tmp_path / "closed", tmp_path / "open"
    for folder in (closed, open_):
        folder.mkdir()
        (folder / "photo.jpg").write_bytes(Path(PHOTO).read_bytes())
        (folder / "w.h5").write_bytes(weight_file.read_bytes())
    closed.chmod(0o700)
    open_.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents):  # to be passed through by anybody, written to by nobody else
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    filled = [part.replace("CLOSED", str(closed)).replace("DIR", str(open_)) for part in arguments]
    with somebody_else():
        code = main(filled)
    errors = capsys.readouterr().err
    assert code == 2 and errors.count("\n") == 1, errors
    assert str(closed) in errors and "Permission denied" in errors


@contextmanager
def somebody_else() -> Iterator[None]:
    """As a user who owns nothing."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The modules are loaded before, since those may lie in a folder of root's."""
    with contextlib.suppress(ImportError):
        import llvmlite.binding  # noqa: F401
    out = tmp_path_factory.mktemp("loaded") / "o.png"
    main(["stylize", PHOTO, PAINTING, "-o", str(out), "--size", "32", "--dry-run", "--quiet"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["stylize", "LONG.jpg", PAINTING, "-o", "DIR/o.png"],
        ["stylize", PHOTO, "LONG.jpg", "-o", "DIR/o.png"],
        ["stylize", PHOTO, PAINTING, "-o", "LONG.png"],
        ["stylize", PHOTO, PAINTING, "-o", "LONG/o.png"],
        ["weights", "info", "LONG"],
        ["weights", "verify", "LONG"],
        ["weights", "convert", "LONG", "--network", "vgg16", "-o", "DIR/o.h5"],
        ["weights", "convert", "DIR/distilled.h5", "--network", "distilled", "-o", "LONG"],
        ["weights", "normalize", "LONG", "DIR", "-o", "DIR/o.h5"],
        ["weights", "normalize", "DIR/distilled.h5", "LONG", "-o", "DIR/o.h5"],
        ["weights", "normalize", "DIR/distilled.h5", "DIR", "-o", "LONG"],
        ["segment", "LONG", "-o", "DIR/o.png"],
        ["segment", PHOTO, "-o", "LONG.png"],
        ["cross-compile", "--target", "aarch64", "-o", "LONG"],
    ],
)
def test_a_name_that_is_too_long_is_one_line(
    tmp_path: Path, weight_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    filled = [part.replace("LONG", str(tmp_path / ("x" * 256))).replace("DIR", str(tmp_path)) for part in arguments]
    assert main(filled) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and "too long" in errors
    assert names(tmp_path) == ["distilled.h5"]
