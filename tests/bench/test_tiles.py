"""The short form of `python -m bench.tiles`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
@pytest.mark.jit
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no peak can be read here")
def test_a_small_picture_whole_and_in_tiles() -> None:
    before = (ROOT / "bench" / "results" / "tiles.json").read_bytes()
    command = [sys.executable, "-m", "bench.tiles", "--short"]
    row = json.loads(subprocess.check_output(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}))
    assert row["model"] == "distilled-perceptual" and row["size"] == "432×288"
    assert row["whole"]["tiles"] == 1 < row["tiled"]["tiles"]
    assert row["tiled"]["told_bytes"] < row["whole"]["told_bytes"]
    assert row["ratio"] == pytest.approx(row["tiled"]["evaluation_s"] / row["whole"]["evaluation_s"], rel=1e-3)
    assert (ROOT / "bench" / "results" / "tiles.json").read_bytes() == before, "only the long form is kept"
