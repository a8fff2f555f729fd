"""The command line as a user meets it: in a process of its own, judged by files, streams and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from minitorch_style.cli import main
from minitorch_style.kernels import kernel_set
from tests.cli.processes import PAINTING, PHOTO, run

FAST = ["--preset", "gram", "--model", "distilled", "--size", "48"]


def test_a_picture_is_made(tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    done = run(
        "stylize", PHOTO, PAINTING, "-o", str(out), *FAST, "--iterations", "6", "--save-every", "2", "--threads", "1"
    )
    assert done.returncode == 0 and done.stdout == ""
    assert "48×32 pixels, distilled" in done.stderr and "MB" in done.stderr and "iteration 6/6" in done.stderr
    assert Image.open(out).size == (48, 32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-0002.png", "out-0004.png", "out.png"]


@pytest.mark.slow
@pytest.mark.jit
def test_a_first_run_says_that_it_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINITORCH_STYLE_CACHE", str(tmp_path / "cache"))
    arguments = ["stylize", PHOTO, PAINTING, "-o", str(tmp_path / "out.png"), *FAST, "--iterations", "1"]
    first, second = run(*arguments).stderr, run(*arguments).stderr
    assert first.index("about") < first.index("compiling kernels, once") < first.index("iteration 1/1")
    assert "compiling" not in second and "iteration 1/1" in second


def test_json_and_repetition(tmp_path: Path) -> None:
    pictures = []
    for name in ("a.png", "b.png"):
        done = run(
            "stylize", PHOTO, PAINTING, "-o", str(tmp_path / name), *FAST, "--iterations", "3", "--json", "--quiet"
        )
        assert done.returncode == 0 and done.stderr == ""
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["iteration"] for line in lines[:-1]] == [1, 2, 3]
        assert lines[-1]["iterations"] == 3 and lines[-1]["settings"]["model"] == "distilled"
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.jpg", PAINTING, "-o", "OUT.png"], "nothing.jpg: no such file"),
        ([PHOTO, "DIR/text.jpg", "-o", "OUT.png"], "not a picture"),
        ([PHOTO, "DIR", "-o", "OUT.png"], "is a directory"),
        ([PHOTO, PAINTING, "-o", "OUT.xyz"], "must end in"),
        ([PHOTO, PAINTING, "-o", "DIR/none/x.png"], "does not exist"),
        ([PHOTO, PAINTING, "-o", "OUT.png", "--iterations", "0"], "iterations must be"),
        ([PHOTO, PAINTING, "-o", "OUT.png", "--threads", "0"], "--threads"),
        ([PHOTO, PAINTING, "-o", "OUT.png", "--threads", "649000"], "--threads"),
        ([PHOTO, PAINTING, "-o", "OUT.png", "--save-every", "0"], "--save-every"),
        ([PHOTO, PAINTING, "-o", "OUT.png", "--model", "vgg16"], "no weights for vgg16"),
        ([PHOTO, PAINTING, "-o", "OUT.png", "--weights", "DIR/text.jpg"], "not a readable HDF5 file"),
        ([PHOTO, PAINTING, "-o", "OUT.png", "--preset", "gram", "--style-layers", "conv8_1"], "no layer conv8_1"),
        ([PHOTO, PAINTING, "-o", "OUT.png", "--tv-weight", "1"], "tv_weight has no effect with the method auto"),
        ([PHOTO, PAINTING, "-o", "OUT.png", "--init", "style"], "init style has no effect with the method auto"),
        ([PHOTO, PAINTING, "-o", PHOTO], "would replace an input"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "text.jpg").write_text("not a picture\n")
    before = Path(PHOTO).read_bytes()
    filled = [part.replace("OUT", str(tmp_path / "out")).replace("DIR", str(tmp_path)) for part in arguments]
    assert main(["stylize", *filled]) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1 and message in output.err
    assert [path.name for path in tmp_path.iterdir()] == ["text.jpg"] and Path(PHOTO).read_bytes() == before


@pytest.mark.parametrize(
    "option", [["--iterations", "many"], ["--style-blend", "1,x"], ["--model", "vgg"], ["--nonsense"]]
)
def test_options_that_make_no_sense_give_one_line_too(capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stylize", PHOTO, PAINTING, "-o", "out.png", *option])
    errors = capsys.readouterr().err
    assert ended.value.code == 2 and errors.count("\n") == 1 and option[0].lstrip("-") in errors


def test_the_untrained_model_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["stylize", PHOTO, PAINTING, "-o", str(tmp_path / "o.png"), "--model", "distilled", "--weights", "random:0",
          "--size", "32", "--iterations", "1"])  # fmt: skip
    assert "untrained" in capsys.readouterr().err


def test_presets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`paper` is α/β = 1e-3 as printed; what is given beside it wins."""
    options = ["stylize", PHOTO, PAINTING, "-o", str(tmp_path / "o.png"), "--size", "32", "--iterations", "1", "--json"]
    main([*options, "--quiet", "--preset", "paper", "--style-weight", "5"])
    settings = json.loads(capsys.readouterr().out.splitlines()[-1])["settings"]
    assert settings["content_weight"] == 1e-3 and settings["style_weight"] == 5 and not settings["balanced"]
    quick = ["stylize", PHOTO, PAINTING, "-o", str(tmp_path / "o.png"), "--size", "128", "--preset", "fast"]
    main([*quick, "--iterations", "2", "--json", "--quiet"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["settings"]["scales"] == 3 and told["iterations"] == 6


def test_weights(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """List; convert a safetensors file of our own names; verify, inspect and normalise what came out."""
    import numpy as np

    from minitorch_style.nn.registry import architecture
    from minitorch_style.weights.hdf5 import load_weights
    from minitorch_style.weights.weights import random_weights

    assert main(["weights", "list"]) == 0
    assert "distilled: " in capsys.readouterr().out
    parameters = random_weights(architecture("distilled"), 0).parameters
    header, body = {}, b""
    for name, array in parameters.items():
        values = np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array)
        header[name] = {
            "dtype": "F32",
            "shape": list(values.shape),
            "data_offsets": [len(body), len(body) + values.nbytes],
        }
        body += values.tobytes()
    text = json.dumps(header).encode()
    checkpoint, out = tmp_path / "d.safetensors", tmp_path / "d.h5"
    checkpoint.write_bytes(len(text).to_bytes(8, "little") + text + body)
    assert main(["weights", "info", str(checkpoint)]) == 0
    assert "fits: segnet" not in (shown := capsys.readouterr().out) and "fits: distilled" in shown
    assert (
        main(["weights", "convert", str(checkpoint), "--network", "distilled", "-o", str(out), "--licence", "X"]) == 0
    )
    converted = load_weights(out, architecture("distilled"))
    assert all(np.array_equal(converted.parameters[name], array) for name, array in parameters.items())
    assert main(["weights", "verify", str(out)]) == 0 and main(["weights", "info", str(out)]) == 0
    assert "licence: X" in capsys.readouterr().out
    pictures = str(Path(PHOTO).parent)
    assert main(["weights", "normalize", str(out), pictures, "-o", str(tmp_path / "n.h5"), "--half"]) == 0
    assert (tmp_path / "n.h5").stat().st_size < 0.6 * out.stat().st_size
    for bad in (["verify", str(checkpoint)], ["info", PHOTO], ["convert", str(checkpoint), "--network", "enet", "-o", str(out)],
                ["normalize", str(out), str(out), "-o", str(out)]):  # fmt: skip
        capsys.readouterr()
        assert main(["weights", *bad]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_networks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks"]) == 0
    output = capsys.readouterr().out
    assert "14,714,688" in output and "18,836.62" in output and "conv4_2" in output
    assert main(["networks", "--json"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} >= {"vgg16", "enet", "distilled"}


@pytest.mark.slow
def test_bench(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", "distilled", "--size", "32", "--repeat", "2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    for key in ("forward_ms", "gradient_ms", "iteration_ms"):
        assert record[key] > 0
    assert {"optimizer_ms", "compile_s", "peak_rss_mb"} <= set(record)
    for options in (["--size", "1"], ["--size", "999999999"], ["--repeat", "1"], ["--repeat", "9" * 15]):
        assert main(["bench", *options]) == 2
        assert "--repeat must be from 2 to 10000 and --size from 16 to 8192" in capsys.readouterr().err


def test_a_dry_run_tells_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.png"
    assert main(["stylize", PHOTO, PAINTING, "-o", str(out), "--size", "64", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] > 10**8 and told["seconds"] > 0 and not out.exists()
    limited = ["--max-memory", "100M", "--size", "64", "--quiet"]
    assert main(["stylize", PHOTO, PAINTING, "-o", str(out), *limited]) == 2
    assert "100 MB may be used" in capsys.readouterr().err


@pytest.mark.slow
def test_warmup(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from minitorch_style.cli import warmup

    if kernel_set().name != "numba":
        assert main(["warmup"]) == 2
        assert "need the numba package" in capsys.readouterr().err
        return
    monkeypatch.setattr(warmup, "NETWORKS", ("distilled",))
    assert main(["warmup"]) == 0
    assert "the kernels are ready" in capsys.readouterr().err


def test_a_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", "distilled", "--size", "32", "--repeat", "2", "--profile"]) == 0
    out = capsys.readouterr().out
    assert "relu1_1" in out and "GFLOP/s" in out and out.splitlines()[-1].startswith("forward ")
    assert main(["bench", "--model", "distilled", "--size", "32", "--repeat", "2", "--profile", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[-1]["step"] == "losses"
