"""What a run asks for: the stages of one arm at one repetition, each described by everything that it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from splitbench.harness.arm import Arm, Judge
from splitbench.harness.budget import Budget
from splitbench.harness.estimate import Evaluation
from splitbench.harness.seeds import Seeds
from splitbench.harness.selectors.base import Leaf
from splitbench.harness.stages import Result, Stage
from splitbench.harness.tree import Node
from splitbench.harness.workbench import as_lists
from splitbench.spaces.base import SearchSpace, SubSpace
from splitbench.spaces.populations import population
from splitbench.spaces.subspaces import overlapping


@dataclass(frozen=True)
class Settings:
    """What all runs of a study share.

    Attributes:
        space: bound to the dataset's image shape and classes.
        common: inputs of every stage: space, dataset, device, precision.
        budget: of each arm.
        evaluation: how estimates are measured, and on how many images.
        images: number of validation images that an estimate takes.
        sample: size of the population; all functions if None.
        truth: checksum of the ground truth, an input of the stages that read it.
    """

    space: SearchSpace
    common: dict[str, Any]
    budget: Budget
    evaluation: Evaluation
    images: int
    sample: int | None
    truth: str


class Requests:
    """Makes the stages of one run.

    ``probing`` above 0 scores with other batches and contexts, and changes nothing else.
    """

    def __init__(self, settings: Settings, arm: Arm, seeds: Seeds, draw: int, probing: int = 0) -> None:
        self.settings, self.arm, self.seeds, self.draw = settings, arm, seeds, draw
        self.probing = f" probing {probing}" if probing else ""
        self.title = f"{arm.label} r{seeds.repetition}" + (f" d{draw}" if arm.draws > 1 else "")
        self.population: dict[str, Any] = {"sample": settings.sample, "seed": seeds.of("population")}

    def stage(self, kind: str, title: str, **inputs: Any) -> Stage:
        return Stage(kind, {**self.settings.common, **inputs}, f"{self.title}: {title}")

    def train(
        self, node: Node, steps: int | None, seconds: float, progress: tuple[float, float], groups: list[Node]
    ) -> Stage:
        return self.stage(
            "train",
            f"train {node.path}",
            trainer=self.arm.specs["trainers"],
            subspace=as_lists(node.subspace),
            parent=node.stage,
            initial_seed=self.seeds.of("initial weights"),
            seed=self.seeds.of("training"),
            first=node.steps,
            steps=steps,
            seconds=seconds if steps is None else None,
            progress=list(progress),
            **({"momentum_groups": [as_lists(group.subspace) for group in groups]} if groups else {}),
        )

    def score(self, node: Node, edge: int, judge: Judge) -> Stage:
        return self.stage(
            "score",
            f"score edge {edge} of {node.path}{self.probing}",
            trainer=self.arm.specs["trainers"],
            criterion=judge.spec,
            subspace=as_lists(node.subspace),
            state=node.stage,
            initial_seed=self.seeds.of("initial weights"),
            training_seed=self.seeds.of("training"),
            edge=edge,
            seed=self.seeds.of(f"scoring {node.path}{self.probing}"),
            draw=self.draw if judge.draws else 0,
            **({"truth": self.settings.truth} if judge.reads_truth else {}),
        )

    def leaf(self, leaf: Node, index: int, leaves: list[Node]) -> Leaf:
        """What the selector knows of a leaf before training."""
        space = self.settings.space
        before = earlier(leaf, leaves[:index])
        inside = population(space, **self.population, subspace=leaf.subspace, earlier=before)
        return Leaf(space, leaf.subspace, index, len(leaves), inside, self.seeds.of(f"selection {index}"), before)

    def select(self, leaf: Node, index: int, leaves: list[Node]) -> Stage:
        return self.stage(
            "select",
            f"select from leaf {index + 1} of {len(leaves)}",
            trainer=self.arm.specs["trainers"],
            selector=self.arm.specs["selectors"],
            subspace=as_lists(leaf.subspace),
            state=leaf.stage,
            evaluation=vars(self.settings.evaluation),
            population=self.population,
            index=index,
            count=len(leaves),
            seed=self.seeds.of(f"selection {index}"),
            **owned_before(leaf, leaves[:index]),
        )

    def predict(self, leaf: Node, leaves_before: Sequence[Node]) -> Stage:
        return self.stage(
            "predict",
            f"predict {leaf.path}",
            subspace=as_lists(leaf.subspace),
            state=leaf.stage,
            evaluation=vars(self.settings.evaluation),
            population=self.population,
            **owned_before(leaf, leaves_before),
        )

    def facts(self) -> Stage:
        return self.stage("facts", "ceiling and size baselines", population=self.population, truth=self.settings.truth)

    def measure(self, leaves: list[Node], predicted: list[Result]) -> Stage:
        return self.stage(
            "measure",
            "measure",
            population=self.population,
            truth=self.settings.truth,
            leaf_choice=self.arm.specs["leaf_choices"],
            seed=self.seeds.of("leaf choice"),
            leaves=[
                {
                    "subspace": as_lists(leaf.subspace),
                    "predict": result.key,
                    "selected": leaf.selected.output if leaf.selected else None,
                    "kept": leaf.kept,
                }
                for leaf, result in zip(leaves, predicted, strict=True)
            ],
        )


def earlier(leaf: Node, leaves_before: Sequence[Node]) -> tuple[SubSpace, ...]:
    """The leaves before it that share architectures with it: these are theirs."""
    return overlapping(leaf.subspace, [node.subspace for node in leaves_before])


def owned_before(leaf: Node, leaves_before: Sequence[Node]) -> dict[str, Any]:
    """The same as a stage's input; none where leaves do not overlap."""
    found = earlier(leaf, leaves_before)
    return {"earlier": [as_lists(subspace) for subspace in found]} if found else {}
