"""scikit-learn's digits: 1,797 real 8x8 grey images of ten classes, shipped inside that package.

Split once and for all: 200 training, 597 validation and 1,000 test images, stratified by class. The test images are
seen by the micro space's ground-truth build alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from splitbench.spaces.datasets.base import Dataset, ImageData

SIZES = {"train": 200, "validation": 597, "test": 1000}


def digits(part: str) -> tuple[Tensor, Tensor]:
    """Images [N, 1, 8, 8] normalised by the training images' mean and deviation, and labels [N], of one part."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(201).permutation(len(bunch.target))
    # Interleave the classes, so that every prefix of the order is balanced: rank within class, then class.
    target = bunch.target[order]
    rank = np.zeros(len(target), dtype=np.int64)
    for label in range(10):
        rank[target == label] = np.arange(int((target == label).sum()))
    order = order[np.lexsort((target, rank))]
    start = {"train": 0, "validation": SIZES["train"], "test": SIZES["train"] + SIZES["validation"]}
    rows = order[start[part] : start[part] + SIZES[part]]
    images = torch.tensor(bunch.images, dtype=torch.float32)
    reference = images[order[: SIZES["train"]]]
    images = (images[rows] - reference.mean()) / reference.std()
    return images.unsqueeze(1), torch.tensor(bunch.target[rows], dtype=torch.int64)


@dataclass(frozen=True)
class Digits(Dataset):
    """scikit-learn's digits, 200 training and 597 validation images of 8x8 pixels, no augmentation."""

    name: ClassVar[str] = "digits"  # type: ignore[misc]
    shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    classes: ClassVar[int] = 10
    version: ClassVar[int] = 1

    @property
    def sizes(self) -> dict[str, int]:
        return {part: SIZES[part] for part in ("train", "validation")}

    def load(self, device: torch.device) -> ImageData:
        parts = {part: digits(part) for part in ("train", "validation")}
        images = {k: v[0].to(device).contiguous(memory_format=torch.channels_last) for k, v in parts.items()}
        return ImageData(images, {k: v[1].to(device) for k, v in parts.items()}, self.classes)
