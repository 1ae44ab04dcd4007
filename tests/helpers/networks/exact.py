"""Images and weights in float64 whose every bit is the same on any machine: what golden sequences start from.

torch normalises images and draws normal weights in float32 with last digits that depend on the instruction set. A digit
is enough for a ReLU of the million in a pass to be cut on one machine and not on another; its gradient is then another
one. From bits that are equal, float64 leaves differences near 1e-13, which no ReLU of a short training meets.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import nn

from splitbench.spaces.datasets.base import ImageData

Network = TypeVar("Network", bound=nn.Module)


def exact_images(data: ImageData) -> ImageData:
    """The images, rounded to a 1,024th."""
    rounded = {part: torch.round(images.double() * 1024) / 1024 for part, images in data.images.items()}
    return ImageData(rounded, data.labels, data.classes)


def exact_weights(network: Network) -> Network:
    """The network in float64. Matrices and kernels are drawn anew by numpy, whose uniform numbers are equal everywhere
    (with the deviation of He et al., 2015); biases are rounded."""
    rng = np.random.Generator(np.random.PCG64(0))
    network.double()
    with torch.no_grad():
        for weights in network.parameters():
            if weights.dim() > 1:
                bound = (6 / weights[0].numel()) ** 0.5
                weights.copy_(torch.from_numpy((2 * rng.random(tuple(weights.shape)) - 1) * bound))
            else:
                weights.copy_(torch.round(weights * 1024) / 1024)
    return network
