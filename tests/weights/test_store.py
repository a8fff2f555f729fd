"""Where weight files are found and put, whatever else lies there, and what is said of files that are none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from minitorch_style.cli import main
from minitorch_style.engine.network import load_network
from minitorch_style.errors import SettingsError, StyleError, WeightsError, printable
from minitorch_style.nn.registry import architecture
from minitorch_style.weights.hdf5 import load_weights, save_weights
from minitorch_style.weights.npz import save_npz
from minitorch_style.weights.store import bundled, find_weights, installed, stored_network, user_directory
from minitorch_style.weights.weights import random_weights

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed weights."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("MINITORCH_STYLE_DATA", str(folder))
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="the places of Linux")
def test_the_users_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINITORCH_STYLE_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_directory() == tmp_path / "minitorch_style"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_directory() == tmp_path / ".local" / "share" / "minitorch_style"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(36, "File name too long")])
def test_a_home_that_may_not_be_entered_has_no_weights(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise error

    monkeypatch.setattr(Path, "glob", refuse)
    assert installed() == {}


def test_a_home_with_an_impossible_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MINITORCH_STYLE_DATA", "/" + "x" * 300)
    assert installed() == {}
    assert main(["weights", "install", "vgg16"]) == 2
    assert "cannot be made" in capsys.readouterr().err


def test_stray_and_damaged_files_do_not_hide_the_others(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_weights(home / "vgg19-quarter.h5", random_weights(architecture("vgg19-quarter"), 0))
    (home / "enet.h5").write_text("damaged")
    for stray in ("notes.h5", "._vgg16.h5", ".DS_Store", "vgg16.pth.part"):
        (home / stray).write_text("x")
    (home / "folder.h5").mkdir()
    assert main(["weights", "list"]) == 0
    out = capsys.readouterr().out
    assert "vgg19-quarter: installed, " in out and "enet: installed, cannot be used (" in out and "notes" not in out
    assert main(["weights", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["network"] for row in rows if "error" in row] == ["enet"]
    assert {row["network"] for row in rows} == {*bundled(), "vgg19-quarter", "enet"}


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_a_file_tells_its_network(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    (save_npz if suffix == ".npz" else save_weights)(path, random_weights(architecture("enet"), 0))
    assert stored_network(path) == "enet" and load_network(None, path).name == "enet"
    with pytest.raises(WeightsError, match=r"enet.* not fit distilled|not fit distilled"):
        load_network("distilled", path)


@pytest.mark.parametrize("weights", [None, "random:0"])
def test_what_tells_no_network(weights: str | None) -> None:
    with pytest.raises(SettingsError, match="which network"):
        load_network(None, weights)


def test_stylize_takes_the_files_network(tmp_path: Path) -> None:
    import argparse

    from minitorch_style.cli.stylize import add_arguments, settings_of

    path = tmp_path / "w.h5"
    save_weights(path, random_weights(architecture("enet"), 0))
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    def model(*options: str) -> str:
        return settings_of(parser.parse_args(["a", "b", "-o", "c.png", *options])).model

    assert model("--weights", str(path)) == "enet" and model("--weights", str(path), "--model", "vgg16") == "vgg16"
    assert model() == model("--weights", "random:0") != "enet"


@pytest.mark.parametrize("name", ["zip.pt", "legacy.pth", "sample.safetensors", "network.t7", "keras.h5"])
def test_checkpoints_are_told_how_they_become_weights(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "keras.h5":
        with h5py.File(path, "w") as file:
            file["block1_conv1/kernel:0"] = np.zeros((3, 3, 3, 64), np.float32)
    else:
        shutil.copy(DATA / name, path)
    for tell in (lambda: find_weights(architecture("vgg16"), path), lambda: stored_network(path)):
        with pytest.raises(WeightsError, match=r"minitorch_style weights convert .* --network NAME -o OUT\.h5"):
            tell()


@pytest.mark.parametrize("seed", ["", "x", "-1", "1" * 19, "1" * 5000])
def test_seeds(seed: str) -> None:
    with pytest.raises(SettingsError, match=r"whole number \(at most 18 digits\)") as caught:
        find_weights(architecture("enet"), f"random:{seed}")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", bundled())
def test_bundled_weights_are_sound(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "verify", str(bundled()[name])]) == 0
    assert capsys.readouterr().out.endswith(f": sound weights of {name}\n")


def test_our_own_files_are_not_converted_again(weight_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "convert", str(weight_file), "--network", "enet", "-o", f"{weight_file}.new.h5"]) == 2
    told = capsys.readouterr().err
    assert "is a weight file of this program already, of distilled" in told and len(told) < 300


@pytest.mark.parametrize("other", ["same", "linked"])
def test_the_input_is_never_replaced(weight_file: Path, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = weight_file if other == "same" else weight_file.with_name("linked.h5")
    if other == "linked":
        output.hardlink_to(weight_file)
    before = weight_file.read_bytes()
    for command in (["convert", str(weight_file), "--network", "enet"], ["normalize", str(weight_file), "."]):
        assert main(["weights", *command, "-o", str(output)]) == 2
        assert "would replace an input" in capsys.readouterr().err
    assert weight_file.read_bytes() == before


def test_squeezenet_is_no_vgg(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target, path = architecture("squeezenet"), tmp_path / "keras.h5"
    with h5py.File(path, "w") as file:
        for name, array in random_weights(target, 0).parameters.items():
            *layer, kind = name.split(".")
            file[f"model/{'/'.join(layer)}/{'kernel' if kind == 'weight' else 'bias'}"] = array
    assert main(["weights", "info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "weights saved by Keras" in out and "fits: squeezenet\n" in out and "VGG" not in out


@pytest.mark.parametrize("kind", ["folder", "pipe", "nothing", "long"])
def test_what_is_no_file(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    import os

    path = tmp_path / ("x" * 300 if kind == "long" else "f.h5")
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        if sys.platform == "win32":
            pytest.skip("no pipes in the file system")
        os.mkfifo(path)
    for action in ("info", "verify"):
        assert main(["weights", action, str(path)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_names_reach_the_terminal_written_out() -> None:
    assert printable("\x1b[31mred\ud800\u202eevil é×–") == "\\x1b[31mred\\ud800\\u202eevil é×–"
    assert str(StyleError("a\x07b")) == "a\\x07b"


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_a_full_disk_loses_nothing(tmp_path: Path, suffix: str) -> None:
    """A limit on the size of files stands in for it: what was there is there still, and one error tells."""
    path = tmp_path / f"w{suffix}"
    path.write_text("precious")
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from minitorch_style.errors import WeightsError\n"
        "from minitorch_style.nn.registry import architecture\n"
        "from minitorch_style.weights.hdf5 import save_weights\n"
        "from minitorch_style.weights.npz import save_npz\n"
        "from minitorch_style.weights.weights import random_weights\n"
        "path, weights = Path(sys.argv[1]), random_weights(architecture('distilled'), 0)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    (save_npz if path.suffix == '.npz' else save_weights)(path, weights)\n"
        "except WeightsError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, cwd=DATA.parents[1]
    )
    assert "cannot be written" in done.stdout and not done.stderr
    assert path.read_text() == "precious" and list(tmp_path.iterdir()) == [path]


def test_files_are_made_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 itself never writes to the disk, where an error may end the process."""
    opened: list[Any] = []
    original = h5py.File.__init__

    def spy(self: Any, name: Any, mode: str = "r", **options: Any) -> None:
        opened.append((mode, options.get("driver"), options.get("backing_store")))
        original(self, name, mode, **options)

    monkeypatch.setattr(h5py.File, "__init__", spy)
    save_weights(tmp_path / "w.h5", random_weights(architecture("distilled"), 0))
    assert opened == [("w", "core", False)]
    assert load_weights(tmp_path / "w.h5", architecture("distilled")).network == "distilled"


def test_normalize_passes_over_what_is_no_picture(
    weight_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, out = tmp_path / "pictures", tmp_path / "out.h5"
    pictures.mkdir()
    for name in (".DS_Store", "notes.txt"):
        (pictures / name).write_text("x")
    command = ["weights", "normalize", str(weight_file), str(pictures), "-o", str(out)]
    assert main(command) == 2 and "holds no pictures" in capsys.readouterr().err
    (pictures / "p.ppm").write_bytes(b"P6 32 32 255\n" + bytes(range(256)) * 12)
    assert main(command) == 0
    told = capsys.readouterr()
    assert "notes.txt" in told.err and ".DS_Store" not in told.err and "sound" not in told.err
    assert load_weights(out, architecture("distilled")).provenance["normalised"].endswith("over 1 pictures")
