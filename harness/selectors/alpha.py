"""The selector of gradient-based trainers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from splitbench.harness.errors import ConfigError
from splitbench.harness.selectors.base import Evaluate, Leaf, Selected, Selector
from splitbench.harness.trainers.darts import mixture
from splitbench.spaces.base import Choice


@dataclass(frozen=True)
class ArgmaxAlpha(Selector):
    """The allowed operation with the largest architecture parameter on every edge (Liu et al., ICLR 2019).

    Leaves are compared by the validation accuracy of the mixture that was trained, as GM-NAS first did: a path of
    weights that were trained as a mixture says little, and the mixture's price is known before training.
    """

    reads_architecture_weights: ClassVar[bool] = True
    version: ClassVar[int] = 1

    def plan(self, leaf: Leaf) -> list[Choice]:
        return [mixture(leaf.subspace, torch.zeros(shape(leaf)))]

    def select(self, leaf: Leaf, evaluate: Evaluate, architecture_weights: Tensor | None) -> Selected:
        if architecture_weights is None:
            raise ConfigError("selector argmax_alpha: this trainer learns no architecture parameters; use random_best")
        answer = tuple(
            max(operations, key=lambda op: float(architecture_weights[edge, op]))
            for edge, operations in enumerate(leaf.subspace.allowed)
        )
        return Selected(answer, *evaluate(mixture(leaf.subspace, architecture_weights)))


def shape(leaf: Leaf) -> tuple[int, int]:
    """Edges, and the most operations on one."""
    return len(leaf.space.edges), max(len(leaf.space.operations(edge)) for edge in range(len(leaf.space.edges)))
