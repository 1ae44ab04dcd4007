"""Small networks for the tests of proxies: each space's path, dead operations, mixtures, and what a proxy charges."""

from __future__ import annotations

import torch

from splitbench.criteria.proxies.base import Network
from splitbench.harness.testing import images_of, random_mixture, subspaces
from splitbench.spaces.base import Choice, SearchSpace, Supernet
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb201.space import NB201
from splitbench.spaces.nb_macro.space import NBMacro

BATCH = 8
SPACES: dict[str, tuple[SearchSpace, ImageData]] = {
    "micro": (Micro(), images_of((1, 8, 8), 10)),
    "nb201": (NB201(channels=4, cells=1, image_size=16), images_of((3, 16, 16), 10)),
    "nb_macro": (NBMacro(channels=4, image_size=16), images_of((3, 16, 16), 10)),
}
PATHS: dict[str, list[tuple[int, ...]]] = {
    "micro": [(4, 3, 3, 4, 2, 3), (0, 3, 2, 0, 2, 3)],  # the second with dead operations
    "nb201": [(1, 2, 3, 2, 4, 3), (2, 0, 1, 3, 2, 0)],
    "nb_macro": [(1, 2, 0, 1, 2, 2, 1, 0), (0, 0, 2, 0, 1, 0, 0, 2)],
}
CUT_OFF = ((0, 0, 0, 0, 0, 0), (3, 3, 3, 0, 0, 0))


def choices(name: str) -> list[Choice]:
    """Two paths and a mixture of a space."""
    space, _ = SPACES[name]
    return [*PATHS[name], random_mixture(space, subspaces(space)[1])]


class Charges:
    """Adds up what is charged, in images forward and backward."""

    def __init__(self) -> None:
        self.forward = self.backward = 0.0

    def __call__(self, forward: float, backward: float) -> None:
        self.forward += forward
        self.backward += backward

    def flops(self, space: SearchSpace, choice: Choice) -> float:
        flops = space.flops(choice)
        return flops.forward * self.forward + flops.backward * self.backward


def batch_of(name: str, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    return SPACES[name][1].batch("train", 5, step * 10_000, BATCH)  # as far apart as the probe's


def network_of(
    name: str, choice: Choice, charge: Charges | None = None, module: Supernet | None = None, seed: int = 2
) -> Network:
    """A network to score: of a fresh supernet unless a module is given."""
    space, _ = SPACES[name]
    module = space.supernet(seed) if module is None else module
    return Network(space, module, choice, lambda step: batch_of(name, step), charge or Charges(), 9)


def stand_alone(name: str, architecture: tuple[int, ...], seed: int = 2) -> Network:
    return network_of(name, architecture, module=SPACES[name][0].stand_alone(architecture, seed))
