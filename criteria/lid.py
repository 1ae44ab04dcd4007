"""NAS-LID: operations after which a supernet's features have the same intrinsic dimensions may share weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from splitbench.criteria.base import Affinity, Matrix, Parts, Probe, keeps_operations
from splitbench.criteria.gm import GradientMatching
from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.spaces.base import SearchSpace

_SHIPPED = 1e-6  # what the released code adds to its denominators
_ROUNDING = 1e-12  # of a squared distance in float64, relative to the squared norms it is a difference of
_DISCARDED = 0.1  # share of the largest ratios that TwoNN leaves out of its fit


@dataclass(frozen=True)
class Lid:
    """1 - cosine of the profiles of local intrinsic dimension (LID) that two operations of an edge lead to.

    He et al., "NAS-LID: Efficient Neural Architecture Search with Local Intrinsic Dimension", AAAI 2023. The profile
    has one entry a cell (or layer between cells): the intrinsic dimension of the batch there, each image flattened.

    - ``mle``: the mean over images of -k / sum_i log(d_i / d_k), with d_1 <= ... <= d_k the distances to the k nearest
      images of the batch.
    - ``two_nn`` (Facco et al., Scientific Reports 2017): the slope through the origin of -log(1 - i/N) over log(mu_i),
      with mu = d_2 / d_1 sorted and its largest tenth left out.

    Cost: repetitions x operations forward passes an edge; no labels, no backward pass.

    Copies of an image (distance zero, as where a batch reaches into the next epoch) are no neighbours of each other.
    An image with fewer than two neighbours, or whose neighbours are all equally far, has no LID and is left out of the
    mean; where no image has one, as in a layer that gives the same for all images, the dimension is 0. An operation
    that cuts the network has the profile 0, which has no direction: its pairs are not measured in that repetition.

    ``as_shipped`` follows the released code: 1e-6 is added to d_k, to the sum of logarithms and to the cosine's
    denominator; copies count as neighbours, which makes an image's LID 0; a profile without direction is at distance
    1; contexts need not be connected with the probed operation.

    Attributes:
        variant: ``paper`` or ``as_shipped``; they also differ in the edge that is split, see :meth:`parts`.
        estimator: ``mle`` or ``two_nn``.
        neighbours: k of ``mle``; the batch size less one where that is smaller.
        repetitions: batches, each with one context for all operations of the edge.
    """

    variant: Literal["paper", "as_shipped"] = "paper"
    estimator: Literal["mle", "two_nn"] = "mle"
    neighbours: int = 20
    repetitions: int = 50

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name, least, usual in (("neighbours", 2, 20), ("repetitions", 1, 50)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"criterion lid: {name} must be {least} or more, not {getattr(self, name)}; {usual} is usual"
                )

    def unfit(self, space: SearchSpace) -> str | None:
        """The released contexts need edges that are there whatever runs on the others."""
        return keeps_operations(space) if self.variant == "as_shipped" else None

    def parts(self) -> Parts:
        """Two groups as equal as possible with the largest similarity within; only edges never split before.

        The paper splits the edge with the largest similarity within groups. The released helper returns the
        similarity between groups, and its caller maximises that.
        """
        rule = "max_intra_similarity" if self.variant == "paper" else "shipped_max_inter_similarity"
        return Parts(edge_rule=rule, only_whole_edges=True)

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        operations, paper = probe.operations(edge), self.variant == "paper"
        cosine = GradientMatching("corrected" if paper else "as_shipped")
        samples = np.empty((self.repetitions, len(operations), len(operations)))
        for r in range(self.repetitions):
            context = probe.context(edge, r, connected=paper)
            profiles = np.array([self.profile(probe.features(edge, op, r, context), edge) for op in operations])
            samples[r] = cosine.compare((profiles @ profiles.T)[None])
        return Affinity.of(operations, samples)

    def profile(self, features: list[Tensor], edge: int = 0) -> Matrix:
        """The intrinsic dimension of each of some features [N, ...]: [features]."""
        if not all(bool(torch.isfinite(feature).all()) for feature in features):
            raise SplitbenchError(
                f"criterion lid: a feature map on edge {edge} is not finite; the supernet has diverged before the "
                "split, so lower the trainer's learning rate"
            )
        return np.array([self.dimension(distances(feature.flatten(1))) for feature in features])

    def dimension(self, apart: Matrix) -> float:
        """The intrinsic dimension of images with these distances [N, N]; 0 where it is not defined."""
        if self.estimator == "two_nn":
            return two_nn(apart)
        return mle(apart, self.neighbours) if self.variant == "paper" else shipped_mle(apart, self.neighbours)


def distances(points: Tensor) -> Matrix:
    """Euclidean distances [N, N] of points [N, D]; exactly zero where they are no more than rounding."""
    centred = points.double() - points.double().mean(dim=0)
    products = centred @ centred.T
    norms = products.diagonal()
    sums = norms[:, None] + norms
    squares = sums - products - products.T
    apart = torch.where(squares > _ROUNDING * sums, squares, 0.0).sqrt()
    return np.asarray(apart.fill_diagonal_(0.0).cpu().numpy())


def nearest(apart: Matrix, count: int) -> Matrix:
    """Distances to the ``count`` nearest others at most, ascending, copies left out: [N, count]; inf where too few."""
    others = np.where(apart > 0, apart, np.inf)
    return np.asarray(np.sort(others, axis=1)[:, : min(count, len(apart) - 1)])


def mle(apart: Matrix, neighbours: int) -> float:
    """Mean maximum-likelihood LID (Levina and Bickel, 2004; Amsaleg et al., 2015); 0 where no image has one."""
    distances = nearest(apart, neighbours)
    ran = np.isfinite(distances)
    count = ran.sum(axis=1)
    farthest = np.where(ran, distances, 0.0).max(axis=1, initial=0.0)
    ratios = np.divide(distances, farthest[:, None], out=np.ones_like(distances), where=ran)
    total = -np.log(ratios).sum(axis=1)
    defined = total > _ROUNDING * count
    return float((count[defined] / total[defined]).mean()) if defined.any() else 0.0


def shipped_mle(apart: Matrix, neighbours: int) -> float:
    """Mean LID as released: an image's own distance is skipped, copies stay, constants in both denominators."""
    distances = np.sort(apart, axis=1)[:, 1 : neighbours + 1]
    if not distances.shape[1]:
        return 0.0
    with np.errstate(divide="ignore"):  # log 0 of a copy: minus infinity, and the image's LID 0
        total = np.log(distances / (distances[:, -1:] + _SHIPPED)).sum(axis=1) + _SHIPPED
    return float((-distances.shape[1] / total).mean())


def two_nn(apart: Matrix) -> float:
    """The TwoNN dimension; 0 where fewer than two images have two neighbours at different distances."""
    distances = nearest(apart, 2)
    distances = distances[np.isfinite(distances).all(axis=1)]
    if distances.shape[1] < 2 or len(distances) < 2:
        return 0.0
    x: npt.NDArray[np.float64] = np.log(np.sort(distances[:, 1] / distances[:, 0]))
    kept = max(int(len(x) * (1 - _DISCARDED)), 1)
    y = -np.log1p(-np.arange(1, kept + 1) / len(x))
    squares = float((x[:kept] ** 2).sum())
    return float((x[:kept] * y).sum() / squares) if squares > _ROUNDING else 0.0
