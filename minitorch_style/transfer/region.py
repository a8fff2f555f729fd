"""Person finders: an encoder continued by its decoder, asked where in a photo the people are."""

from __future__ import annotations

import numpy as np

from minitorch_style.arrays import Float32, Pixels
from minitorch_style.engine.network import Network
from minitorch_style.engine.plan import Plan
from minitorch_style.errors import WeightsError
from minitorch_style.image.resize import resized
from minitorch_style.kernels import kernel_set
from minitorch_style.nn.registry import LOGITS, architecture, decoder
from minitorch_style.restroke.guide import Columns, Enlarged, assembled, bands
from minitorch_style.weights.store import bundled, find_decoder, find_weights

VIEW = 112  # a photo is seen at about VIEW² pixels, where the networks were most accurate
MULTIPLE = 32  # five pools undo themselves only for such sides
# Where smaller patches are wanted; people on less of a picture are not sought out.
QUICK_SEGMENTER, HARDLY = "distilled", 0.01


def has_quick_segmenter() -> bool:
    """A board has what it was given."""
    return {QUICK_SEGMENTER, f"{QUICK_SEGMENTER}-decoder"} <= bundled().keys()


class Likely:
    """(H, W, 1) in [0, 1]: how likely each place of a picture of `size` shows a person, of the `logits` of a small view of it,
    (h, w, 2). Any columns are made when they are needed."""

    def __init__(self, logits: Float32, size: tuple[int, int]) -> None:
        self.shape, self._logits = (*size, 1), Enlarged(logits, size, "bilinear")

    def __getitem__(self, columns: slice) -> Float32:
        background, person = np.moveaxis(self._logits[columns], 2, 0)
        likely: Float32 = (1 / (1 + np.exp(np.clip(background - person, -60, 60)))).astype(np.float32)
        return likely[..., None]


def somewhere(likely: Columns) -> bool:
    """Whether there are people on more of a picture (H, W, 1) than hardly any, where smaller patches are to be painted."""
    height, width, _ = likely.shape
    found = sum(int(np.count_nonzero(likely[columns] > 0.5)) for columns in bands(width))
    return found / (height * width) > HARDLY


def load_segmenter(name: str, kernels: str = "numpy") -> Network:
    """Encoder and decoder `name` (see DECODERS) as one network, with the weights that come with the package. For a single
    photo the plain kernels are the faster ones: the others pack 29 million weights first.

    SettingsError for a network without decoder, WeightsError if one of the two has no weights here.
    """
    behind = decoder(name)
    encoder = architecture(name)
    weights, more = find_weights(encoder, None), find_decoder(behind)
    if weights.provenance.get("run") != more.provenance.get("run"):
        raise WeightsError(f"the weights of {name} and of its decoder are from different training runs")
    return Network(
        encoder.continued(behind),
        {**weights.parameters, **more.parameters},
        weights.normalization,
        kernel_set(kernels),
        weights.provenance,
        weights.trained,
    )


def view_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) at which a photo of `size` is seen: its aspect, about VIEW² pixels, multiples of 32."""
    factor = VIEW / (size[0] * size[1]) ** 0.5
    rows, columns = (max(1, round(side * factor / MULTIPLE)) * MULTIPLE for side in size)
    return rows, columns


def soft_edge(likely: Float32) -> Float32:
    """A mask in [0, 1] of how likely each place shows a person: its edge stays soft, what is nearly certain is taken as
    certain."""
    return np.asarray(np.clip(2 * likely - 0.5, 0, 1), np.float32)


def finder_plan(segmenter: Network, size: tuple[int, int]) -> Plan:
    """By which people are found in photos of `size` (height, width), one after another."""
    return segmenter.plan(view_size(size), [LOGITS], gradient=False)


def likely_people(pixels: Pixels, segmenter: Network, plan: Plan | None = None) -> Likely:
    """Where there are people in pixels (H, W, 3). `plan`: of `finder_plan`, made for each photo anew where none is given."""
    size = (pixels.shape[0], pixels.shape[1])
    plan = plan or finder_plan(segmenter, size)
    plan.run(resized(pixels, view_size(size), "bilinear"))
    return Likely(plan.feature(LOGITS).interior.copy(), size)


def person_probability(pixels: Pixels, segmenter: Network, plan: Plan | None = None) -> Float32:
    """(H, W) in [0, 1] for pixels (H, W, 3): how likely each shows a person. `plan` as above."""
    return assembled(likely_people(pixels, segmenter, plan))[..., 0]
