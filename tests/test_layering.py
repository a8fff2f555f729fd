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
    "values",
    "files",
    "arrays",
    "image",
    "nn",
    "kernels",
    "weights",
    "engine",
    "style",
    "optimizers",
    "restroke",
    "plans",
    "transfer",
    "video",
    "deploy",
    "serve",
    "cli",
]
# Libraries that only one place knows: a file, or a folder.
ONLY_IN = {
    "PIL": ("image/",),
    "pillow_heif": ("image/io.py",),
    "h5py": ("weights/guarded.py",),
    "platformdirs": ("kernels/fast/cache.py", "weights/store.py"),
    "scipy": ("optimizers/lbfgsb.py",),
    "numba": (
        "kernels/fast/compilation.py",
        "kernels/fast/routines.py",
        "kernels/fast/target.py",
        "kernels/fast/threads.py",
    ),
    "threadpoolctl": ("cli/threads.py", "kernels/blas.py", "kernels/reference/products.py"),
    "tqdm": ("cli/batch.py", "cli/stylize.py", "cli/weights.py"),
    "starlette": ("serve/", "cli/serve.py"),
    "uvicorn": ("serve/server.py", "cli/serve.py"),
    "segno": ("cli/serve.py",),
    "av": ("video/frames.py",),
    "cv2": ("video/flow.py", "video/camera.py"),
    "tkinter": ("video/window.py",),
    "distributed": ("transfer/actors.py", "transfer/cluster.py", "transfer/workers.py", "cli/cluster.py"),
    "llvmlite": ("kernels/fast/", "kernels/codegen/", "kernels/native/library.py"),
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
        if top in ONLY_IN and not relative(path).startswith(ONLY_IN[top]):
            assert top == "numba" and relative(path) == "kernels/__init__.py", f"{relative(path)} imports {top}"


def test_kernels_know_layers_but_no_network() -> None:
    for path in (PACKAGE / "kernels").rglob("*.py"):
        known = {".".join(name.split(".")[:3]) for name in imports(path) if room(name) == "nn"}
        assert known <= {"minitorch_style.nn.layers"}, f"{relative(path)} imports {known}"


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
