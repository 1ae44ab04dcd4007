"""Proxies from gradients at one batch: how much the loss, or the output, hangs on the weights.

W are the weights, without biases, of the convolutions and linear layers that take part (where layers run on slices of
their weights: the slices); g = dL/dW with L the mean cross-entropy of the batch. Costs are in passes of one batch. In a
network that is cut off (its images do not reach the classifier) all of these gradients are exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from splitbench.criteria.proxies.base import Network

TINY = torch.finfo(torch.float64).tiny
MOST = math.log(torch.finfo(torch.float64).max)


def gradients(network: Network, repetition: int = 0) -> tuple[list[Tensor], list[Tensor]]:
    """W and g, layer by layer, at a batch: one forward and one backward pass."""
    weights = network.weights()
    images, labels = network.batch(repetition)
    loss = functional.cross_entropy(network(images), labels)
    return network.parts(weights), network.parts(network.gradient(loss, weights))


def dot(first: Sequence[Tensor], second: Sequence[Tensor], absolute: bool = False) -> float:
    """sum over layers and entries of a b, or of |a b|, in double precision."""
    total = 0.0
    for a, b in zip(first, second, strict=True):
        product = a.detach().double() * b.detach().double()
        total += float((product.abs() if absolute else product).sum())
    return total


@dataclass(frozen=True)
class Plain:
    """sum W g: the first-order change of the loss as all weights grow alike.

    Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021. Larger is better, as there; but its
    correlation with accuracy on NAS-Bench-201 is weak and negative. Weights in front of a batch normalisation add
    exactly zero, as the loss does not hang on their scale. Needs a batch with labels; costs one forward and one
    backward pass. 0 for a network that is cut off; values have either sign, so that this is not below others.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        return dot(*gradients(network))


@dataclass(frozen=True)
class GradNorm:
    """sum over layers of ||g_l||_2.

    Abdelfattah et al., ICLR 2021. Larger is better. Needs a batch with labels; costs one forward and one backward pass.
    0, the lowest value, for a network that is cut off.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        _, weight_gradients = gradients(network)
        return float(sum(gradient.double().norm().item() for gradient in weight_gradients))


@dataclass(frozen=True)
class Snip:
    """sum |W g|: connection sensitivity.

    Lee et al., "SNIP: Single-shot Network Pruning based on Connection Sensitivity", ICLR 2019; summed over the network
    by Abdelfattah et al., ICLR 2021. Larger is better. Needs a batch with labels; costs one forward and one backward
    pass. 0, the lowest value, for a network that is cut off.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        return dot(*gradients(network), absolute=True)


@dataclass(frozen=True)
class Grasp:
    """sum -(H g) W, with H the Hessian of L for W: how much the gradient's norm falls as all weights grow alike.

    Wang et al., "Picking Winning Tickets Before Training by Preserving Gradient Flow" (GraSP), ICLR 2020, at
    temperature 1; summed over the network by Abdelfattah et al., ICLR 2021. Larger is better. Needs a batch with
    labels; costs one forward pass, one backward pass, and a backward pass through both, worth three (see
    :func:`second_order`). 0 for a network that is cut off; values have either sign, so that this is not below others.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        weights = network.weights()
        loss = functional.cross_entropy(network(network.images), network.labels)
        first = network.parts(network.gradient(loss, weights, create_graph=True))
        slope = torch.stack([(g * g.detach()).sum() for g in first]).sum()
        second = network.gradient(slope, weights, passes=second_order(network))
        return 0.0 - dot(network.parts(second), network.parts(weights))


def second_order(network: Network) -> float:
    """What differentiating a first-order gradient costs, in backward passes: three.

    Let F be the forward FLOPs and S the part of the first layer, whose input needs no gradient. Backward is
    B = 2 F - S: for y = W x both g_W = g_y x and g_x = W g_y, without g_x in the first layer. Backward through that
    backward makes, of the cotangents v of g_W and u of g_x: v x (F) and W u (F - S) for g_y, v g_y (F) for x, which
    torch does not skip in the first layer, and u g_y (F - S) for W; then the forward graph is walked once more
    (2 F - S). In total 6 F - 3 S = 3 B. (Torch spends up to a few percent more where strides leave a margin of the
    image unused.) In a network that is cut off B < F, and only v x and one more weight gradient of the classifier are
    left: 2 B.
    """
    flops = network.space.flops(network.choice)
    return 3.0 if flops.backward >= flops.forward else 2.0


@dataclass(frozen=True)
class Fisher:
    """Fisher pruning's formula, and not the ``fisher`` of published tables: that is ``variant: as_shipped``.

    sum over convolutions and their channels of 1/2 mean_n (sum_hw a dL/da)^2, at the convolutions' outputs a. Theis et
    al., "Faster gaze prediction with dense networks and Fisher pruning", 2018, as Turner et al. ("BlockSwap", ICLR
    2020) take it for channels; summed over the network by Abdelfattah et al., ICLR 2021. The formula is the default, as
    it is of every component that has a published variant. Larger is better. Needs a batch with labels; costs one
    forward pass and the input gradients of a backward pass: B - F with F and B the FLOPs forward and backward. For a
    network that is cut off 0, the lowest value (``as_shipped``: the classifier's own term).

    Attributes:
        variant: ``corrected`` is the formula; ``as_shipped`` is what the released code of Abdelfattah et al. and of
            NAS-Bench-Suite-Zero adds up: each channel's term once for each weight that leads to it, linear layers
            included, so that 3x3 convolutions count nine times as much as 1x1 convolutions.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    variant: Literal["corrected", "as_shipped"] = "corrected"

    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        shipped = self.variant == "as_shipped"
        kinds = (nn.Conv2d, nn.Linear) if shipped else (nn.Conv2d,)
        logits, seen = network.watch(network.images, *kinds)
        loss = functional.cross_entropy(logits, network.labels)
        flops = network.space.flops(network.choice)
        inputs_only = max(1 - flops.forward / flops.backward, 0.0)
        output_gradients = network.gradient(loss, [call.output for call in seen], passes=inputs_only)
        total = 0.0
        for call, gradient in zip(seen, output_gradients, strict=True):
            products = call.output.detach().double() * gradient.double()
            channels = products.flatten(2).sum(2) if products.dim() > 2 else products
            repeats = call.weight[0].numel() if shipped else 1
            total += repeats * float(channels.square().mean(0).sum()) / 2
        return total


@dataclass(frozen=True)
class Synflow:
    """log sum W dR/dW: how much synaptic flow passes.

    R is the sum of the outputs for an image of ones, with the absolute value of every parameter and without batch
    normalisations. Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow",
    NeurIPS 2020; summed over the network by Abdelfattah et al., ICLR 2021. The log keeps the order and a readable size.
    Larger is better. Needs neither images nor labels; costs one forward and one backward pass of a single image, in
    double precision. Where the sum leaves the range of double precision it is computed again with R's input and R
    itself scaled by 2^-500 or 2^500 (exact where no bias comes before the last layer), at the same cost again. About
    -1401.5, the lowest value, for a network that is cut off.

    Attributes:
        log: the log of the sum, or the sum itself, as published: infinite where it leaves the range of double
            precision.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    log: bool = True

    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        flow, exponent = synaptic_flow(network, 0), 0
        if not TINY <= flow < math.inf:  # NaN too: infinity times zero
            exponent = 500 if flow < TINY else -500
            flow = synaptic_flow(network, exponent)
        score = math.log(max(flow, TINY)) - 2 * exponent * math.log(2)
        if self.log:
            return score
        return math.exp(score) if score < MOST else math.inf


class _Run(nn.Module):
    """The network as a module, so that other parameters can be put into it for a pass that is charged."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.module = network.module
        self._run = network.__call__

    def forward(self, images: Tensor) -> Tensor:
        return self._run(images)


def synaptic_flow(network: Network, exponent: int) -> float:
    """sum W dR/dW with input and R scaled by 2^exponent."""
    return dot(*flow(network, exponent))


def flow(network: Network, exponent: int) -> tuple[list[Tensor], list[Tensor]]:
    """dR/dW and the absolute W, layer by layer, with input and R scaled by 2^exponent: one forward and one backward
    pass of a single image."""
    run = _Run(network)
    doubles = {name: parameter.detach().double().abs() for name, parameter in run.named_parameters()}
    counted = {id(weight) for weight in network.weights()}
    weights = [doubles[name].requires_grad_() for name, p in run.named_parameters() if id(p) in counted]
    with without(run, _BatchNorm):
        images = torch.full_like(network.images[:1], 2.0**exponent, dtype=torch.float64)
        total = functional_call(run, doubles, (images,)).sum()
    return network.gradient(total * 2.0**exponent, weights), weights


@contextmanager
def without(module: nn.Module, *kinds: type[nn.Module]) -> Iterator[None]:
    """Inside, modules of these kinds hand on their input.

    Not by a forward hook: the normalisation would still run, and refuses a single image that has shrunk to one pixel.
    """
    passed = [m for m in module.modules() if isinstance(m, kinds)]
    for m in passed:
        m.__dict__["forward"] = _identity
    try:
        yield
    finally:
        for m in passed:
            del m.__dict__["forward"]


def _identity(x: Tensor, *_: Tensor) -> Tensor:
    return x
