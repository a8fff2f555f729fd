"""minitorch_style networks: what there is, in numbers."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from minitorch_style.engine.plan import Plan
from minitorch_style.kernels import kernel_set
from minitorch_style.nn.registry import NETWORKS, architecture
from minitorch_style.weights.store import bundled
from minitorch_style.weights.weights import IMAGENET

HELP = "List the networks: parameters, operations, receptive field, memory."
SIZE = (256, 256)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON on stdout")


def records() -> list[dict[str, Any]]:
    """A record a network. Memory is that of a plan for loss and gradient at the default layers, 256×256, plain kernels."""
    rows: list[dict[str, Any]] = []
    weights = bundled()
    for name in NETWORKS:
        network = architecture(name)
        taps = (*network.style_layers, *network.content_layers)
        nothing = {name: np.zeros(shape, np.float32) for name, shape in network.parameter_shapes().items()}
        plan = Plan(network, nothing, IMAGENET, SIZE, taps, kernel_set("numpy"))
        rows.append(
            {
                "name": name,
                "parameters": network.parameter_count(with_batch_norm=False),
                "parameters_with_batch_norm": network.parameter_count(),
                "macs": network.macs(SIZE),
                "macs_to_taps": network.macs(SIZE, taps),
                "reach": list(network.receptive_field()),
                "plan_bytes": plan.nbytes,
                "bundled": name in weights,
                "style_layers": list(network.style_layers),
                "content_layers": list(network.content_layers),
            }
        )
    return rows


def run(options: argparse.Namespace) -> int:
    rows = records()
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    print(
        f"{'network':<21}{'parameters':>12}{'with norm':>12}{'MMAC':>11}{'to taps':>11}{'reach':>7}{'plan MB':>9}  weights"
    )
    for row in rows:
        print(
            f"{row['name']:<21}{row['parameters']:>12,}{row['parameters_with_batch_norm']:>12,}"
            f"{row['macs'] / 1e6:>11,.2f}{row['macs_to_taps'] / 1e6:>11,.2f}{row['reach'][0]:>7}"
            f"{row['plan_bytes'] / 1e6:>9,.1f}  {'bundled' if row['bundled'] else '--weights FILE'}"
        )
    print(f"Operations and memory at {SIZE[0]}×{SIZE[1]} pixels. Layers read by default (style; content):")
    for row in rows:
        print(f"  {row['name']}: {', '.join(row['style_layers'])}; {', '.join(row['content_layers'])}")
    return 0
