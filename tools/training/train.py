"""Trains a person finder, encoder and decoder: segnet, distilled (VGG at 1/8 of its width) or enet.

    python -m tools.training.train MODEL --data DIR --out RUN

A checkpoint is written every two minutes and after each epoch; the same command continues a run that was stopped, with
the same result as if it had not been. RUN/log.csv has a line an epoch, RUN/curves.png shows them.

With --teacher RUN the loss is α · equation 7 (temperature T) + (1 − α) · cross-entropy, plus --attention times the
distance between the attention maps of teacher and student at five taps.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from minitorch_style.errors import SettingsError, StyleError
from minitorch_style.networks import DECODERS, LOGITS
from minitorch_style.networks.vgg import STYLE_LAYERS
from tools.training.curves import draw
from tools.training.data import IGNORE, Batch, Photo, batches, batches_per_epoch, chosen_for, read_split, whole
from tools.training.distillation import attention, attention_loss, distillation_loss, hard_loss
from tools.training.evaluate import figures, measure
from tools.training.initialise import calibrate, copy_convolutions, fit_features
from tools.training.network import TrainableNetwork
from tools.training.runs import CHECKPOINT, read_run, save_atomically, segmenter
from tools.training.teacher_views import ATTENTION, LOGIT, taught

SAVE_EVERY = 120.0  # seconds
WARM_UP = 100  # steps
INITIALISED_RATE = 0.3  # of the learning rate, for convolutions that did not start at random
CALIBRATION_PHOTOS = 192
CALIBRATION_SIZE = 128


@dataclass
class Options:
    """What decides the result of a run, together with its data."""

    model: str
    sizes: list[int] = field(default_factory=lambda: [96])
    epochs: list[int] = field(default_factory=lambda: [12])
    batch: int = 16
    lr: float = 1e-3
    seed: int = 0
    negatives: float = 1.0
    start: str = "none"
    init: str = "none"
    fit: str = "none"
    class_weights: str = "none"
    temperature: float = 4.0
    alpha: float = 0.0
    attention: float = 0.0

    def __post_init__(self) -> None:
        if self.model not in DECODERS:
            raise SettingsError(f"no model {self.model!r} to train; there are {', '.join(DECODERS)}")
        if len(self.sizes) != len(self.epochs) or min(self.epochs, default=0) < 1:
            raise SettingsError("--epochs takes one positive number for each of --sizes")
        if any(size < 32 or size % 32 for size in self.sizes):
            raise SettingsError("--sizes takes multiples of 32")
        if not 0 <= self.negatives <= 1:
            raise SettingsError("--negatives lies between 0 and 1")
        if not 0 <= self.alpha <= 1 or self.temperature <= 0 or self.attention < 0:
            raise SettingsError("--alpha lies between 0 and 1, --temperature above 0, --attention not below 0")
        if self.attention and self.model == "enet":
            raise SettingsError("--attention compares conv1_1 … conv5_1, which enet does not have")

    def size_in(self, epoch: int) -> int:
        """The side of the crops in this epoch."""
        return next(size for size, end in zip(self.sizes, np.cumsum(self.epochs), strict=True) if epoch < end)


def class_weights(photos: list[Photo], how: str) -> torch.Tensor | None:
    """SegNet's median frequency balancing, ENet's 1/ln(1.02 + p), or none."""
    if how == "none":
        return None
    counts = sum(np.bincount(photo.mask[photo.mask != IGNORE], minlength=2) for photo in photos)
    share = np.maximum(np.asarray(counts, np.float64) / np.sum(counts), 1e-6)
    values = np.median(share) / share if how == "median" else 1 / np.log(1.02 + share)
    return torch.tensor(values, dtype=torch.float32)


class Trainer:
    """The network with its optimizer at one step; all that a checkpoint holds."""

    def __init__(self, options: Options, photos: list[Photo], device: str = "cpu") -> None:
        self.options, self.photos, self.device = options, photos, torch.device(device)
        seen = chosen_for(photos, options.negatives, np.random.default_rng(0))
        self.per_epoch = batches_per_epoch(len(seen), options.batch)
        self.total = self.per_epoch * sum(options.epochs)
        self.step = 0
        torch.manual_seed(options.seed)
        self.network = TrainableNetwork(segmenter(options.model)).to(memory_format=torch.channels_last)
        self.initialised: list[str] = []
        self.weights = class_weights(photos, options.class_weights)

    def initialise(self) -> None:
        """Begins where --start ended, or takes the first convolutions from --init and fits those above to --fit."""
        options = self.options
        sample = [torch.from_numpy(whole(photo, CALIBRATION_SIZE)) for photo in self.photos[: 8 * CALIBRATION_PHOTOS]]
        shape = max({one.shape for one in sample}, key=lambda shape: sum(one.shape == shape for one in sample))
        pixels = torch.cat([one for one in sample if one.shape == shape][:CALIBRATION_PHOTOS])
        if options.start != "none":
            begun = read_run(Path(options.start))
            if begun["model"] != options.model:
                raise SettingsError(f"{options.start} is a run of {begun['model']}, not of {options.model}")
            self.network.load_named_state(begun["network"])
            self.initialised = begun["initialised"]
        if options.init != "none":
            self.initialised = copy_convolutions(self.network, Path(options.init))
            calibrate(self.network, self.initialised, pixels)
        if options.fit != "none":
            explained = fit_features(self.network, Path(options.fit), pixels, options.seed)
            self.initialised += list(explained)
            print("variance explained by the fit:", {name: round(share, 2) for name, share in explained.items()})

    def prepare(self) -> None:
        """Makes the optimizer, once it is known which layers did not start at random."""
        self.network.to(self.device)
        mine = {id(p) for name in self.initialised for p in self.network.layer(name).parameters()}
        groups = [
            {"params": [p for p in self.network.parameters() if id(p) not in mine], "factor": 1.0},
            {"params": [p for p in self.network.parameters() if id(p) in mine], "factor": INITIALISED_RATE},
        ]
        self.optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, weight_decay=1e-3)

    def state(self) -> dict[str, Any]:
        return {
            "model": self.options.model,
            "options": dict(vars(self.options)),
            "photos": len(self.photos),
            "step": self.step,
            "initialised": self.initialised,
            "network": self.network.named_state(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a checkpoint. SettingsError if that was made with other options or data."""
        mine = {**vars(self.options), "photos": len(self.photos)}
        theirs = {**state["options"], "photos": state["photos"]}
        if differing := [key for key in mine if mine[key] != theirs.get(key)]:
            told = ", ".join(f"{key} {theirs.get(key)} there and {mine[key]} here" for key in differing)
            raise SettingsError(
                f"the run there was begun otherwise: {told}; continue as it was begun or name another --out"
            )
        self.initialised = state["initialised"]
        self.network.load_named_state(state["network"])
        self.prepare()
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    @property
    def epoch(self) -> int:
        return self.step // self.per_epoch

    @property
    def done(self) -> bool:
        return self.step >= self.total

    def epoch_batches(self) -> Any:
        """What is left of this epoch."""
        options = self.options
        size = options.size_in(self.epoch)
        done = self.step % self.per_epoch
        return batches(self.photos, size, options.batch, options.seed, self.epoch, done, options.negatives)

    def loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(loss, logits) of one batch."""
        options = self.options
        pixels = torch.from_numpy(batch.pixels).to(self.device, memory_format=torch.channels_last)
        masks = torch.from_numpy(batch.masks).to(self.device)
        maps = {name: torch.from_numpy(values).to(self.device) for name, values in batch.maps.items()}
        taps = (LOGITS, *STYLE_LAYERS) if options.attention else (LOGITS,)
        with torch.autocast(self.device.type, torch.bfloat16):
            outputs = self.network(pixels, taps)
        logits = outputs[LOGITS]
        loss = (1 - options.alpha) * hard_loss(logits, masks, self.weights)
        if options.alpha:
            soft = torch.stack([maps[LOGIT.format(k)] for k in range(logits.shape[1])], dim=1)
            loss = loss + options.alpha * distillation_loss(logits, soft, options.temperature)
        if options.attention:
            parts = [attention_loss(attention(outputs[tap]), maps[ATTENTION.format(tap)]) for tap in STYLE_LAYERS]
            loss = loss + options.attention * torch.stack(parts).mean()
        return loss, logits

    def train_on(self, batch: Batch) -> tuple[float, np.ndarray]:
        """One step; (loss, confusion counts of the batch)."""
        torch.manual_seed(self.options.seed * 1_000_003 + self.step)  # what dropout draws, resumed or not
        self.network.train()
        warm = min(1.0, (self.step + 1) / min(WARM_UP, 1 + self.total // 10))
        for group in self.optimizer.param_groups:
            cosine = 0.5 * (1 + math.cos(math.pi * self.step / self.total))
            group["lr"] = self.options.lr * group["factor"] * warm * cosine
        loss, logits = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        known = batch.masks != IGNORE
        said = logits.argmax(1).cpu().numpy()
        return float(loss.detach()), np.bincount(2 * batch.masks[known] + said[known], minlength=4).reshape(2, 2)


COLUMNS = ("epoch", "step", "size", "seconds", "loss", "accuracy", "person_iou", "val_accuracy", "val_person_iou")


def run_epoch(trainer: Trainer, checkpoint: Path, minutes_left: str) -> dict[str, float]:
    """Trains to the end of the epoch, saving on the way."""
    began = saved = time.monotonic()
    losses: list[float] = []
    counts = np.zeros((2, 2), np.int64)
    epoch, size = trainer.epoch, trainer.options.size_in(trainer.epoch)
    total = trainer.per_epoch - trainer.step % trainer.per_epoch
    bar = tqdm(
        trainer.epoch_batches(), total=total, desc=f"epoch {epoch + 1}/{sum(trainer.options.epochs)}{minutes_left}"
    )
    for number, batch in enumerate(bar, start=1):
        loss, found = trainer.train_on(batch)
        losses.append(loss)
        counts += found
        shown = figures(counts)
        pace = number * trainer.options.batch / (time.monotonic() - began)
        bar.set_postfix_str(
            f"loss {np.mean(losses[-50:]):.3f}, accuracy {shown['accuracy']:.2f}, "
            f"IoU {shown['person_iou']:.1f}, {pace:.1f} photos/s"
        )
        if time.monotonic() - saved > SAVE_EVERY:
            save_atomically(trainer.state(), checkpoint)
            saved = time.monotonic()
    shown = figures(counts)
    return {
        "epoch": epoch + 1,
        "step": trainer.step,
        "size": size,
        "seconds": round(time.monotonic() - began, 1),
        "loss": round(float(np.mean(losses)), 5),
        "accuracy": shown["accuracy"],
        "person_iou": shown["person_iou"],
    }


def write_log(log: Path, rows: list[dict[str, Any]]) -> None:
    temporary = log.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(log)


def train(trainer: Trainer, validation: list[Photo], out: Path) -> None:
    """To the end of the run, from wherever it is."""
    log, rows = out / "log.csv", []
    if log.exists():
        with log.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) <= trainer.step]
    while not trainer.done:
        began, epoch = time.monotonic(), trainer.epoch
        left = ""
        if rows:
            per_pixel = float(rows[-1]["seconds"]) / int(rows[-1]["size"]) ** 2
            coming = sum(trainer.options.size_in(later) ** 2 for later in range(epoch, sum(trainer.options.epochs)))
            left = f" ({per_pixel * coming / 60:.0f} min left)"
        row: dict[str, Any] = run_epoch(trainer, out / CHECKPOINT, left)
        save_atomically(trainer.state(), out / CHECKPOINT)
        found = measure(trainer.network, validation, max(64, row["size"]))
        rows.append({**row, "val_accuracy": found["accuracy"], "val_person_iou": found["person_iou"]})
        write_log(log, rows)
        draw(rows, out / "curves.png", f"{trainer.options.model}: all background is {found['all_background']:.1f} %")
        print(
            f"epoch {epoch + 1}: loss {row['loss']:.4f}, validation accuracy {found['accuracy']:.2f} % "
            f"(all background {found['all_background']:.2f} %), IoU of person {found['person_iou']:.1f} %, "
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = Options("segnet")
    parser.add_argument("model", metavar="MODEL", help=", ".join(DECODERS))
    parser.add_argument("--data", type=Path, required=True, help="folder with people-train.tar or MS-COCO 2017")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=known.sizes, help="sides of the crops, one after another"
    )
    parser.add_argument("--epochs", type=int, nargs="+", default=known.epochs, help="how many at each of --sizes")
    parser.add_argument("--batch", type=int, default=known.batch)
    parser.add_argument("--lr", type=float, default=known.lr)
    parser.add_argument("--seed", type=int, default=known.seed)
    parser.add_argument(
        "--negatives",
        type=float,
        default=known.negatives,
        help="share of the photographs without people to see in an epoch (default: all)",
    )
    parser.add_argument("--start", default=known.start, metavar="RUN", help="a run whose network this one begins with")
    parser.add_argument("--init", default=known.init, help="VGG whose convolutions the encoder begins with, or none")
    parser.add_argument("--fit", default=known.fit, help="quarter-width VGG-19 (5SE.pth) to fit the layers above to")
    parser.add_argument("--class-weights", choices=("none", "median", "enet"), default=known.class_weights)
    parser.add_argument("--teacher", type=Path, metavar="RUN", help="a trained run to learn from")
    parser.add_argument(
        "--teacher-size", type=int, default=128, help="the teacher sees a photograph at about size² pixels"
    )
    parser.add_argument("--temperature", type=float, default=known.temperature, help="T of equation 7")
    parser.add_argument("--alpha", type=float, help="share of equation 7 in the loss (default 0.7 with a teacher)")
    parser.add_argument("--attention", type=float, default=known.attention, help="weight of attention matching")
    parser.add_argument("--validate", type=int, default=200, help="validation photographs looked at after an epoch")
    parser.add_argument("--limit", type=int, help="train on the first so many photographs")
    parser.add_argument("--threads", type=int, help="of PyTorch")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(argv)
    try:
        if args.teacher is None and (args.alpha or args.attention):
            raise SettingsError("--alpha and --attention need a --teacher")
        if args.threads:
            torch.set_num_threads(args.threads)
        alpha = (0.0 if args.teacher is None else 0.7) if args.alpha is None else args.alpha
        options = Options(
            args.model,
            args.sizes,
            args.epochs,
            args.batch,
            args.lr,
            args.seed,
            args.negatives,
            args.start,
            args.init,
            args.fit,
            args.class_weights,
            args.temperature,
            alpha,
            args.attention,
        )
        args.out.mkdir(parents=True, exist_ok=True)
        photos = read_split(args.data, "train")[: args.limit]
        validation = read_split(args.data, "val")[: args.validate]
        if args.teacher is not None:
            photos = taught(photos, args.teacher, args.teacher_size, bool(options.attention))
        trainer = Trainer(options, photos, args.device)
        if (args.out / CHECKPOINT).exists():
            trainer.restore(read_run(args.out))
        else:
            trainer.initialise()
            trainer.prepare()
        train(trainer, validation, args.out)
    except StyleError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train: stopped; the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
