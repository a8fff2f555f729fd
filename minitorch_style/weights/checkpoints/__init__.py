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

from minitorch_style.errors import CheckpointError
from minitorch_style.weights.checkpoints.safetensors import read_safetensors
from minitorch_style.weights.checkpoints.tensors import Values
from minitorch_style.weights.checkpoints.torch7 import read_t7
from minitorch_style.weights.checkpoints.torch_files import read_legacy, read_zip
from minitorch_style.weights.reading import reading, require_file

NESTED_UNDER = ("state_dict", "model", "model_state_dict")  # where training scripts keep the state dict


READERS = {"zip": read_zip, "legacy": read_legacy, "safetensors": read_safetensors, "t7": read_t7}
HEAD = 16  # bytes that tell a format
# What is often found under a checkpoint's name, by its first bytes.
FOREIGN = {
    b"version https://": "the text that Git LFS keeps in place of a file (`git lfs pull` fetches the file)",
    b"<": "a web page, not the file it was to lead to",
    b"GGUF": "a GGUF file, which holds quantized language models",
    b"\x89HDF": "an HDF5 file, which is no checkpoint of PyTorch's",
}


def checkpoint_format(head: bytes, size: int) -> str | None:
    """zip, legacy, safetensors or t7 by the first bytes of a file of `size` bytes; None for anything else."""
    if head[:4] == b"PK\x03\x04":
        return "zip"
    if head[:2] == b"\x80\x02" and head[2:3] in (b"\x8a", b"\x8b", b"l"):
        return "legacy"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return "safetensors"
    if head[:4] in (b"\x03\0\0\0", b"\x04\0\0\0"):  # a table or an object
        return "t7"
    return None


def format_of(path: Path) -> str | None:
    """The format of a file that can be read; None for other formats. CheckpointError if it cannot be opened."""
    with reading(path, CheckpointError):
        require_file(path)
        return checkpoint_format(_head(path), path.stat().st_size)


def read_value(path: Path) -> Any:
    """Whatever the file holds, its tensors as arrays. CheckpointError if it cannot be read safely."""
    found = format_of(path)
    with reading(path, CheckpointError):
        if found is None:
            raise CheckpointError(f"no PyTorch, safetensors or Torch7 checkpoint{_what_else(path)}")
        return READERS[found](path.read_bytes())


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _what_else(path: Path) -> str:
    if not (head := _head(path)):
        return ", but an empty file"
    return next((f", but {what}" for start, what in FOREIGN.items() if head.startswith(start)), "")


def read_checkpoint(path: Path) -> dict[str, Values]:
    """The state dict in a file: {name: array}, PyTorch's layouts (convolution weights out, in, kh, kw)."""
    value = read_value(path)
    for key in NESTED_UNDER:
        if isinstance(value, Mapping) and isinstance(value.get(key), Mapping):
            value = value[key]
    with reading(path, CheckpointError):
        arrays = (
            {str(name): array for name, array in value.items() if isinstance(array, np.ndarray)}
            if isinstance(value, Mapping)
            else {}
        )
        if not arrays or len(arrays) != len(value):
            raise CheckpointError("holds no state dict (a mapping of names to tensors)")
    return arrays
