"""The examples in the docstrings of what `import minitorch_style as ms` offers: each does what it says."""

from __future__ import annotations

import doctest
import shutil
from pathlib import Path

import numpy as np
import pytest

import minitorch_style as ms

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
WITHOUT = ("Live", "StyleError", "Stylizer")  # need a camera, a folder of photos, or nothing


@pytest.mark.parametrize("name", sorted(set(ms.__all__) - set(WITHOUT)))
def test_the_example_of(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "stylize_frames":
        pytest.importorskip("cv2")
    for file in ("photo.jpg", "painting.jpg"):
        shutil.copy(EXAMPLES / file, tmp_path)
    monkeypatch.chdir(tmp_path)
    finder = doctest.DocTestFinder(recurse=False)
    (found,) = finder.find(getattr(ms, name), name, globs={"ms": ms, "np": np})
    assert found.examples, f"ms.{name} has no example"
    told: list[str] = []
    failed, _ = doctest.DocTestRunner().run(found, out=told.append)
    assert not failed, "".join(told)
