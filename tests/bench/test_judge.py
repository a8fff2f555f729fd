"""The judge's scale: 1 and 0 for the photo, 0 and 1 for its own optimum, and in between what the losses say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest

from bench.paper.judge import Judge
from minitorch_style.engine.network import load_network
from minitorch_style.errors import ShapeError
from minitorch_style.transfer.run import stylize
from tests import oracle

Distance: TypeAlias = Callable[[np.ndarray], float]


def distances(judge: Judge, photo: np.ndarray, painting: np.ndarray) -> tuple[Distance, Distance]:
    """The style and the content loss of a picture under the judge's network, each layer relative to its target."""
    network = load_network("squeezenet", "random:0")
    styles, contents = network.architecture.style_layers, network.architecture.content_layers

    def gram(picture: np.ndarray, tap: str) -> np.ndarray:
        features = network.features(picture, [tap])[tap]
        return oracle.gram(features) / features[..., 0].size

    def style(picture: np.ndarray) -> float:
        terms = [(gram(picture, tap), gram(painting, tap)) for tap in styles]
        return float(np.mean([np.sum((g - a) ** 2) / np.sum(a**2) for g, a in terms]))

    def content(picture: np.ndarray) -> float:
        terms = [(network.features(picture, [tap])[tap], network.features(photo, [tap])[tap]) for tap in contents]
        return float(np.mean([np.sum((f - p).astype(float) ** 2) / np.sum(p.astype(float) ** 2) for f, p in terms]))

    return style, content


@pytest.mark.slow
def test_the_scale_and_what_lies_between(rng: np.random.Generator) -> None:
    photo = np.kron(rng.random((4, 6, 3)), np.ones((8, 8, 1))).astype(np.float32)
    painting = rng.random((40, 40, 3)).astype(np.float32)
    judge = Judge(load_network("squeezenet", "random:0"), photo, painting, iterations=30)
    untouched, own = judge.score(photo), judge.score(judge.optimum.astype(np.float32) / 255)
    assert untouched.style == pytest.approx(1) and untouched.content == 0
    assert own.style == pytest.approx(0) and own.content == pytest.approx(1)
    other = stylize(
        photo, painting, load_network("distilled", "random:0"), iterations=30, size=48, method="gram"
    ).image / np.float32(255)
    assert own.style < judge.score(other).style < untouched.style, "another network's style is some style"
    found = judge.score(other)
    style, content = distances(judge, photo, painting)
    best = judge.optimum.astype(np.float32) / 255
    assert found.style == pytest.approx((style(other) - style(best)) / (style(photo) - style(best)), rel=1e-3)
    assert found.content == pytest.approx(content(other) / content(best), rel=1e-3)
    with pytest.raises(ShapeError, match="expected a picture"):
        judge.score(photo[:16])
