"""Running things on an emulated board: the userland's Python, the bundle, the counting plugin."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minitorch_style.deploy.bundle import make_bundle

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CACHE = Path(os.environ.get("MINITORCH_ARM", Path.home() / ".cache" / "minitorch_style_arm"))
MODELS = ("distilled", "enet")
Counts = dict[str, int]


@dataclass(frozen=True)
class Board:
    """A processor to emulate, what Debian calls its userland, our target for it, and the kernel sets to check there."""

    architecture: str
    target: str
    cpu: str
    emulator: str
    kernels: tuple[str, ...]
    wheels: tuple[str, ...] = ()  # packages to take from their published wheels instead of from Debian

    @property
    def root(self) -> Path:
        return CACHE / self.architecture


# In the emulator Debian's Numba for 64-bit ARM (0.56) dies at the first parallel loop, whatever is in it.
BOARDS = {
    "armv7": Board("armhf", "armv7-neon", "cortex-a9", "qemu-arm", ("numpy", "native")),
    "aarch64": Board(
        "arm64", "aarch64", "cortex-a72", "qemu-aarch64", ("numpy", "native", "numba"), ("numpy", "scipy", "numba")
    ),
}
IPAD = BOARDS["armv7"]


def make_root(board: Board = IPAD) -> None:
    """Makes the board's userland where there is none."""
    subprocess.run([HERE / "rootfs", board.architecture, board.root, f"{board.root}.tar"], check=True)
    if board.wheels and not wheels(board).exists():
        chosen = ["--only-binary=:all:", "--python-version=311", "--implementation=cp"]
        chosen += [f"--platform=manylinux_{glibc}_aarch64" for glibc in ("2_17", "2_27", "2_28")]
        command = [sys.executable, "-m", "pip", "install", "--quiet", f"--target={wheels(board)}.tmp", *chosen]
        command += board.wheels
        subprocess.run(command, check=True)
        Path(f"{wheels(board)}.tmp").rename(wheels(board))


def wheels(board: Board) -> Path:
    return CACHE / f"{board.architecture}-wheels"


def bundle(models: Sequence[str] = MODELS, board: Board = IPAD) -> Path:
    """A fresh bundle of this checkout for the board; the folder that holds the package."""
    folder = CACHE / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    make_bundle(board.target, folder, models)
    return folder


def python(arguments: Sequence[str | Path], folder: Path, board: Board = IPAD, **environment: str) -> str:
    """What the board's Python prints when it runs in `folder`; its errors are printed if it fails. (Under emulation every
    process complains once a library that `/lib` is no link there.)"""
    chosen = {"ROOT": str(board.root), "CPU": board.cpu, "QEMU": f"{board.emulator}-static"}
    if board.wheels:
        chosen["WHEELS"] = str(wheels(board))
    variables = {**os.environ, **chosen, **environment}
    command = [str(HERE / "python"), *(str(argument) for argument in arguments)]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        done.check_returncode()
    return done.stdout


def counted(arguments: Sequence[str | Path], folder: Path) -> dict[int, Counts]:
    """{region: {class: instructions}} of a run of the board's Python."""
    plugin, table = CACHE / "count.so", CACHE / "counts.csv"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", plugin, HERE / "count.c"], check=True)
    table.unlink(missing_ok=True)
    python(arguments, folder, QEMU=IPAD.emulator, QEMU_FLAGS=f"-plugin {plugin},out={table}")
    with table.open() as file:
        return {
            int(row.pop("region")): {name: int(number) for name, number in row.items()} for row in csv.DictReader(file)
        }
