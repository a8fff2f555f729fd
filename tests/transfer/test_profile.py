"""The profile: every step timed, and the plan as it was afterwards."""

from __future__ import annotations

import numpy as np

from minitorch_style.engine.network import load_network
from minitorch_style.style.objective import Objective
from minitorch_style.transfer.profile import profile


def test_every_step_is_timed_and_the_result_stays(rng: np.random.Generator) -> None:
    photo, painting, x = (rng.random((32, 48, 3), np.float32) for _ in range(3))
    for model in ("distilled", "enet"):
        objective = Objective(load_network(model, "random:0"), photo, painting)
        before, steps = objective(x), objective.plan.steps
        rows = profile(objective, x, 3)
        after = objective(x)
        assert objective.plan.steps is steps and before[0] == after[0] and np.array_equal(before[1], after[1])
        assert [row["step"] for row in rows] == [*(row["step"] for row in objective.plan.describe()), "losses"]
        assert all(row["forward_ms"] > 0 and row["backward_ms"] > 0 for row in rows[:-1])
        for row in rows[:-1]:
            if row["gflop"]:
                assert np.isclose(row["forward_gflops"], 1e3 * row["gflop"] / row["forward_ms"])
