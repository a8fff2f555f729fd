"""What becomes of a finished tile, as numbers that compiled code and Python share."""

# Bits of `mode`; RAW and SUM stand alone.
RAW = -1  # the product as it is
SUM = -2  # the product added to what is there
ACTIVATE = 1  # y where positive, else slope[c] · y
ACCUMULATE = 2  # add to what is there
GATED = 4  # times 1 where the gate's output is positive, else gate_slope[c]
