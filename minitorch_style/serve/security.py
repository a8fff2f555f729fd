"""The door: every request passes here before the app sees it.

Host names are checked because a page elsewhere can point its own name at this machine (DNS rebinding), where its requests
come from the same origin; fetch metadata and content types because any page may send simple requests to localhost (CSRF).
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = ("GET", "HEAD")
BODIES = ("application/octet-stream", "application/json")  # which no form can send: browsers ask first (preflight)
HEADER = "x-minitorch-style"  # likewise, for requests without a body
MAX_CLIENTS = 10_000
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; media-src blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


class Door:
    """ASGI middleware. `hosts` are the Host headers that are answered, `token` what a request must show on a network, by
    cookie, by `?token=` or as a bearer. Adds `scope["client_id"]`: the cookie's, else the address."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...], token: str | None = None, secure: bool = False) -> None:
        self.app, self.hosts, self.token, self.secure = app, frozenset(hosts), token, secure
        self.cookie = f"minitorch_style_{hosts[0].rpartition(':')[2]}"  # cookies of one host are those of all its ports
        self._clients: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers, fresh = Headers(scope=scope), ""
        method = scope.get("method", "GET")  # as which a WebSocket begins
        refusal = self._wrong_host(headers) or self._foreign(method, headers)
        if refusal is None:
            known = self._known(headers)
            if known is None and not self._shows_token(scope, headers):
                refusal = 401, "open the link that the server has printed: it carries the key"
            elif known is None and scope["path"] == "/" and method == "GET":
                known = fresh = self._new_client()
            scope["client_id"] = known or (scope.get("client") or ("?",))[0]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out[name] = value
                out.setdefault("cache-control", "no-store")
                if fresh:
                    secure = "; Secure" if self.secure else ""
                    out["set-cookie"] = f"{self.cookie}={fresh}; Path=/; HttpOnly; SameSite=Strict{secure}"
            await send(message)

        if scope["type"] == "websocket":
            if refusal is None:
                await self.app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})  # before it is accepted: an answer of 403
        elif refusal is not None:
            await JSONResponse({"error": refusal[1]}, refusal[0])(scope, receive, sending)
        else:
            await self.app(scope, receive, sending)

    def _wrong_host(self, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) == 1 and hosts[0].lower() in self.hosts:
            return None
        return 421, "this server answers only under the address that it has printed"

    def _foreign(self, method: str, headers: Headers) -> tuple[int, str] | None:
        """A request that another site has made, or that it could have."""
        site = headers.get("sec-fetch-site", "none")
        opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if site not in ("same-origin", "none") and not (method in SAFE and opened):  # a link elsewhere may lead here
            return 403, "another site may not ask this server"
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != headers.get("host", "").lower():
            return 403, "another site may not ask this server"
        if method in SAFE:
            return None
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if HEADER in headers or kind in BODIES:
            return None
        return 415, f"send {' or '.join(BODIES)}, or the header {HEADER}"

    def _known(self, headers: Headers) -> str | None:
        """The client that the cookie names, if this server gave it."""
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return None
        if cookie is None or cookie.value not in self._clients:
            return None
        self._clients.move_to_end(cookie.value)
        return cookie.value

    def _shows_token(self, scope: Scope, headers: Headers) -> bool:
        if self.token is None:
            return True
        shown = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=None).get("token", [""])[0]
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return any(hmac.compare_digest(one.encode(), self.token.encode()) for one in (shown, bearer))

    def _new_client(self) -> str:
        client = secrets.token_hex(16)
        self._clients[client] = None
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return client
