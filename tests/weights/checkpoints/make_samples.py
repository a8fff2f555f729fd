"""Makes tests/data: one small file of each kind, with what PyTorch itself reads from it beside it as .npz.

python -m tests.weights.checkpoints.make_samples       (needs PyTorch)
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "data"


def tensors() -> dict[str, Any]:
    """Every dtype in every layout: contiguous, transposed, offset, shared, 0-d, empty."""
    import torch

    torch.manual_seed(0)
    found: dict[str, Any] = {}
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
             torch.int8, torch.uint8, torch.bool)  # fmt: skip
    for kind in kinds:
        name = str(kind).removeprefix("torch.")
        base = (torch.rand(4, 6) * 100 - (0 if kind in (torch.uint8, torch.bool) else 50)).to(kind)
        found[f"{name}.contiguous"] = base
        found[f"{name}.transposed"] = base.t()
        found[f"{name}.offset"] = base[1:, 2::2]
        found[f"{name}.shared"] = base
        found[f"{name}.scalar"] = base[2, 3].clone()
        found[f"{name}.empty"] = torch.empty(0, 3, dtype=kind)
    return found


def as_arrays(state: dict[str, Any]) -> dict[str, np.ndarray]:
    import torch

    return {name: (t.float() if t.dtype == torch.bfloat16 else t).contiguous().numpy() for name, t in state.items()}


def big_endian_zip(data: bytes, state: dict[str, Any]) -> bytes:
    """A zip checkpoint as a big-endian machine would write it: every storage's elements turned round."""
    sizes = {str(key): t.element_size() for key, t in _storages(state).items()}
    source, out = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
        for member in source.infolist():
            content = source.read(member)
            folder, _, key = member.filename.rpartition("/")
            if folder.endswith("/data"):
                size = sizes[key]
                content = np.frombuffer(content, np.uint8).reshape(-1, size)[:, ::-1].tobytes()
            elif key == "byteorder":
                content = b"big"
            target.writestr(member.filename, content)
    return out.getvalue()


def big_endian_legacy(data: bytes, state: dict[str, Any]) -> bytes:
    """A legacy checkpoint as a big-endian machine would write it."""
    stream = io.BytesIO(data)
    pickles = []
    for _ in range(5):
        begin = stream.tell()
        for _ in pickletools.genops(stream):
            pass
        pickles.append(data[begin : stream.tell()])
    pickles[2] = pickle.dumps({"protocol_version": 1001, "little_endian": False}, 2)
    keys = pickle.loads(pickles[4])  # a list of texts that torch.save has just written
    sizes = {str(t.untyped_storage()._cdata): t.element_size() for t in state.values()}
    out, rest = b"".join(pickles), stream
    for key in keys:
        count = struct.unpack("<q", rest.read(8))[0]
        raw = np.frombuffer(rest.read(count * sizes[key]), np.uint8).reshape(-1, sizes[key])
        out += struct.pack(">q", count) + raw[:, ::-1].tobytes()
    return out


def _storages(state: dict[str, Any]) -> dict[int, Any]:
    """{key PyTorch gives it: a tensor of it}: keys count storages in the order they are met."""
    seen: dict[int, int] = {}
    found: dict[int, Any] = {}
    for tensor in state.values():
        pointer = tensor.untyped_storage()._cdata
        if pointer not in seen:
            seen[pointer] = len(seen)
            found[seen[pointer]] = tensor
    return found


def safetensors(state: dict[str, Any]) -> bytes:
    """The format by its definition, written by hand."""
    import torch

    names = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
             torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}  # fmt: skip
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, tensor in state.items():
        plain = tensor.contiguous()
        raw = (plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain).numpy().tobytes()
        header[name] = {
            "dtype": names[plain.dtype],
            "shape": list(plain.shape),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


class T7Writer:
    """Torch7's binary format by its definition: type, then the value; tables and objects numbered as they come."""

    def __init__(self) -> None:
        self.out, self.count = b"", 0

    def number(self, value: float) -> None:
        self.out += struct.pack("<id", 1, value)

    def text(self, value: str) -> None:
        self.out += struct.pack("<ii", 2, len(value)) + value.encode()

    def begin(self, kind: int) -> None:
        self.count += 1
        self.out += struct.pack("<ii", kind, self.count)

    def class_name(self, name: str) -> None:
        for part in ("V 1", name):
            self.out += struct.pack("<i", len(part)) + part.encode()

    def tensor(self, array: np.ndarray, kind: str) -> None:
        self.begin(4)
        self.class_name(f"torch.{kind}Tensor")
        strides = [stride // array.itemsize for stride in array.strides]
        self.out += struct.pack(f"<i{array.ndim}q{array.ndim}qq", array.ndim, *array.shape, *strides, 1)
        self.begin(4)
        self.class_name(f"torch.{kind}Storage")
        self.out += struct.pack("<q", array.size) + array.tobytes()

    def table(self, entries: dict[Any, Any]) -> None:
        self.begin(3)
        self.out += struct.pack("<i", len(entries))
        for key, value in entries.items():
            for part in (key, value):
                self.value(part)

    def value(self, value: Any) -> None:
        if isinstance(value, str):
            self.text(value)
        elif isinstance(value, bool):
            self.out += struct.pack("<ii", 5, value)
        elif isinstance(value, int | float):
            self.number(value)
        elif isinstance(value, np.ndarray):
            self.tensor(value, {"f": "Float", "d": "Double", "l": "Long"}[value.dtype.char])
        elif isinstance(value, tuple):  # a module: class and fields
            self.begin(4)
            self.class_name(value[0])
            self.table(value[1])
        else:
            self.table(value)


def torch7_network() -> tuple[bytes, dict[str, np.ndarray]]:
    """(nn.Sequential of a convolution of each kind, batch norm and PReLU, one nested; what a reader should find)."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 3, 2, 2)).astype(np.float32)
    flat = rng.standard_normal((5, 4 * 3 * 3)).astype(np.float32)
    vector = rng.standard_normal(4)
    slope = rng.standard_normal(5).astype(np.float32)
    inner = {
        1: ("nn.SpatialConvolutionMM", {"weight": flat, "nInputPlane": 4, "kH": 3, "kW": 3}),
        2: ("nn.PReLU", {"weight": slope}),
    }
    modules = {
        1: ("nn.SpatialConvolution", {"weight": weight, "bias": vector, "train": True}),
        2: ("nn.SpatialBatchNormalization", {"running_mean": vector, "running_var": vector * vector, "eps": 1e-5}),
        3: ("nn.Sequential", {"modules": inner}),
    }
    writer = T7Writer()
    writer.value(("nn.Sequential", {"modules": modules}))
    expected = {"0.weight": weight, "0.bias": vector, "1.running_mean": vector, "1.running_var": vector * vector,
                "2.0.weight": flat.reshape(5, 4, 3, 3), "2.1.weight": slope}  # fmt: skip
    return writer.out, expected


def files(state: dict[str, Any]) -> dict[str, bytes]:
    """{file name: content}."""
    import torch

    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save(state, zipped)
    torch.save(state, legacy, _use_new_zipfile_serialization=False)
    return {
        "zip.pt": zipped.getvalue(),
        "zip_big_endian.pt": big_endian_zip(zipped.getvalue(), state),
        "legacy.pth": legacy.getvalue(),
        "legacy_big_endian.pth": big_endian_legacy(legacy.getvalue(), state),
        "sample.safetensors": safetensors(state),
    }


def main() -> None:
    DATA.mkdir(exist_ok=True)
    state = tensors()
    for name, content in files(state).items():
        (DATA / name).write_bytes(content)
    np.savez_compressed(DATA / "expected.npz", **as_arrays(state))
    (DATA / "network.t7").write_bytes(torch7_network()[0])


if __name__ == "__main__":
    main()
