"""kill -9 at random moments: nothing damaged, nothing left behind, each run gone on with to the same bytes.

    python -m bench.kills [--kills 200] [--seed 0] [--kernels numpy]

A picture is begun with `stylize --checkpoint`, killed between its start and its end, gone on with by `resume` (or begun
anew where no checkpoint was written yet), which is killed too, until it ends by itself; every way to paint in turn.
Writes bench/results/kills.json.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

from PIL import Image

from bench.record import RESULTS, save

ROOT = Path(__file__).resolve().parent.parent
PICTURES = [str(ROOT / "examples" / name) for name in ("photo.jpg", "painting.jpg")]
WAYS = {
    "default": ["--iterations", "20"],
    "instant": ["--preset", "instant", "--size", "128"],
    **{name: ["--preset", "gram", "--optimizer", name] for name in ("lbfgs", "adam", "sgd", "lbfgsb")},
}
TEMPORARY = re.compile(r"\.minitorch-.*\.tmp")


class Trial:
    """One way to paint in a folder of its own, with the bytes that it must end with."""

    def __init__(self, folder: Path, way: str, kernels: str) -> None:
        self.folder, self.out, self.checkpoint = folder, folder / "out.png", folder / "run.ckpt"
        folder.mkdir()
        common = ["--size", "64", "--iterations", "12", "--kernels", kernels, "--save-every", "3"]
        self.begin = ["stylize", *PICTURES, "-o", str(self.out), *common, *WAYS[way]]
        self.begin += ["--checkpoint", str(self.checkpoint), "--checkpoint-every", "0"]
        begun = time.perf_counter()
        if self.start().wait():
            raise SystemExit(f"{way}: cannot be painted at all")
        self.damaged = self.left_behind = self.other_bytes = self.resumed = 0
        self.seconds, self.expected = time.perf_counter() - begun, self.out.read_bytes()
        self.empty()

    def start(self) -> subprocess.Popen[bytes]:
        resuming = ["resume", str(self.checkpoint)]
        command = resuming if self.checkpoint.exists() else self.begin
        return subprocess.Popen([sys.executable, "-m", "minitorch_style", *command, "--quiet"], cwd=ROOT)

    def kill(self, moment: float, working: bool) -> str:
        """Starts or goes on, kills after so large a part of the time, that of starting left out if it is to be `working`;
        looks at what is left; how far it had come."""
        before, process = self.written(), self.start()
        while working and process.poll() is None and self.written() in (before, None):
            time.sleep(0.002)
        try:
            process.wait(moment * (0.3 if working else 1.1) * self.seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        code = process.wait()
        self.damaged += self.damages()
        if code == 0:
            return "had ended"
        if code > 0:
            raise SystemExit(f"exit code {code}: {' '.join(self.begin)}")
        left = any(TEMPORARY.fullmatch(path.name) for path in self.folder.iterdir())
        return "while a file was written" if left else "after a checkpoint" if self.checkpoint.exists() else "before"

    def written(self) -> int | None:
        """When the checkpoint was last written."""
        return self.checkpoint.stat().st_mtime_ns if self.checkpoint.exists() else None

    def damages(self) -> int:
        """How many files are not whole."""
        return sum(not _whole(path) for path in self.folder.iterdir() if not TEMPORARY.fullmatch(path.name))

    def finish(self) -> None:
        """To the end, which has to have the same bytes and leave nothing behind."""
        self.resumed += self.checkpoint.exists()
        code = self.start().wait()
        self.other_bytes += code != 0 or self.out.read_bytes() != self.expected
        self.left_behind += sum(path.suffix != ".png" for path in self.folder.iterdir())
        self.empty()

    def empty(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


def _whole(path: Path) -> bool:
    try:
        if path.suffix == ".png":
            Image.open(path).load()
            return True
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, SyntaxError, ValueError, zipfile.BadZipFile):
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kernels", default="numpy")
    options = parser.parse_args()
    chance, found, turn = random.Random(options.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        trials = [Trial(Path(folder) / way, way, options.kernels) for way in WAYS]
        while sum(found.values()) - found["had ended"] < options.kills:
            trial, turn = trials[turn % len(trials)], turn + 1
            for _ in range(chance.randint(1, 3)):
                told = trial.kill(chance.random(), chance.random() < 0.7)
                found[told] += 1
                if told == "had ended":
                    break
            trial.finish()
            kept = ("damaged", "left_behind", "other_bytes", "resumed")
            record = {name: sum(getattr(trial, name) for trial in trials) for name in kept}
            record |= {"kills": sum(found.values()) - found["had ended"], "moments": dict(found)}
            print(record, flush=True)
    save({**record, "ways": list(WAYS), "kernels": options.kernels}, RESULTS / "kills.json")
    if record["damaged"] or record["left_behind"] or record["other_bytes"]:
        raise SystemExit("something was lost")


if __name__ == "__main__":
    main()
