"""How fast the hot paths are: training steps, estimates and gradient-matching passes a second, and peak memory.

    python bench/throughput.py [--device cpu|cuda] [--space micro|nb201-small|nb201|nb_macro] [--steps 50]

Prints one JSON object a space. nb201 and nb_macro run on random images here: speed does not depend on what they show.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch

from splitbench.harness import device as devices
from splitbench.harness.budget import Meter
from splitbench.harness.supernets.estimate import Evaluation, estimate
from splitbench.harness.supernets.probe import SupernetProbe
from splitbench.harness.trainers.base import Job
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import SearchSpace
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb201.space import NB201
from splitbench.spaces.nb_macro.space import NBMacro

SPACES: dict[str, SearchSpace] = {
    "micro": Micro().bind((1, 8, 8), 10),
    "nb201-small": NB201(channels=16, cells=1).bind((3, 16, 16), 10),
    "nb201": NB201().bind((3, 32, 32), 10),
    "nb_macro": NBMacro().bind((3, 32, 32), 10),
}
SHAPES = {"micro": (1, 8, 8), "nb201-small": (3, 16, 16), "nb201": (3, 32, 32), "nb_macro": (3, 32, 32)}


def images(shape: tuple[int, int, int], device: torch.device) -> ImageData:
    """2,000 random images and labels a part."""
    generator = torch.Generator().manual_seed(0)
    parts = {part: torch.randn(2000, *shape, generator=generator) for part in ("train", "validation")}
    labels = {part: torch.randint(10, (2000,), generator=generator).to(device) for part in parts}
    on_device = {k: v.to(device).contiguous(memory_format=torch.channels_last) for k, v in parts.items()}
    return ImageData(on_device, labels, 10)


def clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure(name: str, device: torch.device, steps: int, precision: str) -> dict[str, object]:
    """Rates of one space."""
    space, data = SPACES[name], images(SHAPES[name], device)
    supernet = space.supernet(0).to(device)
    devices.reset_peak(device)
    found: dict[str, object] = {"space": name, "device": devices.describe_device(device), "precision": precision}
    for trainer in (Rsps(), Darts()):
        meter = Meter()
        session = trainer.open(Job(space, space.root(), supernet, data, 1, meter, precision))
        for step in range(3):
            session.step(step, 0.0)
        meter.cost, start = Meter().cost, clock(device)
        for step in range(3, 3 + steps):
            session.step(step, 0.0)
        seconds = clock(device) - start
        key = type(trainer).__name__.lower()
        found[f"{key}_steps_a_second"] = round(steps / seconds, 2)
        found[f"{key}_gflops"] = round(meter.cost.flops / seconds / 1e9, 2)
    rng, evaluation, start = np.random.default_rng(0), Evaluation(1000, 1000), clock(device)
    for _ in range(max(steps // 5, 3)):
        estimate(supernet, space.sample(rng), data, evaluation)
    found["estimates_of_1000_images_a_second"] = round(max(steps // 5, 3) / (clock(device) - start), 2)
    probe = SupernetProbe(space, space.root(), supernet, data, Rsps(), {}, 0, 0, Meter())
    context, start = probe.context(0, 0), clock(device)
    for repetition in range(max(steps // 5, 3)):
        probe.gradient(0, 1, repetition, context)
    found["gm_passes_a_second"] = round(max(steps // 5, 3) / (clock(device) - start), 2)
    found["peak_bytes"] = devices.peak_bytes(device)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--space", choices=SPACES, action="append", help="default: micro and nb201-small")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(devices.choose(arguments.device))
    for name in arguments.space or ["micro", "nb201-small"]:
        print(json.dumps(measure(name, device, arguments.steps, arguments.precision)), flush=True)


if __name__ == "__main__":
    main()
