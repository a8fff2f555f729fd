"""The paintings' hypercolumns at one scale, and which of them each place of a picture is most like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network
from minitorch_style.kernels.api import Places
from minitorch_style.kernels.blas import one_thread
from minitorch_style.kernels.patches import patch_kernels
from minitorch_style.plans.pictures import moments_within, within
from minitorch_style.style.hypercolumns import Hypercolumns, hypercolumn_taps
from minitorch_style.style.matching import nearest, shared_out, unit
from minitorch_style.style.moments import Moments
from minitorch_style.style.teacher import teacher_root


class Likeness:
    """Of paintings at one scale. `keys`: the unit vectors (K, N) of all paintings, one painting behind the other, seen
    from `centre` (N,); `starts`: where each begins; `columns`: (columns of places) of each; `scales`: the taps' factors;
    `moments`: {tap: Moments} of the paintings together for the taps `also`. `masks`, (H, W, 1) or None, say which parts
    of each painting may be taken after. With `teacher`, places are compared as the network's teacher sees them, where
    its file says how.
    """

    def __init__(
        self,
        network: Network,
        paintings: Sequence[Float32],
        shares: Sequence[float],
        also: Sequence[str] = (),
        masks: Sequence[Float32 | None] | None = None,
        teacher: bool = False,
    ) -> None:
        self.taps = hypercolumn_taps(network.architecture)
        self.shares, self._patches = list(shares), patch_kernels(network.kernels.name)
        found: list[Float32] = []
        seen: list[dict[str, Moments]] = []
        self.shapes: list[tuple[int, int]] = []
        masks = [None] * len(paintings) if masks is None else masks
        for painting, mask in zip(paintings, masks, strict=True):
            columns = Hypercolumns(network, painting.shape[:2], self.taps, also, gradient=False)
            values = columns.run(painting)
            self.shapes.append(values.shape[:2])
            found.append(values.reshape(-1, values.shape[2]).copy())
            seen.append(
                {tap: moments_within(mask, columns.plan.feature(tap), network.kernels) for tap in columns.plan.taps}
            )
        together = {tap: Moments.blended([one[tap] for one in seen], self.shares) for tap in seen[0]}
        self.moments = {tap: together[tap] for tap in also}
        self.scales = {tap: 1 / float(np.sqrt(together[tap].variance or 1.0)) for tap in self.taps}
        for tap, factor in self.scales.items():
            for keys in found:
                keys[:, columns.channels(tap)] *= np.float32(factor)
        allowed = [_allowed(mask, shape) for mask, shape in zip(masks, self.shapes, strict=True)]
        means = [keys[some].mean(axis=0, dtype=np.float64) for keys, some in zip(found, allowed, strict=True)]
        self.centre = sum(mean * share for mean, share in zip(means, self.shares, strict=True)).astype(np.float32)
        self.starts = np.cumsum([0, *(len(keys) for keys in found)])
        hypercolumns = np.concatenate(found)
        self.keys = unit(hypercolumns, self.centre)
        self._views = _views(network, self.scales, together, columns) if teacher else []
        compared = unit(self._seen(hypercolumns), self._seen(self.centre[None])[0])
        self._allowed = [start + some for start, some in zip(self.starts, allowed, strict=False)]
        self._compared = [compared[some] for some in self._allowed]

    def match(self, hypercolumns: Float32) -> Places:
        """(H, W): which key each place of a picture (H, W, N) is most like, as seen from its own mean. Of several
        paintings each is chosen by its share of the places."""
        seen = self._seen(hypercolumns)
        mean = seen.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
        queries = unit(seen, mean)
        of_each = [nearest(queries, keys, self._patches) for keys in self._compared]
        scores = np.stack([score.ravel() for _, score in of_each])
        places = np.stack([some[place.ravel()] for (place, _), some in zip(of_each, self._allowed, strict=True)])
        choice = shared_out(scores, self.shares)
        match: Places = np.take_along_axis(places, choice[None], axis=0)[0].reshape(queries.shape[:2])
        return match

    def _seen(self, hypercolumns: Float32) -> Float32:
        """Hypercolumns (…, N) as they are compared."""
        if not self._views:
            return hypercolumns
        seen = hypercolumns.copy()
        with one_thread():
            for channels, view in self._views:
                part = hypercolumns[..., channels]
                seen[..., channels] = (part.reshape(-1, len(view)) @ view).reshape(part.shape)
        return seen


def _views(
    network: Network, scales: Mapping[str, float], moments: Mapping[str, Moments], columns: Hypercolumns
) -> list[tuple[slice, Float32]]:
    """For each tap whose teacher is known its channels, and the matrix (N, N) that maps them, scaled as hypercolumns
    are, to what the teacher sees, of variance 1 again."""
    found = []
    for tap, scale in scales.items():
        root = teacher_root(network.teacher_products, tap)
        if root is not None:
            with one_thread():
                spread = moments[tap].mapped(root).variance or 1.0
            found.append((columns.channels(tap), (root / (scale * np.sqrt(spread))).astype(np.float32)))
    return found


def _allowed(mask: Float32 | None, shape: tuple[int, int]) -> Places:
    """The places of a painting that may be taken after."""
    return np.arange(shape[0] * shape[1]) if mask is None else np.flatnonzero(within(mask, shape))
