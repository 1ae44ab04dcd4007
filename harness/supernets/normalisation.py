"""Statistics of batch normalisation: measured on a path, or kept while training, and used instead of the batch's own.

Whatever normalises over a batch is one of torch's batch normalisations, called with x, or where it runs on its first
channels with x and the slices of scale and shift (see ``spaces.base.Supernet``).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from splitbench.spaces.base import Choice, Supernet

BATCH, RECALIBRATED, RUNNING = "batch", "recalibrated", "running"
"""What normalises the images of an estimate."""
MOMENTUM = 0.1
"""Weight of the newest batch in running statistics: the default of torch and of released code."""

Moments = tuple[Tensor, Tensor]
"""Mean and unbiased variance of each channel."""


def normalisations(network: nn.Module) -> dict[str, _BatchNorm]:
    """The batch normalisations of a network, by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, _BatchNorm)}


def moments(x: Tensor) -> Moments:
    """Of x [N, C, ...] over all axes but the second: [C] each, in float32 at least."""
    kind = torch.promote_types(x.dtype, torch.float32)
    mean, variance = (torch.zeros(x.shape[1], dtype=kind, device=x.device) for _ in range(2))
    # Many times as fast as var_mean() in channels-last order; with momentum 1 all of a batch's own remains.
    functional.batch_norm(x.detach(), mean, variance, training=True, momentum=1.0)
    return mean, variance


@torch.no_grad()
def calibrated(supernet: Supernet, choice: Choice, batches: Sequence[Tensor]) -> list[Moments]:
    """What each normalisation of a pass sees, in the order in which they run: means over images of the moments of
    batches, each normalised by its own statistics on its way (Guo et al., ECCV 2020; Cai et al., ICLR 2020).

    A layer that runs several times in a pass, as in a mixture of slices, has moments for each.

    Args:
        supernet, choice: what runs.
        batches: images [N, C, H, W] each.
    """
    total, statistics = sum(len(images) for images in batches), list[Moments]()
    for images in batches:
        seen: list[Moments] = []

        def see(module: nn.Module, given: tuple[Tensor, ...], output: Tensor, seen: list[Moments] = seen) -> None:
            seen.append(moments(given[0]))

        handles = [layer.register_forward_hook(see) for layer in normalisations(supernet).values()]
        try:
            supernet(images, choice)
        finally:
            for handle in handles:
                handle.remove()
        weighted = [(mean * (len(images) / total), variance * (len(images) / total)) for mean, variance in seen]
        statistics = (
            [(a + c, b + d) for (a, b), (c, d) in zip(statistics, weighted, strict=True)] if statistics else weighted
        )
    return statistics


@contextlib.contextmanager
def fixed_by_call(supernet: Supernet, moments: Sequence[Moments]) -> Iterator[None]:
    """Inside, the first normalisation of each pass uses the first moments, and so on: those of :func:`calibrated`."""
    calls = itertools.count()

    def restart(module: nn.Module, given: tuple[object, ...]) -> None:
        nonlocal calls
        calls = itertools.count()

    handle = supernet.register_forward_pre_hook(restart)
    try:
        with _fixed(supernet, lambda name, channels: moments[next(calls)]):
            yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _fixed(network: nn.Module, moments_of: Callable[[str, int], Moments]) -> Iterator[None]:
    """Inside, normalisations use the moments that ``moments_of`` says for a layer's name and number of channels."""

    def forward(
        layer: _BatchNorm, name: str, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor:
        mean, variance = moments_of(name, x.shape[1])
        weight, bias = (layer.weight, layer.bias) if weight is None else (weight, bias)
        return functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=layer.eps)

    # An attribute of the object hides the method of its class. The layers themselves stay, and with them the names of
    # their parameters and the hooks by which they are watched.
    layers = normalisations(network)
    for name, layer in layers.items():
        vars(layer)["forward"] = functools.partial(forward, layer, name)
    try:
        yield
    finally:
        for layer in layers.values():
            del vars(layer)["forward"]


class RunningStatistics:
    """Exponential means of the moments that each normalisation saw in the passes that trained it.

    They start at mean 0 and variance 1, move by a tenth with each time that the layer runs while gradients are
    recorded, and stay where they are otherwise; of a slice, the first channels move. They mix the paths that ran, so
    they are right for none of them. The passes themselves go by the batch's own statistics and are only watched.

    Attributes:
        tensors: ``LAYER.mean`` and ``LAYER.variance`` [channels].
    """

    def __init__(self, supernet: Supernet, start: Mapping[str, Tensor] = {}) -> None:
        self.supernet, self.tensors = supernet, dict[str, Tensor]()
        like = next(supernet.parameters())
        for name, layer in normalisations(supernet).items():
            self.tensors[f"{name}.mean"] = like.new_zeros(layer.num_features)
            self.tensors[f"{name}.variance"] = like.new_ones(layer.num_features)
            layer.register_forward_hook(functools.partial(self._see, name))
        self.load(start)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from ``tensors``."""
        for name, value in tensors.items():
            self.tensors[name].copy_(value)

    def _see(self, name: str, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        # Estimates and scores run without gradients: a supernet that is only looked at must keep its statistics.
        if not torch.is_grad_enabled():
            return
        for key, seen in zip(("mean", "variance"), moments(given[0]), strict=True):
            running = self.tensors[f"{name}.{key}"][: len(seen)]
            running.lerp_(seen.to(running.dtype), MOMENTUM)

    @contextlib.contextmanager
    def fixed(self) -> Iterator[None]:
        """Inside, passes of the supernet are normalised by them."""

        def of(name: str, channels: int) -> Moments:
            return self.tensors[f"{name}.mean"][:channels], self.tensors[f"{name}.variance"][:channels]

        with _fixed(self.supernet, of):
            yield
