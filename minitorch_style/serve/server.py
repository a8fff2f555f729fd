"""uvicorn, set so that nobody can hold the server up."""

from __future__ import annotations

import asyncio
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from minitorch_style.errors import SettingsError
from minitorch_style.serve.app import App
from minitorch_style.serve.live import MAX_BYTES
from minitorch_style.serve.security import Door

HEADER_SECONDS = 10.0  # that a request's line and headers may take
MAX_CONNECTIONS = 300


class ImpatientProtocol(H11Protocol):
    """Closes connections whose next request does not come: uvicorn itself waits forever for the first, and for one that
    comes byte by byte."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late = self.loop.call_later(HEADER_SECONDS, self._close_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)

    def _close_idle(self) -> None:
        """Looks every so often; a connection that was idle at two looks is closed."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._was_idle and self.transport is not None:
            self.transport.close()
            return
        self._was_idle = idle
        self._late = self.loop.call_later(HEADER_SECONDS, self._close_idle)

    def handle_websocket_upgrade(self, event: Any) -> None:
        if self._late is not None:  # from here on another protocol has the connection, and its own patience
            self._late.cancel()
        super().handle_websocket_upgrade(event)

    _was_idle = True  # at the start


@dataclass(frozen=True)
class Address:
    """Where the server listens: a bound socket, the link to open, the Host headers that it answers, the key on a network."""

    socket: socket.socket
    link: str
    hosts: tuple[str, ...]
    token: str | None


def own_address() -> str:
    """The address of this machine in its network, as a packet to elsewhere would have it; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
        except OSError as error:
            raise SettingsError("this machine is in no network, so --lan has nobody to serve") from error
        return str(probe.getsockname()[0])


def listen(port: int, lan: bool, secure: bool) -> Address:
    """Binds to 127.0.0.1, or with `lan` to the machine's own address in its network. SettingsError if it cannot."""
    host = own_address() if lan else "127.0.0.1"
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("0.0.0.0" if lan else host, port))  # localhost too, for whoever sits at the machine
        bound.listen(128)  # who comes before uvicorn is ready waits
    except (OSError, OverflowError) as error:
        bound.close()
        raise SettingsError(f"port {port} cannot be used ({getattr(error, 'strerror', None) or error})") from error
    port = bound.getsockname()[1]
    names = [host, "localhost", "127.0.0.1", "[::1]"]
    hosts = [f"{name}:{port}" for name in names] + (names if port == (443 if secure else 80) else [])
    token = secrets.token_urlsafe(16) if lan else None
    link = f"{'https' if secure else 'http'}://{host}:{port}/" + (f"?token={token}" if token else "")
    return Address(bound, link, tuple(hosts), token)


def serve(app: App, address: Address, certificate: Path | None = None, key: Path | None = None) -> None:
    """Until Ctrl-C."""
    serving(app, address, certificate, key).run(sockets=[address.socket])


def serving(app: App, address: Address, certificate: Path | None = None, key: Path | None = None) -> uvicorn.Server:
    """The server, ready to run on the address's socket."""
    door = Door(app.asgi, address.hosts, address.token, certificate is not None)
    files: dict[str, Any] = {"ssl_certfile": certificate, "ssl_keyfile": key} if certificate is not None else {}
    config = uvicorn.Config(
        door,
        http=ImpatientProtocol,
        ws="none" if app.live_painter is None else "websockets-sansio",
        ws_max_size=MAX_BYTES,
        ws_per_message_deflate=False,  # JPEG does not get smaller, and small messages could swell
        lifespan="on",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=16_384,
        **files,
    )
    return uvicorn.Server(config)
