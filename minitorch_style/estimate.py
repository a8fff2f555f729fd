"""What a transfer will take, told before it begins: memory from the plans, time from this processor's own speed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minitorch_style.errors import SettingsError
from minitorch_style.kernels import threads
from minitorch_style.kernels.kernel_set import KernelSet
from minitorch_style.network import Network
from minitorch_style.plan import Plan
from minitorch_style.settings import Settings

# Resident besides plans, measured: interpreter, NumPy, Pillow, h5py, and with numba its compiler, kernels and their scratch.
BASE_BYTES = {"numpy": 120_000_000, "native": 120_000_000, "numba": 235_000_000}
# Multiply-adds each algorithm makes, as a multiple of the rate of a BLAS product: Winograd does four times fewer.
RELATIVE_SPEED = {"winograd": 2.0, "direct": 0.6, "im2col": 0.3, "im2col, native": 1.0}
# Bytes an optimizer keeps for each pixel value: L-BFGS 2·14 vectors of 2 bytes, L-BFGS-B 2·10 and its workspace in double.
OPTIMIZER_BYTES = {"lbfgs": 4 * 22, "lbfgsb": 8 * 36, "adam": 4 * 8, "sgd": 4 * 6}
OPTIMIZER_SECONDS = {"lbfgs": 2e-8, "lbfgsb": 2e-7, "adam": 1e-8, "sgd": 1e-8}  # a pixel value and iteration, measured
MOVED_BYTES_A_SECOND = 5e9  # through memory, for what is not arithmetic


@dataclass(frozen=True)
class Estimate:
    """`nbytes` at the peak, `seconds` from start to end."""

    nbytes: int
    seconds: float


def _rate(kernels: KernelSet) -> float:
    """Floating-point operations a second of matrix products by BLAS: a few milliseconds of this processor's time. Where
    not BLAS itself is what computes, products are so small that it takes one thread for them: its others, once awake,
    would wait for more in a loop, and slow down what comes next for a tenth of a second."""
    side, share = (384, 1) if kernels.name == "numpy" else (64, threads())
    matrix, count = np.ones((side, side), np.float32), 3 * (384 // side) ** 3 // share
    matrix @ matrix
    begun = time.perf_counter()
    for _ in range(count):
        matrix @ matrix
    return share * count * 2 * side**3 / (time.perf_counter() - begun)


def _relative_speed(algorithm: str) -> float:
    return RELATIVE_SPEED.get(algorithm.removesuffix(", max pool").removesuffix(", average pool"), 1.0)


def estimate(network: Network, plan: Plan, style_sizes: list[tuple[int, int]], settings: Settings) -> Estimate:
    """For a plan of the content's size and paintings of `style_sizes`."""
    values = plan.size[0] * plan.size[1] * 3
    paintings = [network.plan(size, plan.taps, gradient=False).nbytes for size in style_sizes]
    held = plan.nbytes + values * OPTIMIZER_BYTES.get(settings.optimizer, 0)
    parameters = sum(array.nbytes for array in network.parameters.values())
    nbytes = BASE_BYTES[network.kernels.name] + parameters + max(held, *paintings)
    rate = _rate(network.kernels)
    pass_seconds = sum(2 * step.macs / (rate * _relative_speed(step.algorithm)) for step in plan.steps)
    iteration = 2 * pass_seconds + 3 * plan.nbytes / MOVED_BYTES_A_SECOND
    iteration += values * OPTIMIZER_SECONDS.get(settings.optimizer, 0.0)
    # Each coarser scale has a quarter of the pixels.
    share = sum(0.25**halvings for halvings in range(settings.scales))
    return Estimate(nbytes, settings.iterations * iteration * share)


def available_memory() -> int | None:
    """Bytes that this process may still take, as far as the system tells: the least of what is free and what its
    control group allows. None where neither can be read."""
    limits: list[int] = []
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = meminfo.read_text().splitlines()
        limits.extend(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    group = Path("/sys/fs/cgroup")
    try:
        most, used = (group / "memory.max").read_text().strip(), (group / "memory.current").read_text()
        if most != "max":
            limits.append(int(most) - int(used))
    except OSError:
        pass  # no control groups here
    if not limits and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=None)


def require_memory(needed: int, base: int, size: tuple[int, int], available: int | None) -> None:
    """SettingsError, with the size that would fit, if `needed` bytes are more than `available`. `base` of them are needed
    whatever the size, the rest grows with the pixels."""
    if available is None or needed <= available:
        return
    share = (available - base) / (needed - base)
    fitting = int(max(size) * max(0.0, share) ** 0.5 * 0.97) // 16 * 16
    fits = f"--size {fitting} or a smaller model would fit" if fitting >= 16 else "no size of this model would fit"
    raise SettingsError(
        f"{size[0]}×{size[1]} pixels need about {_told(needed)}, and {_told(available)} may be used; {fits}"
    )


def _told(nbytes: int) -> str:
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.0f} MB"
