"""What a teacher sees in every training photograph, computed once: its logits, and where its layers look.

A crop of a picture is then taught with the same crop of the teacher's maps, which costs a resize where asking the
teacher again would cost more than training the student.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from minitorch_style.nn.registry import LOGITS
from minitorch_style.nn.vgg import STYLE_LAYERS
from tools.training.data import Photo
from tools.training.distillation import attention
from tools.training.evaluate import whole_outputs
from tools.training.runs import load_run, save_atomically

LOGIT = "logit{}"
ATTENTION = "attention {}"


def taught(photos: list[Photo], run: Path, size: int, look: bool) -> list[Photo]:
    """The photographs with the maps of the teacher in `run`, who sees each whole at about size² pixels; with `look`,
    those of its attention at conv1_1 … conv5_1 too. Kept in a file in `run`, for the next student."""
    network, state = load_run(run)
    kept = run / f"views-{state['step']}-{size}-{'attention' if look else 'logits'}.pt"
    views: dict[str, dict[str, torch.Tensor]] = torch.load(kept, weights_only=True) if kept.exists() else {}
    missing = [photo for photo in photos if photo.name not in views]
    taps = (LOGITS, *STYLE_LAYERS) if look else (LOGITS,)
    with tqdm(total=len(missing), desc="teacher", unit="photo", disable=not missing) as progress:
        for start in range(0, len(missing), 100):
            some = missing[start : start + 100]
            for photo, outputs in zip(some, whole_outputs(network, some, size, taps), strict=True):
                maps = {LOGIT.format(k): values for k, values in enumerate(outputs[LOGITS])}
                for tap in taps[1:]:
                    maps[ATTENTION.format(tap)] = attention(outputs[tap][None])[0]
                views[photo.name] = {name: values.half().clone() for name, values in maps.items()}
            progress.update(len(some))
    if missing:
        save_atomically(views, kept)
    return [
        replace(photo, maps={name: values.numpy() for name, values in views[photo.name].items()}) for photo in photos
    ]
