"""Tasks shared over threads: by the layer that Numba chose, one computation at a time.

* Numba's `workqueue` layer aborts the process when two threads enter it, so `compute_lock` admits one at a time.
* GNU OpenMP's threads do not survive a `fork()`, and enter no region again: a forked child computes on one thread.
* They wait for each other in a loop, and where another process wants the processor, whole time slices pass so. After
  `SPINS` rounds they sleep: longer than they wait on an idle machine, and no time on a busy one.
* PyTorch brings an OpenMP of its own and offers it to all that is loaded later. Imported first, it has set out with other
  `SPINS`, and small pictures take ten times as long on a busy machine: Numba's layer is bound to the system's.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import struct
import threading
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minitorch_style.kernels.codegen.gemm_tile import counted_loop
from minitorch_style.kernels.fast.routines import INDEX, POINTER, VOID, register
from minitorch_style.kernels.fast.target import JIT

SPINS = "1000"

if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
    os.environ["GOMP_SPINCOUNT"] = SPINS  # read when the library is loaded, with the first kernel

compute_lock = threading.RLock()

_PARALLEL = struct.calcsize("P") == 8 and JIT  # Numba has no threads on 32-bit machines

# void task(char **start, size_t *counts, size_t *steps, void *data): the tasks from start[0] on, counts[0] of them
_TASKS = ir.FunctionType(VOID, [POINTER.as_pointer(), INDEX.as_pointer(), INDEX.as_pointer(), POINTER])
# void parallel_for(task, start, counts, steps, data, inner dimensions, arrays, threads), which Numba's layers have
_LAYER = ir.FunctionType(VOID, [POINTER, *_TASKS.args, INDEX, INDEX, ir.IntType(32)])


def _emit_share(builder: Any, tasks: Any, data: Any, count: Any, layer: Any, threads: Any) -> None:
    """Has `count` tasks done, by the function at the address `layer` if there is one and more than one thread."""
    start, counts, steps = (builder.alloca(kind) for kind in (POINTER, INDEX, INDEX))
    builder.store(POINTER(None), start)
    builder.store(count, counts)
    builder.store(INDEX(1), steps)
    several = [
        builder.icmp_signed("!=", layer, INDEX(0)),
        *(builder.icmp_signed(">", number, INDEX(1)) for number in (count, threads)),
    ]
    with builder.if_else(builder.and_(several[0], builder.and_(*several[1:]))) as (shared, alone):
        with shared:
            number = builder.trunc(threads, ir.IntType(32))
            entry = builder.inttoptr(layer, _LAYER.as_pointer())
            builder.call(entry, [tasks, start, counts, steps, data, INDEX(0), INDEX(1), number])
        with alone:
            builder.call(builder.bitcast(tasks, _TASKS.as_pointer()), [start, counts, steps, data])


_share = register("share", _emit_share, byte="tasks data")


def _lent(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Arguments whose arrays are not counted: the caller holds them for as long as the tasks run, and threads that count
    references to the same array wait for each other."""
    if isinstance(kind, types.BaseTuple):
        for at, own in enumerate(kind.types):
            value = builder.insert_value(value, _lent(context, builder, own, builder.extract_value(value, at)), at)
    elif isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        value = array._getvalue()
    return value


@intrinsic
def share(typing_context, task, count, layer, threads, arguments):
    """Calls task(i, *arguments) for i from 0 to count − 1, in any order and on several threads."""
    called = task.get_call_type(typing_context, (types.int64, *arguments.types), {})

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = context.get_value_type(arguments)
        record = ir.LiteralStructType([kind, ir.IntType(32)])  # the arguments, and whether a task has failed
        data = cgutils.alloca_once(builder, record)
        one = ir.IntType(32)
        lent = _lent(context, builder, arguments, values[4])
        builder.store(lent, builder.gep(data, [one(0), one(0)]))
        builder.store(one(0), builder.gep(data, [one(0), one(1)]))
        compiled = task.dispatcher.overloads[called.args]
        context.add_linking_libs([compiled.library])

        tasks = ir.Function(builder.module, _TASKS, f"{builder.function.name}.tasks")
        tasks.linkage = "internal"
        inner = ir.IRBuilder(tasks.append_basic_block())
        start, counts, _, place = tasks.args
        own = inner.bitcast(place, record.as_pointer())
        tuple_value = inner.load(inner.gep(own, [one(0), one(0)]))
        fields = [inner.extract_value(tuple_value, at) for at in range(len(arguments))]

        def each(carried: list[Any], _: list[Any]) -> list[Any]:
            status, _result = context.call_internal_no_propagate(inner, compiled.fndesc, called, [carried[0], *fields])
            with cgutils.if_unlikely(inner, status.is_error):
                inner.store(one(1), inner.gep(own, [one(0), one(1)]))
            return [inner.add(carried[0], INDEX(1))]

        counted_loop(inner, inner.load(counts), [inner.ptrtoint(inner.load(start), INDEX)], each, [])
        inner.ret_void()

        entry = _share.declared(builder.module)
        count, layer, threads = values[1:4]
        builder.call(entry, [*(builder.bitcast(value, POINTER) for value in (tasks, data)), count, layer, threads])
        failed = builder.load(builder.gep(data, [one(0), one(1)]))
        with cgutils.if_unlikely(builder, builder.icmp_signed("!=", failed, one(0))):
            context.call_conv.return_user_exc(builder, MemoryError, ("scratch memory of a kernel",))
        return context.get_dummy_value()

    return types.void(task, types.int64, types.int64, types.int64, arguments), emit


def _bind_openmp() -> None:
    """Loads Numba's OpenMP layer, where there is one, so that it finds the OpenMP that it was linked with before any other.
    Without effect if it has been loaded before."""
    found = importlib.util.find_spec("numba.np.ufunc.omppool")
    if found is not None and found.origin is not None and hasattr(os, "RTLD_DEEPBIND"):
        with contextlib.suppress(OSError):  # no OpenMP here: Numba takes another layer
            ctypes.CDLL(found.origin, mode=os.RTLD_NOW | os.RTLD_DEEPBIND)


class _Layer:
    """Numba's threads: the address of what shares tasks among them, and how many are to be used."""

    def __init__(self) -> None:
        self.address, self.count = 0, 0

    def begin(self) -> None:
        """Starts the threads, if they are not running."""
        if self.count == 0:
            if _PARALLEL:
                _bind_openmp()
                self.count = int(numba.get_num_threads())  # starts them
                self.address = llvm.address_of_symbol("numba_parallel_for")
            else:
                self.count = 1

    def forked(self) -> None:
        if self.address:  # whose threads are the parent's
            self.address, self.count = 0, 1


layer = _Layer()

if hasattr(os, "register_at_fork"):
    # No thread is inside a kernel then, so that the child finds the lock free and everything whole.
    os.register_at_fork(
        before=compute_lock.acquire, after_in_parent=compute_lock.release, after_in_child=compute_lock.release
    )
    os.register_at_fork(after_in_child=layer.forked)


def threads() -> int:
    """How many threads a parallel kernel uses."""
    layer.begin()
    return layer.count


def set_threads(count: int) -> None:
    """Uses `count` threads, at most the number that Numba was started with (NUMBA_NUM_THREADS, else all cores)."""
    layer.begin()
    if layer.address:
        layer.count = min(count, int(numba.config.NUMBA_NUM_THREADS))
