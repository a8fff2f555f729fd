"""Writes the measured tables into the README, between their markers: python -m bench.readme"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


def engines() -> str:
    """The table of bench/results/engines.json: ratios first, for only they carry over to other machines."""
    record = json.loads((RESULTS / "engines.json").read_text())
    lines = [
        f"Milliseconds on {record['threads']} threads of one {record['processor']}, medians of {record['repeat']} rounds "
        "in which every engine runs in turn (`python -m bench.compare_engines`). The machine is shared and noisy: only "
        "ratios count, medians of those of the rounds.",
        "",
        "| network | size | what | minitorch | PyTorch NCHW / channels_last / compiled | ONNX Runtime | best of them over ours |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        others = row["others_ms"]
        torch = " / ".join(
            f"{others[name]:.1f}" if name in others else "–"
            for name in ("torch NCHW", "torch channels_last", "torch compiled")
        )
        onnx = f"{others['ONNX Runtime']:.1f}" if "ONNX Runtime" in others else "–"
        lines.append(
            f"| {row['model']} | {row['size']}² | {row['what']} | {row['minitorch_ms']:.1f} | {torch} | {onnx} | "
            f"**{row['ratio_to_best']:.2f}×** |"
        )
    return "\n".join(lines)


def optimizers() -> str:
    """The table of bench/results/optimizers.json."""
    record = json.loads((RESULTS / "optimizers.json").read_text())
    lines = [
        f"The optimizer's own cost, and the loss it reaches, {record['model']} at {record['size']} pixels "
        "(`python -m bench.compare_optimizers`):",
        "",
        "| pair | optimizer | loss after 50 evaluations | after 200 | ms an iteration besides evaluations | seconds in all |",
        "|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        pair = " × ".join(Path(name).stem.split("_", 1)[1].replace("_", " ") for name in row["pair"])
        lines.append(
            f"| {pair} | {row['optimizer']} | {row['loss']['50']:.3e} | {row['loss']['200']:.3e} | "
            f"{row['optimizer_ms']:.1f} | {row['seconds']:.1f} |"
        )
    return "\n".join(lines)


def segmenters() -> str:
    """What the bundled person finders say of themselves, and table 1 of the last full run of bench.paper."""
    rows = paper_results()["table1"]
    base = rows[0]["all_background"]
    lines = [
        f"Pixel accuracy on {rows[0]['photographs']:,} validation photographs as this engine computes it (`python -m "
        f"bench.paper --full`; calling everything background scores {base:.2f} %):",
        "",
        "| model | parameters, encoder / whole | accuracy | to segnet | the paper's: accuracy, to its VGG |",
        "|---|---|---|---|---|",
    ]
    best = next(row for row in rows if row["model"] == "segnet")
    for row in rows:
        gap, theirs = row["accuracy"] - best["accuracy"], row["paper"]["accuracy"]
        lines.append(
            f"| {row['model']} | {row['encoder_parameters']:,} / {row['parameters']:,} | {row['accuracy']:.2f} % | {gap:+.2f} | "
            f"{theirs:.2f} %, {theirs - best['paper']['accuracy']:+.2f} |"
        )
    return "\n".join(lines)


def distillation() -> str:
    """What bench/results/distillation.json says of the teacher."""
    record = json.loads((RESULTS / "distillation.json").read_text())
    lines = [
        f"The student `distilled` with its teacher and without, accuracy on {record['photographs']:,} photographs by seed "
        "(`python -m bench.distillation`):",
        "",
        "| begins with | teacher | by seed | mean | the teacher's gain |",
        "|---|---|---|---|---|",
    ]
    for init in dict.fromkeys(row["init"] for row in record["rows"]):
        means = {}
        for taught in (False, True):
            mine = [row for row in record["rows"] if row["init"] == init and bool(row["alpha"]) == taught]
            means[taught] = sum(row["accuracy"] for row in mine) / len(mine)
            seeds = " / ".join(f"{row['accuracy']:.2f}" for row in sorted(mine, key=lambda row: int(row["seed"])))
            gain = f"{means[True] - means[False]:+.2f}" if taught else ""
            how = "equation 7" + (" and attention" if mine[0]["attention"] else "") if taught else "none"
            begins = "random numbers" if init == "none" else f"`{init}`"
            lines.append(f"| {begins} | {how} | {seeds} | {means[taught]:.2f} % | {gain} |")
    return "\n".join(lines)


def limits() -> str:
    """The table of bench/results/limits.json."""
    record = json.loads((RESULTS / "limits.json").read_text())
    memory = record["memory_512_vgg16"]
    lines = [
        "Start-up, memory and growth (`python -m bench.limits`):",
        "",
        "| what | measured |",
        "|---|---|",
        f"| `import minitorch_style` | {record['import_s']:.2f} s |",
        f"| first run ever, kernels compiled, until its first iteration is done | {record['first_run_s']:.1f} s |",
        f"| any later run, the same | {record['later_run_s']:.1f} s |",
        f"| peak memory, VGG-16 at 512², 16 iterations | {memory['minitorch'] / 1e6:,.0f} MB; PyTorch's for the same job "
        f"{memory['torch'] / 1e6:,.0f} MB |",
    ]
    lines.append(
        f"| ten iterations of distilled at 256², all loaded and compiled | {record['ten_iterations_ms']:.0f} ms |"
    )
    for model in dict.fromkeys(row["model"] for row in record["growth"]):
        rows = [row for row in record["growth"] if row["model"] == model]
        time = ", ".join(f"{1e9 * row['seconds'] / row['side'] ** 2:.0f}" for row in rows)
        space = ", ".join(f"{row['bytes'] / row['side'] ** 2:.0f}" for row in rows)
        sides = ", ".join(f"{row['side']}²" for row in rows)
        lines.append(f"| {model}, loss + gradient at {sides}: ns a pixel | {time} |")
        lines.append(f"| the same: bytes a pixel of the plan | {space} |")
    for row in record["departures"]:
        told = f"{100 * row['seconds']:.0f} % (time), {100 * row['bytes']:.0f} % (bytes)"
        lines.append(f"| {row['model']}: at most so far from a straight line over the pixels | {told} |")
    worst = max(record["peaks"], key=lambda row: abs(row["told"] / row["peak"] - 1))
    models = ", ".join(dict.fromkeys(row["model"] for row in record["peaks"]))
    lines.append(
        f"| memory told before the start against the peak, {models} at 256² and 512² | at most "
        f"{100 * abs(worst['told'] / worst['peak'] - 1):.0f} % off ({worst['model']}, {worst['side']}²) |"
    )
    return "\n".join(lines)


def ways() -> str:
    """What bench/results/ways.json says of the ways to the loss of 100 plain iterations."""
    record = json.loads((RESULTS / "ways.json").read_text())
    pairs = record["pairs"]
    lines = [
        f"{record['model']} at {record['size']} pixels, three pairs (`python -m bench.compare_ways`): seconds until the loss of "
        "100 plain iterations is reached, and in brackets where the way ends, as a multiple of that loss, after how long:",
        "",
        "| way | " + " | ".join(pair["pair"] for pair in pairs) + " |",
        "|---|" + "---|" * len(pairs),
    ]
    for way in pairs[0]["ended"]:
        cells = []
        for pair in pairs:
            reached, ended = pair["reached"][way], pair["ended"][way]
            told = f"{reached:.0f} s" if reached else "never"
            cells.append(f"{told} ({ended['loss']:.2f} after {ended['seconds']:.0f} s)")
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def paper_results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / "paper.json").read_text())
    return found


def default_model(rows: list[dict[str, Any]]) -> list[str]:
    """Which model paints best for its time, as two judges see it."""
    judges = list(rows[0]["scores"])
    pairs = len({row["pair"] for row in rows})
    columns = [f"{judge}: {what}" for judge in judges for what in ("style left", "content changed")]
    lines = [
        "",
        f"Which is the default? Mean of {pairs} pairs after {rows[0]['iteration']} iterations, before two ImageNet judges "
        f"({judges[-1]} taught distilled-perceptual, {judges[0]} has taught none):",
        "",
        "| model | " + " | ".join(columns) + " | seconds |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        scores = [
            sum(row["scores"][judge][what] for row in mine) / len(mine)
            for judge in judges
            for what in ("style", "content")
        ]
        seconds = sum(row["seconds"] for row in mine) / len(mine)
        lines.append(f"| {model} | " + " | ".join(f"{score:.3f}" for score in scores) + f" | {seconds:.1f} |")
    return lines


def claim(rows: list[dict[str, Any]]) -> str:
    """The paper's claim about its distilled model, answered."""

    def left(model: str, mark: int) -> float:
        mine = [row["style"] for row in rows if (row["model"], row["iteration"]) == (model, mark)]
        return float(sum(mine) / len(mine))

    small, large = left("distilled", 10), left("segnet", 100)
    return (
        f"The paper says that its distilled model at 10 iterations matches VGG at 100. Here {small:.2f} of the style is left "
        f"against {large:.2f}: {'yes' if small <= large else 'no'}. With what ImageNet's networks know, distilled-perceptual "
        f"leaves {left('distilled-perceptual', 10):.2f} after 10 and {left('distilled-perceptual', 100):.2f} after 100."
    )


def paper() -> str:
    """What the last full run of bench.paper answers."""
    found = paper_results()
    marks = sorted({row["iteration"] for row in found["figure6"]["rows"]})
    rows = found["figure6"]["rows"]
    lines = [
        f"Style left, judged by {found['figure6']['judge']} (1: the photo, 0: its own picture after "
        f"{found['figure6']['judge_iterations']} iterations), mean of {len({row['pair'] for row in rows})} pairs, and seconds:",
        "",
        "| model | " + " | ".join(f"iteration {mark}" for mark in marks) + " |",
        "|---|" + "---|" * len(marks),
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        cells = []
        for mark in marks:
            mine = [row for row in rows if (row["model"], row["iteration"]) == (model, mark)]
            style = sum(row["style"] for row in mine) / len(mine)
            cells.append(f"{style:.3f}, {sum(row['seconds'] for row in mine) / len(mine):.1f} s")
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    lines += ["", claim(rows), *default_model(found["default"])]
    lines += ["", "One iteration over one forward pass, the paper's yardstick, at 256² (its Figure 7):", ""]
    lines += ["| model | kernels | forward | iteration, L-BFGS | over forward | iteration, L-BFGS-B | over forward |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in found["figure7"]:
        forward, each = row["forward_ms"], row["iteration_ms"]
        cells = [f"{each[name]:.1f} ms | {each[name] / forward:.1f}" for name in ("lbfgs", "lbfgsb")]
        lines.append(f"| {row['model']} | {row['kernels']} | {forward:.1f} ms | {' | '.join(cells)} |")
    lines += ["", "| network of one bit | style left | kB on disk |", "|---|---|---|"]
    lines += [f"| {row['model']} | {row['style']:.3f} | {row['disk'] / 1e3:,.0f} |" for row in found["onebit"]["rows"]]
    return "\n".join(lines)


def arm() -> str:
    """The table of bench/results/arm.json."""
    rows = json.loads((RESULTS / "arm.json").read_text())
    lines = [
        "Seconds on one core of an iPad 2 at 256², estimated from counted instructions (`python -m bench.arm.estimate`):",
        "",
        "| model | kernels | forward pass | one iteration | can it be real-time? |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        spans = [f"{row[what]['low_s']:.2f}–{row[what]['high_s']:.2f}" for what in ("forward", "iteration")]
        ten = 10 * row["iteration"]["low_s"]
        answer = "yes" if ten <= 1 else f"no: ten iterations take {ten:.0f} s at best"
        lines.append(f"| {row['model']} | {row['kernels']} | {spans[0]} | {spans[1]} | {answer} |")
    board = json.loads((RESULTS / "board.json").read_text())
    peaks = ", ".join(f"{row['model']} {row['peak_mb']:.0f} MB" for row in board)
    lines += [
        "",
        f"Peak of resident memory of a stylisation at {board[0]['size']} pixels on an emulated board with "
        f"{board[0]['total_mb']:.0f} MB in all (`python -m bench.arm.board`): {peaks}.",
    ]
    return "\n".join(lines)


TABLES = {
    "engines": engines,
    "optimizers": optimizers,
    "segmenters": segmenters,
    "distillation": distillation,
    "limits": limits,
    "ways": ways,
    "paper": paper,
    "arm": arm,
}


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text()
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}{table()}\n{end}{rest.split(end, 1)[1]}"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    main()
