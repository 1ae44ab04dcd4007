"""Selectors that evaluate candidates: all of them, or a random few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitbench.harness.errors import ConfigError
from splitbench.harness.selectors.base import Leaf, Search, Selected, Selector, best_of
from splitbench.spaces.base import Architecture


@dataclass(frozen=True)
class RandomBest(Selector):
    """The best of a few random architectures, by their estimates on the same validation images.

    Attributes:
        samples: how many architectures are evaluated over all leaves of an arm together, so that arms with many leaves
            do not look at more of them.
    """

    samples: int = 100

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"selector.samples: at least 1 architecture is needed, not {self.samples}")

    def plan(self, leaf: Leaf) -> list[Architecture]:
        functions = leaf.functions
        share = self.samples // leaf.count + (leaf.index < self.samples % leaf.count)
        count = min(max(share, 1), len(functions))
        rows = np.random.default_rng(leaf.seed).choice(len(functions), count, replace=False)
        return [tuple(row) for row in functions[np.sort(rows)].tolist()]

    def select(self, search: Search) -> Selected:
        return best_of(self.plan(search.leaf), search)


@dataclass(frozen=True)
class All(Selector):
    """The best of every architecture of the population: exact argmax, no search noise, and the dearest."""

    def plan(self, leaf: Leaf) -> list[Architecture]:
        rows = leaf.population if len(leaf.population) else leaf.functions[:1]
        return [tuple(row) for row in rows.tolist()]

    def select(self, search: Search) -> Selected:
        return best_of(self.plan(search.leaf), search)
