"""NAS-Bench-201 (Dong and Yang, ICLR 2020; also NATS-Bench topology): the full network around the shared cell.

A 3x3 stem; three stages of ``cells`` cells with C, 2C and 4C channels; between stages a residual block that halves the
image; last normalisation, global average pooling and a linear classifier. With the defaults this is the network whose
stand-alone accuracies the table holds; smaller settings keep the topology and make a cheaper supernet.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor, nn

from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import Architecture, SubSpace
from splitbench.spaces.cells import EDGES, NODES, OPERATIONS, CellMacs, CellSpace, CellSupernet, SupernetCell
from splitbench.spaces.operations import conv, norm
from splitbench.spaces.truth import GroundTruth

STAGES = 3
INPUTS = 3  # colour channels


class Reduction(nn.Module):
    """The residual block between stages: twice the channels, half the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.ReLU(), conv(inputs, outputs, 3, stride=2), norm(outputs))
        self.second = nn.Sequential(nn.ReLU(), conv(outputs, outputs, 3), norm(outputs))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), conv(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, 2C, H/2, W/2]."""
        y: Tensor = self.second(self.first(x)) + self.shortcut(x)
        return y


class NB201Network(CellSupernet):
    """The network with the operations of ``subspace`` in every cell."""

    def __init__(self, channels: int, cells: int, classes: int, subspace: SubSpace) -> None:
        super().__init__()
        widths = [channels * 2**stage for stage in range(STAGES)]
        self.stem = nn.Sequential(conv(INPUTS, channels, 3), norm(channels))
        self.body = nn.ModuleList()
        for stage, width in enumerate(widths):
            if stage:
                self.body.append(Reduction(widths[stage - 1], width))
            self.body.extend(SupernetCell(width, subspace) for _ in range(cells))
        self.tail = nn.Sequential(norm(widths[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(widths[-1], classes)


@dataclass(frozen=True)
class NB201(CellSpace):
    """NAS-Bench-201: 15,625 cells (9,445 functions) with stand-alone accuracies on three image datasets.

    Attributes:
        channels: of the first stage; doubled at each of the two reductions.
        cells: cells a stage.
        image_size: side of the square input in pixels, a multiple of 4.
        classes: outputs of the classifier.
        recipe: which stand-alone trainings are the truth, by their epochs: 200, or 12, which are trainings of their own
            with a schedule of 12 epochs (not the first 12 of 200).
    """

    name: ClassVar[str] = "nb201"
    version: ClassVar[int] = 1

    channels: int = 16
    cells: int = 5
    image_size: int = 32
    classes: int = 10
    recipe: Literal[12, 200] = 200

    def __post_init__(self) -> None:
        for field, least in (("channels", 1), ("cells", 1), ("image_size", 4), ("classes", 2)):
            value = getattr(self, field)
            if value < least:
                raise ConfigError(f"space nb201: {field} is {value}, and must be an integer of at least {least}")
        if self.image_size % 4:
            raise ConfigError(
                f"space nb201: image_size is {self.image_size}, and must be a multiple of 4, because the network "
                "halves the image twice"
            )

    def bind(self, shape: tuple[int, int, int], classes: int) -> NB201:
        """This space for images of ``shape`` (channels, height, width) and ``classes`` classes.

        Raises:
            ConfigError: if the images are not square colour images of a side that is a multiple of 4.
        """
        channels, height, width = shape
        if channels != INPUTS or height != width:
            raise ConfigError(
                f"space nb201 takes square colour images, and the dataset's are {channels} x {height} x {width}: "
                "choose cifar10 or cifar100"
            )
        return replace(self, image_size=height, classes=classes)

    def decode(self, text: str) -> Architecture:
        """Six digits, or the benchmark's own ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``, -> architecture.

        Raises:
            ValueError: if ``text`` is neither.
        """
        return _parse(text.strip()) if "|" in text else super().decode(text)

    @property
    def cell_macs(self) -> CellMacs:
        widths = [self.channels * 2**stage for stage in range(STAGES)]
        pixels = [(self.image_size >> stage) ** 2 for stage in range(STAGES)]
        per_kernel = self.cells * sum(p * c * c for p, c in zip(pixels, widths, strict=True))
        return CellMacs(
            stem=pixels[0] * 9 * INPUTS * widths[0],
            operation=(0, 0, per_kernel, 9 * per_kernel, 0),
            between=sum(
                p * (9 * a * b + 9 * b * b + a * b)
                for p, (a, b) in zip(pixels[1:], itertools.pairwise(widths), strict=True)
            ),
            classifier=widths[-1] * self.classes,
        )

    @property
    def cell_parameters(self) -> tuple[tuple[int, int, int, int, int], int]:
        """As the table counts them: the stand-alone network's normalisations are affine (two weights a channel)."""
        widths = [self.channels * 2**stage for stage in range(STAGES)]
        kernel = self.cells * sum(c * c for c in widths)
        affine = self.cells * sum(2 * c for c in widths)
        stem = 9 * INPUTS * widths[0] + 2 * widths[0]
        between = sum(9 * a * b + 9 * b * b + a * b + 4 * b for a, b in itertools.pairwise(widths))
        head = 2 * widths[-1] + (widths[-1] + 1) * self.classes
        return (0, 0, kernel + affine, 9 * kernel + affine, 0), stem + between + head

    def network(self, subspace: SubSpace) -> NB201Network:
        return NB201Network(self.channels, self.cells, self.classes, subspace)

    def load_truth(self, dataset: str) -> GroundTruth:
        from splitbench.spaces.nb201.truth import load_nb201

        return load_nb201(dataset, self.recipe)


def _parse(text: str) -> Architecture:
    """The benchmark's own string -> architecture."""
    chosen: dict[tuple[int, int], int] = {}
    nodes = text.split("+")
    for target, node in enumerate(nodes, start=1):
        if not re.fullmatch(r"\|([a-z0-9_]+~\d\|)+", node):
            chosen.clear()
            break
        for part in node.strip("|").split("|"):
            operation, source = part.split("~")
            if operation not in OPERATIONS:
                raise ValueError(f"{text!r} names the operation {operation!r}; nb201 has {', '.join(OPERATIONS)}")
            chosen[int(source), target] = OPERATIONS.index(operation)
    if len(nodes) != NODES - 1 or set(chosen) != set(EDGES):
        raise ValueError(f"{text!r} is not an architecture of nb201: |op~0|+|op~0|op~1|+|op~0|op~1|op~2| is expected")
    return tuple(chosen[edge] for edge in EDGES)
