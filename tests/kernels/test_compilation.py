"""The compiler's cache in the hands of real processes: other processors, damage, no place, others' folders, forks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.jit, pytest.mark.slow]

PACKAGE = Path(__file__).resolve().parents[2] / "minitorch_style"
CODE = """
import json, sys
import numpy as np
from minitorch_style.kernels import kernel_set, notes
from minitorch_style.kernels.buffers import Buffer
kernels = kernel_set("numba")
from minitorch_style.kernels.fast import compilation, target
from numba.core import compiler
made, compile_extra = [], compiler.compile_extra
def counted(*arguments, **options):
    made.append(1)
    return compile_extra(*arguments, **options)
compiler.compile_extra = counted
rng = np.random.default_rng(0)
buffer = Buffer((6, 10, 40), slack=kernels.tap_slack(40))
buffer.interior[...] = rng.standard_normal(buffer.shape)
flat = buffer.interior.reshape(-1, 40).astype(float)
error = float(np.abs(kernels.gram(buffer) - flat.T @ flat).max())
folder = compilation.cache.folder
print(json.dumps({"error": error, "compiled": len(made), "width": target.VECTOR_WIDTH, "notes": notes(),
                  "folder": folder and str(folder)}))
"""


def gram(folder: Path | None, root: Path = PACKAGE.parent, code: str = CODE, **environment: str) -> Any:
    """What a new process finds that computes a Gram matrix with a cache below `folder`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA", "MINITORCH"))}
    named = {} if folder is None else {"MINITORCH_STYLE_CACHE": str(folder)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True,
        env={**kept, "PYTHONPATH": str(root), "NUMBA_NUM_THREADS": "2", **named, **environment}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    found = json.loads(done.stdout)
    assert found["error"] < 1e-3
    return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    assert gram(folder)["compiled"] > 0
    return folder


@pytest.fixture
def cache(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "cache"))


def test_a_second_process_compiles_nothing_and_a_copy_of_the_package_shares_it(cache: Path, tmp_path: Path) -> None:
    assert gram(cache)["compiled"] == 0
    copy = tmp_path / "elsewhere" / "minitorch_style"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert gram(cache, copy.parent)["compiled"] == 0
    path = copy / "kernels" / "codegen" / "gemm_tile.py"  # which no kernel's own file is
    path.write_text(path.read_text() + "# edited\n")
    assert gram(cache, copy.parent)["compiled"] > 0


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names processors of the x86")
def test_each_processor_has_its_own_kernels_and_width(cache: Path) -> None:
    host = gram(cache)
    generic = gram(cache, NUMBA_CPU_NAME="generic")
    assert generic["compiled"] > 0 and generic["width"] == 4
    assert generic["folder"] != host["folder"]
    wider = gram(cache, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="+sse4.2")
    assert wider["compiled"] > 0 and len({host["folder"], generic["folder"], wider["folder"]}) == 3
    again = gram(cache)
    assert (again["compiled"], again["width"]) == (0, host["width"])


def test_damaged_files_are_compiled_anew_and_mended(cache: Path) -> None:
    files = list(cache.rglob("*.bin"))
    assert len(files) > 3
    for number, path in enumerate(files):
        data = path.read_bytes()
        path.write_bytes([b"", data[: len(data) // 2], bytes(len(data)), data[:-1] + b"?"][number % 4])
    assert gram(cache)["compiled"] > 0
    assert gram(cache)["compiled"] == 0


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_that_others_may_write_to_is_refused_with_a_note(cache: Path) -> None:
    (cache / "kernels").chmod(0o777)
    found = gram(cache)
    assert found["compiled"] > 0 and found["folder"] is None
    assert len(found["notes"]) == 1 and "others may write" in found["notes"][0]


@pytest.mark.parametrize("home", [os.devnull, "/proc/none"])
def test_kernels_run_where_no_cache_can_be_written(home: str) -> None:
    found = gram(None, HOME=home, XDG_CACHE_HOME=home, LOCALAPPDATA=home)
    assert found["compiled"] > 0 and found["folder"] is None and not found["notes"]


FORKED = (
    CODE
    + """
import multiprocessing, os, threading
expected = kernels.gram(buffer).tobytes()
def job(number):
    return kernels.gram(buffer).tobytes() == expected
context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    assert all(pool.map_async(job, range(4)).get(timeout=100))
running = [True]
def busy():
    while running:
        kernels.gram(buffer)
thread = threading.Thread(target=busy)
thread.start()
for _ in range(5):  # beside a thread that computes
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(0 if job(0) else 1)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) or (0 if job(0) else 1))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
running.clear()
thread.join()
assert job(0)
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_computes_the_same(cache: Path) -> None:
    gram(cache, code="import warnings; warnings.simplefilter('ignore')\n" + FORKED)


AHEAD = """
import json
import numpy as np
from minitorch_style.kernels import compiled_ahead, kernel_set
from minitorch_style.kernels.buffers import Buffer
from minitorch_style.kernels.fast import ahead, compilation, routines
from numba.core import compiler
ahead._processors = lambda: 2
here = []
def counted(function):
    return lambda *arguments, **options: (here.append(function.__name__), function(*arguments, **options))[1]
compiler.compile_extra, routines.library = counted(compiler.compile_extra), counted(routines.library)
kernels, told, calls = kernel_set("numba"), [], []
buffer, out = (Buffer((6, 10, 40), slack=kernels.tap_slack(40)) for _ in range(2))
buffer.interior[...] = 1
def work():
    calls.append(1)
    total = kernels.gram(buffer)
    kernels.product(buffer, np.eye(40, dtype=np.float32), out, False)
    return total
with compiled_ahead(work, lambda done, count: told.append((done, count))):
    total = work()
    again = work()
folder = compilation.cache.folder
print(json.dumps({"error": abs(float(total[0, 39]) - 60) + float(abs(out.interior - 1).max()), "told": told, "here": here,
                  "calls": len(calls), "files": sorted(path.name for path in folder.iterdir()) if folder else []}))
"""


@pytest.mark.parametrize("kept", [True, False])
def test_kernels_compiled_ahead(tmp_path: Path, kept: bool) -> None:
    """A rehearsal tells all, it and only it computes nothing, and a second run compiles nothing."""
    place = {} if kept else {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull, "LOCALAPPDATA": os.devnull}
    first = gram(tmp_path if kept else None, code=AHEAD, **place)
    assert first["told"][0][0] == 0 and first["told"][-1] == [first["told"][0][1]] * 2
    assert first["calls"] == 3
    assert not first["here"], "the memory that compiling takes is never given back"
    if kept:
        again = gram(tmp_path, code=AHEAD)
        assert again["told"] == [] and again["calls"] == 2 and again["files"] == first["files"]
