"""The budget of an arm, what passes cost, and the account that they are charged to.

FLOPs are analytic, so that a study spends its budget in the same steps on every machine. ``steps`` counts batches that
ran forward and backward, or trainer-sized batches that ran forward only; ``examples`` counts their images.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from splitbench.harness.errors import SplitbenchError
from splitbench.spaces.base import Choice, SearchSpace

KINDS = ("flops", "steps", "examples", "seconds")


@dataclass(frozen=True)
class Cost:
    """What some passes cost, in every analytic unit.

    Attributes:
        flops: of convolutions and linear layers, a multiply-add as two; whole numbers, so that sums are exact.
        steps: batches.
        examples: images.
    """

    flops: int = 0
    steps: int = 0
    examples: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.steps + other.steps, self.examples + other.examples)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.flops - other.flops, self.steps - other.steps, self.examples - other.examples)

    def as_dict(self) -> dict[str, int]:
        """As records have it."""
        return {"flops": self.flops, "steps": self.steps, "examples": self.examples}


def training_pass(space: SearchSpace, choice: Choice, examples: int) -> Cost:
    """The cost of one batch of ``examples`` images, forward and backward through ``choice``."""
    flops = space.flops(choice)
    return Cost((flops.forward + flops.backward) * examples, 1, examples)


def forward_pass(space: SearchSpace, choice: Choice, examples: int, batch_size: int) -> Cost:
    """The cost of ``examples`` images forward only; counted in steps of the trainer's batch size."""
    # In the trainer's batches, whatever the batches of the pass: its speed may be tuned, and its price stays.
    return Cost(space.flops(choice).forward * examples, math.ceil(examples / batch_size), examples)


@dataclass
class Meter:
    """Adds up what one stage costs; each stage has a new one."""

    cost: Cost = field(default_factory=Cost)

    def charge(self, cost: Cost) -> None:
        """Called before or after each pass, by whatever runs it."""
        self.cost = self.cost + cost


@dataclass(frozen=True)
class Budget:
    """The whole compute of one arm: warm-up, scoring, all leaves and selection.

    Attributes:
        kind: the unit that is matched: one of ``KINDS``.
        limit: how much of it each arm may spend.
    """

    kind: str
    limit: float

    def amount(self, cost: Cost, seconds: float = 0.0) -> float:
        """What a cost is worth in this budget's unit."""
        return seconds if self.kind == "seconds" else float(getattr(cost, self.kind))

    def portion(self, share: float) -> float:
        """A share of the whole; whole units, but for seconds."""
        amount = self.limit * share
        # Floats are a little off (100 * 0.29 is 28.999999999999996), and floor() alone would lose a whole unit by it.
        return amount if self.kind == "seconds" else float(math.floor(round(amount, 3)))

    def parts(self, total: float, shares: Sequence[Fraction]) -> list[Allowance]:
        """``total`` divided by shares, in whole units but for seconds; nothing each where ``total`` is below zero.

        Fractions are exact: equal shares get equal amounts, and all together never exceed the total. What rounding
        leaves over is lost; passed on to the next leaf, it would make leaves wait for each other.
        """
        amounts = [Fraction(max(total, 0.0)) * share for share in shares]
        whole = self.kind != "seconds"
        return [Allowance(self.kind, float(math.floor(amount) if whole else amount)) for amount in amounts]

    def worth(self, amount: float) -> Cost:
        """A cost that is worth so much in this budget's unit, and nothing in the others; none in seconds."""
        return Cost() if self.kind == "seconds" else Cost(**{self.kind: int(amount)})


@dataclass(frozen=True)
class Allowance:
    """What one training or selection may spend: an input of its stage, and fixed before any leaf starts.

    Attributes:
        unit: flops, steps, examples or seconds.
        amount: how much of it; a whole number, but for seconds.
    """

    # Fixed beforehand, because it is hashed with the stage: a leaf's hash then depends on no other leaf's training.
    # Leaves can so be trained in any order and side by side, and two arms that plan the same training share it.

    unit: str
    amount: float

    def of(self, cost: Cost, seconds: float = 0.0) -> float:
        """What a cost is worth in this unit."""
        return Budget(self.unit, self.amount).amount(cost, seconds)


class TooDearError(SplitbenchError):
    """The first thing that an allowance should pay for costs more than there is."""


@dataclass
class Account:
    """What an arm has spent so far, by phase, and what is left.

    Attributes:
        budget: what it may spend.
        free: phases that are noted and not paid for.
        phases, seconds: what each phase has cost.
    """

    budget: Budget
    free: Collection[str] = ()
    phases: dict[str, Cost] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def charge(self, phase: str, cost: Cost, seconds: float) -> None:
        """Called when a stage's result arrives, also one that another arm has computed: every arm pays in full."""
        self.phases[phase] = self.phases.get(phase, Cost()) + cost
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    @property
    def spent(self) -> float:
        """What the phases that are paid for have cost, in the budget's unit."""
        paid = [phase for phase in self.phases if phase not in self.free]
        total = sum((self.phases[phase] for phase in paid), Cost())
        return self.budget.amount(total, sum(self.seconds[phase] for phase in paid))

    @property
    def left(self) -> float:
        """What may still be spent; below zero where scoring has cost more than there was."""
        return self.budget.limit - self.spent
