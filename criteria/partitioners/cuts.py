"""Partitioners: from an edge's affinity to groups of operations, one group a child.

All searches are exact. Where two partitions are equally good, the lexicographically first one wins. Fewer operations
than ``branching`` become one group each, since no partition has more groups than operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar

import numpy as np

from splitbench.criteria.base import Affinity, Groups, Partition
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec, build

MOST_OPERATIONS = 8  # for max_cut: 4,140 partitions at most, about 0.1 s an edge
MOST_PARTITIONS = 20_000  # for balanced: two groups of up to 16 operations, three of up to 12


def balanced_sizes(operations: int, branching: int) -> tuple[int, ...]:
    """Sizes of ``branching`` groups, as equal as possible, ascending; all ones where operations are too few."""
    groups = min(branching, operations)
    small, larger = divmod(operations, groups)
    return (small,) * (groups - larger) + (small + 1,) * larger


def partitions(operations: Sequence[int], groups: int) -> Iterator[Groups]:
    """All partitions of ``operations`` into exactly ``groups`` non-empty groups, each once."""
    if groups == 1:
        yield (tuple(operations),)
        return
    first, rest = operations[0], operations[1:]
    for size in range(len(rest) - groups + 2):  # companions of the first operation; one each is left for other groups
        for companions in combinations(rest, size):
            others = [op for op in rest if op not in companions]
            for tail in partitions(others, groups - 1):
                yield ((first, *companions), *tail)


def partitions_of_sizes(operations: Sequence[int], sizes: Sequence[int]) -> Iterator[Groups]:
    """All partitions of ``operations`` into groups of ``sizes`` (in any order), each once."""
    if not sizes:
        yield ()
        return
    first, rest = operations[0], operations[1:]
    for size in sorted(set(sizes)):
        left = list(sizes)
        left.remove(size)
        for companions in combinations(rest, size - 1):
            others = [op for op in rest if op not in companions]
            for tail in partitions_of_sizes(others, left):
                yield ((first, *companions), *tail)


def number_of_partitions(sizes: Sequence[int]) -> int:
    """How many partitions :func:`partitions_of_sizes` gives."""
    arrangements = math.prod(math.factorial(size) for size in sizes)
    arrangements *= math.prod(math.factorial(list(sizes).count(size)) for size in set(sizes))
    return math.factorial(sum(sizes)) // arrangements


@dataclass(frozen=True)
class Singletons:
    """One group an operation, whatever the branching (few-shot NAS, Zhao et al., ICML 2021)."""

    version: ClassVar[int] = 1

    def __call__(self, affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
        return Partition.of(affinity, ([op] for op in affinity.operations))


@dataclass(frozen=True)
class Balanced:
    """Groups as equal in size as possible with the largest cut: 2|3 for five operations and branching 2.

    All candidates have the same number of pairs within groups, so the largest cut is the smallest sum within groups:
    the grouping of GM-NAS (Hu et al., ICLR 2022) on NAS-Bench-201.
    """

    version: ClassVar[int] = 1

    def __call__(self, affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
        """Raises ConfigError if there are more than ``MOST_PARTITIONS`` candidates."""
        sizes = balanced_sizes(len(affinity.operations), branching)
        if (number := number_of_partitions(sizes)) > MOST_PARTITIONS:
            raise ConfigError(
                f"partitioner balanced: {len(affinity.operations)} operations have {number:,} partitions into "
                f"{len(sizes)} groups of equal size, and at most {MOST_PARTITIONS:,} are searched; "
                "use a smaller branching, or the partitioner random_groups or singletons"
            )
        candidates = (Partition.of(affinity, groups) for groups in partitions_of_sizes(affinity.operations, sizes))
        return min(candidates, key=lambda partition: (partition.intra, partition.groups))


@dataclass(frozen=True)
class MaxCut:
    """Exactly ``branching`` groups of any size with the largest raw cut, as in metric-driven few-shot NAS.

    The raw cut is a sum over pairs. It is what is maximised there, and it favours equal sizes a little: for five
    operations 2|3 cuts six pairs and 1|4 four.
    """

    version: ClassVar[int] = 1

    def __call__(self, affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
        """Raises ConfigError if there are more than ``MOST_OPERATIONS`` operations."""
        n = len(affinity.operations)
        if n > MOST_OPERATIONS:
            raise ConfigError(
                f"partitioner max_cut: an edge allows {n} operations, and at most {MOST_OPERATIONS} are searched "
                "exhaustively; use the partitioner balanced or singletons instead"
            )
        groups = min(branching, n)
        candidates = (Partition.of(affinity, candidate) for candidate in partitions(affinity.operations, groups))
        return min(candidates, key=lambda partition: (-partition.raw_cut, partition.groups))


@dataclass(frozen=True)
class RandomGroups:
    """A uniform draw among all partitions with the given group sizes; the affinity is not looked at.

    Attributes:
        sizes: the group sizes, as [1, 4]; they also fix the number of groups, whatever the branching. On an edge whose
            number of operations is not their sum (one that was split before), and by default, the sizes are those of
            ``balanced``.
    """

    sizes: tuple[int, ...] | None = None

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.sizes is not None and (len(self.sizes) < 2 or min(self.sizes) < 1):
            raise ConfigError(
                f"partitioner random_groups: sizes must be two or more positive integers, as [2, 3], not "
                f"{list(self.sizes)}; correct them, or leave them out for sizes as equal as possible"
            )

    def __call__(self, affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
        n = len(affinity.operations)
        fits = self.sizes is not None and sum(self.sizes) == n
        sizes = self.sizes if self.sizes is not None and fits else balanced_sizes(n, branching)
        # Every partition of these sizes comes from equally many permutations, so the draw is uniform.
        order = rng.permutation(affinity.operations).tolist()
        ends = np.cumsum(sizes).tolist()
        return Partition.of(affinity, (order[end - size : end] for end, size in zip(ends, sizes, strict=True)))


@dataclass(frozen=True)
class Shuffled:
    """The criterion's edge with random groups: another partitioner's cuts and group sizes, its operations shuffled.

    The edge rule sees what ``of`` found, so it chooses the edge that it would have chosen; only who goes with whom is
    left to chance. A control that tells an informative edge from informative groups.

    Attributes:
        of: the partitioner whose sizes and cuts are kept.
    """

    nested: ClassVar[Mapping[str, str]] = {"of": "partitioners"}
    version: ClassVar[int] = 1

    of: Spec = "balanced"

    def __call__(self, affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
        partition: Partition = build("partitioners", self.of, "partitioner shuffled.of")(affinity, branching, rng)
        others = dict(zip(affinity.operations, rng.permutation(affinity.operations).tolist(), strict=True))
        groups = sorted(tuple(sorted(others[op] for op in group)) for group in partition.groups)
        return replace(partition, groups=tuple(groups))
