"""Running things on the emulated board: the userland's Python, the bundle, the counting plugin."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from minitorch_style.crosscompile import make_bundle

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CACHE = Path(os.environ.get("MINITORCH_ARM", Path.home() / ".cache" / "minitorch_style_arm"))
MODELS = ("distilled", "enet")
Counts = dict[str, int]


def root() -> Path:
    """The armhf userland, made at the first call."""
    folder = CACHE / "root"
    subprocess.run([HERE / "rootfs", folder, CACHE / "root.tar"], check=True)
    return folder


def bundle(models: Sequence[str] = MODELS) -> Path:
    """A fresh bundle of this checkout for the board; the folder that holds the package."""
    folder = CACHE / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    make_bundle("armv7-neon", folder, models)
    return folder


def python(arguments: Sequence[str | Path], folder: Path, **environment: str) -> str:
    """What the board's Python prints when it runs in `folder`; its errors pass through."""
    variables = {**os.environ, "ROOT": str(CACHE / "root"), **environment}
    command = [str(HERE / "python"), *(str(argument) for argument in arguments)]
    return subprocess.run(command, cwd=folder, env=variables, check=True, stdout=subprocess.PIPE, text=True).stdout


def counted(arguments: Sequence[str | Path], folder: Path) -> dict[int, Counts]:
    """{region: {class: instructions}} of a run of the board's Python."""
    plugin, table = CACHE / "count.so", CACHE / "counts.csv"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", plugin, HERE / "count.c"], check=True)
    table.unlink(missing_ok=True)
    python(arguments, folder, QEMU="qemu-arm", QEMU_FLAGS=f"-plugin {plugin},out={table}")
    with table.open() as file:
        return {
            int(row.pop("region")): {name: int(number) for name, number in row.items()} for row in csv.DictReader(file)
        }
