"""The judge's scale: 1 and 0 for the photo, 0 and 1 for its own optimum."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.errors import ShapeError
from minitorch_style.judge import Judge
from minitorch_style.network import load_network
from minitorch_style.transfer import stylize


def test_the_scale_and_what_lies_between(rng: np.random.Generator) -> None:
    photo = np.kron(rng.random((4, 6, 3)), np.ones((8, 8, 1))).astype(np.float32)
    painting = rng.random((40, 40, 3)).astype(np.float32)
    judge = Judge(load_network("squeezenet", "random:0"), photo, painting, iterations=30)
    untouched, own = judge.score(photo), judge.score(judge.optimum.astype(np.float32) / 255)
    assert untouched.style == pytest.approx(1) and untouched.content == 0
    assert own.style == pytest.approx(0) and own.content == pytest.approx(1)
    other = stylize(photo, painting, load_network("distilled", "random:0"), iterations=30, size=48).image / np.float32(
        255
    )
    assert own.style < judge.score(other).style < untouched.style, "another network's style is some style"
    with pytest.raises(ShapeError, match="expected a picture"):
        judge.score(photo[:16])
