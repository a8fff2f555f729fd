"""Records as arguments: NamedTuples taken apart into plain values where something knows only these, and put together again.

Python hands a kernel plain values, since Numba looks several times longer at a tuple; LLVM's functions take nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_type_hints


def is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def leaves(name: str, kind: Any) -> Iterator[tuple[str, Any]]:
    """(name, type) of each plain value in an argument `name` of type `kind`, in their order."""
    if not is_record(kind):
        yield name, kind
        return
    for field, own in get_type_hints(kind).items():
        yield from leaves(f"{name}_{field}", own)


def gathered(kind: Any, values: Iterator[Any]) -> Any:
    """An argument of type `kind`, made of the next of its `values`."""
    if not is_record(kind):
        return next(values)
    return kind(*(gathered(own, values) for own in get_type_hints(kind).values()))


def scattered(name: str, kind: Any) -> str:
    """Python that makes the leaves of an argument, each with a comma behind it."""
    kinds = list(get_type_hints(kind).values()) if is_record(kind) else []
    if not any(is_record(own) for own in kinds):
        return f"*{name}, " if kinds else f"{name}, "
    return "".join(scattered(f"{name}[{at}]", own) for at, own in enumerate(kinds))


def source(name: str, kind: Any, scope: dict[str, Any]) -> str:
    """Python that makes an argument of its leaves; the records that it names are put into `scope`."""
    if not is_record(kind):
        return name
    scope[kind.__name__] = kind
    parts = [source(f"{name}_{field}", own, scope) for field, own in get_type_hints(kind).items()]
    return f"{kind.__name__}({', '.join(parts)})"
