"""Gatys' method in the memory that is given: in tiles where the whole does not fit, and the same picture."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from minitorch_style.errors import SettingsError, StyleError
from minitorch_style.transfer import run as transfer
from minitorch_style.transfer.descent import CUT, Descent
from minitorch_style.transfer.settings import Settings

GRAM = Settings(
    method="gram", model="distilled", kernels="numpy", size=400, style_size=128, iterations=3, tv_weight=0.1
)


def prepared(max_memory: int | None = None, **other: object) -> transfer.Job:
    rng = np.random.default_rng(0)
    photo, painting = rng.random((300, 400, 3), np.float32), rng.random((900, 1200, 3), np.float32)
    return transfer.prepare(photo, painting, replace(GRAM, max_memory=max_memory, **other))


def descent(job: transfer.Job) -> Descent:
    (stage,) = job.stages
    assert isinstance(stage, Descent)
    return stage


@pytest.fixture(scope="module")
def untiled() -> transfer.Job:
    return prepared()


def test_tiles_instead_of_a_refusal(untiled: transfer.Job) -> None:
    limit = untiled.estimate.nbytes - 1
    job = prepared(limit)
    assert job.estimate.nbytes <= limit
    assert job.stages[0].title == "3 iterations of lbfgs by distilled at 400×300 in 2 tiles"
    whole, tiled = (transfer.run(one).complete() for one in (untiled, job))
    assert tiled.history[0].loss == pytest.approx(whole.history[0].loss, rel=1e-6)
    assert tiled.history[-1].loss == pytest.approx(whole.history[-1].loss, rel=1e-3)  # the optimizer rounds its history
    assert np.abs(tiled.image.astype(int) - whole.image).max() <= 2


def test_what_fits_stays_whole(untiled: transfer.Job) -> None:
    job = prepared(untiled.estimate.nbytes)
    assert "tiles" not in job.stages[0].title
    np.testing.assert_array_equal(transfer.run(job).complete().image, transfer.run(untiled).complete().image)


@pytest.mark.slow
def test_a_painting_alone_may_be_what_does_not_fit() -> None:
    settings = {"size": 64, "style_size": 1200}
    whole = prepared(**settings)
    job = prepared(whole.estimate.nbytes - 1, **settings)
    assert job.estimate.nbytes < whole.estimate.nbytes
    for layer, gram in descent(whole).objective().style.grams.items():
        np.testing.assert_allclose(descent(job).objective().style.grams[layer], gram, rtol=1e-6)


def test_the_normalization_of_the_preset_paper_is_that_of_the_whole(untiled: transfer.Job) -> None:
    whole = prepared(activation=1.0)
    job = prepared(whole.estimate.nbytes - 1, activation=1.0)
    assert len(descent(job).plan.tiles.tiles) > 1
    x = descent(job).photo
    assert descent(job).objective()(x)[0] == pytest.approx(descent(whole).objective()(x)[0], rel=1e-6)


def test_only_the_first_layers_are_in_tiles_where_the_deeper_fit(untiled: transfer.Job) -> None:
    plans = [descent(prepared(untiled.estimate.nbytes - less)).plan for less in (1, 20_000_000)]
    once, _ = work = [plan.macs / (2 * sum(step.macs for step in descent(untiled).plan.plan.steps)) for plan in plans]
    assert once < 1.35 and work == sorted(work)
    assert all(plan.deep is not None for plan in plans)


def test_too_little_for_any_tile(untiled: transfer.Job) -> None:
    with pytest.raises(SettingsError, match="pixels need about"):
        prepared(descent(untiled).network.nbytes + 140_000_000)


@pytest.mark.slow
def test_a_run_goes_on_in_the_tiles_that_it_was_begun_in(untiled: transfer.Job) -> None:
    stage = descent(prepared(untiled.estimate.nbytes - 1))
    begun = stage.run(None)
    state = {name: array.copy() for name, array in list(islice(begun, 2))[1].state().items()}
    expected = list(begun)[-1].picture
    elsewhere = replace(stage, limit=None)
    assert len(elsewhere.plan.tiles.tiles) == 1
    np.testing.assert_array_equal(list(elsewhere.run(None, state))[-1].picture, expected)
    with pytest.raises(StyleError, match="not cut into"):
        next(elsewhere.run(None, {**state, CUT: np.array([0, 1, 1, 0, 3])}))
    with pytest.raises(StyleError, match="cannot be cut at the neck 9; it has 4"):
        next(elsewhere.run(None, {**state, CUT: np.array([1, 2, 1, 9, 3])}))
