"""LogSynflow: synaptic flow whose gradients are made small before they are summed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from splitbench.criteria.proxies.base import Network
from splitbench.criteria.proxies.saliency import flow


@dataclass(frozen=True)
class LogSynflow:
    """sum W log(1 + dR/dW): synflow whose gradients are put through a logarithm before they meet their weights.

    R and W are those of ``synflow``: the sum of the outputs for an image of ones, with the absolute value of every
    parameter and without batch normalisations. Cavagnero, Robbiano, Caputo and Averta, "FreeREA: Training-Free
    Evolution-based Architecture Search", WACV 2023, after their released code, which adds up |W log(1 + dR/dW)| over
    convolutions and linear layers: nothing is negative here. Without the logarithm the few weights that most paths lead
    through decide the sum. Larger is better. Needs neither images nor labels; costs one forward and one backward pass
    of a single image, in double precision, and the same again where a gradient leaves its range (R and its input are
    then scaled by 2^-500). 0, the lowest value, for a network that is cut off.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        gradients, weights = flow(network, 0)
        if all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            scale = 0.0
        else:
            gradients, weights = flow(network, -500)
            scale = 1000 * math.log(2)
        total = 0.0
        for gradient, weight in zip(gradients, weights, strict=True):
            grown = torch.nn.functional.softplus(gradient.log() + scale) if scale else gradient.log1p()
            total += float((weight.detach() * grown).sum())
        return total
