"""A bundle for a board: the package, its weights as NumPy files, and kernels compiled here for the processor there.

The board needs Python and NumPy, and Pillow for other pictures than PPM; no Numba, no LLVM, no HDF5.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from minitorch_style.errors import SettingsError, UnsupportedError
from minitorch_style.nn.registry import stored_architecture
from minitorch_style.weights.npz import save_npz
from minitorch_style.weights.store import bundled, load_stored

PACKAGE = Path(__file__).resolve().parents[1]
MODELS = ("distilled-perceptual", "distilled", "enet")


def compile_library(name: str, out: Path) -> None:
    """Writes the shared library of native kernels for the target `name`. UnsupportedError if llvmlite or every linker for
    it is missing, SettingsError for an unknown target."""
    try:
        from minitorch_style.kernels.native.library import TARGETS, object_code
    except ImportError as error:
        raise UnsupportedError(f"cross-compiling needs llvmlite, which comes with numba ({error})") from error
    if name not in TARGETS:
        raise SettingsError(f"no target {name!r}; there are {', '.join(TARGETS)}")
    target = TARGETS[name]
    linker = next((found for program in target.linkers if (found := shutil.which(program))), None)
    if linker is None:
        raise UnsupportedError(f"no linker for {target.triple}: install one of {', '.join(target.linkers)}")
    with tempfile.TemporaryDirectory() as folder:
        code, linked = Path(folder) / "kernels.o", Path(folder) / "kernels.so"
        code.write_bytes(object_code(target))
        plain = ["-nostdlib"] if linker.endswith("gcc") else []
        done = subprocess.run(
            [linker, "-shared", *plain, "-o", str(linked), str(code)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise UnsupportedError(f"{linker} could not link for {target.triple}: {done.stderr.strip()}")
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(linked, out)


def make_bundle(name: str, out: Path, models: Iterable[str] = MODELS) -> Path:
    """Writes DIR/minitorch_style for the target `name` with the weights of `models`; the folder. Errors as above, and
    SettingsError for a model that has no weights here or a folder that is not empty."""
    from minitorch_style.kernels.native.library import TARGETS

    if name not in TARGETS:
        raise SettingsError(f"no target {name!r}; there are {', '.join(TARGETS)}")
    with suppress(FileNotFoundError):
        if any(out.iterdir()):
            raise SettingsError(f"{out}: is not empty; name a new folder")
    files = bundled()
    if missing := [model for model in models if model not in files]:
        raise SettingsError(f"no weights for {', '.join(missing)} here; there are {', '.join(files)}")
    package = out / "minitorch_style"
    for machine in TARGETS[name].machines:
        compile_library(name, package / "kernels" / "native" / f"minitorch-{machine}.so")
    for source in PACKAGE.rglob("*.py"):
        copy = package / source.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    (package / "bundled").mkdir()
    for model in models:
        weights = load_stored(files[model], stored_architecture(model))
        save_npz(package / "bundled" / f"{model}.npz", weights)
    return package
