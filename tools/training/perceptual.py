"""Perceptual distillation: small encoders learn ImageNet features from the real VGG-19, several from one forward pass.

    python -m tools.training.perceptual --vgg FILE --tar TAR [--photos PATH …] [--paintings PATH …] --until 18:30 \\
        --out RUN distilled-perceptual=weights/distilled-perceptual.h5 quarter=DATA/vgg/5SE.pth distilled-wide enet

A student is named with the weights that it starts from (those of a narrower network fill a part of it) or starts at
random. At each tap the best linear map takes the student's features to the teacher's; the loss is what the map leaves of
their energy, of their Gram matrices, and of the differences of two pictures' Gram matrices, which is what style losses
are. --painted are pictures that a student has painted by the method gram: what a style loss looks at while it goes down
is no photograph, and a student that has never seen such a picture is easily wrong about it.

RUN/checkpoint.pt is written every few minutes and continued from when the run is started again, for as many --steps in
all or --until another time; RUN/STUDENT/checkpoint.pt holds a student as tools.make_weights and tools.training.train
--start read it.
"""

from __future__ import annotations

import argparse
import csv
import math
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import torch

from tools.torch_network import TorchNetwork
from tools.training.crops import Crops, pictures_in
from tools.training.matching import Target, target
from tools.training.runs import CHECKPOINT, read_run, save_atomically
from tools.training.students import COUNTERPARTS, Student, convolutions
from tools.training.teachers import vgg19

Lesson = tuple[torch.Tensor, dict[str, Target]]
SAVED_EVERY, REPORTED_EVERY, RENEWED_EVERY = 150.0, 50, 150  # seconds, steps, steps
WARM = 100  # steps until the whole learning rate
LARGE_FROM = 2 / 3  # of the time: what follows sees larger crops, at whose middle nothing of the padding is seen
RENEWED_UNTIL = 0.6
AVERAGED = 0.998  # of the running average of the weights is kept at a step


def sized(size: int, batch: int, progress: float, step: int) -> tuple[int, int]:
    """(side, count) of a step's crops: about the same number of pixels throughout."""
    side = size if progress < LARGE_FROM else (size * 4 // 3, size * 5 // 3)[step % 2]
    return side, max(2, round(batch * size**2 / side**2))


class Lessons:
    """Batches with the teacher's features, the next one made in another thread while the students learn from this one."""

    def __init__(self, crops: Crops, teacher: TorchNetwork, taps: tuple[str, ...], seed: int) -> None:
        self.crops, self.teacher, self.taps, self.seed = crops, teacher, taps, seed
        self.thread = ThreadPoolExecutor(1)

    def ask(self, step: int, side: int, count: int) -> Future[Lesson]:
        return self.thread.submit(self._make, step, side, count)

    @torch.no_grad()
    def _make(self, step: int, side: int, count: int) -> Lesson:
        pixels = self.crops.batch(count, side, np.random.default_rng([self.seed, step]))
        with torch.autocast("cpu", torch.bfloat16):
            seen = self.teacher(pixels, self.taps)
        return pixels, {tap: target(maps) for tap, maps in seen.items()}


class Schedule:
    """How far a run has come, 0 to 1: by steps, which repeats, or by the time that a run uses until the clock shows one."""

    def __init__(self, steps: int | None, until: datetime | None, spent: float) -> None:
        self.steps, self.before, self.began = steps, spent, time.monotonic()
        self.left = (until - datetime.now()).total_seconds() if until else math.inf

    def spent(self) -> float:
        """Seconds of training, those before it was resumed included."""
        return self.before + time.monotonic() - self.began

    def progress(self, step: int) -> float:
        return step / self.steps if self.steps else self.spent() / (self.before + self.left)


class Journal:
    """Means over REPORTED_EVERY steps, printed and as rows of log.csv: step, student, loss, energy left at each tap."""

    def __init__(self, path: Path, students: list[Student]) -> None:
        self.file, self.students = path.open("a", newline=""), students
        self.records: list[list[list[float]]] = []

    def write(self, step: int, progress: float, records: list[list[float]]) -> None:
        """`records` holds one a student."""
        self.records.append(records)
        if step % REPORTED_EVERY:
            return
        print(f"{datetime.now():%H:%M} step {step}, {100 * progress:.1f} % done", flush=True)
        for student, rows in zip(self.students, zip(*self.records, strict=True), strict=True):
            mean = np.mean(rows, axis=0)
            csv.writer(self.file).writerow([step, student.name, *(f"{value:.4f}" for value in mean)])
            left = " ".join(f"{100 * share:.1f}" for share in mean[1:])
            print(f"  {student.name}: loss {mean[0]:.4f}, % left {left}, renewed {student.renewed}", flush=True)
        self.file.flush()
        self.records = []


def deadline(text: str) -> datetime:
    """The next time that the clock shows HH:MM."""
    now = datetime.now()
    at = datetime.strptime(text, "%H:%M").replace(year=now.year, month=now.month, day=now.day)
    return at if at > now else at + timedelta(days=1)


def save(out: Path, students: list[Student], step: int, spent: float) -> None:
    save_atomically({"step": step, "spent": spent, "students": {s.name: s.state() for s in students}}, out / CHECKPOINT)
    for student in students:
        (out / student.name).mkdir(exist_ok=True)
        initialised = list(convolutions(student.network))
        state = {
            "model": student.name,
            "network": student.average,
            "initialised": initialised,
            "step": step,
            "began": student.began,
        }
        save_atomically(state, out / student.name / CHECKPOINT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("students", nargs="+", metavar="STUDENT[=FILE]", help=", ".join(COUNTERPARTS))
    parser.add_argument("--vgg", type=Path, required=True, help="VGG-19 as Keras saved it")
    parser.add_argument("--tar", type=Path, required=True, help="small photographs")
    parser.add_argument("--photos", type=Path, nargs="+", default=[], help="large photographs, or folders of them")
    parser.add_argument("--paintings", type=Path, nargs="+", default=[])
    parser.add_argument(
        "--painted", type=Path, nargs="+", default=[], help="pictures by a student, beside the photographs"
    )
    parser.add_argument("--out", type=Path, required=True)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--until", type=deadline, metavar="HH:MM", help="the learning rate falls to 0 by this time")
    length.add_argument("--steps", type=int, help="the learning rate falls to 0 in so many steps")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--photo-share", type=float, default=0.15)
    parser.add_argument("--painting-share", type=float, default=0.45)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.set_num_threads(1)  # the teacher has one, the students another
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    photos, paintings = pictures_in([*args.photos, *args.painted]), pictures_in(args.paintings)
    crops = Crops(args.tar, photos, paintings, args.photo_share * bool(photos), args.painting_share * bool(paintings))
    teacher = vgg19(args.vgg)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: with a checkpoint
    named = dict(one.partition("=")[::2] for one in args.students)
    students = [Student(name, args.lr) for name in named]
    taps = tuple({tap: None for student in students for tap in student.counterparts})

    step, spent = 0, 0.0
    if (args.out / CHECKPOINT).exists():
        state = read_run(args.out)
        for student in students:
            student.resume(state["students"][student.name])
        step, spent = state["step"], state["spent"]
    else:
        for student in students:
            student.begin(named[student.name])

    schedule = Schedule(args.steps, args.until, spent)
    journal = Journal(args.out / "log.csv", students)
    lessons = Lessons(crops, teacher, taps, args.seed)
    coming = lessons.ask(step, *sized(args.size, args.batch, schedule.progress(step), step))
    saved = time.monotonic()
    try:
        while (progress := schedule.progress(step)) < 1:
            pixels, targets = coming.result()
            coming = lessons.ask(step + 1, *sized(args.size, args.batch, progress, step + 1))
            rate = min(1.0, (step + 1) / WARM) * 0.5 * (1 + math.cos(math.pi * progress))
            records = []
            for student in students:
                loss, shares = student.loss(pixels, targets)
                student.learn(loss, rate, min(AVERAGED, 1 - 1 / (step + 1)))
                records.append([loss.item(), *shares.values()])
            step += 1
            journal.write(step, progress, records)
            if step % RENEWED_EVERY == 0 and progress < RENEWED_UNTIL:
                for student in students:
                    student.renew()
            if time.monotonic() - saved > SAVED_EVERY:
                save(args.out, students, step, schedule.spent())
                saved = time.monotonic()
    finally:
        save(args.out, students, step, schedule.spent())


if __name__ == "__main__":
    main()
