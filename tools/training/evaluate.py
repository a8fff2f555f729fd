"""How well a network finds people: pixel accuracy (the paper's measure) and mean IoU on the validation photographs.

    python -m tools.training.evaluate RUN --data DIR

Prints JSON: the figures over all pixels that are not «ignore», those by source, the accuracy of calling everything
background, and the parameters of the encoder and of the whole.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from minitorch_style.errors import StyleError
from minitorch_style.nn.registry import LOGITS, architecture
from tools.torch_network import TorchNetwork
from tools.training.data import IGNORE, Photo, read_split, whole
from tools.training.runs import load_run

AT_ONCE = 8


@torch.no_grad()
def whole_outputs(
    network: TorchNetwork, photos: list[Photo], size: int, taps: tuple[str, ...]
) -> list[dict[str, torch.Tensor]]:
    """What the network makes of each whole photograph, seen at about size² pixels: {tap: (C, h, w) float32}."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    pixels = [whole(photo, size) for photo in photos]
    for index, array in enumerate(pixels):
        groups[array.shape].append(index)
    found: dict[int, dict[str, torch.Tensor]] = {}
    network.eval()
    for members in groups.values():
        for start in range(0, len(members), AT_ONCE):
            chosen = members[start : start + AT_ONCE]
            stacked = torch.from_numpy(np.concatenate([pixels[index] for index in chosen]))
            with torch.autocast("cpu", torch.bfloat16):
                outputs = network(stacked.contiguous(memory_format=torch.channels_last), taps)
            for place, index in enumerate(chosen):
                found[index] = {tap: value[place].float() for tap, value in outputs.items()}
    return [found[index] for index in range(len(photos))]


def confusion(logits: torch.Tensor, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """counts[true, said] over a mask (H, W), from logits (2, h, w) of any size."""
    resized = functional.interpolate(logits[None], mask.shape, mode="bilinear", align_corners=False)[0]
    said = resized.argmax(0).numpy()
    known = mask != IGNORE
    return np.bincount(2 * mask[known].astype(np.int64) + said[known], minlength=4).reshape(2, 2)


def figures(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, mean IoU of the two classes, IoU of person, and what «all background» scores, in per cent."""
    total = max(1, int(counts.sum()))
    unions = counts.sum(0) + counts.sum(1) - counts.diagonal()
    overlap = counts.diagonal() / np.maximum(unions, 1)
    shown = {
        "accuracy": counts.diagonal().sum() / total,
        "mean_iou": overlap.mean(),
        "person_iou": overlap[1],
        "all_background": counts[0].sum() / total,
    }
    return {name: round(100 * float(value), 3) for name, value in shown.items()}


def measure(network: TorchNetwork, photos: list[Photo], size: int) -> dict[str, Any]:
    """The figures over all photographs and by source."""
    sources: dict[str, npt.NDArray[np.int64]] = defaultdict(lambda: np.zeros((2, 2), np.int64))
    for start in range(0, len(photos), 200):
        some = photos[start : start + 200]
        for photo, output in zip(some, whole_outputs(network, some, size, (LOGITS,)), strict=True):
            sources[photo.source] += confusion(output[LOGITS], photo.mask)
    total = np.sum(list(sources.values()), axis=0)
    return {**figures(total), "sources": {name: figures(counts) for name, counts in sorted(sources.items())}}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--size", type=int, default=112, help="a photograph is seen at about size² pixels (default 112)"
    )
    args = parser.parse_args(argv)
    try:
        network, state = load_run(args.run)
        found = measure(network, read_split(args.data, "val"), args.size)
    except StyleError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    encoder = architecture(state["model"])
    print(
        json.dumps(
            {
                "model": state["model"],
                "steps": state["step"],
                "size": args.size,
                **found,
                "encoder_parameters": encoder.parameter_count(),
                "parameters": network.architecture.parameter_count(),
            },
            indent=2,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
