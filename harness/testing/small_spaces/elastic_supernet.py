"""The supernet of the elastic test space: one set of weights a slot, of which every operation runs a slice.

A mixture weighs outputs. A slot adds to its input the sum over its active kernels and widths of the block's output
times both weights, each block on its own slice; a stage puts out the weighted sum of what comes out behind 1 and 2
slots. With all weights at one active operation an edge it is that path.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from splitbench.spaces.base import ActiveWeight, Choice, Mixture, SubSpace, Supernet
from splitbench.spaces.choices import named_operations
from splitbench.spaces.operations import SlicedBatchNorm2d, SlicedConv2d, conv

KERNELS, WIDTHS, SLOTS = (3, 5), (2, 4, 6), 2
CHANNELS = (3, 4)  # of each stage; the second one has half as many rows and columns
LARGEST, WIDEST = max(KERNELS), max(WIDTHS)
SPAN = 1 + 2 * SLOTS  # edges of a stage: depth, then kernel and width of each slot
COUNTS = (SLOTS, *(len(KERNELS), len(WIDTHS)) * SLOTS) * len(CHANNELS)
"""Operations of each edge."""
Active = tuple[tuple[int, ...], ...]


def running_in_elastic(choice: Choice) -> Active:
    """Edge by edge, the operations that run: none on the edges of slots behind the largest depth."""
    active = list(named_operations(choice))
    for start in range(0, len(active), SPAN):
        alive = start + 1 + 2 * (max(active[start]) + 1)
        active[alive : start + SPAN] = [()] * (start + SPAN - alive)
    return tuple(active)


def plain_norm(channels: int) -> nn.BatchNorm2d:
    """Ordinary affine normalisation, by batch statistics."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


def slices(width: int, kernel: int) -> dict[str, tuple[slice, ...]]:
    """Of a slot with ``width`` hidden channels and this kernel: which part of each parameter runs."""
    first, centre = slice(0, width), slice((LARGEST - kernel) // 2, (LARGEST + kernel) // 2)
    everything = slice(None)
    norms = {f"{norm}.{name}": (first,) for norm in ("norm1", "norm2") for name in ("weight", "bias")}
    convolutions = {
        "expand.weight": (first,),
        "spatial.weight": (first, everything, centre, centre),
        "project.weight": (everything, first),
    }
    return norms | convolutions


class ElasticSlot(nn.Module):
    """x + project(spatial(expand(x))), at any kernel and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = SlicedConv2d(channels, WIDEST, 1)
        self.norm1, self.relu1 = SlicedBatchNorm2d(WIDEST), nn.ReLU()
        self.spatial = SlicedConv2d(WIDEST, WIDEST, LARGEST, depthwise=True)
        self.norm2, self.relu2 = SlicedBatchNorm2d(WIDEST), nn.ReLU()
        self.project = SlicedConv2d(WIDEST, channels, 1)
        self.norm3 = plain_norm(channels)

    def forward(
        self, x: Tensor, kernels: Sequence[int], widths: Sequence[int], weights: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """x [N, C, H, W] -> [N, C, H, W]; ``weights`` of kernels and of widths in a mixture."""
        own, total = dict(self.named_parameters()), x
        for width in widths:
            hidden: Tensor | None = None
            for kernel in kernels:
                part = {name: own[name][index] for name, index in slices(WIDTHS[width], KERNELS[kernel]).items()}
                if hidden is None:  # the same for all kernels
                    hidden = self.expand(x, part["expand.weight"])
                    hidden = self.relu1(self.norm1(hidden, part["norm1.weight"], part["norm1.bias"]))
                y = self.spatial(hidden, part["spatial.weight"])
                y = self.relu2(self.norm2(y, part["norm2.weight"], part["norm2.bias"]))
                y = self.norm3(self.project(y, part["project.weight"]))
                total = total + (y if weights is None else y * (weights[0][kernel] * weights[1][width]))
        return total


class ElasticStage(nn.Module):
    """A way in (pooling and more channels, or nothing) and the slots."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        grow = [] if inputs == channels else [nn.AvgPool2d(2), conv(inputs, channels, 1), plain_norm(channels)]
        self.entry = nn.Sequential(*grow)
        self.slots = nn.ModuleList(ElasticSlot(channels) for _ in range(SLOTS))

    def forward(self, x: Tensor, active: Active, weights: Tensor | None) -> Tensor:
        """``active`` and the rows of ``weights`` are those of this stage's edges."""
        x, total = self.entry(x), None
        for index in range(max(active[0]) + 1):
            kernel, width = 1 + 2 * index, 2 + 2 * index
            pair = None if weights is None else (weights[kernel], weights[width])
            x = self.slots[index](x, active[kernel], active[width], pair)
            if index in active[0]:
                y = x if weights is None else x * weights[0, index]
                total = y if total is None else total + y
        assert total is not None  # a subspace allows at least one depth
        return total


class ElasticSupernet(Supernet):
    """Stem, two stages, head; every slot holds the weights of its largest block."""

    def __init__(self, image_channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(image_channels, CHANNELS[0], 1), plain_norm(CHANNELS[0]), nn.ReLU())
        self.stages = nn.ModuleList(ElasticStage(*pair) for pair in itertools.pairwise((CHANNELS[0], *CHANNELS)))
        self.head = nn.Sequential(plain_norm(CHANNELS[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(CHANNELS[-1], classes)

    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        active, x = running_in_elastic(choice), self.stem(images)
        for index, stage in enumerate(self.stages):
            own = slice(index * SPAN, (index + 1) * SPAN)
            x = stage(x, active[own], choice.weights[own] if isinstance(choice, Mixture) else None)
        logits: Tensor = self.classifier(self.head(x).flatten(1))
        return logits

    def running(self, choice: Choice) -> Active:
        return running_in_elastic(choice)

    def blocks(self, choice: Choice) -> list[nn.Module]:
        return list(self.stages)

    def slots(self, choice: Choice) -> dict[str, tuple[ElasticSlot, dict[str, tuple[slice, ...]] | None]]:
        """Each slot by its name, with the slices that run (their union in a mixture), or None if it does not run."""
        active, layers = running_in_elastic(choice), {}
        for number, slot in enumerate(m for m in self.modules() if isinstance(m, ElasticSlot)):
            stage, index = divmod(number, SLOTS)
            kernels, widths = active[stage * SPAN + 1 + 2 * index :][:2]
            # slices are nested, so that the largest is their union
            used = slices(WIDTHS[max(widths)], KERNELS[max(kernels)]) if widths else None
            layers[f"stages.{stage}.slots.{index}."] = slot, used
        return layers

    def active_layers(self, choice: Choice) -> list[nn.Module]:
        idle = {id(m) for slot, used in self.slots(choice).values() if used is None for m in slot.modules()}
        return [m for m in self.modules() if id(m) not in idle and not any(True for _ in m.children())]

    def active_weights(self, choice: Choice) -> list[ActiveWeight]:
        slots, weights_in_use = self.slots(choice), []
        for name, module in self.named_modules():
            for own, parameter in module.named_parameters(recurse=False):
                full = f"{name}.{own}"
                prefix = next((prefix for prefix in slots if full.startswith(prefix)), None)
                used = {} if prefix is None else slots[prefix][1]
                if used is not None:
                    index = used.get(full.removeprefix(prefix or ""), ())
                    weights_in_use.append(ActiveWeight(full, module, parameter, index))
        return weights_in_use

    def edge_parameters(self, edge: int) -> Iterator[tuple[str, nn.Parameter]]:
        stage, place = divmod(edge, SPAN)
        if place == 0:  # the first slot runs at every depth
            for index in range(1, SLOTS):
                slot = self.get_submodule(f"stages.{stage}.slots.{index}")
                yield from slot.named_parameters(f"stages.{stage}.slots.{index}")

    def shared_weights(
        self, edge: int, outer: bool = True, operations: Sequence[int] | None = None
    ) -> list[ActiveWeight]:
        allowed = tuple(tuple(range(count)) for count in COUNTS)
        compared = allowed[edge] if operations is None else operations
        runs = [self.active_weights(Mixture(SubSpace(allowed).only(edge, [op]), torch.empty(0))) for op in compared]
        left_out = set() if outer else {name for name, _ in self.outer_parameters()}
        by_name: dict[str, list[ActiveWeight]] = {}
        for weight in itertools.chain.from_iterable(runs):
            by_name.setdefault(weight.name, []).append(weight)
        return [  # slices are nested, so that the smallest is what all of them use
            min(weights, key=lambda weight: weight.view.numel())
            for name, weights in by_name.items()
            if len(weights) == len(runs) and name not in left_out
        ]

    def outer_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name in ("stem", "head", "classifier"):
            yield from getattr(self, name).named_parameters(name)
