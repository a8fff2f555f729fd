"""Perceptual distillation: a small encoder learns ImageNet features from VGG-19 and a quarter-width VGG-19.

    python -m tools.training.perceptual [--student distilled|enet] --vgg DIR --photos TAR [--paintings FILE …] --out RUN

The 1/8-width VGG becomes distilled-perceptual; ENet's run is one that its segmentation can --start from. At each tap a
1×1 map, used in training only, takes the student's features to the teacher's channels. The loss is the squared error of
the features over their variance, plus that of the Gram matrices over their squared norm: the second is what style
transfer looks at. A checkpoint is written every few minutes and continued from when the run is started again.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from minitorch_style.layers import Conv2d
from tools.training.network import TrainableNetwork
from tools.training.runs import CHECKPOINT, read_run, save_atomically, segmenter
from tools.training.students import VggEncoder
from tools.training.teachers import quarter_vgg19, vgg19_to_conv31

QUARTER_TAPS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1")
FULL_TAPS = ("conv1_1", "conv2_1", "conv3_1")
QUARTER_CHANNELS = dict(zip(QUARTER_TAPS, (16, 32, 64, 128, 128, 128), strict=True))
FULL_CHANNELS = dict(zip(FULL_TAPS, (64, 128, 256), strict=True))
# {the teacher's tap: the student's}. ENet has nothing at the picture's own size, and ends at 1/8 of it.
COUNTERPARTS = {
    "distilled": {tap: tap for tap in QUARTER_TAPS},
    "enet": {"conv2_1": "initial", "conv3_1": "1.4", "conv4_1": "2.2", "conv4_2": "2.8", "conv5_1": "3.8"},
}


class Crops:
    """Random square crops: photographs from a tar of JPEGs, paintings at several scales. Values in [0, 1]."""

    def __init__(self, photos: Path, paintings: list[Path], size: int, painting_share: float) -> None:
        self.size, self.painting_share = size, painting_share
        with tarfile.open(photos) as archive:
            self.photos = [archive.extractfile(m).read() for m in archive if m.name.endswith(".jpg")]  # type: ignore[union-attr]
        self.paintings = []
        for path in paintings:
            picture = Image.open(path).convert("RGB")
            for side in (160, 224, 320, 448, 640):
                factor = side / min(picture.size)
                shape = (round(picture.width * factor), round(picture.height * factor))
                self.paintings.append(np.asarray(picture.resize(shape, Image.Resampling.LANCZOS)))

    def _crop(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size = self.size
        pixels = np.pad(
            pixels, [(0, max(0, size - pixels.shape[0])), (0, max(0, size - pixels.shape[1])), (0, 0)], "reflect"
        )
        top, left = rng.integers(pixels.shape[0] - size + 1), rng.integers(pixels.shape[1] - size + 1)
        crop = pixels[top : top + size, left : left + size]
        return crop[:, ::-1] if rng.random() < 0.5 else crop

    def batch(self, count: int, rng: np.random.Generator) -> torch.Tensor:
        crops = []
        for _ in range(count):
            if rng.random() < self.painting_share:
                crop = self._crop(self.paintings[rng.integers(len(self.paintings))], rng)
                if rng.random() < 0.5:  # other colours: few paintings must stand for many
                    crop = crop[..., rng.permutation(3)]
                if rng.random() < 0.5:
                    crop = np.rot90(crop)
            else:
                data = self.photos[rng.integers(len(self.photos))]
                crop = self._crop(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), rng)
            crops.append(crop.astype(np.float32) / 255 * rng.uniform(0.7, 1.0) + rng.uniform(0, 0.1))
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def gram(features: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) → (N, C, C), divided by H·W."""
    flat = features.flatten(2).float()
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def distance(mapped: torch.Tensor, target: torch.Tensor, gram_weight: float) -> tuple[torch.Tensor, float]:
    """(feature error / variance + gram_weight · Gram error / squared norm, the share of the variance left). A student
    that sees finer than its teacher is averaged down to the teacher's size."""
    mapped, target = nn.functional.adaptive_avg_pool2d(mapped.float(), target.shape[2:]), target.float()
    variance = target.var(dim=(0, 2, 3), keepdim=True).mean()
    left = (mapped - target).square().mean() / variance
    student_gram, teacher_gram = gram(mapped), gram(target)
    error = (student_gram - teacher_gram).square().sum((1, 2)) / teacher_gram.square().sum((1, 2))
    return left + gram_weight * error.mean(), left.item()


def begin(name: str) -> VggEncoder | TrainableNetwork:
    """An untrained student; ENet with its decoder, which stays as it is."""
    if name == "distilled":
        return VggEncoder(16, 8, "conv5_1")
    network = TrainableNetwork(segmenter(name))
    for module in network.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0  # a map that is dropped cannot be like its teacher's
    return network


def begun(student: VggEncoder | TrainableNetwork) -> dict[str, Any]:
    """What a run of tools.training.train reads when it --starts here."""
    if isinstance(student, VggEncoder):
        return {}
    nodes = segmenter("enet").until(COUNTERPARTS["enet"].values())
    convolutions = [node.name for node in nodes if isinstance(node.layer, Conv2d)]
    return {"model": "enet", "network": student.named_state(), "initialised": convolutions}


def student_weights(run: Path) -> tuple[dict[str, np.ndarray], int]:
    """({engine's parameter name: array}, steps trained) of the student in a run's last checkpoint."""
    state = read_run(run)
    parameters = {}
    for key, tensor in state["student"].items():
        if key.startswith("convs."):
            values = tensor.permute(2, 3, 1, 0) if tensor.dim() == 4 else tensor
            parameters[key.removeprefix("convs.")] = np.ascontiguousarray(values.numpy(), np.float32)
    return parameters, state["step"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", choices=COUNTERPARTS, default="distilled")
    parser.add_argument("--vgg", type=Path, required=True, help="folder with 5SE.pth and vgg_normalised_conv3_1.pth")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, nargs="+", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--gram-weight", type=float, default=0.5)
    parser.add_argument("--painting-share", type=float, default=0.35)
    parser.add_argument("--full-every", type=int, default=2, help="ask full-width VGG-19 at every n-th step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.painting_share and not args.paintings:
        parser.error("--paintings is needed, or --painting-share 0")

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    crops = Crops(args.photos, args.paintings, args.size, args.painting_share)
    quarter = quarter_vgg19(args.vgg / "5SE.pth").eval().requires_grad_(False)
    full = vgg19_to_conv31(args.vgg / "vgg_normalised_conv3_1.pth").eval().requires_grad_(False)
    student, counterparts = begin(args.student), COUNTERPARTS[args.student]
    with torch.no_grad():
        seen = student(torch.zeros(1, 3, 32, 32), tuple(counterparts.values()))
    wanted = {"quarter": tuple(counterparts), "full": tuple(tap for tap in FULL_TAPS if tap in counterparts)}
    maps = nn.ModuleDict()
    for prefix, channels in (("quarter", QUARTER_CHANNELS), ("full", FULL_CHANNELS)):
        for tap in wanted[prefix]:
            maps[f"{prefix}_{tap}"] = nn.Conv2d(seen[counterparts[tap]].shape[1], channels[tap], 1)
    for module in (quarter, full, student, maps):
        module.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam([*student.parameters(), *maps.parameters()], lr=args.lr)

    start, checkpoint = 0, args.out / CHECKPOINT
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        student.load_state_dict(state["student"])
        maps.load_state_dict(state["maps"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    log = (args.out / "log.csv").open("a", newline="")
    writer = csv.writer(log)

    saved, began, losses, lefts = time.monotonic(), time.monotonic(), [], []
    for step in range(start, args.steps):
        rng = np.random.default_rng([args.seed, step])  # a resumed run draws what an uninterrupted one would
        warm = min(1.0, (step + 1) / 200)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * warm * 0.5 * (1 + math.cos(math.pi * step / args.steps))
        pixels = crops.batch(args.batch, rng)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            targets = {"quarter": quarter(pixels, wanted["quarter"])}
            if step % args.full_every == 0:
                targets["full"] = full(pixels, wanted["full"])
        features = student(pixels, tuple(counterparts.values()))
        loss, left = torch.zeros(()), []
        for prefix, asked in targets.items():
            for tap, target in asked.items():
                mapped = maps[f"{prefix}_{tap}"](features[counterparts[tap]])
                part, share = distance(mapped, target, args.gram_weight)
                loss = loss + part / len(asked)
                left.append(share)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.item() / len(targets))
        lefts.append(left[: len(counterparts)])
        if (step + 1) % 100 == 0:
            mean = np.mean(lefts, axis=0)
            writer.writerow([step + 1, f"{np.mean(losses):.4f}", *(f"{value:.4f}" for value in mean)])
            log.flush()
            pace = (time.monotonic() - began) / (step + 1 - start)
            print(
                f"step {step + 1}/{args.steps} loss {np.mean(losses):.4f} variance left {np.round(mean, 3)} "
                f"{pace:.3f} s a step, {pace * (args.steps - step - 1) / 60:.0f} min left",
                flush=True,
            )
            losses, lefts = [], []
        if time.monotonic() - saved > 120 or step + 1 == args.steps:
            save_atomically(
                {
                    "student": student.state_dict(),
                    "maps": maps.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step + 1,
                    **begun(student),
                },
                checkpoint,
            )
            saved = time.monotonic()


if __name__ == "__main__":
    main()
