"""Everything that can be set about a transfer: default, meaning, choices and range stand here and nowhere else.

The command line, the checks, the reference and whatever else shows settings are made from `described()`.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from minitorch_style.engine.network import POOLINGS
from minitorch_style.errors import SettingsError
from minitorch_style.kernels import KERNEL_SETS
from minitorch_style.nn.registry import NETWORKS
from minitorch_style.optimizers import OPTIMIZERS
from minitorch_style.plans.strength import DEFAULT as STRENGTH
from minitorch_style.style.wasserstein import STYLE_LOSSES as LOSSES
from minitorch_style.transfer.checks import require_names, require_number, require_weights, require_whole

REGIONS = ("person", "background")
SEGMENTER = "segnet"  # the person finder that regions are found with
INITS = ("content", "style", "random")
STYLE_LOSSES = tuple(LOSSES)
METHODS = ("auto", "voting", "statistics", "gram")
COLORS = ("painting", "match")
GRAM, PAINTED = ("gram",), ("auto", "voting", "statistics")  # methods that read a setting


@dataclass(frozen=True)
class Setting:
    """What there is to know of one field: `kind` is how it is written (int, float, text, flag, names, numbers or bytes),
    `choices` what it may be, `least` and `most` its range, `methods` those that read it (all, if none are named), `unit`
    what stands for its value in a help text."""

    help: str
    kind: str = "text"
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    unit: str = ""
    methods: tuple[str, ...] = ()
    checked: bool = True  # here; the names of networks, optimizers and kernels are checked where they are looked up
    name: str = ""
    default: Any = None

    def is_read_by(self, method: str) -> bool:
        return not self.methods or method in self.methods

    def check(self, value: Any) -> None:
        """SettingsError unless this setting may have that value."""
        if self.kind in ("int", "bytes"):
            require_whole(self.name, value, self.least, self.most)
        elif self.kind == "float":
            require_number(self.name, value, self.least, self.most)
        elif self.kind == "numbers":
            require_weights(self.name, value)
        elif self.kind == "names":
            require_names(self.name, value)
        elif self.choices and self.checked and value not in self.choices:
            raise SettingsError(f"{self.name} {value!r}; there are {', '.join(self.choices)}")


def _setting(default: Any, help: str, **rest: Any) -> Any:
    return field(default=default, metadata={"setting": Setting(help, **rest)})


@dataclass(frozen=True)
class Settings:
    """How to make a picture. SettingsError on values outside their range.

    With `balanced` (the default) the weights are size-stable: every layer's content loss is divided by what it would be
    for features of zero, ½ Σ P², and every layer's style loss likewise, by 1/(4N²) Σ (A/M)². Both are then shares of
    the features' own size: the same weights give the same look at 256 and 1024 pixels and from one network to the
    next. Without it they are α and β of equation 6 as printed, whose meaning changes with size and network. With it, too,
    color changes by squares of 4 pixels at the finest (`style/chroma.py`), and the picture has fewer colored speckles.

    With `scales` above 1 the picture is first made at 1/2, 1/4 … of its size, or in smaller steps (`scale_step`),
    `iterations` at each: large strokes are cheap there, and what they changed is carried over to the next scale. With
    `warm_start`, the name of another network, that one does all this, and `model` goes on from its picture, for as many
    iterations more.

    With `activation`, losses see features scaled, all layers by one factor, so that their mean for the photo is that: the
    ratio of α and β means something only beside it, since equation 1 grows with its square, equation 3 with its fourth
    power.

        >>> ms.Settings(strength=0.8, size=1024).stroke_size
        1.0
        >>> ms.Settings(strength=2)
        Traceback (most recent call last):
        minitorch_style.errors.SettingsError: strength must be at most 1, is 2
    """

    method: str = _setting(
        "auto",
        "auto: a plan by nearest neighbours or, bolder, by statistics, as --strength says; voting: without gradients, in "
        "less than a second; statistics: coarse to fine; gram: the pixels themselves, Gatys et al.",
        choices=METHODS,
    )
    strength: float = _setting(
        STRENGTH,
        "from the photo (0) to the boldest picture (1)",
        kind="float",
        least=0,
        most=1,
        unit="S",
        methods=("auto",),
    )
    detail: float = _setting(
        0.85,
        "how much of the photo's fine light and dark comes back: 0 painterly, above 1 embossed",
        kind="float",
        least=0,
        most=10,
        unit="D",
        methods=PAINTED,
    )
    stroke_size: float = _setting(
        1.0,
        "size of the strokes, relative to the picture: 2 shows the painting twice as large",
        kind="float",
        least=0.1,
        most=8,
        unit="X",
        methods=PAINTED,
    )
    color: str = _setting(
        "painting",
        "whose colors: the painting's, or match, the painting moved to the photo's first",
        choices=COLORS,
        methods=PAINTED,
    )
    restroke: bool = _setting(
        True,
        "repaint the plan with the painting's own strokes",
        kind="flag",
        methods=PAINTED,
    )
    plan_size: int = _setting(
        256,
        "longest side of the plan that is repainted",
        kind="int",
        least=32,
        unit="PX",
        methods=PAINTED,
    )
    style_loss: str | None = _setting(
        None,
        "what of the features is compared: Gram matrices, moments or Wasserstein distances (default: gram for the method "
        "gram, else w2)",
        choices=STYLE_LOSSES,
        methods=("auto", "statistics", "gram"),
    )
    model: str = _setting(
        "distilled-perceptual",
        "network that reads content and style",
        choices=tuple(NETWORKS),
        unit="NAME",
        checked=False,
    )
    weights: str | None = _setting(
        None, "its weights: an HDF5 file, which tells the model too, or random:SEED", unit="FILE"
    )
    iterations: int = _setting(100, "steps of the optimizer", kind="int", least=1, most=1_000_000, unit="N")
    scales: int = _setting(
        1,
        "make the picture at 1/2, 1/4 … of its size first: 3 is quarter, half, whole; --iterations at each",
        kind="int",
        least=1,
        unit="N",
        methods=GRAM,
        most=16,
    )
    scale_step: float = _setting(
        2.0,
        "how much larger each of the --scales is than the one before: 1.41 takes smaller steps",
        kind="float",
        least=1.1,
        most=8,
        unit="X",
        methods=GRAM,
    )
    warm_start: str | None = _setting(
        None,
        "a smaller network that makes a first picture, at all --scales, for the model to go on from",
        choices=tuple(NETWORKS),
        unit="NAME",
        methods=GRAM,
    )
    size: int = _setting(
        512,
        "longest side of the result in pixels; smaller photos are not enlarged",
        kind="int",
        least=16,
        unit="PX",
        most=100_000,
    )
    style_size: int | None = _setting(
        None,
        "longest side of the paintings: larger gives larger strokes (default: --size)",
        kind="int",
        least=16,
        unit="PX",
        most=100_000,
    )
    style_mask: str | None = _setting(
        None,
        "picture as large as the painting, white where strokes may be taken from it: keeps frames and signatures out",
        unit="FILE",
        methods=PAINTED,
    )
    content_weight: float = _setting(
        2e-4,
        "how much of the photo stays",
        kind="float",
        unit="W",
        methods=GRAM,
    )
    style_weight: float = _setting(
        1.0,
        "how much the painting's manner counts",
        kind="float",
        unit="W",
        methods=GRAM,
    )
    content_layers: tuple[str, ...] | None = _setting(
        None,
        "layers for the content, comma-separated (default: the network's own)",
        kind="names",
        unit="L,…",
        methods=GRAM,
    )
    style_layers: tuple[str, ...] | None = _setting(
        None,
        "layers for the style, comma-separated (default: the network's own)",
        kind="names",
        unit="L,…",
        methods=GRAM,
    )
    style_layer_weights: tuple[float, ...] | None = _setting(
        None,
        "how much each style layer counts, comma-separated, the shallowest first (default: even for the method gram; for "
        "statistics half as much from one to the next)",
        kind="numbers",
        unit="W,…",
        methods=("gram", "statistics"),
    )
    style_blend: tuple[float, ...] | None = _setting(
        None, "weights of several styles, comma-separated (default: even)", kind="numbers", unit="W,…"
    )
    init: str = _setting(
        "content",
        "what the pixels begin as: content, style, random, or a picture file, which also takes the place of a plan",
        unit="WHAT",
    )
    optimizer: str = _setting(
        "lbfgs",
        "how to minimise",
        choices=tuple(OPTIMIZERS),
        checked=False,
        methods=GRAM,
    )
    tv_weight: float = _setting(
        0.0,
        "smooths the result: weight of its total variation",
        kind="float",
        unit="W",
        methods=GRAM,
    )
    pooling: str = _setting(
        "average",
        "average paints longer strokes than the max that networks are trained with",
        choices=POOLINGS,
        checked=False,
    )
    seed: int = _setting(
        0,
        "for --init random",
        kind="int",
        least=0,
        methods=GRAM,
        most=2**64 - 1,
    )
    preserve_color: bool = _setting(
        False, "keep the photo's colors, take only light and dark from the painting", kind="flag"
    )
    region: str | None = _setting(None, "paint only the people in the photo, or only everything else", choices=REGIONS)
    kernels: str = _setting("auto", "numba is fast, numpy runs anywhere", choices=KERNEL_SETS, checked=False)
    max_memory: int | None = _setting(
        None,
        "use no more than this: 275M, 1.5G; the method gram then works in tiles; says what size would fit",
        kind="bytes",
        least=1,
        unit="BYTES",
    )
    scratch: str | None = _setting(
        None,
        "keep the history of the optimizer lbfgs in a temporary file in this folder where it does not fit into memory",
        unit="DIR",
        methods=GRAM,
    )
    allow_large: bool = _setting(
        False,
        "read pictures of more than 200 million pixels too, where the memory is enough",
        kind="flag",
    )
    tiles: int | None = _setting(
        None,
        "cut the picture into so many tiles, which the workers of a cluster share (default: as few as --max-memory needs, "
        "or one for each worker)",
        kind="int",
        least=1,
        unit="N",
        methods=GRAM,
        most=65536,
    )
    balanced: bool = _setting(
        True,
        "size-stable weights (above); without, equation 6 as printed, as in the preset paper",
        kind="flag",
        methods=GRAM,
    )
    activation: float | None = _setting(
        None,
        "mean activation that the features are scaled to for the losses, as in the preset paper",
        kind="float",
        unit="A",
        methods=GRAM,
    )

    def __post_init__(self) -> None:
        for known in described():
            value = getattr(self, known.name)
            if value is None and known.default is None:
                continue
            known.check(value)
            if not known.is_read_by(self.method) and value != known.default:
                raise SettingsError(
                    f"{known.name} has no effect with the method {self.method}; it belongs to {', '.join(known.methods)} "
                    f"(--method {known.methods[0]})"
                )
        if self.method not in GRAM and self.init in INITS and self.init != "content":
            raise SettingsError(
                f"init {self.init} has no effect with the method {self.method}; it belongs to gram (--method gram)"
            )
        if self.content_weight == 0 and self.style_weight == 0:
            raise SettingsError("content_weight and style_weight are both 0: there is nothing to paint")
        if self.scratch is not None and self.optimizer != "lbfgs":
            raise SettingsError(f"scratch is for the history of the optimizer lbfgs; {self.optimizer} has none there")
        if self.activation == 0:
            raise SettingsError("activation must be above 0")

    def as_texts(self) -> dict[str, str]:
        """{name: value} of what was set, for a picture's metadata: but where a machine has room is nobody else's affair."""
        known = asdict(replace(self, scratch=None))
        return {f"minitorch_style.{key}": str(value) for key, value in known.items() if value is not None}

    @property
    def files(self) -> dict[str, str]:
        """The fields that name a file, with its name."""
        weights = self.weights if self.weights and not self.weights.startswith("random:") else None
        init = None if self.init in INITS else self.init
        named = (("weights", weights), ("init", init), ("style_mask", self.style_mask))
        return {name: path for name, path in named if path is not None}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str], source: object = "these texts") -> Settings:
        """The settings that `as_texts` wrote. SettingsError, which names the source, if there are none or they cannot be
        read."""
        found: dict[str, Any] = {}
        for known in described():
            text = texts.get(f"minitorch_style.{known.name}")
            if text is None:
                continue
            try:
                found[known.name] = text if known.kind == "text" else literal_eval(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
                raise SettingsError(f"{source}: {known.name} {text[:40]!r} cannot be read") from error
        if not found:
            raise SettingsError(f"{source}: holds no settings of this program")
        kinds = {"int": int, "bytes": int, "float": int | float, "flag": bool, "names": tuple, "numbers": tuple}
        for known in described():
            if known.name in found and known.kind in kinds and not isinstance(found[known.name], kinds[known.kind]):
                raise SettingsError(f"{source}: {known.name} {found[known.name]!r} is no {known.kind}")
        return cls(**found)


def described() -> list[Setting]:
    """Every setting with its name and default, in the order in which they are shown."""
    found = []
    for one in fields(Settings):
        known: Setting = one.metadata["setting"]
        found.append(replace(known, name=one.name, default=one.default))
    return found


PRESET_HELP = {
    "default": "a plan by a small network, repainted with the painting's own strokes",
    "instant": "the same without gradients, in less than a second",
    "best": "a larger network and a larger plan, more steps",
    "gram": "the pixels themselves by Gram matrices, size-stable (Gatys et al.)",
    "fast": "likewise, coarse to fine, and by a small network first",
    "paper": "likewise, equation 6 as printed",
}
# The order of the mean of ImageNet's VGG-19 over its five style layers and conv4_2: 122 to 241 for five photographs.
VGG_ACTIVATION = 100.0

# What differs from the defaults. `fast`: the loss of 100 plain iterations of `gram` in the least time
# (`python -m bench.compare_ways`). `paper`: α/β = 1e-3 and w_l = 1/5, at the scale of a VGG's features (ours have a mean of 1,
# at which that ratio leaves the photo as it is).
PRESETS: Mapping[str, dict[str, Any]] = {
    "default": {},
    "instant": {"method": "voting", "detail": 1.0},
    "best": {"model": "quarter", "plan_size": 384, "iterations": 150},
    "gram": {"method": "gram"},
    "fast": {"method": "gram", "scales": 3, "iterations": 60, "warm_start": "distilled-perceptual"},
    "paper": {
        "method": "gram",
        "content_weight": 1e-3,
        "style_weight": 1.0,
        "balanced": False,
        "activation": VGG_ACTIVATION,
        "pooling": "max",
        "optimizer": "lbfgsb",
    },
}
