"""The repository's own picture against what it was when it was last looked at: a stranger's clone has no other photographs.

python -m tests.transfer.test_golden    records it anew
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import minitorch_style as ms

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("golden.json")
WAYS: dict[str, dict[str, Any]] = {
    # By 20 iterations the line searches of L-BFGS have made 17 % of the last bits in which two kernel sets differ, by 10
    # more than 1 % of those in which two versions of NumPy and Pillow do.
    "gram, 5 iterations": {"method": "gram", "size": 128, "iterations": 5},
    "gram by adam": {"method": "gram", "size": 128, "iterations": 20, "optimizer": "adam"},
    "plan by nearest neighbors": {"size": 128, "iterations": 20},
    "plan by statistics": {"method": "statistics", "size": 128, "iterations": 20},
}


def loss(way: str, kernels: str) -> float:
    """The last loss that is told."""
    examples = ROOT / "examples"
    result = ms.stylize(examples / "photo.jpg", examples / "painting.jpg", kernels=kernels, **WAYS[way])
    return float([one.loss for one in result.history if one.loss is not None][-1])


@pytest.mark.parametrize("kernels", [pytest.param("numba", marks=pytest.mark.jit), "numpy"])
@pytest.mark.parametrize("way", WAYS)
def test_the_loss_is_what_it_was(way: str, kernels: str) -> None:
    assert loss(way, kernels) == pytest.approx(json.loads(GOLDEN.read_text())[way], rel=0.01)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({way: round(loss(way, "numpy"), 6) for way in WAYS}, indent=1) + "\n")
