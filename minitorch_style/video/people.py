"""Where the people of a film are, frame by frame: what was known of the frame before, moved along, and a share of what is
found anew, so that the edge does not flicker."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.transfer.region import load_segmenter, person_probability, soft_edge
from minitorch_style.transfer.settings import SEGMENTER
from minitorch_style.video.flow import Flow, Motion

FRESH = 0.3  # of the mask, at each frame


class People:
    """`region` is one of REGIONS: person, or background."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.likely: Float32 | None = None  # (H, W) in [0, 1], where people are

    @cached_property
    def _segmenter(self) -> Network:
        return load_segmenter(SEGMENTER)

    def mask(self, photo: Float32, begins: bool, moved: Motion | None, finder: Flow | None) -> Float32:
        """(H, W, 1) in [0, 1]: how much of each pixel of the next frame (H, W, 3) is painted; what has `moved` since the frame
        before, unless a scene `begins` or no flow is used."""
        found = person_probability(photo, self._segmenter)
        if not begins and self.likely is not None:
            before, fresh = self.likely, np.full_like(found, FRESH)
            if finder is not None and moved is not None:
                before = finder.warp(before, moved.back)
                fresh = np.maximum(fresh, 1 - moved.trust)
            found = before + fresh * (found - before)
        self.likely = found
        edge = soft_edge(found)[..., None]
        return np.asarray(edge if self.region == "person" else 1 - edge, np.float32)
