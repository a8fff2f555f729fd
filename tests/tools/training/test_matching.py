"""The errors from moments are those of the mapped features themselves, and the map is the best."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.torch


def pair(rng: np.random.Generator, height: int = 7, width: int = 5):  # type: ignore[no-untyped-def]
    """(a student's (3, 4, H, W), a teacher's (3, 6, H, W) that a map of it explains in part), as tensors."""
    import torch

    student = rng.random((3, 4, height, width), np.float32)
    teacher = np.einsum("bnhw,nc->bchw", student, rng.random((4, 6), np.float32))
    return torch.from_numpy(student), torch.from_numpy(teacher + 0.3 * rng.random(teacher.shape, np.float32))


@pytest.mark.parametrize("size", [(7, 5), (2, 2)])  # more positions than maps, and fewer
def test_errors_from_moments_are_those_of_the_mapped_features(rng: np.random.Generator, size: tuple[int, int]) -> None:
    import torch

    from tools.training.matching import feature_error, gram_error, moments, target

    student, teacher = pair(rng, *size)
    found = torch.from_numpy(rng.random((4, 6), np.float32))
    wanted = target(teacher)
    square, cross = moments(student, wanted)

    f, t = (maps.permute(0, 2, 3, 1).flatten(1, 2).double().numpy() for maps in (student, teacher))
    mapped = f @ found.double().numpy()
    grams = [np.einsum("bpi,bpj->bij", x, x) / x.shape[1] for x in (mapped, t)]
    expected = np.mean(np.sum((grams[0] - grams[1]) ** 2, (1, 2)) / np.sum(grams[1] ** 2, (1, 2)))
    assert feature_error(square, cross, wanted, found).item() == pytest.approx(
        np.sum((mapped - t) ** 2, 2).mean(), rel=1e-4
    )
    assert gram_error(square, wanted, found).item() == pytest.approx(expected, rel=1e-4)
    assert wanted.energy.item() == pytest.approx(np.sum(t**2, 2).mean(), rel=1e-5)


def test_the_error_of_differences_is_that_of_the_mapped_gram_matrices(rng: np.random.Generator) -> None:
    """Of pairs of pictures; two that are alike for the teacher count no more than others."""
    import torch

    from tools.training.matching import LEAST_APART, gram_difference_error, moments, target

    student, teacher = pair(rng)
    teacher[1] = teacher[0] + 1e-3 * teacher[2]
    found = torch.from_numpy(rng.random((4, 6), np.float32))
    wanted = target(teacher)
    square, _ = moments(student, wanted)
    f, t = (maps.permute(0, 2, 3, 1).flatten(1, 2).double().numpy() for maps in (student, teacher))
    own, theirs = (np.einsum("bpi,bpj->bij", x, x) / x.shape[1] for x in (f @ found.double().numpy(), t))
    pairs = [(0, 1), (0, 2), (1, 2)]
    wrong = [np.sum((own[i] - own[j] - theirs[i] + theirs[j]) ** 2) for i, j in pairs]
    apart = np.array([np.sum((theirs[i] - theirs[j]) ** 2) for i, j in pairs])
    assert apart[0] < LEAST_APART * apart.mean() < apart[1:].min()
    expected = np.mean(wrong / np.maximum(apart, LEAST_APART * apart.mean()))
    assert gram_difference_error(square, wanted, found).item() == pytest.approx(expected, rel=1e-3)


def test_no_map_is_better_than_the_best(rng: np.random.Generator) -> None:
    import torch

    from tools.training.matching import best_map, feature_error, moments, target

    student, teacher = pair(rng)
    wanted = target(teacher)
    square, cross = moments(student, wanted)
    best = best_map(square.mean(0), cross.mean(0), ridge=0)
    least = feature_error(square, cross, wanted, best).item()
    assert 0 < least < 0.2 * wanted.energy.item()
    for _ in range(5):
        other = best + 0.01 * torch.from_numpy(rng.standard_normal(best.shape).astype(np.float32))
        assert feature_error(square, cross, wanted, other).item() > least


def test_large_maps_are_looked_at_here_and_there_and_finer_ones_averaged(rng: np.random.Generator) -> None:
    import torch

    from tools.training.matching import POSITIONS, moments, positions, target

    teacher = torch.from_numpy(rng.random((1, 2, 96, 96), np.float32))
    wanted = target(teacher)
    assert wanted.step == 2 and wanted.features.shape == (1, 48 * 48, 2) and POSITIONS >= 48 * 48
    assert torch.equal(wanted.features[0, 49], teacher[0, :, 3, 3])
    fine = torch.from_numpy(rng.random((1, 3, 192, 192), np.float32))
    square, _ = moments(fine, wanted)
    coarse = positions(fine.unflatten(3, (96, 2)).unflatten(2, (96, 2)).mean((3, 5)), 2)[0]
    assert torch.allclose(square[0], coarse.T @ coarse / len(coarse), rtol=1e-4)
