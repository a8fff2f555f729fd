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
import io
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from minitorch_style.errors import SettingsError, StyleError
from minitorch_style.files import write_text
from minitorch_style.nn.registry import DECODERS
from tools.training.curves import draw
from tools.training.data import Photo, read_split
from tools.training.evaluate import figures, measure
from tools.training.runs import CHECKPOINT, read_run, save_atomically
from tools.training.teacher_views import taught
from tools.training.trainer import Options, Trainer

SAVE_EVERY = 120.0  # seconds

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
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_text(log, text.getvalue())


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
    parser.add_argument(
        "--fit", default=known.fit, help="VGG-19 to fit the layers above to, whole or quarter-width (5SE.pth)"
    )
    parser.add_argument("--class-weights", choices=("none", "median", "enet"), default=known.class_weights)
    parser.add_argument("--teacher", type=Path, metavar="RUN", help="a trained run to learn from")
    parser.add_argument(
        "--teacher-size", type=int, default=128, help="the teacher sees a photograph at about size² pixels"
    )
    parser.add_argument("--temperature", type=float, default=known.temperature, help="T of equation 7")
    parser.add_argument("--alpha", type=float, help="share of equation 7 in the loss (default 0.7 with a teacher)")
    parser.add_argument("--attention", type=float, default=known.attention, help="weight of attention matching")
    parser.add_argument("--dropout", type=float, default=known.dropout, help="share of ENet's published dropout to use")
    parser.add_argument(
        "--initialised-rate",
        type=float,
        default=known.initialised_rate,
        help="of the learning rate, for convolutions that did not start at random; 0 leaves them as they began",
    )
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
            args.dropout,
            args.initialised_rate,
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
