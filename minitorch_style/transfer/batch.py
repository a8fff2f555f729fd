"""Many photos in the manner of the same paintings: what is made of the paintings alone is made once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

import minitorch_style
from minitorch_style.engine.network import Network
from minitorch_style.errors import ImageError, SettingsError
from minitorch_style.files import atomic_write, write_text
from minitorch_style.image.io import READABLE_NAMES, Room, read_texts
from minitorch_style.image.sources import Source, picture_of
from minitorch_style.image.writing import WRITABLE, encoded
from minitorch_style.plans.kept import Kept
from minitorch_style.transfer.estimate import reading_room
from minitorch_style.transfer.job import Job, painter_of, prepare
from minitorch_style.transfer.lent import Lent, lend, listed, longest_side
from minitorch_style.transfer.memory import available_memory
from minitorch_style.transfer.run import Listener, Result, run
from minitorch_style.transfer.settings import Settings

FIELDS = ("photo", "painting", "number")  # that a template of file names may have
INPUTS = "minitorch_style.inputs"  # the text that tells what a picture was made of
IRRELEVANT = ("max_memory", "allow_large")  # settings that change no byte of a result


class Stylizer:
    """Paintings and settings, called with photo after photo: (H, W, 3) pixels, files or `Picture`s.

    painter = ms.Stylizer("painting.jpg", ms.Settings(strength=0.7))
    for path in photos:
        painter(path).save(out / path.name)

    The results are those of `stylize`, byte for byte. What is made of the paintings alone serves all photos of one longest
    side; the network is loaded once. One call at a time. Raises StyleErrors as `stylize` does: for the settings and the
    network here, for a painting when it is first asked for.
    """

    def __init__(
        self, paintings: Source | Sequence[Source], settings: Settings | None = None, network: Network | None = None
    ) -> None:
        self.paintings, self.settings = listed(paintings), settings or Settings()
        self.network = network or painter_of(self.settings)
        self._lent: tuple[int, Lent] | None = None

    def prepare(self, photo: Source) -> Job:
        """The job of one photo, read and checked."""
        room = reading_room(self.network, self.settings, available_memory())
        picture = picture_of(photo, self.settings.size, room, "content")
        longest = longest_side(self.settings, picture.size)
        if self._lent is None or self._lent[0] != longest:
            self._lent = None  # not two at once
            self._lent = longest, lend(self.paintings, self.settings, picture.size, room, Kept())
        return prepare(picture, self._lent[1], self.settings, self.network)

    def __call__(self, photo: Source, listener: Listener | None = None) -> Result:
        """`listener` hears of each iteration, and ends the run by returning True."""
        return run(self.prepare(photo)).complete(listener)


@dataclass(frozen=True)
class Task:
    """A photo to be painted in the manner of a painting, and the file for it."""

    photo: Path
    painting: Path
    out: Path


def found(sources: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files, and of each folder its pictures by name. ImageError for a folder without any."""
    paths: list[Path] = []
    for source in map(Path, sources):
        inside = [source]
        if source.is_dir():
            inside = sorted(
                path for path in source.iterdir() if path.suffix.lower() in READABLE_NAMES and path.is_file()
            )
            if not inside:
                raise ImageError(f"{source}: a folder without pictures")
        paths += inside
    return paths


def tasks(
    photos: Sequence[Path], paintings: Sequence[Path], folder: Path, template: str, pairs: bool = False
) -> list[Task]:
    """Every photo with every painting, painting after painting; or with `pairs` the first with the first, and so on.
    SettingsError if they do not pair, if the template is none, or if two results would have one name."""
    if pairs and len(photos) != len(paintings):
        raise SettingsError(f"{len(photos)} photos and {len(paintings)} paintings make no pairs")
    together = zip(photos, paintings, strict=True) if pairs else ((one, by) for by in paintings for one in photos)
    made = [
        Task(photo, painting, folder / _name(template, photo, painting, number))
        for number, (photo, painting) in enumerate(together, 1)
    ]
    names: dict[str, Task] = {}
    for task in made:
        other = names.setdefault(task.out.name.lower(), task)  # some disks do not tell letters' cases apart
        if other is not task:
            raise SettingsError(
                f"{task.out.name} would be the name of two results; a template with {{number}} tells them apart"
            )
    return made


def _name(template: str, photo: Path, painting: Path, number: int) -> str:
    try:
        if any(name is not None and name not in FIELDS for _, name, _, _ in Formatter().parse(template)):
            raise KeyError
        name = template.format(photo=photo.stem, painting=painting.stem, number=number)
    except (KeyError, ValueError, IndexError) as error:
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise SettingsError(f"the template {template!r} of names may have {known}") from error
    if Path(name).name != name:
        raise SettingsError(f"{name!r}: a template of names makes no folders")
    return name


def texts_of(task: Task, settings: Settings) -> dict[str, str]:
    """What a finished picture says of how it was made: settings, and a digest of the files and of this version. ImageError
    if they cannot be read."""
    digest = hashlib.sha256(minitorch_style.__version__.encode())
    for path in (task.photo, task.painting, *map(Path, settings.files.values())):
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
    known = {name: text for name, text in settings.as_texts().items() if name.rpartition(".")[2] not in IRRELEVANT}
    texts = {**known, INPUTS: digest.hexdigest()}
    return {name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()}


def finished(task: Task, texts: Mapping[str, str]) -> bool:
    """Whether the task's picture is there, whole, and made like this."""
    try:
        if task.out.suffix.lower() == ".png":
            there = read_texts(task.out, Room(available_memory(), large=True))
        else:
            there = json.loads(sidecar(task.out).read_text("utf-8")) if task.out.is_file() else {}
    except (ImageError, OSError, ValueError, RecursionError):
        return False
    settings = {name for name in there if name.startswith("minitorch_style.")} if isinstance(there, dict) else set()
    left_out = {f"minitorch_style.{name}" for name in (*IRRELEVANT, "final_loss")}
    return settings - left_out == set(texts) and all(there[name] == text for name, text in texts.items())


def encoded_as(suffix: str, result: Result, texts: Mapping[str, str]) -> bytes:
    """The bytes of the picture's file; PNG holds the texts. ImageError if it cannot be encoded."""
    metadata = {**result.metadata, **texts} if suffix == ".png" else result.metadata
    return encoded(WRITABLE[suffix], result.image, result.alpha, metadata)


def write(task: Task, texts: Mapping[str, str], data: bytes) -> None:
    """Writes the picture's file; where it is no PNG, its texts beside it, in NAME.json, once the picture is there.
    ImageError."""
    beside = task.out.suffix.lower() != ".png"
    if beside:
        with suppress(FileNotFoundError):  # it would speak of the picture that is replaced
            sidecar(task.out).unlink()
    with atomic_write(task.out, ImageError) as file:
        file.write(data)
    if beside:
        write_text(sidecar(task.out), json.dumps(dict(texts), indent=1) + "\n", ImageError)


def sidecar(path: Path) -> Path:
    """The file that tells how the picture at `path` was made, where that cannot do so itself."""
    return path.with_name(f"{path.name}.json")
