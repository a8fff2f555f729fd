"""The last stage: repaints a picture with patches of the painting itself, from coarse to fine.

It knows pictures and patch kernels; no network, no losses, no settings. See `strokes.restroke`.
"""

from minitorch_style.restroke.paintings import Paintings
from minitorch_style.restroke.strokes import INSTANT, Round, Strokes, repaint, restroke

__all__ = ["INSTANT", "Paintings", "Round", "Strokes", "repaint", "restroke"]
