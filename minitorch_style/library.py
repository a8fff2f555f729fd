"""Where weights are: bundled with the package, installed by the user, published elsewhere, or in a file that is named."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from minitorch_style.errors import SettingsError, WeightsError
from minitorch_style.hdf5 import load_weights
from minitorch_style.networks import NETWORKS, Architecture
from minitorch_style.npz import load_npz
from minitorch_style.weights import Weights, random_weights


def bundled_directory() -> Path:
    """Where the weight files lie that come with the package: inside it when installed, beside it in a checkout."""
    here = Path(__file__).parent
    return here / "bundled" if (here / "bundled").is_dir() else here.parent / "weights"


def bundled() -> dict[str, Path]:
    """{network name: file} of the weights that come with the package."""
    folder = bundled_directory()
    return {path.stem: path for path in sorted([*folder.glob("*.h5"), *folder.glob("*.npz")])}


def load_stored(path: Path, architecture: Architecture) -> Weights:
    """A weight file of either kind. WeightsError if it does not fit."""
    return load_npz(path, architecture) if path.suffix == ".npz" else load_weights(path, architecture)


def find_decoder(decoder: Architecture) -> Weights:
    """The weights of a decoder, which come with the package. WeightsError if they do not."""
    files = bundled()
    if decoder.name not in files:
        raise WeightsError(f"no weights for {decoder.name} here (only for {', '.join(files)})")
    return load_stored(files[decoder.name], decoder)


def user_directory() -> Path:
    """Where installed weights lie: MINITORCH_STYLE_DATA, else the place for an application's data on this system."""
    if named := os.environ.get("MINITORCH_STYLE_DATA"):
        return Path(named)
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "minitorch_style"


def installed() -> dict[str, Path]:
    """{network name: file} of the weights that `weights install` has put into the user's directory."""
    try:
        return {path.stem: path for path in sorted(user_directory().glob("*.h5"))}
    except RuntimeError:  # no home directory
        return {}


@dataclass(frozen=True)
class Published:
    """A checkpoint that can be installed: where it is, its SHA-256 or the published beginning of it, its licence."""

    url: str
    sha256: str
    licence: str


# torchvision puts the first eight digits of a file's SHA-256 into its name and checks no more; the whole one is used
# where it could be confirmed.
PUBLISHED = {
    "vgg16": Published(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "BSD-3-Clause (torchvision), ImageNet",
    ),
    "vgg19": Published(
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d", "BSD-3-Clause (torchvision), ImageNet"
    ),
}


def find_weights(architecture: Architecture, weights: str | os.PathLike[str] | None) -> Weights:
    """The weights for a network: a file, `random:SEED`, or for None those that come with the package or are installed."""
    if weights is None:
        available = {name: path for name, path in {**installed(), **bundled()}.items() if name in NETWORKS}
        if architecture.name not in available:
            name = architecture.name
            fetch = f"`minitorch_style weights install {name}` fetches them, or " if name in PUBLISHED else ""
            raise WeightsError(
                f"no weights for {name} here (only for {', '.join(available)}); {fetch}convert a checkpoint with "
                f"`minitorch_style weights convert FILE --network {name} -o OUT.h5` and name it with --weights, or use "
                "--weights random:SEED"
            )
        return load_stored(available[architecture.name], architecture)
    text = os.fspath(weights)
    if text.startswith("random:"):
        seed = text.removeprefix("random:")
        if not seed.isdecimal():
            raise SettingsError(f"random weights need a whole number as seed: random:0, not {text}")
        return random_weights(architecture, int(seed))
    return load_stored(Path(text), architecture)
