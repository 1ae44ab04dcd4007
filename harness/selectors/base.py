"""Selectors read one architecture from a leaf; leaf choices pick a leaf. Both see validation images only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from splitbench.harness.workbench import functions_in
from splitbench.spaces.base import Architecture, Choice, SearchSpace, SubSpace

Evaluate = Callable[[Choice], tuple[float, float]]


@dataclass(frozen=True)
class Leaf:
    """What a selector knows of a leaf before it looks at weights.

    Attributes:
        space, subspace: where to look.
        index, count: which leaf of how many.
        population: [A, edges] architectures of the population in this leaf.
        seed: of this leaf's random numbers.
    """

    space: SearchSpace
    subspace: SubSpace
    index: int
    count: int
    population: npt.NDArray[np.int8]
    seed: int

    @property
    def functions(self) -> npt.NDArray[np.int8]:
        """Every distinct connected function of the leaf: [A, edges]."""
        return functions_in(self.space, self.subspace)


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
