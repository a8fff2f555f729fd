"""One training run: what decides its result, and the network with its optimizer at one step of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minitorch_style.errors import SettingsError
from minitorch_style.nn.registry import DECODERS, LOGITS
from minitorch_style.nn.vgg import STYLE_LAYERS
from tools.torch_network import TorchNetwork
from tools.training.data import IGNORE, Batch, Photo, batches, batches_per_epoch, chosen_for, whole
from tools.training.distillation import attention, attention_loss, distillation_loss, hard_loss
from tools.training.initialise import calibrate, copy_convolutions, fit_features
from tools.training.runs import read_run, segmenter
from tools.training.teacher_views import ATTENTION, LOGIT

WARM_UP = 100  # steps
CALIBRATION_PHOTOS = 192
CALIBRATION_SIZE = 128


@dataclass
class Options:
    """What decides the result of a run, together with its data."""

    model: str
    sizes: list[int] = field(default_factory=lambda: [96])
    epochs: list[int] = field(default_factory=lambda: [12])
    batch: int = 16
    lr: float = 1e-3
    seed: int = 0
    negatives: float = 1.0
    start: str = "none"
    init: str = "none"
    fit: str = "none"
    class_weights: str = "none"
    temperature: float = 4.0
    alpha: float = 0.0
    attention: float = 0.0
    dropout: float = 1.0
    initialised_rate: float = 0.3

    def __post_init__(self) -> None:
        if self.model not in DECODERS:
            raise SettingsError(f"no model {self.model!r} to train; there are {', '.join(DECODERS)}")
        if len(self.sizes) != len(self.epochs) or min(self.epochs, default=0) < 1:
            raise SettingsError("--epochs takes one positive number for each of --sizes")
        if any(size < 32 or size % 32 for size in self.sizes):
            raise SettingsError("--sizes takes multiples of 32")
        if not 0 <= self.negatives <= 1:
            raise SettingsError("--negatives lies between 0 and 1")
        if not 0 <= self.alpha <= 1 or self.temperature <= 0 or self.attention < 0:
            raise SettingsError("--alpha lies between 0 and 1, --temperature above 0, --attention not below 0")
        if not 0 <= self.dropout <= 1:
            raise SettingsError("--dropout lies between 0 and 1")
        if not 0 <= self.initialised_rate <= 1:
            raise SettingsError("--initialised-rate lies between 0 and 1")
        if self.attention and self.model == "enet":
            raise SettingsError("--attention compares conv1_1 … conv5_1, which enet does not have")

    def size_in(self, epoch: int) -> int:
        """The side of the crops in this epoch."""
        return next(size for size, end in zip(self.sizes, np.cumsum(self.epochs), strict=True) if epoch < end)


def class_weights(photos: list[Photo], how: str) -> torch.Tensor | None:
    """SegNet's median frequency balancing, ENet's 1/ln(1.02 + p), or none."""
    if how == "none":
        return None
    counts = sum(np.bincount(photo.mask[photo.mask != IGNORE], minlength=2) for photo in photos)
    share = np.maximum(np.asarray(counts, np.float64) / np.sum(counts), 1e-6)
    values = np.median(share) / share if how == "median" else 1 / np.log(1.02 + share)
    return torch.tensor(values, dtype=torch.float32)


class Trainer:
    """The network with its optimizer at one step; all that a checkpoint holds."""

    def __init__(self, options: Options, photos: list[Photo], device: str = "cpu") -> None:
        self.options, self.photos, self.device = options, photos, torch.device(device)
        seen = chosen_for(photos, options.negatives, np.random.default_rng(0))
        self.per_epoch = batches_per_epoch(len(seen), options.batch)
        self.total = self.per_epoch * sum(options.epochs)
        self.step = 0
        torch.manual_seed(options.seed)
        self.network = TorchNetwork.for_training(segmenter(options.model)).to(memory_format=torch.channels_last)
        for module in self.network.modules():
            if isinstance(module, torch.nn.Dropout2d):
                module.p *= options.dropout
        self.initialised: list[str] = []
        self.weights = class_weights(photos, options.class_weights)

    def initialise(self) -> None:
        """Begins where --start ended, or takes the first convolutions from --init and fits those above to --fit."""
        options = self.options
        sample = [torch.from_numpy(whole(photo, CALIBRATION_SIZE)) for photo in self.photos[: 8 * CALIBRATION_PHOTOS]]
        shape = max({one.shape for one in sample}, key=lambda shape: sum(one.shape == shape for one in sample))
        pixels = torch.cat([one for one in sample if one.shape == shape][:CALIBRATION_PHOTOS])
        if options.start != "none":
            begun = read_run(Path(options.start))
            if begun["model"] != options.model:
                raise SettingsError(f"{options.start} is a run of {begun['model']}, not of {options.model}")
            self.network.load_named_state(begun["network"])
            self.initialised = begun["initialised"]
        if options.init != "none":
            self.initialised = copy_convolutions(self.network, Path(options.init))
            calibrate(self.network, self.initialised, pixels)
        if options.fit != "none":
            explained = fit_features(self.network, Path(options.fit), pixels, options.seed)
            self.initialised += list(explained)
            print("variance explained by the fit:", {name: round(share, 2) for name, share in explained.items()})

    def prepare(self) -> None:
        """Makes the optimizer, once it is known which layers did not start at random."""
        self.network.to(self.device)
        rate = self.options.initialised_rate
        normed = {node.name for node in self.network.architecture.nodes if node.batch_norm}
        begun = [*self.initialised, *(f"{name}_norm" for name in self.initialised if name in normed)]
        self.frozen = [self.network.layer(name) for name in begun if rate == 0]
        for module in self.frozen:
            module.requires_grad_(False)
        mine = {id(p) for name in self.initialised for p in self.network.layer(name).parameters()}
        learning = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in learning if id(p) not in mine], "factor": 1.0},
            {"params": [p for p in learning if id(p) in mine], "factor": rate},
        ]
        self.optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, weight_decay=1e-3)

    def state(self) -> dict[str, Any]:
        return {
            "model": self.options.model,
            "options": dict(vars(self.options)),
            "photos": len(self.photos),
            "step": self.step,
            "initialised": self.initialised,
            "network": self.network.named_state(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a checkpoint. SettingsError if that was made with other options or data."""
        mine = {**vars(self.options), "photos": len(self.photos)}
        theirs = {**state["options"], "photos": state["photos"]}
        if differing := [key for key in mine if mine[key] != theirs.get(key)]:
            told = ", ".join(f"{key} {theirs.get(key)} there and {mine[key]} here" for key in differing)
            raise SettingsError(
                f"the run there was begun otherwise: {told}; continue as it was begun or name another --out"
            )
        self.initialised = state["initialised"]
        self.network.load_named_state(state["network"])
        self.prepare()
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    @property
    def epoch(self) -> int:
        return self.step // self.per_epoch

    @property
    def done(self) -> bool:
        return self.step >= self.total

    def epoch_batches(self) -> Any:
        """What is left of this epoch."""
        options = self.options
        size = options.size_in(self.epoch)
        done = self.step % self.per_epoch
        return batches(self.photos, size, options.batch, options.seed, self.epoch, done, options.negatives)

    def loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(loss, logits) of one batch."""
        options = self.options
        pixels = torch.from_numpy(batch.pixels).to(self.device, memory_format=torch.channels_last)
        masks = torch.from_numpy(batch.masks).to(self.device)
        maps = {name: torch.from_numpy(values).to(self.device) for name, values in batch.maps.items()}
        taps = (LOGITS, *STYLE_LAYERS) if options.attention else (LOGITS,)
        with torch.autocast(self.device.type, torch.bfloat16):
            outputs = self.network(pixels, taps)
        logits = outputs[LOGITS]
        loss = (1 - options.alpha) * hard_loss(logits, masks, self.weights)
        if options.alpha:
            soft = torch.stack([maps[LOGIT.format(k)] for k in range(logits.shape[1])], dim=1)
            loss = loss + options.alpha * distillation_loss(logits, soft, options.temperature)
        if options.attention:
            parts = [attention_loss(attention(outputs[tap]), maps[ATTENTION.format(tap)]) for tap in STYLE_LAYERS]
            loss = loss + options.attention * torch.stack(parts).mean()
        return loss, logits

    def train_on(self, batch: Batch) -> tuple[float, np.ndarray]:
        """One step; (loss, confusion counts of the batch)."""
        torch.manual_seed(self.options.seed * 1_000_003 + self.step)  # what dropout draws, resumed or not
        self.network.train()
        for module in self.frozen:
            module.eval()
        warm = min(1.0, (self.step + 1) / min(WARM_UP, 1 + self.total // 10))
        for group in self.optimizer.param_groups:
            cosine = 0.5 * (1 + math.cos(math.pi * self.step / self.total))
            group["lr"] = self.options.lr * group["factor"] * warm * cosine
        loss, logits = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        known = batch.masks != IGNORE
        said = logits.argmax(1).cpu().numpy()
        return float(loss.detach()), np.bincount(2 * batch.masks[known] + said[known], minlength=4).reshape(2, 2)
