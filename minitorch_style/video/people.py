"""Where the people of a film are, frame by frame: what was known of the frame before, moved along, and a share of what is
found anew, so that the edge does not flicker."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.engine.plan import Plan
from minitorch_style.transfer.region import finder_plan, load_segmenter, person_probability, soft_edge
from minitorch_style.video.flow import Flow, Motion

FRESH = 0.3  # of what is known, at each frame


class People:
    """Found by the person finder called `segmenter`."""

    def __init__(self, segmenter: str, kernels: str = "numpy") -> None:
        self._name, self._kernels = segmenter, kernels
        self.likely: Float32 | None = None  # as `find` gave it last
        self._plans: dict[tuple[int, int], Plan] = {}  # of the size at hand

    @cached_property
    def _segmenter(self) -> Network:
        return load_segmenter(self._name, self._kernels)

    def _plan(self, size: tuple[int, int]) -> Plan:
        if size not in self._plans:
            self._plans = {size: finder_plan(self._segmenter, size)}
        return self._plans[size]

    def find(self, photo: Float32, begins: bool, moved: Motion | None, finder: Flow | None) -> Float32:
        """(H, W) in [0, 1]: how likely each pixel of the next frame (H, W, 3) shows a person; what has `moved` since the frame
        before, unless a scene `begins` or no flow is used."""
        found = person_probability(photo, self._segmenter, self._plan((photo.shape[0], photo.shape[1])))
        if not begins and self.likely is not None:
            before, fresh = self.likely, np.full_like(found, FRESH)
            if finder is not None and moved is not None:
                before = finder.warp(before, moved.back)
                fresh = np.maximum(fresh, 1 - moved.trust)
            found = before + fresh * (found - before)
        self.likely = found
        return found


def region_mask(likely: Float32, region: str) -> Float32:
    """(H, W, 1) in [0, 1]: how much of each pixel is painted; `region` is one of REGIONS: person, or background."""
    edge = soft_edge(likely)[..., None]
    return np.asarray(edge if region == "person" else 1 - edge, np.float32)
