"""What is read from each format, bit for bit, with PyTorch where it is installed and by kept files where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minitorch_style.errors import CheckpointError
from minitorch_style.weights.checkpoints import read_checkpoint, read_value

DATA = Path(__file__).resolve().parents[2] / "data"
SAMPLES = ("zip.pt", "zip_big_endian.pt", "legacy.pth", "legacy_big_endian.pth", "sample.safetensors")


def identical(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape and found[name].dtype == array.dtype, name
        assert np.ascontiguousarray(found[name]).tobytes() == array.tobytes(), name


@pytest.mark.parametrize("name", SAMPLES)
def test_kept_files(name: str) -> None:
    """60 tensors: ten dtypes in six layouts, both byte orders."""
    with np.load(DATA / "expected.npz") as expected:
        identical(read_checkpoint(DATA / name), dict(expected))


def test_torch7_networks() -> None:
    from tests.weights.checkpoints.make_samples import torch7_network

    content, expected = torch7_network()
    assert (DATA / "network.t7").read_bytes() == content
    identical(read_checkpoint(DATA / "network.t7"), expected)


def test_torch7_tables_of_tensors(tmp_path: Path) -> None:
    from tests.weights.checkpoints.make_samples import T7Writer

    writer, array = T7Writer(), np.arange(6.0).reshape(2, 3)
    writer.value({"a": array, 1: array[0], "deeper": {"b": array}})
    path = tmp_path / "table.t7"
    path.write_bytes(writer.out)
    identical(read_checkpoint(path), {"a": array, "1": array[0], "deeper.b": array})


@pytest.mark.torch
@pytest.mark.parametrize("name", SAMPLES)
def test_as_torch_reads_them(name: str, tmp_path: Path) -> None:
    import torch

    from tests.weights.checkpoints.make_samples import as_arrays, files, tensors

    expected = as_arrays(tensors())
    for path, content in ((DATA / name, None), (tmp_path / name, files(tensors())[name])):
        if content is not None:  # as this PyTorch writes it
            path.write_bytes(content)
        if name not in (
            "sample.safetensors",
            "legacy_big_endian.pth",
        ):  # PyTorch does not turn the latter's bytes round
            identical(as_arrays(torch.load(path, weights_only=True)), expected)
        identical(read_checkpoint(path), expected)


@pytest.mark.torch
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("nested", ["state_dict", "model", None])
def test_state_dicts_of_modules(tmp_path: Path, legacy: bool, nested: str | None) -> None:
    """Parameters, buffers, the notes PyTorch hangs on its OrderedDicts, and plain entries beside them."""
    import torch

    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = module.state_dict()
    state["1.weight"] = torch.nn.Parameter(state["1.weight"])
    value = {"epoch": 3, nested: state, "note": [1.5, ("a", None, True)]} if nested else state
    path = tmp_path / "checkpoint.pth"
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    identical(read_checkpoint(path), {key: tensor.detach().numpy() for key, tensor in module.state_dict().items()})


@pytest.mark.torch
@pytest.mark.shared_data
def test_files_found_in_the_wild(shared: Path) -> None:
    import torch

    paths = [path for path in (shared / "checkpoints").iterdir() if path.suffix in (".pth", ".pt")]
    assert len(paths) >= 5
    for path in paths:
        expected = torch.load(path, map_location="cpu", weights_only=True)
        expected = expected.get("state_dict", expected)
        identical(read_checkpoint(path), {key: tensor.numpy() for key, tensor in expected.items()})


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "count"), [("starry_style.t7", 142), ("bricks.png_model.t7", 240)])
def test_torch7_files_found_in_the_wild(shared: Path, name: str, count: int) -> None:
    state = read_checkpoint(shared / "checkpoints" / name)
    assert len(state) == count and all(np.all(np.isfinite(array)) for array in state.values())
    assert {array.ndim for key, array in state.items() if key.endswith("weight")} == {1, 4}


def test_views_share_the_storage() -> None:
    """Tensors that share a storage in the file share memory here: a file cannot claim more than it holds."""
    state = read_checkpoint(DATA / "zip.pt")
    assert np.shares_memory(state["float32.contiguous"], state["float32.transposed"])
    assert not state["float32.contiguous"].flags.writeable


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"some text", b"PK\x03\x04", b"\x80\x02\x8a", b"\x89HDF\r\n\x1a\n" + b"\0" * 50]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        read_value(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_value(tmp_path / "none.pth")
