"""What a process may still take, read from made-up systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitorch_style.transfer.memory import available_memory

GB = 10**9


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 64000000 kB\nMemAvailable: 32000000 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def group(folder: str, limit: object, used: int, cache: int = 0) -> dict[str, str]:
    stat = f"anon 5\ninactive_file {cache}\nactive_file 7\n"
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{used}\n",
        f"{folder}/memory.stat": stat,
    }


def group_v1(folder: str, limit: int, used: int, cache: int = 0) -> dict[str, str]:
    stat = f"inactive_file 3\ntotal_inactive_file {cache}\n"
    return {f"{folder}/memory.limit_in_bytes": f"{limit}\n", f"{folder}/memory.usage_in_bytes": f"{used}\n",
            f"{folder}/memory.stat": stat}  # fmt: skip


V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/memory"
SELF = "proc/self/cgroup"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 32_768_000_000),
        ({SELF: "0::/\n", **group(V2, 2 * GB, GB)}, GB),
        ({SELF: "0::/\n", **group(V2, "max", GB)}, 32_768_000_000),
        ({SELF: "0::/\n", **group(V2, 2 * GB, 2 * GB - 10**7, cache=GB)}, GB + 10**7),  # full of cache, which is free
        ({SELF: "0::/a/b\n", **group(f"{V2}/a/b", "max", 5), **group(f"{V2}/a", 3 * GB, GB)}, 2 * GB),
        ({SELF: "0::/a/b\n", **group(f"{V2}/a/b", GB, 5), **group(f"{V2}/a", 3 * GB, 3 * GB - 9)}, 9),
        ({SELF: "0::/elsewhere\n", **group(V2, GB, 0)}, GB),  # a container that is told a path outside itself
        ({SELF: "0::/../x\n", **group(V2, GB, 2 * GB)}, 0),
        ({SELF: "9:name=systemd:/\n4:memory:/a\n0::/\n", **group_v1(f"{V1}/a", GB, 600_000_000, 500_000_000)}, 900_000_000),
        ({SELF: "4:cpu,memory:/docker/1\n", **group_v1(V1, GB, 0)}, GB),
        ({SELF: "4:memory:/\n", **group_v1(V1, 9223372036854771712, 5)}, 32_768_000_000),
        ({SELF: "nonsense\n\n", f"{V2}/memory.max": "no number"}, 32_768_000_000),
    ],
)  # fmt: skip
def test_the_least_of_what_is_free_and_what_groups_allow(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert available_memory(system(tmp_path, files)) == expected


def test_nothing_to_be_read(tmp_path: Path) -> None:
    found = available_memory(tmp_path)
    assert found is None or found > 0


def test_here() -> None:
    found = available_memory()
    assert found is None or found > 0
