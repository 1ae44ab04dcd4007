"""How a leaf is chosen, honestly: by validation estimates, or blindly as a control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitbench.harness.selectors.base import LeafChoice, Selected


@dataclass(frozen=True)
class BestEstimate(LeafChoice):
    """The leaf whose selected architecture has the best estimate on validation images."""

    version: ClassVar[int] = 1

    def choose(self, selected: Sequence[Selected], rng: np.random.Generator) -> int:
        return max(range(len(selected)), key=lambda index: selected[index].rank_key)


@dataclass(frozen=True)
class RandomLeaf(LeafChoice):
    """A uniformly random leaf: the control for every other choice."""

    version: ClassVar[int] = 1

    def choose(self, selected: Sequence[Selected], rng: np.random.Generator) -> int:
        return int(rng.integers(len(selected)))
