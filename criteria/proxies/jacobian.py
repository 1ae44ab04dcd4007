"""Proxies of the Jacobian: how alike the network's local linear maps are at different images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from splitbench.criteria.proxies.activations import UNDEFINED
from splitbench.criteria.proxies.base import Network

_K = 1e-5
_MANY = 100  # classes, beyond which EPE-NAS compares classes


def jacobian(network: Network) -> tuple[Tensor, int]:
    """Gradient of the summed logits for each image of the batch, as float64 rows [N, C H W]; and number of classes.

    One forward pass and half a backward pass (activations only). Batch statistics couple the images, so a row is the
    gradient of all images' logits for one image, as in the field's implementations.
    """
    images = network.images.detach().clone().requires_grad_()
    logits = network(images)
    (rows,) = network.gradient(logits.sum(), [images], passes=0.5)
    return rows.detach().flatten(1).double(), logits.shape[1]


def row_correlations(rows: Tensor) -> Tensor:
    """Pearson correlation of rows [n, d] -> [n, n]; not finite where a row is constant."""
    centred = rows - rows.mean(1, keepdim=True)
    scaled = centred / centred.norm(dim=1, keepdim=True)
    product: Tensor = scaled @ scaled.T
    return product


@dataclass(frozen=True)
class Jacov:
    """How uncorrelated the Jacobians of different images are (NASWOT's first version; Mellor et al., 2020).

    -sum_i (log(v_i + k) + 1 / (v_i + k)), k = 1e-5, with v the eigenvalues of the correlation matrix of the N
    Jacobians d(sum of logits) / d(image), each flattened; Abdelfattah et al. (ICLR 2021) call it jacob_cov. It is
    largest, -N, for uncorrelated Jacobians. Larger is better. Needs images, no labels. Cost: one forward and half a
    backward pass (gradients of activations and images, none of weights).

    A constant Jacobian has no correlation: the score is then that of Jacobians that are all alike, the lowest there
    is for N images (about -1e5 N).
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        rows, _ = jacobian(network)
        matrix = row_correlations(rows)
        if not bool(torch.isfinite(matrix).all()):
            matrix = torch.ones_like(matrix)
        values = torch.linalg.eigvalsh(matrix).clamp(min=0) + _K  # rounding may take them below zero
        return -float((values.log() + 1 / values).sum())


@dataclass(frozen=True)
class EpeNas:
    """How uncorrelated the Jacobians of images of the same class are (EPE-NAS; Lopes et al., ICANN 2021).

    s_c = sum over pairs of log(|r| + k), k = 1e-5, of the correlation matrix r of the Jacobians of class c (diagonal
    and both triangles). The score is the sum over the classes in the batch of |s_c|. For more than 100 classes it is
    the sum over ordered pairs of classes of |s_c - s_d|, each s_c divided by the class's number of images first, the
    whole by the number of classes; classes with a single image are then left out, as the released code does. Larger
    is better. Needs images and labels. Cost: one forward and half a backward pass.

    A constant Jacobian has no correlation: the score is then -1e5.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    version: ClassVar[int] = 1

    def __call__(self, network: Network) -> float:
        rows, classes = jacobian(network)
        labels = network.labels
        sums: list[float] = []
        for label in torch.unique(labels).tolist():
            own = rows[labels == label]
            if classes > _MANY and len(own) == 1:
                continue
            total = float((row_correlations(own).abs() + _K).log().sum())
            sums.append(total / len(own) if classes > _MANY else total)
        if classes <= _MANY:
            score = sum(abs(s) for s in sums)
        else:
            score = sum(abs(s - t) for s in sums for t in sums) / max(len(sums), 1)
        return score if math.isfinite(score) else UNDEFINED
