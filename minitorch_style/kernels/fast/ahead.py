"""Compilation ahead of need: all kernels of a job at once, in as many processes as there are processors.

A rehearsal of the job tells which kernels it calls, with arguments of which types. Numba compiles one function at a time
in a process, and never gives the memory back that this takes, 100 MB for a job: so other processes fill the cache. What
they fail at, this process compiles itself.

    python -m minitorch_style.kernels.fast.ahead FOLDER VERSION    is such a process: kernels from stdin into FOLDER
"""

from __future__ import annotations

import base64
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeAlias

from minitorch_style.kernels.fast import compilation

Unit: TypeAlias = "tuple[str, Any]"  # a kernel's name and the types of its arguments
Report: TypeAlias = "Callable[[int, int], None]"  # how many of how many are compiled

MOST_PROCESSES = 4  # each takes 150 MB
ROUTINES: Unit = ("", None)
LONGEST = ("rgb_gradient", "direct", "gram", "winograd", "patches", "nearest", "pointwise", "pooling")  # to begin with
ROOT = Path(__file__).resolve().parents[3]


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _compile(unit: Unit) -> None:
    if unit == ROUTINES:
        compilation.compile_routines()
    else:
        name, signature = unit
        compilation.kernels[name].compile(signature)


def _helper() -> subprocess.Popen[str]:
    """A process that compiles."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NUMBA_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, str(compilation.cache.folder), compilation.cache.version],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,  # an interrupt is for this process, which then ends those
    )  # fmt: skip


def _feed(helper: subprocess.Popen[str], units: deque[Unit], done: list[Unit]) -> None:
    """Gives a helper one unit after another while there are any."""
    assert helper.stdin is not None and helper.stdout is not None
    with suppress(IndexError, OSError):  # none left, or the helper has gone
        while True:
            unit = units.popleft()
            helper.stdin.write(base64.b64encode(pickle.dumps(unit)).decode() + "\n")
            helper.stdin.flush()
            if helper.stdout.readline() != "done\n":
                return
            done.append(unit)


def compile_all(wanted: list[Unit], report: Report) -> None:
    """Compiles kernels in other processes until all are in the cache, and loads them from there."""
    rank = {module: number for number, module in enumerate(LONGEST)}
    wanted = sorted(wanted, key=lambda unit: rank.get(unit[0].split(".")[0], len(rank)))
    missing = wanted if compilation.cache.has("routines") else [ROUTINES, *wanted]
    units, done, helpers = deque(missing), list[Unit](), list[subprocess.Popen[str]]()
    report(0, len(missing))
    try:
        with suppress(OSError):  # no more processes: this one compiles what is left
            for _ in range(min(_processors(), MOST_PROCESSES, len(missing)) if sys.executable else 0):
                helpers.append(_helper())
        feeders = [threading.Thread(target=_feed, args=(helper, units, done), daemon=True) for helper in helpers]
        for feeder in feeders:
            feeder.start()
        before = 0
        while any(feeder.is_alive() for feeder in feeders):
            for feeder in feeders:
                feeder.join(0.1)
            if len(done) > before:
                before = len(done)
                report(min(before, len(missing) - 1), len(missing))
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
        for helper in helpers:
            for pipe in (helper.stdin, helper.stdout):
                with suppress(OSError):  # what was not sent, to one that has gone
                    pipe.close()  # type: ignore[union-attr]
    for unit in wanted:
        _compile(unit)  # which is to load it, if another process has compiled it
    report(len(missing), len(missing))


class CompiledAhead:
    """A context: while inside, the first kernel that is not in the cache has all of those compiled that `rehearse()` calls
    and that are not there: calls in it do nothing. Nothing happens where all are there. It can be entered again; there is
    one rehearsal."""

    def __init__(self, rehearse: Callable[[], None], report: Report) -> None:
        self._rehearse, self._report = rehearse, report
        self._rehearsed = False
        self._inside = ExitStack()

    def __enter__(self) -> None:
        self._inside.enter_context(compilation.announcing(self._absent))

    def __exit__(self, *_: object) -> None:
        self._inside.close()

    def _absent(self, unit: Unit) -> None:
        if self._rehearsed:
            return
        self._rehearsed = True
        called = {unit}

        def note(one: Unit) -> bool:
            called.add(one)
            return True

        with compilation.listening(note):
            self._rehearse()
        missing = [one for one in called if not compilation.kept(one)]
        if compilation.cache.writable:
            compile_all(missing, self._report)
        else:  # what the others compile must lie somewhere until this process has read it
            with compilation.cache.temporary():
                compile_all(missing, self._report)


def main() -> None:
    folder, version = sys.argv[1:]
    if version != compilation.cache.version:  # the sources have changed meanwhile
        return
    compilation.cache.use(Path(folder))
    compilation.bind_routines(run=False)
    for line in sys.stdin:
        _compile(pickle.loads(base64.b64decode(line)))
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
