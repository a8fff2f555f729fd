"""Numbers → plots as SVG text, for a page without outside references."""

from __future__ import annotations

import io
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure

matplotlib.rcParams.update({"svg.hashsalt": "minitorch", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})


def svg(figure: Figure) -> str:
    """The figure as an <svg> element."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    text = stream.getvalue()
    return text[text.index("<svg") :]


def curves(title: str, lines: dict[str, list[dict[str, float]]], x: str = "seconds", goal: float | None = None) -> str:
    """Loss against seconds (or another column), a line each; `goal` a level to reach."""
    figure, axis = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for name, rows in lines.items():
        axis.plot(
            [row[x] for row in rows], [row["loss"] for row in rows], label=name, marker="." if len(rows) < 15 else ""
        )
    if goal is not None:
        axis.axhline(goal, color="black", linewidth=0.8, linestyle="--")
    axis.set(xlabel=x, ylabel="loss", yscale="log", title=title)
    axis.legend()
    return svg(figure)


def split(rows: list[dict[str, Any]], method: str) -> str:
    """Iterations as bars: forward, backward, losses, optimizer."""
    figure, axis = pyplot.subplots(figsize=(6.4, 1.2 + 0.3 * len(rows)), layout="constrained")
    names = [f"{row['model']} ({row['kernels']})" for row in rows]
    left = [0.0] * len(rows)
    for part in ("forward", "backward", "losses", "optimizer"):
        values = [row["optimizer_ms"][method] if part == "optimizer" else row[f"{part}_ms"] for row in rows]
        shares = [100 * value / max(1e-9, _whole(row, method)) for value, row in zip(values, rows, strict=True)]
        axis.barh(names, shares, left=left, label=part)
        left = [a + b for a, b in zip(left, shares, strict=True)]
    axis.set(xlabel="share of an iteration, %", title=f"Where an iteration of {method} goes")
    axis.invert_yaxis()
    figure.legend(ncols=4, loc="outside lower center")
    return svg(figure)


def _whole(row: dict[str, Any], method: str) -> float:
    return float(row["forward_ms"] + row["backward_ms"] + row["losses_ms"] + row["optimizer_ms"][method])
