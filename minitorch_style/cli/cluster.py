"""--scheduler and --workers: a Dask cluster for the commands that can use one."""

from __future__ import annotations

import argparse
import ipaddress
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from minitorch_style.cli.values import whole
from minitorch_style.errors import ClusterError, SettingsError, UnsupportedError

SECONDS = 10  # to reach the scheduler
MOST_WORKERS = 256
# Run by each worker here: a terminal's Ctrl-C reaches all processes, and this one ends its workers itself.
DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


def add_cluster(parser: argparse.ArgumentParser, shared: str) -> None:
    """`shared` says what so many processes do."""
    parser.add_argument("--workers", type=whole, metavar="N", help=f"{shared}, in N processes of one thread each")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="paint on the workers of this Dask cluster: tls://HOST:8786"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="allow a --scheduler on another machine without TLS (tcp://)"
    )


@contextmanager
def connected(options: argparse.Namespace) -> Iterator[Any]:
    """A client of the cluster that the options name, or None where they name none. ClusterError, SettingsError."""
    if options.scheduler is None and options.workers is None:
        yield None
        return
    if options.scheduler is not None and options.workers is not None:
        raise SettingsError("--workers starts a cluster here, --scheduler uses one that is there: give one of them")
    if options.workers is not None and not 1 <= options.workers <= MOST_WORKERS:
        raise SettingsError(f"--workers must be from 1 to {MOST_WORKERS}, is {options.workers}")
    if options.scheduler is not None:
        _require_safe(options.scheduler, options.insecure)
    try:
        from distributed import Client, LocalCluster, Security
    except ImportError as error:
        raise UnsupportedError(f"a cluster needs {error.name}: pip install 'minitorch-style[cluster]'") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is told in one line by the command
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("distributed."):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if options.workers is not None:
            cluster = LocalCluster(
                n_workers=options.workers, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL, preload=[DEAF],
            )  # fmt: skip
            target: Any = stack.enter_context(cluster)
        else:
            target = options.scheduler
        try:
            security = Security()  # of Dask's own settings
            if str(target).startswith("tls:") and security.get_connection_args("client").get("ssl_context") is None:
                raise SettingsError(
                    f"{target}: Dask's settings distributed.comm.tls name no certificates for the client"
                )
            client = Client(
                target, timeout=SECONDS, set_as_default=False, security=security,
                direct_to_workers=options.workers is not None,
            )  # fmt: skip
        except (OSError, RuntimeError) as error:  # nobody there, or a certificate that is not taken
            raise ClusterError(f"{options.scheduler}: {error}") from error
        stack.callback(client.close)
        yield client


def _require_safe(address: str, insecure: bool) -> None:
    """SettingsError unless the address is Dask's and nobody between here and there can read or send what is executed."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("tcp", "tls"):
        raise SettingsError(f"--scheduler {address!r} is no address like tls://HOST:8786 or tcp://localhost:8786")
    if parts.scheme == "tcp" and not insecure and not _is_here(host):
        raise SettingsError(
            f"--scheduler {address}: without TLS whoever is on the way can run programs on both machines; use tls://, or "
            "say --insecure"
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
