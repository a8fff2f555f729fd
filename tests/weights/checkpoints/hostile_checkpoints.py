"""Checkpoints that would cost much if they were believed: {name: bytes, or what makes them} of each kind."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from io import BytesIO


def legacy(pickled: bytes, keys: list[str] | None = None, rest: bytes = b"") -> bytes:
    """A file of PyTorch's legacy format whose value is `pickled`."""
    magic = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    return magic + pickled + pickle.dumps(keys or [], 2) + rest


def text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n%s" + text("cpu") + b"K\x04tQ"
DOUBLINGS = b"K\x01" + b"q\x01h\x01\x86" * 40  # a pair of a pair of a pair …: 2^40 numbers


def _tensor(storage: bytes, rest: bytes = b"K\x00K\x04\x85K\x01\x85\x89N") -> bytes:
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR"


LONG_TENSOR = b"(" + b"K\x01" * 30_000 + b"t"
PICKLES: dict[str, bytes] = {
    "pairs of pairs as a module": b"\x80\x04" + DOUBLINGS + text("x") + b"\x93.",
    "pairs of pairs as a name": b"\x80\x04" + text("torch") + DOUBLINGS + b"\x93.",
    "pairs of pairs as both": b"\x80\x04" + DOUBLINGS + DOUBLINGS + b"\x93.",
    "a list as a name": b"\x80\x04" + text("torch") + b"]\x93.",
    "pairs of pairs as a function": b"\x80\x02" + DOUBLINGS + b")R.",
    "pairs of pairs as arguments": b"\x80\x02ccollections\nOrderedDict\n" + DOUBLINGS + b"\x85R.",
    "pairs of pairs as a persistent id": b"\x80\x02" + DOUBLINGS + b"Q.",
    "pairs of pairs in a persistent id": b"\x80\x02(" + DOUBLINGS + b"NNNNtQ.",
    "pairs of pairs as a storage's key": b"\x80\x02}" + text("a") + _tensor(STORAGE % DOUBLINGS) + b"s.",
    "pairs of pairs as a shape": b"\x80\x02}" + text("a") + _tensor(
        STORAGE % text("0"), b"K\x00" + DOUBLINGS + b"K\x01\x85\x89N") + b"s.",
    "pairs of pairs as a key": b"\x80\x02}" + DOUBLINGS + b"K\x01s.",
    "a key of 5,000 digits": b"\x80\x02}" + pickle.dumps(10**5000, 2)[2:-1] + _tensor(STORAGE % text("0")) + b"s.",
    "a long number as a key again and again": b"\x80\x02}\x8b" + struct.pack("<i", 200_000) + b"\x01" * 200_000
    + b"q\x01(" + b"h\x01N" * 100_000 + b"u.",
    "numbers that share a hash": b"\x80\x02}(" + b"".join(
        b"\x8a\x0c" + (index * (2**61 - 1)).to_bytes(12, "little") + b"N" for index in range(60_000)
    ) + b"u.",
    "memo places that share a hash": b"\x80\x02]" + b"".join(
        b"p%d\n" % (index * (2**61 - 1)) for index in range(60_000)
    ) + b".",
    "dictionaries and nothing else": b"\x80\x02" + b"}" * 2_000_000 + b".",
    "memo places and nothing else": b"\x80\x04]" + b"\x94" * 2_000_000 + b".",
    "one list made a dictionary again and again": b"\x80\x02(" + b"".join(
        b"M" + struct.pack("<H", index) + b"N\x86" for index in range(30_000)
    ) + b"l\x85q\x01ccollections\nOrderedDict\nq\x02" + b"0h\x02h\x01R" * 50_000 + b".",
    "one tensor again and again": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x01(" + STORAGE % text("0")
    + b"K\x00K\x04\x85K\x01\x85\x89Ntq\x02}(" + b"".join(
        b"M" + struct.pack("<H", index) + b"h\x01h\x02R" for index in range(60_000)) + b"u.",
    "one dictionary in many": b"\x80\x02}(" + b"".join(
        b"M" + struct.pack("<H", index) + b"N" for index in range(10_000)) + b"uq\x01}(" + b"".join(
        b"M" + struct.pack("<H", index) + b"h\x01" for index in range(60_000)) + b"u.",
    "a long key of a storage": b"\x80\x02}" + text("a") + _tensor(STORAGE % text("0" * 1_000_000)) + b"s.",
    "a long shape, for many": b"\x80\x02}(" + text("a") + _tensor(
        STORAGE % text("0"), b"K\x00" + LONG_TENSOR + b"q\x03h\x03\x89N") + b"u.",
    "an empty tensor of impossible sides": b"\x80\x02}" + text("a") + _tensor(
        STORAGE % text("0"), b"K\x00(K\x00J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft(K\x01K\x01K\x01t\x89N") + b"s.",
    "a negative offset": b"\x80\x02}" + text("a") + _tensor(
        STORAGE % text("0"), b"J\xff\xff\xff\xffK\x04\x85K\x01\x85\x89N") + b"s.",
    "a name with half a pair and an escape": b"\x80\x02}" + text("\ud800\x1b[31m") + b"ccollections\n\x1b]0;x\x07\ns.",
    "half a pair as a name": b"\x80\x02}" + text("\ud800\x1b[31mred") + _tensor(STORAGE % text("0")) + b"s.",
    "nested lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
}  # fmt: skip


def t7_text(value: bytes) -> bytes:
    return struct.pack("<ii", 2, len(value)) + value


def _t7_fan(length: int, entries: int) -> bytes:
    """A long key over a table of many small tensors."""
    tensor = struct.pack("<ii", 4, 3) + struct.pack("<i", 3) + b"V 1" + struct.pack("<i", 17) + b"torch.FloatTensor"
    tensor += struct.pack("<iqqq", 1, 1, 1, 1) + struct.pack("<ii", 4, 4) + struct.pack("<i", 3) + b"V 1"
    tensor += struct.pack("<i", 18) + b"torch.FloatStorage" + struct.pack("<qf", 1, 1.0)
    again = struct.pack("<ii", 4, 3)
    inner = struct.pack("<iii", 3, 2, entries)
    for index in range(entries):
        inner += struct.pack("<id", 1, index) + (tensor if index == 0 else again)
    return struct.pack("<iii", 3, 1, 1) + t7_text(b"x" * length) + inner


def _t7_overlapping() -> bytes:
    """A tensor whose storage is another tensor, of step 0: read as a storage it would reach beyond the file."""

    def tensor(index: int, size: int, step: int, offset: int, storage: bytes) -> bytes:
        head = struct.pack("<ii", 4, index) + struct.pack("<i", 3) + b"V 1" + struct.pack("<i", 17)
        return head + b"torch.FloatTensor" + struct.pack("<iqqq", 1, size, step, offset) + storage

    storage = struct.pack("<ii", 4, 9) + struct.pack("<i", 3) + b"V 1" + struct.pack("<i", 18)
    storage += b"torch.FloatStorage" + struct.pack("<q5f", 5, *range(5))
    inner = tensor(3, 5, 0, 5, storage)
    return struct.pack("<iii", 3, 1, 1) + t7_text(b"w") + tensor(2, 5, 1, 1, inner)


T7: dict[str, Callable[[], bytes]] = {
    "a long key over many tensors": lambda: _t7_fan(1_000_000, 10_000),
    "a tensor as a storage": _t7_overlapping,
    "a negative count": lambda: struct.pack("<iii", 3, 1, -1),
    "a huge count": lambda: struct.pack("<iii", 3, 1, 2**31 - 1),
    "a text longer than the file": lambda: struct.pack("<iiiii", 3, 1, 1, 2, 2**31 - 1),
    "tables in tables": lambda: b"".join(struct.pack("<iii", 3, n, 1) + t7_text(b"a") for n in range(1, 5000)),
    "a table within itself": lambda: struct.pack("<iii", 3, 1, 1) + t7_text(b"a") + struct.pack("<ii", 3, 1),
    "a function of negative length": lambda: struct.pack("<iii", 3, 1, 1) + t7_text(b"a") + struct.pack("<iii", 6, 2, -5),
    "tables and nothing else": lambda: struct.pack("<iii", 3, 1, 100_000) + b"".join(
        struct.pack("<idiii", 1, n, 3, n + 2, 0) for n in range(100_000)
    ),
}  # fmt: skip


def overlapping(entries: int, size: int) -> bytes:
    """An archive whose members all are the same bytes."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        items = b"".join(text(f"w{n}") + _tensor(STORAGE % text(str(n))) for n in range(entries))
        archive.writestr("a/data.pkl", b"\x80\x02}(" + items + b"u.")
        archive.writestr("a/data/0", bytes(size))
        first = archive.filelist[-1]
        for number in range(1, entries):
            entry = zipfile.ZipInfo(f"a/data/{number}")
            for field in ("CRC", "compress_size", "file_size", "header_offset"):
                setattr(entry, field, getattr(first, field))
            archive.filelist.append(entry)
    return out.getvalue()


def safetensors(header: str) -> bytes:
    raw = header.encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(64)


SAFETENSORS: dict[str, str] = {
    "lists and nothing else": "{" + '"a":[' + "[]," * 500_000 + "0]}",
    "objects and nothing else": "{" + '"a":[' + "{}," * 500_000 + "0]}",
    "deeply nested": '{"a":' + "[" * 100_000,
    "a long name": '{"' + "x" * 1_000_000 + '":5}',
    "escapes in a name": '{"\\ud800\\u001b[31m":5}',
    "an impossible empty tensor": '{"w":{"dtype":"F32","shape":[0,2147483647,2147483647],"data_offsets":[0,0]}}',
    "a number of 5,000 digits": '{"w":{"dtype":"F32","shape":[' + "9" * 5000 + '],"data_offsets":[0,0]}}',
    "sides without end": '{"w":{"dtype":"F32","shape":[' + "1," * 30_000 + '1],"data_offsets":[0,4]}}',
}


def archive(pickled: bytes) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        file.writestr("a/data.pkl", pickled)
        file.writestr("a/data/0", struct.pack("<4f", *range(4)))
    return out.getvalue()


def makers() -> dict[str, Callable[[], bytes]]:
    """{file name: what makes its bytes} of everything above."""
    found = {f"legacy, {name}.pth": partial(legacy, pickled) for name, pickled in PICKLES.items()}
    found |= {f"zip, {name}.pth": partial(archive, pickled) for name, pickled in PICKLES.items()}
    found |= {f"{name}.t7": make for name, make in T7.items()}
    found |= {f"{name}.safetensors": partial(safetensors, header) for name, header in SAFETENSORS.items()}
    return {**found, "overlapping entries.pth": partial(overlapping, 500, 1 << 20)}
