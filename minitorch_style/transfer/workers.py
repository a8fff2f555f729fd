"""The workers of a Dask cluster, and whether they can do what this package does."""

from __future__ import annotations

import pydoc
from typing import Any

from distributed import Client

import minitorch_style
from minitorch_style.errors import ClusterError


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


def answering(client: Client) -> list[str]:
    """Addresses of those that answer now and have this version."""
    return [address for address, version in versions(client).items() if version == minitorch_style.__version__]
