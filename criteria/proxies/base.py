"""Zero-cost proxies: a number (or a few) that an untrained or trained network gives after a handful of passes.

A proxy is a component like any other: a function or a frozen dataclass that is called with a :class:`Network` and
returns a number, or a tuple of terms. It does not know whether the network is a stand-alone one, a path of a supernet
or a mixture, nor who pays: the network charges for each pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from splitbench.harness.errors import SplitbenchError
from splitbench.spaces.base import ActiveWeight, Choice, Mixture, SearchSpace, Supernet, unmet

Scores = npt.NDArray[np.float64]
Charge = Callable[[float, float], None]
"""Passes forward and passes backward, each counted in images of the network's own size."""


@dataclass(frozen=True)
class Seen:
    """A module that ran: what went in and what came out (parts of the autograd graph).

    Attributes:
        given: what else it was called with: a layer that runs on a slice of its weight is called with the slice.
    """

    module: nn.Module
    inputs: Tensor
    output: Tensor
    given: tuple[Any, ...] = ()

    @property
    def weight(self) -> Tensor:
        """The weight [outputs, inputs a group, ...] that a convolution or linear layer ran with."""
        weight = self.given[0] if self.given else self.module.weight
        assert isinstance(weight, Tensor)
        return weight

    @property
    def flops(self) -> int:
        """FLOPs of this run of a convolution or linear layer, forward, of all images."""
        return 2 * self.output.numel() * self.weight[0].numel()


class Network:
    """One network to score, with the images to score it on.

    A proxy may overwrite the parameters of ``module`` in place (they are put back afterwards), and must leave no
    hook behind. Normalisations use batch statistics, so batches of one image say little.

    Args:
        space: the search space, for counts.
        module: the network (for a supernet: a scratch copy of it).
        choice: what of it runs: a path or a mixture.
        batch: repetition -> images [N, C, H, W] and labels [N]; 0 is the first batch.
        charge: told what each pass costs.
        seed: of the proxy's own random numbers.
    """

    def __init__(
        self,
        space: SearchSpace,
        module: Supernet,
        choice: Choice,
        batch: Callable[[int], tuple[Tensor, Tensor]],
        charge: Charge,
        seed: int,
    ) -> None:
        self.space, self.module, self.choice, self.batch, self.seed = space, module, choice, batch, seed
        self._charge, self._images = charge, 0.0

    @property
    def images(self) -> Tensor:
        """The first batch's images [N, C, H, W]."""
        return self.batch(0)[0]

    @property
    def labels(self) -> Tensor:
        """The first batch's labels [N]."""
        return self.batch(0)[1]

    @property
    def forward_flops(self) -> int:
        """FLOPs an image of what runs: in a stand-alone network, dead operations too."""
        if getattr(self.module, "as_written", False) and not isinstance(self.choice, Mixture):
            return 2 * self.space.macs(self.choice)
        return self.space.flops(self.choice).forward

    def layers(self, *kinds: type[nn.Module]) -> list[nn.Module]:
        """The modules without children that take part, of these kinds (all kinds by default)."""
        active = self.module.active_layers(self.choice)
        return [m for m in active if isinstance(m, kinds)] if kinds else active

    def active(self) -> list[ActiveWeight]:
        """The weights (no biases) of the convolutions and linear layers that take part, and which slice of each."""
        in_use = self.module.active_weights(self.choice)
        kinds = (nn.Conv2d, nn.Linear)
        return [w for w in in_use if isinstance(w.module, kinds) and w.parameter is w.module.weight]

    def weights(self) -> list[nn.Parameter]:
        """The weights (no biases) of the convolutions and linear layers that take part, each whole: what gradients
        are taken for. :meth:`parts` says what of them takes part."""
        return [weight.parameter for weight in self.active()]

    def parts(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Of tensors shaped like :meth:`weights` (these, their gradients), the slices that take part."""
        return [weight.part(tensor) for weight, tensor in zip(self.active(), tensors, strict=True)]

    def generator(self, stream: int = 0) -> torch.Generator:
        """Random numbers of this network's own, the same on every device: draw on the CPU, then move."""
        return torch.Generator().manual_seed((self.seed + stream) % 2**63)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits [N, classes]; one forward pass is charged (of images of another size: by what really ran)."""
        native = images.shape[-2:] == self.images.shape[-2:]
        with recording([] if native else self.layers(nn.Conv2d, nn.Linear)) as seen:
            logits: Tensor = self.module(images, self.choice)
        flops = sum(call.flops for call in seen)
        self._images = float(len(images)) if native else flops / self.forward_flops
        self._charge(self._images, 0.0)
        return logits

    def watch(self, images: Tensor, *kinds: type[nn.Module]) -> tuple[Tensor, list[Seen]]:
        """Logits, and each module of these kinds that ran, in the order in which they ran."""
        with recording([m for m in self.module.modules() if isinstance(m, kinds)]) as seen:
            logits = self(images)
        return logits, seen

    def features(self, images: Tensor) -> list[Tensor]:
        """The output of each cell, and of each layer between cells, in order: each [N, C, H, W]."""
        with recording(self.module.blocks(self.choice)) as seen:
            self(images)
        return [call.output for call in seen]

    def gradient(
        self,
        outputs: Tensor | Sequence[Tensor],
        inputs: Sequence[Tensor],
        grad_outputs: Tensor | Sequence[Tensor] | None = None,
        *,
        create_graph: bool = False,
        retain_graph: bool | None = None,
        passes: float = 1.0,
    ) -> list[Tensor]:
        """``torch.autograd.grad``, with zeros where an input does not matter.

        Args:
            outputs, inputs, grad_outputs, create_graph, retain_graph: as there.
            passes: what this costs, in backward passes (to weights and activations) of the images that last went
                forward; a gradient for the images alone is half of one.
        """
        self._charge(0.0, self._images * passes)
        gradients = torch.autograd.grad(
            outputs, inputs, grad_outputs, retain_graph=retain_graph, create_graph=create_graph, allow_unused=True
        )
        return [torch.zeros_like(x) if g is None else g for g, x in zip(gradients, inputs, strict=True)]


@contextmanager
def recording(modules: Sequence[nn.Module]) -> Iterator[list[Seen]]:
    """Inside, each of the modules that runs is listed."""
    seen: list[Seen] = []

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        seen.append(Seen(module, inputs[0], output, inputs[1:]))

    handles = [module.register_forward_hook(note) for module in modules]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


class Proxy(Protocol):
    """Anything that can be called with a network. Larger must mean: expected to be more accurate.

    Optional: a method ``combine(terms [m, k]) -> scores [m]`` of a proxy whose score depends on the set of networks
    that are compared (ranks over a pool); it then returns a tuple of k terms. A method
    ``unfit(space) -> str | None``: why it cannot serve a search space. And an attribute ``needs``, the capabilities
    of a space that it relies on, ``("whole_weights",)`` by default: a proxy that reads the weights of layers would
    count wrongly, without an error, where layers run on slices of theirs. One that reads them through
    ``network.parts`` and ``Seen.weight``, or not at all, declares ``needs = ()``. See :func:`unfit_proxy`.
    """

    def __call__(self, network: Network) -> float | tuple[float, ...]: ...


def lacking(proxy: Proxy, space: SearchSpace) -> str | None:
    """What a proxy needs and the space lacks, in a sentence; None if it lacks nothing."""
    reason = unmet(getattr(proxy, "needs", ("whole_weights",)), space)
    if reason is not None and not hasattr(proxy, "needs"):
        reason += "; if it reads no weights but through network.parts and Seen.weight, declare needs = ()"
    return reason


def unfit_proxy(proxy: Proxy, space: SearchSpace) -> str | None:
    """Why a proxy cannot serve a space; None if it can."""
    own: Callable[[SearchSpace], str | None] | None = getattr(proxy, "unfit", None)
    return lacking(proxy, space) or (own(space) if own is not None else None)


def terms(proxy: Proxy, network: Network) -> Scores:
    """What a proxy says of one network: its terms [k]; one term unless it is set-dependent.

    Raises:
        SplitbenchError: if the space lacks what the proxy needs, and its number would mean nothing.
    """
    if (reason := lacking(proxy, network.space)) is not None:
        raise SplitbenchError(f"proxy {proxy} cannot serve the space {network.space.name}: {reason}")
    value = proxy(network)
    return np.array(value if isinstance(value, tuple) else (value,), dtype=np.float64)


def combined(proxy: Proxy, pool: Scores) -> Scores:
    """Scores [m] of a pool of networks from their terms [m, k]; NaN for a network with a term that is not finite, which
    does not count among those that are ranked.

    Raises:
        ValueError: if a proxy of several terms has no ``combine``.
    """
    combine: Callable[[Scores], Scores] | None = getattr(proxy, "combine", None)
    if combine is None and pool.shape[1] != 1:
        raise ValueError(f"{proxy} gives {pool.shape[1]} terms and has no method combine(terms) that makes them one")
    finite = np.isfinite(pool).all(axis=1)
    scores = np.full(len(pool), np.nan)
    if finite.any():
        scores[finite] = pool[finite, 0] if combine is None else combine(pool[finite])
    scores[~np.isfinite(scores)] = np.nan
    return scores
