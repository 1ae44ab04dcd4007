"""HEP-NAS: one level of splits a node of the cell, on all edges into it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from criteria import base
from criteria.base import Affinity, Criterion, Parts, Probe
from harness.errors import ConfigError
from harness.registry import Spec, build
from spaces.base import SearchSpace


@dataclass(frozen=True)
class Hierarchy:
    """The schedule of HEP-NAS (AAAI 2025, arXiv 2412.10723) around the affinity of another criterion.

    At level h all edges into the h-th node are split in two by ``of``, and every combination of their groups becomes a
    child: 2, 4 and 8 on the NAS-Bench-201 cell. After each level only the child with the best validation estimate is
    split further. The paper measures gradient matching, on inherited weights; its mutual distillation between
    children, and from parent to child, is no part of a split and is left out.

    Attributes:
        of: the criterion that measures.
        levels: nodes that are split at, from the input on; 3 are all of the NAS-Bench-201 cell.
    """

    nested: ClassVar[Mapping[str, str]] = {"of": "criteria"}

    of: Spec = "gm"
    levels: int = 3

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise ConfigError(
                f"criterion hierarchy: levels must be 1 or more, not {self.levels}; the NAS-Bench-201 cell has 3 nodes"
            )

    @property
    def criterion(self) -> Criterion:
        """What ``of`` names; raises ConfigError if that never splits."""
        found: Criterion = build("criteria", self.of, "criterion hierarchy.of")
        if not base.splits(found):
            raise ConfigError(
                f"criterion hierarchy: of must be a criterion that compares operations, not {self.of!r}, which never "
                "splits; gm is the paper's"
            )
        return found

    @property
    def draws(self) -> bool:
        return bool(getattr(self.criterion, "draws", False))

    @property
    def reads_truth(self) -> bool:
        return base.reads_truth(self.criterion)

    def unfit(self, space: SearchSpace) -> str | None:
        return base.unfit(self.criterion, space)

    def parts(self) -> Parts:
        return Parts(partitioner="balanced", edge_rule="hierarchy", schedule={"levels": self.levels, "keep": "best"})

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        return self.criterion(probe, edge)
