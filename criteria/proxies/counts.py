"""Sizes as proxies: counts that need neither images nor a pass, and so cost nothing.

All of them count what runs: in a stand-alone network its dead operations too, as benchmarks do, in a supernet the live
operations of the path alone (``effective_flops``: everywhere the live ones alone). In a mixture every operation that
runs counts in full, whatever its weight, because that is what is stored and paid for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, cast

from torch import nn

from splitbench.criteria.proxies.base import Network
from splitbench.spaces.base import SearchSpace
from splitbench.spaces.cells import EDGES, NODES, CellSpace, SupernetCell
from splitbench.spaces.nb_macro.space import Subsample


@dataclass(frozen=True)
class Params:
    """Number of weights: sum over layers of |W_l|, of the convolutions and linear layers that take part.

    Larger is better. Biases and normalisations do not count: a constant in some spaces, absent in others. Needs no
    labels and no images; costs no pass.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        return float(sum(weight.view.numel() for weight in network.active()))


@dataclass(frozen=True)
class AllFlops:
    """FLOPs an image of what runs: 2 x multiply-adds of convolutions and linear layers, forward.

    Larger is better. A stand-alone network that runs its dead operations, as its benchmark does, has them counted. In a
    supernet they do not run, so that this equals ``effective_flops`` there. Needs no labels and no images; costs no
    pass.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        return float(network.forward_flops)


@dataclass(frozen=True)
class EffectiveFlops:
    """FLOPs an image of the live operations: those that input reaches and that reach the output.

    2 x multiply-adds of convolutions and linear layers, forward. Larger is better. Needs no labels and no images; costs
    no pass.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        return float(network.space.flops(network.choice).forward)


@dataclass(frozen=True)
class Convolutions:
    """Number of convolution choices that run, summed over edges; over all operations that run on an edge of a mixture.

    Of a path whose operations all run it equals ``space.convolutions``. A space says that of architectures alone, so an
    operation counts as much as it adds to the architecture with the fewest: exact where the count is a sum over
    edges. Larger is better; the ``#layers`` of NAS-Bench-201 studies. Needs no labels and no images; costs no pass.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        space = network.space
        fewest = fewest_convolutions(space)
        base = space.convolutions(fewest)
        total = base
        for edge, operations in enumerate(network.module.running(network.choice)):
            for op in operations:
                total += space.convolutions((*fewest[:edge], op, *fewest[edge + 1 :])) - base
        return float(total)


def fewest_convolutions(space: SearchSpace) -> tuple[int, ...]:
    """The architecture with the operation of fewest convolutions on each edge (the first of several)."""
    chosen = [0] * len(space.edges)
    for edge in range(len(chosen)):
        candidates = range(len(space.operations(edge)))
        chosen[edge] = min(candidates, key=lambda op: space.convolutions((*chosen[:edge], op, *chosen[edge + 1 :])))
    return tuple(chosen)


@dataclass(frozen=True)
class L2Norm:
    """sum over layers of ||W_l||_2 (Frobenius), of the convolutions and linear layers that take part.

    Larger is better. A baseline of Abdelfattah et al. (ICLR 2021) and NAS-Bench-Suite-Zero (Krishnakumar et al.,
    NeurIPS 2022): with torch's initial weights a layer's norm is about the square root of a third of its outputs, so
    that it counts layers. Needs no labels and no images; costs no pass.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        return float(sum(weight.view.detach().double().norm().item() for weight in network.active()))


@dataclass(frozen=True)
class Tpc:
    """Total path count of TPC-NAS (ICLR 2023 submission): log of the number of paths from input to output.

    As published, for a chain: sum over its layers of log(C_out k^2 / stride^2) of each convolution, log(k^2 / stride^2)
    of a depthwise one. Stem and head are the same in all networks of a space and are left out.

    In a space of NAS-Bench-201 cells all layers have the same width, so that the published sum cannot tell where an
    operation is. **The adaptation is this project's own**: the sum over cells of the log of the number of paths from
    first to last node, where an edge counts k^2 C for a k x k convolution of C channels, 1 for a skip connection, 9 for
    3x3 average pooling, 0 for none. A cell (or layer) without a path counts as one with half a path, so that it is
    finite and below all others. Also our own: operations that run side by side in a mixture add their paths.

    Larger is better. Needs no labels and no images; costs no pass.
    """

    needs: ClassVar[tuple[str, ...]] = ("separate_operations", "whole_weights")
    version: ClassVar[int] = 1

    def unfit(self, space: SearchSpace) -> str | None:
        """Other spaces of cells need a path count of their own."""
        if isinstance(space, CellSpace) or all(len(edges) == 1 for edges in space.hierarchies()):
            return None
        return f"tpc counts the paths of chains and of NAS-Bench-201 cells, and {space.name} is neither"

    def __call__(self, network: Network) -> float:
        running = network.module.running(network.choice)
        if isinstance(network.space, CellSpace):
            cells = [module for module in network.module.modules() if isinstance(module, SupernetCell)]
            return sum(math.log(max(paths_of(cell, running), 0.5)) for cell in cells)
        total = 0.0
        for edge, operations in enumerate(running):
            modules = network.module.operation_modules(edge)
            paths = [math.prod(multiplicity(part) for part in modules[op]) for op in operations if op in modules]
            total += math.log(max(sum(paths), 0.5))
        return total


def paths_of(cell: SupernetCell, running: tuple[tuple[int, ...], ...]) -> float:
    """Number of paths from a cell's first node to its last, each edge counted by what runs on it."""
    paths = [1.0] + [0.0] * (NODES - 1)
    for edge, (source, target) in enumerate(EDGES):  # ordered by target: a source is complete before it is used
        operations = cast(nn.ModuleDict, cell.edges[edge])
        paths[target] += paths[source] * sum(multiplicity(operations[str(op)]) for op in running[edge])
    return paths[-1]


def multiplicity(operation: nn.Module) -> float:
    """Paths that lead through an operation: the product over its layers."""
    count = 1.0
    for module in operation.modules():
        if isinstance(module, nn.Conv2d):
            depthwise = 1 < module.groups == module.in_channels
            count *= (
                math.prod(module.kernel_size) / math.prod(module.stride) * (1 if depthwise else module.out_channels)
            )
        elif isinstance(module, nn.AvgPool2d):
            kernel, stride = (x if isinstance(x, tuple) else (x, x) for x in (module.kernel_size, module.stride))
            count *= math.prod(kernel) / math.prod(stride)
        elif isinstance(module, Subsample):  # the stride of the convolution behind it
            count /= 4
    return count
