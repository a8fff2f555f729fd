"""Foreign checkpoints, read without PyTorch and without ever executing a pickle.

`read_checkpoint` takes PyTorch's zip format (1.6 and later), its legacy format, safetensors, and Torch7's binary .t7.
Tensors come as arrays that are views of the file's bytes (bfloat16 becomes float32): memory stays within a small multiple
of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minitorch_style.checkpoints.safetensors import read_safetensors
from minitorch_style.checkpoints.tensors import Values
from minitorch_style.checkpoints.torch7 import read_t7
from minitorch_style.checkpoints.torch_files import read_legacy, read_zip
from minitorch_style.errors import CheckpointError

NESTED_UNDER = ("state_dict", "model", "model_state_dict")  # where training scripts keep the state dict


def checkpoint_format(data: bytes) -> str | None:
    """zip, legacy, safetensors or t7 by the first bytes; None for anything else."""
    if data[:4] == b"PK\x03\x04":
        return "zip"
    if data[:2] == b"\x80\x02" and data[2:3] in (b"\x8a", b"\x8b", b"l"):
        return "legacy"
    if len(data) > 8 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return "safetensors"
    if data[:4] in (b"\x03\0\0\0", b"\x04\0\0\0"):  # a table or an object
        return "t7"
    return None


def read_value(path: Path) -> Any:
    """Whatever the file holds, its tensors as arrays. CheckpointError if it cannot be read safely."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    readers = {"zip": read_zip, "legacy": read_legacy, "safetensors": read_safetensors, "t7": read_t7}
    found = checkpoint_format(data)
    if found is None:
        raise CheckpointError(f"{path}: no PyTorch, safetensors or Torch7 checkpoint")
    try:
        return readers[found](data)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def read_checkpoint(path: Path) -> dict[str, Values]:
    """The state dict in a file: {name: array}, PyTorch's layouts (convolution weights out, in, kh, kw)."""
    value = read_value(path)
    for key in NESTED_UNDER:
        if isinstance(value, Mapping) and isinstance(value.get(key), Mapping):
            value = value[key]
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{path}: holds no state dict (a mapping of names to tensors)")
    arrays = {str(name): array for name, array in value.items() if isinstance(array, np.ndarray)}
    if not arrays or len(arrays) != len(value):
        raise CheckpointError(f"{path}: holds no state dict (a mapping of names to tensors)")
    return arrays
