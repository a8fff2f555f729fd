"""A small hostile file costs little: each is read in a process of its own, whose time and memory are limited."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.weights import hostile_weights
from tests.weights.checkpoints import hostile_checkpoints
from tests.weights.measured import Outcome, measure

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and resource limits")

SPARE, GROWTH = 50 << 20, 40  # bytes, and times the file
WEIGHTS, CHECKPOINTS = hostile_weights.makers(), hostile_checkpoints.makers()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for name, make in {**WEIGHTS, **CHECKPOINTS}.items():
        (folder / name).write_bytes(make())
    return folder


@pytest.fixture(scope="module")
def told(files: Path) -> dict[Path, Outcome]:
    """What `weights info` does, with one start of Python for all files."""
    return measure(sorted(files.iterdir()))


@pytest.fixture(scope="module")
def verified(files: Path) -> dict[Path, Outcome]:
    """What `weights verify` does with the weight files."""
    return measure([files / name for name in WEIGHTS], "verify")


def check(outcome: Outcome, size: int) -> None:
    """One line or none, no crash, no hang, memory in proportion to the file."""
    assert outcome.code in (0, 2), outcome
    assert len(outcome.error.splitlines()) <= 1 and len(outcome.error) < 4000, outcome.error[:400]
    assert outcome.error.rstrip("\n").isprintable(), outcome.error[:400]
    assert outcome.peak <= GROWTH * size + SPARE, f"{outcome.peak / 1e6:.0f} MB for a file of {size / 1e3:.0f} kB"


@pytest.mark.parametrize("name", [*WEIGHTS, *CHECKPOINTS])
def test_hostile_files_cost_little(name: str, files: Path, told: dict[Path, Outcome]) -> None:
    check(told[files / name], (files / name).stat().st_size)


@pytest.mark.parametrize("name", WEIGHTS)
def test_hostile_files_do_not_pass_as_sound(name: str, files: Path, verified: dict[Path, Outcome]) -> None:
    check(verified[files / name], (files / name).stat().st_size)
    assert verified[files / name].code == 2


@pytest.mark.shared_data
@pytest.mark.parametrize("kind", ["pickles", "checkpoints"])
def test_collected_cases_cost_little(kind: str, shared: Path) -> None:
    for path, outcome in measure(sorted((shared / "cases" / kind).iterdir())).items():
        check(outcome, path.stat().st_size)
