"""The decompose stage: the gain or loss by each part of a split, from four estimates of one population."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from splitbench.harness.budget import Cost
from splitbench.harness.hashing import STAGE_KEY
from splitbench.harness.stages import predict
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.context import StageContext
from splitbench.harness.stores.folder import load_tensors
from splitbench.results.measures.ranking import Integers
from splitbench.results.payoff.decomposition import EstimateSet, decompose
from splitbench.spaces.base import Rows
from splitbench.spaces.truth import open_truth


@dataclass(frozen=True)
class Decomposed:
    """The terms by name (see ``results/payoff/decomposition.py``); None where a tau is undefined."""

    terms: dict[str, float] | None


@dataclass(frozen=True, kw_only=True)
class Decompose(Stage[Decomposed]):
    """Splits an arm's difference to no split into terms, by estimates of the unsplit supernet, shams and arm.

    Attributes:
        truth: checksum of the ground truth.
        unsplit: key of the predict stage of ``none``.
        free, charged, arm: keys of the predict stages of each leaf.
    """

    kind: ClassVar[str] = "decompose"
    version: ClassVar[int] = 1
    gives: ClassVar[type] = Decomposed
    reads_images: ClassVar[bool] = False

    truth: str
    unsplit: str = field(metadata=STAGE_KEY)
    free: tuple[str, ...] = field(metadata=STAGE_KEY)
    charged: tuple[str, ...] = field(metadata=STAGE_KEY)
    arm: tuple[str, ...] = field(metadata=STAGE_KEY)

    @property
    def reads_truth(self) -> bool:
        return True

    def work(self, context: StageContext, folder: Path) -> tuple[Decomposed, Cost]:
        truth = open_truth(context.space, context.dataset.name)
        rows, leaf, arm = estimates_by_leaf(context, self.arm)
        none, free, charged = (estimates_by_leaf(context, keys) for keys in ((self.unsplit,), self.free, self.charged))
        if not all(np.array_equal(mine, rows) for mine, _, _ in (none, free, charged)):
            raise ValueError("two predict stages of one decomposition estimate different architectures")
        return Decomposed(decompose(none[2], free[2], charged[2], arm, truth.test(rows), leaf)), Cost()


def estimates_by_leaf(context: StageContext, keys: tuple[str, ...]) -> tuple[Rows, Integers, EstimateSet]:
    """Architectures [A, edges] in lexicographic order, the leaf of each [A], and their estimates."""
    tables = [load_tensors(context.store.open(key, predict.ESTIMATES))[0] for key in keys]
    rows = np.concatenate([table["rows"].numpy() for table in tables])
    accuracy = np.concatenate([table["accuracy"].numpy() for table in tables])
    loss = np.concatenate([table["loss"].numpy() for table in tables])
    leaf = np.concatenate([np.full(len(table["rows"]), index) for index, table in enumerate(tables)])
    order = np.lexsort(rows.T[::-1])
    return rows[order], leaf[order], EstimateSet(accuracy[order], loss[order])
