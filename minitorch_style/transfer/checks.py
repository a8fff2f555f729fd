"""Whether a value is one that a setting may have: one place for whole numbers, weights and names of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minitorch_style.errors import SettingsError

MOST_WHOLE = 2**63 - 1
# Weights other than 0: beyond, float32 gradients vanish or overflow.
LEAST_WEIGHT, MOST_WEIGHT = 1e-12, 1e12


def require_whole(name: str, value: Any, least: float | None, most: float | None) -> None:
    """SettingsError unless `value` is a whole number within these bounds."""
    least, most = 0 if least is None else least, MOST_WHOLE if most is None else most
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise SettingsError(f"{name} must be a whole number, is {_shown(value)}")
    if value < least:
        raise SettingsError(f"{name} must be at least {least}, is {_shown(value)}")
    if value > most:
        raise SettingsError(f"{name} must be at most {most}, is {_shown(value)}")


def require_weight(name: str, value: Any) -> None:
    """SettingsError unless `value` is a number that can weigh something: 0, or neither vanishing nor overflowing."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or isinstance(value, np.complexfloating) or not (value == 0 or LEAST_WEIGHT <= value <= MOST_WEIGHT):
        raise SettingsError(
            f"{name} must be a number: 0, or from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}; is {_shown(value)}"
        )


def require_number(name: str, value: Any, least: float | None, most: float | None) -> None:
    """SettingsError unless `value` is a number within these bounds, or without any a weight."""
    if least is None and most is None:
        require_weight(name, value)
        return
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
        raise SettingsError(f"{name} must be a number, is {_shown(value)}")
    if least is not None and value < least:
        raise SettingsError(f"{name} must be at least {least}, is {_shown(value)}")
    if most is not None and value > most:
        raise SettingsError(f"{name} must be at most {most}, is {_shown(value)}")


def require_weights(name: str, values: Any) -> None:
    """SettingsError unless these are weights, and not all of them 0."""
    if not isinstance(values, tuple | list | np.ndarray):
        raise SettingsError(f"{name} must be numbers in a tuple, is {_shown(values)}")
    for value in values:
        require_weight(name, value)
    if not any(values):
        raise SettingsError(f"{name}: all of them are 0")


def require_names(name: str, values: Any) -> None:
    """SettingsError unless these are names, each once."""
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise SettingsError(f"{name} must be names in a tuple, is {_shown(values)}")
    if not values:
        raise SettingsError(f"{name} names no layer; set its weight to 0 to leave it out")
    twice = [value for value in values if list(values).count(value) > 1]
    if twice:
        raise SettingsError(f"{name} names {twice[0]} twice")


def _shown(value: Any) -> str:
    """A value for a message, cut where it is long. Python writes no number of more than 4,300 digits."""
    if isinstance(value, int) and abs(value) >= 10**24:
        return f"a number of about {int(value.bit_length() * 0.30103)} digits"
    text = str(value) if isinstance(value, int | float) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
