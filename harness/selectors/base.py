"""Selectors read one architecture from a leaf; leaf choices pick a leaf. Both see validation images only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from torch import Tensor

from splitbench.spaces.architectures.subspaces import owner
from splitbench.spaces.base import Architecture, Choice, Rows, SearchSpace, SubSpace
from splitbench.spaces.functions import listed


@dataclass(frozen=True)
class LeafToSearch:
    """What a selector knows of a leaf before it looks at weights.

    Attributes:
        space, subspace: where to look.
        index, count: which leaf of how many.
        population: [A, edges] architectures of the population that this leaf owns.
        seed: of this leaf's random numbers.
        leaves_before: the leaves before it: what they contain as well is theirs.
    """

    space: SearchSpace
    subspace: SubSpace
    index: int
    count: int
    population: Rows
    seed: int
    leaves_before: tuple[SubSpace, ...] = ()

    @property
    def functions(self) -> Rows:
        """Every distinct connected function that the leaf owns, [A, edges], of a space that can be listed."""
        rows = listed(self.space, self.subspace)
        return rows[owner(self.leaves_before, rows) < 0]

    def sample(self, count: int) -> list[Architecture]:
        """``count`` distinct connected functions that the leaf owns, by its own random numbers; all if there are no
        more."""
        rng = np.random.default_rng(self.seed)
        rows = self.space.sample_functions(count, rng, self.subspace, self.leaves_before)
        return [tuple(row) for row in rows.tolist()]


@dataclass(frozen=True)
class Selected:
    """An architecture and its estimate: top-1 % and cross-entropy on validation images (of what the selector ran)."""

    architecture: Architecture
    accuracy: float
    loss: float

    @property
    def rank_key(self) -> tuple[float, float]:
        """Accuracy first; the lower loss breaks ties."""
        return self.accuracy, -self.loss


class Search(Protocol):
    """What a selector can do with a leaf: everything is charged, and nothing can be had beyond the allowance."""

    @property
    def leaf(self) -> LeafToSearch:
        """What is known of it."""

    @property
    def architecture_weights(self) -> Tensor | None:
        """What the trainer had learnt when the leaf's training ended, [edges, operations], if it learns any."""

    @property
    def left(self) -> float:
        """What may still be spent, in the budget's unit."""

    def price(self, choice: Choice) -> float:
        """What :meth:`evaluate` would charge for it, in the budget's unit."""

    def evaluate(self, choice: Choice) -> tuple[float, float]:
        """Top-1 accuracy in percent and cross-entropy of a path or mixture on validation images.

        Raises:
            TooDearError: if its price is not left.
        """

    def train(self, steps: int, position: float) -> int:
        """Train the leaf's supernet on, at one position of the learning-rate schedule, for as many of ``steps`` as the
        allowance pays for; gives how many those were. The leaf's estimates for the leaderboard are made with the
        weights that its training left, not with these."""


class Selector(ABC):
    """A selector component.

    Attributes:
        reads_architecture_weights: whether it works with those trainers alone that learn architecture parameters.
    """

    reads_architecture_weights: ClassVar[bool] = False

    def plan(self, leaf: LeafToSearch) -> Sequence[Choice] | None:
        """What will be evaluated, known before training, so that its price can be kept back from the budget. None if
        only the search tells: a study then has to say what it may spend, by ``schedule.selection``."""
        return None

    @abstractmethod
    def select(self, search: Search) -> Selected:
        """The leaf's architecture.

        Args:
            search: the leaf, and what can be done with its supernet within the allowance.
        """


class LeafChoice(ABC):
    """A leaf-choice component."""

    @abstractmethod
    def choose(self, selected: Sequence[Selected], rng: np.random.Generator) -> int:
        """The index of the leaf whose architecture is the arm's answer."""


def best_of(candidates: Sequence[Architecture], search: Search) -> Selected:
    """The candidate with the best estimate; the first among equals."""
    return max((Selected(a, *search.evaluate(a)) for a in candidates), key=lambda s: s.rank_key)
