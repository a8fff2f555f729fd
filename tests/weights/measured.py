"""What reading a file costs: `measure` runs `weights info` or `verify` on each in a process of its own, with limits.

A crash of HDF5's own code, a hang, and memory that NumPy or HDF5 takes are seen from outside only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

CPU_SECONDS, MEMORY = 10, 4 << 30  # beyond which the process is ended
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """`code` is the command's exit code, or None if the process died; `seconds` of computing; `peak` the bytes it took
    beyond its start."""

    code: int | None
    seconds: float
    peak: int
    error: str


def measure(paths: Iterable[Path], action: str = "info") -> dict[Path, Outcome]:
    """Each file's outcome; two starts of Python for all, beside each other."""
    listed = list(paths)
    with ThreadPoolExecutor(2) as pool:
        halves = [part for part in (listed[::2], listed[1::2]) if part]
        return {
            path: outcome for half in pool.map(partial(_measured, action), halves) for path, outcome in half.items()
        }


def _measured(action: str, paths: list[Path]) -> dict[Path, Outcome]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.weights.measured", action, *map(str, paths)],
        capture_output=True, cwd=ROOT, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {path: Outcome(**line) for path, line in zip(paths, lines, strict=True)}


def _one(action: str, path: str) -> dict[str, object]:
    import resource

    from minitorch_style.cli import main

    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(into, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.write(2, b"%d\n" % resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = 1
        try:
            code = main(["weights", action, path])
        except BaseException as error:
            os.write(2, f"Traceback {type(error).__name__}: {error!s:.200}\n".encode())
        os._exit(code)
    os.close(into)
    with os.fdopen(out, "rb") as stream:
        begun, _, error = stream.read().partition(b"\n")
    _, status, used = os.wait4(child, 0)
    return {
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "seconds": used.ru_utime + used.ru_stime,
        "peak": (used.ru_maxrss - int(begun)) * 1024,
        "error": error.decode("utf-8", "replace"),
    }


if __name__ == "__main__":
    import h5py  # noqa: F401  (before the fork, as all the rest)

    import minitorch_style.cli.weights  # noqa: F401

    for name in sys.argv[2:]:
        print(json.dumps(_one(sys.argv[1], name)))
