"""How much memory this process may still take, and refusing a transfer that needs more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from minitorch_style.errors import TooLittleMemoryError, in_bytes

# Files of a control group, by version: its limit, what it uses, and the name in memory.stat of the file cache in that,
# which the system gives back when memory is wanted.
V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take, as far as the system tells: the least of what is free and what its control
    group and those around it allow. None where nothing can be read. `root` is where `proc` and `sys` lie."""
    limits = [*_free(root / "proc" / "meminfo"), *_groups(root)]
    if not limits and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=None)


def _read(path: Path) -> str:
    """What is in a file of the system, nothing where it cannot be read."""
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def _free(meminfo: Path) -> Iterator[int]:
    for line in _read(meminfo).splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _groups(root: Path) -> Iterator[int]:
    """What each control group from this process's own up to the outermost leaves it."""
    mount = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        hierarchy, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "memory" in controllers.split(","):
            yield from _chain(mount / "memory", path, V1)
        elif hierarchy == "0":  # version 2, alone or beside version 1
            yield from _chain(mount, path, V2)


def _chain(mount: Path, path: str, names: tuple[str, str, str]) -> Iterator[int]:
    """In a container the group's own folder may be the mount itself, whatever `path` says."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        left = _left(mount.joinpath(*parts[:depth]), names)
        if left is not None:
            yield left


def _left(folder: Path, names: tuple[str, str, str]) -> int | None:
    limit, used = _read(folder / names[0]).strip(), _read(folder / names[1]).strip()
    if not limit.isdecimal() or not used.isdecimal():
        return None  # no limit ("max"), or no such group
    cache = sum(
        int(line.split()[1]) for line in _read(folder / "memory.stat").splitlines() if line.startswith(f"{names[2]} ")
    )
    return max(0, int(limit) - max(0, int(used) - cache))


def require_memory(needed: int, base: int, size: tuple[int, int], available: int | None) -> None:
    """TooLittleMemoryError, with the size that would fit, if `needed` bytes are more than `available`. `base` of them are needed
    whatever the size, the rest grows with the pixels."""
    if available is None or needed <= available:
        return
    share = (available - base) / (needed - base) if needed > base else 0.0
    fitting = int(max(size) * max(0.0, share) ** 0.5 * 0.97) // 16 * 16
    fits = f"--size {fitting} or a smaller model would fit" if fitting >= 16 else "no size of this model would fit"
    sentence = (
        f"{size[1]}×{size[0]} pixels need about {in_bytes(needed)}, and {in_bytes(available)} may be used; {fits}"
    )
    raise TooLittleMemoryError(sentence, needed, available)
