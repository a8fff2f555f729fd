"""What becomes of a finished tile: bias, activation, accumulation and gating on its way to memory."""

from __future__ import annotations

from minitorch_style.kernels.buffers import MapView
from minitorch_style.kernels.codegen.modes import ACCUMULATE, ACTIVATE, GATED
from minitorch_style.kernels.fast.arguments import Epilogue
from minitorch_style.kernels.fast.compilation import kernel


@kernel
def finish(tile, ldt, rows, channels, view: MapView, o0, epilogue: Epilogue, c0, g0):
    """Writes `rows` pixels × `channels` of a tile, pixels `ldt` apart, to `view` from o0 on. They are channels c0 … and have
    their gates from g0 on."""
    out, o_col = view.data, view.col
    bias, slope, mode = epilogue.bias, epilogue.slope, epilogue.mode
    gate, g_col = epilogue.gate.data, epilogue.gate.col
    if channels < 4:
        # The picture's own gradient: taking slices of three numbers would cost more than the numbers.
        for m in range(rows):
            for c in range(channels):
                value = tile[m * ldt + c] + bias[c0 + c]
                if mode & ACCUMULATE:
                    value += out[o0 + m * o_col + c]
                if mode & (ACTIVATE | GATED):
                    sign = value if mode & ACTIVATE else gate[g0 + m * g_col + c]
                    if not sign > 0:
                        value *= slope[c0 + c]
                out[o0 + m * o_col + c] = value
        return
    for m in range(rows):
        source = tile[m * ldt : m * ldt + channels]
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
