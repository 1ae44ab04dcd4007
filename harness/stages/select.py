"""The select stage: one architecture from one leaf, by validation images, within an allowance."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from splitbench.harness.budget import Allowance, Cost, Meter, TooDearError
from splitbench.harness.errors import ConfigError
from splitbench.harness.part import Part
from splitbench.harness.selectors.base import LeafToSearch, Selected, Selector
from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.context import StageContext, Weights, WeightsPlace, kept_statistics, pack_tensors, unpack
from splitbench.harness.stages.train import checkpoint_seconds
from splitbench.harness.stores.base import CHECKPOINT
from splitbench.harness.stores.folder import load_tensors, save_tensors
from splitbench.harness.supernets.estimate import Evaluation, estimate
from splitbench.harness.supernets.normalisation import RunningStatistics
from splitbench.harness.trainers.base import Job, Session, Trainer, open_session
from splitbench.spaces.architectures.ranked import RankedFunctions
from splitbench.spaces.architectures.sampling import STRINGS
from splitbench.spaces.base import Choice, SearchSpace, SubSpace


@dataclass(frozen=True, kw_only=True)
class Select(Stage[Selected]):
    """Runs the selector on one leaf; the output is one architecture.

    Attributes:
        trainer, modifiers: whose architecture parameters the selector may read, and that train on if it asks for it.
        selector: the part that chooses.
        subspace: what the leaf allows.
        state: the leaf's weights; None for the initial ones.
        evaluation: on which images, and what normalises them.
        population: which architectures the selector ``all`` looks at.
        index, count: the leaf's number from 0, and the number of leaves.
        seed: of the selector's random numbers.
        earlier: leaves before it that share architectures with it, and own these.
        allowance: what the search may spend; None for a plan whose price is not known (in seconds).
        sampling: whether strings or functions are equally likely to be drawn, where it trains on.
    """

    kind: ClassVar[str] = "select"
    version: ClassVar[int] = 4
    gives: ClassVar[type] = Selected

    trainer: Part
    modifiers: tuple[Part, ...] = ()
    selector: Part
    subspace: SubSpace
    state: WeightsPlace | None
    evaluation: Evaluation
    population: RankedFunctions
    index: int
    count: int
    seed: int
    allowance: Allowance | None
    earlier: tuple[SubSpace, ...] = ()
    sampling: str = STRINGS

    def leaf(self, space: SearchSpace) -> LeafToSearch:
        """The leaf as :meth:`Selector.plan` gets it; no weights are read."""
        inside = self.population.rows(space, self.subspace, self.earlier)
        return LeafToSearch(space, self.subspace, self.index, self.count, inside, self.seed, self.earlier)

    def work(self, context: StageContext, folder: Path) -> tuple[Selected, Cost]:
        selector: Selector = self.selector.build()
        search = LeafSearch(self, context, folder)
        return selector.select(search), search.meter.cost


class LeafSearch:
    """Implements :class:`splitbench.harness.selectors.base.Search` on one trained leaf.

    Every answer is recorded. A search that was interrupted is run again from its start and gets the recorded answers,
    until it asks for something new. Selectors therefore need no checkpoint of their own.
    """

    def __init__(self, stage: Select, context: StageContext, folder: Path) -> None:
        self.stage, self.context = stage, context
        self.leaf = stage.leaf(context.space)
        self.meter = Meter()
        self.trainer: Trainer = stage.trainer.build()
        self.images = stage.evaluation.count(len(context.data.labels["validation"]))
        self.notes = Notes(folder / CHECKPOINT)
        self.began = time.monotonic()

    @functools.cached_property
    def weights(self) -> Weights:
        """The leaf's weights, loaded at the first access."""
        return self.context.weights(0, self.stage.state)

    @functools.cached_property
    def running(self) -> RunningStatistics | None:
        """Running statistics of the leaf's normalisations, updated while the search trains; None if none are kept."""
        kept = self.weights.statistics
        return RunningStatistics(self.weights.supernet, kept) if self.stage.evaluation.keeps_statistics else None

    @functools.cached_property
    def session(self) -> Session:
        """The trainer's session, restored to where its training of the leaf ended.

        Raises:
            ConfigError: if a modifier needs the other leaves, which a search does not have.
        """
        weights, modifiers = self.weights, [part.build() for part in self.stage.modifiers]
        for part, modifier in zip(self.stage.modifiers, modifiers, strict=True):
            if modifier.joint or modifier.shares_weights:
                raise ConfigError(
                    f"the selector {self.stage.selector.name} trains within its search, and the modifier {part.name} "
                    "needs all leaves for that; leave out one of the two"
                )
        job = Job(
            self.context.space,
            self.stage.subspace,
            weights.supernet,
            self.context.data,
            self.stage.seed,
            self.meter,
            self.context.precision,
            leaves_before=self.stage.earlier,
            sampling=self.stage.sampling,
        )
        session = open_session(self.trainer, modifiers, job)
        session.restore(weights.tensors)
        return session

    @property
    def architecture_weights(self) -> Tensor | None:
        return self.trainer.architecture_weights(self.weights.tensors)

    @property
    def left(self) -> float:
        if self.stage.allowance is None:
            return float("inf")
        spent = self.stage.allowance.of(self.meter.cost, time.monotonic() - self.began)
        return self.stage.allowance.amount - spent

    def cost(self, choice: Choice) -> Cost:
        """What one estimate costs; known before it is made."""
        return self.stage.evaluation.cost(self.context.space, choice, self.images, self.trainer.batch_size)

    def price(self, choice: Choice) -> float:
        return 0.0 if self.stage.allowance is None else self.stage.allowance.of(self.cost(choice))

    def evaluate(self, choice: Choice) -> tuple[float, float]:
        if (price := self.price(choice)) > self.left:
            raise TooDearError(
                f"the selector {self.stage.selector.name} asks for an estimate at {price:g}, and {self.left:g} are "
                "left of what it may spend"
            )
        self.meter.charge(self.cost(choice))
        if (known := self.notes.next()) is not None:
            return known[0], known[1]
        self.notes.catch_up(self)
        estimated = estimate(self.weights.supernet, choice, self.context.data, self.stage.evaluation, self.running)
        self.notes.add(list(estimated), self)
        return estimated

    def train(self, steps: int, position: float) -> int:
        if (known := self.notes.next()) is not None:
            self.meter.charge(Cost(int(known[1]), int(known[2]), int(known[3])))
            return int(known[0])
        self.notes.catch_up(self)
        before, done = self.meter.cost, 0
        first = self.weights.steps + self.notes.trained
        _ = self.running  # it watches from here on
        while done < steps and self._fits(self.session.seam.next_cost(first + done)):
            self.session.step(first + done, position)
            done += 1
        self.notes.trained += done
        self.notes.add([done, *(self.meter.cost - before).as_dict().values()], self)
        return done

    def _fits(self, cost: Cost) -> bool:
        return self.stage.allowance is None or self.stage.allowance.of(cost) <= self.left

    def tensors(self) -> dict[str, Tensor]:
        """Weights and session, if the search has trained."""
        return pack_tensors(self.weights.supernet, self.session.state(), self.running) if self.notes.trained else {}


class Notes:
    """The answers that a search got so far, in the order of its questions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: list[list[float]] = []
        self.trained = self.asked = 0
        self.saved = time.monotonic()
        self._tensors: dict[str, Tensor] = {}
        if path.exists():
            self._tensors, notes = load_tensors(path)
            self.known, self.trained = notes["known"], notes["trained"]

    def next(self) -> list[float] | None:
        """The recorded answer to the next question; None if there is none."""
        if self.asked == len(self.known):
            return None
        self.asked += 1
        return self.known[self.asked - 1]

    def catch_up(self, search: LeafSearch) -> None:
        """Restore the supernet to the checkpoint, once all recorded answers have been used."""
        if self._tensors:
            search.session.restore(unpack(search.weights.supernet, self._tensors))
            if search.running is not None:
                search.running.load(kept_statistics(self._tensors))
            self._tensors = {}

    def add(self, answer: list[float], search: LeafSearch) -> None:
        """Record an answer; all answers are saved from time to time."""
        self.known.append(answer)
        self.asked += 1
        if time.monotonic() - self.saved > checkpoint_seconds():
            self.saved = time.monotonic()
            save_tensors(self.path, search.tensors(), {"known": self.known, "trained": self.trained})
