"""The elastic test space for tests: a supernet whose scales and shifts say something, and what proxies are given."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from splitbench.criteria.proxies.base import Network
from splitbench.harness.testing import images_of
from splitbench.harness.testing.small_spaces.elastic import Elastic
from splitbench.harness.testing.small_spaces.elastic_supernet import ElasticSupernet
from splitbench.spaces.base import Choice, Supernet

SPACE, DATA, BATCH = Elastic(), images_of((1, 8, 8), 10), 16
LARGEST = tuple(len(SPACE.operations(edge)) - 1 for edge in range(len(SPACE.edges)))
SMALLEST = (0,) * len(SPACE.edges)
PATHS = [SMALLEST, LARGEST, (1, 0, 1, 1, 0, 0, 1, 2, 0, 0), (0, 1, 1, 0, 0, 1, 0, 0, 1, 1)]
"""Canonical ones: no depth, all of it, and one stage of each."""


def trained_like(seed: int = 2) -> ElasticSupernet:
    """A supernet whose scales and shifts have left one and zero."""
    supernet = SPACE.supernet(seed)
    assert isinstance(supernet, ElasticSupernet)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in supernet.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return supernet


def network_of(module: Supernet, choice: Choice, spent: list[float] | None = None) -> Network:
    """A scratch copy as a network to score; ``spent`` gets the passes forward and backward."""

    def batch(step: int) -> tuple[Tensor, Tensor]:
        return DATA.batch("train", 5, step * 10_000, BATCH)

    def charge(forward: float, backward: float) -> None:
        if spent is not None:
            spent[0] += forward
            spent[1] += backward

    return Network(SPACE, copy.deepcopy(module), choice, batch, charge, 9)
