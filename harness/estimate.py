"""Estimates: an architecture's accuracy and loss in a leaf, on fixed, unaugmented validation images."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from splitbench.harness.budget import Cost, forward_pass
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.stages import load_tensors, save_tensors
from splitbench.harness.training import checkpoint_seconds
from splitbench.harness.workbench import Workbench, subspace_of, write_note
from splitbench.spaces.base import Architecture, Choice, Rows, SearchSpace, Supernet
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.populations import population


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


def predict(bench: Workbench, inputs: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], Cost]:
    """The predict stage: estimates of every architecture of the population that lies in this leaf.

    Args:
        bench: space and images.
        inputs: ``subspace, state, population {sample, seed}, evaluation``, and ``earlier``, the leaves before it that
            overlap with it, if there are any.
        folder: ``estimates.safetensors`` is left in it: rows [A, edges], accuracy [A], loss [A].
    """
    rows = leaf_population(bench.space, inputs)
    supernet, _ = bench.supernet(0, inputs["state"])
    evaluation = Evaluation(**inputs["evaluation"])
    accuracy, loss = torch.zeros(len(rows), dtype=torch.float64), torch.zeros(len(rows), dtype=torch.float64)
    checkpoint, start = folder / "checkpoint.safetensors", 0
    if checkpoint.exists():
        tensors, notes = load_tensors(checkpoint)
        accuracy, loss, start = tensors["accuracy"], tensors["loss"], notes["done"]
    saved = time.monotonic()
    for index in range(start, len(rows)):
        choice: Architecture = tuple(rows[index].tolist())
        accuracy[index], loss[index] = estimate(supernet, choice, bench.data, evaluation)
        if time.monotonic() - saved > checkpoint_seconds():
            saved = time.monotonic()
            save_tensors(checkpoint, {"accuracy": accuracy, "loss": loss}, {"done": index + 1})
            write_note(folder / "progress.json", (index + 1) / len(rows))
    save_tensors(
        folder / "estimates.safetensors",
        {"rows": torch.from_numpy(rows.copy()), "accuracy": accuracy, "loss": loss},
        {},
    )
    return {"count": len(rows)}, Cost()


def leaf_population(space: SearchSpace, inputs: Mapping[str, Any]) -> Rows:
    """The population's architectures that the leaf owns."""
    earlier = [subspace_of(lists) for lists in inputs.get("earlier", ())]
    return population(space, **inputs["population"], subspace=subspace_of(inputs["subspace"]), earlier=earlier)
