"""The measure stage: how well an arm's estimates rank its population, and the truth of its selected architectures.

Only this stage, the facts stage, the decompose stage and, for an oracle control, the score stage read the truth, and no
stage of training or selection takes the results of the first three.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from splitbench.harness.budget import Cost
from splitbench.harness.hashing import STAGE_KEY
from splitbench.harness.part import Part
from splitbench.harness.selectors.base import LeafChoice, Selected
from splitbench.harness.stages import predict
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.context import StageContext
from splitbench.harness.stages.facts import best_known, sizes_of
from splitbench.harness.stores.folder import load_tensors
from splitbench.results.measures import metrics, ranking
from splitbench.results.measures.metrics import Metrics
from splitbench.results.records import record
from splitbench.results.records.files import digest, encode_estimates, write_atomically
from splitbench.spaces.architectures.populations import by_leaf, reference
from splitbench.spaces.architectures.ranked import RankedFunctions
from splitbench.spaces.base import SearchSpace, SubSpace
from splitbench.spaces.truth import GroundTruth, open_truth

ESTIMATES = "estimates.parquet"


@dataclass(frozen=True)
class MeasuredLeaf:
    """One leaf of an arm.

    Attributes:
        subspace: what it allows.
        predict: key of its predict stage.
        selected: the architecture that the selector chose in it.
        kept: whether it was trained to the end; the arm's choice is made among such leaves alone.
    """

    subspace: SubSpace
    predict: str = field(metadata=STAGE_KEY)
    selected: Selected
    kept: bool = True


@dataclass(frozen=True)
class Measurement:
    """The metrics and the selection of one arm.

    Attributes:
        metrics, validation_metrics: against the truth's test and validation accuracies.
        rank_sum: of the rank-sum of estimates and FLOPs, against test accuracies.
        estimates_sha256: of the table of estimates.
        selection: the architecture that the arm chose.
    """

    metrics: Metrics
    validation_metrics: Metrics
    rank_sum: Metrics
    estimates_sha256: str
    selection: record.Selection


@dataclass(frozen=True, kw_only=True)
class Measure(Stage[Measurement]):
    """Computes every metric of one arm, and leaves ``estimates.parquet`` in the stage's folder.

    Attributes:
        population: the architectures that are ranked.
        truth: checksum of the ground truth.
        leaf_choice: chooses the arm's architecture among those of its leaves.
        seed: of that choice.
        leaves: of the arm.
    """

    kind: ClassVar[str] = "measure"
    version: ClassVar[int] = 4
    gives: ClassVar[type] = Measurement
    reads_images: ClassVar[bool] = False

    population: RankedFunctions
    truth: str
    leaf_choice: Part
    seed: int
    leaves: tuple[MeasuredLeaf, ...]

    @property
    def reads_truth(self) -> bool:
        return True

    def work(self, context: StageContext, folder: Path) -> tuple[Measurement, Cost]:
        space, truth = context.space, open_truth(context.space, context.dataset.name)
        files = [context.store.open(leaf.predict, predict.ESTIMATES) for leaf in self.leaves]
        tables = [load_tensors(file)[0] for file in files]
        rows = np.concatenate([table["rows"].numpy() for table in tables])
        accuracy = np.concatenate([table["accuracy"].numpy() for table in tables])
        loss = np.concatenate([table["loss"].numpy() for table in tables])
        leaf = np.concatenate([np.full(len(table["rows"]), index) for index, table in enumerate(tables)])
        order = np.lexsort(rows.T[::-1])  # by architecture, so that the same estimates give the same file in any tree
        rows, accuracy, loss, leaf = rows[order], accuracy[order], loss[order], leaf[order]

        flops, test = sizes_of(space, rows)["flops"], truth.test(rows)
        best = best_known(truth.best(), test)
        columns = {
            "architecture": [space.encode(tuple(row)) for row in rows.tolist()],
            "leaf": leaf,
            "accuracy": accuracy,
            "loss": loss,
            "truth_test": test,
            "flops": np.asarray(flops, np.float64),
        }
        against_test = metrics.ranking_metrics(accuracy, loss, test, flops, leaf, best)
        both = ranking.rank_sum(metrics.lexicographic_score(accuracy, loss), flops)
        with_flops = metrics.score_metrics(both, test, best, flops)
        against_validation: Metrics = {}
        if truth.has_validation:
            validation = truth.validation(rows)
            columns["truth_validation"] = validation
            best_validation = best_known(truth.best(validation=True), validation)
            against_validation = metrics.ranking_metrics(accuracy, loss, validation, flops, leaf, best_validation)
        estimates = encode_estimates(columns)
        write_atomically(folder / ESTIMATES, estimates)
        selection = self.selection(space, truth, best, [len(table["rows"]) for table in tables])
        return Measurement(against_test, against_validation, with_flops, digest(estimates), selection), Cost()

    def selection(self, space: SearchSpace, truth: GroundTruth, best: float, counts: list[int]) -> record.Selection:
        """The architecture that the arm chose, its truth, and what a random choice from as many leaves would give."""
        selected = [leaf.selected for leaf in self.leaves]
        leaf_choice: LeafChoice = self.leaf_choice.build()
        kept = [index for index, leaf in enumerate(self.leaves) if leaf.kept]
        chosen = kept[leaf_choice.choose([selected[index] for index in kept], np.random.default_rng(self.seed))]
        test = truth.test([s.architecture for s in selected])
        # What a draw from a leaf can give: connected functions (or strings), each once, in the leaf that owns it.
        of = self.population.of
        rows, owners = by_leaf(space, [self.leaves[index].subspace for index in kept], of)
        masks = [owners == number for number in range(len(kept))]
        return record.Selection(
            architecture=space.encode(selected[chosen].architecture),
            leaf=chosen,
            test=float(test[chosen]),
            regret=float(best - test[chosen]),
            oracle=float(test[kept].max()),
            leaf_floor=metrics.leaf_floor(truth.test(rows), masks),
            best_of_k=metrics.expected_best_of(truth.test(reference(space, of)), len(kept)),
            leaves=[
                record.LeafRecord(
                    allowed=[list(operations) for operations in leaf.subspace.allowed],
                    architecture=space.encode(leaf.selected.architecture),
                    estimate=leaf.selected.accuracy,
                    loss=leaf.selected.loss,
                    population=count,
                    test=float(value),
                    kept=leaf.kept,
                )
                for leaf, count, value in zip(self.leaves, counts, test, strict=True)
            ],
        )
