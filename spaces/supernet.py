"""The supernet: one set of shared weights that runs an architecture or a mixture, and which weights a choice uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.spaces.choices import Choice
from splitbench.spaces.topology import Topology


@dataclass(frozen=True)
class ActiveWeight:
    """A parameter of a layer, or the slice of it, that takes part in running a choice.

    Attributes:
        name: of the parameter, as ``named_parameters`` has it.
        module: the layer that it belongs to.
        parameter: all of it: what gradients are taken for.
        index: a slice for each of its first axes; empty for the whole.
    """

    name: str
    module: nn.Module
    parameter: nn.Parameter
    index: tuple[slice, ...] = ()

    def part(self, tensor: Tensor) -> Tensor:
        """What takes part of a tensor shaped as the parameter (its values, gradient, momentum): a view."""
        return tensor[self.index] if self.index else tensor

    @property
    def view(self) -> Tensor:
        """The values that take part."""
        return self.part(self.parameter)


class Supernet(nn.Module, ABC):
    """One set of shared weights that can run any architecture of a space, or a mixture.

    Normalisations over the batch are torch's layers; they use the batch's statistics and keep none (see
    :func:`refuse_running_statistics`). Whoever estimates may put other statistics into them.

    Where operations are slices of one weight (``SearchSpace.whole_weights`` is False), a convolution, linear layer or
    normalisation that runs on a slice (a normalisation: its first channels) is called with it, ``layer(x, weight)`` or
    ``layer(x, weight, bias)``, so that whoever watches layers sees what ran; ``active_layers`` and ``active_weights``
    are then the supernet's own to define, and so are ``shared_weights``. ``spaces.operations`` has such layers.
    """

    @abstractmethod
    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        """images [N, C, H, W], a path or a mixture -> logits [N, classes]."""

    @abstractmethod
    def edge_parameters(self, edge: int) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters that some operation on ``edge`` leaves wholly unused.

        Of operations with weights of their own: all of these. Of operations that are slices of one weight: none, since
        each uses a part of it; of a depth: the weights of layers that not every depth runs.
        """

    def operation_modules(self, edge: int) -> Mapping[int, Sequence[nn.Module]]:
        """The modules of each operation on ``edge``, one a cell that the edge occurs in; ``none`` has no module.

        A capability: of spaces whose ``separate_operations`` is True.

        Raises:
            SplitbenchError: where operations have no modules of their own.
        """
        raise SplitbenchError(
            f"{type(self).__name__} has no modules of single operations, because its operations share them; whatever "
            'asks for them must declare needs = ("separate_operations",)'
        )

    @abstractmethod
    def running(self, choice: Choice) -> tuple[tuple[int, ...], ...]:
        """Edge by edge, the operations of ``choice`` that run."""

    @abstractmethod
    def blocks(self, choice: Choice) -> list[nn.Module]:
        """Cells (or layers) and what lies between them, in the order in which they run: one feature map each.

        Equally many for every choice, so that choices can be compared block by block.
        """

    def active_layers(self, choice: Choice) -> list[nn.Module]:
        """Modules without children that take part in running ``choice``, in the order of their registration."""
        running = self.running(choice)
        idle = {
            id(module)
            for edge, operations in enumerate(running)
            for op, modules in self.operation_modules(edge).items()
            if op not in operations
            for top in modules
            for module in top.modules()
        }
        return [m for m in self.modules() if id(m) not in idle and not any(True for _ in m.children())]

    def active_weights(self, choice: Choice) -> list[ActiveWeight]:
        """Parameters that take part in running ``choice``: of a path the slices that it uses, of a mixture the union
        of the slices of all that runs. Here all of every active layer."""
        names = {id(module): f"{name}." if name else "" for name, module in self.named_modules()}
        return [
            ActiveWeight(f"{names[id(layer)]}{name}", layer, parameter)
            for layer in self.active_layers(choice)
            for name, parameter in layer.named_parameters(recurse=False)
        ]

    @abstractmethod
    def outer_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters of the first layer and of everything behind the last edge (last BN, classifier)."""

    def shared_parameters(self, edge: int, outer: bool = True) -> list[tuple[str, nn.Parameter]]:
        """Named parameters that all operations of ``edge`` use, in whole or in part: all but the edge's own.

        Args:
            edge: the edge left out.
            outer: whether the first layer, last normalisation and classifier count.
        """
        left_out = {name for name, _ in self.edge_parameters(edge)}
        if not outer:
            left_out |= {name for name, _ in self.outer_parameters()}
        return [(name, parameter) for name, parameter in self.named_parameters() if name not in left_out]

    def shared_weights(
        self, edge: int, outer: bool = True, operations: Sequence[int] | None = None
    ) -> list[ActiveWeight]:
        """What ``operations`` of ``edge`` share: of each shared parameter the slice that every one of them uses, with
        everything on the other edges. Gradients are compared on it. Here the whole of each shared parameter.

        Args:
            edge: the edge that is compared.
            outer: whether the first layer, last normalisation and classifier count.
            operations: the operations that are compared; all of the edge's by default.
        """
        owner = {
            f"{prefix}.{name}" if prefix else name: module
            for prefix, module in self.named_modules()
            for name, _ in module.named_parameters(recurse=False)
        }
        return [ActiveWeight(name, owner[name], parameter) for name, parameter in self.shared_parameters(edge, outer)]


def running_statistics(network: nn.Module) -> str | None:
    """The name of the first normalisation that keeps running statistics; None if there is none."""
    for name, module in network.named_modules():
        if getattr(module, "running_mean", None) is not None or getattr(module, "running_var", None) is not None:
            return str(name)
    return None


def refuse_running_statistics(space: Topology, network: nn.Module) -> None:
    """A network of shared weights must not keep running statistics.

    They would be a mean over the paths that ran, which is right for none of them, and every estimate would move them,
    so that it depended on what was estimated before. Where a study asks for running statistics, the harness keeps them
    in training alone, beside the network.

    Raises:
        ConfigError: naming the first normalisation that does.
    """
    if (name := running_statistics(network)) is not None:
        raise ConfigError(
            f"space {space.name}: the normalisation {name} keeps running statistics, which mix the paths of a supernet "
            "and change with every estimate; build it with track_running_stats=False, or hand the network to "
            "splitbench.spaces.operations.batch_statistics"
        )


def memory_format(module: Supernet) -> Supernet:
    """Convolutions run up to twice as fast in channels-last order, on CPUs and on GPUs with tensor cores."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
