"""Files from strangers: pickles that want to run something, and thousands of damaged files."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
import time
import tracemalloc
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from minitorch_style.errors import CheckpointError
from minitorch_style.weights.checkpoints import read_value

DATA = Path(__file__).resolve().parents[2] / "data"
# MINITORCH_MUTATIONS=2000 is the long form.
MUTATIONS = int(os.environ.get("MINITORCH_MUTATIONS", "150"))
CANARY = "minitorch_style_canary"


def zipped(pickled: bytes, **members: bytes) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
    return out.getvalue()


class Reduces:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def touching(folder: Path) -> str:
    return f"touch {folder / CANARY}"


def hostile_pickles(folder: Path) -> dict[str, bytes]:
    """Everything here would leave a file behind, or exhaust something, if it were believed."""
    command = touching(folder)
    code = f"open({str(folder / CANARY)!r}, 'w').close()"
    found: dict[str, bytes] = {}
    for protocol in range(6):
        found[f"os.system, protocol {protocol}"] = pickle.dumps(Reduces(os.system, command), protocol)
        found[f"eval, protocol {protocol}"] = pickle.dumps(Reduces(eval, code), protocol)
        found[f"exec in a state dict, protocol {protocol}"] = pickle.dumps(
            {"state_dict": {"w": Reduces(exec, code)}}, protocol
        )
    text = command.encode()
    found |= {
        "global posix.system": b"cposix\nsystem\n(S'" + text + b"'\ntR.",
        "subprocess.Popen": b"csubprocess\nPopen\n(S'" + text + b"'\ntR.",
        "builtins.getattr": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\nS'x'\ntR.",
        "getattr chain": b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93\x8c\x02os\x8c\x06system\x86R.",
        "dotted name": b"\x80\x04\x8c\x05torch\x8c\x0cos.system.do\x93.",
        "INST": b"(S'" + text + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS'" + text + b"'\no.",
        "NEWOBJ": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        "NEWOBJ_EX": b"\x80\x04\x8c\x0bcollections\x8c\x0bOrderedDict\x93)}\x92.",
        "EXT1": b"\x80\x02\x82\x01.",
        "torch.load within": b"\x80\x02ctorch.serialization\nload\nX\x01\x00\x00\x00a\x85R.",
        "webbrowser": b"cwebbrowser\nopen\n(S'http://127.0.0.1'\ntR.",
        "codecs.encode": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00latin1\x86R.",
        "BUILD on a name": b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aX\x01\x00\x00\x00bsb.",
        "OrderedDict of a callable": b"\x80\x02ccollections\nOrderedDict\nccollections\nOrderedDict\n\x85R.",
        "storage type as function": b"\x80\x02ctorch\nFloatStorage\nK\x05\x85R.",
        "huge BINPUT": b"\x80\x02]r\xff\xff\xff\xff.",
        "huge LONG4": b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
        "huge BINUNICODE8": b"\x80\x04\x8d" + b"\xff" * 8 + b".",
        "huge decimal LONG": b"L" + b"9" * 200_000 + b"L\n.",
        "deep nesting": b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",
        "doubling tuple as key": b"\x80\x02}K\x01" + b"q\x01h\x01\x86" * 60 + b"K\x02s.",
        "no stop": b"\x80\x02]",
        "empty stack": b"\x80\x02R.",
        "persistent id of a command": b"\x80\x02X\x06\x00\x00\x00systemQ.",
        "text persistent id": b"P" + text + b"\n.",
        "memo never written": b"\x80\x02h\x05.",
        "out-of-band buffer": b"\x80\x05\x97.",
        "set of tuples": b"\x80\x04\x8f(K\x01K\x02\x90.",
        "bytearray": b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00a.",
    }
    return found


def outcome(content: bytes, folder: Path) -> Exception | None:
    """What reading raises, if anything; fails on everything but a CheckpointError and on what takes too long."""
    path = folder / "file.pth"
    path.write_bytes(content)
    begun = time.monotonic()
    try:
        read_value(path)
    except CheckpointError as error:
        return error
    finally:
        assert time.monotonic() - begun < 5
    return None


@pytest.mark.parametrize("name", hostile_pickles(Path()))
def test_nothing_is_executed(name: str, tmp_path: Path) -> None:
    pickled = hostile_pickles(tmp_path)[name]
    magic = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    harmless = name in (
        "deep nesting",
        "huge BINPUT",
    )  # only large numbers: read, or refused, in bounded time and space
    for content in (zipped(pickled), magic + pickled + pickle.dumps([], 2)):
        assert outcome(content, tmp_path) is not None or harmless
    assert not (tmp_path / CANARY).exists()


def tensor_pickle(offset: int, shape: tuple[int, ...], strides: tuple[int, ...], count: int) -> bytes:
    """_rebuild_tensor_v2 of a float storage '0' with these numbers."""

    def number(value: int) -> bytes:
        raw = value.to_bytes(9, "little", signed=True)
        return b"\x8a\x09" + raw

    def several(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(number(value) for value in values) + b"t"

    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + number(count) + b"tQ"
    )
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + number(offset)
        + several(shape)
        + several(strides)
        + b"\x89Nt"
    )
    return b"\x80\x02}X\x01\x00\x00\x00w" + tensor + b"Rs."


@pytest.mark.parametrize(
    ("numbers", "fits"),
    [
        ((0, (2, 3), (3, 1), 6), True),
        ((1, (5,), (1,), 6), True),
        ((0, (3, 2), (1, 3), 6), True),
        ((1, (2, 3), (3, 1), 6), False),
        ((0, (7,), (1,), 6), False),
        ((0, (2, 3), (3, 1), 7), False),
        ((-1, (2,), (1,), 6), False),
        ((0, (2,), (-1,), 6), False),
        ((0, (2, 2), (1,), 6), False),
        ((0, (2**40,), (0,), 6), False),
        ((0, (100, 100), (0, 0), 6), False),
        ((2**61, (1,), (1,), 6), False),
        ((0, (0, 2**60), (1, 1), 6), False),
        ((0, (1,) * 40, (1,) * 40, 6), False),
    ],
)
def test_tensors_stay_within_their_storage(numbers: tuple[Any, ...], fits: bool, tmp_path: Path) -> None:
    content = zipped(tensor_pickle(*numbers), **{"data/0": struct.pack("<6f", *range(6))})
    assert (outcome(content, tmp_path) is None) == fits


def test_archives_with_tricks_are_refused(tmp_path: Path) -> None:
    good = tensor_pickle(0, (6,), (1,), 6)
    compressed = BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", good)
        archive.writestr("a/data/0", b"\0" * 24)
    assert "compressed" in str(outcome(compressed.getvalue(), tmp_path))
    twice = BytesIO()
    with zipfile.ZipFile(twice, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            archive.writestr("a/data.pkl", good)
    assert "twice" in str(outcome(twice.getvalue(), tmp_path))
    assert "no storage 0" in str(outcome(zipped(good), tmp_path))


@pytest.mark.parametrize(
    "header",
    [
        '{"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}',
        '{"w": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}',
        '{"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}',
        '{"w": {"dtype": "F9", "shape": [2], "data_offsets": [0, 8]}}',
        '{"w": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}',
        '{"w": {"dtype": "F32", "shape": [true, 2], "data_offsets": [0, 8]}}',
        '{"w": {"dtype": "F32", "shape": [2]}}',
        '{"w": 5}',
        '{"w": {"dtype": "U8", "shape":[2], "data_offsets": [0, 2]}, "w": {"dtype": "U8", "shape": [1], "data_offsets": [2, 3]}}',
        '{"w": {"dtype": "U8", "shape":[2], "data_offsets": [0, 2]}, "v": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}',
        "{" + '"a":[' * 50_000,
        "{}x",
    ],
)
def test_safetensors_headers_that_lie(header: str, tmp_path: Path) -> None:
    content = struct.pack("<Q", len(header)) + header.encode() + b"\0" * 8
    assert outcome(content, tmp_path) is not None


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A flip of bits, a cut, a splice, or a length field turned into something large."""
    changed = bytearray(data)
    match rng.randrange(5):
        case 0:
            for _ in range(rng.randint(1, 8)):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        case 1:
            del changed[rng.randrange(len(changed)) :]
        case 2:
            start, source, length = rng.randrange(len(changed)), rng.randrange(len(changed)), rng.randint(1, 200)
            changed[start:start] = data[source : source + length]
        case 3:
            start = rng.randrange(len(changed))
            del changed[start : start + rng.randint(1, 64)]
        case _:
            start = rng.randrange(len(changed) - 8)
            changed[start : start + 8] = rng.choice([b"\xff" * 8, struct.pack("<q", 2**31), struct.pack("<q", 2**40)])
    return bytes(changed)


@pytest.mark.parametrize("name", ["zip.pt", "legacy.pth", "sample.safetensors", "network.t7"])
def test_damaged_files(name: str, tmp_path: Path) -> None:
    """No crash, no hang, no exception but CheckpointError, memory within three times the file and 64 MiB."""
    data = (DATA / name).read_bytes()
    rng = random.Random(name)
    refused = 0
    tracemalloc.start()
    try:
        for _ in range(MUTATIONS):
            refused += outcome(mutated(data, rng), tmp_path) is not None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(data) + 2**26
    assert refused > MUTATIONS // 3


def test_json_of_the_sample_is_what_the_format_says() -> None:
    data = (DATA / "sample.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    assert header["bfloat16.contiguous"]["dtype"] == "BF16"
