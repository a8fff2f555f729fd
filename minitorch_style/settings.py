"""Everything that can be set about a transfer, with its default; the defaults live here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from minitorch_style.errors import SettingsError

REGIONS = ("person", "background")
SEGMENTER = "segnet"  # the person finder that regions are found with
INITS = ("content", "style", "random")


@dataclass(frozen=True)
class Settings:
    """How to make a picture. SettingsError on values outside their range.

    With `balanced` (the default) the weights are size-stable: every layer's content loss is divided by what it would be
    for features of zero, ½ Σ P², and every layer's style loss likewise, by 1/(4N²) Σ (A/M)². Both are then shares of
    the features' own size: the same weights give the same look at 256 and 1024 pixels and from one network to the
    next. Without it they are α and β of equation 6 as printed, whose meaning changes with size and network.

    With `scales` above 1 the picture is first made at 1/2, 1/4 … of its size, `iterations` at each: large strokes are
    cheap there, and what they changed is carried over to the next scale. With `warm_start`, the name of another network,
    that one does all this, and `model` goes on from its picture, for as many iterations more. `region` restricts the new
    style to the people in the photo, or to everything else. `max_memory`, in bytes, refuses a transfer that would need
    more; without it, what the machine has free is the limit.
    """

    model: str = "distilled-perceptual"
    weights: str | None = None
    iterations: int = 100
    scales: int = 1
    warm_start: str | None = None
    size: int = 512
    style_size: int | None = None
    content_weight: float = 2e-4
    style_weight: float = 1.0
    content_layers: tuple[str, ...] | None = None
    style_layers: tuple[str, ...] | None = None
    style_blend: tuple[float, ...] | None = None
    init: str = "content"
    optimizer: str = "lbfgs"
    tv_weight: float = 0.0
    pooling: str = "average"
    seed: int = 0
    preserve_color: bool = False
    region: str | None = None
    kernels: str = "auto"
    max_memory: int | None = None
    balanced: bool = True

    def __post_init__(self) -> None:
        for name, least in (("iterations", 1), ("scales", 1), ("size", 16), ("seed", 0)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name} must be at least {least}, is {getattr(self, name)}")
        if self.style_size is not None and self.style_size < 16:
            raise SettingsError(f"style_size must be at least 16, is {self.style_size}")
        for name in ("content_weight", "style_weight", "tv_weight"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise SettingsError(f"{name} must be a number of at least 0, is {value}")
        if self.content_weight == 0 and self.style_weight == 0:
            raise SettingsError("content_weight and style_weight are both 0: there is nothing to paint")
        if self.max_memory is not None and self.max_memory < 1:
            raise SettingsError(f"max_memory must be at least 1 byte, is {self.max_memory}")
        if self.region not in (None, *REGIONS):
            raise SettingsError(f"region {self.region!r}; there are {' and '.join(REGIONS)}")
        for name in ("content_layers", "style_layers"):
            if getattr(self, name) == ():
                raise SettingsError(f"{name} names no layer; set its weight to 0 to leave it out")

    def as_texts(self) -> dict[str, str]:
        """{name: value} of what was set, for a picture's metadata."""
        return {f"minitorch_style.{key}": str(value) for key, value in asdict(self).items() if value is not None}


# What differs from the defaults. `paper`: equation 6 as printed, α/β = 1e-3 and w_l = 1/5. `fast`: the loss of 100 plain
# iterations in the least time (`python -m bench.compare_ways`).
PRESETS: Mapping[str, dict[str, Any]] = {
    "default": {},
    "fast": {"scales": 3, "iterations": 60, "warm_start": "distilled-perceptual"},
    "paper": {"content_weight": 1e-3, "style_weight": 1.0, "balanced": False, "pooling": "max", "optimizer": "lbfgsb"},
}
