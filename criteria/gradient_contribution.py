"""Gradient contribution: all pairs of an edge from one backward pass through the mixture of its operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitbench.criteria.base import Affinity, Probe
from splitbench.criteria.gm import GradientMatching, gram_matrices
from splitbench.harness.errors import ConfigError, SplitbenchError


@dataclass(frozen=True)
class GradientContribution:
    """1 - cosine of what two operations of a mixed edge send back to the edge's input.

    Song et al., "Towards Efficient Few-shot Graph Neural Architecture Search via Partitioning Gradient Contribution",
    KDD 2025: the modules of a layer that send like gradients to the layer before it share a supernet. With
    y = sum_o w_o o(x) on the edge, operation o contributes the pullback v_o = w_o J_o^T dL/dy to dL/dx, and
    D(o, o') = 1 - cos(v_o, v_o'), over all cells and images of a batch.
    The weight w_o changes only the length of v_o.

    Cost: one forward and one backward pass of the edge's mixture a repetition, whatever the number of operations; exact
    gradient matching needs one of each for each operation. It looks at the gradient of the edge's input, not of the
    shared weights, so it is another quantity.

    ``none`` sends nothing back, and what has no direction is not measured: its dissimilarity to all others is the mean
    of those that were, so that it joins either side. Nor is anything measured in a context that the edge is dead in,
    where gradient matching finds no difference.

    Attributes:
        repetitions: batches, each with one context.
    """

    needs: ClassVar[tuple[str, ...]] = ("separate_operations",)

    repetitions: int = 100

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.repetitions < 1:
            raise ConfigError(
                f"criterion gradient_contribution: repetitions must be 1 or more, not {self.repetitions}; 100 is usual"
            )

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations = probe.operations(edge)
        cosine = GradientMatching()
        samples = np.empty((self.repetitions, len(operations), len(operations)))
        for r in range(self.repetitions):
            grams = gram_matrices(probe.pullbacks(edge, r, probe.context(edge, r)))
            if not np.isfinite(grams).all():
                raise SplitbenchError(
                    f"criterion gradient_contribution: a gradient on edge {edge} is not finite; the supernet has "
                    "diverged before the split, so lower the trainer's learning rate"
                )
            samples[r] = cosine.compare(grams)
        return Affinity.of(operations, samples)
