"""Weight files that would cost much, or lead elsewhere, if they were believed: {name: what makes its bytes}."""

from __future__ import annotations

import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from minitorch_style.nn.registry import architecture
from minitorch_style.weights.hdf5 import _checksum, to_bytes
from minitorch_style.weights.npz import save_npz
from minitorch_style.weights.weights import random_weights

NETWORK = "distilled"
Change = Callable[[Any], None]


@cache
def _honest() -> bytes:
    return to_bytes(Path("w.h5"), random_weights(architecture(NETWORK), 0))


def changed(change: Change) -> bytes:
    """A weight file of `NETWORK`, honest but for `change`."""
    content = BytesIO(_honest())
    with h5py.File(content, "r+") as file:
        change(file)
    return content.getvalue()


def sealed(change: Change) -> Change:
    """`change`, and a checksum that is right again."""

    def both(file: Any) -> None:
        change(file)
        file.attrs["checksum"] = _checksum({name: file[name][()] for name in file})

    return both


def replaced(name: str, value: Any, **options: Any) -> Change:
    def change(file: Any) -> None:
        shape = file[name].shape
        del file[name]
        file.create_dataset(name, data=np.broadcast_to(value, shape) if np.ndim(value) == 0 else value, **options)

    return change


def attribute(name: str, value: Any, dtype: Any = None) -> Change:
    def change(file: Any) -> None:
        file.attrs.pop(name, None)
        file.attrs.create(name, value, dtype=dtype)

    return change


def _large_chunk(file: Any) -> None:
    del file["conv1_1.bias"]
    file.create_dataset("conv1_1.bias", (8,), np.float32, chunks=(1 << 25,), maxshape=(None,), compression="gzip")
    file["conv1_1.bias"][...] = 0


def _exploding_chunk(name: str) -> Change:
    def change(file: Any) -> None:
        shape = file[name].shape
        del file[name]
        dataset = file.create_dataset(name, shape, np.float32, chunks=shape, compression="gzip")
        squeezer = zlib.compressobj(9)  # to less than 64 KiB, the most that HDF5 1.12 writes as so small a chunk
        packed = b"".join([*(squeezer.compress(bytes(1 << 20)) for _ in range(60)), squeezer.flush()])
        dataset.id.write_direct_chunk((0,) * len(shape), packed)

    return change


def _short_chunk(file: Any) -> None:
    del file["conv1_1.bias"]
    bias = file.create_dataset("conv1_1.bias", (8,), np.float32, chunks=(8,), compression="gzip")
    bias.id.write_direct_chunk((0,), b"\0" * 4, filter_mask=1)  # not packed, and too short


def _unwritten(file: Any) -> None:
    shape = file["conv5_3.weight"].shape
    del file["conv5_3.weight"]
    file.create_dataset("conv5_3.weight", shape, np.float32)


def _hard_link(file: Any) -> None:
    del file["conv1_2.bias"]
    file["conv1_2.bias"] = file["conv1_1.bias"]


def _many_links(file: Any) -> None:
    for index in range(10_100):
        file[f"x{index}"] = file["conv1_1.bias"]


def _many_attributes(file: Any) -> None:
    for index in range(3000):
        file.attrs[f"provenance.{index}"] = "x"


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(8,), dtype=np.float32)
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(8,))
    del file["conv1_1.bias"]
    file.create_virtual_dataset("conv1_1.bias", layout)


def _external_storage(file: Any) -> None:
    del file["conv1_1.bias"]
    file.create_dataset("conv1_1.bias", (8,), np.float32, external=[("/etc/passwd", 0, 32)])


def _linked(link: Any) -> Change:
    def change(file: Any) -> None:
        del file["conv1_1.bias"]
        file["conv1_1.bias"] = link

    return change


def _growing(file: Any) -> None:
    for name in file:
        if name.endswith("weight"):
            file[name][...] = 1e6


def _references(file: Any) -> None:
    del file["conv1_1.bias"]
    file.create_dataset("conv1_1.bias", (8,), h5py.ref_dtype)[0] = file["conv1_2.bias"].ref


def _large_attribute(file: Any) -> None:
    file.attrs["provenance.long"] = "x" * (1 << 20)


def _signs(shape: Any, scale: Any) -> Change:
    def change(file: Any) -> None:
        name = "conv1_1.weight"
        del file[name]
        file.create_dataset(name, data=np.zeros(27, np.uint8))
        file[name].attrs["shape"], file[name].attrs["scale"] = shape, scale

    return change


def _fan(levels: int) -> bytes:
    """Groups whose two links each lead to the next: 2^levels paths."""
    content = BytesIO()
    with h5py.File(content, "w") as file:
        groups = [file.create_group(f"g{level}") for level in range(levels)]
        for group, below in pairwise(groups):
            for index in range(20):
                group[f"l{index}"] = below
    return content.getvalue()


def _loop() -> bytes:
    content = BytesIO()
    with h5py.File(content, "w") as file:
        group = file.create_group("block1_conv1")
        for index in range(300):
            group[f"block1_conv1{index}"] = group
    return content.getvalue()


HDF5: dict[str, Callable[[], bytes]] = {
    "a chunk larger than its dataset": lambda: changed(sealed(_large_chunk)),
    "a small chunk that unpacks to 60 MiB": lambda: changed(_exploding_chunk("conv1_1.bias")),
    "a large chunk that unpacks to 128 MiB": lambda: changed(_exploding_chunk("conv5_3.weight")),
    "a chunk that is too short": lambda: changed(_short_chunk),
    "a dataset never written": lambda: changed(sealed(_unwritten)),
    "two names of one dataset": lambda: changed(sealed(_hard_link)),
    "ten thousand names": lambda: changed(_many_links),
    "a fan of hard links": lambda: _fan(7),
    "a group within itself": _loop,
    "a virtual dataset": lambda: changed(_virtual),
    "external storage": lambda: changed(_external_storage),
    "a soft link": lambda: changed(_linked(h5py.SoftLink("/conv1_2.bias"))),
    "a soft link to itself": lambda: changed(_linked(h5py.SoftLink("/conv1_1.bias"))),
    "an external link": lambda: changed(_linked(h5py.ExternalLink("/etc/passwd", "x"))),
    "a named type": lambda: changed(_linked(np.dtype("f4"))),
    "references": lambda: changed(_references),
    "texts": lambda: changed(replaced("conv1_1.bias", np.array([b"x"] * 8))),
    "complex numbers": lambda: changed(replaced("conv1_1.bias", 1j)),
    "doubles": lambda: changed(replaced("conv1_1.bias", 1.0, dtype="f8")),
    "lzf": lambda: changed(replaced("conv1_1.bias", np.zeros(8, "f4"), compression="lzf")),
    "an endless version": lambda: changed(attribute("version", np.inf)),
    "a version of text": lambda: changed(attribute("version", "1")),
    "a version of two": lambda: changed(attribute("version", [1, 1])),
    "no format but a number": lambda: changed(attribute("format", 5)),
    "an empty attribute": lambda: changed(attribute("network", h5py.Empty("f4"))),
    "a network of two names": lambda: changed(attribute("network", ["a", "b"], h5py.string_dtype())),
    "a network nobody knows": lambda: changed(attribute("network", "\x1b[31m" + "x" * 60_000)),
    "a long attribute": lambda: changed(_large_attribute),
    "thousands of attributes": lambda: changed(_many_attributes),
    "a huge scale of a tap": lambda: changed(attribute("tap_scale.conv1_1", 1e100)),
    "a tiny scale of a tap": lambda: changed(attribute("tap_scale.conv1_1", 1e-100)),
    "no scale of a tap": lambda: changed(attribute("tap_scale.conv1_1", np.nan)),
    "scales of a tap": lambda: changed(attribute("tap_scale.conv1_1", [1.0, 2.0])),
    "a huge mean": lambda: changed(attribute("mean", [1e300, 0, 0])),
    "no scale": lambda: changed(attribute("scale", [0.0, 1, 1])),
    "a mean of two": lambda: changed(attribute("mean", [0.0, 1])),
    "a mean of complex numbers": lambda: changed(attribute("mean", [0j, 1, 1])),
    "huge weights": lambda: changed(sealed(replaced("conv1_1.weight", np.float32(1e30)))),
    "weights that grow from layer to layer": lambda: changed(sealed(_growing)),
    "signs of an impossible shape": lambda: changed(_signs([2**31, 2**31, 2**31, 8], np.ones(8, "f4"))),
    "signs of a shape of doubles": lambda: changed(_signs([np.inf, 3.0], np.ones(8, "f4"))),
    "signs of a shape without end": lambda: changed(_signs(np.ones(5000, int), np.ones(8, "f4"))),
    "infinite signs": lambda: changed(_signs([3, 3, 3, 8], np.full(8, np.inf, "f4"))),
}


@cache
def _honest_npz() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_npz(Path(folder) / "w.npz", random_weights(architecture(NETWORK), 0))
        return (Path(folder) / "w.npz").read_bytes()


def npz(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    """An .npz of `NETWORK`, honest but for what `change(arrays, about)` does."""
    with np.load(BytesIO(_honest_npz())) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(str(arrays.pop("about")))
    change(arrays, about)
    out = BytesIO()
    np.savez_compressed(out, **arrays, about=np.array(json.dumps(about)))
    return out.getvalue()


def _array(shape: tuple[int, ...], kind: str, content: bytes) -> bytes:
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + content


def npz_member(name: str, content: bytes) -> bytes:
    """An honest .npz, one member's bytes replaced (or added)."""
    with zipfile.ZipFile(BytesIO(_honest_npz())) as file:
        members = {entry: file.read(entry) for entry in file.namelist()}
    members[name] = content
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in members.items():
            archive.writestr(entry, data)
    return out.getvalue()


def _about(**values: Any) -> bytes:
    return npz(lambda arrays, about: about.update(values))


def _pickled() -> bytes:
    out = BytesIO()
    np.save(out, np.array([{}], object), allow_pickle=True)
    return out.getvalue()


NPZ: dict[str, Callable[[], bytes]] = {
    "much beside the weights": lambda: npz(lambda arrays, about: arrays.update(more=np.zeros(1 << 27, "u1"))),
    "an array of zeros, larger than told": lambda: npz_member("conv1_1.bias.npy", _array((8,), "<f2", bytes(1 << 27))),
    "an array of an impossible shape": lambda: npz_member("conv1_1.bias.npy", _array((2**62, 8), "<f2", bytes(16))),
    "an array of less than told": lambda: npz_member("conv1_1.bias.npy", _array((8,), "<f2", bytes(3))),
    "objects": lambda: npz_member("conv1_1.bias.npy", _pickled()),
    "a header that is a program": lambda: npz_member("conv1_1.bias.npy", _array((8,), "'+exit()+'", bytes(16))),
    "a header of brackets": lambda: npz_member(
        "conv1_1.bias.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", 60000) + b"(" * 60000
    ),
    "no array": lambda: npz_member("conv1_1.bias.npy", b"x"),
    "a member that is no array": lambda: npz_member("more.txt", b"x"),
    "two of one name": lambda: npz_member("conv1_1.bias", _array((8,), "<f2", bytes(16))),
    "no JSON": lambda: npz_member("about.npy", _array((), "<U3", "{}x".encode("utf-32-le"))),
    "a long text": lambda: npz_member("about.npy", _array((), "<U99999999", b"")),
    "nested JSON": lambda: npz_member("about.npy", _array((), "<U60000", ("[" * 60000).encode("utf-32-le"))),
    "a long number": lambda: npz_member("about.npy", _array((), "<U6000", ("9" * 6000).encode("utf-32-le"))),
    "no object": lambda: npz_member("about.npy", _array((), "<U2", "[]".encode("utf-32-le"))),
    "a mean of text": lambda: _about(mean=["a", "b", "c"]),
    "a mean of two": lambda: _about(mean=[1, 2]),
    "a huge mean": lambda: _about(mean=[1e300, 0, 0]),
    "a mean without end": lambda: _about(mean=[10**400, 0, 0]),
    "no scale": lambda: _about(scale=[0, 0, 0]),
    "a number for a network": lambda: _about(network=5),
    "escapes": lambda: _about(network="\x1b[2J\ud800"),
    "a list of scales": lambda: _about(tap_scales=[1]),
    "a huge scale": lambda: _about(tap_scales={"conv1_1": 1e100}),
    "a scale of text": lambda: _about(tap_scales={"conv1_1": "1"}),
    "provenance that is a number": lambda: _about(provenance=5),
    "provenance of numbers": lambda: _about(provenance={"a": 5}),
    "perhaps trained": lambda: _about(trained="perhaps"),
    "infinite weights": lambda: npz(lambda arrays, about: arrays["conv1_1.bias"].fill(np.inf)),
    "whole numbers": lambda: npz(lambda arrays, about: arrays.update({"conv1_1.bias": np.zeros(8, "i4")})),
    "no zip": lambda: b"PK\x03\x04" + bytes(100),
}


def makers() -> dict[str, Callable[[], bytes]]:
    """{file name: what makes its bytes} of everything above."""
    found = {f"{name}.h5": make for name, make in HDF5.items()}
    return found | {f"{name}.npz": make for name, make in NPZ.items()}
