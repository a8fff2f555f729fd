"""What the paper's discussion leaves open, each a small experiment: bigger steps, better optimizers, networks of one bit."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bench.history import job_of, loss_history
from bench.paper.figures import transfer_at_marks
from bench.paper.judge import Judge
from bench.paper.setting import Setting, one_bit_models
from bench.record import thinned
from minitorch_style.engine.network import load_network
from minitorch_style.transfer.run import objective_of
from minitorch_style.weights.store import bundled

STEPS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)  # how far a step moves a pixel, root mean square
PLAIN = 100  # iterations of plain L-BFGS that the others are measured by


def bigger_steps(setting: Setting) -> dict[str, Any]:
    """One and two steps of given length down the gradient, their loss beside that of L-BFGS's first iterations."""
    _, photo, painting = setting.pairs()[0]
    network = setting.network("distilled-perceptual")
    objective = objective_of(job_of(network, photo, painting))
    start, _ = objective(photo)
    rows = []
    for length in STEPS:
        x, seconds = photo, 0.0
        for number in (1, 2):
            begun = time.perf_counter()
            _, gradient = objective(x)
            x = x - gradient * np.float32(length / np.sqrt(np.mean(np.square(gradient, dtype=np.float64))))
            seconds += time.perf_counter() - begun
            loss = objective(x)[0]
            path = setting.picture(f"steps-{number}-{length}", x)
            rows.append({"step": length, "steps": number, "loss": loss, "seconds": seconds, "picture": path})
    history, _ = loss_history(job_of(network, photo, painting, iterations=10))
    return {"start": start, "rows": rows, "lbfgs": history}


WAYS: dict[str, dict[str, Any]] = {
    "lbfgs": {"optimizer": "lbfgs"},
    "lbfgsb (SciPy)": {"optimizer": "lbfgsb"},
    "adam": {"optimizer": "adam"},
    "sgd": {"optimizer": "sgd"},
    "lbfgs, 2 scales": {"scales": 2},
    "lbfgs, 3 scales": {"scales": 3},
    "lbfgs, 4 scales": {"scales": 4},
}


def optimizers(setting: Setting) -> list[dict[str, Any]]:
    """Loss against seconds of each way to go down, and how soon it reaches what plain L-BFGS has after PLAIN iterations."""
    plain = PLAIN if setting.full else 10
    names = [name for name in ("distilled-perceptual", "segnet") if name in bundled()]
    found = []
    for model in names if setting.full else names[:1]:
        network = setting.network(model)
        for pair, photo, painting in setting.pairs():
            curves = {
                way: loss_history(job_of(network, photo, painting, iterations=plain, **settings))[0]
                for way, settings in WAYS.items()
                if min(photo.shape[:2]) >= 32 * 2 ** (settings.get("scales", 1) - 1)
                and (model != "segnet" or settings.get("optimizer") not in ("adam", "sgd"))
            }
            goal = curves["lbfgs"][-1]["loss"]
            reached = {
                way: next((row["seconds"] for row in rows if row["loss"] <= goal), None) for way, rows in curves.items()
            }
            found.append(
                {
                    "model": model,
                    "pair": pair,
                    "goal": goal,
                    "curves": {way: thinned(rows) for way, rows in curves.items()},
                    "reached": reached,
                }
            )
    return found


def one_bit(setting: Setting) -> dict[str, Any]:
    """Networks of one bit beside those they were made from: look, score, cost."""
    judging = setting.judge() or load_network("distilled-perceptual", pooling="average")
    names = one_bit_models()
    full = {"segnet-bwn": "segnet", "perceptual-bwn": "distilled-perceptual", "perceptual-xnor": "distilled-perceptual",
            "distilled-bwn": "distilled", "distilled-xnor": "distilled"}  # fmt: skip
    shown = list(dict.fromkeys([*(full[name] for name in names), *names]))
    pair, photo, painting = setting.pairs()[0]
    judge = Judge(judging, photo, painting, setting.judged)
    rows = []
    for name in shown:
        # A network of steps has no slope that a line search could follow.
        method = "sgd" if name.endswith("-xnor") else "lbfgs"
        number, seconds, image = transfer_at_marks(setting, setting.network(name), photo, painting, method)[-1]
        score = judge.score(image.astype(np.float32) / 255)
        rows.append({"model": name, "optimizer": method, "iteration": number, "seconds": seconds, "style": score.style,
                     "content": score.content, "disk": bundled()[name].stat().st_size,
                     "picture": setting.picture(f"onebit-{name}", image)})  # fmt: skip
    return {"judge": judging.name, "pair": pair, "rows": rows}
