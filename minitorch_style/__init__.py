"""Artistic style transfer on ordinary processors.

import minitorch_style as ms
result = ms.stylize("photo.jpg", "painting.jpg", iterations=100)
result.save("out.png")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minitorch_style.errors import StyleError
    from minitorch_style.images import Picture, load_picture
    from minitorch_style.network import Network, load_network
    from minitorch_style.objective import Objective
    from minitorch_style.settings import Settings
    from minitorch_style.transfer import Result, stylize

__version__ = "0.1.0"
__all__ = [
    "Network",
    "Objective",
    "Picture",
    "Result",
    "Settings",
    "StyleError",
    "load_network",
    "load_picture",
    "stylize",
]

_HOMES = {
    "Network": "network",
    "Objective": "objective",
    "Picture": "images",
    "Result": "transfer",
    "Settings": "settings",
    "StyleError": "errors",
    "load_network": "network",
    "load_picture": "images",
    "stylize": "transfer",
}


def __getattr__(name: str) -> Any:
    """Imports each public name where it is first used: `import minitorch_style` alone costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
