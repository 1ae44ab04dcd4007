"""Proxies that feed noise and look at feature maps: Zen score, minimum eigenvalue of correlation, AZ-NAS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from splitbench.criteria.proxies.activations import UNDEFINED, hooked
from splitbench.criteria.proxies.base import Network, Scores, Seen, recording
from splitbench.criteria.proxies.jacobian import row_correlations
from splitbench.harness.errors import ConfigError

LOWEST = -1e9
"""A term of AZ-NAS that is not finite; its trainability alone falls to about -1e6 where gradients vanish."""


def redraw(network: Network, generator: torch.Generator, kaiming: bool = False) -> None:
    """Overwrite the weights of all convolutions and linear layers by N(0, 1), or N(0, 2 / fan-in); biases by zero.

    Also of those that do not take part: so the shared layers of a supernet get the same weights whatever runs. Of a
    layer that runs on a slice of its weight the fan-in is the slice's, so that these are then the same up to a factor.
    """
    fan_in = {id(weight.module): weight.view[0].numel() for weight in network.active()}
    with torch.no_grad():
        for module in network.module.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                weight = torch.randn(module.weight.shape, generator=generator)
                inputs = fan_in.get(id(module), weight[0].numel())
                module.weight.copy_(weight * math.sqrt(2 / inputs) if kaiming else weight)
                if module.bias is not None:
                    module.bias.zero_()


def noise(shape: tuple[int, ...], network: Network, generator: torch.Generator) -> Tensor:
    """N(0, 1) images of this shape, on the network's device."""
    return torch.randn(shape, generator=generator).to(network.images.device)


@dataclass(frozen=True)
class Zen:
    """Zen score: how far the features move when a noise image moves a little (Zen-NAS; Lin et al., ICCV 2021).

    log mean over images of ||f(x + 0.01 e) - f(x)||_1 + sum over normalisations of log sqrt(mean over channels of
    s^2), with f the features before global average pooling, x and e Gaussian noise of the batch's shape, all weights
    redrawn from N(0, 1), and s^2 the batch variances that the normalisation meets in the pass of x (they undo its
    rescaling). The mean over ``repeats`` redraws. Larger is better. Needs no data. Cost: 2 forward passes a repeat.

    This is the paper's formula. The released code, and NAS-Bench-Suite-Zero after it, reads s^2 from the running
    variance, which after its two training-mode passes is about 0.81 + 0.19 s^2; ``running`` does so too.
    32 repeats are the paper's, one is NAS-Bench-Suite-Zero's.

    Normalisations that meet nothing but constants are left out; features that do not move give -1e5.

    Attributes:
        repeats: redraws of weights and noise.
        running: read the running variance of the released code instead of the batch variance.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    repeats: int = 1
    running: bool = False

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ConfigError(f"proxy zen: repeats is {self.repeats}, but must be at least 1; 1 and 32 are usual")

    def __call__(self, network: Network) -> float:
        generator = network.generator()
        scores = [self._once(network, generator) for _ in range(self.repeats)]
        score = float(np.mean(scores))
        return score if math.isfinite(score) else UNDEFINED

    def _once(self, network: Network, generator: torch.Generator) -> float:
        redraw(network, generator)
        shape = tuple(network.images.shape)
        image = noise(shape, network, generator)
        moved = image + 0.01 * noise(shape, network, generator)
        with torch.no_grad():
            first, variances = self._pass(network, image)
            second, later = self._pass(network, moved)
        if self.running:
            variances = [0.81 + 0.09 * a + 0.1 * b for a, b in zip(variances, later, strict=True)]
        distance = float((second - first).double().abs().flatten(1).sum(1).mean())
        if not distance > 0:
            return -math.inf
        return math.log(distance) + sum(0.5 * math.log(v) for v in variances if v > 0)

    def _pass(self, network: Network, images: Tensor) -> tuple[Tensor, list[float]]:
        """Features before global average pooling, and each normalisation's variance, mean over channels."""
        variances: list[float] = []
        features: list[Tensor] = []

        def variance(call: Seen) -> None:
            variances.append(float(call.inputs.double().var((0, 2, 3), correction=int(self.running)).mean()))

        def keep(call: Seen) -> None:
            features.append(call.inputs)

        with (
            hooked(network.layers(nn.BatchNorm2d), variance),
            hooked(network.layers(nn.AdaptiveAvgPool2d), keep),
        ):
            network(images)
        if not features:
            raise ValueError(f"proxy zen: {type(network.module).__name__} has no global average pooling that runs")
        return features[-1], variances


@dataclass(frozen=True)
class Meco:
    """Smallest eigenvalue of the correlation of each layer's channels, summed (MeCo; Jiang et al., NeurIPS 2023).

    sum over layers of lambda_min(P), P the Pearson correlation matrix of the channels of the layer's feature map for
    one Gaussian image, each channel a vector of its pixels. Layers are all modules without children that put out a
    feature map (convolutions, normalisations, ReLUs, poolings, identities); the released code counts the containers
    around them again. Correlations of constant channels count as zero, their diagonal included, as there. Larger is
    better. Needs no data. Cost: one forward pass of one image.

    A layer with more channels than pixels has a singular P and adds nothing, hence images of 64 x 64 pixels whatever
    the dataset's size, as released; they are charged by their pixels.

    Attributes:
        size: side of the image in pixels.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    size: int = 64

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ConfigError(f"proxy meco: size is {self.size}, but must be at least 16 pixels; 64 is the default")

    @torch.no_grad()
    def __call__(self, network: Network) -> float:
        image = noise((1, network.images.shape[1], self.size, self.size), network, network.generator())
        smallest: list[float] = []

        def note(call: Seen) -> None:
            if call.output.dim() == 4:
                matrix = row_correlations(call.output[0].flatten(1).double()).nan_to_num(0.0, 0.0, 0.0)
                smallest.append(max(float(torch.linalg.eigvalsh(matrix)[0]), 0.0))  # rounding may take it below

        with hooked(network.layers(), note):
            network(image)
        return sum(smallest)


@dataclass(frozen=True)
class AzNas:
    """Expressivity, progressivity, trainability and complexity by rank (AZ-NAS; Lee and Ham, CVPR 2024).

    With feature maps f_0 (the first block's input), f_1, ... (each block's output) for Gaussian images, and all
    weights redrawn from N(0, 2 / fan-in):

    - sE = sum over l of the entropy h_l of the normalised eigenvalues of the covariance of f_l's channels (over images
      and pixels); sP = the least increase h_l - h_(l-1);
    - sT = mean over blocks of 2 - s - 1 / (s + 1e-6), s the largest singular value of the mean over images and pixels
      of g_in g_out^T, where g_out is Rademacher noise at the block's output and g_in what the block pulls back to its
      input (of a block that halves the image: its pixels folded into channels);
    - sC = multiply-adds an image of the convolutions and linear layers that ran.

    The score of a network in a pool of m is the sum over the four of log(rank / m), ranks from below (ties share their
    mean rank), so it depends on the pool. Larger is better. Needs no data. Cost: one forward and half a backward pass
    (activations only) of ``images`` images.

    A block that puts out a constant makes sE and sP the lowest there are (-1e9). So does one that is the identity with
    sT in the paper, whose cells are all alike. In a chain an identity is a layer that is not there, and left out of the
    mean: sT is the lowest if every block that keeps its input's shape is the identity.

    Attributes:
        images: number of noise images; the paper's 64.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    images: int = 64

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.images < 2:
            raise ConfigError(f"proxy az_nas: images is {self.images}, but must be at least 2; 64 is the paper's")

    def __call__(self, network: Network) -> tuple[float, float, float, float]:
        generator = network.generator()
        redraw(network, generator, kaiming=True)
        images = noise((self.images, *network.images.shape[1:]), network, generator)
        macs = 0

        def count(call: Seen) -> None:
            nonlocal macs
            macs += call.output[0].numel() * call.weight[0].numel()

        layers = network.layers(nn.Conv2d, nn.Linear)
        with hooked(layers, count), recording(network.module.blocks(network.choice)) as blocks:
            network(images)
        entropies = [spectral_entropy(f) for f in (blocks[0].inputs, *(call.output for call in blocks))]
        expressivity = sum(entropies)
        progressivity = min(b - a for a, b in pairwise(entropies))
        trainability = self._trainability(network, blocks, generator)
        values = (expressivity, progressivity, trainability)
        first, second, third = (v if math.isfinite(v) else LOWEST for v in values)
        return first, second, third, float(macs)

    @staticmethod
    def _trainability(network: Network, blocks: list[Seen], generator: torch.Generator) -> float:
        """sT, or -inf where all blocks that could be the identity are."""
        kept: list[float] = []
        identity: list[bool] = []  # of the blocks that could be
        for call in reversed(blocks):
            sent = torch.randint(2, tuple(call.output.shape), generator=generator).to(call.output) * 2 - 1
            got = torch.zeros_like(call.inputs)
            if call.output.requires_grad and call.inputs.requires_grad:
                (got,) = network.gradient(call.output, [call.inputs], sent, passes=0.5 / len(blocks))
            if got.shape == sent.shape:
                identity.append(torch.equal(got, sent))
            if got.shape != sent.shape or not identity[-1]:
                kept.append(_trainable(got, sent))
        return -math.inf if all(identity) and identity else float(np.mean(kept))

    def combine(self, terms: Scores) -> Scores:
        """Terms [m, 4] of a pool -> scores [m]."""
        total: Scores = np.log(rankdata(terms, axis=0) / len(terms)).sum(axis=1)
        return total


def spectral_entropy(features: Tensor) -> float:
    """Entropy of the normalised eigenvalues of the channels' covariance, of [N, C, H, W]; NaN if all are constant."""
    channels = features.detach().movedim(1, -1).flatten(0, 2).double()
    channels = channels - channels.mean(0)
    values = torch.linalg.eigvalsh(channels.T @ channels / len(channels)).clamp(min=0)
    if not bool(values.sum() > 0):
        return math.nan
    share = values / values.sum()
    return -float((share * (share + 1e-8).log()).sum())


def _trainable(got: Tensor, sent: Tensor) -> float:
    """2 - s - 1 / (s + 1e-6) of one block, from the gradients at its input and output."""
    rows, columns = sent.shape[-2:]
    stride = -(-got.shape[-1] // columns)
    if stride > 1:
        short_y, short_x = rows * stride - got.shape[-2], columns * stride - got.shape[-1]
        got = functional.pixel_unshuffle(functional.pad(got, (0, short_x, 0, short_y)), stride)
    flat_got, flat_sent = (g.movedim(1, -1).flatten(0, 2).double() for g in (got, sent))
    largest = float(torch.linalg.matrix_norm(flat_got.T @ flat_sent / len(flat_sent), ord=2))
    return 2 - largest - 1 / (largest + 1e-6)
