"""PyTorch, ONNX Runtime and this engine on the same network, weights and pictures, in turn in one run.

    python -m bench.compare_engines [--models vgg16 distilled enet] [--sizes 256 512] [--repeat 15] [--threads 2]

Each round times every engine once, so that whatever else the machine does falls on all alike: a ratio is the median of
those of the rounds.
Before its turn an engine waits until the threads of the one before it have gone to sleep, and runs once without being
timed: an iteration among others is what a transfer consists of, and what is compared.
Outputs are checked to be equal first. Needs PyTorch; ONNX Runtime (with onnx and onnxscript) where installed; is run by
hand. Writes bench/results/engines.json and prints the table.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import operator
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn
from tqdm import tqdm

from bench.record import RESULTS, save
from minitorch_style.engine.network import Network, load_network
from minitorch_style.kernels import set_threads
from minitorch_style.style.objective import Objective
from tools.torch_network import TorchNetwork

PAUSE = 0.2  # seconds; an engine's idle threads wait in a loop for some milliseconds before they sleep
Engine = Callable[[], Any]


class Features(nn.Module):
    """PyTorch's form of the engine's network, with a tuple for the exporters: pixels (1, 3, H, W) → features at `taps`."""

    def __init__(self, network: Network, taps: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.taps = TorchNetwork.of(network, network.architecture), taps

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.network(pixels, self.taps)
        return tuple(features[tap] for tap in self.taps)


def torch_loss(
    module: Callable[..., Any], x: torch.Tensor, targets: dict[str, Any], objective: Objective
) -> torch.Tensor:
    """Equation 6 on PyTorch features."""
    loss = torch.zeros(())
    for tap, feature in zip(targets["taps"], module(x), strict=True):
        if tap in targets["style"]:
            flat = feature[0].flatten(1)
            difference = flat @ flat.T / flat.shape[1] - targets["style"][tap]
            weight = objective.weights.style * objective.weights.style_layers[tap] / (4 * flat.shape[0] ** 2)
            loss = loss + weight * difference.square().sum()
        if tap in targets["content"]:
            weight = 0.5 * objective.weights.content * objective.weights.content_layers[tap]
            loss = loss + weight * (feature - targets["content"][tap]).square().sum()
    return loss


def engines(model: str, size: int) -> tuple[dict[str, Engine], dict[str, Engine]]:
    """({engine: forward pass}, {engine: loss and gradient}), every one checked against ours."""
    rng = np.random.default_rng(0)
    content, style, x = (rng.random((size, size, 3), np.float32) for _ in range(3))
    network = load_network(model, "random:0")
    objective = Objective(network, content, style)
    taps = objective.plan.taps
    forward: dict[str, Engine] = {"minitorch": lambda: objective.plan.run(x)}
    gradient: dict[str, Engine] = {"minitorch": lambda: objective(x)}
    loss, slope = objective(x)
    objective.plan.run(x)
    deepest = objective.plan.feature(taps[-1]).interior.copy()

    def as_tensor(pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()

    plain = Features(network, taps).eval()
    with torch.no_grad():
        photo = dict(zip(taps, plain(as_tensor(content)), strict=True))
        painting = dict(zip(taps, plain(as_tensor(style)), strict=True))
    grams = {tap: f[0].flatten(1) @ f[0].flatten(1).T / f[0, 0].numel() for tap, f in painting.items()}
    targets = {"taps": taps, "style": {tap: grams[tap] for tap in objective.weights.style_layers},
               "content": {tap: photo[tap] for tap in objective.weights.content_layers}}  # fmt: skip

    layouts = {"torch NCHW": torch.contiguous_format, "torch channels_last": torch.channels_last}
    for name, layout in layouts.items():
        module = Features(network, taps).eval().to(memory_format=layout)
        picture = as_tensor(x).to(memory_format=layout)

        def run(module: nn.Module = module, picture: torch.Tensor = picture) -> Any:
            with torch.no_grad():
                return module(picture)

        def back(module: Any = module, picture: torch.Tensor = picture) -> Any:
            leaf = picture.detach().requires_grad_()
            value = torch_loss(module, leaf, targets, objective)
            value.backward()
            return float(value), leaf.grad

        forward[name], gradient[name] = run, back
    compiled = torch.compile(Features(network, taps).eval().to(memory_format=torch.channels_last))
    last = as_tensor(x).to(memory_format=torch.channels_last)

    def compiled_back() -> Any:
        leaf = last.detach().requires_grad_()
        value = torch_loss(compiled, leaf, targets, objective)
        value.backward()
        return float(value), leaf.grad

    gradient["torch compiled"] = compiled_back
    if importlib.util.find_spec("onnxruntime"):
        forward["ONNX Runtime"] = onnx_engine(plain, as_tensor(x))
    for name, engine in forward.items():
        if name != "minitorch":
            found = np.asarray(engine()[-1])[0].transpose(1, 2, 0)
            assert np.abs(found - deepest).max() <= 1e-3 * np.abs(deepest).max(), name
    for name, engine in gradient.items():
        if name != "minitorch":
            value, grad = engine()
            difference = np.abs(grad[0].permute(1, 2, 0).numpy() - slope)
            assert abs(value - loss) <= 1e-3 * abs(loss), name
            assert np.median(difference) <= 1e-3 * np.abs(slope).max(), name
    return forward, gradient


def onnx_engine(module: nn.Module, picture: torch.Tensor) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/network.onnx"
        torch.onnx.export(module, (picture,), path, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: picture.numpy()}
    return lambda: session.run(None, feed)


def rounds(candidates: dict[str, Engine], repeat: int) -> dict[str, list[float]]:
    """Milliseconds, engines in turn."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for engine in candidates.values():
        engine()
    for _ in range(repeat):
        for name, engine in candidates.items():
            time.sleep(PAUSE)
            engine()
            begun = time.perf_counter()
            engine()
            times[name].append(1e3 * (time.perf_counter() - begun))
    return times


def processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["vgg16", "distilled", "enet"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512])
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    set_threads(options.threads)
    rows = []
    with threadpool_limits(options.threads):
        for model, size in tqdm([(model, size) for model in options.models for size in options.sizes]):
            torch._dynamo.reset()
            for what, candidates in zip(("forward", "loss + gradient"), engines(model, size), strict=True):
                found = rounds(candidates, options.repeat)
                ours = found.pop("minitorch")
                ratios = {name: statistics.median(map(operator.truediv, times, ours)) for name, times in found.items()}
                others = {name: statistics.median(times) for name, times in found.items()}
                rows.append({"model": model, "size": size, "what": what, "minitorch_ms": statistics.median(ours),
                             "others_ms": others, "ratios": ratios, "ratio_to_best": min(ratios.values())})  # fmt: skip
    record = {"processor": processor(), "threads": options.threads, "repeat": options.repeat,
              "torch": torch.__version__, "rows": rows}  # fmt: skip
    save(record, RESULTS / "engines.json")
    for row in rows:
        others = ", ".join(f"{name} {value:.1f}" for name, value in row["others_ms"].items())
        print(f"{row['model']:<10} {row['size']:>4}² {row['what']:<16} minitorch {row['minitorch_ms']:8.1f} ms; {others} ms; "
              f"{row['ratio_to_best']:.2f}× the best of them")  # fmt: skip


if __name__ == "__main__":
    main()
