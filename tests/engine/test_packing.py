"""Plans are cheap: they pack nothing until they run, are sent as what they were made of, and leave nothing behind."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

from minitorch_style.engine.network import Network, load_network
from minitorch_style.kernels.packing import PackedWeights
from minitorch_style.style.objective import Objective
from minitorch_style.transfer import run as transfer
from minitorch_style.transfer.settings import Settings

SIZE = (24, 32)


def test_packed_once_and_freed_with_the_weights() -> None:
    packed, calls = PackedWeights(), []
    weight = np.ones((3, 3), np.float32)

    def pack() -> np.ndarray:
        calls.append(1)
        return 2 * np.ones((3, 3), np.float32)

    first = packed.of(weight, "one", pack)
    assert packed.of(weight, "one", pack) is first and packed.of(weight, "two", pack) is not first
    assert len(calls) == 2 and packed.arrays == 1
    gone = weakref.ref(first)
    del first, weight
    assert packed.arrays == 0 and gone() is None


def packed_of(network: Network) -> PackedWeights:
    return network.kernels._workspace.packed  # type: ignore[attr-defined,no-any-return]


@pytest.mark.jit
@pytest.mark.parametrize("model", ["distilled", "enet"])
def test_a_plan_packs_when_it_runs_and_its_network_takes_it_along(model: str, rng: np.random.Generator) -> None:
    photo, painting, x = rng.random((3, *SIZE, 3), np.float32)
    network = load_network(model, "random:0", "numba")
    packed = packed_of(network)
    plan = network.plan(SIZE, network.architecture.style_layers)
    assert plan.nbytes > 0 and packed.arrays == 0
    plan.run(photo)
    forward = packed.arrays
    objective = Objective(network, photo, painting)
    objective(x)
    assert forward > 0 and packed.arrays >= forward
    del network
    gc.collect()
    assert packed.arrays >= forward, "the plan is still there"
    del plan, objective
    gc.collect()
    assert packed.arrays == 0


@pytest.mark.jit
def test_a_refusal_packs_nothing(rng: np.random.Generator) -> None:
    """What a job will take is known, and refused, before any weight is packed."""
    photo, painting = rng.random((2, 64, 64, 3), np.float32)
    network = load_network("distilled", "random:0", "numba")
    job = transfer.prepare(photo, painting, Settings(), network)
    assert job.estimate.nbytes > 0 and packed_of(network).arrays == 0
    with pytest.raises(Exception, match="may be used"):
        transfer.prepare(photo, painting, Settings(max_memory=10**6), network)
    assert packed_of(network).arrays == 0


@pytest.mark.jit
@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("model", ["distilled", "enet", "vgg19-quarter"])
def test_the_bytes_that_a_plan_tells_are_those_that_it_packs(model: str, gradient: bool) -> None:
    network = load_network(model, "random:0", "numba")
    plan = network.plan(SIZE, network.architecture.style_layers, gradient=gradient)
    told = 0
    for step in plan.steps:
        kernel = getattr(step, "kernel", None)
        if kernel is None:
            continue
        codes = int(np.prod(kernel._codes_shape)) if kernel.fused_pool else 0
        arrays = []
        for back in (False, True)[: 1 + gradient]:
            side = kernel._backward if back else kernel._forward
            if not getattr(side, "phased", False):
                found = kernel.packed(back)
                arrays += [panels.data for panels in (found if isinstance(found, list) else [found])]
        assert step.nbytes - codes == sum(array.nbytes for array in arrays)
        told += step.nbytes
    assert plan.nbytes > told > 0


@pytest.mark.parametrize("kernels", ["numpy", pytest.param("numba", marks=pytest.mark.jit)])
def test_a_plan_can_be_sent_to_another_process(kernels: str, rng: np.random.Generator, tmp_path: Path) -> None:
    photo, painting, x = rng.random((3, *SIZE, 3), np.float32)
    network = load_network("distilled", "random:0", kernels)
    objective = Objective(network, photo, painting)
    loss, gradient = objective(x)
    sent = pickle.dumps((objective.plan, objective.weights, objective.content, objective.style))
    again = Objective.from_targets(*pickle.loads(sent))
    assert again(x)[0] == loss and np.array_equal(again(x)[1], gradient)
    needed = sum(array.nbytes for array in network.until(objective.plan.taps).parameters.values())
    targets = sum(a.nbytes for v in (objective.content.features, objective.style.grams) for a in v.values())  # type: ignore[union-attr]
    assert len(sent) < 1.1 * (needed + targets) + 20_000, "no buffers, nothing packed, no weights beyond the taps"
    (tmp_path / "plan").write_bytes(sent)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import pickle, numpy as np\n"
        "from minitorch_style.style.objective import Objective\n"
        "objective = Objective.from_targets(*pickle.loads(open('plan', 'rb').read()))\n"
        "loss, gradient = objective(np.load('x.npy'))\n"
        "np.savez('found.npz', loss=loss, gradient=gradient)"
    )
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={**os.environ, **environment})
    found = np.load(tmp_path / "found.npz")
    assert found["loss"] == loss and np.array_equal(found["gradient"], gradient)
