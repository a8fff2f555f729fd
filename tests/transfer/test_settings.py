"""Values that lie: what no setting may be, said in a short line before any work."""

from __future__ import annotations

import numpy as np
import pytest

from minitorch_style.cli import main
from minitorch_style.errors import SettingsError
from minitorch_style.transfer.settings import PRESETS, Settings, described

NO_NUMBERS = [float("nan"), float("inf"), -1.0, 1e-40, 1e308, "1", None, True, 1j]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize(
    "name", [known.name for known in described() if known.kind in ("float", "numbers") and known.most is None]
)
def test_weights_are_numbers_that_weigh_something(name: str, value: object) -> None:
    if value is None and getattr(Settings(), name) is None:
        value = -1  # None leaves it out
    with pytest.raises(SettingsError, match=name):
        Settings(**{name: (1.0, value) if name == "style_blend" else value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [10**400, pytest.param(10**5000, id="10**5000"), -1, 1.5, float("inf"), float("nan"), "100", None, True],
    ids=lambda value: repr(value)[:9],
)
@pytest.mark.parametrize("name", [known.name for known in described() if known.kind in ("int", "bytes")])
def test_whole_numbers_are_whole_and_within_bounds(name: str, value: object) -> None:
    if value is None and getattr(Settings(), name) is None:
        value = -1  # None leaves it out
    with pytest.raises(SettingsError, match=name) as refusal:
        Settings(**{name: value})  # type: ignore[arg-type]
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("value", [value for value in NO_NUMBERS if value != 1e-40], ids=repr)
@pytest.mark.parametrize(
    "name", [known.name for known in described() if known.kind == "float" and known.most is not None]
)
def test_bounded_numbers_are_numbers_within_their_bounds(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings(**{name: value})  # type: ignore[arg-type]


def test_numpys_numbers_are_numbers() -> None:
    Settings(method="gram", iterations=np.int64(5), content_weight=np.float32(1e-3), style_blend=(np.float64(1), 2))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["content_layers", "style_layers"])
def test_layers_are_distinct_names(name: str) -> None:
    for layers, message in (((), "names no layer"), (("a", "b", "a"), "names a twice"), ("conv1_1", "in a tuple")):
        with pytest.raises(SettingsError, match=message):
            Settings(**{name: layers})  # type: ignore[arg-type]


def test_presets_are_settings() -> None:
    for preset in PRESETS.values():
        Settings(**preset)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--iterations", "9" * 400, "at most 20 digits"),
        ("--iterations", "9" * 5000, "at most 20 digits"),
        ("--iterations", "2.5", "expected a whole number"),
        ("--max-memory", "inf", "a number of bytes like 275M"),
        ("--max-memory", "lots", "a number of bytes like 275M"),
        ("--max-memory", "", "a number of bytes like 275M"),
        ("--content-weight", "nan", "expected a number"),
        ("--style-blend", "1,nan", "expected a number"),
        ("--style-blend", "1,1e308", "style_blend must be a number"),
        ("--threads", "649", "--threads must be from 1 to"),
        ("--threads", "0", "--threads must be from 1 to"),
        ("--weights", "random:" + "9" * 5000, "at most 18 digits"),
        ("--style-layers", "conv1_1,conv1_1", "names conv1_1 twice"),
    ],
)
def test_options_that_lie(option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "stylize",
        "examples/photo.jpg",
        "examples/painting.jpg",
        "-o",
        "unused.png",
        "--dry-run",
        option,
        value,
    ]
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr().err
    assert code == 2 and message in said and said.count("\n") == 1 and len(said) < 300
