"""The engine on an emulated Cortex-A9: part of the suite, then loss, gradient and picture against this machine's.

    python -m bench.arm.check [--board aarch64]

Needs mmdebstrap, qemu-user-static, qemu-user, a C compiler and arm-linux-gnueabihf-gcc (Debian's package names); makes
the userland at the first call. Also holds 256³ of our product to fewer instructions than the BLAS of the userland takes.
With --board aarch64 the comparison alone, on a Cortex-A72 and with Numba too; then binutils-aarch64-linux-gnu links.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.arm import job
from bench.arm.emulated import BOARDS, HERE, IPAD, MODELS, REPOSITORY, bundle, counted, make_root, python

SUITE = ("nn/test_layers.py", "style/test_losses.py", "kernels/test_pooling.py", "kernels/test_pointwise.py")
# Without fused multiply-add and with denormals flushed, single precision rounds otherwise; three line searches amplify it.
LOSS, GRADIENT, PIXELS = 1e-4, 1e-3, 0.02


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", choices=BOARDS, default="armv7")
    board = BOARDS[parser.parse_args().board]
    make_root(board)
    told = python(
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", *(REPOSITORY / "tests" / name for name in SUITE)],
        REPOSITORY,
        board,
        QEMU_FLAGS="-E NUMBA_DISABLE_JIT=1",
    )
    print(f"suite: {told.strip().splitlines()[-1]}")
    folder = bundle(MODELS, board)
    worst = 0.0
    with tempfile.TemporaryDirectory() as temporary:
        for model in MODELS:
            job.compare(model, "numpy", f"{temporary}/host.npz")
            host = np.load(f"{temporary}/host.npz")
            for kernels in board.kernels:
                out = Path(temporary) / "board.npz"
                print(python([HERE / "job.py", "compare", model, kernels, out], folder, board).strip(), "(board)")
                found_there = np.load(out)
                for name, limit in (("loss", LOSS), ("losses", LOSS), ("gradient", GRADIENT), ("pixels", PIXELS)):
                    found = difference(found_there[name], host[name])
                    worst = max(worst, found / limit)
                    print(f"  {name}: {found:.1e} of the largest, {limit:.0e} allowed")
    if board is not IPAD:
        return int(worst > 1)
    counts = counted([HERE / "job.py", "product"], folder)
    ours, blas = (sum(counts[region].values()) for region in (1, 2))
    print(f"256³: {ours / 1e6:.1f} million instructions, OpenBLAS {blas / 1e6:.1f}")
    return 0 if worst <= 1 and ours < blas else 1


if __name__ == "__main__":
    sys.exit(main())
