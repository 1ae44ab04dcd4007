"""Proxies of spectra over the weights: the neural tangent kernel and the Fisher information."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from splitbench.criteria.proxies.activations import UNDEFINED, LinearRegions
from splitbench.criteria.proxies.base import Network, Scores, Seen, recording
from splitbench.harness.errors import ConfigError

_BLOCK = 1 << 18  # columns that are doubled in precision at a time


@dataclass(frozen=True)
class Ntk:
    """Condition number of the neural tangent kernel, negated (TE-NAS; Chen et al., ICLR 2021).

    -lambda_max / lambda_min of G G^T, where row n of G is the gradient of the sum of image n's logits for the weights
    of all convolutions and linear layers. The paper's direction is smaller is better; negated, larger is better.
    Needs images, no labels. It takes the weights that the network has (the paper draws Kaiming-normal ones).

    Cost: one forward pass and N backward passes of the same N images: batch statistics couple the images, so the
    gradient of one image's logits runs through all of them. That is N^2 images backward, hence 16 images by
    default where TE-NAS takes 64 on NAS-Bench-201.

    A condition number above 1e5, or none (a singular kernel, as where the images do not reach the output), gives -1e5.

    Attributes:
        images: how many, from the front of the batch.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    images: int = 16

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.images < 2:
            raise ConfigError(f"proxy ntk: images is {self.images}, but must be at least 2; 16 is the default")

    def __call__(self, network: Network) -> float:
        logits = network(network.images[: self.images])
        weights = network.weights()
        rows = []
        for index, own in enumerate(logits):
            gradients = network.gradient(own.sum(), weights, retain_graph=index < len(logits) - 1)
            rows.append(torch.cat([gradient.flatten() for gradient in network.parts(gradients)]))
        values = torch.linalg.eigvalsh(gram(torch.stack(rows)))
        least, most = float(values[0]), float(values[-1])
        return max(-most / least, UNDEFINED) if least > 0 else UNDEFINED


def gram(rows: Tensor) -> Tensor:
    """G G^T [N, N] in float64, of float32 rows G [N, P]."""
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    for start in range(0, rows.shape[1], _BLOCK):
        block = rows[:, start : start + _BLOCK].double()
        total += block @ block.T
    return total


@dataclass(frozen=True)
class TeNas:
    """Rank of the kernel's condition number plus rank of the number of linear regions (TE-NAS; Chen et al., ICLR 2021).

    Terms: ``ntk`` (negated) and ``linear_regions``; the score of a network in a pool is the sum of its two ranks from
    below (ties share their mean rank), so it depends on the pool. Larger is better. Needs images, no labels. Cost:
    that of both terms.

    Attributes:
        images: for the kernel, from the front of the batch.
        crop, samples: side of the patches and their number, for the linear regions.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    images: int = 16
    crop: int = 3
    samples: int = 1000

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        Ntk(self.images)
        LinearRegions(self.crop, self.samples)

    def __call__(self, network: Network) -> tuple[float, float]:
        return Ntk(self.images)(network), LinearRegions(self.crop, self.samples)(network)

    def combine(self, terms: Scores) -> Scores:
        """Terms [m, 2] of a pool -> scores [m]."""
        total: Scores = rankdata(terms, axis=0).sum(axis=1)
        return total


@dataclass(frozen=True)
class Vkdnw:
    """Number of weight layers plus the entropy of the Fisher information's spectrum (VKDNW; CVPR 2025).

    F = mean over images of J^T (diag(p) - p p^T) J, with p the class probabilities and J [classes, layers] the
    derivatives of the logits for one weight a layer: the first entry of the weight of each convolution and linear
    layer (Tybl and Neumann). From its eigenvalues the nine deciles l_1..l_9 are normalised to sum 1, and the score is
    L - sum_k l_k log l_k, with L the number of those layers: the paper's VKDNW_single, in which the entropy (at most
    log 9) only ranks networks with nearly as many layers. Larger is better. Needs images, no labels.

    Two things differ from the released code: it differentiates at normalisations that use the statistics they were
    built with, where the networks here have only batch statistics, which are held constant, so that images do not
    couple; and it redraws the weights and feeds noise, where here weights and images are the network's own.

    Cost: one forward pass, and for each class half a backward pass (activations only; the one derivative a
    layer that is needed follows from them).

    Without any sensitivity (all nine deciles zero, as where the images do not reach the output) the score is -1e5.

    Attributes:
        images: how many, from the front of the batch.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    images: int = 64

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.images < 2:
            raise ConfigError(f"proxy vkdnw: images is {self.images}, but must be at least 2; 64 is the default")

    def __call__(self, network: Network) -> float:
        with constant_statistics(network.module), recording(network.layers(nn.Conv2d, nn.Linear)) as seen:
            logits = network(network.images[: self.images])
        chance = logits.detach().double().softmax(1)
        outputs = [call.output for call in seen]
        derivatives = []
        for label in range(logits.shape[1]):
            last = label == logits.shape[1] - 1
            gradients = network.gradient(logits[:, label].sum(), outputs, retain_graph=not last, passes=0.5)
            derivatives.append(
                torch.stack([_first_weight(call, g) for call, g in zip(seen, gradients, strict=True)], 1)
            )
        jacobian = torch.stack(derivatives, 1)  # [N, classes, layers]
        spread = torch.diag_embed(chance) - chance[:, :, None] * chance[:, None, :]
        fisher = torch.einsum("ncl,ncd,ndm->lm", jacobian, spread, jacobian) / len(chance)
        values = torch.linalg.eigvalsh(fisher).clamp(min=0)
        deciles = torch.quantile(values, torch.arange(1, 10, device=values.device).double() / 10)
        if not bool(deciles.sum() > 0):
            return UNDEFINED
        share = deciles / deciles.sum()
        return len(seen) - float(torch.special.xlogy(share, share).sum())


def _first_weight(call: Seen, gradient: Tensor) -> Tensor:
    """Each image's derivative [N] for the first entry of the weight that a layer ran with, from that for its output."""
    if isinstance(call.module, nn.Linear):
        return (call.inputs[:, 0] * gradient[:, 0]).detach().double()
    layer = call.module
    assert isinstance(layer, nn.Conv2d)
    (pad_y, pad_x), (step_y, step_x) = _pair(layer.padding), layer.stride
    narrower = layer.kernel_size[0] - call.weight.shape[-2], layer.kernel_size[1] - call.weight.shape[-1]
    pad_y, pad_x = pad_y - narrower[0] // 2, pad_x - narrower[1] // 2  # a smaller kernel is the centre of the largest
    rows, columns = gradient.shape[-2:]
    plane = functional.pad(call.inputs[:, 0].detach(), (pad_x, pad_x, pad_y, pad_y))
    under = plane[:, : (rows - 1) * step_y + 1 : step_y, : (columns - 1) * step_x + 1 : step_x]
    return (under.double() * gradient[:, 0].detach().double()).sum((1, 2))


def _pair(padding: str | tuple[int, ...]) -> tuple[int, int]:
    assert not isinstance(padding, str)  # no space pads by name
    return padding[0], padding[1]


@contextmanager
def constant_statistics(module: nn.Module) -> Iterator[None]:
    """Inside, normalisations give what they always give, but their batch statistics count as constants."""

    def replace(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        assert isinstance(layer, nn.BatchNorm2d)
        x: Tensor = inputs[0]
        variance, mean = torch.var_mean(x.detach(), (0, 2, 3), correction=0)
        weight, bias = inputs[1:] or (layer.weight, layer.bias)
        return functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=layer.eps)

    handles = [m.register_forward_hook(replace) for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
