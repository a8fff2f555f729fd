"""Artistic style transfer on ordinary processors.

import minitorch_style as ms
result = ms.stylize("photo.jpg", "painting.jpg", iterations=100)
result.save("out.png")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minitorch_style.engine.network import Network, load_network
    from minitorch_style.errors import StyleError
    from minitorch_style.image.io import Picture, load_picture
    from minitorch_style.style.objective import Objective
    from minitorch_style.style.targets import ContentTargets, StyleTargets
    from minitorch_style.transfer.batch import Stylizer
    from minitorch_style.transfer.job import prepare
    from minitorch_style.transfer.run import Result, run, stylize
    from minitorch_style.transfer.settings import Settings
    from minitorch_style.video.film import stylize_frames
    from minitorch_style.video.live import Live

__version__ = "0.2.0.dev0"
__all__ = [
    "ContentTargets",
    "Live",
    "Network",
    "Objective",
    "Picture",
    "Result",
    "Settings",
    "StyleError",
    "StyleTargets",
    "Stylizer",
    "load_network",
    "load_picture",
    "prepare",
    "run",
    "stylize",
    "stylize_frames",
]

_HOMES = {
    "ContentTargets": "style.targets",
    "Live": "video.live",
    "Network": "engine.network",
    "Objective": "style.objective",
    "Picture": "image.io",
    "Result": "transfer.run",
    "Settings": "transfer.settings",
    "StyleError": "errors",
    "StyleTargets": "style.targets",
    "Stylizer": "transfer.batch",
    "load_network": "engine.network",
    "load_picture": "image.io",
    "prepare": "transfer.job",
    "run": "transfer.run",
    "stylize": "transfer.run",
    "stylize_frames": "video.film",
}


def __getattr__(name: str) -> Any:
    """Imports each public name where it is first used: `import minitorch_style` alone costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
