"""The topology of a search space: its edges and operations, and which architectures are connected or one function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, final

from splitbench.harness.errors import ConfigError
from splitbench.spaces.choices import Architecture, SubSpace


class Topology(ABC):
    """The edges of a space, the operations on each, and what an architecture means as a network.

    Attributes:
        name: of the space, as a study file has it.
        edges: a name for each edge, in the order of an architecture's entries.
    """

    name: ClassVar[str]
    edges: tuple[str, ...]

    @abstractmethod
    def operations(self, edge: int) -> tuple[str, ...]:
        """Names of the candidate operations on ``edge``."""

    def absent(self, edge: int) -> frozenset[int]:
        """The operations of ``edge`` that put nothing there, as ``none``: where one is chosen the edge is not there."""
        return frozenset()

    @property
    def one_cell(self) -> bool:
        """Whether an architecture describes a single cell, which all cells of a network repeat."""
        return False

    @property
    def every_string(self) -> bool:
        """Whether each choice of one operation an edge is an architecture, connected or not.

        False where a rule holds between edges, as two inputs a node: what breaks the rule is then no architecture, and
        ``connected`` says so.
        """
        return True

    def root(self) -> SubSpace:
        return SubSpace(tuple(tuple(range(len(self.operations(edge)))) for edge in range(len(self.edges))))

    def encode(self, architecture: Architecture) -> str:
        """A string that names the architecture: one digit an edge unless the space has its own notation."""
        return "".join(str(op) for op in architecture)

    def decode(self, text: str) -> Architecture:
        """The inverse of :meth:`encode`.

        Raises:
            ValueError: if ``text`` names no architecture of this space.
        """
        if len(text) != len(self.edges) or not (text.isascii() and text.isdigit()):
            raise ValueError(f"{text!r} is not an architecture of {self.name}: {len(self.edges)} digits are expected")
        architecture = tuple(int(digit) for digit in text)
        if not self.root().contains(architecture):
            raise ValueError(f"{text!r} is not an architecture of {self.name}: an operation index is out of range")
        return architecture

    def connected(self, choice: Architecture | SubSpace) -> bool:
        """Whether the input reaches the output; of a string that is no architecture (:attr:`every_string`), False.

        A subspace stands for the mixture of everything in it.
        """
        return True

    def function(self, architecture: Architecture) -> Architecture:
        """The canonical architecture that computes the same function in this space's supernet or stand-alone network.

        Two architectures are one function exactly if their canonical architectures are equal.
        """
        return architecture

    def hierarchies(self) -> tuple[tuple[int, ...], ...]:
        """Edges grouped by the node they lead into, from input to output; a chain has one edge a node."""
        return tuple((edge,) for edge in range(len(self.edges)))

    # -- what splits and leaves are made of ---------------------------------------------------------------------------

    def comparable(self, subspace: SubSpace, edge: int) -> tuple[int, ...]:
        """The operations of ``edge`` that a split separates, ascending: those allowed, less those that stay in every
        child. Criteria compare exactly these.

        Where ``none`` means "not one of a node's inputs", as on the edges of DARTS, it stays: a child without it would
        say that the edge must be chosen. Children then overlap, and an architecture belongs to the first leaf that
        contains it (:func:`splitbench.spaces.architectures.subspaces.owner`).
        """
        return subspace.allowed[edge]

    @final
    def divide(self, subspace: SubSpace, edge: int, groups: Sequence[Sequence[int]]) -> tuple[SubSpace, ...]:
        """One child a group: the subspace with only that group's operations on ``edge``, and those that stay.

        Raises:
            ConfigError: if the groups are not a partition of the operations that a split separates.
        """
        separated = self.comparable(subspace, edge)
        if sorted(op for group in groups for op in group) != list(separated) or not all(map(len, groups)):
            raise ConfigError(
                f"edge {edge} of {self.name}: the groups {[list(group) for group in groups]} are not a partition of "
                f"the operations {list(separated)} that a split separates there; a criterion compares those that "
                "probe.operations(edge) names"
            )
        stays = set(subspace.allowed[edge]) - set(separated)
        return tuple(subspace.only(edge, {*group, *stays}) for group in groups)
