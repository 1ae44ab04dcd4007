"""The split tree of one run: each node's subspace, its training, and its split with the scores that led to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from splitbench.criteria.base import Affinity, Partition
from splitbench.harness.selectors.base import Selected
from splitbench.harness.stages.context import WeightsPlace
from splitbench.spaces.base import SubSpace

Scores = dict[int, tuple[Affinity, Partition]]


@dataclass(eq=False)
class Node:
    """A node of the split tree.

    Attributes:
        subspace: what it still allows.
        path: its place in the tree; the root's is the first part.
        state: where its weights are; None for a root that has not been trained.
        own_steps: trained since it was split off.
        curve: (step from the root, training loss) of its own training.
        edges: where it was split: one edge, or several at once.
        scores: edge -> affinity and partition, where they were measured.
        children: one for each group, or combination of groups; none of a leaf.
        selected: the architecture that the selector chose in it, if that decided whether it is split further.
        kept: False for a leaf that the schedule gave up before the end.
    """

    subspace: SubSpace
    path: str
    state: WeightsPlace | None = None
    own_steps: int = 0
    curve: list[tuple[int, float]] = field(default_factory=list)
    edges: tuple[int, ...] = ()
    scores: Scores = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    selected: Selected | None = None
    kept: bool = True

    @property
    def answer(self) -> Selected:
        """The architecture that the selector chose in this leaf.

        Raises:
            ValueError: if it has not chosen yet.
        """
        if self.selected is None:
            raise ValueError(f"nothing has been selected from {self.path} yet")
        return self.selected
