"""Images of one dataset, held whole on the device, cut into the half that trains weights and the half that validates.

There are no test images here: a supernet's estimates come from validation images, and test accuracy comes from the
ground truth. Batches are a pure function of (seed, step), so a run that goes on from a checkpoint sees the same data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Augment = Callable[[Tensor, torch.Generator], Tensor]
PARTS = ("train", "validation")


@dataclass
class ImageData:
    """Normalised images on one device.

    Attributes:
        images: part -> [N, C, H, W] float32, channels-last.
        labels: part -> [N] int64.
        classes: number of classes.
        augment: applied to training batches; draws from a CPU generator, so that every device sees the same images.
    """

    images: dict[str, Tensor]
    labels: dict[str, Tensor]
    classes: int
    augment: Augment | None = None
    _orders: dict[tuple[str, int, int], Tensor] = field(default_factory=dict, repr=False)

    @property
    def device(self) -> torch.device:
        return self.images["train"].device

    def batch(self, part: str, seed: int, step: int, size: int, augment: bool = True) -> tuple[Tensor, Tensor]:
        """The ``step``-th batch of an endless stream of shuffled epochs: images [size, C, H, W], labels [size].

        A batch may straddle two epochs, so every image is seen equally often and no batch is short.
        """
        start, total = step * size, len(self.labels[part])
        pieces, position = [], start
        while position < start + size:
            epoch, offset = divmod(position, total)
            take = min(total - offset, start + size - position)
            pieces.append(self._order(part, seed, epoch)[offset : offset + take])
            position += take
        rows = torch.cat(pieces).to(self.device)
        images = self.images[part][rows]
        if augment and self.augment is not None:
            images = self.augment(images, torch.Generator().manual_seed(_mix(seed, step)))
        return images, self.labels[part][rows]

    def _order(self, part: str, seed: int, epoch: int) -> Tensor:
        key = (part, seed, epoch)
        if key not in self._orders:
            if len(self._orders) > 8:  # a stream needs two epochs at a time; a few streams run side by side
                self._orders.pop(next(iter(self._orders)))
            generator = torch.Generator().manual_seed(_mix(seed, epoch))
            self._orders[key] = torch.randperm(len(self.labels[part]), generator=generator)
        return self._orders[key]


def _mix(seed: int, count: int) -> int:
    """A generator seed from a stream's seed and a counter."""
    return (seed + 0x9E3779B97F4A7C15 * (count + 1)) % 2**63


class Dataset(ABC):
    """A dataset component: its parameters choose size and split, ``load`` puts it on a device."""

    name: str

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width of an image."""

    @property
    @abstractmethod
    def classes(self) -> int:
        """Number of classes."""

    @property
    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Part -> number of images, known without reading them."""

    def identity(self) -> str:
        """A checksum of the files that images are read from, or a version where they cannot change."""
        return "1"

    @abstractmethod
    def load(self, device: torch.device) -> ImageData:
        """Read, split and normalise.

        Raises:
            DataError: if the files are missing or damaged.
        """
