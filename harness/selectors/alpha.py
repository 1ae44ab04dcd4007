"""The selector of gradient-based trainers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from splitbench.harness.errors import ConfigError
from splitbench.harness.selectors.base import LeafToSearch, Search, Selected, Selector
from splitbench.spaces.base import Choice


@dataclass(frozen=True)
class ArgmaxAlpha(Selector):
    """The architecture that the architecture parameters speak for, as the space reads them (Liu et al., ICLR 2019).

    That is the allowed operation with the largest on every edge, and on DARTS' edges the two strongest inputs of each
    node.

    Leaves are compared by the validation accuracy of the mixture that was trained, as GM-NAS first did: a path of
    weights that were trained as a mixture says little, and the mixture's price is known before training.
    """

    reads_architecture_weights: ClassVar[bool] = True
    version: ClassVar[int] = 1

    def plan(self, leaf: LeafToSearch) -> list[Choice]:
        return [leaf.space.mixture(torch.zeros(leaf.space.weights_shape), leaf.subspace)]

    def select(self, search: Search) -> Selected:
        weights, leaf = search.architecture_weights, search.leaf
        if weights is None:
            raise ConfigError("selector argmax_alpha: this trainer learns no architecture parameters; use random_best")
        answer = leaf.space.discretise(weights, leaf.subspace)
        return Selected(answer, *search.evaluate(leaf.space.mixture(weights, leaf.subspace)))
