"""Writes the measured tables into the documentation, between their markers: python -m bench.readme

`--check` writes nothing and fails where a table is not that of the last measurement in `bench/results/`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined

from bench.record import RESULTS
from minitorch_style.files import write_text

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": ["speed"],
    "docs/performance.md": ["engines", "optimizers", "limits", "ways"],
    "docs/looks.md": ["looks", "looks-gram"],
    "docs/paper.md": ["paper", "segmenters", "distillation"],
    "docs/boards.md": ["arm"],
    "docs/page.md": ["serve-load"],
    "docs/scale.md": ["large", "tiles"],
    "docs/cluster.md": ["cluster-picture"],
    "docs/video.md": ["films"],
    "docs/realtime.md": ["live", "live-losses", "strokes"],
}
Row = dict[str, Any]


def result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def data(table: str) -> Row:
    """What a table's template is given."""
    if table == "arm":
        return {"rows": result("arm"), "board": result("board")}
    if table == "segmenters":
        return {"rows": result("paper")["table1"]}
    if table in ("cluster-picture", "serve-load"):
        return {"record": result(table)}
    if table == "large":
        return {"rows": result("large").values()}
    if table == "tiles":
        return {"rows": result("tiles"), "limit": result("tiles")[0]["limit"]}
    found: Row = result("engines" if table == "speed" else table)
    return found


def value(row: Row, path: str) -> Any:
    return reduce(lambda found, key: found[key], path.split("."), row)


def mean(rows: Iterable[Row], path: str) -> float:
    values = [value(row, path) for row in rows]
    return float(sum(values) / len(values))


def median(rows: Iterable[Row], path: str) -> float:
    return float(statistics.median(value(row, path) for row in rows))


def in_order(rows: Iterable[Row], key: str) -> Iterator[tuple[str, list[Row]]]:
    """Groups in the order in which they first appear."""
    rows = list(rows)
    for name in dict.fromkeys(row[key] for row in rows):
        yield name, [row for row in rows if row[key] == name]


def left(rows: Iterable[Row], model: str, iteration: int) -> float:
    return mean([row for row in rows if (row["model"], row["iteration"]) == (model, iteration)], "style")


def most_off(peaks: Iterable[Row]) -> Row:
    rows = [{**row, "off": abs(row["told"] / row["peak"] - 1)} for row in peaks]
    return max(rows, key=lambda row: float(row["off"]))


FILTERS = {
    "ms": lambda number: "–" if isinstance(number, Undefined) else f"{number:.1f}",
    "mb": lambda number: f"{number / 1e6:,.0f} MB",
    "span": lambda row: f"{row['low_s']:.2f}–{row['high_s']:.2f}",
    "seeds": lambda rows: " / ".join(f"{r['accuracy']:.2f}" for r in sorted(rows, key=lambda row: int(row["seed"]))),
    "picture_name": lambda path: Path(path).stem.split("_", 1)[1].replace("_", " "),
    "mean": mean,
    "median": median,
    "in_order": in_order,
    "left": left,
    "most_off": most_off,
}


def rendered(table: str) -> str:
    environment = Environment(
        loader=FileSystemLoader(ROOT / "bench" / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters.update(FILTERS)
    return environment.get_template(f"{table}.md").render(data(table)).strip()


def filled(text: str, tables: Iterable[str]) -> str:
    """The page with each table between its markers."""
    for table in tables:
        begin, end = f"<!-- {table} -->\n", f"<!-- /{table} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}{rendered(table)}\n{end}{rest.split(end, 1)[1]}"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a table is out of date")
    options = parser.parse_args()
    stale = []
    for name, tables in PAGES.items():
        page = ROOT / name
        before = page.read_text()
        after = filled(before, tables)
        if after != before:
            stale.append(name)
            if not options.check:
                write_text(page, after)
    if options.check and stale:
        print(f"out of date: {', '.join(stale)}; `python -m bench.readme` writes them anew", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
