"""Each test of a kernel runs once for every kernel set and algorithm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.api import KernelSet

jit = pytest.mark.jit


@pytest.fixture(params=["numpy", pytest.param("numba", marks=jit)])
def kernels(request: pytest.FixtureRequest) -> KernelSet:
    return kernel_set(request.param)


@pytest.fixture(params=["numpy", "numba"])
def plain_kernels(request: pytest.FixtureRequest) -> KernelSet:
    """For operations whose fast kernels hold no LLVM code: those run as interpreted Python too."""
    if request.param == "numpy":
        return kernel_set("numpy")
    pytest.importorskip("numba")
    from minitorch_style.kernels.fast.backend import NumbaKernels

    return NumbaKernels()


@pytest.fixture(
    params=[
        ("numpy", "im2col"),
        pytest.param(("numba", "direct"), marks=jit),
        pytest.param(("numba", "winograd"), marks=jit),
    ],
    ids="-".join,
)
def algorithm(request: pytest.FixtureRequest) -> Iterator[tuple[KernelSet, str]]:
    name, method = request.param
    yield kernel_set(name), method
