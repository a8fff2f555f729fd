"""The jobs that are checked, counted and measured on the emulated board; runs there, with NumPy alone.

python job.py compare MODEL KERNELS OUT.npz     one loss and gradient at 64 pixels, and three iterations
python job.py count MODEL KERNELS SIZE          a forward pass in region 1, one iteration's work in region 2
python job.py product                           256³: ours in region 1, NumPy's BLAS in region 2
python job.py picture MODEL ITERATIONS SIZE OUT.json    the example stylised by the command line, and its peak memory
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from minitorch_style.cli import main
from minitorch_style.engine.network import load_network
from minitorch_style.kernels import vector_ops
from minitorch_style.kernels.native.backend import Library, NativeKernels, find_library
from minitorch_style.optimizers import minimize, optimizer
from minitorch_style.style.objective import Objective

MARK = 0x4D54


def enter(region: int) -> None:
    """Tells the counting plugin which region begins; see count.c."""
    with suppress(OSError):  # it is no request that a kernel knows
        os.getpriority(MARK, region)


def peak_megabytes() -> float:
    """The most memory that was resident; under user-mode emulation with the emulator's own."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1e3


def prepared(model: str, kernels: str, size: int) -> tuple[Objective, np.ndarray]:
    rng = np.random.default_rng(0)
    photo, painting = rng.random((2, size, size, 3), np.float32)
    return Objective(load_network(model, kernels=kernels), photo, painting), photo


def compare(model: str, kernels: str, out: str) -> None:
    objective, x = prepared(model, kernels, 64)
    loss, gradient = objective(x)
    losses: list[float] = []
    method = optimizer("lbfgs", vector_ops(objective.plan.kernels.name))
    ended = minimize(method, objective, x, 3, lambda number, value, pixels: losses.append(value))
    np.savez(out, loss=loss, gradient=gradient, losses=losses, pixels=ended.pixels)
    print(f"{model}, {kernels} kernels: loss {loss:.6g} → {losses[-1]:.6g}, peak {peak_megabytes():.0f} MB")


def count(model: str, kernel_set: str, size: int) -> None:
    objective, x = prepared(model, kernel_set, size)
    kernels = objective.plan.kernels
    if isinstance(kernels, NativeKernels):
        kernels.library.threads = 1  # so that the count does not depend on how threads take turns
    objective(x)
    enter(1)
    objective.plan.run(x)
    enter(2)
    objective(x)
    enter(0)


def product() -> None:
    path = find_library()
    assert path is not None, "no library of native kernels in the package"
    library = Library(path, threads=1)
    matrix = np.random.default_rng(0).random((256, 256), np.float32)
    packed = library.pack(matrix)
    for warm in (library.product(matrix, packed), matrix @ matrix):
        assert warm.shape == matrix.shape
    enter(1)
    library.product(matrix, packed)
    enter(2)
    matrix @ matrix
    enter(0)


def picture(model: str, iterations: str, size: str, out: str) -> None:
    here = Path(__file__).resolve().parent
    given = ["stylize", str(here / "photo.jpg"), str(here / "painting.jpg"), "-o", str(here / "out.png")]
    code = main(
        [
            *given,
            "--model",
            model,
            "--iterations",
            iterations,
            "--size",
            size,
            "--max-memory",
            "460M",
            "--preset",
            "gram",
        ]
    )
    if code:
        sys.exit(code)
    total = Path("/proc/meminfo").read_text().split()[1]
    row = {"model": model, "size": int(size), "iterations": int(iterations)}
    Path(out).write_text(json.dumps({**row, "peak_mb": peak_megabytes(), "total_mb": int(total) / 1e3}))


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "compare":
        compare(*rest)
    elif what == "count":
        count(rest[0], rest[1], int(rest[2]))
    elif what == "picture":
        picture(*rest)
    else:
        product()
