"""Results → one HTML file without outside references."""

from __future__ import annotations

import base64
import html
import io
import platform
from pathlib import Path
from typing import Any

from PIL import Image

from bench.paper import plots
from bench.paper.setting import Setting
from minitorch_style.files import write_text

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 }
td, th { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } .grid td { padding: 3px; border: 0; text-align: center; font-size: 12px }
.grid img { display: block } img { border-radius: 2px } .note { color: #555 } svg { max-width: 100%; height: auto }
"""
WIDTH = 176  # pixels of a picture in a grid


def _image(setting: Setting, path: str, width: int = WIDTH) -> str:
    with Image.open(setting.out / path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((width, width))
        stream = io.BytesIO()
        small.save(stream, "JPEG", quality=80)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" width="{small.width}" height="{small.height}" alt="{html.escape(path)}">'


def table(head: list[str], rows: list[list[Any]], kind: str = "") -> str:
    def cell(value: Any) -> str:
        return "–" if value is None else str(value)

    lines = "".join("<tr>" + "".join(f"<td>{cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f'<table class="{kind}"><tr>{"".join(f"<th>{name}</th>" for name in head)}</tr>{lines}</table>'


def figure_1(setting: Setting, rows: list[dict[str, Any]]) -> str:
    cells = [f"{_image(setting, row['picture'])}{row['iteration']}: {row['loss']:.4g}" for row in rows]
    grid = [cells[start : start + 4] for start in range(0, len(cells), 4)]
    curve = plots.curves("Figure 1", {"L-BFGS": rows}, x="iteration")
    return "<p>The photo, then a picture an iteration, its loss beside it.</p>" + table([], grid, "grid") + curve


def table_1(rows: list[dict[str, Any]]) -> str:
    shown = []
    for row in rows:
        accuracy = (
            f"{row['accuracy']:.2f} %"
            if "accuracy" in row
            else html.escape(row["told_by_training"] or "not measured here")
        )
        paper = row["paper"]
        shown.append([row["model"], f"{row['encoder_parameters']:,}", f"{row['parameters']:,}", accuracy,
                      f"{paper['parameters']:,}", f"{paper['accuracy']} %"])  # fmt: skip
    base = next((row for row in rows if "all_background" in row), None)
    told = (
        f"<p>Measured by this engine on {base['photographs']} validation photographs; calling everything background scores "
        f"{base['all_background']:.2f} %.</p>"
        if base
        else ""
    )
    return (
        table(["model", "encoder", "with decoder", "accuracy", "paper: parameters", "paper: accuracy"], shown)
        + told
        + "<p class=note>The paper's counts match no natural architecture: those of its VGG and of its distilled VGG cannot "
        "be a network and its 1/8 copy, for their difference is not divisible by 7. Ours stand with the published "
        "definitions. The paper trained on MS-COCO as a whole, we on 5,465 photographs: gaps between models compare, "
        "accuracies do not.</p>"
    )


def figure_6(setting: Setting, found: dict[str, Any]) -> str:
    rows = found["rows"]
    parts = [
        f"<p>Judge: {found['judge']}. Style: 1 is the photo, 0 the judge's own picture after {found['judge_iterations']} "
        "iterations. Content: 0 is the photo, 1 as much changed as in the judge's own picture. Seconds: from start.</p>"
    ]
    marks = sorted({row["iteration"] for row in rows})
    for pair in dict.fromkeys(row["pair"] for row in rows):
        mine = [row for row in rows if row["pair"] == pair]
        lines = []
        for model in dict.fromkeys(row["model"] for row in mine):
            cells = [model]
            for mark in marks:
                row = next((row for row in mine if (row["model"], row["iteration"]) == (model, mark)), None)
                cells.append("–" if row is None else _image(setting, row["picture"]) + _scored(row))
            lines.append(cells)
        own = "".join(_image(setting, f"pictures/figure6-{pair}-{what}.png") for what in ("photo", "painting", "judge"))
        parts.append(f"<h3>{pair}</h3><p>Photo, painting, the judge's own picture:</p>{own}")
        parts.append(table(["", *(f"iteration {mark}" for mark in marks)], lines, "grid"))
    parts.append(_answer(rows))
    return "".join(parts)


def _scored(row: dict[str, Any]) -> str:
    return f"style {row['style']:.3f}, content {row['content']:.2f}, {row['seconds']:.2f} s"


def _answer(rows: list[dict[str, Any]]) -> str:
    """Does the distilled model at 10 iterations match VGG at 100?"""
    by = {(row["pair"], row["model"], row["iteration"]): row["style"] for row in rows}
    lines = [
        [pair, f"{by[pair, 'distilled', 10]:.3f}", f"{by[pair, 'segnet', 100]:.3f}",
         "yes" if by[pair, "distilled", 10] <= by[pair, "segnet", 100] else "no"]
        for pair in dict.fromkeys(row["pair"] for row in rows)
        if {(pair, "distilled", 10), (pair, "segnet", 100)} <= set(by)
    ]  # fmt: skip
    if not lines:
        return ""
    head = ["pair", "distilled at 10", "VGG (segnet) at 100", "as much style?"]
    return "<p>The paper says that the distilled model at 10 iterations matches VGG at 100:</p>" + table(head, lines)


def default_model(rows: list[dict[str, Any]]) -> str:
    judges = list(rows[0]["scores"]) if rows else []
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        means = [
            sum(row["scores"][judge][what] for row in mine) / len(mine)
            for judge in judges
            for what in ("style", "content")
        ]
        lines.append(
            [model, *(f"{value:.3f}" for value in means), f"{sum(row['seconds'] for row in mine) / len(mine):.2f}"]
        )
    head = ["model", *(f"{judge}: {what}" for judge in judges for what in ("style", "content")), "seconds"]
    pairs = len({row["pair"] for row in rows})
    return f"<p>Means over {pairs} pairs at {rows[0]['iteration']} iterations.</p>" + table(head, lines)


def figure_7(rows: list[dict[str, Any]]) -> str:
    shown = []
    for row in rows:
        iterations = row["iteration_ms"]
        ratio = iterations["lbfgs"] / row["forward_ms"]
        shown.append([f"{row['model']}, {row['kernels']}", f"{row['forward_ms']:.2f}", f"{row['gradient_ms']:.2f}",
                      *(f"{iterations[name]:.2f}" for name in iterations), f"{ratio:.2f}", row["repeats"]])  # fmt: skip
    names = list(rows[0]["iteration_ms"]) if rows else []
    head = [
        "model, kernels",
        "forward ms",
        "loss + gradient ms",
        *(f"{name} ms" for name in names),
        "lbfgs / forward",
        "runs",
    ]
    return (
        table(head, shown)
        + "<p>numpy is im2col and BLAS, as the paper's torch-nn on Accelerate; numba are this engine's own kernels. The paper "
        "remarks that an iteration costs more than two forward passes, because of its optimizer.</p>"
        + plots.split(rows, "lbfgs")
        + plots.split(rows, "lbfgsb")
    )


def bigger_steps(setting: Setting, found: dict[str, Any]) -> str:
    rows = [
        [row["step"], row["steps"], f"{row['loss'] / found['start']:.3f}", f"{row['seconds']:.3f}"]
        for row in found["rows"]
    ]
    best = min(found["rows"], key=lambda row: row["loss"])
    lines = {f"step {length}": [{"seconds": 0.0, "loss": found["start"]}, *(r for r in found["rows"] if r["step"] == length)]
             for length in dict.fromkeys(row["step"] for row in found["rows"])}  # fmt: skip
    lines["L-BFGS, 10 iterations"] = [{"seconds": 0.0, "loss": found["start"]}, *found["lbfgs"]]
    pictures = "".join(_image(setting, row["picture"]) for row in found["rows"] if row["steps"] == 2)
    return (
        table(["step (RMS)", "steps", "loss / start", "seconds"], rows)
        + f"<p>The best of them leaves {best['loss'] / found['start']:.2f} of the loss; ten iterations of L-BFGS leave "
        f"{found['lbfgs'][-1]['loss'] / found['start']:.2f}. Two steps of each length:</p>{pictures}"
        + plots.curves("Bigger steps", lines)
    )


def optimizers(found: list[dict[str, Any]]) -> str:
    parts = []
    for one in found:
        plain = one["reached"]["lbfgs"]
        rows = [
            [way, f"{one['curves'][way][-1]['loss'] / one['goal']:.3f}", None if when is None else f"{when:.2f}",
             None if when is None else f"{plain / when:.2f}×"]
            for way, when in one["reached"].items()
        ]  # fmt: skip
        title = f"{one['model']}, {one['pair']}"
        parts.append(f"<h3>{title}</h3>" + plots.curves(title, one["curves"], goal=one["goal"]))
        parts.append(table(["way", "last loss / plain L-BFGS's", "seconds to reach it", "times as fast"], rows))
    return "".join(parts)


ONE_BIT = """bwn: weights of one bit; xnor: activations of one bit too. They were made from the trained networks without
training on; convolutions run on the same kernels, so they save memory, not time. Binary activations make the loss a
staircase: L-BFGS finds no way down it, so those use gradient descent with momentum along the straight-through gradient."""


def one_bit(setting: Setting, found: dict[str, Any]) -> str:
    rows = []
    for row in found["rows"]:
        numbers = [f"{row['style']:.3f}", f"{row['content']:.2f}", f"{row['seconds']:.2f}", f"{row['disk'] / 1e3:,.0f}"]
        rows.append([_image(setting, row["picture"]), f"{row['model']}, {row['optimizer']}", *numbers])
    told = f"<p>{found['pair']}, last mark, judged by {found['judge']}. {ONE_BIT}</p>"
    return told + table(["", "model", "style", "content", "seconds", "kB on disk"], rows)


def memory(rows: list[dict[str, Any]]) -> str:
    shown = [
        [row["model"], f"{row['disk'] / 1e6:.2f}", f"{row['weights'] / 1e6:.2f}", f"{row['peak'] / 1e6:.0f}"]
        for row in rows
    ]
    return table(["model", "weights on disk, MB", "in memory, MB", "peak of a run, MB"], shown)


def write(setting: Setting, results: dict[str, Any]) -> Path:
    """report.html in the folder of results."""
    sections = {
        "Figure 1: ten iterations": figure_1(setting, results["figure1"]),
        "Table 1: parameters and accuracy": table_1(results["table1"]),
        "Figure 6: models at iterations, with a measure": figure_6(setting, results["figure6"]),
        "Which model is the default: two judges": default_model(results["default"]),
        f"Figure 7: time at {setting.size}×{setting.size} pixels": figure_7(results["figure7"]),
        "Discussion: a bigger step and only one or two iterations": bigger_steps(setting, results["steps"]),
        "Discussion: a more efficient optimizer": optimizers(results["optimizers"]),
        "Discussion: XNOR-Net": one_bit(setting, results["onebit"]),
        "Memory": memory(results["memory"]),
    }
    body = "".join(f"<h2>{title}</h2>{content}" for title, content in sections.items())
    how = "a full run" if setting.full else "a quick run: few iterations, one pair"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>The paper\'s results</title><style>{STYLE}</style>'
        "<h1>Compressed networks for style transfer: the paper's results, reproduced and extended</h1>"
        f"<p class=note>Made by <code>python -m bench.paper</code>, {how}, on {html.escape(platform.machine())}, Python "
        f"{platform.python_version()}. Paper: C.-M. Yen, «Compressed Deep Learning Model in Artistic Style Transformation on "
        f"iOS».</p>{body}</html>"
    )
    path = setting.out / "report.html"
    write_text(path, page)
    return path
