"""Memory told before the start against what a process of its own takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitorch_style.errors import SettingsError
from minitorch_style.transfer import job
from minitorch_style.transfer import run as transfer
from minitorch_style.transfer.settings import Settings

pytestmark = pytest.mark.slow

PEAK = """
import json, sys
from pathlib import Path
import numpy as np
from minitorch_style.transfer import job as making
from minitorch_style.transfer import run as transfer
from minitorch_style.transfer.estimate import LIBRARY_BYTES
from minitorch_style.transfer.settings import Settings
settings = Settings(**json.loads(sys.argv[1]))
if sys.argv[2:] == ["people"]:
    making._people = lambda photo: np.ones((*photo.size, 1), np.float32)
rng = np.random.default_rng(0)
photo, painting = (rng.random((settings.size, settings.size, 3), np.float32) for _ in range(2))
job = transfer.prepare(photo, painting, settings)
del photo, painting  # what a job does not hold is its caller's
transfer.run(job).complete()
libraries = LIBRARY_BYTES[job.network.kernels.name]
lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
peak, files = (1024 * int(lines[name].split()[0]) for name in ("VmHWM", "RssFile"))
print(job.estimate.nbytes - libraries, peak - files)
"""


PROC = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no peak can be read here")


def peak(settings: dict[str, Any], *more: str, **environment: str) -> tuple[int, int]:
    """The bytes that a process was told it would take for a transfer of noise (full of "people"), and those it took.

    Without the pages of the libraries' files: how many of them count as taken depends on how the kernel has cached those files.
    """
    code = [sys.executable, "-c", PEAK, json.dumps(settings), *more]
    done = subprocess.run(code, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    told, taken = map(int, done.stdout.split())
    return told, taken


@PROC
@pytest.mark.parametrize(
    "settings",
    [
        {"kernels": "numpy", "size": 256, "iterations": 6},
        {"kernels": "numpy", "size": 192, "method": "voting"},
        pytest.param({"size": 512, "iterations": 4}, marks=pytest.mark.jit),
        pytest.param({"size": 1024, "iterations": 2, "stroke_size": 0.5}, marks=pytest.mark.jit),
        pytest.param({"size": 1500, "iterations": 2}, marks=pytest.mark.jit),
        pytest.param({"size": 1500, "iterations": 2, "stroke_size": 0.5}, marks=pytest.mark.jit),
        {"method": "gram", "model": "segnet", "kernels": "numpy", "size": 192, "iterations": 1},
        {"method": "gram", "model": "distilled", "kernels": "numpy", "size": 512, "iterations": 2},
        {
            "method": "gram",
            "model": "distilled",
            "kernels": "numpy",
            "size": 512,
            "iterations": 12,
            "optimizer": "lbfgsb",
        },
        {
            "method": "gram",
            "model": "distilled",
            "kernels": "numpy",
            "size": 64,
            "iterations": 1,
            "region": "background",
        },
        pytest.param({"method": "gram", "model": "distilled", "size": 256, "iterations": 16}, marks=pytest.mark.jit),
        pytest.param({"method": "gram", "model": "segnet", "size": 192, "iterations": 2}, marks=pytest.mark.jit),
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_no_run_takes_more_than_it_told(settings: dict[str, Any]) -> None:
    told, taken = peak(settings)
    assert taken < 1.05 * told, f"{told / 1e6:.0f} MB told, {taken / 1e6:.0f} taken"
    assert told < 1.8 * taken, f"{told / 1e6:.0f} MB told, {taken / 1e6:.0f} taken"


@PROC
@pytest.mark.parametrize(
    "settings",
    [
        {"kernels": "numpy", "size": 256, "iterations": 1},
        pytest.param({"size": 1024, "iterations": 1}, marks=pytest.mark.jit),
        pytest.param({"size": 1500, "iterations": 1}, marks=pytest.mark.jit),
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_nor_where_people_are_everywhere(settings: dict[str, Any]) -> None:
    told, taken = peak(settings, "people")
    assert taken < 1.05 * told, f"{told / 1e6:.0f} MB told, {taken / 1e6:.0f} taken"
    assert told < 1.8 * taken, f"{told / 1e6:.0f} MB told, {taken / 1e6:.0f} taken"


@PROC
@pytest.mark.jit
def test_nor_does_the_first_that_compiles(tmp_path: Path) -> None:
    told, taken = peak({"size": 512, "iterations": 4}, MINITORCH_STYLE_CACHE=str(tmp_path))
    assert taken < 1.05 * told, f"{told / 1e6:.0f} MB told, {taken / 1e6:.0f} taken"


def test_finding_people_is_refused_before_it_takes_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "load_segmenter", lambda *args: pytest.fail("was loaded"))
    picture = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(SettingsError, match="300 MB may be used"):
        transfer.prepare(picture, picture, Settings(model="distilled", region="person", max_memory=300_000_000))
