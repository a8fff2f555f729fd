"""Large pictures by the default method in bounded memory: what was told before, and what it took.

    python -m bench.large [24MP … | poster …] [--pictures FOLDER]

Each in a process of its own, by the command line, from this repository's photo and painting enlarged. Writes
bench/results/large.json; `python -m bench.readme` makes the table of docs/scale.md of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from bench.record import RESULTS, save, text

ROOT = Path(__file__).resolve().parent.parent
# (width, height), the limit of memory, and what of the photo is enlarged: left, top, right, bottom in parts.
CASES = {
    "24MP": ((6000, 4000), "1.5G", (0.0, 0.0, 1.0, 1.0)),
    "poster": ((7016, 9933), "4G", (0.25, 0.0, 0.72, 1.0)),  # A1 at 300 dpi
}


def measured(photo: Path, size: tuple[int, int], limit: str, out: Path) -> dict[str, float | int | str]:
    """Peak (without the pages of the libraries' files, as the kernel may drop them), seconds of wall and processor."""
    command = [sys.executable, "-m", "minitorch_style", "stylize", str(photo), str(ROOT / "examples/painting.jpg"),
               "-o", str(out), "--size", str(max(size)), "--max-memory", limit, "--threads", "1"]  # fmt: skip
    begun, peak, seconds = time.perf_counter(), 0, 0.0
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, stderr=said, cwd=ROOT) as process:
        while process.poll() is None:
            time.sleep(0.2)
            try:
                status = dict(
                    line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
                )
                times = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                resident, files = (1024 * int(status[name].split()[0]) for name in ("VmHWM", "RssFile"))
            except (OSError, KeyError):  # it has just ended
                continue
            peak, seconds = max(peak, resident - files), sum(map(int, times[11:13])) / os.sysconf("SC_CLK_TCK")
        said.seek(0)
        told = re.search(r"about (\d+) s and (\d+) MB", found := said.read())
    assert process.returncode == 0 and told is not None, found
    return {"size": "{}×{}".format(*size), "limit": limit, "told_bytes": int(told[2]) * 10**6, "peak_bytes": peak,
            "told_s": int(told[1]), "processor_s": seconds, "wall_s": time.perf_counter() - begun,
            "load": os.getloadavg()[0]}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--photo", type=Path, default=ROOT / "examples/photo.jpg", help="what is enlarged")
    parser.add_argument("--pictures", type=Path, help="folder to leave the results in")
    options = parser.parse_args()
    path = RESULTS / "large.json"
    record = json.loads(path.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        for name in options.cases:
            size, limit, part = CASES[name]
            photo, out = Path(folder) / "photo.jpg", (options.pictures or Path(folder)) / f"{name}.png"
            image = Image.open(options.photo).convert("RGB")
            left, top, right, bottom = (share * side for share, side in zip(part, image.size * 2, strict=True))
            image.resize(size, Image.Resampling.LANCZOS, (left, top, right, bottom)).save(photo, quality=92)
            record[name] = measured(photo, size, limit, out)
            print(name, text(record[name]), end="")
            save(record, path)


if __name__ == "__main__":
    main()
