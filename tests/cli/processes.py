"""The program in a process of its own, with signals as in a terminal, however the tests themselves were started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PHOTO, PAINTING = str(ROOT / "examples" / "photo.jpg"), str(ROOT / "examples" / "painting.jpg")
SMALL = ["--preset", "gram", "--model", "distilled", "--kernels", "numpy", "--size", "48"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "minitorch_style", *arguments]


def _dispositions(ignored: tuple[int, ...]) -> Callable[[], None] | None:
    """`nohup … &` leaves SIGINT and SIGHUP ignored, which children inherit: here each has what a test says."""
    if os.name != "posix":
        return None

    def before_execution() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    return before_execution


def started(*arguments: str, ignored: tuple[int, ...] = (), **options: Any) -> subprocess.Popen[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command(*arguments), text=True, cwd=ROOT, preexec_fn=_dispositions(ignored), **streams)


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    with started(*arguments, **options) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def painting(out: Path, *more: str, iterations: int = 3) -> list[str]:
    return ["stylize", PHOTO, PAINTING, "-o", str(out), *SMALL, "--iterations", str(iterations), *more]


def require_whole(out: Path) -> None:
    picture = Image.open(out)
    picture.load()
    assert picture.size == (48, 32)
