"""A painting of which only a part may be used: by --style-mask, or because the rest is transparent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import minitorch_style as ms
from minitorch_style.arrays import Float32, Rgb8
from minitorch_style.errors import SettingsError
from minitorch_style.plans.pictures import within
from minitorch_style.transfer.settings import Settings

QUICK = {"size": 64, "plan_size": 48, "iterations": 4, "kernels": "numpy", "model": "distilled"}


@pytest.fixture
def halves(rng: np.random.Generator) -> Rgb8:
    """A painting whose left half is red, and whose right half blue, of many shades."""
    light = 0.3 + 0.7 * rng.random((60, 80, 1))
    colors = np.where(np.arange(80)[None, :, None] < 40, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    return (255 * light * colors).astype(np.uint8)


@pytest.fixture
def photo(rng: np.random.Generator) -> Rgb8:
    """Warm everywhere, so that the red half is what it is like."""
    return (rng.random((64, 64, 3)) * (255, 120, 60)).astype(np.uint8)


@pytest.fixture
def mask(tmp_path: Path) -> str:
    """White where the painting is blue, twice as large as that."""
    file = tmp_path / "mask.png"
    Image.fromarray(np.uint8(255) * (np.arange(160) >= 80).repeat(120).reshape(160, 120).T).save(file)
    return str(file)


def redness(picture: Rgb8) -> float:
    """The share of the light that is red."""
    return float(picture[..., 0].sum(dtype=float) / picture.sum(dtype=float))


@pytest.mark.parametrize("method", ["auto", "statistics", "voting"])
def test_nothing_is_painted_with_what_the_mask_keeps_out(method: str, photo: Rgb8, halves: Rgb8, mask: str) -> None:
    settings: dict[str, Any] = {**QUICK, "method": method}
    assert redness(ms.stylize(photo, halves, **settings).image) > 0.3
    assert redness(ms.stylize(photo, halves, **settings, style_mask=mask).image) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("method", ["auto", "statistics", "voting"])
def test_nor_does_the_plan_take_after_it(method: str, photo: Rgb8, halves: Rgb8, mask: str) -> None:
    plans = {**QUICK, "method": method, "restroke": False, "plan_size": 64, "iterations": 40, "strength": 1.0}
    if method != "auto":
        del plans["strength"]
    free, masked = (redness(ms.stylize(photo, halves, **plans, style_mask=one).image) for one in (None, mask))
    alone = redness(ms.stylize(photo, np.hstack([halves[:, 40:], halves[:, :39:-1]]), **plans).image)
    assert abs(masked - alone) < 0.25 * abs(free - alone), "as if there were nothing else"


def test_transparent_parts_of_a_painting_lend_no_strokes(photo: Rgb8, halves: Rgb8) -> None:
    alpha = np.where(np.arange(80) >= 40, np.uint8(255), np.uint8(0))
    cut = np.dstack([halves, np.broadcast_to(alpha, halves.shape[:2])])
    whole = np.dstack([halves, np.full(halves.shape[:2], 255, np.uint8)])
    made = ms.stylize(photo, [cut, cut], **QUICK).image
    assert redness(made) < 0.01 and made.min(axis=2).max() < 128, "neither red nor the white behind it"
    assert redness(ms.stylize(photo, whole, **QUICK).image) > 0.3


def test_a_mask_that_cannot_be_one_is_refused(photo: Rgb8, halves: Rgb8, mask: str, tmp_path: Path) -> None:
    dark, square = tmp_path / "dark.png", tmp_path / "square.png"
    Image.new("L", (80, 60)).save(dark)
    Image.new("L", (60, 60), 255).save(square)
    for paintings, path, said in (
        ([halves, halves], mask, "for one painting, and there are 2"),
        ([halves], str(dark), "leaves nothing of the painting"),
        ([halves], str(square), r"60×60, has another shape than the painting"),
        ([halves], str(tmp_path / "none.png"), "no such file"),
    ):
        with pytest.raises(SettingsError, match=said):
            ms.stylize(photo, paintings, **QUICK, style_mask=path)
    with pytest.raises(SettingsError, match="no effect with the method gram"):
        Settings(method="gram", style_mask=mask)


def test_a_mask_counts_for_values_that_it_covers() -> None:
    mask: Float32 = np.zeros((8, 8, 1), np.float32)
    mask[:, 3:] = 1
    assert within(mask, (8, 8, 5)).sum() == 40
    assert within(mask, (2, 2)).tolist() == [[False, True]] * 2, "a quarter of the left half is too little"
    mask[:, 4:] = 0
    assert within(mask, (2, 2)).tolist() == [[True, False]] * 2, "what is covered most, where nothing is covered enough"
