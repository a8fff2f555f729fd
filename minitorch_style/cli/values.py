"""What options are made of, from text; argparse says what is wrong with one in a line."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError

LONGEST = 20  # digits; Python reads thousands, and no setting has as many


def names(text: str) -> tuple[str, ...]:
    """conv1_1,conv2_1"""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ArgumentTypeError(f"expected a number, got {_cut(text)}")
    return value


def numbers(text: str) -> tuple[float, ...]:
    """2,1"""
    return tuple(number(part) for part in text.split(","))


def whole(text: str) -> int:
    """A whole number."""
    if len(text) > LONGEST:
        raise ArgumentTypeError(f"expected a whole number of at most {LONGEST} digits, got {_cut(text)}")
    try:
        return int(text)
    except ValueError as error:
        raise ArgumentTypeError(f"expected a whole number, got {_cut(text)}") from error


def memory(text: str) -> int:
    """275M, 1.5G, 800k or plain bytes."""
    factor = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}.get(text[-1:].lower())
    try:
        return int(number(text[:-1] if factor else text) * (factor or 1))
    except (ArgumentTypeError, OverflowError) as error:
        raise ArgumentTypeError(f"expected a number of bytes like 275M or 1.5G, got {_cut(text)}") from error


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
