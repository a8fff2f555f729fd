"""What becomes of a finished tile, as numbers that compiled code and Python share."""

# Bits of `mode`; RAW stands alone.
RAW = -1  # the product as it is
ACTIVATE = 1  # y where positive, else slope[c] · y
ACCUMULATE = 2  # add to what is there
GATED = 4  # times 1 where the gate's output is positive, else gate_slope[c]
