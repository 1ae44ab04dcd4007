"""zero_cost against differences worked out by hand, with toy proxies whose scores are known, and as part of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch

from splitbench.criteria.base import Parts, Probe, parts_of, unfit
from splitbench.criteria.proxies.base import Network, Proxy, Scores
from splitbench.criteria.zero_cost import ZeroCost, pool_terms
from splitbench.harness import registry
from splitbench.harness.budget import Meter
from splitbench.harness.errors import ConfigError
from splitbench.harness.part import Part
from splitbench.harness.supernets.probe import SupernetProbe
from splitbench.harness.testing import check_criterion, images_of
from splitbench.harness.trainers.base import Job
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import Choice, Mixture, SearchSpace, SubSpace
from splitbench.spaces.cells import CONV3, NONE, SKIP
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb_macro.space import NBMacro

SPACE = Micro()
NAN, INF = float("nan"), float("inf")


@dataclass(frozen=True)
class WeightSum:
    """The sum of |weights| that take part, times a factor; no pass."""

    factor: float = 1.0
    built: ClassVar[list[int]] = []

    def __post_init__(self) -> None:
        self.built.append(1)

    def __call__(self, network: Network) -> float:
        return self.factor * sum(float(weight.detach().abs().sum()) for weight in network.weights())

    def unfit(self, space: SearchSpace) -> str | None:
        return None if space.name == "micro" else "it knows micro alone"


@dataclass(frozen=True)
class Ranked:
    """Two terms, and a score that is the rank among all that are compared."""

    def __call__(self, network: Network) -> tuple[float, float]:
        count = float(len(network.weights()))
        return count, -count

    def combine(self, terms: Scores) -> Scores:
        return np.asarray(terms[:, 0].argsort().argsort(), dtype=np.float64)


def loss(network: Network) -> float:
    """Minus the cross-entropy on the network's batch."""
    return -float(torch.nn.functional.cross_entropy(network(network.images), network.labels).detach())


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    for name, proxy in {"weight_sum": WeightSum, "ranked": Ranked, "loss": loss}.items():
        registry.register("proxies", name)(proxy)
    WeightSum.built.clear()


class Reached:
    """A space whose networks are never cut off."""

    def connected(self, choice: object) -> bool:
        return True


class Given:
    """A probe whose scores are handed in: [repetition][operation] -> terms, and one of the whole supernet."""

    def __init__(self, terms: Sequence[Sequence[Any]], whole: Sequence[Any] = (1.0,), mixture: bool = False) -> None:
        self.terms, self.reference = terms, whole
        self.subspace = SubSpace((tuple(range(len(terms[0]))), (0, 1)))
        self.mixture = mixture
        self.space = Reached()
        self.asked: list[tuple[Any, ...]] = []

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def context(self, edge: int, repetition: int, connected: bool = True) -> Choice:
        return self.whole() if self.mixture else (99, repetition)

    def whole(self) -> Mixture:
        return Mixture(self.subspace, torch.full((2, 9), 0.25))

    def score(self, proxy: Proxy, choice: Choice, repetition: int, initial: bool = False) -> Scores:
        self.asked.append((choice if isinstance(choice, tuple) else choice.active.allowed, repetition, initial))
        operations = (choice[0],) if isinstance(choice, tuple) else choice.active.allowed[0]
        if isinstance(choice, Mixture) and len(operations) == 1:
            assert float(choice.weights[0, operations[0]]) == 1
        single = self.terms[repetition][operations[0]] if len(operations) == 1 else self.reference[repetition]
        return np.atleast_1d(np.array(single, dtype=np.float64))


def measure(given: Given, **parameters: Any) -> Any:
    criterion = ZeroCost("weight_sum", **{"repetitions": len(given.terms), **parameters})
    return criterion(cast(Probe, given), 0)


def test_mean_and_error_of_differences_on_paths_that_share_a_context() -> None:
    given = Given([[1.0, 4.0, 9.0], [2.0, 1.0, 0.0]])
    affinity = measure(given)
    np.testing.assert_allclose(affinity.dissimilarity, [[0, 2, 5], [2, 0, 3], [5, 3, 0]])
    expected = np.std([8.0, 2.0], ddof=1) / np.sqrt(2)
    assert affinity.standard_error[0, 2] == pytest.approx(expected)
    assert affinity.repetitions == 2
    assert given.asked == [((op, r), r, False) for r in range(2) for op in range(3)]


def test_masked_scores_the_whole_supernet_with_one_operation_on_the_edge() -> None:
    given = Given([[1.0, 4.0, 9.0]])
    affinity = measure(given, scored="masked", weights="initial")
    np.testing.assert_allclose(affinity.dissimilarity[0], [0, 3, 8])
    assert given.asked == [(((op,), (0, 1)), 0, True) for op in range(3)]
    assert np.isnan(affinity.standard_error[0, 1])


def test_a_mixture_trainers_context_is_its_mixture_with_one_operation_on_the_edge() -> None:
    given = Given([[1.0, 4.0, 9.0]], mixture=True)
    measure(given)
    assert given.asked == [(((op,), (0, 1)), 0, False) for op in range(3)]


def test_relative_divides_by_the_size_of_the_unmasked_score() -> None:
    given = Given([[1.0, 4.0], [2.0, 8.0]], whole=(-2.0, 4.0))
    affinity = measure(given, scored="masked", relative=True)
    assert affinity.dissimilarity[0, 1] == pytest.approx((3 / 2 + 6 / 4) / 2)
    assert given.asked.count((((0, 1), (0, 1)), 0, False)) == 1


def test_a_score_that_is_not_finite_is_not_measured() -> None:
    affinity = measure(Given([[NAN, 4.0, 9.0], [2.0, -INF, 0.0], [INF, 1.0, 1.0]]))
    assert affinity.dissimilarity[0, 2] == pytest.approx(2.0)  # the second repetition alone
    assert np.isnan(affinity.standard_error[0, 2])
    assert affinity.dissimilarity[1, 2] == pytest.approx((5 + 0) / 2)
    assert affinity.dissimilarity[0, 1] == pytest.approx((2 + 2.5) / 2)  # never measured: the mean of what was


@pytest.mark.parametrize("score", [NAN, INF, -INF])
def test_a_proxy_without_a_finite_score_is_a_sentence(score: float) -> None:
    """No difference at all would look like a finding."""
    with pytest.raises(
        ConfigError, match="the proxy weight_sum gives no finite score for any of the 2 networks of edge 0"
    ):
        measure(Given([[score, score]]))


def test_nothing_measured_is_no_difference() -> None:
    assert not measure(Given([[1.0, 3.0]], whole=(0.0,)), relative=True).dissimilarity.any()
    assert measure(Given([[3.0]])).dissimilarity.tolist() == [[0.0]]


def test_a_set_dependent_proxy_is_ranked_over_all_repetitions_and_operations() -> None:
    given = Given([[(10.0, 0.0), (30.0, 0.0)], [(20.0, 0.0), (NAN, 0.0)], [(5.0, 0.0), (40.0, 0.0)]])
    affinity = ZeroCost("ranked", repetitions=3)(cast(Probe, given), 0)
    # ranks of 10, 30, 20, 5, 40 among the five finite ones: 1, 3, 2, 0, 4
    assert affinity.dissimilarity[0, 1] == pytest.approx((abs(1 - 3) + abs(0 - 4)) / 2)


def test_pooled_keeps_its_shape_and_marks_what_is_missing() -> None:
    terms = np.array([[[3.0, 0.0], [1.0, INF]], [[2.0, 0.0], [9.0, 0.0]]])
    np.testing.assert_array_equal(pool_terms(Ranked(), terms), [[1.0, NAN], [0.0, 2.0]])


def real_probe(trainer: Rsps | Darts, meter: Meter, initial: bool = True) -> SupernetProbe:
    data, supernet = images_of((1, 8, 8), 10), SPACE.supernet(5)
    state = trainer.open(Job(SPACE, SPACE.root(), supernet, data, 0, Meter())).tensors()
    first = (lambda: SPACE.supernet(6)) if initial else None
    return SupernetProbe(SPACE, SPACE.root(), supernet, data, trainer, state, 3, 0, meter, first)


def sum_of_weights(seed: int, active: Sequence[Sequence[int]]) -> float:
    """|weights| outside the edges, and of each edge's listed operations, of a fresh supernet."""
    total = 0.0
    for name, weight in SPACE.supernet(seed).named_parameters():
        parts = name.split(".")
        if weight.dim() < 2 or ("edges" in parts and int(parts[4]) not in active[int(parts[3])]):
            continue
        total += float(weight.detach().abs().double().sum())
    return total


@pytest.mark.parametrize(("weights", "seed"), [("trained", 5), ("initial", 6)])
def test_equals_sums_of_weights_of_the_masked_supernet(weights: Any, seed: int) -> None:
    criterion = ZeroCost("weight_sum", "masked", 1, weights, relative=True)
    affinity = criterion(cast(Probe, real_probe(Rsps(batch_size=8), Meter())), 3)
    everything = [range(5)] * 6
    sums = [sum_of_weights(seed, [*everything[:3], [op], *everything[4:]]) for op in range(5)]
    whole = sum_of_weights(seed, everything)
    for i in range(5):
        for j in range(5):
            assert affinity.dissimilarity[i, j] == pytest.approx(abs(sums[i] - sums[j]) / whole, rel=1e-5, abs=1e-7)


@torch.no_grad()
def test_paths_are_paired_by_batch_and_context() -> None:
    """Equals losses of a second supernet on the probe's own batches and contexts, and is charged for each once."""
    meter = Meter()
    probe = real_probe(Rsps(batch_size=8), meter)
    affinity = ZeroCost("loss", repetitions=3)(cast(Probe, probe), 2)
    network, losses, flops = SPACE.supernet(5), np.zeros((3, 5)), 0
    for r in range(3):
        images, labels = probe.batch(r)
        context = probe.context(2, r)
        assert isinstance(context, tuple)
        for op in range(5):
            path = list(context)
            path[2] = op
            losses[r, op] = float(-torch.log_softmax(network(images, tuple(path)), 1)[torch.arange(8), labels].mean())
            flops += 8 * SPACE.flops(tuple(path)).forward
    expected = np.abs(losses[:, :, None] - losses[:, None, :]).mean(0)
    np.testing.assert_allclose(affinity.dissimilarity, expected, atol=1e-6)
    assert (meter.cost.flops, meter.cost.steps) == (flops, 15)


def test_the_proxy_is_built_once_and_its_fitness_is_the_criterions() -> None:
    criterion = ZeroCost({"name": "weight_sum", "factor": 2.0}, repetitions=2)
    criterion(cast(Probe, Given([[1.0, 2.0]] * 2)), 0)
    assert unfit(criterion, SPACE) is None
    assert unfit(criterion, NBMacro()) == "it knows micro alone"
    assert len(WeightSum.built) == 1
    assert cast(WeightSum, criterion.scorer).factor == 2.0


def test_the_proxys_fingerprint_is_hashed() -> None:
    registry.register("criteria", "zero_cost_here")(ZeroCost)
    found = Part.of("criteria", {"name": "zero_cost_here", "proxy": {"name": "weight_sum", "factor": 3}}).described()
    assert found["proxy"]["factor"] == 3.0
    assert str(found["proxy"]["fingerprint"]).startswith("weight_sum-")


def test_parameters_and_parts() -> None:
    with pytest.raises(ConfigError, match="repetitions must be 1 or more, not 0"):
        ZeroCost(repetitions=0)
    with pytest.raises(ConfigError, match="criterion zero_cost.proxy: unknown proxies component 'nope'"):
        _ = ZeroCost("nope").scorer
    assert parts_of(ZeroCost("loss")) == Parts("max_cut")
    for parameters in ({"scale": "rank"}, {"proxy": "ranked"}):
        with pytest.raises(ConfigError, match="one cannot divide by ranks"):
            parts_of(ZeroCost(**{"proxy": "loss", "relative": True, **parameters}))


def test_ranks_tame_scores_that_leave_their_scale() -> None:
    """One context in which operations 0 and 1 are nearly linear would decide everything by value."""
    given = [[-1e6, -2e6, 5.0], [1.0, 3.0, 4.0]]
    by_value = measure(Given(given)).dissimilarity
    assert by_value[0, 1] > 1e5
    found = measure(Given(given), scale="rank").dissimilarity
    ranks = np.array([[1, 0, 5], [2, 3, 4]]) / 5
    np.testing.assert_allclose(found, np.abs(ranks[:, :, None] - ranks[:, None, :]).mean(0))


@pytest.mark.parametrize(
    "criterion",
    [
        ZeroCost("ranked", repetitions=2),
        ZeroCost("loss", scored="masked", repetitions=1, relative=True),
    ],
    ids=["ranked", "loss"],
)
def test_conforms(criterion: ZeroCost) -> None:
    check_criterion(criterion, SPACE, images_of((1, 8, 8), 10))


@pytest.mark.parametrize("trainer", [Rsps(batch_size=8), Darts(batch_size=8)], ids=["rsps", "darts"])
def test_initial_weights_are_not_the_trained_ones(trainer: Rsps | Darts) -> None:
    trained, initial = (
        ZeroCost("loss", repetitions=1, weights=weights)(cast(Probe, real_probe(trainer, Meter())), 0).dissimilarity
        for weights in ("trained", "initial")
    )
    assert not np.allclose(trained, initial, rtol=1e-3)


def test_a_path_that_an_operation_cuts_is_not_scored() -> None:
    """Synflow would say -1401 of it: a convention, next to which all differences between operations vanish."""
    part = SPACE.root().only(0, (NONE,)).only(1, (NONE,)).only(4, (NONE,)).only(3, (NONE, SKIP, CONV3))
    data, trainer, supernet, meter = images_of((1, 8, 8), 10), Rsps(batch_size=8), SPACE.supernet(0), Meter()
    probe = SupernetProbe(SPACE, part, supernet, data, trainer, {}, 3, 0, meter)
    affinity = ZeroCost("synflow", repetitions=4)(probe, 3)  # edge 3 is all that leads from input to output
    d = affinity.dissimilarity
    assert 0 < d[1, 2] < 100
    assert d[0, 1] == pytest.approx(d[1, 2])  # what is never measured gets the mean of what was
    assert d[0, 2] == pytest.approx(d[1, 2])
    assert np.isnan(affinity.standard_error[0, 1])
    assert meter.cost.examples == 4 * 2  # one image for each path that is not cut
