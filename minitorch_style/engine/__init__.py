"""A network lowered for one picture size: fused steps, where their buffers lie, forward and backward.

Knows no loss.
"""
