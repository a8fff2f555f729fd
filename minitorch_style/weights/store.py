"""Where weights are: bundled with the package, installed by the user, published elsewhere, or in a file that is named."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from minitorch_style.errors import SettingsError, WeightsError
from minitorch_style.nn.registry import NETWORKS, Architecture
from minitorch_style.weights.checkpoints import format_of
from minitorch_style.weights.hdf5 import is_hdf5, is_ours, load_weights, network_of
from minitorch_style.weights.npz import load_npz, npz_network
from minitorch_style.weights.weights import Weights, random_weights

LONGEST_SEED = 18  # digits


def bundled_directory() -> Path:
    """Where the weight files lie that come with the package: inside it when installed, beside it in a checkout."""
    here = Path(__file__).resolve().parents[1]
    return here / "bundled" if (here / "bundled").is_dir() else here.parent / "weights"


def bundled() -> dict[str, Path]:
    """{network name: file} of the weights that come with the package."""
    folder = bundled_directory()
    return {path.stem: path for path in sorted([*folder.glob("*.h5"), *folder.glob("*.npz")])}


def load_stored(path: Path, architecture: Architecture) -> Weights:
    """A weight file of either kind. WeightsError if it does not fit."""
    if path.suffix == ".npz":
        return load_npz(path, architecture)
    _require_ours(path)
    return load_weights(path, architecture)


def stored_network(path: Path) -> str:
    """The name of the network that a weight file of either kind says it is for."""
    if path.suffix == ".npz":
        return npz_network(path)
    _require_ours(path)
    return network_of(path)


def _require_ours(path: Path) -> None:
    """Says of checkpoints, which are no weight files yet, how they become some."""
    if is_hdf5(path):
        what = None if is_ours(path) else "an HDF5 file of another program (Keras?)"
    else:
        what = None if format_of(path) is None else "a checkpoint"
    if what is not None:
        raise WeightsError(
            f"{path}: {what}, not a weight file of this program; `minitorch_style weights convert {path} --network NAME "
            "-o OUT.h5` makes one of it, `minitorch_style weights info` tells which networks it fits"
        )


def find_decoder(decoder: Architecture) -> Weights:
    """The weights of a decoder, which come with the package. WeightsError if they do not."""
    files = bundled()
    if decoder.name not in files:
        raise WeightsError(f"no weights for {decoder.name} here (only for {', '.join(files)})")
    return load_stored(files[decoder.name], decoder)


def user_directory() -> Path:
    """Where installed weights lie: MINITORCH_STYLE_DATA, else the place for an application's data on this system.
    WeightsError where there is none."""
    if named := os.environ.get("MINITORCH_STYLE_DATA"):
        return Path(named)
    try:
        import platformdirs
    except ImportError as error:  # boards go without
        raise WeightsError("installed weights are found by platformdirs; set MINITORCH_STYLE_DATA") from error
    folder = platformdirs.user_data_path("minitorch_style", appauthor=False)
    if not folder.is_absolute():
        raise WeightsError("this user has no home directory; set MINITORCH_STYLE_DATA to a folder for weights")
    return folder


def installed() -> dict[str, Path]:
    """{network name: file} of the weights that `weights install` has put into the user's directory; none where that
    cannot be entered."""
    try:
        return {path.stem: path for path in sorted(user_directory().glob("*.h5")) if path.stem in NETWORKS}
    except (WeightsError, OSError):
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


def network_for(weights: str | os.PathLike[str] | None) -> str:
    """The name of the network that a weight file is for. SettingsError where there is no file to tell it."""
    if weights is None or os.fspath(weights).startswith("random:"):
        raise SettingsError("which network? Name one, or a weight file, which tells it")
    return stored_network(Path(weights))


def find_weights(architecture: Architecture, weights: str | os.PathLike[str] | None) -> Weights:
    """The weights for a network: a file, `random:SEED`, or for None those that come with the package or are installed."""
    if weights is None:
        available = {**installed(), **{name: path for name, path in bundled().items() if name in NETWORKS}}
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
        if not (seed.isascii() and seed.isdecimal() and len(seed) <= LONGEST_SEED):
            shown = text if len(text) <= 60 else f"{text[:60]}…"
            raise SettingsError(
                f"random weights need a whole number (at most {LONGEST_SEED} digits) as seed: random:0, not {shown}"
            )
        return random_weights(architecture, int(seed))
    return load_stored(Path(text), architecture)
