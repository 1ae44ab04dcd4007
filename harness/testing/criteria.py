"""What every criterion must hold."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from criteria.base import Affinity, Criterion, Parts, parts_of, splits
from harness.budget import Cost, Meter
from harness.probe import SupernetProbe
from harness.registry import build
from harness.testing.material import require, subspaces
from harness.trainers.base import Job, Trainer
from harness.trainers.darts import Darts
from harness.trainers.rsps import Rsps
from spaces.base import SearchSpace, SubSpace
from spaces.datasets.base import ImageData


def check_criterion(criterion: Criterion, space: SearchSpace, data: ImageData) -> None:
    """What an arm relies on, with paths and with mixtures as contexts, on the whole space and on a part of it."""
    parts = parts_of(criterion)
    require(isinstance(parts, Parts), f"{criterion}: parts() gives {type(parts).__name__}, not Parts")
    build("partitioners", parts.partitioner, f"{criterion}.partitioner")
    build("edge_rules", parts.edge_rule, f"{criterion}.edge_rule")
    if not splits(criterion):
        return
    trainers: list[Trainer] = [Rsps(batch_size=8), Darts(batch_size=8)]
    for trainer, subspace in itertools.product(trainers, subspaces(space)[:2]):
        for edge in {0, len(space.edges) - 1}:
            first, second = (measured(criterion, space, subspace, data, trainer, edge) for _ in range(2))
            where = f"{criterion} on edge {edge} with {type(trainer).__name__}"
            require(isinstance(first[0], Affinity), f"{where}: gives {type(first[0]).__name__}, not an Affinity")
            require(
                first[0].operations == subspace.allowed[edge],
                f"{where}: compares operations {first[0].operations}, and the edge allows {subspace.allowed[edge]}",
            )
            same = all(
                np.array_equal(getattr(first[0], name), getattr(second[0], name), equal_nan=True)
                for name in ("dissimilarity", "standard_error")
            )
            require(same, f"{where}: two calls differ; take random numbers from probe.rng(purpose) alone")
            require(first[1] == second[1], f"{where}: two calls are charged {first[1]} and {second[1]}")


def measured(
    criterion: Criterion, space: SearchSpace, subspace: SubSpace, data: ImageData, trainer: Trainer, edge: int
) -> tuple[Affinity, Cost]:
    """One call of a criterion through the harness's own probe: the affinity, and what it cost."""
    supernet, meter = space.supernet(0), Meter()
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    state = trainer.open(Job(space, subspace, supernet, data, 0, Meter())).tensors()
    affinity = criterion(SupernetProbe(space, subspace, supernet, data, trainer, state, 3, 0, meter), edge)
    for name, tensor in supernet.state_dict().items():
        require(torch.equal(tensor, before[name]), f"{criterion}: it changes the supernet's {name}")
    return affinity, meter.cost
