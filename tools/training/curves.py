"""The course of a training run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from minitorch_style.files import atomic_write


def draw(rows: list[dict[str, Any]], path: Path, title: str) -> None:
    """Loss, accuracy and IoU by epoch → PNG."""
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    epochs = [int(row["epoch"]) for row in rows]
    shown = (
        ("loss", ("loss",)),
        ("accuracy, %", ("accuracy", "val_accuracy")),
        ("IoU of person, %", ("person_iou", "val_person_iou")),
    )
    for axis, (label, columns) in zip(axes, shown, strict=True):
        for column in columns:
            name = "validation" if column.startswith("val_") else "training crops"
            axis.plot(epochs, [float(row[column]) for row in rows], marker=".", label=name)
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.legend()
    figure.suptitle(title)
    with atomic_write(path) as file:
        figure.savefig(file, dpi=100, format=path.suffix[1:])
    pyplot.close(figure)
