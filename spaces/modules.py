"""A network of one's own as a search space: what can be found out from an ``nn.Module`` is found out here.

The module says where its choices are, and a space says what they are called; FLOPs, sizes and the supernet follow.
docs/spaces.md shows one in 50 lines.
"""

from __future__ import annotations

import functools
import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from splitbench.harness.errors import DataError
from splitbench.spaces.base import Architecture, Choice, Flops, Mixture, Rows, SearchSpace, SubSpace, Supernet
from splitbench.spaces.choices import as_rows, named_operations
from splitbench.spaces.supernet import memory_format
from splitbench.spaces.truth import TableTruth

Run = Callable[[int, Tensor], Tensor]
MOST_LISTED = 100_000
ELSEWHERE = (-1, -1)


class Searchable(Protocol):
    """The user's own module.

    Attributes:
        choices: a list of operations an edge, all of which give the same shape.
    """

    choices: nn.ModuleList

    def __call__(self, images: Tensor, run: Run) -> Tensor:
        """Images [N, C, H, W] -> logits [N, classes]; ``run(edge, x)`` runs what is chosen on an edge."""


class EdgeOperations(nn.ModuleList):
    """The operations of one edge; it runs one of them, or a weighted sum of several."""

    def forward(self, x: Tensor, active: Sequence[int], weights: Tensor | None) -> Tensor:
        if weights is None:
            (op,) = active
            alone: Tensor = self[op](x)
            return alone
        return torch.stack([weights[op] * self[op](x) for op in active]).sum(dim=0)


class ModuleSupernet(Supernet):
    """A user's module as a supernet: every choice is a slot, and everything else is the supernet's outer part."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        choices = cast(Searchable, network).choices
        for edge in range(len(choices)):
            choices[edge] = EdgeOperations(cast(nn.ModuleList, choices[edge]))
        self.network = network

    @property
    def slots(self) -> list[EdgeOperations]:
        return cast("list[EdgeOperations]", list(cast(Searchable, self.network).choices))

    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        running, slots = self.running(choice), self.slots

        def run(edge: int, x: Tensor) -> Tensor:
            weights = choice.weights[edge] if isinstance(choice, Mixture) else None
            output: Tensor = slots[edge](x, running[edge], weights)
            return output

        logits: Tensor = self.network(images, run)
        return logits

    def edge_parameters(self, edge: int) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.slots[edge].named_parameters(f"network.choices.{edge}")

    def operation_modules(self, edge: int) -> dict[int, list[nn.Module]]:
        return {op: [module] for op, module in enumerate(self.slots[edge])}

    def running(self, choice: Choice) -> tuple[tuple[int, ...], ...]:
        return named_operations(choice)

    def blocks(self, choice: Choice) -> list[nn.Module]:
        return list(self.slots)

    def outer_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        inside = {name for edge in range(len(self.slots)) for name, _ in self.edge_parameters(edge)}
        yield from ((name, p) for name, p in self.named_parameters() if name not in inside)


@dataclass(frozen=True)
class ModuleSpace(SearchSpace):
    """A search space made of a user's module. A subclass names edges and operations and builds the module.

    Every string is a connected architecture, and no two compute the same function.

    Attributes:
        image_shape: channels, height and width of the images; the dataset decides it.
        classes: number of classes; the dataset decides it.
    """

    image_shape: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10

    @abstractmethod
    def network(self) -> nn.Module:
        """The module (see :class:`Searchable`) for this space's images and classes, initialised by torch's present
        random state."""

    @property
    def can_list(self) -> bool:
        return self.root().size <= MOST_LISTED

    def functions(self, subspace: SubSpace) -> Rows:
        if not self.can_list:
            return super().functions(subspace)
        return as_rows(list(itertools.product(*subspace.allowed)), len(self.edges))

    def bind(self, shape: tuple[int, int, int], classes: int) -> ModuleSpace:
        return replace(self, image_shape=shape, classes=classes)

    def supernet(self, seed: int) -> ModuleSupernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            supernet = ModuleSupernet(self.network())
        memory_format(supernet)
        return supernet

    def flops(self, choice: Choice) -> Flops:
        active = named_operations(choice)
        costs = _costs(self, _learning(self, active))
        parts = [costs[edge, op] for edge, operations in enumerate(active) for op in operations]
        parts.append(costs[ELSEWHERE])
        return Flops(sum(part.forward for part in parts), sum(part.backward for part in parts))

    def macs(self, architecture: Architecture) -> int:
        return self.flops(architecture).forward // 2

    def parameters(self, architecture: Architecture) -> int:
        supernet = _supernet(self)
        chosen = [supernet.slots[edge][op] for edge, op in enumerate(architecture)]
        weights = [p for module in chosen for p in module.parameters()]
        return sum(p.numel() for p in [*weights, *(p for _, p in supernet.outer_parameters())])


@functools.lru_cache(maxsize=8)
def _supernet(space: ModuleSpace) -> ModuleSupernet:
    return space.supernet(0)


def _learning(space: ModuleSpace, active: Sequence[Sequence[int]]) -> tuple[bool, ...]:
    """Edge by edge, whether what runs there has weights: where nothing before a layer has any, autograd takes no
    gradient of that layer's input, and its backward pass is cheaper."""
    weighted = _weighted(space)
    return tuple(any(weighted[edge][op] for op in operations) for edge, operations in enumerate(active))


@functools.lru_cache(maxsize=8)
def _weighted(space: ModuleSpace) -> list[list[bool]]:
    """Edge by edge and operation by operation, whether it has weights."""
    return [[any(True for _ in module.parameters()) for module in slot] for slot in _supernet(space).slots]


@functools.lru_cache(maxsize=1024)
def _costs(space: ModuleSpace, learning: tuple[bool, ...]) -> dict[tuple[int, int], Flops]:
    """FLOPs an image of each (edge, operation), and of everything else by ``ELSEWHERE``, counted by torch while they
    run in a path whose edges have weights or none as ``learning`` says."""
    supernet, weighted = _supernet(space), _weighted(space)
    path = tuple(weighted[edge].index(wanted) for edge, wanted in enumerate(learning))
    images = torch.zeros(2, *space.image_shape)  # batch statistics need two
    costs: dict[tuple[int, int], Flops] = {}
    inputs: dict[int, Tensor] = {}
    handles = [
        slot.register_forward_pre_hook(lambda _, given, edge=edge: inputs.update({edge: given[0]}))
        for edge, slot in enumerate(supernet.slots)
    ]
    whole = _counted(lambda: supernet(images, path))
    for handle in handles:
        handle.remove()
    for edge, slot in enumerate(supernet.slots):
        for op, module in enumerate(slot):
            x = inputs[edge].detach().requires_grad_(inputs[edge].requires_grad)
            costs[edge, op] = _counted(functools.partial(module, x))
    inside = [costs[edge, op] for edge, op in enumerate(path)]
    costs[ELSEWHERE] = Flops(
        whole.forward - sum(part.forward for part in inside), whole.backward - sum(part.backward for part in inside)
    )
    return costs


def _counted(run: Callable[[], Tensor]) -> Flops:
    """FLOPs an image of a forward pass over two images, and of the backward pass that follows."""
    with FlopCounterMode(display=False) as counter:
        output = run()
    forward = counter.get_total_flops()
    if not output.requires_grad:
        return Flops(forward // 2, 0)
    with FlopCounterMode(display=False) as counter:
        output.sum().backward()  # type: ignore[no-untyped-call]
    return Flops(forward // 2, counter.get_total_flops() // 2)


def table_truth(space: SearchSpace, path: Path) -> TableTruth:
    """Stand-alone accuracies from a CSV file: a column ``architecture`` as the space encodes it, and the test accuracy
    of each training in percent in ``test_0``, ``test_1``, ...; ``validation_0``, ... if there are any.

    Raises:
        DataError: if the file is missing or damaged, or names an architecture that the space does not have.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path, dtype={"architecture": str})
        rows = [space.decode(text) for text in frame["architecture"]]
        columns = {
            part: frame[[name for name in frame.columns if name.startswith(f"{part}_")]].to_numpy(dtype=np.float64)
            for part in ("validation", "test")
        }
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} is no table of accuracies of the space {space.name} ({error}); write it anew"
        ) from error
    if not rows or not columns["test"].size or len(set(rows)) < len(rows):
        raise DataError(f"{path}: each architecture is expected once, with columns test_0, test_1, ...; write it anew")
    validation = columns["validation"] if columns["validation"].size else None
    return TableTruth(as_rows(rows, len(space.edges)), validation, columns["test"], lambda a: a, str(path.name))
