"""What becomes of a finished tile: bias, activation, accumulation and gating on its way to memory."""

from __future__ import annotations

from minitorch_style.kernels.numba_ops.compilation import kernel
from minitorch_style.kernels.tile_modes import ACCUMULATE, ACTIVATE, GATED


@kernel
def finish(tile, t0, ldt, rows, channels, out, o0, o_col, bias, slope, c0, mode, gate, g0, g_col):
    """Writes `rows` pixels × `channels` of a tile to `out`, adding bias[c0 …]. `slope` serves activation or gate."""
    if channels < 4:
        # The picture's own gradient: taking slices of three numbers would cost more than the numbers.
        for m in range(rows):
            for c in range(channels):
                value = tile[t0 + m * ldt + c] + bias[c0 + c]
                if mode & ACCUMULATE:
                    value += out[o0 + m * o_col + c]
                if mode & (ACTIVATE | GATED):
                    sign = value if mode & ACTIVATE else gate[g0 + m * g_col + c]
                    if not sign > 0:
                        value *= slope[c0 + c]
                out[o0 + m * o_col + c] = value
        return
    for m in range(rows):
        source = tile[t0 + m * ldt : t0 + m * ldt + channels]
        target = out[o0 + m * o_col : o0 + m * o_col + channels]
        add = bias[c0 : c0 + channels]
        slopes = slope[c0 : c0 + channels]
        if mode == ACTIVATE:
            for c in range(channels):
                value = source[c] + add[c]
                target[c] = value if value > 0 else slopes[c] * value
        elif mode == 0:
            for c in range(channels):
                target[c] = source[c] + add[c]
        elif mode == ACCUMULATE:
            for c in range(channels):
                target[c] += source[c] + add[c]
        else:
            gates = gate[g0 + m * g_col : g0 + m * g_col + channels]
            if mode == GATED:
                for c in range(channels):
                    value = source[c] + add[c]
                    target[c] = value if gates[c] > 0 else slopes[c] * value
            else:
                for c in range(channels):
                    value = target[c] + source[c] + add[c]
                    target[c] = value if gates[c] > 0 else slopes[c] * value
