"""Criteria that read the architectures alone: no pass of the supernet, no images, no cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitbench.criteria.base import Affinity, Parts, Probe
from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import SearchSpace


@dataclass(frozen=True)
class Nonlinearity:
    """How often two operations of an edge would send an architecture to different weight banks of EFS-NAS.

    Oh, Lee and Ham, "Efficient Few-Shot Neural Architecture Search by Counting the Number of Nonlinear Functions",
    AAAI 2025. There each cell of a network takes its weights from one of several banks: cell i (from 1) from the bank
    whose number is how many thresholds lie below i x depth, the nonlinear operations up to and with this cell, where
    depth counts them on the path through a cell that has most of them. D(o, o') is the mean, over random architectures
    of the subspace, of the share of cells in which the architecture with o on the edge and that with o' use different
    banks: 0 to 1. An architecture that an operation cuts is never trained there, and is not measured here; a pair that
    no architecture measured gets the mean of those that were.

    The paper switches banks inside one network. This criterion keeps its measure of which operations should not share,
    and splits as all others do. It makes no pass and costs nothing.

    Attributes:
        thresholds: ascending counts; one bank more than thresholds.
        cells: of the network that is counted; 15 in NAS-Bench-201. The thresholds are meant for this many.
        repetitions: random architectures.
    """

    draws: ClassVar[bool] = True
    version: ClassVar[int] = 1

    thresholds: tuple[int, ...] = (15, 20)
    cells: int = 15
    repetitions: int = 200

    def __post_init__(self) -> None:
        if not self.thresholds or self.thresholds[0] < 0 or list(self.thresholds) != sorted(set(self.thresholds)):
            raise ConfigError(
                f"criterion nonlinearity: thresholds must be ascending counts of 0 or more, as [15, 20], not "
                f"{list(self.thresholds)}; sort them, and name each once"
            )
        for name, usual in (("cells", 15), ("repetitions", 200)):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"criterion nonlinearity: {name} must be 1 or more, not {getattr(self, name)}; {usual} is usual"
                )

    def unfit(self, space: SearchSpace) -> str | None:
        """A chain has no cell that repeats, so its depth is not that of a cell; two kinds of cells have two depths."""
        fits = space.one_cell and "depth" in space.size_names
        return None if fits else "it counts the nonlinear operations of a cell that repeats"

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations, space = probe.operations(edge), probe.space
        rng = probe.rng(f"nonlinearity, edge {edge}")
        samples = np.full((self.repetitions, len(operations), len(operations)), np.nan)
        for r in range(self.repetitions):
            drawn = space.sample(rng, probe.subspace)
            paths = [(*drawn[:edge], op, *drawn[edge + 1 :]) for op in operations]
            ran = [i for i, path in enumerate(paths) if space.connected(path)]
            banks = np.array([self.banks(round(space.sizes(paths[i])["depth"])) for i in ran])
            samples[r][np.ix_(ran, ran)] = (banks[:, None] != banks).mean(axis=2)
        return Affinity.of(operations, samples)

    def banks(self, depth: int) -> list[int]:
        """The bank of each cell of a network whose cells are ``depth`` nonlinear operations deep."""
        return [sum(cell * depth > threshold for threshold in self.thresholds) for cell in range(1, self.cells + 1)]


@dataclass(frozen=True)
class ConvSize:
    """Convolutions on one side, all else on the other: the trivial partition that a measured criterion has to beat.

    D(o, o') is the difference in the number of convolutions of two architectures that differ in this edge alone. Edges
    are all alike to it, so that the lowest edge whose operations differ is split. It costs nothing.
    """

    version: ClassVar[int] = 1

    def parts(self) -> Parts:
        """Groups of any size: the convolutions may be one or all but one."""
        return Parts(partitioner="max_cut")

    def unfit(self, space: SearchSpace) -> str | None:
        """A space that counts no convolutions has no such partition."""
        return None if "convolutions" in space.size_names else "it counts convolutions, and the space counts none"

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations = probe.operations(edge)
        drawn = [allowed[0] for allowed in probe.subspace.allowed]
        counts = np.array(
            [probe.space.sizes((*drawn[:edge], op, *drawn[edge + 1 :]))["convolutions"] for op in operations]
        )
        return Affinity.assumed(operations, np.abs(counts[:, None] - counts))
