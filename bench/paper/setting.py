"""What is run, how large and how often; the pictures; where results are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import save
from minitorch_style.arrays import Float32
from minitorch_style.engine.network import Network, load_network
from minitorch_style.image.io import load_picture
from minitorch_style.image.writing import save_picture
from minitorch_style.kernels import kernel_set
from minitorch_style.nn.registry import NETWORKS, architecture
from minitorch_style.weights.checkpoints import read_checkpoint
from minitorch_style.weights.checkpoints.keras import load_keras
from minitorch_style.weights.convert import convert
from minitorch_style.weights.store import bundled

ROOT = Path(__file__).resolve().parents[2]
PAIRS = (
    ("tubingen", "content_tubingen.jpg", "style_van_gogh_starry_night_1889.jpg"),
    ("coffee", "content_coffee.png", "style_hokusai_great_wave_1831.jpg"),
    ("astronaut", "content_astronaut.png", "style_kandinsky_composition_vii_1913.jpg"),
    ("tubingen in the wheat", "content_tubingen.jpg", "style_van_gogh_wheat_field_1889.jpg"),
    ("coffee by night", "content_coffee.png", "style_van_gogh_starry_night_1889.jpg"),
)
FIRST = 3  # of the pairs: those of figure 6
MODELS = ("segnet", "enet", "distilled", "distilled-perceptual")


@dataclass(frozen=True)
class Setting:
    """`size` of pictures, the iterations at which they are looked at, how often a time is measured."""

    out: Path
    shared: Path
    size: int
    marks: tuple[int, ...]
    judged: int  # iterations of the judge's own optimum
    repeats: int
    repeats_large: int
    photographs: int  # validation pictures for table 1
    full: bool
    models: tuple[str, ...] = field(default_factory=lambda: tuple(name for name in MODELS if name in bundled()))

    def pairs(self, count: int = FIRST) -> list[tuple[str, Float32, Float32]]:
        """(name, photo, painting): up to five where the shared pictures are, else the repository's own."""
        folder = self.shared / "pictures"
        named = [(name, folder / photo, folder / painting) for name, photo, painting in PAIRS]
        if not folder.is_dir():
            named = [("example", ROOT / "examples" / "photo.jpg", ROOT / "examples" / "painting.jpg")]
        if not self.full:
            named = named[:1]
        return [
            (name, load_picture(photo, self.size).pixels, load_picture(painting, self.size).pixels)
            for name, photo, painting in named[:count]
        ]

    def judge(self) -> Network | None:
        """SqueezeNet 1.1 on ImageNet where its file is; None elsewhere."""
        path = self.shared / "vgg" / "squeezenet1.1_notop_tf.h5"
        if not path.exists():
            return None
        target = architecture("squeezenet")
        weights = load_keras(path, target)
        return Network(target, weights.parameters, weights.normalization, kernel_set())

    def network(self, name: str) -> Network:
        """A bundled network, or the quarter-width VGG-19 of the shared data, with average pooling as by default."""
        path = self.shared / "vgg" / "5SE.pth"
        if name == "vgg19-quarter" and path.exists():
            target = architecture(name)
            weights = convert(read_checkpoint(path), target)
            return Network(target.with_average_pooling(), weights.parameters, weights.normalization, kernel_set())
        return load_network(name, pooling="average")

    def picture(self, name: str, pixels: Float32 | np.ndarray) -> str:
        """Keeps a picture of the report; its path, relative to the folder of results."""
        path = self.out / "pictures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = pixels if pixels.dtype == np.uint8 else (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)
        save_picture(path, image)
        return f"pictures/{name}.png"

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """`compute()`, or what it gave in an earlier run with the same setting: results are kept one by one."""
        path = self.out / "results" / f"{name}.json"
        described = {"size": self.size, "marks": list(self.marks), "full": self.full, "models": list(self.models)}
        if path.exists():
            kept = json.loads(path.read_text())
            if kept["setting"] == described:
                return kept["result"]
        result = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        save({"setting": described, "result": result}, path)
        return json.loads(json.dumps(result))


def one_bit_models() -> list[str]:
    """The bundled networks of one bit."""
    return [name for name in NETWORKS if name.endswith(("-bwn", "-xnor")) and name in bundled()]
