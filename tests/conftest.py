"""Which tests can run here: markers `torch`, `shared_data` and `jit` skip where what they need is missing."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from minitorch_style.kernels.patches import PatchKernels, patch_kernels
from minitorch_style.nn.registry import architecture
from minitorch_style.weights.hdf5 import save_weights
from minitorch_style.weights.weights import Weights, random_weights

# PyTorch waits for its threads in a loop; where other processes run as well, small tests take minutes so. Read when it is
# loaded, as some modules of tests do first of all.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def _jit() -> bool:
    return importlib.util.find_spec("numba") is not None and os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    present = {
        "torch": (importlib.util.find_spec("torch") is not None, "PyTorch is not installed"),
        "shared_data": (SHARED.is_dir(), "no ../shared/data here"),
        "jit": (_jit(), "no compiled kernels (numba missing or NUMBA_DISABLE_JIT set)"),
    }
    for item in items:
        for marker, (there, reason) in present.items():
            if item.get_closest_marker(marker) and not there:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(12345)


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED


@pytest.fixture(params=["numpy", pytest.param("numba", marks=pytest.mark.jit)])
def patches(request: pytest.FixtureRequest) -> PatchKernels:
    return patch_kernels(request.param)


@pytest.fixture
def weight_file(tmp_path: Path) -> Path:
    """A weight file of `distilled`, random but honest."""
    path = tmp_path / "distilled.h5"
    weights = random_weights(architecture("distilled"), 0)
    save_weights(path, Weights(weights.network, weights.parameters, weights.normalization, {"source": "a test"}, True))
    return path
