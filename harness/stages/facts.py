"""The facts stage: the noise ceiling and the trivial size baselines of one population."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from splitbench.harness.budget import Cost
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.context import StageContext
from splitbench.results.measures import metrics
from splitbench.spaces.architectures.ranked import RankedFunctions
from splitbench.spaces.base import Rows, SearchSpace
from splitbench.spaces.truth import open_truth


@dataclass(frozen=True)
class Facts:
    """The facts of a population that hold for every arm.

    Attributes:
        size: number of architectures.
        source: of the ground truth, in words.
        ceiling: between-seed agreement of the ground truth.
        trivial: name of a size baseline -> its metrics.
    """

    size: int
    source: str
    ceiling: metrics.Metrics
    trivial: dict[str, metrics.Metrics]


@dataclass(frozen=True, kw_only=True)
class FactsStage(Stage[Facts]):
    """Reads the ground truth and trains nothing.

    Attributes:
        population: which architectures.
        truth: checksum of the ground truth.
    """

    kind: ClassVar[str] = "facts"
    version: ClassVar[int] = 3
    gives: ClassVar[type] = Facts
    reads_images: ClassVar[bool] = False

    population: RankedFunctions
    truth: str

    @property
    def reads_truth(self) -> bool:
        return True

    def work(self, context: StageContext, folder: Path) -> tuple[Facts, Cost]:
        space, truth = context.space, open_truth(context.space, context.dataset.name)
        rows = self.population.rows(space)
        test, sizes = truth.test(rows), sizes_of(space, rows)
        zeros = np.zeros(len(rows), dtype=int)
        trivial = metrics.trivial(sizes, test, zeros, best_known(truth.best(), test))
        alone = {name: _without_leaves(values) for name, values in trivial.items()}
        return Facts(len(rows), truth.source, metrics.ceiling(truth.per_seed(rows), sizes["flops"]), alone), Cost()


def best_known(known: float | None, population: npt.NDArray[np.float64]) -> float:
    """The accuracy that regret is measured from: the best of the whole truth, or of the population if not known."""
    return float(population.max()) if known is None else known


def sizes_of(space: SearchSpace, rows: Rows) -> dict[str, list[float]]:
    """Size baseline -> its value of each architecture [A, edges], for the baselines that the space offers."""
    sizes = [space.sizes(tuple(row)) for row in rows.tolist()]
    offered = [name for name in metrics.TRIVIAL if name in space.size_names]
    return {name: [each[name] for each in sizes] for name in offered}


def _without_leaves(values: metrics.Metrics) -> metrics.Metrics:
    return {name: value for name, value in values.items() if "_leaf[" not in name}
