"""The workers of a Dask cluster, and whether they can do what this package does."""

from __future__ import annotations

import pydoc
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from distributed import Client

import minitorch_style
from minitorch_style.errors import ClusterError, in_bytes
from minitorch_style.transfer.memory import available_memory


def workers(client: Client) -> list[str]:
    """Addresses of the workers that are there now."""
    return list(client.scheduler_info(n_workers=-1)["workers"])


def versions(client: Client) -> dict[str, Any]:
    """{address: what version of this package a worker has, None, or an exception}. Asked with a function of Python's own,
    which a worker without the package can run."""
    found: dict[str, Any] = client.run(pydoc.locate, "minitorch_style.__version__", on_error="return")
    return found


def require_alike(client: Client) -> list[str]:
    """The workers' addresses. ClusterError unless there are some and each has this package in this version."""
    found = versions(client)
    if not found:
        raise ClusterError("the cluster has no workers")
    for address, version in found.items():
        if version is None:
            raise ClusterError(f"the worker {address} has no minitorch_style; install it there")
        if isinstance(version, Exception):
            raise ClusterError(f"the worker {address} cannot be asked for its version of minitorch_style ({version})")
        if version != minitorch_style.__version__:
            raise ClusterError(
                f"the worker {address} has minitorch_style {version}, this is {minitorch_style.__version__}"
            )
    return list(found)


def require_room(client: Client, needed: int) -> None:
    """ClusterError if a machine has less memory left than its workers need, `needed` bytes each."""
    free: dict[str, int | None] = client.run(available_memory)
    hosts = Counter(urlsplit(address).hostname for address in free)
    for address, left in free.items():
        count = hosts[urlsplit(address).hostname]
        if left is not None and count * needed > left:
            raise ClusterError(
                f"the worker {address} needs about {in_bytes(needed)} for its tiles, and of its machine's memory "
                f"{in_bytes(left // count)} are left for each of {count}: take more machines or a smaller picture"
            )


def answering(client: Client) -> list[str]:
    """Addresses of those that answer now and have this version."""
    return [address for address, version in versions(client).items() if version == minitorch_style.__version__]
