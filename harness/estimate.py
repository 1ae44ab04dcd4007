"""Estimates: an architecture's accuracy and loss in a leaf, on fixed, unaugmented validation images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from splitbench.harness.budget import Cost, forward_pass
from splitbench.harness.errors import SplitbenchError
from splitbench.spaces.base import Choice, SearchSpace, Supernet
from splitbench.spaces.datasets.base import ImageData


@dataclass(frozen=True)
class Evaluation:
    """How estimates are measured.

    Attributes:
        images: how many validation images, from the front of their fixed order; all if None.
        batch_size: of one forward pass; normalisation uses this batch's own statistics.
    """

    images: int | None
    batch_size: int

    def count(self, total: int) -> int:
        """How many of ``total`` validation images are used."""
        return total if self.images is None else min(self.images, total)

    def cost(self, space: SearchSpace, choice: Choice, images: int, step_size: int) -> Cost:
        """Of one architecture's estimate, counted in steps of the trainer's batch size."""
        return forward_pass(space, choice, images, step_size)


@torch.no_grad()
def estimate(supernet: Supernet, choice: Choice, data: ImageData, evaluation: Evaluation) -> tuple[float, float]:
    """Top-1 accuracy in percent and cross-entropy of one architecture.

    The images are cut into equal batches, none shorter than the rest by more than one image.
    """
    count = evaluation.count(len(data.labels["validation"]))
    hits, loss = 0, 0.0
    batches = -(-count // evaluation.batch_size)
    for rows in np.array_split(np.arange(count), batches):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        labels = data.labels["validation"][part]
        logits = supernet(data.images["validation"][part], choice).float()
        hits += int((logits.argmax(1) == labels).sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
    if not math.isfinite(loss):
        raise SplitbenchError(
            f"the estimate of architecture {choice} is not finite: the supernet has diverged; "
            "lower the trainer's learning rate"
        )
    return 100 * hits / count, loss / count
