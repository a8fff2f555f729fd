"""Start-up, memory beside PyTorch's and beside its estimate, and how time and memory grow with the pixels.

    python -m bench.limits

Everything is measured in processes of its own. Writes bench/results/limits.json; `python -m bench.readme` makes the
README's table of it. Needs PyTorch for its own line.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize

from bench.record import RESULTS, save, text

ROOT = Path(__file__).resolve().parent.parent
SIDES = (128, 256, 512, 1024)
ESTIMATED = {
    "distilled": None,
    "enet": None,
    "segnet": None,
    "vgg19": "random:0",
}  # models whose memory is estimated and measured

OURS = """
import resource, numpy as np
from minitorch_style import stylize
photo, painting = np.random.default_rng(0).random((2, 512, 512, 3), np.float32)
stylize(photo, painting, model="vgg16", weights="random:0", iterations=16, method="gram")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
# The same job: VGG-16 up to conv5_1 with average pools, Gram and content losses, sixteen steps of L-BFGS with ten pairs.
TORCH = """
import resource, torch
from minitorch_style.nn.vgg import vgg
from tools.torch_network import TorchNetwork
architecture = vgg("vgg16", 16, last="conv5_1").with_average_pooling()
network = TorchNetwork(architecture).requires_grad_(False)
def features(x):
    return network(x, {*architecture.style_layers, *architecture.content_layers})
def gram(f):
    flat = f[0].flatten(1)
    return flat @ flat.T / flat.shape[1]
photo, painting = torch.rand(2, 1, 3, 512, 512)
with torch.no_grad():
    content = features(photo)["conv4_2"]
    grams = {name: gram(f) for name, f in features(painting).items() if name != "conv4_2"}
x = photo.clone().requires_grad_()
optimizer = torch.optim.LBFGS([x], max_iter=16, history_size=10)
def closure():
    optimizer.zero_grad()
    found = features(x)
    loss = (found["conv4_2"] - content).square().sum()
    for name, target in grams.items():
        loss = loss + (gram(found[name]) - target).square().sum()
    loss.backward()
    return loss
optimizer.step(closure)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
# Sizes in turn, and of each the least: what else the machine does would bend any line.
GROWTH = """
import json, sys, time, numpy as np
from minitorch_style import Objective, load_network
model, sides = sys.argv[1], [int(side) for side in sys.argv[2:]]
rng, network = np.random.default_rng(0), load_network(model, "random:0")
pictures = {side: rng.random((3, side, side, 3), np.float32) for side in sides}
objectives = {side: Objective(network, *pictures[side][:2]) for side in sides}
times = {side: [] for side in sides}
for _ in range(6 if model == "vgg16" else 40):
    for side in sides:
        begun = time.perf_counter()
        objectives[side](pictures[side][2])
        times[side].append(time.perf_counter() - begun)
rows = [{"side": side, "seconds": min(times[side][1:]), "bytes": objectives[side].plan.nbytes} for side in sides]
print(json.dumps(rows))
"""
PEAK = """
import json, resource, sys, numpy as np
from minitorch_style import Settings
from minitorch_style.transfer import run as transfer
model, side, weights = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None
photo, painting = np.random.default_rng(0).random((2, side, side, 3), np.float32)
job = transfer.prepare(photo, painting, Settings(method="gram", model=model, weights=weights, size=side, iterations=16))
transfer.run(job).complete()
print(json.dumps({"told": job.estimate.nbytes, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""
# Pictures in memory, network loaded, kernels compiled: what a program pays that transfers one picture after another.
TEN = """
import statistics, time
from minitorch_style import load_network, stylize
from minitorch_style.image.io import load_picture
from minitorch_style.image.resize import resized
photo, painting = (resized(load_picture(f"examples/{name}.jpg").pixels, (256, 256)) for name in ("photo", "painting"))
network, times = load_network("distilled", pooling="average"), []
for _ in range(12):
    job = {"content": photo, "style": painting, "network": network, "model": "distilled", "iterations": 10,
           "method": "gram"}
    history = stylize(**job).history
    times.append(sum(one.milliseconds for one in history[1:]))
print(statistics.median(times[2:]))
"""


def run(code: str, *arguments: str, **environment: str) -> tuple[str, float]:
    """(what a new Python prints, seconds it took)."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env={**os.environ, **environment}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout, time.perf_counter() - begun


def seconds(code: str, repeat: int, **environment: str) -> float:
    return statistics.median(run(code, **environment)[1] for _ in range(repeat))


def departure(rows: list[dict[str, Any]], what: str) -> float:
    """How far, at most, `what` is from a + b · pixels with a ≥ 0, as a share of it: 0.15 is 15 %. The line is the one for
    which the squares of these shares are least."""
    pixels, values = (np.array([float(row[key]) for row in rows]) for key in ("side", what))
    pixels = pixels**2
    line = optimize.nnls(np.stack([1 / values, pixels / values], 1), np.ones(len(values)))[0]
    return float(np.abs((line[0] + line[1] * pixels) / values - 1).max())


def first_iteration() -> str:
    """A program that makes one iteration of the default model on the repository's pictures."""
    arguments = ["stylize", "examples/photo.jpg", "examples/painting.jpg", "-o", f"{tempfile.gettempdir()}/limits.png",
                 "--size", "256", "--iterations", "1", "--quiet", "--preset", "gram"]  # fmt: skip
    return f"from minitorch_style.cli import main; raise SystemExit(main({arguments!r}))"


def main() -> None:
    nothing = seconds("pass", 5)
    with tempfile.TemporaryDirectory() as cache:
        first = seconds(first_iteration(), 1, NUMBA_CACHE_DIR=cache)
        later = seconds(first_iteration(), 5, NUMBA_CACHE_DIR=cache)
    record: dict[str, Any] = {
        "import_s": seconds("import minitorch_style", 5) - nothing,
        "first_run_s": first,
        "later_run_s": later,
        "memory_512_vgg16": {
            name: statistics.median(int(run(code)[0]) for _ in range(5))
            for name, code in (("minitorch", OURS), ("torch", TORCH))
        },
        "ten_iterations_ms": float(run(TEN)[0]),
        "growth": [],
    }
    for model in ("distilled", "vgg16"):
        rows = json.loads(run(GROWTH, model, *map(str, SIDES))[0])
        record["growth"].extend({"model": model, **row} for row in rows)
    record["peaks"] = [
        {"model": model, "side": side, **json.loads(run(PEAK, model, str(side), weights or "")[0])}
        for model, weights in ESTIMATED.items()
        for side in (256, 512)
    ]
    record["departures"] = [
        {"model": model, **{what: departure([row for row in record["growth"] if row["model"] == model], what)
                            for what in ("seconds", "bytes")}}
        for model in ("distilled", "vgg16")
    ]  # fmt: skip
    save(record, RESULTS / "limits.json")
    print(text(record), end="")


if __name__ == "__main__":
    main()
