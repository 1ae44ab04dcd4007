"""Proxies from how gradients vary from batch to batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from splitbench.criteria.proxies.base import Network
from splitbench.criteria.proxies.saliency import gradients
from splitbench.harness.errors import ConfigError


@dataclass(frozen=True)
class Zico:
    """sum over layers of log sum over weights of mean|g| / std(g), mean and standard deviation over batches.

    Li et al., "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients", ICLR 2023. g is the gradient of
    the batch's mean cross-entropy; layers are the convolutions and linear layers that take part. The deviation divides
    by the number of batches. A weight whose gradient does not vary is left out, and so is a layer of such weights
    alone. Larger is better. Needs batches with labels; costs one forward and one backward pass a batch. 0 for a
    network that is cut off; with two batches the lowest value, as then mean|g| >= std(g).

    Attributes:
        batches: how many; at least 2.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    batches: int = 2

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.batches < 2:
            raise ConfigError(
                f"proxy zico: batches is {self.batches}, and must be at least 2, because a standard deviation needs "
                "two gradients: raise it"
            )

    def __call__(self, network: Network) -> float:
        runs = [gradients(network, repetition)[1] for repetition in range(self.batches)]
        total = 0.0
        for layer in zip(*runs, strict=True):
            stacked = torch.stack(layer).double()
            deviation = stacked.std(0, correction=0)
            ratios = (stacked.abs().mean(0) / deviation)[deviation > 0]
            if len(ratios):
                total += math.log(float(ratios.sum()))
        return total
