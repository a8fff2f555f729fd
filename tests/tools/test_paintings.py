"""The wall of our own paintings: every one is there, described, and what the code draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.paintings.__main__ import PAINTINGS

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "paintings"


def test_each_painting_is_there_and_described() -> None:
    about = json.loads((FOLDER / "paintings.json").read_text())
    assert set(about) == set(PAINTINGS) == {path.stem for path in FOLDER.glob("*.jpg")}
    assert all(row["title"] and row["about"].endswith(".") for row in about.values())
    assert sum(path.stat().st_size for path in FOLDER.glob("*.jpg")) < 2_000_000


@pytest.mark.parametrize("name", ["watercolor", "composition"])
def test_the_files_are_what_the_code_draws(name: str) -> None:
    drawn = np.asarray(PAINTINGS[name](), float)
    with Image.open(FOLDER / f"{name}.jpg") as kept:
        difference = np.abs(np.asarray(kept, float) - drawn)
    assert difference.mean() < 4, "only JPEG's losses"
