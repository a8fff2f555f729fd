"""How much of the real VGG-19 a small encoder knows: what the best linear map leaves of each tap, and which maps are dead.

    python -m tools.training.measure WEIGHTS … --vgg FILE --tar TAR [--photos PATH …] [--paintings PATH …]

The map is fitted to the paintings and to photographs of TAR, and judged on --photos, that no training should have seen:
100 · E|Wf − t|² / E|t|² per tap, and the same of Gram matrices, |WᵀSW − G|² / |G|², per picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from minitorch_style.nn.registry import architecture
from minitorch_style.weights.hdf5 import load_weights, network_of
from tools.torch_network import TorchNetwork
from tools.training.crops import Crops, as_tensor, pictures_in, scaled, square
from tools.training.matching import Target, best_map, feature_error, gram_error, moments, target
from tools.training.students import COUNTERPARTS, VGG19, convolutions
from tools.training.teachers import vgg19

STEPS, COUNT, SIZE = 40, 8, 128  # batches that the map is fitted to, crops in each, their side
RARE = 0.01  # a map that is above 0 at fewer positions hardly ever fires
VIEWS = 6  # crops of each photograph that is judged on


@dataclass
class Map:
    """The best map W (N, C) at a tap, and the usual size g of the teacher's mean Gram matrix there: the root of its mean
    squared norm over the pictures that the map was fitted to."""

    values: torch.Tensor
    size: float

    def product(self) -> npt.NDArray[np.float32]:
        """Q = WWᵀ/g, which `minitorch_style.weights.weights.Weights` keeps."""
        values = self.values.double().numpy()
        return (values @ values.T / self.size).astype(np.float32)


def fitted(
    network: TorchNetwork,
    counterparts: Mapping[str, str],
    teacher: TorchNetwork,
    batches: Iterable[torch.Tensor],
) -> dict[str, Map]:
    """{teacher's tap: the best map} over batches of crops."""
    sums: dict[str, list[torch.Tensor]] = {}
    for pixels in batches:
        for tap, (square_, cross, wanted) in seen(network, counterparts, teacher, pixels).items():
            mean = [square_.mean(0).double(), cross.mean(0).double(), wanted.norm.mean().double(), torch.ones(())]
            sums[tap] = [a + b for a, b in zip(sums[tap], mean, strict=True)] if tap in sums else mean
    return {
        tap: Map(best_map(square_, cross), float((norm / count).sqrt()))
        for tap, (square_, cross, norm, count) in sums.items()
    }


@torch.no_grad()
def seen(
    network: TorchNetwork, counterparts: Mapping[str, str], teacher: TorchNetwork, pixels: torch.Tensor
) -> dict[str, tuple[torch.Tensor, torch.Tensor, Target]]:
    """{teacher's tap: S, X and the target} of a batch."""
    with torch.autocast("cpu", torch.bfloat16):
        taught = teacher(pixels, tuple(counterparts))
    targets = {tap: target(maps) for tap, maps in taught.items()}
    features = network(pixels, tuple(counterparts.values()))
    return {tap: (*moments(features[own], targets[tap]), targets[tap]) for tap, own in counterparts.items()}


def left(
    network: TorchNetwork,
    counterparts: Mapping[str, str],
    teacher: TorchNetwork,
    maps: Mapping[str, Map],
    batches: list[torch.Tensor],
) -> tuple[dict[str, float], dict[str, float]]:
    """({tap: share of the energy that the map leaves}, {tap: share of the Gram matrix}) over batches of crops."""
    errors: dict[str, list[list[float]]] = {tap: [] for tap in counterparts}
    for pixels in batches:
        for tap, (square_, cross, wanted) in seen(network, counterparts, teacher, pixels).items():
            errors[tap].append(
                [
                    feature_error(square_, cross, wanted, maps[tap].values).item(),
                    wanted.energy.item(),
                    gram_error(square_, wanted, maps[tap].values).item(),
                ]
            )
    means = {tap: np.mean(found, axis=0) for tap, found in errors.items()}
    return {tap: m[0] / m[1] for tap, m in means.items()}, {tap: m[2] for tap, m in means.items()}


@torch.no_grad()
def dead(network: TorchNetwork, batches: list[torch.Tensor]) -> dict[str, tuple[int, int]]:
    """{convolution: (maps that fire at fewer than RARE of the positions, maps)}."""
    names = tuple(convolutions(network))
    shares = [{tap: (f > 0).float().mean((0, 2, 3)) for tap, f in network(pixels, names).items()} for pixels in batches]
    means = {name: torch.stack([share[name] for share in shares]).mean(0) for name in names}
    return {name: (int((mean < RARE).sum()), len(mean)) for name, mean in means.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--vgg", type=Path, required=True, help="VGG-19 as Keras saved it")
    parser.add_argument("--tar", type=Path, required=True, help="photographs that the map is fitted to")
    parser.add_argument("--paintings", type=Path, nargs="+", default=[], help="paintings that it is fitted to")
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="photographs to judge on")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    teacher, rng = vgg19(args.vgg), np.random.default_rng(0)
    paintings = pictures_in(args.paintings)
    crops = Crops(args.tar, [], paintings, 0.0, 0.5 * bool(paintings))
    known = [crops.batch(COUNT, SIZE, rng) for _ in range(STEPS)]
    judged = []
    for sizes in scaled(pictures_in(args.photos)):
        views = [square(sizes[i % len(sizes)], SIZE, rng).astype(np.float32) / 255 for i in range(VIEWS)]
        judged.append(as_tensor(views))
    for path in args.weights:
        name = network_of(path)
        weights = load_weights(path, architecture(name))
        encoder = architecture(name)
        network = TorchNetwork.of(weights, encoder if name == "enet" else encoder.with_average_pooling())
        counterparts = COUNTERPARTS.get(name, VGG19)
        found = left(network, counterparts, teacher, fitted(network, counterparts, teacher, known), judged)
        print(f"{path}: {name}")
        for what, shares in zip(("energy left", "Gram left"), found, strict=True):
            print(f"  {what} %: " + ", ".join(f"{tap} {100 * share:.1f}" for tap, share in shares.items()))
        deaths = {conv: f"{few} of {all_}" for conv, (few, all_) in dead(network, judged).items()}
        print("  dead: " + ", ".join(f"{conv} {text}" for conv, text in deaths.items()), flush=True)


if __name__ == "__main__":
    main()
