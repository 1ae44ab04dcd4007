"""Building blocks that several search spaces share.

Normalisation never has affine weights nor running statistics: a supernet's paths have different statistics, so each
batch is normalised by its own. ``replicas`` independent networks can be stacked along the channel
axis (grouped convolutions); the micro space trains its ground truth this way, one replica a seed.
"""

from __future__ import annotations

from torch import nn


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
