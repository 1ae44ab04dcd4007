"""The select stage: one architecture from one leaf, by validation images; every evaluation is charged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from splitbench.harness.budget import Cost, Meter
from splitbench.harness.estimate import Evaluation, estimate
from splitbench.harness.parts import Part
from splitbench.harness.selectors.base import Leaf, Selected, Selector
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.train import checkpoint_seconds
from splitbench.harness.store import load_tensors, save_tensors
from splitbench.harness.trainers.base import Trainer
from splitbench.harness.workbench import Population, Workbench
from splitbench.spaces.base import Choice, SearchSpace, SubSpace


@dataclass(frozen=True, kw_only=True)
class Select(Stage[Selected]):
    """What a selector reads from a leaf.

    Attributes:
        trainer: whose architecture parameters it may read, and whose batch size is a step.
        selector: how.
        subspace: what the leaf allows.
        state: key of the train stage that holds its weights; None for the initial ones.
        evaluation: on which images.
        population: which architectures the selector ``all`` looks at.
        index, count: which leaf of how many.
        seed: of the selector's random numbers.
    """

    kind: ClassVar[str] = "select"
    version: ClassVar[int] = 1
    gives: ClassVar[type] = Selected

    trainer: Part
    selector: Part
    subspace: SubSpace
    state: str | None
    evaluation: Evaluation
    population: Population
    index: int
    count: int
    seed: int

    def leaf(self, space: SearchSpace) -> Leaf:
        """What the selector knows before it looks at weights."""
        inside = self.population.rows(space, self.subspace)
        return Leaf(space, self.subspace, self.index, self.count, inside, self.seed)

    def work(self, bench: Workbench, folder: Path) -> tuple[Selected, Cost]:
        trainer: Trainer = self.trainer.build()
        selector: Selector = self.selector.build()
        supernet, state = bench.supernet(0, self.state)
        meter, count = Meter(), self.evaluation.count(len(bench.data.labels["validation"]))
        memory = Memory(folder)

        def evaluate(choice: Choice) -> tuple[float, float]:
            meter.charge(self.evaluation.cost(bench.space, choice, count, trainer.batch_size))
            return memory.recall(lambda: estimate(supernet, choice, bench.data, self.evaluation))

        return selector.select(self.leaf(bench.space), evaluate, trainer.architecture_weights(state)), meter.cost


class Memory:
    """The estimates of a select stage in the order they were asked for, so that a killed one goes on where it was."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "checkpoint.safetensors"
        self.known: list[list[float]] = load_tensors(self.path)[1]["known"] if self.path.exists() else []
        self.asked, self.saved = 0, time.monotonic()

    def recall(self, compute: Callable[[], tuple[float, float]]) -> tuple[float, float]:
        """The next estimate: remembered, or computed now."""
        if self.asked == len(self.known):
            self.known.append(list(compute()))
            if time.monotonic() - self.saved > checkpoint_seconds():
                self.saved = time.monotonic()
                save_tensors(self.path, {}, {"known": self.known})
        self.asked += 1
        accuracy, loss = self.known[self.asked - 1]
        return accuracy, loss
