"""The search-space interface: architectures, subspaces, supernets and ground truth.

An architecture is one operation index an edge. A subspace is what is still allowed on each edge.
A supernet is one set of shared weights that runs a path (an architecture) or a mixture of a subspace.
"""

from __future__ import annotations

import contextlib
import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.spaces.doors import guarded, require_open

if TYPE_CHECKING:
    from splitbench.spaces.truth import GroundTruth

Architecture = tuple[int, ...]
Rows = npt.NDArray[np.integer]
"""Architectures, one a row: [A, edges], int8 (int16 where an edge has more than 127 operations)."""

FRUITLESS = 1000  # draws in a row that give nothing new, after which a subspace counts as exhausted


@dataclass(frozen=True)
class SubSpace:
    """The operations still allowed on each edge; the root allows all of them.

    Attributes:
        allowed: for each edge, the allowed operation indices, ascending.
    """

    allowed: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        for edge, operations in enumerate(self.allowed):
            if not operations or list(operations) != sorted(set(operations)):
                raise ValueError(f"edge {edge}: allowed operations must be ascending and not empty: {operations}")

    @property
    def size(self) -> int:
        """Number of architectures (strings, not functions)."""
        return math.prod(len(operations) for operations in self.allowed)

    def contains(self, architecture: Architecture) -> bool:
        return all(op in operations for op, operations in zip(architecture, self.allowed, strict=True))

    def mask(self, architectures: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Which rows of ``architectures`` [A, edges] lie in this subspace: bool [A]."""
        inside = np.ones(len(architectures), dtype=bool)
        for edge, operations in enumerate(self.allowed):
            inside &= np.isin(architectures[:, edge], operations)
        return inside

    def split(self, edge: int, groups: Sequence[Sequence[int]]) -> tuple[SubSpace, ...]:
        """One child a group: the same subspace with only that group's operations on ``edge``.

        Raises:
            ValueError: if the groups are not a partition of the operations allowed on the edge.
        """
        if sorted(op for group in groups for op in group) != list(self.allowed[edge]):
            raise ValueError(f"{groups} is not a partition of {self.allowed[edge]} on edge {edge}")
        return tuple(self.only(edge, group) for group in groups)

    def only(self, edge: int, operations: Iterable[int]) -> SubSpace:
        """This subspace with just ``operations`` on ``edge``."""
        return SubSpace((*self.allowed[:edge], tuple(sorted(operations)), *self.allowed[edge + 1 :]))

    def draw(self, rng: np.random.Generator) -> Architecture:
        """One uniform architecture, connected or not."""
        return tuple(operations[int(rng.integers(len(operations)))] for operations in self.allowed)


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of operations on every edge: what DARTS and its kin run.

    Attributes:
        active: the operations that run (and are paid for).
        weights: [edges, most operations on an edge]; entries of inactive operations are ignored.
    """

    active: SubSpace
    weights: Tensor


Choice = Architecture | Mixture


def named_operations(choice: Choice) -> tuple[tuple[int, ...], ...]:
    """Edge by edge, the operations that a choice names, whether or not they run."""
    return choice.active.allowed if isinstance(choice, Mixture) else tuple((op,) for op in choice)


def with_operation(context: Choice, edge: int, operation: int) -> Choice:
    """The context with ``operation`` alone on ``edge``, at weight 1."""
    if not isinstance(context, Mixture):
        return (*context[:edge], operation, *context[edge + 1 :])
    weights = context.weights.clone()
    weights[edge] = 0
    weights[edge, operation] = 1
    return Mixture(context.active.only(edge, [operation]), weights)


@dataclass(frozen=True)
class Flops:
    """Analytic FLOPs for one image: 2 x multiply-adds of convolutions and linear layers.

    Attributes:
        forward: of one forward pass.
        backward: of the backward pass as autograd runs it: twice the forward, less gradients of inputs that need none.
    """

    forward: int
    backward: int


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


def refuse_running_statistics(space: SearchSpace, network: nn.Module) -> None:
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


CAPABILITIES = {
    "separate_operations": "the operations of an edge have modules of their own",
    "whole_weights": "every layer that runs uses all of its weight",
}
"""Attributes of a space that components may need, and what they say where they are True."""


def unmet(needs: Iterable[str], space: SearchSpace) -> str | None:
    """A sentence about the first capability that is needed and that the space lacks; None if it has them all.

    Raises:
        ConfigError: for a capability that there is none of.
    """
    for need in needs:
        if need not in CAPABILITIES:
            raise ConfigError(f"needs: there is no capability {need!r}; choose from {', '.join(CAPABILITIES)}")
        if not getattr(space, need):
            return f"it needs a space where {CAPABILITIES[need]}, and in {space.name} that is not so"
    return None


class UncountedError(ConfigError):
    """A size that a space does not have: :meth:`SearchSpace.sizes` leaves it out."""


class SearchSpace(ABC):
    """A search space: edges with candidate operations, a supernet, and (by dataset) a ground truth.

    A space must be hashable and equal to what it is built from twice: a frozen dataclass is.
    """

    name: ClassVar[str]
    edges: tuple[str, ...]

    separate_operations: ClassVar[bool] = True
    """Whether operations of an edge have modules of their own (``Supernet.operation_modules``)."""
    whole_weights: ClassVar[bool] = True
    """Whether a layer that runs uses all of its weight, and not a slice (``Supernet.active_weights``)."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        """A space written before ``load_truth`` was there overrides ``ground_truth``: its door is guarded as well."""
        super().__init_subclass__(**keywords)
        if "ground_truth" in vars(cls):
            cls.ground_truth = guarded(vars(cls)["ground_truth"])  # type: ignore[method-assign]

    # -- what the space is made of ------------------------------------------------------------------------------

    @abstractmethod
    def operations(self, edge: int) -> tuple[str, ...]:
        """Names of the candidate operations on ``edge``."""

    def absent(self, edge: int) -> frozenset[int]:
        """The operations of ``edge`` that put nothing there, as ``none``: where one is chosen the edge is not there."""
        return frozenset()

    @property
    def one_cell(self) -> bool:
        """Whether an architecture describes a single cell, which all cells of a network repeat."""
        return False

    @property
    def every_string(self) -> bool:
        """Whether each choice of one operation an edge is an architecture, connected or not.

        False where a rule holds between edges, as two inputs a node: what breaks the rule is then no architecture, and
        ``connected`` says so.
        """
        return True

    def root(self) -> SubSpace:
        return SubSpace(tuple(tuple(range(len(self.operations(edge)))) for edge in range(len(self.edges))))

    def encode(self, architecture: Architecture) -> str:
        """A string that names the architecture: one digit an edge unless the space has its own notation."""
        return "".join(str(op) for op in architecture)

    def decode(self, text: str) -> Architecture:
        """The inverse of :meth:`encode`.

        Raises:
            ValueError: if ``text`` names no architecture of this space.
        """
        if len(text) != len(self.edges) or not (text.isascii() and text.isdigit()):
            raise ValueError(f"{text!r} is not an architecture of {self.name}: {len(self.edges)} digits are expected")
        architecture = tuple(int(digit) for digit in text)
        if not self.root().contains(architecture):
            raise ValueError(f"{text!r} is not an architecture of {self.name}: an operation index is out of range")
        return architecture

    def connected(self, choice: Architecture | SubSpace) -> bool:
        """Whether the input reaches the output; of a string that is no architecture (:attr:`every_string`), False.

        A subspace stands for the mixture of everything in it.
        """
        return True

    def function(self, architecture: Architecture) -> Architecture:
        """The canonical architecture that computes the same function in this space's supernet or stand-alone network.

        Two architectures are one function exactly if their canonical architectures are equal.
        """
        return architecture

    def hierarchies(self) -> tuple[tuple[int, ...], ...]:
        """Edges grouped by the node they lead into, from input to output; a chain has one edge a node."""
        return tuple((edge,) for edge in range(len(self.edges)))

    # -- what splits and leaves are made of ---------------------------------------------------------------------

    def comparable(self, subspace: SubSpace, edge: int) -> tuple[int, ...]:
        """The operations of ``edge`` that a split separates, ascending: those allowed, less those that stay in every
        child. Criteria compare exactly these.

        Where ``none`` means "not one of a node's inputs", as on the edges of DARTS, it stays: a child without it would
        say that the edge must be chosen. Children then overlap, and an architecture belongs to the first leaf that
        contains it (:func:`splitbench.spaces.architectures.subspaces.owner`).
        """
        return subspace.allowed[edge]

    @final
    def divide(self, subspace: SubSpace, edge: int, groups: Sequence[Sequence[int]]) -> tuple[SubSpace, ...]:
        """One child a group: the subspace with only that group's operations on ``edge``, and those that stay.

        Raises:
            ConfigError: if the groups are not a partition of the operations that a split separates.
        """
        separated = self.comparable(subspace, edge)
        if sorted(op for group in groups for op in group) != list(separated) or not all(map(len, groups)):
            raise ConfigError(
                f"edge {edge} of {self.name}: the groups {[list(group) for group in groups]} are not a partition of "
                f"the operations {list(separated)} that a split separates there; a criterion compares those that "
                "probe.operations(edge) names"
            )
        stays = set(subspace.allowed[edge]) - set(separated)
        return tuple(subspace.only(edge, {*group, *stays}) for group in groups)

    # -- which architectures there are --------------------------------------------------------------------------

    @property
    def can_list(self) -> bool:
        """Whether ``functions`` can list what a subspace holds."""
        return True

    def functions(self, subspace: SubSpace) -> Rows:
        """All connected canonical architectures in ``subspace``: [A, edges], in lexicographic order.

        Raises:
            ConfigError: if the space cannot be listed.
        """
        raise ConfigError(
            f"space {self.name} cannot be listed: draw some of its functions by sample_functions(n, rng, subspace)"
        )

    def count(self, subspace: SubSpace) -> int:
        """How many distinct connected functions ``subspace`` holds; if the space cannot be listed, an upper bound.

        The bound is the number of strings unless a space knows better (it then says so).
        """
        return len(listed(self, subspace)) if self.can_list else subspace.size

    def is_empty(self, subspace: SubSpace) -> bool:
        """Whether ``subspace`` holds no connected function, so that no leaf can be made of it.

        Exact if the space can be listed; otherwise, unless a space knows better, True after ``FRUITLESS`` draws in
        vain.
        """
        if self.can_list:
            return self.count(subspace) == 0
        return next(self.drawn_functions(np.random.default_rng(0), subspace), None) is None

    def sample(self, rng: np.random.Generator, subspace: SubSpace | None = None) -> Architecture:
        """One uniform connected architecture of ``subspace`` (of the whole space by default).

        Raises:
            ValueError: if 10,000 draws hold no connected architecture.
        """
        subspace = subspace or self.root()
        for _ in range(10_000):
            architecture = subspace.draw(rng)
            if self.connected(architecture):
                return architecture
        raise ValueError(f"{subspace} holds no connected architecture")

    @final
    def sample_functions(
        self,
        n: int,
        rng: np.random.Generator,
        subspace: SubSpace | None = None,
        earlier: Sequence[SubSpace] = (),
    ) -> Rows:
        """``n`` distinct connected functions of ``subspace`` (the root by default), or all if there are no more.

        Of a space that can be listed, every set of n functions is equally likely. Otherwise architectures are drawn by
        :meth:`sample` and reduced by :meth:`function`, so that a function's chance grows with the number of its
        architectures; ``FRUITLESS`` draws in a row that give nothing new end the search, and functions may then be
        missing.

        Args:
            n: how many.
            rng: drawn from, unless all functions are given.
            subspace: where from.
            earlier: leaves that come before this one: what they contain is theirs, and left out.

        Returns:
            [at most n, edges], in lexicographic order.
        """
        subspace = subspace or self.root()
        if not self.can_list:
            found = sorted(islice(self.drawn_functions(rng, subspace, earlier), n))
            return as_rows(found, len(self.edges))
        rows = listed(self, subspace)
        for other in earlier:
            rows = rows[~other.mask(rows)]
        if n >= len(rows):
            return rows
        return rows[np.sort(rng.choice(len(rows), n, replace=False))]

    def drawn_functions(
        self, rng: np.random.Generator, subspace: SubSpace, earlier: Sequence[SubSpace] = ()
    ) -> Iterator[Architecture]:
        """Distinct connected functions of ``subspace`` that no subspace of ``earlier`` contains, in the order in which
        drawn architectures meet them; ends after ``FRUITLESS`` draws in a row that give nothing new."""
        seen: set[Architecture] = set()
        fruitless = 0
        while fruitless < FRUITLESS:
            try:
                function = self.function(self.sample(rng, subspace))
            except ValueError:  # nothing in the subspace is connected
                return
            fruitless += 1
            if function in seen or not subspace.contains(function) or any(e.contains(function) for e in earlier):
                continue
            seen.add(function)
            fruitless = 0
            yield function

    # -- how large architectures are ----------------------------------------------------------------------------

    def sizes(self, architecture: Architecture) -> Mapping[str, float]:
        """Sizes of the stand-alone network by name, the same names for every architecture.

        At least ``flops`` (2 x multiply-adds, as the ground-truth table counts them) and ``parameters``;
        ``convolutions`` and ``depth`` where the space has them.
        """
        found = {"flops": 2.0 * self.macs(architecture), "parameters": float(self.parameters(architecture))}
        for name, counted in (("convolutions", self.convolutions), ("depth", self.nonlinear_depth)):
            with contextlib.suppress(UncountedError):
                found[name] = float(counted(architecture))
        return found

    @property
    def size_names(self) -> tuple[str, ...]:
        """The names of :meth:`sizes`."""
        return tuple(self.sizes(self.sample(np.random.default_rng(0))))

    @abstractmethod
    def macs(self, architecture: Architecture) -> int:
        """Multiply-adds of the stand-alone network as the ground-truth table counts them (dead operations included)."""

    @abstractmethod
    def parameters(self, architecture: Architecture) -> int:
        """Weights of the stand-alone network's convolutions, as written (dead operations included)."""

    def convolutions(self, architecture: Architecture) -> int:
        """Number of convolution choices in the architecture: the trivial size baseline.

        Raises:
            UncountedError: if the space has no such count.
        """
        raise UncountedError(f"space {self.name} does not count convolutions; its sizes are those that sizes() names")

    def nonlinear_depth(self, architecture: Architecture) -> int:
        """Most nonlinear operations (those with an activation) on a path from input to output of a cell, or chain.

        Raises:
            UncountedError: if the space has no such count.
        """
        raise UncountedError(f"space {self.name} has no depth; its sizes are those that sizes() names")

    @abstractmethod
    def flops(self, choice: Choice) -> Flops:
        """FLOPs an image of running ``choice`` in the supernet, forward and backward."""

    # -- weights of operations ----------------------------------------------------------------------------------

    @property
    def weights_shape(self) -> tuple[int, int]:
        """Of a mixture's weights and of architecture parameters: edges, most operations on an edge."""
        return len(self.edges), max(len(self.operations(edge)) for edge in range(len(self.edges)))

    def mixture(self, weights: Tensor, subspace: SubSpace) -> Mixture:
        """The softmax of ``weights`` [edges, operations] over the allowed operations of each edge, as DARTS has it."""
        allowed = torch.zeros(weights.shape, dtype=torch.bool)
        for edge, operations in enumerate(subspace.allowed):
            allowed[edge, list(operations)] = True
        masked = weights.masked_fill(~allowed.to(weights.device), float("-inf"))
        return Mixture(subspace, masked.softmax(dim=1))

    def discretise(self, weights: Tensor, subspace: SubSpace) -> Architecture:
        """The architecture that architecture parameters [edges, operations] speak for: the allowed operation with the
        largest on every edge (the first among equals), unless the topology asks for more."""
        return tuple(
            max(operations, key=lambda op: float(weights[edge, op])) for edge, operations in enumerate(subspace.allowed)
        )

    # -- networks -----------------------------------------------------------------------------------------------

    @abstractmethod
    def bind(self, shape: tuple[int, int, int], classes: int) -> SearchSpace:
        """This space for images of ``shape`` (channels, height, width) and this many classes.

        Supernet, FLOPs, multiply-adds and parameters are then those of this input; topology, functions and the
        ground truth stay the same.

        Raises:
            ConfigError: if the space cannot take such images.
        """

    @abstractmethod
    def supernet(self, seed: int) -> Supernet:
        """A freshly initialised supernet; the same seed gives the same weights on every device."""

    def stand_alone(self, architecture: Architecture, seed: int) -> Supernet:
        """The network that the ground truth trained, freshly initialised: run it with ``architecture``.

        Operations that are dead in the architecture are there and run, as in the benchmark's own networks, so that
        scores of initial weights count what others count.
        """
        return self.supernet(seed)

    # -- ground truth -------------------------------------------------------------------------------------------

    def ground_truth(self, dataset: str) -> GroundTruth:
        """Stand-alone accuracies on ``dataset``; a space says how they are read in :meth:`load_truth`.

        Raises:
            DataError: if the table is missing or damaged; ConfigError: if there is none for this dataset, or if
                whoever asks is training, scoring or selecting.
        """
        require_open()
        return self.load_truth(dataset)

    def load_truth(self, dataset: str) -> GroundTruth:
        """Reads the ground truth; called by :meth:`ground_truth` alone, where it may be read.

        Raises:
            DataError: if the table is missing or damaged; ConfigError: if there is none for this dataset.
        """
        raise ConfigError(f"space {self.name} has no ground truth on dataset {dataset!r}; choose another space")


@functools.lru_cache(maxsize=8)
def _everything(space: SearchSpace) -> Rows:
    rows = space.functions(space.root())
    rows.flags.writeable = False  # shared by whoever asks
    return rows


def listed(space: SearchSpace, subspace: SubSpace) -> Rows:
    """The distinct connected functions of a subspace, [A, edges] in lexicographic order: the root's, listed once a
    process.

    Raises:
        ConfigError: if the space cannot be listed.
    """
    rows = _everything(space)
    return rows if subspace == space.root() else rows[subspace.mask(rows)]


def as_rows(architectures: Sequence[Architecture], edges: int) -> Rows:
    """Architectures as an array [A, edges] of the smallest type that holds them."""
    most = max((max(a) for a in architectures), default=0)
    rows: Rows = np.array(architectures, dtype=np.int8 if most < 128 else np.int16)
    return rows.reshape(-1, edges)


def reaches(space: SearchSpace, choice: Choice) -> bool:
    """Whether the input reaches the output in a path or a mixture."""
    return space.connected(choice.active if isinstance(choice, Mixture) else choice)


def memory_format(module: Supernet) -> Supernet:
    """Convolutions run up to twice as fast in channels-last order, on CPUs and on GPUs with tensor cores."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
