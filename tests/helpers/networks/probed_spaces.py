"""The probe of the harness on a small supernet of each space."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from splitbench.harness.budget import Meter
from splitbench.harness.supernets.probe import SupernetProbe
from splitbench.harness.testing import images_of
from splitbench.harness.trainers.base import Job, Trainer
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import SearchSpace, SubSpace
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb201.space import NB201
from splitbench.spaces.nb_macro.space import NBMacro

BATCH, SEED, WEIGHTS = 16, 11, 2
MICRO = Micro()
SPACES: dict[str, tuple[SearchSpace, ImageData]] = {
    "micro": (MICRO, images_of((1, 8, 8), 10)),
    "nb201": (NB201(channels=4, cells=1, image_size=8), images_of((3, 8, 8), 10)),
    "nb_macro": (NBMacro(channels=4, image_size=8), images_of((3, 8, 8), 10)),
}


def probe_of(
    data: ImageData,
    space: SearchSpace = MICRO,
    subspace: SubSpace | None = None,
    trainer: Trainer | None = None,
    state: Mapping[str, Tensor] | None = None,
    seed: int = SEED,
    draw: int = 0,
) -> tuple[SupernetProbe, Meter]:
    """The harness's own probe on a fresh supernet, and the meter that it charges."""
    subspace, trainer, meter = subspace or space.root(), trainer or Rsps(batch_size=BATCH), Meter()
    supernet = space.supernet(WEIGHTS)
    tensors = dict(state) if state else trainer.open(Job(space, subspace, supernet, data, 1, Meter())).tensors()
    return SupernetProbe(space, subspace, supernet, data, trainer, tensors, seed, draw, meter), meter
