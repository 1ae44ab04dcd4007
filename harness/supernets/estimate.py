"""Estimates: an architecture's accuracy and loss in a leaf, on fixed, unaugmented validation images."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from splitbench.harness.budget import Cost, forward_pass
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.hashing import HASHED_IF_SET
from splitbench.harness.supernets.normalisation import (
    BATCH,
    RECALIBRATED,
    RUNNING,
    RunningStatistics,
    calibrated,
    fixed_by_call,
)
from splitbench.spaces.base import Choice, SearchSpace, Supernet
from splitbench.spaces.datasets.base import ImageData

CALIBRATION_BATCH = 100
"""Most training images of a forward pass that measures statistics, as in Once-for-All's code. It is no option, so that
estimates do not depend on how images fall into batches."""


@dataclass(frozen=True)
class Evaluation:
    """How estimates are measured.

    Attributes:
        images: how many validation images, from the front of their fixed order; all if None.
        batch_size: of one forward pass.
        batch_norm: what normalises them: the batch's own statistics, those of the architecture on training images
            (``recalibrated``), or those that its layers kept in training (``running``).
        calibration: how many unaugmented training images statistics are measured on; 0 but for ``recalibrated``.
        seed: of which training images these are.
    """

    images: int | None
    batch_size: int
    batch_norm: str = field(default=BATCH, metadata=HASHED_IF_SET)
    calibration: int = field(default=0, metadata=HASHED_IF_SET)
    seed: int = field(default=0, metadata=HASHED_IF_SET)

    @property
    def keeps_statistics(self) -> bool:
        """Whether it takes statistics that are kept in training."""
        return self.batch_norm == RUNNING

    def count(self, total: int) -> int:
        """How many of ``total`` validation images are used."""
        return total if self.images is None else min(self.images, total)

    def cost(self, space: SearchSpace, choice: Choice, images: int, step_size: int) -> Cost:
        """Of one architecture's estimate, counted in steps of the trainer's batch size."""
        passes = (forward_pass(space, choice, count, step_size) for count in (images, self.calibration))
        return sum(passes, Cost())

    def calibrating(self, data: ImageData) -> list[Tensor]:
        """The training images that statistics are measured on, in batches of [N, C, H, W] that differ by one image at
        most."""
        images, _ = data.batch("train", self.seed, 0, self.calibration, augment=False)
        return list(images.tensor_split(-(-self.calibration // CALIBRATION_BATCH)))


def normalising(
    supernet: Supernet, choice: Choice, data: ImageData, evaluation: Evaluation, running: RunningStatistics | None
) -> contextlib.AbstractContextManager[None]:
    """Inside, passes of ``choice`` are normalised as the evaluation says.

    Raises:
        ValueError: if it takes running statistics and none are given.
    """
    if evaluation.batch_norm == RECALIBRATED:
        return fixed_by_call(supernet, calibrated(supernet, choice, evaluation.calibrating(data)))
    if evaluation.batch_norm == RUNNING:
        if running is None:
            raise ValueError("an evaluation by running statistics needs those of the supernet")
        return running.fixed()
    return contextlib.nullcontext()


@torch.no_grad()
def estimate(
    supernet: Supernet,
    choice: Choice,
    data: ImageData,
    evaluation: Evaluation,
    running: RunningStatistics | None = None,
) -> tuple[float, float]:
    """Top-1 accuracy in percent and cross-entropy of one architecture.

    The images are cut into equal batches, none shorter than the rest by more than one image.

    Args:
        supernet, choice: what runs.
        data: validation images, and the training images to calibrate on.
        evaluation: how.
        running: the statistics that the supernet kept in training, if the evaluation takes such.
    """
    count = evaluation.count(len(data.labels["validation"]))
    hits, loss = 0, 0.0
    batches = -(-count // evaluation.batch_size)
    with normalising(supernet, choice, data, evaluation, running):
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
