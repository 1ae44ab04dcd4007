"""A partition that whoever wrote the study decided: it is measured by nobody, and it costs nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from splitbench.criteria.base import Affinity, Groups, Parts, Probe
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import suggestion
from splitbench.spaces.architectures.subspaces import require_cover
from splitbench.spaces.base import SearchSpace, SubSpace

Named = tuple[int | str, ...]
"""Operations of one edge, each by its index or its name."""
EXAMPLE = "{criterion: given, edge: 0, groups: [[0], [1, 2, 3, 4]]}"


@dataclass(frozen=True)
class Given:
    """A partition that is written down: groups of operations on one edge, or all leaves.

    Nothing is measured, so it is no finding of a criterion, and tables mark it so. Either one edge and the groups that
    it is split into, or the leaves themselves: each a list of allowed operations an edge, one list for every edge. No
    two leaves may hold the same architecture (but for operations that stay in every child: an architecture is then the
    first leaf's that contains it), and together they must hold every one. The root is warmed up as in any other arm,
    and the leaves are its children.

    Attributes:
        edge: the index of the edge that is split.
        groups: of its operations, by index or name.
        leaves: all leaves; or the path of a JSON file that holds them, from the current folder on.
    """

    given: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = {"edge": 0, "groups": [[0], [1, 2, 3, 4]]}
    version: ClassVar[int] = 1

    edge: int | None = None
    groups: tuple[Named, ...] | None = None
    leaves: Any = None

    def __post_init__(self) -> None:
        if (self.groups is None) == (self.leaves is None) or (self.groups is None) != (self.edge is None):
            raise ConfigError(
                f"criterion given: give edge and groups, as {EXAMPLE}, or leaves: a list of leaves, each a list of "
                "allowed operations an edge, or the path of a JSON file with such a list; not both"
            )
        if self.leaves is not None:
            leaves = read_leaves(self.leaves) if isinstance(self.leaves, str) else self.leaves
            object.__setattr__(self, "leaves", as_tuples(leaves, "criterion given"))

    def parts(self) -> Parts:
        if self.groups is None:
            return Parts(schedule={"levels": 1})
        one_level = {"levels": 1, "branching": len(self.groups)}
        return Parts("best_worth", {"name": "fixed", "edges": (self.edge,)}, one_level)

    def unfit(self, space: SearchSpace) -> str | None:
        """Why what is given is no partition of this space; None if it is."""
        try:
            self.subspaces(space)
        except ConfigError as error:
            return str(error)
        return None

    def subspaces(self, space: SearchSpace) -> tuple[SubSpace, ...]:
        """The leaves, where they are given themselves; none where an edge is split as always.

        Raises:
            ConfigError: if what is given is no partition of this space.
        """
        if self.leaves is None:
            space.divide(space.root(), self.checked_edge(space), self.indices(space))
            return ()
        edges = len(space.edges)
        for number, leaf in enumerate(self.leaves):
            if len(leaf) != edges:
                raise ConfigError(
                    f"leaves[{number}] lists the operations of {len(leaf)} edges, and {space.name} has {edges}; give "
                    "one list an edge"
                )
        leaves = tuple(
            SubSpace(tuple(_ascending(space, edge, own, f"leaves[{number}][{edge}]") for edge, own in enumerate(leaf)))
            for number, leaf in enumerate(self.leaves)
        )
        require_cover(space, leaves)
        return leaves

    def checked_edge(self, space: SearchSpace) -> int:
        """The edge to split; raises ConfigError if the space has no such edge."""
        if self.edge is None or not 0 <= self.edge < len(space.edges):
            raise ConfigError(
                f"edge {self.edge} is none of {space.name}, whose edges are 0 to {len(space.edges) - 1}; correct edge"
            )
        return self.edge

    def indices(self, space: SearchSpace) -> Groups:
        """The groups by operation indices; raises ConfigError where an operation is none of the edge."""
        edge, groups = self.checked_edge(space), self.groups or ()
        ordered = tuple(_ascending(space, edge, group, f"groups[{number}]") for number, group in enumerate(groups))
        if len(ordered) < 2:
            raise ConfigError("groups must be two or more, or nothing is split; use the criterion none for one")
        return ordered

    def foreseen(self, space: SearchSpace, subspace: SubSpace, edge: int) -> Affinity:
        """What it answers, known before anything is trained: operations of different groups are 1 apart, those of one
        group 0. On edges that nothing is said about, all are 0 apart."""
        operations = space.comparable(subspace, edge)
        groups = self.indices(space) if edge == self.edge else (operations,)
        parts = [tuple(op for op in group if op in operations) for group in groups]
        member = {op: number for number, group in enumerate(parts) for op in group}
        labels = np.array([member[op] for op in operations])
        apart = Affinity.assumed(operations, (labels[:, None] != labels).astype(np.float64))
        worth = ((tuple(sorted(group for group in parts if group)), 1.0),)
        return Affinity(operations, apart.dissimilarity, apart.standard_error, 0, worth)

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        if self.groups is None:
            raise TypeError("the leaves are given, so that no edge is ever scored; ask for subspaces(space) first")
        return self.foreseen(probe.space, probe.subspace, edge)


def read_leaves(path: str) -> Any:
    """What a JSON file of leaves holds.

    Raises:
        ConfigError: if it cannot be read.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"criterion given: leaves: the file {path} cannot be read ({error.strerror}); a relative path starts from "
            "the current folder"
        ) from error
    except ValueError as error:
        raise ConfigError(f"criterion given: leaves: {path} is no JSON file ({error}); correct it") from error


def as_tuples(leaves: Any, where: str) -> tuple[tuple[Named, ...], ...]:
    """Leaves as tuples.

    Raises:
        ConfigError: if they are not two or more lists of lists of indices and names.
    """

    def listed(value: Any) -> bool:
        return isinstance(value, list | tuple) and bool(value)

    def operation(value: Any) -> bool:
        return isinstance(value, int | str) and not isinstance(value, bool)

    if not (
        listed(leaves)
        and len(leaves) > 1
        and all(listed(leaf) and all(listed(own) and all(map(operation, own)) for own in leaf) for leaf in leaves)
    ):
        raise ConfigError(
            f"{where}: leaves must be a list of two or more leaves, each with a list of allowed operations (indices or "
            "names) for every edge, as [[[0], [0, 1]], [[1], [0, 1]]] for two edges of two operations; correct it"
        )
    return tuple(tuple(tuple(own) for own in leaf) for leaf in leaves)


def _ascending(space: SearchSpace, edge: int, named: Sequence[int | str], where: str) -> tuple[int, ...]:
    """Operations of an edge as ascending indices.

    Raises:
        ConfigError: if one is not of this edge, or stands twice.
    """
    names = space.operations(edge)
    indices = []
    for operation in named:
        if operation not in names and not (isinstance(operation, int) and 0 <= operation < len(names)):
            near = suggestion(operation, list(names)) if isinstance(operation, str) else ""
            there = ", ".join(f"{index} {name}" for index, name in enumerate(names))
            raise ConfigError(f"{where}: {operation!r} is no operation of edge {edge}{near}; there are: {there}")
        indices.append(operation if isinstance(operation, int) else names.index(operation))
    if len(set(indices)) < len(indices) or not indices:
        raise ConfigError(f"{where}: {list(named)} must name one or more operations of edge {edge}, each once")
    return tuple(sorted(indices))
