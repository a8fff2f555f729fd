"""The native kernel set: the library that `cross-compile` makes, built here for this processor and compared."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from minitorch_style.deploy.bundle import compile_library
from minitorch_style.engine.network import Network
from minitorch_style.errors import SettingsError, UnsupportedError
from minitorch_style.kernels import kernel_set
from minitorch_style.kernels.native.backend import Library, NativeKernels
from minitorch_style.kernels.native.library import TARGETS, object_code
from minitorch_style.nn.layers import Conv2d
from minitorch_style.nn.registry import architecture
from minitorch_style.style.objective import Objective
from minitorch_style.weights.weights import IMAGENET, random_weights
from tests import oracle
from tests.kernels.harness import Convolution, filled

HERE = next((name for name, target in TARGETS.items() if platform.machine() in target.machines), None)
needs_a_linker = pytest.mark.skipif(
    HERE is None or not any(shutil.which(linker) for linker in TARGETS[HERE].linkers),
    reason="no linker for this machine",
)


@pytest.fixture(scope="module")
def library_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert HERE is not None
    path = tmp_path_factory.mktemp("native") / "kernels.so"
    compile_library(HERE, path)
    return path


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_compiles(name: str) -> None:
    code = object_code(TARGETS[name])
    assert code[:4] == b"\x7fELF" and b"minitorch_gemm" in code


def test_arm_code_holds_the_hard_float_tag() -> None:
    """Without it, a hard-float userland refuses the library."""
    assert object_code(TARGETS["armv7-neon"])[36:40] == b"\x00\x00\x00\x05"  # EABI version 5 in the ELF header


@needs_a_linker
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (5, 8, 3), (37, 19, 23), (64, 48, 128)])
@pytest.mark.parametrize("threads", [1, 3])
def test_products(library_file: Path, m: int, n: int, k: int, threads: int, rng: np.random.Generator) -> None:
    library = Library(library_file, threads)
    a, w, bias = rng.normal(size=(m, k)), rng.normal(size=(k, n)), rng.normal(size=n)
    expected = a @ w + bias
    single = [np.float32(values) for values in (a, w, bias)]
    found = library.product(single[0], library.pack(single[1]), single[2])
    assert found.shape == (m, n) and oracle.relative_error(found, expected) <= 1e-5
    slope = np.float32(rng.normal(size=n))
    active = library.product(single[0], library.pack(single[1]), single[2], slope)
    assert oracle.relative_error(active, np.where(expected > 0, expected, slope * expected)) <= 1e-5


@needs_a_linker
@pytest.mark.parametrize(
    "spec",
    [
        Conv2d(3, 8, 3, padding=1),
        Conv2d(5, 7, 3, stride=2, padding=1),
        Conv2d(8, 8, 3, padding=4, dilation=4),
        Conv2d(6, 6, (5, 1), padding=(2, 0)),
        Conv2d(16, 4, 2, stride=2),
        Conv2d(9, 20, 1, bias=False),
    ],
    ids=str,
)
def test_convolutions(library_file: Path, spec: Conv2d, rng: np.random.Generator) -> None:
    kernels = NativeKernels(library_file)
    shape = (11, 14, spec.in_channels)
    x, weight = rng.normal(size=shape), rng.normal(size=spec.parameter_shapes()["weight"])
    bias = rng.normal(size=spec.out_channels) if spec.bias else None
    slope = rng.random(spec.out_channels).astype(np.float32)
    single = None if bias is None else np.float32(bias)
    layer = Convolution(kernels, spec, np.float32(weight), single, shape, slope=slope)

    def linear(values: np.ndarray) -> np.ndarray:
        return oracle.conv2d(values, np.float32(weight), single, spec.stride, spec.padding, spec.dilation)

    assert oracle.relative_error(layer.forward(np.float32(x)), oracle.leaky(linear(np.float32(x)), slope)) <= 1e-5
    # The activation's derivative is the next layer's business: `backward` is the gradient of the convolution alone.
    assert oracle.projection_error(linear, lambda dy: layer.backward(np.float32(dy)), x, rng) <= 1e-5


@needs_a_linker
@pytest.mark.parametrize("name", ["distilled", "enet"])
def test_loss_and_gradient_agree_with_numpy(library_file: Path, name: str, rng: np.random.Generator) -> None:
    photo, painting, x = (rng.random((64, 48, 3), np.float32) for _ in range(3))
    parameters = random_weights(architecture(name), 0).parameters
    results = []
    for kernels in (NativeKernels(library_file), kernel_set("numpy")):
        network = Network(architecture(name), parameters, IMAGENET, kernels)
        results.append(Objective(network, photo, painting)(x))
    (loss, gradient), (expected, towards) = results
    assert np.isclose(loss, expected, rtol=1e-5) and oracle.relative_error(gradient, towards) <= 1e-4


@needs_a_linker
def test_the_number_of_threads_changes_no_bit(library_file: Path, rng: np.random.Generator) -> None:
    features = filled(rng.random((33, 20, 24), np.float32))
    one, four = (NativeKernels(library_file, threads).gram(features) for threads in (1, 4))
    assert np.array_equal(one, four)


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match="cross-compile"):
        kernel_set("native")
    text = tmp_path / "library.so"
    text.write_text("no library")
    with pytest.raises(UnsupportedError, match="no library of kernels for this processor"):
        Library(text)
    with pytest.raises(SettingsError, match="no target 'z80'"):
        compile_library("z80", tmp_path / "x.so")
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(UnsupportedError, match="no linker for armv7a-unknown-linux-gnueabihf: install one of"):
        compile_library("armv7-neon", tmp_path / "x.so")
