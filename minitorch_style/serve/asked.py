"""What a client asks to be painted, as settings that are allowed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from minitorch_style.errors import SettingsError
from minitorch_style.serve.errors import Refused
from minitorch_style.transfer.settings import INITS, PRESET_HELP, PRESETS, Setting, Settings, described
from minitorch_style.weights.store import bundled, installed

# Settings that only tell one who sits at the machine: files of it, and how it computes.
HIDDEN = ("weights", "style_mask", "kernels", "max_memory", "scratch", "allow_large", "tiles")
MAX_SCALES, MAX_NAMES = 6, 32


@dataclass(frozen=True)
class Ceiling:
    """The most that one client may ask of this machine: pixels of a side, iterations, bytes of an upload."""

    size: int = 2048
    iterations: int = 500
    upload: int = 30_000_000


def allowed() -> list[Setting]:
    """The settings that a client may give: no files of this machine, and only networks that have weights here."""
    there = {**installed(), **bundled()}
    narrowed = {"init": INITS}
    found = []
    for known in described():
        choices = narrowed.get(known.name, known.choices)
        if known.name in ("model", "warm_start"):
            choices = tuple(name for name in choices if name in there)
        if known.name not in HIDDEN:
            found.append(replace(known, choices=choices))
    return found


def as_json(ceiling: Ceiling) -> dict[str, Any]:
    """What there is to set, for the page: one object a setting."""
    most: dict[str, float] = {"size": ceiling.size, "iterations": ceiling.iterations, "scales": MAX_SCALES}
    return {
        "settings": [
            {
                "name": known.name,
                "help": known.help,
                "kind": known.kind,
                "choices": list(known.choices),
                "least": known.least,
                "most": most.get(known.name, known.most),
                "default": known.default,
            }
            for known in allowed()
        ],
        "presets": {name: {"help": PRESET_HELP[name], "settings": dict(PRESETS[name])} for name in PRESETS},
        "ceiling": {"size": ceiling.size, "iterations": ceiling.iterations, "upload": ceiling.upload},
    }


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12 or value != int(value):
        raise ValueError("a whole number")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 100:
        raise ValueError("a short text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _list(value: Any, one: Callable[[Any], Any]) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) > MAX_NAMES:
        raise ValueError("a list")
    return tuple(one(part) for part in value)


READERS: Mapping[str, Callable[[Any], Any]] = {
    "int": _whole,
    "float": _number,
    "text": _text,
    "flag": _flag,
    "names": lambda value: _list(value, _text),
    "numbers": lambda value: _list(value, _number),
}


def settings_of(asked: Any, preset: Any, ceiling: Ceiling) -> Settings:
    """Settings from JSON, over those of the preset. Refused (422) with the sentence that the command line prints."""
    if not isinstance(asked, dict):
        raise Refused(422, "settings must be an object of names and values")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise Refused(422, f"no preset {str(preset)[:40]!r}; there are {', '.join(PRESETS)}")
    known = {one.name: one for one in allowed()}
    given = {}
    for name, value in asked.items():
        if name not in known:
            raise Refused(422, f"no setting {name[:40]!r} here; there are {', '.join(known)}")
        one = known[name]
        if value is None and one.default is None:
            continue
        try:
            given[name] = READERS[one.kind](value)
        except ValueError as error:
            raise Refused(422, f"{name} must be {error}") from error
        if one.choices and given[name] not in one.choices:
            raise Refused(422, f"{name} {given[name]!r}; there are {', '.join(one.choices)}")
    try:
        settings = Settings(**{**_lowered(PRESETS[preset], ceiling), **given})
    except (SettingsError, OverflowError) as error:
        raise Refused(422, str(error)) from error
    _require_below(settings, ceiling)
    return settings


def _lowered(preset: Mapping[str, Any], ceiling: Ceiling) -> dict[str, Any]:
    """What nobody has asked for gives way to the ceiling; what was asked for is refused above it."""
    most = {"size": ceiling.size, "plan_size": ceiling.size, "iterations": ceiling.iterations}
    defaults = {one.name: one.default for one in described() if one.name in most}
    before = {**defaults, **preset}
    return {**before, **{name: min(before[name], value) for name, value in most.items()}}


def _require_below(settings: Settings, ceiling: Ceiling) -> None:
    longest = settings.style_size or settings.stroke_size * settings.size
    for name, value, most in (
        ("size", settings.size, ceiling.size),
        ("plan_size", settings.plan_size, ceiling.size),
        ("iterations", settings.iterations, ceiling.iterations),
        ("scales", settings.scales, MAX_SCALES),
        ("stroke_size times size, or style_size,", longest, 2 * ceiling.size),
    ):
        if value > most:
            raise Refused(422, f"{name} must be at most {most} on this server, is {value:g}")
