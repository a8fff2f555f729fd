"""Uses the program as many people would at once, and looks whether anything is lost.

    python -m bench.soak --minutes 10           # random options, signals, streams that fail
    python -m bench.soak --kills 200            # kill -9 at random moments, again and again into one folder

Each run is on small pictures with plain kernels. Afterwards: the exit code is one that is documented, an error is one line,
OUT is what it was or a whole picture, every preview is whole, and nothing else lies in the folder. Prints what is wrong,
with the command and the seed that make it again, and ends with 1.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from minitorch_style.files import TEMPORARY, check_writable
from minitorch_style.image.writing import WRITABLE
from minitorch_style.nn.registry import NETWORKS
from minitorch_style.optimizers import OPTIMIZERS
from minitorch_style.transfer.settings import PRESETS

ROOT = Path(__file__).resolve().parent.parent
PICTURES = [str(ROOT / "examples" / name) for name in ("photo.jpg", "painting.jpg")]
MODELS = [name for name in NETWORKS if name.startswith(("distilled", "enet"))]
OLD = b"what was here before"
STREAMS = ["", "", "", "2>&-", ">&-", "2>/dev/full", ">/dev/full", "| head -1; exit ${PIPESTATUS[0]}"]
SECONDS = 300  # after which a run counts as hung
# Some values of each option are wrong on purpose: then the answer is one line and exit code 2.
OPTIONS: dict[str, list[list[str]]] = {
    "--model": [[name] for name in MODELS],
    "--preset": [[name] for name in PRESETS],
    "--iterations": [["1"], ["3"], ["7"], ["0"]],
    "--scales": [["1"], ["2"], ["6"]],
    "--warm-start": [["distilled"], ["nobody"]],
    "--style-size": [["16"], ["64"], ["3"]],
    "--content-weight": [["0"], ["1e-3"], ["-1"], ["nan"]],
    "--style-weight": [["0"], ["2"], ["inf"]],
    "--style-blend": [["1"], ["1,2"], ["nan"], ["0"], ["x"]],
    "--init": [["style"], ["random"], ["content"], [PICTURES[0]], ["nothing.png"]],
    "--optimizer": [[name] for name in OPTIMIZERS],
    "--tv-weight": [["1e-4"]],
    "--pooling": [["max"], ["average"]],
    "--seed": [["7"], ["-1"]],
    "--preserve-color": [[]],
    "--max-memory": [["2G"], ["10M"]],
    "--save-every": [["1"], ["2"], ["0"]],
    "--threads": [["1"], ["2"]],
    "--dry-run": [[]],
    "--quiet": [[]],
    "--json": [[]],
}


@dataclass
class Outcome:
    code: int
    errors: str


def command(chance: random.Random, out: Path) -> list[str]:
    """A random call of `stylize`."""
    chosen = chance.sample(sorted(OPTIONS), chance.randint(0, 7))
    more = [part for name in chosen for part in (name, *chance.choice(OPTIONS[name]))]
    styles = [PICTURES[1]] * chance.choice([1, 1, 1, 2])
    size = ["--size", str(chance.choice([16, 32, 48, 64])), "--kernels", "numpy"]
    return [sys.executable, "-m", "minitorch_style", "stylize", PICTURES[0], *styles, "-o", str(out), *size, *more]


def run(arguments: list[str], redirection: str, number: int | None, delay: float) -> Outcome:
    """The call, in a shell for its streams, sent signal `number` after `delay` seconds."""
    line = f'"$0" "$@" {redirection}' if redirection else 'exec "$0" "$@"'
    process = subprocess.Popen(
        ["bash", "-c", line, *arguments], cwd=ROOT, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    if number is not None:
        time.sleep(delay)
        process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Outcome(124, f"still running after {SECONDS} s")
    return Outcome(process.returncode, errors)


def whole(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def problems(outcome: Outcome, out: Path, number: int | None, redirection: str) -> list[str]:
    """What should not be."""
    found = []
    allowed = (
        {0, 2}
        | ({128 + number, -number} if number else set())
        | ({1} if redirection.startswith(">/dev/full") else set())
    )
    if outcome.code not in allowed:
        found.append(f"exit code {outcome.code}")
    if outcome.code >= 0 and "Traceback" in outcome.errors:  # else the signal met a program that was only being loaded
        found.append("a traceback")
    told = [line for line in outcome.errors.splitlines() if line.startswith("minitorch_style")]
    if outcome.code == 2 and len(told) != 1 and not redirection.startswith("2>"):
        found.append("not one line of error")
    if out.read_bytes() != OLD and not whole(out):
        found.append(f"{out.name} is damaged")
    if outcome.code == 2 and out.read_bytes() != OLD:
        found.append(f"refused, and {out.name} replaced")
    previews = [path for path in out.parent.iterdir() if path.stem.startswith(f"{out.stem}-0") and whole(path)]
    found += [f"{path.name} is left" for path in out.parent.iterdir() if path not in (out, *previews)]
    return found


def soak(minutes: float, seed: int) -> int:
    """Random calls for so many minutes; how many went wrong."""
    wrong, codes, end = 0, Counter[int](), time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        chance = random.Random(seed)
        redirection, number = (
            chance.choice(STREAMS),
            chance.choice([None, None, signal.SIGINT, signal.SIGTERM, signal.SIGHUP]),
        )
        number = None if redirection else number  # a signal would meet the shell
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / f"out{chance.choice(sorted(WRITABLE))}"
            out.write_bytes(OLD)
            arguments = command(chance, out)
            outcome = run(arguments, redirection, number, chance.uniform(0.3, 5))
            codes[outcome.code] += 1
            if found := problems(outcome, out, number, redirection):
                wrong += 1
                print(f"seed {seed}: {'; '.join(found)}\n  {' '.join(arguments[3:])} {redirection} signal {number}\n"
                      f"  {outcome.errors.strip()[-500:]}", flush=True)  # fmt: skip
        seed += 1
    print(f"{codes.total()} runs, {wrong} wrong; exit codes {dict(sorted(codes.items()))}; next seed {seed}")
    return wrong


def kills(count: int, seed: int) -> int:
    """Ends a run that saves all the time, `count` times without a warning; how often that cost anything."""
    wrong, left, chance = 0, 0, random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.png"
        out.write_bytes(OLD)
        arguments = [sys.executable, "-m", "minitorch_style", "stylize", *PICTURES, "-o", str(out), "--size", "256",
                     "--style-size", "32", "--optimizer", "sgd", "--style-layers", "conv1_1", "--content-weight", "0",
                     "--kernels", "numpy", "--model", "distilled", "--iterations", "9999", "--save-every", "1"]  # fmt: skip
        for _ in range(count):
            for path in out.parent.glob("out-*"):
                path.unlink()
            process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not any(out.parent.glob("out-*")):
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.5))
            process.kill()
            process.wait()
            stray = [path for path in out.parent.iterdir() if TEMPORARY.fullmatch(path.name)]
            left += len(stray)
            pictures = [path for path in out.parent.iterdir() if path not in stray and path.read_bytes() != OLD]
            wrong += len(stray) > 1 or not all(map(whole, pictures))  # the one before was swept up
        check_writable(out)  # as every run begins
        stray = [path for path in out.parent.iterdir() if TEMPORARY.fullmatch(path.name)]
    print(
        f"{count} kills, {wrong} with damage; {left} temporary files left behind, {len(stray)} of them after the next run"
    )
    return wrong + len(stray)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wrong = soak(options.minutes, options.seed) if options.minutes else 0
    return int(bool(wrong + (kills(options.kills, options.seed) if options.kills else 0)))


if __name__ == "__main__":
    sys.exit(main())
