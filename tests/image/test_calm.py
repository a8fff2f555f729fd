from __future__ import annotations

import numpy as np

from minitorch_style.image.calm import calm


def test_a_wall_is_calm_and_texture_is_not(rng: np.random.Generator) -> None:
    picture = np.full((96, 128, 3), 0.6, np.float32)
    picture[:, 64:] = (np.indices((96, 64)).sum(axis=0) % 8 < 4)[..., None]
    found = calm(picture)
    assert found.shape == (96, 128, 1) and found.dtype == np.float32
    assert found[:, :48].min() > 0.95 and found[:, 80:].max() < 0.1


def test_slow_changes_are_calm() -> None:
    sky = np.broadcast_to(np.linspace(0.3, 0.8, 90, dtype=np.float32)[:, None, None], (90, 120, 3))
    assert calm(sky).min() > 0.8


def test_any_size() -> None:
    for size in ((1, 1), (2, 300), (16, 12)):
        assert np.isfinite(calm(np.zeros((*size, 3), np.float32))).all()
