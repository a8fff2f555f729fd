"""How measurements are kept in bench/results: JSON that a reader can follow and a diff can show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from minitorch_style.files import write_text

RESULTS = Path(__file__).resolve().parent / "results"
DIGITS = 5  # significant ones: timings are not known better
_FLAT = re.compile(r"\{[^{}\[\]]*\}|\[[^{}\[\]]*\]")  # an object or list that holds only numbers and texts


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def text(record: Any) -> str:
    """JSON with one line a row: innermost objects and lists are not broken up."""
    pretty = json.dumps(rounded(record), indent=1, ensure_ascii=False)
    return _FLAT.sub(lambda found: " ".join(found[0].split()), pretty) + "\n"


def save(record: Any, path: Path) -> None:
    """Writes `record` under `path`, whole or not at all."""
    write_text(path, text(record))


def thinned(rows: list[dict[str, float]], count: int = 24) -> list[dict[str, float]]:
    """At most about `count` rows of a curve, dense where it begins: each is 1.2 times as far along as the one before."""
    kept, wanted = [], 1.0
    for place, row in enumerate(rows, 1):
        if place >= wanted or place == len(rows):
            kept.append(row)
            wanted = max(place + 1, place * len(rows) ** (1 / count))
    return kept
