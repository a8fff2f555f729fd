"""The wall: paintings of our own that come with the package, and those of a folder that its owner names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from minitorch_style.errors import SettingsError
from minitorch_style.image.io import load_picture, to_bytes
from minitorch_style.image.writing import encoded

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
SHOWN_SIZE, SHOWN_QUALITY = 400, 85
MAX_PAINTINGS = 200


@dataclass(frozen=True)
class Painting:
    """A name, a line about it, and its file."""

    id: str
    title: str
    about: str
    path: Path


def bundled_paintings() -> Path:
    """Where our own lie: inside the package when installed, in the examples of a checkout."""
    here = Path(__file__).resolve().parents[1]
    inside = here / "serve" / "paintings"
    return inside if inside.is_dir() else here.parent / "examples" / "paintings"


def wall(folder: Path | None = None) -> dict[str, Painting]:
    """{id: painting}, the owner's first. SettingsError for a folder that cannot be read or holds no picture."""
    found: list[Painting] = []
    if folder is not None:
        found = [Painting(f"own-{number}", path.stem, "", path) for number, path in enumerate(_pictures(folder), 1)]
    ours = bundled_paintings()
    titles = json.loads((ours / "paintings.json").read_text("utf-8"))
    for path in sorted(ours.glob("*.jpg")):
        about = titles.get(path.stem, {"title": path.stem, "about": ""})
        found.append(Painting(path.stem, about["title"], about["about"], path))
    return {painting.id: painting for painting in found}


def _pictures(folder: Path) -> list[Path]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    except OSError as error:
        raise SettingsError(f"{folder}: the paintings cannot be read ({error.strerror})") from error
    if not paths:
        raise SettingsError(f"{folder}: holds no picture ({' '.join(ENDINGS)})")
    return paths[:MAX_PAINTINGS]


def small(path: Path, size: int) -> bytes:
    """A JPEG of `size` pixels at most. ImageError if the file is no picture."""
    return encoded("JPEG", to_bytes(load_picture(path, size).pixels), quality=SHOWN_QUALITY)


@lru_cache(maxsize=MAX_PAINTINGS)
def shown(path: Path) -> bytes:
    """A painting for the page, likewise."""
    return small(path, SHOWN_SIZE)
