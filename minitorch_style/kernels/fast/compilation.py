"""How kernels are compiled, and the policy for all of them.

* `kernel`: a compiled function, kept on disk. `parallel_kernel`: one whose tasks are spread over threads.
* Floating point is IEEE except that a multiplication and an addition may fuse (`contract`), so results do not depend on
  how LLVM orders sums, and not on the number of threads.
* A cache that cannot be written, or is damaged, only costs compilation time, never a failure.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec, TypeAlias, get_type_hints

import llvmlite
import numba
from numba import types
from numba.core import compiler, serialize
from numba.core.caching import _Cache
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from minitorch_style.kernels.fast import cache as disk
from minitorch_style.kernels.fast import records, routines
from minitorch_style.kernels.fast.target import JIT, VECTOR_WIDTH, codegen
from minitorch_style.kernels.fast.threads import layer, share

__all__ = ["cache", "inlined_kernel", "intrinsic", "kernel", "parallel_kernel", "reassociating_kernel", "types"]

Function: TypeAlias = Callable[..., Any]
P = ParamSpec("P")

_PACKAGE = __name__.rpartition(".")[0]

# Numba's settings that change what it makes of a kernel.
_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "ENABLE_AVX", "DEBUGINFO_DEFAULT")


def _version() -> str:
    """Of all that a compiled kernel depends on besides the types of its arguments."""
    settings = [(name, getattr(numba.config, name, None)) for name in _SETTINGS]
    return disk.digest(
        [sys.implementation.cache_tag, struct.calcsize("P"), numba.__version__, llvmlite.__version__,
         *codegen().magic_tuple(), VECTOR_WIDTH, settings]
    )  # fmt: skip


cache = disk.Cache(disk.user_folder(numba.config.CACHE_DIR) if JIT else None, _version() if JIT else "")


_bound = False


def _load_routines() -> None:
    """Has all modules that hold routines name theirs, whichever are needed now."""
    import minitorch_style.kernels.fast.backend
    import minitorch_style.kernels.fast.patch_backend
    import minitorch_style.kernels.fast.vectors  # noqa: F401


@global_compiler_lock
def compile_routines() -> Any:
    """All routines, compiled and put into the cache: a code library of Numba's."""
    _load_routines()
    library = routines.library()
    cache.write("routines", pickle.dumps(library.serialize_using_object_code()))
    return library


@global_compiler_lock
def bind_routines(run: bool = True) -> None:
    """Has kernels find their routines, from the cache or compiled for it. A process that compiles kernels and does not
    `run` them needs none."""
    global _bound
    if _bound:
        return
    _load_routines()
    data = cache.read("routines") if run else None
    if not run:
        routines.bind_nowhere()
    elif data is not None:
        routines.bind(codegen().unserialize_library(pickle.loads(data)))
    else:
        routines.bind(compile_routines())
    _bound = True


class _Overloads(_Cache):  # type: ignore[misc]
    """The compiled versions of one function, as a dispatcher of Numba's asks for them and gives them. They are kept if
    it belongs to the package, whose sources name the folder."""

    def __init__(self, name: str, kept: bool) -> None:
        self.name, self.kept = name, kept

    @property
    def cache_path(self) -> str:
        return str(cache.folder)

    def file(self, signature: Any) -> str:
        return f"{self.name}-{hashlib.sha256(str(signature).encode()).hexdigest()[:16]}"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        absent = _absent.get()
        if absent is not None and self.name in kernels and not cache.has(self.file(signature)):
            absent((self.name, signature))
            if signature in kernels[self.name].overloads:
                return kernels[self.name].overloads[signature]
        bind_routines()
        target_context.refresh()
        data = cache.read(self.file(signature)) if self.kept else None
        return None if data is None else compiler.CompileResult._rebuild(target_context, *pickle.loads(data))

    def save_overload(self, signature: Any, result: Any) -> None:
        if self.kept:
            cache.write(self.file(signature), serialize.dumps(result._reduce()))

    def enable(self) -> None: ...
    def disable(self) -> None: ...
    def flush(self) -> None: ...


kernels: dict[str, Any] = {}  # those that Python calls, by name
Unit: TypeAlias = "tuple[str, Any]"  # a kernel's name and the types of its arguments
Listener: TypeAlias = "Callable[[Unit], bool]"  # told of each call; True if it is not to be made

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_absent: ContextVar[Callable[[Unit], None] | None] = ContextVar("absent", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """While inside, `listener` is asked before each call of a parallel kernel that this thread makes. That costs as much as
    many a kernel: Numba's own way to the types of arguments is several times as fast."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def announcing(absent: Callable[[Unit], None]) -> Iterator[None]:
    """While inside, `absent` is told of each parallel kernel that this thread calls and that is not in the cache, before it
    is compiled."""
    token = _absent.set(absent)
    try:
        yield
    finally:
        _absent.reset(token)


def kept(unit: Unit) -> bool:
    """Whether a kernel is compiled for such arguments, or in the cache."""
    name, signature = unit
    compiled = kernels[name]
    return signature in compiled.overloads or cache.has(compiled._cache.file(signature))


def _compile(function: Function, module: str, name: str, **options: Any) -> Function:
    options = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy", **options}
    compiled: Function = numba.njit(**options)(function)
    if JIT:
        kept = module.startswith(f"{_PACKAGE}.")
        compiled._cache = _Overloads(f"{module.removeprefix(_PACKAGE)[1:]}.{name}", kept)  # type: ignore[attr-defined]
    return compiled


def kernel(function: Function) -> Function:
    return _compile(function, function.__module__, function.__name__)


def inlined_kernel(function: Function) -> Function:
    """A kernel whose text stands where another calls it, for what is done at every pixel."""
    return _compile(function, function.__module__, function.__name__, inline="always")


def reassociating_kernel(function: Function) -> Function:
    """A kernel whose sums LLVM may reorder into vector lanes: an order fixed when it is compiled, the same every run."""
    return _compile(function, function.__module__, function.__name__, fastmath={"contract", "reassoc"})


def _entry(task: Function, **options: Any) -> tuple[Function, Function]:
    """What Python calls, which takes the leaves of the task's arguments one by one and shares the tasks out; and what makes
    its arguments."""
    hints = get_type_hints(task)
    kinds = {name: hints.get(name) for name in list(inspect.signature(task).parameters)[1:]}
    scope = {
        "__name__": task.__module__,
        "_share": share,
        "_task": _compile(task, task.__module__, f"{task.__name__}.task", **options),
    }
    names = ", ".join(leaf for name, kind in kinds.items() for leaf, _ in records.leaves(name, kind))
    values = ", ".join(records.source(name, kind, scope) for name, kind in kinds.items())
    head = f"def {task.__name__}(_count, _layer, _threads, {names})"
    exec(f"{head}: _share(_task, _count, _layer, _threads, ({values},))", scope)
    given = "".join(records.scattered(name, kind) for name, kind in kinds.items())
    own: dict[str, Any] = {"_threads": layer}
    exec(f"def _values(_count, {', '.join(kinds)}): return _count, _threads.address, _threads.count, {given}", own)
    arguments: Function = own["_values"]
    return _compile(scope[task.__name__], task.__module__, task.__name__), arguments


def parallel_kernel(task: Callable[Concatenate[int, P], None]) -> Callable[Concatenate[int, P], None]:
    """`task(i, …)` becomes a function (count, …) that calls it for i from 0 to count − 1, in any order and on several
    threads: no two of them may write to the same place. Arguments that are records (`arguments`) have to be annotated."""
    return _shared(task)


def exact_parallel_kernel(task: Callable[Concatenate[int, P], None]) -> Callable[Concatenate[int, P], None]:
    """Likewise, whose products and sums are each rounded by themselves, as NumPy's are."""
    return _shared(task, fastmath=False)


def _shared(task: Callable[Concatenate[int, P], None], **options: Any) -> Callable[Concatenate[int, P], None]:
    if not JIT:

        @functools.wraps(task)
        def interpreted(count: int, /, *arguments: P.args, **named: P.kwargs) -> None:
            for i in range(count):
                task(i, *arguments, **named)

        return interpreted

    compiled, values_of = _entry(task, **options)
    name = compiled._cache.name  # type: ignore[attr-defined]
    kernels[name] = compiled

    @functools.wraps(task)
    def run(count: int, /, *arguments: P.args, **named: P.kwargs) -> None:
        layer.begin()
        values = values_of(count, *arguments, **named)
        listener = _listener.get()
        if listener is None or not listener((name, tuple(map(compiled.typeof_pyval, values)))):  # type: ignore[attr-defined]
            compiled(*values)

    return run
