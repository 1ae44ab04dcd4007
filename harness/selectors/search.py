"""Selectors that evaluate candidates: all of them, or a random few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitbench.harness.errors import ConfigError
from splitbench.harness.selectors.base import LeafToSearch, Search, Selected, Selector, best_of
from splitbench.spaces.base import Architecture


@dataclass(frozen=True)
class RandomBest(Selector):
    """The best of a few random architectures, by their estimates on the same validation images.

    Attributes:
        samples: how many architectures are evaluated over all leaves of an arm together, so that arms with many leaves
            do not look at more of them.
    """

    samples: int = 100

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"selector.samples: at least 1 architecture is needed, not {self.samples}")

    def plan(self, leaf: LeafToSearch) -> list[Architecture]:
        share = self.samples // leaf.count + (leaf.index < self.samples % leaf.count)
        return leaf.sample(max(share, 1))

    def select(self, search: Search) -> Selected:
        return best_of(self.plan(search.leaf), search)


@dataclass(frozen=True)
class All(Selector):
    """The best of every architecture of the population: exact argmax, no search noise, and the dearest."""

    version: ClassVar[int] = 1

    def plan(self, leaf: LeafToSearch) -> list[Architecture]:
        if len(leaf.population):
            return [tuple(row) for row in leaf.population.tolist()]
        if leaf.space.can_list:
            return [tuple(row) for row in leaf.functions[:1].tolist()]
        return leaf.sample(1)

    def select(self, search: Search) -> Selected:
        return best_of(self.plan(search.leaf), search)
