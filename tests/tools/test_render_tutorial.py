"""The tutorial's strips by name: what is asked for is drawn, what there is not is refused, nothing painted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import render_tutorial


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that would be written."""
    files: list[Path] = []
    monkeypatch.setattr(render_tutorial, "painted", lambda *given, **settings: None)
    monkeypatch.setattr(render_tutorial, "shown", lambda path: None)
    monkeypatch.setattr(render_tutorial, "draw", lambda rows, path, height: files.append(path))
    return files


def test_help_names_the_strips(drawn: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        render_tutorial.main(["--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0 and not drawn
    assert "python -m tools.render_tutorial [NAME …]" in said
    assert ",".join(render_tutorial.NAMES) in "".join(said.split()), "in lines as wide as the terminal"


def test_a_strip_that_is_not_there(drawn: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        render_tutorial.main(["detail", "colour"])
    assert end.value.code == 2 and not drawn and "no strip 'colour'; there are result, " in capsys.readouterr().err


def test_named_strips_or_all(drawn: list[Path]) -> None:
    render_tutorial.main(["detail", "paintings"])
    assert [file.name for file in drawn] == ["detail.jpg", "paintings.jpg"]
    drawn.clear()
    render_tutorial.main([])
    assert len(drawn) == len(render_tutorial.NAMES) and drawn[0] == render_tutorial.ROOT / "docs" / "result.jpg"
