"""Criteria that measure nothing and cost nothing: what a measured criterion has to beat at the same budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitbench.criteria.base import Affinity, Parts, Probe
from splitbench.harness.errors import ConfigError


@dataclass(frozen=True)
class NoSplit:
    """No split: one supernet spends the whole budget. It has no affinity and is never called."""

    splits: ClassVar[bool] = False
    version: ClassVar[int] = 1

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        raise TypeError(
            "the criterion none has no affinity and is never called; ask splitbench.criteria.base.splits first"
        )


@dataclass(frozen=True)
class Random:
    """A random edge and random groups of a size pattern (by default as equal as possible).

    Its dissimilarities are independent and uniform on [0, 1), so it is a control for every partitioner and edge rule
    that reads them, too. It asks the probe for nothing, so it costs nothing: with ``burn`` it throws away what another
    criterion would pay, and is the chance that one has to beat at its own bill.

    Attributes:
        burn: share of the budget that is charged as scoring.
    """

    burn: float = 0.0

    draws: ClassVar[bool] = True
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not 0 <= self.burn < 1:
            raise ConfigError(f"criterion random: burn is a share of the budget from 0 to below 1, not {self.burn}")

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations = probe.operations(edge)
        upper = np.triu(probe.rng(f"random affinity, edge {edge}").random((len(operations),) * 2), 1)
        return Affinity.assumed(operations, upper + upper.T)

    def parts(self) -> Parts:
        return Parts(partitioner="random_groups", edge_rule="random_edge", burn=self.burn)


@dataclass(frozen=True)
class Exhaustive:
    """Few-shot NAS (Zhao et al., ICML 2021): one sub-supernet an operation on edges chosen beforehand.

    Attributes:
        edges: the edge split at each level of the tree; the released code splits edge 0 of NAS-Bench-201 alone.
    """

    edges: tuple[int, ...] = (0,)

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not self.edges or min(self.edges) < 0 or len(set(self.edges)) < len(self.edges):
            raise ConfigError(
                "criterion exhaustive: edges must be a list of different edge indices from 0, one a level, not "
                f"{list(self.edges)}; name each edge once"
            )

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations = probe.operations(edge)
        return Affinity.assumed(operations, 1.0 - np.eye(len(operations)))

    def parts(self) -> Parts:
        return Parts("singletons", {"name": "fixed", "edges": self.edges}, schedule={"levels": len(self.edges)})
