"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): halves of the official training images, held whole on the device.

The test images are never read: a supernet's estimates come from validation images, and test accuracies from the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from splitbench.harness.errors import ConfigError
from splitbench.spaces.datasets.augment import CropFlip
from splitbench.spaces.datasets.base import Dataset, ImageData
from splitbench.spaces.files import source_kinds, sources

SIDE = 32
CHUNK = 4096  # images converted at once: bounds what conversion needs beside the result


@dataclass(frozen=True)
class Cifar(Dataset):
    """What both datasets have in common.

    Attributes:
        image_size: side in pixels: 32, or 16 or 8 by averaging.
        train, validation: number of images that train weights, and of others that validate; both come from the
            official training images, disjoint, with classes equally large (to within one image).
        augment: whether training images are padded and cropped (by image_size / 8) and flipped.
        cutout: side of the square cut out of training images, in pixels of the image_size; 0 for none.
    """

    image_size: int = SIDE
    train: int = 25_000
    validation: int = 25_000
    augment: bool = True
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.image_size not in (8, 16, 32):
            raise ConfigError(f"dataset {self.name}: image_size is {self.image_size}, and must be 32, 16 or 8")
        for part in ("train", "validation"):
            if getattr(self, part) < 1:
                raise ConfigError(f"dataset {self.name}: {part} is {getattr(self, part)}, and must be at least 1 image")
        if self.train + self.validation > 50_000:
            raise ConfigError(
                f"dataset {self.name}: train and validation are {self.train + self.validation:,} together, and there "
                "are 50,000 training images: lower one of them"
            )
        if not 0 <= self.cutout <= self.image_size:
            raise ConfigError(
                f"dataset {self.name}: cutout is {self.cutout}, and must be 0 to {self.image_size} pixels"
            )
        if self.cutout and not self.augment:
            raise ConfigError(
                f"dataset {self.name}: cutout is {self.cutout} while augment is off: set cutout to 0 or augment to true"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, self.image_size, self.image_size

    @property
    def sizes(self) -> dict[str, int]:
        return {"train": self.train, "validation": self.validation}

    def identity(self) -> str:
        return sources.data_fingerprint(self.name)

    def load(self, device: torch.device) -> ImageData:
        """Read, average down, normalise by the published channel statistics, and put on ``device``.

        Peak memory is about that of the result (12 KB an image of 32x32), plus 3 KB an image of the host's.

        Raises:
            DataError: if the images are missing, damaged or too few.
        """
        source = sources.source_of(self.name)
        assert isinstance(source, source_kinds.Images)
        pixels, labels = sources.images(self.name, self.train + self.validation)
        mean = torch.tensor(source.mean, device=device).view(1, 3, 1, 1)
        deviation = torch.tensor(source.deviation, device=device).view(1, 3, 1, 1)
        parts = {"train": slice(0, self.train), "validation": slice(self.train, self.train + self.validation)}
        images: dict[str, Tensor] = {}
        for part, rows in parts.items():
            raw = torch.from_numpy(pixels[rows])
            out = torch.empty((len(raw), *self.shape), device=device).contiguous(memory_format=torch.channels_last)
            for start in range(0, len(raw), CHUNK):
                chunk = raw[start : start + CHUNK].to(device).permute(0, 3, 1, 2).float() / 255
                chunk = functional.avg_pool2d(chunk, SIDE // self.image_size)
                out[start : start + CHUNK] = (chunk - mean) / deviation
            images[part] = out
        truth = {part: torch.from_numpy(labels[rows]).to(device) for part, rows in parts.items()}
        black = tuple(-m / d for m, d in zip(source.mean, source.deviation, strict=True))
        augment = CropFlip(self.image_size // 8, black, self.cutout) if self.augment else None
        return ImageData(images, truth, self.classes, augment)


@dataclass(frozen=True)
class Cifar10(Cifar):
    """CIFAR-10: ten classes; by default the halves of 25,000 + 25,000 training images, cropped and flipped."""

    name: ClassVar[str] = "cifar10"  # type: ignore[misc]
    classes: ClassVar[int] = 10
    version: ClassVar[int] = 1


@dataclass(frozen=True)
class Cifar100(Cifar):
    """CIFAR-100: a hundred classes; by default the halves of 25,000 + 25,000 training images, cropped and flipped."""

    name: ClassVar[str] = "cifar100"  # type: ignore[misc]
    classes: ClassVar[int] = 100
    version: ClassVar[int] = 1
