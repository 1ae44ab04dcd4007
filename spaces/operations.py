"""Building blocks that several search spaces share.

Normalisation never has affine weights nor running statistics: a supernet's paths have different statistics, so each
batch is normalised by its own. Sliced layers are handed the part of their weight that runs, and their normalisation is
affine, as Once-for-All's. ``replicas`` independent networks can be stacked along the channel axis (grouped
convolutions); the micro space trains its ground truth this way, one replica a seed.
"""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional

Network = TypeVar("Network", bound=nn.Module)


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation by batch statistics, without affine weights."""
    return nn.BatchNorm2d(channels, affine=False, track_running_stats=False)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, replicas: int = 1) -> nn.Conv2d:
    """A 'same' convolution without bias, of ``replicas`` independent networks side by side."""
    return nn.Conv2d(inputs * replicas, outputs * replicas, kernel, stride, kernel // 2, bias=False, groups=replicas)


def relu_conv_norm(channels: int, kernel: int, replicas: int = 1) -> nn.Sequential:
    """NAS-Bench-201's nor_conv: ReLU, convolution, normalisation."""
    return nn.Sequential(nn.ReLU(), conv(channels, channels, kernel, replicas=replicas), norm(channels * replicas))


def avg_pool_3x3() -> nn.AvgPool2d:
    """NAS-Bench-201's avg_pool_3x3: stride 1, padding not counted."""
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def batch_statistics(network: Network) -> Network:
    """The network, with every normalisation in it using the batch's statistics and keeping none. In place."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return network


class SlicedConv2d(nn.Conv2d):
    """A 'same' convolution without bias that runs on a slice of its weight: called ``layer(x, weight)``.

    ``weight`` is the largest one. A smaller kernel is its centre, fewer channels are the first ones. With ``groups``
    other than 1 it is depthwise: as many groups as the slice has outputs.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, depthwise: bool = False) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, groups=outputs if depthwise else 1, bias=False)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:  # type: ignore[override]
        """x [N, C, H, W] and the slice [C', C or 1, k, k] -> [N, C', H, W]."""
        groups = 1 if self.groups == 1 else len(weight)
        return functional.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)


class SlicedBatchNorm2d(nn.BatchNorm2d):
    """Affine normalisation by batch statistics of the first channels: called ``layer(x, weight, bias)``."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, track_running_stats=False)

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # type: ignore[override]
        """x [N, C, H, W], scale and shift [C] -> [N, C, H, W]."""
        return functional.batch_norm(x, None, None, weight, bias, training=True, eps=self.eps)
