"""NAS-LID against dimensions that are known or worked out point by point, and profiles handed in by a fake probe."""

import math
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from splitbench.criteria.base import Affinity, Partition, Parts, Probe
from splitbench.criteria.edge_rules import ShippedMaxInterSimilarity, inter_similarity
from splitbench.criteria.lid import Lid, distances, mle, nearest, shipped_mle, two_nn
from splitbench.harness.budget import Meter
from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.harness.supernets.probe import SupernetProbe
from splitbench.harness.testing import check_criterion, images_of
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import Choice, SubSpace
from splitbench.spaces.cells import NONE, SKIP
from splitbench.spaces.micro.space import Micro

Points = npt.NDArray[np.float64]
Estimator = Literal["mle", "two_nn"]


def cloud(count: int, dimension: int, inside: int = 0, seed: int = 0) -> Tensor:
    """Uniform points of a cube, turned into a space of more dimensions."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, dimension))
    if inside:
        points = points @ np.linalg.qr(rng.standard_normal((inside, inside)))[0][:dimension]
    return torch.tensor(points)


def apart(points: Tensor) -> Points:
    x = points.numpy().astype(np.float64)
    return np.asarray(np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1)))


def plain_mle(points: Points, k: int) -> float:
    """The formula, image by image, for points without copies."""
    found = []
    for i, x in enumerate(points):
        d = sorted(float(np.linalg.norm(x - y)) for j, y in enumerate(points) if j != i)[:k]
        found.append(-k / sum(math.log(one / d[-1]) for one in d))
    return sum(found) / len(found)


def plain_two_nn(points: Points) -> float:
    """Facco et al. 2017, point by point, for points without copies; least squares by a library."""
    ratios = []
    for i, x in enumerate(points):
        d = sorted(float(np.linalg.norm(x - y)) for j, y in enumerate(points) if j != i)
        ratios.append(d[1] / d[0])
    ratios.sort()
    kept = int(0.9 * len(ratios))
    x = np.log(ratios[:kept])[:, None]
    y = np.array([-math.log(1 - (i + 1) / len(ratios)) for i in range(kept)])
    return float(np.linalg.lstsq(x, y, rcond=None)[0][0])


def test_distances_are_exact_and_copies_are_at_zero() -> None:
    points = torch.randn(20, 300, generator=torch.Generator().manual_seed(0)) + 50
    points[7] = points[3]
    points[8] = points[3] * (1 + 1e-9)
    found = distances(points)
    np.testing.assert_allclose(found, apart(points.double()), rtol=1e-9, atol=1e-9)
    assert found[3, 7] == found[7, 3] == found[3, 8] == 0
    assert (found[~np.eye(20, dtype=bool)] == 0).sum() == 6
    assert not found.diagonal().any()


@pytest.mark.parametrize(("count", "k"), [(12, 4), (12, 11), (9, 20), (3, 2)])
def test_mle_is_the_formula(count: int, k: int) -> None:
    points = cloud(count, 3)
    assert mle(distances(points), k) == pytest.approx(plain_mle(points.numpy(), min(k, count - 1)), rel=1e-9)


def test_mle_by_hand() -> None:
    """Points 0, 1, 3 on a line, two neighbours each: distances (1, 3), (1, 2), (2, 3)."""
    found = distances(torch.tensor([[0.0], [1.0], [3.0]]))
    expected = (2 / math.log(3) + 2 / math.log(2) + 2 / math.log(3 / 2)) / 3
    assert mle(found, 2) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("count", [11, 40])
def test_two_nn_is_the_fit(count: int) -> None:
    points = cloud(count, 3)
    assert two_nn(distances(points)) == pytest.approx(plain_two_nn(points.numpy()), rel=1e-9)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_both_find_the_dimension_of_a_plane_in_a_larger_space(dimension: int) -> None:
    """1,000 points: the estimators' own bias at the border and sampling error stay within a quarter."""
    found = distances(cloud(1000, dimension, inside=30))
    assert mle(found, 20) == pytest.approx(dimension, rel=0.25)
    assert two_nn(found) == pytest.approx(dimension, rel=0.25)


def test_copies_are_no_neighbours() -> None:
    points = cloud(15, 2)
    doubled = torch.cat([points, points[:5]])
    found = nearest(distances(doubled), 3)
    np.testing.assert_allclose(found[0], found[15])
    assert (found > 0).all()
    for estimate in (lambda d: mle(d, 6), two_nn):
        value = estimate(distances(doubled))
        assert math.isfinite(value)
        assert value > 0


def test_what_has_no_dimension_is_0() -> None:
    same = torch.ones(10, 4)
    pair = torch.tensor([[0.0]] * 5 + [[1.0]] * 5)
    simplex = torch.eye(6)
    for points in (same, pair, simplex, torch.ones(1, 4), torch.tensor([[0.0], [1.0]])):
        assert mle(distances(points), 20) == 0
        assert two_nn(distances(points)) == 0


def test_as_shipped_by_hand() -> None:
    """The released formula, term by term in float64, and 0 for an image that has a copy."""
    points = cloud(8, 3).numpy()
    expected = []
    for i in range(8):
        d = sorted(float(np.linalg.norm(points[i] - points[j])) for j in range(8) if j != i)[:4]
        expected.append(-4 / (sum(math.log(x / (d[-1] + 1e-6)) for x in d) + 1e-6))
    assert shipped_mle(distances(torch.tensor(points)), 4) == pytest.approx(np.mean(expected), rel=1e-9)
    copied = torch.tensor(np.concatenate([points, points]))
    assert shipped_mle(distances(copied), 4) == 0
    assert shipped_mle(distances(torch.ones(5, 2)), 4) == 0


class Profiles:
    """A probe that hands out feature maps whose dimension is known: points on a grid of ``dimension`` axes."""

    def __init__(self, features: dict[tuple[int, int], list[Tensor]], operations: int) -> None:
        self.features_of = features
        self.subspace = SubSpace((tuple(range(operations)),))
        self.asked: list[tuple[Any, ...]] = []

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        self.asked.append((repetition, connected))
        return (repetition,)

    def features(self, edge: int, operation: int, repetition: int, context: Choice) -> list[Tensor]:
        assert context == (repetition,)
        return self.features_of[repetition, operation]


def profiles(repetitions: int) -> Profiles:
    """Two layers; operation 2 puts out constants in the last repetition."""
    features = {
        (r, op): [cloud(14, 1 + op, seed=10 * r + op).view(14, -1, 1, 1), cloud(14, 2, seed=100 + 10 * r + op)]
        for r in range(repetitions)
        for op in range(3)
    }
    features[repetitions - 1, 2] = [torch.ones(14, 2, 1, 1), torch.zeros(14, 3)]
    return Profiles(features, 3)


@pytest.mark.parametrize("estimator", ["mle", "two_nn"])
def test_equals_cosines_of_profiles(estimator: Estimator) -> None:
    probe = profiles(3)
    affinity = Lid(estimator=estimator, neighbours=5, repetitions=3)(cast(Probe, probe), 0)
    estimate = (lambda x: plain_mle(x, 5)) if estimator == "mle" else plain_two_nn
    samples: dict[tuple[int, int], list[float]] = {(0, 1): [], (0, 2): [], (1, 2): []}
    for r in range(3):
        for (i, j), found in samples.items():
            if r == 2 and j == 2:
                continue  # all of operation 2's features are constant: no profile
            p, q = ([estimate(f.flatten(1).numpy()) for f in probe.features_of[r, op]] for op in (i, j))
            found.append(1 - float(np.dot(p, q) / (np.linalg.norm(p) * np.linalg.norm(q))))
    for (i, j), found in samples.items():
        assert affinity.dissimilarity[i, j] == pytest.approx(np.mean(found), abs=1e-9)
        assert affinity.standard_error[i, j] == pytest.approx(np.std(found, ddof=1) / math.sqrt(len(found)), abs=1e-9)
    assert probe.asked == [(r, True) for r in range(3)]


def test_as_shipped_a_constant_profile_is_at_distance_1() -> None:
    probe = profiles(1)
    affinity = Lid("as_shipped", neighbours=5, repetitions=1)(cast(Probe, probe), 0)
    assert affinity.dissimilarity[0, 2] == affinity.dissimilarity[1, 2] == 1
    assert 0 < affinity.dissimilarity[0, 1] < 1
    assert probe.asked == [(0, False)]


def test_an_operation_that_cuts_the_network_has_no_profile() -> None:
    """Path 0-1-3 alone is open in this context, so ``none`` on edge 0-1 leaves nothing."""
    space, data = Micro(), images_of((1, 8, 8), 10)
    supernet = space.supernet(0)

    class Cut(SupernetProbe):
        def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
            return (SKIP, NONE, NONE, NONE, SKIP, NONE)

    probe = Cut(space, space.root(), supernet, data, Rsps(batch_size=24), {}, 1, 0, Meter())
    affinity = Lid(repetitions=1)(probe, 0)
    known = affinity.dissimilarity[1:, 1:][np.triu_indices(4, 1)]
    assert (known < 0.5).all()
    assert affinity.dissimilarity[NONE, 1:] == pytest.approx([known.mean()] * 4)  # measured in no repetition
    assert len(probe.features(0, SKIP, 0, probe.context(0, 0))) == 5


def test_a_diverged_supernet_is_a_sentence() -> None:
    probe = Profiles({(0, 0): [torch.ones(4, 2)], (0, 1): [torch.full((4, 2), float("inf"))]}, 2)
    with pytest.raises(SplitbenchError, match="a feature map on edge 0 is not finite"):
        Lid(repetitions=1)(cast(Probe, probe), 0)


def candidate(d: npt.NDArray[np.float64], *groups: tuple[int, ...]) -> tuple[Affinity, Partition]:
    affinity = Affinity.assumed(tuple(range(len(d))), d)
    return affinity, Partition.of(affinity, groups)


def test_the_released_edge_rule_takes_the_edge_whose_groups_are_most_alike() -> None:
    rng = np.random.default_rng(0)
    candidates = {}
    for edge in range(6):
        upper = np.triu(rng.random((5, 5)), 1)
        candidates[edge] = candidate(upper + upper.T, (0, 1), (2, 3, 4))
    similarity = {
        edge: sum(1 - affinity.dissimilarity[i, j] for i in (0, 1) for j in (2, 3, 4))
        for edge, (affinity, _) in candidates.items()
    }
    for edge, (_, partition) in candidates.items():
        assert inter_similarity(partition) == pytest.approx(similarity[edge])
    chosen = ShippedMaxInterSimilarity()(candidates, rng, 0)
    assert chosen == max(similarity, key=lambda edge: similarity[edge])
    assert chosen == min(candidates, key=lambda edge: candidates[edge][1].raw_cut)


def test_the_released_edge_rule_counts_pairs_and_ties_low() -> None:
    few = candidate(np.zeros((2, 2)), (0,), (1,))
    many = candidate(0.5 * (1 - np.eye(4)), (0, 1), (2, 3))
    rng = np.random.default_rng(0)
    assert ShippedMaxInterSimilarity()({1: few, 4: many, 2: many}, rng, 0) == 2  # 4 pairs of 0.5 against one of 1
    with pytest.raises(ConfigError, match="no edge is left that can be split at level 3"):
        ShippedMaxInterSimilarity()({}, rng, 3)


def test_parameters_and_parts() -> None:
    with pytest.raises(ConfigError, match="neighbours must be 2 or more, not 1"):
        Lid(neighbours=1)
    with pytest.raises(ConfigError, match="repetitions must be 1 or more, not 0"):
        Lid(repetitions=0)
    assert Lid().parts() == Parts("balanced", "max_intra_similarity", only_whole_edges=True)
    assert Lid("as_shipped").parts() == Parts("balanced", "shipped_max_inter_similarity", only_whole_edges=True)


@pytest.mark.parametrize(
    "criterion", [Lid(repetitions=2), Lid("as_shipped", "two_nn", repetitions=1)], ids=["paper", "as_shipped"]
)
def test_conforms(criterion: Lid) -> None:
    check_criterion(criterion, Micro(), images_of((1, 8, 8), 10))
