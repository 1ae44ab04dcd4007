"""Stand-alone networks of the elastic test space, of ordinary layers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from splitbench.harness.testing.small_spaces.elastic_supernet import (
    CHANNELS,
    KERNELS,
    SPAN,
    WIDTHS,
    Active,
    ElasticSupernet,
    plain_norm,
    running_in_elastic,
)
from splitbench.spaces.base import Architecture, Choice, Mixture, Supernet
from splitbench.spaces.operations import conv
from splitbench.spaces.supernet import memory_format


class StandAlone(Supernet):
    """One architecture's own network, of ordinary layers that are named as in the supernet; what is dead is not there.

    It shares no code with the supernet's forward pass, so that one can be compared with the other.
    """

    def __init__(self, architecture: Architecture, image_channels: int, classes: int) -> None:
        super().__init__()
        self.architecture = architecture
        active = running_in_elastic(architecture)
        self.stem = nn.Sequential(conv(image_channels, CHANNELS[0], 1), plain_norm(CHANNELS[0]), nn.ReLU())
        self.stages = nn.ModuleList()
        for index, (inputs, channels) in enumerate(itertools.pairwise((CHANNELS[0], *CHANNELS))):
            edges = active[index * SPAN : (index + 1) * SPAN]
            pairs = [(edges[i][0], edges[i + 1][0]) for i in range(1, SPAN, 2) if edges[i]]
            grow = [] if inputs == channels else [nn.AvgPool2d(2), conv(inputs, channels, 1), plain_norm(channels)]
            slots = nn.Sequential(*(PlainSlot(channels, WIDTHS[w], KERNELS[k]) for k, w in pairs))
            stage = nn.Sequential()
            stage.add_module("entry", nn.Sequential(*grow))
            stage.add_module("slots", slots)
            self.stages.append(stage)
        self.head = nn.Sequential(plain_norm(CHANNELS[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Linear(CHANNELS[-1], classes)

    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        assert not isinstance(choice, Mixture)
        assert running_in_elastic(choice) == running_in_elastic(self.architecture)
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        logits: Tensor = self.classifier(self.head(x).flatten(1))
        return logits

    def running(self, choice: Choice) -> Active:
        return running_in_elastic(choice)

    def blocks(self, choice: Choice) -> list[nn.Module]:
        return list(self.stages)

    def active_layers(self, choice: Choice) -> list[nn.Module]:
        return [m for m in self.modules() if not any(True for _ in m.children())]

    def edge_parameters(self, edge: int) -> Iterator[tuple[str, nn.Parameter]]:
        yield from ()

    def outer_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name in ("stem", "head", "classifier"):
            yield from getattr(self, name).named_parameters(name)


class PlainSlot(nn.Module):
    """A slot of one kernel and width."""

    def __init__(self, channels: int, width: int, kernel: int) -> None:
        super().__init__()
        self.expand, self.norm1, self.relu1 = conv(channels, width, 1), plain_norm(width), nn.ReLU()
        self.spatial = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.norm2, self.relu2 = plain_norm(width), nn.ReLU()
        self.project, self.norm3 = conv(width, channels, 1), plain_norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, H, W] -> [N, C, H, W]."""
        y = self.relu1(self.norm1(self.expand(x)))
        y = self.relu2(self.norm2(self.spatial(y)))
        return x + torch.as_tensor(self.norm3(self.project(y)))


def extracted(supernet: ElasticSupernet, architecture: Architecture) -> Supernet:
    """The stand-alone network with copies of the slices that the supernet runs for the architecture."""
    first = supernet.stem[0]
    assert isinstance(first, nn.Conv2d)
    network = memory_format(StandAlone(architecture, first.in_channels, supernet.classifier.out_features))
    own = dict(network.named_parameters())
    active = supernet.active_weights(architecture)
    assert set(own) == {weight.name for weight in active}
    with torch.no_grad():
        for weight in active:
            own[weight.name].copy_(weight.view)
    return network
