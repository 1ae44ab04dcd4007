"""The stages of one run: of one arm at one repetition, each described by everything that it depends on."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from splitbench.harness.budget import Allowance, Budget, Cost
from splitbench.harness.runs.step_prices import StepPrices
from splitbench.harness.runs.tree import Node
from splitbench.harness.seeds import Seeds
from splitbench.harness.stages.base import Result, Scene
from splitbench.harness.stages.decompose import Decompose
from splitbench.harness.stages.facts import FactsStage
from splitbench.harness.stages.measure import Measure, MeasuredLeaf
from splitbench.harness.stages.predict import Predict, Predicted
from splitbench.harness.stages.score import Score
from splitbench.harness.stages.select import Select
from splitbench.harness.stages.train import Member, Train
from splitbench.harness.study.arm import Arm, Judge
from splitbench.harness.supernets.estimate import Evaluation
from splitbench.spaces.architectures.populations import Of
from splitbench.spaces.architectures.ranked import RankedFunctions, RankedStrings
from splitbench.spaces.architectures.sampling import STRINGS
from splitbench.spaces.architectures.subspaces import overlapping
from splitbench.spaces.base import Choice, SearchSpace, SubSpace


@dataclass(frozen=True)
class Settings:
    """What all runs of a study share.

    Attributes:
        space: bound to the dataset's image shape and classes.
        dataset: its name.
        scene: what every stage depends on.
        budget: of each arm.
        evaluation: how estimates are measured, and on how many images.
        images: number of validation images that an estimate takes.
        sample: size of the population; all if None.
        truth: checksum of the ground truth, an input of the stages that read it.
        sampling: whether strings or functions are equally likely to be drawn in training.
        of: members of the population: ``functions`` or ``strings``.
    """

    space: SearchSpace
    dataset: str
    scene: Scene
    budget: Budget
    evaluation: Evaluation
    images: int
    sample: int | None
    truth: str
    sampling: str = STRINGS
    of: Of = "functions"

    @functools.cached_property
    def prices(self) -> StepPrices:
        """The prices of training steps."""
        return StepPrices(self.space, self.sampling)

    def evaluations(self, choices: Iterable[Choice], batch_size: int) -> Cost:
        """The cost of estimates of these paths or mixtures; steps are counted in the trainer's batch size."""
        each = (self.evaluation.cost(self.space, choice, self.images, batch_size) for choice in choices)
        return sum(each, Cost())


class ArmStages:
    """Makes the stages of one run: of an arm, at one repetition, and of one draw where the arm has several.

    Nothing is computed here. Each method lists all inputs of a stage, so that two arms that need the same computation
    get stages with the same hash, and share the result.

    Args:
        settings: of the study.
        arm: whose stages they are.
        seeds: of the repetition.
        draw: counts from 0; a stage depends on it only where the criterion draws.
        probing: above 0, edges are scored by other batches and contexts, to see how stable a partition is; nothing
            else changes.
    """

    def __init__(self, settings: Settings, arm: Arm, seeds: Seeds, draw: int, probing: int = 0) -> None:
        self.settings, self.arm, self.seeds, self.draw = settings, arm, seeds, draw
        self.probing = f" probing {probing}" if probing else ""
        self.evaluation = settings.evaluation
        if self.evaluation.calibration:
            self.evaluation = replace(self.evaluation, seed=seeds.of("calibration"))
        self.name = f"{arm.label} r{seeds.repetition}" + (f" d{draw}" if arm.draws > 1 else "")
        self.functions = RankedFunctions(settings.sample, seeds.of("population"))  # what selectors look at
        self.population = self.functions
        if settings.of == "strings":
            self.population = RankedStrings(settings.sample, seeds.of("population"))

    def title(self, what: str) -> str:
        """A stage's name in progress lines; no part of its hash."""
        return f"{self.name}: {what}"

    def train(
        self,
        members: Sequence[tuple[Node, Allowance, tuple[SubSpace, ...]]],
        window: tuple[float, float],
        parts: tuple[SubSpace, ...] = (),
        sham: bool = False,
    ) -> Train:
        """One stage that trains one node, or several side by side.

        A step is numbered from the root of the split tree, so a leaf neither repeats its parent's batches nor its
        parent's architectures: all nodes can have one seed.

        Args:
            members: what is trained, what each may spend, and the leaves before it that overlap it.
            window: of the learning-rate schedule.
            parts: the leaves that share the one node's weights, where a modifier has them do so.
            sham: whether it is the sham of these nodes; this changes its title only.
        """
        return Train(
            scene=self.settings.scene,
            title=self.title(("sham of " if sham else "train ") + " ".join(node.path for node, _, _ in members)),
            trainer=self.arm.parts["trainers"],
            modifiers=self.arm.modifier_parts,
            members=tuple(
                Member(node.subspace, node.state, allowance, parts, others) for node, allowance, others in members
            ),
            window=window,
            initial_seed=self.seeds.of("initial weights"),
            seed=self.seeds.of("training"),
            sampling=self.settings.sampling,
            statistics=self.evaluation.keeps_statistics,
        )

    def score(self, node: Node, edge: int, judge: Judge) -> Score:
        """The stage that asks a criterion how much the operations of one edge of a node disagree."""
        return Score(
            scene=self.settings.scene,
            title=self.title(f"score edge {edge} of {node.path}{self.probing}"),
            trainer=self.arm.parts["trainers"],
            criterion=judge.criterion,
            subspace=node.subspace,
            state=node.state,
            initial_seed=self.seeds.of("initial weights"),
            training_seed=self.seeds.of("training"),
            edge=edge,
            seed=self.seeds.of(f"scoring {node.path}{self.probing}"),
            draw=self.draw if judge.draws else 0,
            truth=self.settings.truth if judge.reads_truth else None,
        )

    def select(self, leaves: Sequence[Node], index: int, allowance: Allowance | None) -> Select:
        """The stage in which the selector chooses an architecture of one leaf."""
        leaf, count = leaves[index], len(leaves)
        return Select(
            scene=self.settings.scene,
            title=self.title(f"select from leaf {index + 1} of {count}"),
            trainer=self.arm.parts["trainers"],
            modifiers=self.arm.modifier_parts,
            selector=self.arm.parts["selectors"],
            subspace=leaf.subspace,
            state=leaf.state,
            evaluation=self.evaluation,
            population=self.functions,
            index=index,
            count=count,
            seed=self.seeds.of(f"selection {index}"),
            allowance=allowance,
            earlier=overlapping_before(leaves, index),
            sampling=self.settings.sampling,
        )

    def predict(self, leaves: Sequence[Node], index: int) -> Predict:
        """The stage that estimates those architectures of the population that one leaf owns."""
        leaf = leaves[index]
        return Predict(
            scene=self.settings.scene,
            title=self.title(f"predict {leaf.path}"),
            subspace=leaf.subspace,
            state=leaf.state,
            evaluation=self.evaluation,
            population=self.population,
            earlier=overlapping_before(leaves, index),
        )

    def facts(self) -> FactsStage:
        """The stage that computes noise ceiling and size baselines of the population; the same for all arms."""
        return FactsStage(
            scene=self.settings.scene,
            title=self.title("ceiling and size baselines"),
            population=self.population,
            truth=self.settings.truth,
        )

    def decompose(
        self, unsplit: str, free: tuple[str, ...], charged: tuple[str, ...], arm: tuple[str, ...]
    ) -> Decompose:
        """The stage that decomposes the arm's difference to no split.

        Args:
            unsplit: key of the predict stage of the whole supernet.
            free: keys of the predict stages of the shams that were trained as long as if scoring were free.
            charged: of those that were trained as long as the leaves.
            arm: of the leaves themselves.
        """
        return Decompose(
            scene=self.settings.scene,
            title=self.title("decompose"),
            truth=self.settings.truth,
            unsplit=unsplit,
            free=free,
            charged=charged,
            arm=arm,
        )

    def measure(self, leaves: Sequence[Node], predicted: Sequence[Result[Predicted]]) -> Measure:
        """The stage that compares all leaves' estimates with the ground truth."""
        return Measure(
            scene=self.settings.scene,
            title=self.title("measure"),
            population=self.population,
            truth=self.settings.truth,
            leaf_choice=self.arm.parts["leaf_choices"],
            seed=self.seeds.of("leaf choice"),
            leaves=tuple(
                MeasuredLeaf(leaf.subspace, result.key, leaf.answer, leaf.kept)
                for leaf, result in zip(leaves, predicted, strict=True)
            ),
        )


def overlapping_before(leaves: Sequence[Node], index: int) -> tuple[SubSpace, ...]:
    """The leaves before leaf ``index`` that share architectures with it, and own these; empty where splits are
    partitions."""
    return overlapping(leaves[index].subspace, [leaf.subspace for leaf in leaves[:index]])
