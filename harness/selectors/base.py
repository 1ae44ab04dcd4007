"""Selectors read one architecture from a leaf; leaf choices pick a leaf. Both see validation images only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from splitbench.spaces.base import Architecture, Choice, Rows, SearchSpace, SubSpace, listed
from splitbench.spaces.subspaces import owner

Evaluate = Callable[[Choice], tuple[float, float]]


@dataclass(frozen=True)
class Leaf:
    """What a selector knows of a leaf before it looks at weights.

    Attributes:
        space, subspace: where to look.
        index, count: which leaf of how many.
        population: [A, edges] architectures of the population that this leaf owns.
        seed: of this leaf's random numbers.
        earlier: the leaves before it: what they contain as well is theirs.
    """

    space: SearchSpace
    subspace: SubSpace
    index: int
    count: int
    population: Rows
    seed: int
    earlier: tuple[SubSpace, ...] = ()

    @property
    def functions(self) -> Rows:
        """Every distinct connected function that the leaf owns, [A, edges], of a space that can be listed."""
        rows = listed(self.space, self.subspace)
        return rows[owner(self.earlier, rows) < 0]

    def sample(self, count: int) -> list[Architecture]:
        """``count`` distinct connected functions that the leaf owns, by its own random numbers; all if there are no
        more."""
        rng = np.random.default_rng(self.seed)
        rows = self.space.sample_functions(count, rng, self.subspace, self.earlier)
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


class Selector(ABC):
    """A selector component.

    Attributes:
        reads_architecture_weights: whether it works with those trainers alone that learn architecture parameters.
    """

    reads_architecture_weights: ClassVar[bool] = False

    @abstractmethod
    def plan(self, leaf: Leaf) -> Sequence[Choice]:
        """What will be evaluated, known before training, so that its price can be kept back from the budget."""

    @abstractmethod
    def select(self, leaf: Leaf, evaluate: Evaluate, architecture_weights: Tensor | None) -> Selected:
        """The leaf's architecture.

        Args:
            leaf: what is known of it.
            evaluate: a path or a mixture -> (top-1 %, cross-entropy); each call is charged.
            architecture_weights: what the trainer learnt, [edges, operations], if it learns any.
        """


class LeafChoice(ABC):
    """A leaf-choice component."""

    @abstractmethod
    def choose(self, selected: Sequence[Selected], rng: np.random.Generator) -> int:
        """The index of the leaf whose architecture is the arm's answer."""


def best_of(candidates: Sequence[Architecture], evaluate: Evaluate) -> Selected:
    """The candidate with the best estimate; the first among equals."""
    return max((Selected(a, *evaluate(a)) for a in candidates), key=lambda s: s.rank_key)
