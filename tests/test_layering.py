"""The house's rule: imports run one way. Reads the source of every module and fails at an arrow that points back."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "minitorch_style"

# Rooms from the ground up: a module may import rooms above its own line in this list, and its own.
ROOMS = [
    "errors",
    "download",
    "layers",
    "networks",
    "kernels",
    "netpbm",
    "images",
    "colours",
    "steps",
    "memory",
    "plan",
    "weights",
    "binarise",
    "hdf5",
    "npz",
    "library",
    "checkpoints",
    "convert",
    "network",
    "normalise",
    "losses",
    "objective",
    "profile",
    "optimizers",
    "segment",
    "settings",
    "estimate",
    "transfer",
    "judge",
    "crosscompile",
    "cli",
]
# Libraries that only one place knows.
ONLY_IN = {
    "PIL": ("images.py",),
    "h5py": ("hdf5.py",),
    "scipy": ("optimizers/lbfgsb.py",),
    "numba": ("kernels/numba_ops/compilation.py",),
    "threadpoolctl": ("cli/threads.py",),
    "tqdm": ("cli/stylize.py", "cli/weights.py"),
    "llvmlite": (
        "kernels/numba_ops/compilation.py",
        "kernels/numba_ops/lanes.py",
        "kernels/numba_ops/places.py",
        "kernels/numba_ops/rows.py",
        "kernels/numba_ops/microkernel.py",
        "kernels/numba_ops/winograd_weights.py",
        "kernels/tile_ir.py",
        "kernels/native_ir.py",
    ),
}
NOWHERE = ("torch", "matplotlib")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Full names of everything imported, at the top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "minitorch_style" and parts[1] in ROOMS else None


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_imports_run_one_way(path: Path) -> None:
    own = relative(path).split("/")[0].removesuffix(".py")
    if own in ("__init__", "__main__"):
        return
    assert own in ROOMS, f"{own} has no place in the house: add it to ROOMS where it belongs"
    for name in imports(path):
        other = room(name)
        if other is not None:
            assert ROOMS.index(other) <= ROOMS.index(own), f"{relative(path)} imports {name}, which stands above it"


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_each_library_has_one_door(path: Path) -> None:
    for name in imports(path):
        top = name.split(".")[0]
        assert top not in NOWHERE, f"{relative(path)} imports {top}"
        if top in ONLY_IN and relative(path) not in ONLY_IN[top]:
            assert top == "numba" and relative(path) == "kernels/__init__.py", f"{relative(path)} imports {top}"


def test_kernels_know_no_network() -> None:
    for path in (PACKAGE / "kernels").rglob("*.py"):
        assert not any(room(name) == "networks" for name in imports(path)), relative(path)


def test_only_the_command_line_prints() -> None:
    for path in modules():
        if not relative(path).startswith("cli/"):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            assert not any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls), relative(
                path
            )


def test_the_oracle_is_independent() -> None:
    allowed = {"numpy", "collections", "__future__"}
    assert {name.split(".")[0] for name in imports(Path(__file__).parent / "oracle.py")} <= allowed


def test_import_is_cheap() -> None:
    """`import minitorch_style` loads none of the libraries; each comes with its first use."""
    import subprocess

    code = "import sys, minitorch_style; print(','.join(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert not {"numpy", *ONLY_IN} & set(loaded.stdout.strip().split(","))
