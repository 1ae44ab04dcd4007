"""The selector of gradient-based trainers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harness.errors import ConfigError
from harness.selectors.base import Evaluate, Leaf, Selected, Selector
from spaces.base import Architecture


@dataclass(frozen=True)
class ArgmaxAlpha(Selector):
    """The allowed operation with the largest architecture parameter on every edge (Liu et al., ICLR 2019).

    Only the answer itself is evaluated, so that leaves can be compared.
    """

    reads_architecture_weights: ClassVar[bool] = True

    def plan(self, leaf: Leaf) -> list[Architecture]:
        """The dearest path: the answer cannot cost more."""
        space, path = leaf.space, [operations[0] for operations in leaf.subspace.allowed]
        for edge, operations in enumerate(leaf.subspace.allowed):
            path[edge] = max(operations, key=lambda op: space.flops((*path[:edge], op, *path[edge + 1 :])).forward)
        return [tuple(path)]

    def select(self, leaf: Leaf, evaluate: Evaluate, architecture_weights: Tensor | None) -> Selected:
        if architecture_weights is None:
            raise ConfigError("selector argmax_alpha: this trainer learns no architecture parameters; use random_best")
        answer = tuple(
            max(operations, key=lambda op: float(architecture_weights[edge, op]))
            for edge, operations in enumerate(leaf.subspace.allowed)
        )
        return Selected(answer, *evaluate(answer))
