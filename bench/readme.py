"""Writes the measured tables into the README, between their markers: python -m bench.readme"""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


def engines() -> str:
    """The table of bench/results/engines.json: ratios first, for only they carry over to other machines."""
    record = json.loads((RESULTS / "engines.json").read_text())
    lines = [
        f"Milliseconds on {record['threads']} threads of one {record['processor']}, medians of {record['repeat']} rounds "
        "in which every engine runs in turn (`python -m bench.compare_engines`). The machine is shared and noisy: only "
        "ratios count.",
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


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text()
    for name, table in (("engines", engines()), ("optimizers", optimizers())):
        begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        before, rest = text.split(begin)
        text = before + begin + table + end + rest.split(end)[1]
    path.write_text(text)


if __name__ == "__main__":
    main()
