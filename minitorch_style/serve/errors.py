"""What the server refuses: a status, and a sentence for whoever asked."""

from __future__ import annotations

RETRY_SECONDS = 10  # of the answers 429 and 503


class Refused(Exception):
    """An answer other than the one asked for."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(RETRY_SECONDS)} if self.status in (429, 503) else {}
