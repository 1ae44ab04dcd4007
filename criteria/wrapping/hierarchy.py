"""HEP-NAS: all edges into one node are split at once, and the best child is split on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from splitbench.criteria.base import Affinity, Parts, Probe, parts_of
from splitbench.criteria.wrapping.wrappers import Wrapper
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec


@dataclass(frozen=True)
class Hierarchy(Wrapper):
    """The schedule of HEP-NAS (AAAI 2025, arXiv 2412.10723) around the affinity of another criterion.

    At level h all edges into the h-th node are split in two by ``of``, and every combination of their groups becomes a
    child: 2, 4 and 8 on the NAS-Bench-201 cell. After each level only the child with the best validation estimate is
    split further. The paper measures gradient matching, on inherited weights; its mutual distillation between
    children, and from parent to child, is no part of a split and is left out.

    Attributes:
        of: the criterion that measures.
        levels: nodes that are split at, from the input on; 3 are all of the NAS-Bench-201 cell.
    """

    called: ClassVar[str] = "hierarchy"
    version: ClassVar[int] = 1

    of: Spec = "gm"
    levels: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels < 1:
            raise ConfigError(
                f"criterion hierarchy: levels must be 1 or more, not {self.levels}; the NAS-Bench-201 cell has 3 nodes"
            )

    def parts(self) -> Parts:
        schedule = {"levels": self.levels, "branching": 2, "keep": "best", "share": "steps"}
        return Parts(partitioner="balanced", edge_rule="hierarchy", schedule=schedule, burn=parts_of(self.inner).burn)

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        return self.inner(probe, edge)
