"""Arrays with room behind them are handed to kernels without a copy, all others with one."""

from __future__ import annotations

import numpy as np

from minitorch_style.kernels.buffers import roomy, with_slack


def test_a_roomy_array_is_not_copied() -> None:
    values = roomy((4, 5, 3), 16)
    values[...] = np.arange(60).reshape(4, 5, 3)
    for part in (values, values[1:3]):
        flat = with_slack(part, 16)
        assert flat.size == part.size + 16 and np.shares_memory(flat, values)
        np.testing.assert_array_equal(flat[: part.size], part.reshape(-1))


def test_others_are_copied() -> None:
    values = np.arange(60, dtype=np.float32).reshape(4, 5, 3)
    columns = roomy((4, 5, 3), 16)[:, 1:3]
    for part, slack in ((values, 16), (roomy((4, 5, 3), 8), 100), (columns, 1), (values[1:], 1)):
        flat = with_slack(part, slack)
        assert flat.size == part.size + slack and not np.shares_memory(flat, part)
        np.testing.assert_array_equal(flat[: part.size], part.reshape(-1))
