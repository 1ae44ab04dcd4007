"""Correlations against scipy, everything else against definitions written out as loops."""

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as scipy_stats

from splitbench.results.measures import metrics, ranking


def draw(seed: int, n: int = 60, levels: int = 12) -> tuple[np.ndarray, ...]:
    """accuracy, loss, truth, macs, leaf: all with ties."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, levels, n) / 2 + 88
    accuracy = np.round(truth - 40 + rng.normal(0, 2, n))
    loss = rng.integers(0, 4, n) / 4
    macs = rng.integers(1, 6, n) * 1_000 + 500 * (truth > 91)
    return accuracy, loss, truth, macs, rng.integers(0, 4, n)


def compute(data: tuple[np.ndarray, ...]) -> metrics.Metrics:
    return metrics.ranking_metrics(*data, best_truth=float(data[2].max()))


def loop_score(accuracy: np.ndarray, loss: np.ndarray) -> list[int]:
    """How many architectures each one beats: by accuracy, then by lower loss."""
    pairs = list(zip(accuracy, -loss, strict=True))
    return [sum(other < mine for other in pairs) for mine in pairs]


def loop_tau(
    score: list[float], truth: list[float], belongs: Callable[[int, int], bool] = lambda i, j: True
) -> float | None:
    concordance = pairs = tied_score = tied_truth = 0
    for i, j in itertools.combinations(range(len(score)), 2):
        if belongs(i, j):
            pairs += 1
            tied_score += score[i] == score[j]
            tied_truth += truth[i] == truth[j]
            concordance += int(np.sign(score[i] - score[j]) * np.sign(truth[i] - truth[j]))
    possible = math.sqrt((pairs - tied_score) * (pairs - tied_truth))
    return concordance / possible if possible else None


@pytest.mark.parametrize("seed", range(8))
def test_correlations_equal_scipy(seed: int) -> None:
    data = draw(seed)
    accuracy, loss, truth = data[:3]
    found, score = compute(data), loop_score(accuracy, loss)
    assert found["tau[all]"] == pytest.approx(scipy_stats.kendalltau(score, truth).statistic, abs=1e-12)
    assert found["rho[all]"] == pytest.approx(scipy_stats.spearmanr(score, truth).statistic, abs=1e-12)
    assert found["weighted_tau[all]"] == pytest.approx(scipy_stats.weightedtau(score, truth).statistic, abs=1e-12)
    assert found["tau_loss[all]"] == pytest.approx(scipy_stats.kendalltau(-loss, truth).statistic, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_taus_over_parts_equal_loops(seed: int) -> None:
    data = draw(seed)
    accuracy, loss, truth, macs, leaf = data
    found, score = compute(data), loop_score(accuracy, loss)
    assert found["tau[all]"] == pytest.approx(loop_tau(score, truth), abs=1e-12)
    assert found["tau_in_leaf[all]"] == pytest.approx(
        loop_tau(score, truth, lambda i, j: leaf[i] == leaf[j]), abs=1e-12
    )
    assert found["tau_cross_leaf[all]"] == pytest.approx(
        loop_tau(score, truth, lambda i, j: leaf[i] != leaf[j]), abs=1e-12
    )
    for name, k in (("tau[top50%]", 30), ("tau[top10%]", 6)):
        top = [i for i in range(len(truth)) if sum(other > truth[i] for other in truth) < k]
        assert len(top) >= k
        assert found[name] == pytest.approx(loop_tau([score[i] for i in top], [truth[i] for i in top]), abs=1e-12)
    st, sc, tc = loop_tau(score, truth), loop_tau(score, macs), loop_tau(truth, macs)
    expected = (st - sc * tc) / math.sqrt((1 - sc**2) * (1 - tc**2))
    assert found["partial_tau[all|flops]"] == pytest.approx(expected, abs=1e-12)


def broken_ties(score: np.ndarray, k: int) -> list[tuple[int, ...]]:
    """The predicted top k under every order in which ties can be broken, each as often as chance has it."""
    n = len(score)
    return [
        tuple(sorted(range(n), key=lambda i: (-score[i], order[i]))[:k]) for order in itertools.permutations(range(n))
    ]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_top_k_measures_are_exact_expectations_over_broken_ties(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    score, truth = rng.integers(0, 3, 6).astype(float), rng.integers(0, 4, 6).astype(float)
    tops = broken_ties(score, k)
    truly = {i for i in range(6) if sum(truth > truth[i]) < k}
    precision = np.mean([len(truly & set(top)) / k for top in tops])
    assert ranking.precision_at(score, truth, k) == pytest.approx(precision, abs=1e-12)
    best = np.mean([min(1 + int(sum(truth > truth[i])) for i in top) / 6 for top in tops])
    assert ranking.best_rank_at(score, truth, k) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_top_k_measures_in_the_set(seed: int) -> None:
    """Distinct scores, so that plain sorting is the definition; 5% of 43 is 3 after rounding up."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 20, 43).astype(float)
    accuracy = truth + rng.normal(0, 3, 43)
    found = metrics.ranking_metrics(accuracy, np.zeros(43), truth, np.arange(43), np.zeros(43, int), 25.0)
    order = sorted(range(43), key=lambda i: -accuracy[i])
    rank = [1 + sum(truth > value) for value in truth]
    assert found["p@5%[all]"] == pytest.approx(sum(rank[i] <= 3 for i in order[:3]) / 3)
    assert found["br@10[all]"] == pytest.approx(min(rank[i] for i in order[:10]) / 43)
    assert found["regret[all]"] == pytest.approx(25.0 - truth[order[0]])


@pytest.mark.parametrize("cut", [1, 3, 5, 10])
def test_ndcg_is_the_mean_over_broken_ties(cut: int) -> None:
    rng = np.random.default_rng(cut)
    score, truth = rng.integers(0, 3, 6).astype(float), rng.uniform(0, 6, 6)

    def dcg(order: tuple[int, ...]) -> float:
        return sum((2 ** truth[i] - 1) / math.log2(place + 2) for place, i in enumerate(order[:cut]))

    ideal = dcg(tuple(np.argsort(-truth)))
    expected = np.mean([dcg(order) for order in broken_ties(score, 6)]) / ideal
    assert ranking.ndcg(score, truth, cut) == pytest.approx(expected, rel=1e-12)


def test_ndcg_reads_a_thousand_places_at_most() -> None:
    truth = np.random.default_rng(0).uniform(0, 8, 1500)
    score = np.random.default_rng(1).permutation(1500).astype(float)
    gains, best = (2 ** truth[np.argsort(-score)] - 1)[:1000], np.sort(2**truth - 1)[::-1][:1000]
    places = np.log2(np.arange(1000) + 2)
    assert ranking.ndcg(score, truth) == pytest.approx((gains / places).sum() / (best / places).sum(), rel=1e-12)


def test_regret_of_tied_predictions_is_their_mean() -> None:
    accuracy, loss, truth = np.array([3.0, 3.0, 1.0]), np.array([0.5, 0.5, 0.1]), np.array([80.0, 90.0, 95.0])
    found = metrics.ranking_metrics(accuracy, loss, truth, np.arange(3), np.zeros(3, int), 95.0)
    assert found["regret[all]"] == 10.0


def test_loss_breaks_ties_and_real_ties_stay() -> None:
    accuracy = np.array([10.0, 20.0, 20.0, 20.0, 5.0, 5.0])
    loss = np.array([0.1, 0.9, 0.3, 0.9, np.nan, 7.0])
    assert metrics.lexicographic_score(accuracy, loss).tolist() == [2, 3, 4, 3, 0, 1]


def test_a_perfect_order_gets_the_best_of_everything() -> None:
    truth = np.array([90.0, 91.0, 91.0, 92.0, 93.0, 93.0, 94.0, 60.0, 70.0, 80.0, 93.5, 91.5])
    found = metrics.ranking_metrics(truth, np.zeros(12), truth, np.arange(12) % 3, np.arange(12) % 2, 94.0)
    ones = ("tau[all]", "rho[all]", "weighted_tau[all]", "tau[top50%]", "p@5%[all]", "ndcg[all]", "tau_cross_leaf[all]")
    assert [found[name] for name in ones] == pytest.approx([1.0] * len(ones))
    assert found["br@10[all]"] == pytest.approx(1 / 12)
    assert found["regret[all]"] == 0.0


@pytest.mark.parametrize(
    ("accuracy", "truth"),
    [(np.full(30, 10.0), np.arange(30.0)), (np.arange(30.0), np.full(30, 10.0)), (np.array([1.0]), np.array([2.0]))],
)
def test_what_ranks_nothing_is_none(accuracy: np.ndarray, truth: np.ndarray) -> None:
    n = len(truth)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics.ranking_metrics(accuracy, np.ones(n), truth, np.arange(n), np.zeros(n, int), 99.0)
    assert set(found.values()) == {None}


def test_one_leaf_has_no_pairs_across_and_singletons_none_inside() -> None:
    accuracy, loss, truth, macs, _ = draw(0)
    one = metrics.ranking_metrics(accuracy, loss, truth, macs, np.zeros(60, int), 95.0)
    assert one["tau_cross_leaf[all]"] is None
    assert one["tau_in_leaf[all]"] == pytest.approx(one["tau[all]"], abs=1e-12)
    each = metrics.ranking_metrics(accuracy, loss, truth, macs, np.arange(60), 95.0)
    assert each["tau_in_leaf[all]"] is None
    assert each["tau_cross_leaf[all]"] == pytest.approx(each["tau[all]"], abs=1e-12)


def test_every_value_is_a_number_or_none_whatever_ties_there_are() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 9))
        columns = [rng.integers(0, 3, n).astype(float) for _ in range(4)]
        found = metrics.ranking_metrics(*columns, rng.integers(0, 3, n), 3.0)
        assert all(value is None or (isinstance(value, float) and math.isfinite(value)) for value in found.values())


def test_bad_input_is_refused() -> None:
    good = np.arange(4.0)
    with pytest.raises(ValueError, match="one length"):
        metrics.score_metrics(good, good[:3], 3.0)
    with pytest.raises(ValueError, match="finite"):
        metrics.score_metrics(good, np.array([1.0, np.nan, 2.0, 3.0]), 3.0)
    with pytest.raises(ValueError, match="finite"):
        metrics.ranking_metrics(np.array([1.0, np.nan, 2.0, 3.0]), good, good, good, good, 3.0)


def test_a_whole_space_with_many_leaves_matches_a_blocked_count() -> None:
    """9,445 architectures: pairs in and across leaves, counted block by block from the definition."""
    rng = np.random.default_rng(3)
    n = 9_445
    truth = np.round(rng.normal(90, 2, n), 1)
    score = np.round(truth + rng.normal(0, 2, n), 1)
    leaf = rng.integers(0, 8, n)
    counts = np.zeros((2, 4))
    for start in range(0, n, 500):
        rows = slice(start, start + 500)
        later = np.arange(n)[None, :] > np.arange(n)[rows, None]
        ds = np.sign(score[rows, None] - score[None, :])
        dt = np.sign(truth[rows, None] - truth[None, :])
        same = leaf[rows, None] == leaf[None, :]
        for part, pairs in enumerate((later & same, later & ~same)):
            counts[part] += [pairs.sum(), (pairs & (ds == 0)).sum(), (pairs & (dt == 0)).sum(), (ds * dt)[pairs].sum()]
    expected = [c[3] / math.sqrt((c[0] - c[1]) * (c[0] - c[2])) for c in counts]
    assert ranking.leaf_taus(score, truth, leaf) == pytest.approx(expected, abs=1e-12)


def test_the_ceiling_is_the_mean_over_ordered_pairs_of_seeds() -> None:
    rng = np.random.default_rng(5)
    base = rng.normal(90, 3, 80)
    seeds = base[:, None] + rng.normal(0, 1, (80, 3))
    seeds[::7, 2] = np.nan
    macs = rng.integers(1, 9, 80)
    found = metrics.ceiling(seeds, macs)
    expected: dict[str, list[float]] = {}
    for i, j in itertools.permutations(range(3), 2):
        both = ~np.isnan(seeds[:, i]) & ~np.isnan(seeds[:, j])
        a, b = seeds[both, i], seeds[both, j]
        expected.setdefault("tau[all]", []).append(scipy_stats.kendalltau(a, b).statistic)
        expected.setdefault("rho[all]", []).append(scipy_stats.spearmanr(a, b).statistic)
        expected.setdefault("regret[all]", []).append(b.max() - b[a.argmax()])
        expected.setdefault("partial_tau[all|flops]", []).append(ranking.partial_tau(a, b, macs[both].astype(float)))
    assert {name: found[name] for name in expected} == pytest.approx({k: np.mean(v) for k, v in expected.items()})
    assert not any("leaf" in name for name in found)
    assert "partial_tau[all|flops]" not in metrics.ceiling(seeds)


def test_one_training_has_no_ceiling() -> None:
    assert metrics.ceiling(np.arange(5.0)[:, None]) == {}


def test_trivial_baselines_are_sizes_used_as_scores() -> None:
    _, _, truth, macs, leaf = draw(1)
    sizes = {"flops": macs, "parameters": macs[::-1], "convolutions": np.arange(60) % 5}
    found = metrics.trivial(sizes, truth, leaf, float(truth.max()))
    for name, size in sizes.items():
        assert found[name]["tau[all]"] == pytest.approx(scipy_stats.kendalltau(size, truth).statistic, abs=1e-12)
    assert found["flops"]["partial_tau[all|flops]"] is None
    assert found["convolutions"]["partial_tau[all|flops]"] is not None


@pytest.mark.parametrize("k", [1, 2, 3])
def test_expected_best_of_k_equals_enumeration(k: int) -> None:
    values = [3.0, 1.0, 1.0, 7.5, 2.0]
    everything = [max(draw) for draw in itertools.product(values, repeat=k)]
    assert metrics.expected_best_of(values, k) == pytest.approx(np.mean(everything), rel=1e-12)


def test_leaf_floor_equals_enumeration() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth = rng.integers(0, 5, 7).astype(float)
        masks = rng.random((3, 7)) < 0.5
        masks[np.arange(3), rng.integers(0, 7, 3)] = True
        everything = [max(draw) for draw in itertools.product(*(truth[mask] for mask in masks))]
        assert metrics.leaf_floor(truth, masks) == pytest.approx(np.mean(everything), rel=1e-12)


def test_leaf_floor_agrees_with_monte_carlo() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(90, 3, 3000)
    leaf = rng.integers(0, 8, 3000)
    masks = leaf[None, :] == np.arange(8)[:, None]
    draws = np.stack([rng.choice(truth[mask], 40_000) for mask in masks]).max(axis=0)
    error = draws.std() / math.sqrt(len(draws))
    assert abs(metrics.leaf_floor(truth, masks) - draws.mean()) < 4 * error
    assert metrics.leaf_floor(truth, np.ones((8, 3000), bool)) == pytest.approx(metrics.expected_best_of(truth, 8))


def test_picks_from_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="every leaf"):
        metrics.leaf_floor([1.0, 2.0], [[True, False], [False, False]])
    with pytest.raises(ValueError, match="not defined"):
        metrics.expected_best_of([], 2)
    with pytest.raises(ValueError, match="not defined"):
        metrics.expected_best_of([1.0], 0)
