"""The embedded space: the NAS-Bench-201 cell on 8x8 digits, small enough that its whole truth was trained here.

Three cells of 8, 16 and 32 channels with average-pool + 1x1 convolution between them and a 1x1 stem, so that spatial
features can only come from the cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import nn

from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import SubSpace
from splitbench.spaces.cells import CellMacs, CellSpace, CellSupernet, SupernetCell
from splitbench.spaces.operations import conv, norm
from splitbench.spaces.truth import GroundTruth

CHANNELS = (8, 16, 32)
IMAGE_SIZE = 8
CLASSES = 10


class MicroNetwork(CellSupernet):
    """The network, or ``replicas`` independent ones side by side, with the operations of ``subspace``."""

    def __init__(self, subspace: SubSpace, replicas: int = 1) -> None:
        super().__init__()
        first, last = CHANNELS[0], CHANNELS[-1]
        self.stem = nn.Sequential(conv(1, first, 1, replicas=replicas), norm(first * replicas))
        self.body = nn.ModuleList([SupernetCell(first, subspace, replicas)])
        for inputs, outputs in pairwise(CHANNELS):
            reduction = nn.Sequential(
                nn.AvgPool2d(2), conv(inputs, outputs, 1, replicas=replicas), norm(outputs * replicas)
            )
            self.body += [reduction, SupernetCell(outputs, subspace, replicas)]
        self.tail = nn.Sequential(norm(last * replicas), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(last, CLASSES)


@dataclass(frozen=True)
class Micro(CellSpace):
    """NAS-Bench-201's cell on scikit-learn's digits; 9,445 functions, each trained stand-alone with 3 seeds.

    A training of the truth is short: 10 epochs of 200 images, 31 steps of 64. It says who learns fast, and is no
    training to convergence.
    """

    name: ClassVar[str] = "micro"
    version: ClassVar[int] = 1

    @property
    def cell_macs(self) -> CellMacs:
        sides = [IMAGE_SIZE // 2**i for i in range(len(CHANNELS))]
        per_kernel = sum(side**2 * c * c for side, c in zip(sides, CHANNELS, strict=True))
        between = sum(side**2 * a * b for side, a, b in zip(sides[1:], CHANNELS, CHANNELS[1:], strict=False))
        return CellMacs(
            stem=IMAGE_SIZE**2 * CHANNELS[0],
            operation=(0, 0, per_kernel, 9 * per_kernel, 0),
            between=between,
            classifier=CHANNELS[-1] * CLASSES,
        )

    @property
    def cell_parameters(self) -> tuple[tuple[int, int, int, int, int], int]:
        per_kernel = sum(c * c for c in CHANNELS)
        between = sum(a * b for a, b in pairwise(CHANNELS))
        return (0, 0, per_kernel, 9 * per_kernel, 0), CHANNELS[0] + between + (CHANNELS[-1] + 1) * CLASSES

    def bind(self, shape: tuple[int, int, int], classes: int) -> Micro:
        if shape != (1, IMAGE_SIZE, IMAGE_SIZE) or classes != CLASSES:
            raise ConfigError(
                f"space micro: images are {'x'.join(map(str, shape))} of {classes} classes, but its truth and widths "
                f"are for 1x{IMAGE_SIZE}x{IMAGE_SIZE} of {CLASSES}; choose the dataset digits, or another space"
            )
        return self

    def network(self, subspace: SubSpace) -> MicroNetwork:
        return MicroNetwork(subspace)

    def load_truth(self, dataset: str) -> GroundTruth:
        from splitbench.spaces.micro.truth import load_micro

        return load_micro(dataset)
