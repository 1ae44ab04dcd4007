"""Gradient matching: operations whose shared weights want to move the same way may share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from splitbench.criteria.base import Affinity, Matrix, Parts, Probe, keeps_operations
from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.spaces.base import SearchSpace


@dataclass(frozen=True)
class GradientMatching:
    """1 - cosine of the gradients that two operations of an edge give the weights they share (Hu et al., ICLR 2022).

    Attributes:
        variant: ``corrected``, or ``as_shipped`` as released for NAS-Bench-201; docs/criteria.md says what differs.
        repetitions: batches, each with one context for all operations of the edge.
        distance: ``cosine`` of all shared parameters as one vector; ``per_layer_mean`` of each parameter tensor's own
            cosine distance, over the tensors that ran; ``mse``, the sum of squared differences.
    """

    variant: Literal["corrected", "as_shipped"] = "corrected"
    repetitions: int = 100
    distance: Literal["cosine", "per_layer_mean", "mse"] = "cosine"

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.repetitions < 1:
            raise ConfigError(f"criterion gm: repetitions must be 1 or more, not {self.repetitions}; 100 is usual")

    def unfit(self, space: SearchSpace) -> str | None:
        """The released contexts need edges that are there whatever runs on the others."""
        return keeps_operations(space) if self.variant == "as_shipped" else None

    def parts(self) -> Parts:
        if self.variant == "as_shipped":
            return Parts(edge_rule="shipped_max_cut", only_whole_edges=True)
        return Parts()

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations, corrected = probe.operations(edge), self.variant == "corrected"
        lengths = probe.lengths(edge, outer=corrected) if self.distance == "per_layer_mean" else None
        samples = np.empty((self.repetitions, len(operations), len(operations)))
        # Operations are compared within a repetition, on one batch and in one context: what those do to a gradient is
        # then the same for both. A gradient averaged over repetitions first would mix contexts, and give one number
        # without a standard error. An operation's own weights are left out, since no other operation moves them.
        for r in range(self.repetitions):
            context = probe.context(edge, r, connected=corrected)
            gradients = [probe.gradient(edge, op, r, context, outer=corrected) for op in operations]
            grams = gram_matrices(gradients, lengths)
            if not np.isfinite(grams).all():
                raise SplitbenchError(
                    f"criterion gm: a gradient on edge {edge} is not finite; the supernet has diverged before the "
                    "split, so lower the trainer's learning rate"
                )
            samples[r] = self.compare(grams)
        return Affinity.of(operations, samples, undefined=1.0)

    def compare(self, grams: Matrix) -> Matrix:
        """Inner products [layers, n, n] -> dissimilarities [n, n]; NaN where there is nothing to compare."""
        squares = grams.diagonal(axis1=1, axis2=2)
        if self.distance == "mse":
            differences: Matrix = squares[:, :, None] + squares[:, None, :] - 2 * grams
            return np.asarray(np.maximum(differences[0], 0.0))
        # The angle and not the difference: operations scale their gradients differently (a pooling, a convolution), and
        # sharing hurts where they want opposite directions, not where one takes longer steps.
        norms = np.sqrt(squares)
        products = norms[:, :, None] * norms[:, None, :]
        distances = np.full_like(grams, np.nan)
        if self.variant == "as_shipped":
            distances = 1 - grams / (products + 1e-6)
        else:  # a zero vector has no direction
            np.divide(products - grams, products, out=distances, where=products > 0)
        distances = np.clip(distances, 0.0, 2.0)
        if self.distance == "cosine":
            return np.asarray(distances[0])
        ran = np.maximum(norms[:, :, None], norms[:, None, :]) > 0  # a layer that ran under neither says nothing
        measured = ran & ~np.isnan(distances)
        total, count = np.where(measured, distances, 0.0).sum(axis=0), measured.sum(axis=0)
        return np.asarray(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))


def gram_matrices(gradients: Sequence[Tensor | None], lengths: Sequence[int] | None = None) -> Matrix:
    """Inner products of n gradients [P] (None: zero) in float64: [layers, n, n]; one layer without ``lengths``."""
    ran = np.array([i for i, gradient in enumerate(gradients) if gradient is not None], dtype=int)
    grams = np.zeros((1 if lengths is None else len(lengths), len(gradients), len(gradients)))
    if len(ran):
        stacked = torch.stack([gradient for gradient in gradients if gradient is not None])
        blocks = [stacked] if lengths is None else torch.split(stacked, list(lengths), dim=1)
        products = torch.stack([block.double() @ block.double().T for block in blocks])
        grams[:, ran[:, None], ran] = ((products + products.mT) / 2).cpu().numpy()
    return grams
