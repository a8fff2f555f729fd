"""Fetching a file over HTTPS: resumed where it broke off, checked by its SHA-256, under its name only when whole."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from minitorch_style.errors import DownloadError

ATTEMPTS = 4
TIMEOUT = 30.0  # seconds without a byte
PIECE = 1 << 16
LARGEST = 2 << 30  # bytes; the largest checkpoint published is a quarter of it
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Progress = Callable[[int, int | None], None]


def _require_https(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise DownloadError(f"{url}: only https addresses are fetched")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request: Any, file: Any, code: int, message: str, headers: Any, url: str) -> Any:
        _require_https(url)
        return super().redirect_request(request, file, code, message, headers, url)


def _append(url: str, part: Path, progress: Progress) -> bool:
    """Fetches what `part` still lacks; True when the server has sent all that it promised."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.build_opener(_SafeRedirects).open(request, timeout=TIMEOUT) as response:
        resumed = response.status == 206
        if not resumed:
            have = 0  # the server sends everything from the start
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None and length.isdecimal() and len(length) < 19 else None
        if (total or 0) > LARGEST:
            raise DownloadError(f"{url}: {total} bytes are far more than any checkpoint has")
        with part.open("ab" if resumed else "wb") as file:
            while piece := response.read(PIECE):
                file.write(piece)
                have += len(piece)
                if have > LARGEST:
                    raise DownloadError(f"{url}: sends far more bytes than any checkpoint has")
                progress(have, total)
    return total is None or have >= total


def fetch(url: str, target: Path, sha256: str, progress: Progress = lambda done, total: None) -> None:
    """Downloads `url` to `target`. `sha256` is the file's digest in hexadecimal, or as much of its beginning as its
    publisher tells. What arrived stays beside the target, named .part, and a later call goes on from there; a file whose
    digest is wrong is deleted. Raises DownloadError. `progress(bytes so far, bytes in all or None)`."""
    _require_https(url)
    part = target.with_name(target.name + ".part")
    reason: object = "the connection was cut"
    for _ in range(ATTEMPTS):
        try:
            if _append(url, part, progress):
                break
        except urllib.error.HTTPError as error:
            if error.code != 416:  # 416: what is there is no beginning of the file
                raise DownloadError(f"{url}: {error.code} {error.reason}") from error
            part.unlink(missing_ok=True)
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = error
    else:
        raise DownloadError(f"{url}: {reason}; what arrived is kept, the same command goes on from there")
    try:
        _put(part, target, sha256, url)
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written ({error.strerror or error})") from error


def _put(part: Path, target: Path, sha256: str, url: str) -> None:
    """Gives a whole file its name. DownloadError, and the file is gone, if it is another than expected."""
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    if not digest.hexdigest().startswith(sha256):
        part.unlink()
        raise DownloadError(
            f"{url}: SHA-256 {digest.hexdigest()}, expected {sha256}…; the file is not what it should be"
        )
    part.replace(target)
