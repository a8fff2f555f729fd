"""Weight files that NumPy alone reads, for boards without h5py: an .npz of the parameters and a JSON text about them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from minitorch_style.errors import WeightsError
from minitorch_style.networks import Architecture
from minitorch_style.plan import Normalisation
from minitorch_style.weights import Weights, differences

ABOUT = "about"


def save_npz(path: Path, weights: Weights) -> None:
    """Half precision, compressed; under a temporary name until whole."""
    about = {
        "network": weights.network,
        "mean": weights.normalisation.mean,
        "scale": weights.normalisation.scale,
        "provenance": dict(weights.provenance),
        "trained": weights.trained,
        "tap_scales": dict(weights.tap_scales),
    }
    arrays: dict[str, Any] = {name: array.astype(np.float16) for name, array in weights.parameters.items()}
    arrays[ABOUT] = np.array(json.dumps(about))
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **arrays)
    temporary.replace(path)


def load_npz(path: Path, architecture: Architecture) -> Weights:
    """Reads a file of `save_npz` for `architecture`; WeightsError if it does not fit or is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file[ABOUT]))
            parameters = {name: file[name].astype(np.float32) for name in file.files if name != ABOUT}
        normalisation = Normalisation(tuple(about["mean"]), tuple(about["scale"]))
        weights = Weights(
            about["network"], parameters, normalisation, about["provenance"], about["trained"], about["tap_scales"]
        )
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: not a weight file of this program, or damaged ({error})") from error
    problems = differences(architecture.parameter_shapes(), {name: a.shape for name, a in parameters.items()})
    if problems:
        raise WeightsError(f"{path}: does not fit {architecture.name}: {'; '.join(problems)}")
    if bad := [name for name, array in parameters.items() if not np.all(np.isfinite(array))]:
        raise WeightsError(f"{path}: {', '.join(bad)} hold values that are not finite numbers")
    return weights
