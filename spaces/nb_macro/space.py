"""NAS-Bench-Macro: a chain of eight layers, three choices each, with MobileNetV2 blocks.

Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021. Widths, strides and what an
identity in a strided layer is were recovered from the table: ``macs`` and ``parameters`` equal its columns in all
6,561 rows.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import Architecture, Choice, Flops, Mixture, Rows, SearchSpace, SubSpace, Supernet
from splitbench.spaces.choices import named_operations
from splitbench.spaces.operations import conv, norm
from splitbench.spaces.supernet import memory_format
from splitbench.spaces.truth import GroundTruth

OPERATIONS = ("identity", "MB3_K3", "MB6_K5")
IDENTITY = 0
BLOCKS = {1: (3, 3), 2: (6, 5)}  # operation: expansion, kernel
STAGES = (2, 3, 3)  # layers a stage; the first layer of a stage has stride 2 and doubles the channels
IMAGE_CHANNELS = 3
HEAD_FACTOR = 40  # the last 1x1 convolution has this many times the stem's channels


@functools.lru_cache(maxsize=10_000)
def identities_last(architecture: Architecture) -> Architecture:
    """The architecture with each stage's identities moved behind its blocks (the strided layer stays first)."""
    layers: list[int] = []
    for size in STAGES:
        first, *rest = architecture[len(layers) : len(layers) + size]
        layers += [first, *sorted(rest, key=lambda op: op == IDENTITY)]
    return tuple(layers)


class Subsample(nn.Module):
    """Every second pixel of every second row.

    With this before it a 1x1 convolution needs no stride. oneDNN's weight gradient of a strided one overruns its
    workspace in channels-last order on CPUs if there are fewer than 8 or 16 channels (oneDNN issue 6035).
    """

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, C, H/2, W/2], rounded up."""
        return x[:, :, ::2, ::2]


class InvertedResidual(nn.Module):
    """MobileNetV2's block: 1x1 expansion, depthwise convolution, linear 1x1 projection; a shortcut if not strided."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, kernel: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.block = nn.Sequential(
            conv(inputs, hidden, 1),
            norm(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            norm(hidden),
            nn.ReLU(),
            conv(hidden, outputs, 1),
            norm(outputs),
        )
        self.shortcut = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.shortcut else y


@dataclass(frozen=True)
class LayerShape:
    """Channels, stride, and side of the square input of one layer."""

    inputs: int
    outputs: int
    stride: int
    side: int

    @property
    def output_side(self) -> int:
        return -(-self.side // self.stride)

    def operation(self, op: int) -> nn.Module:
        if op != IDENTITY:
            return InvertedResidual(self.inputs, self.outputs, self.stride, *BLOCKS[op])
        if self.stride == 1:
            return nn.Identity()
        return nn.Sequential(Subsample(), conv(self.inputs, self.outputs, 1), norm(self.outputs))

    def macs(self, op: int) -> int:
        """Multiply-adds an image."""
        after = self.output_side**2
        if op == IDENTITY:
            return 0 if self.stride == 1 else self.inputs * self.outputs * after
        expansion, kernel = BLOCKS[op]
        hidden = self.inputs * expansion
        return self.inputs * hidden * self.side**2 + hidden * (kernel**2 + self.outputs) * after

    def parameters(self, op: int) -> int:
        """Convolution weights, and scale and shift of each normalisation, as the table counts."""
        if op == IDENTITY:
            return 0 if self.stride == 1 else (self.inputs + 2) * self.outputs
        expansion, kernel = BLOCKS[op]
        hidden = self.inputs * expansion
        return hidden * (self.inputs + kernel**2 + self.outputs) + 2 * (2 * hidden + self.outputs)


class Layer(nn.ModuleList):
    """All operations of one layer; runs one of them, or a weighted sum of several."""

    def forward(self, x: Tensor, active: Sequence[int], weights: Tensor | None) -> Tensor:
        """x [N, C, H, W], ``weights`` [operations] or None for one plain operation -> [N, C', H', W']."""
        total: Tensor | None = None
        for op in active:
            y: Tensor = self[op](x)
            if weights is not None:
                y = y * weights[op]
            total = y if total is None else total + y
        assert total is not None  # a subspace allows at least one operation
        return total


class MacroSupernet(Supernet):
    """Stem, eight layers with every operation, head. A path runs, and pays for, its own blocks only."""

    def __init__(self, channels: int, shapes: Sequence[LayerShape], classes: int) -> None:
        super().__init__()
        last, head = shapes[-1].outputs, HEAD_FACTOR * channels
        self.stem = nn.Sequential(conv(IMAGE_CHANNELS, channels, 3), norm(channels), nn.ReLU())
        self.layers = nn.ModuleList(Layer(shape.operation(op) for op in range(len(OPERATIONS))) for shape in shapes)
        self.head = nn.Sequential(conv(last, head, 1), norm(head), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(head, classes)

    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        x = self.stem(images)
        for edge, layer in enumerate(self.layers):
            if isinstance(choice, Mixture):
                x = layer(x, choice.active.allowed[edge], choice.weights[edge])
            else:
                x = layer(x, (choice[edge],), None)
        logits: Tensor = self.classifier(self.head(x).flatten(1))
        return logits

    def edge_parameters(self, edge: int) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.layers[edge].named_parameters(f"layers.{edge}")

    def operation_modules(self, edge: int) -> dict[int, list[nn.Module]]:
        layer: Layer = self.layers[edge]  # type: ignore[assignment]
        return {op: [layer[op]] for op in range(len(OPERATIONS))}

    def running(self, choice: Choice) -> tuple[tuple[int, ...], ...]:
        return named_operations(choice)

    def blocks(self, choice: Choice) -> list[nn.Module]:
        return list(self.layers)

    def outer_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name in ("stem", "head", "classifier"):
            yield from getattr(self, name).named_parameters(name)


@dataclass(frozen=True)
class NBMacro(SearchSpace):
    """NAS-Bench-Macro's chain of eight layers on CIFAR-10; 3,969 distinct networks, three trainings each.

    An identity in a strided layer is a strided 1x1 convolution with normalisation and no activation; elsewhere it is
    nothing at all. So within a stage, behind its strided layer, only the order of the blocks counts: 6,561 strings
    are 3,969 networks. ``function`` moves the identities to the end, and the canonical string is the one whose
    estimate is compared with the ground truth. In a supernet a permuted identity runs other layers' weights, so
    strings of one function do give different logits there. For the same reason a subspace holds a function exactly
    if it holds its canonical string: a subspace can contain strings none of which is canonical.

    Normalisation uses batch statistics and no affine weights, other than the paper, whose networks have both affine
    weights and running statistics; ``parameters`` counts the affine weights, as the table does.

    Attributes:
        channels: of the stem; stages have 2, 4 and 8 times as many, the head 40 times. The benchmark has 32.
        image_size: side of the square images in pixels. The benchmark has 32.
        classes: number of classes.
    """

    channels: int = 32
    image_size: int = 32
    classes: int = 10

    name: ClassVar[str] = "nb_macro"
    version: ClassVar[int] = 1
    edges = tuple(f"{stage}.{layer}" for stage, size in enumerate(STAGES, 1) for layer in range(1, size + 1))

    def __post_init__(self) -> None:
        for field, least in (("channels", 1), ("image_size", 8), ("classes", 2)):
            if getattr(self, field) < least:
                raise ConfigError(
                    f"space nb_macro: {field} is {getattr(self, field)}, but must be at least {least}; raise it"
                )

    @functools.cached_property
    def shapes(self) -> tuple[LayerShape, ...]:
        """Each layer's shape, first layer first."""
        shapes: list[LayerShape] = []
        channels, side = self.channels, self.image_size
        for size in STAGES:
            shapes.append(LayerShape(channels, 2 * channels, 2, side))
            channels, side = 2 * channels, shapes[-1].output_side
            shapes += [LayerShape(channels, channels, 1, side)] * (size - 1)
        return tuple(shapes)

    def operations(self, edge: int) -> tuple[str, ...]:
        return OPERATIONS

    def function(self, architecture: Architecture) -> Architecture:
        return identities_last(architecture)

    def nonlinear_depth(self, architecture: Architecture) -> int:
        """Blocks in the chain: each has two ReLUs, an identity has none."""
        return sum(op != IDENTITY for op in architecture)

    def functions(self, subspace: SubSpace) -> Rows:
        return np.array(
            [a for a in itertools.product(*subspace.allowed) if identities_last(a) == a], dtype=np.int8
        ).reshape(-1, len(self.edges))

    @property
    def _stem_macs(self) -> int:
        return 9 * IMAGE_CHANNELS * self.channels * self.image_size**2

    @property
    def _outer_macs(self) -> int:
        last, head = self.shapes[-1], HEAD_FACTOR * self.channels
        return self._stem_macs + last.outputs * head * last.output_side**2 + head * self.classes

    def macs(self, architecture: Architecture) -> int:
        return self._outer_macs + sum(shape.macs(op) for shape, op in zip(self.shapes, architecture, strict=True))

    def parameters(self, architecture: Architecture) -> int:
        """Weights of the stand-alone network as the table counts them: convolutions without bias, scale and shift of
        every normalisation (the supernet has none), weights and biases of the classifier."""
        head = HEAD_FACTOR * self.channels
        outer = (9 * IMAGE_CHANNELS + 2) * self.channels + (self.shapes[-1].outputs + 2) * head
        layers = sum(shape.parameters(op) for shape, op in zip(self.shapes, architecture, strict=True))
        return outer + layers + (head + 1) * self.classes

    def convolutions(self, architecture: Architecture) -> int:
        return sum(op != IDENTITY for op in architecture)

    def flops(self, choice: Choice) -> Flops:
        active = named_operations(choice)
        layers = sum(shape.macs(op) for shape, ops in zip(self.shapes, active, strict=True) for op in ops)
        forward = 2 * (self._outer_macs + layers)
        return Flops(forward, 2 * forward - 2 * self._stem_macs)

    def bind(self, shape: tuple[int, int, int], classes: int) -> NBMacro:
        channels, height, width = shape
        if channels != IMAGE_CHANNELS or height != width:
            raise ConfigError(
                f"space nb_macro: images are {channels}x{height}x{width}, but must be square and have "
                f"{IMAGE_CHANNELS} channels; choose a dataset of such images, like cifar10"
            )
        return replace(self, image_size=height, classes=classes)

    def supernet(self, seed: int) -> MacroSupernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = MacroSupernet(self.channels, self.shapes, self.classes)
        memory_format(network)
        return network

    def load_truth(self, dataset: str) -> GroundTruth:
        from splitbench.spaces.nb_macro.truth import load_nb_macro

        return load_nb_macro(dataset)
