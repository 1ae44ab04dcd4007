"""Decides where a node of the split tree is split, and into which children; called by a run between its stages.

Nothing here asks for a stage: affinities and groups come from the run, the rest from the edge rule and the space.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from splitbench.criteria.base import shortlist
from splitbench.harness.errors import ConfigError
from splitbench.harness.runs.tree import Node, Scores
from splitbench.harness.seeds import Seeds
from splitbench.harness.study.arm import Arm
from splitbench.spaces.architectures.subspaces import overlapping
from splitbench.spaces.base import SearchSpace


class Splitter:
    """The decisions of one run about its split tree.

    Args:
        space: bound to the dataset's images.
        arm: whose edge rule decides, or whose leaves are given.
        seeds, draw: of the random numbers.
    """

    def __init__(self, space: SearchSpace, arm: Arm, seeds: Seeds, draw: int) -> None:
        self.space, self.arm, self.seeds, self.draw = space, arm, seeds, draw

    def considered(self, node: Node, level: int) -> Sequence[int]:
        """The edges whose scores the edge rule needs."""
        rng, edges = self.rng(f"edge {node.path}"), self.splittable(node)
        chosen = shortlist(self.arm.edge_rule, edges, rng, level, self.space)
        return self.checked(chosen, edges) if edges else ()

    def splittable(self, node: Node) -> list[int]:
        """Edges with two or more operations that the space distinguishes; undivided ones only, if the arm says so."""
        space, whole = self.space, self.arm.whole_edges
        return [
            edge
            for edge, allowed in enumerate(node.subspace.allowed)
            if len(space.comparable(node.subspace, edge)) > 1 and (not whole or allowed == space.root().allowed[edge])
        ]

    def choose(self, node: Node, candidates: Scores, level: int) -> None:
        """Ask the edge rule where a node is split, and store its edges in the node."""
        if not candidates:
            raise ConfigError(f"no edge is left to split at level {level + 1}; lower schedule.levels")
        chosen = self.arm.edge_rule(candidates, self.rng(f"edge {node.path}"), level)
        node.edges = self.checked(chosen if isinstance(chosen, Iterable) else [chosen], candidates)

    def checked(self, edges: Iterable[int], allowed: Collection[int]) -> tuple[int, ...]:
        """The edges that an edge rule named, as plain numbers.

        Raises:
            ConfigError: if it names no edge, one twice, or one that cannot be split.
        """
        numbers = tuple(int(edge) for edge in edges)
        if not numbers or len(set(numbers)) < len(numbers) or not set(numbers) <= set(allowed):
            raise ConfigError(
                f"the edge rule {self.arm.parts['edge_rules'].name} answers {list(numbers)}; it must name one or more "
                f"different edges among {', '.join(map(str, sorted(allowed))) or 'none'}"
            )
        return numbers

    def grow(self, frontier: list[Node]) -> list[Node]:
        """The children: one for each combination of groups on the edges at which a node is split, or as given."""
        space, children = self.space, list[Node]()
        for node in frontier:
            subspaces = list(self.arm.leaves) or [node.subspace]
            for edge in node.edges:
                groups = node.scores[edge][1].groups
                subspaces = [part for subspace in subspaces for part in space.divide(subspace, edge, groups)]
            for index, subspace in enumerate(subspaces):
                child = Node(subspace, f"{node.path}.{index}", node.state)
                # A leaf without architectures gets no budget; where leaves share weights, paths still fall into it.
                if self.arm.shares_weights or owns_any(space, child, children):
                    node.children.append(child)
                    children.append(child)
        return children

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers of the splitting: the same in every arm, new in every draw."""
        return self.seeds.rng(f"{purpose} draw {self.draw}")


def owns_any(space: SearchSpace, child: Node, before: Sequence[Node]) -> bool:
    """Whether some function is in this leaf, and in none of the leaves before it."""
    shared = overlapping(child.subspace, [node.subspace for node in before])
    if not shared:
        return not space.is_empty(child.subspace)
    return len(space.sample_functions(1, np.random.default_rng(0), child.subspace, shared)) > 0
