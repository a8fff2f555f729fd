"""Pictures that clients have sent: read from the stream with a counter, decoded apart, kept for an hour in a folder that
is emptied."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from minitorch_style.errors import ImageError
from minitorch_style.serve.decoder import Decoded, Decoder
from minitorch_style.serve.errors import Refused
from minitorch_style.serve.probe import probe

KEPT_SECONDS = 3600
MAX_PICTURES = 256
MAX_UPLOADS = 16  # at once
CHUNK_SECONDS, UPLOAD_SECONDS = 10.0, 120.0  # that a sender may be silent, and take


@dataclass
class Uploaded:
    """A decoded picture in the folder."""

    id: str
    path: Path
    decoded: Decoded
    used: float = field(default_factory=time.monotonic)


class Pictures:
    """{id: picture}; ids are random, and the only way to a file."""

    def __init__(self, folder: Path, most_bytes: int, longest: int) -> None:
        self.folder, self.most_bytes, self.longest = folder, most_bytes, longest
        self.decoder = Decoder()
        self.chunk_seconds, self.upload_seconds = CHUNK_SECONDS, UPLOAD_SECONDS
        self._held: dict[str, Uploaded] = {}
        self._uploads = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, id: object) -> Uploaded | None:
        found = self._held.get(id) if isinstance(id, str) else None
        if found is not None:
            found.used = time.monotonic()
        return found

    async def receive(self, stream: AsyncIterator[bytes], length: str | None) -> Uploaded:
        """Refused: 413 too large, 408 too slow, 415 no picture, 422 a picture that cannot be read, 503 too many, 507 the
        disk is full."""
        if length is not None and (not length.isdecimal() or len(length) > 20):
            raise Refused(400, "the length of the upload is no number")
        if length is not None and int(length) > self.most_bytes:
            raise self._too_large()
        if self._uploads >= MAX_UPLOADS:
            raise Refused(503, "too many pictures are arriving at once; try again soon")
        self._make_room()
        self._uploads += 1
        id = secrets.token_hex(16)
        raw, target = self.folder / f"{id}.upload", self.folder / f"{id}.tif"
        try:
            with raw.open("w+b") as file:
                await self._copy(stream, file)
                file.flush()
                file.seek(0)
                try:
                    probe(file)
                except ImageError as error:
                    raise Refused(415, str(error)) from error
            decoded = await asyncio.to_thread(self.decoder, raw, target, self.longest)
        except ImageError as error:
            raise Refused(422, str(error)) from error
        except OSError as error:
            raise Refused(507, f"the picture cannot be kept: {error.strerror or error}") from error
        finally:
            self._uploads -= 1
            with suppress(OSError):
                raw.unlink(missing_ok=True)
        self._held[id] = Uploaded(id, target, decoded)
        return self._held[id]

    async def _copy(self, stream: AsyncIterator[bytes], file: BinaryIO) -> None:
        count = 0
        try:
            async with asyncio.timeout(self.upload_seconds):
                while True:
                    chunk = await asyncio.wait_for(anext(stream, None), self.chunk_seconds)
                    if chunk is None:
                        break
                    count += len(chunk)
                    if count > self.most_bytes:
                        raise self._too_large()
                    file.write(chunk)
        except TimeoutError:
            raise Refused(408, "the picture did not arrive in time") from None
        if not count:
            raise Refused(415, "nothing was sent")

    def _too_large(self) -> Refused:
        return Refused(413, f"a picture may have {self.most_bytes / 1e6:g} MB here")

    def _make_room(self) -> None:
        if len(self._held) >= MAX_PICTURES:
            oldest = min(self._held.values(), key=lambda picture: picture.used)
            if time.monotonic() - oldest.used < 60:
                raise Refused(503, "too many pictures are kept already; try again soon")
            self._drop(oldest)

    def tidy(self) -> None:
        """Drops what was not used for an hour."""
        for picture in list(self._held.values()):
            if time.monotonic() - picture.used > KEPT_SECONDS:
                self._drop(picture)

    def _drop(self, picture: Uploaded) -> None:
        del self._held[picture.id]
        with suppress(OSError):
            picture.path.unlink(missing_ok=True)
