"""Intervals against scipy, tests and corrections against definitions written out."""

import itertools
import random

import numpy as np
import pytest
from scipy import stats as scipy_stats

from splitbench.results.inference import stats
from splitbench.results.words.sheet import seeds_words


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 30, 101])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_t_quantiles_equal_scipy(freedom: int, confidence: float) -> None:
    expected = scipy_stats.t.ppf(0.5 + confidence / 2, freedom)
    assert stats.t_quantile(confidence, freedom) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("n", [3, 5, 12])
def test_intervals_equal_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(0.5, 0.1, n)
    low, high = scipy_stats.t.interval(0.95, n - 1, values.mean(), scipy_stats.sem(values))
    found = stats.interval(values.tolist())
    assert (found.mean, found.low, found.high) == pytest.approx((values.mean(), low, high), rel=1e-10)
    assert found.n == n


def test_one_or_two_values_have_no_interval_and_none_is_refused() -> None:
    assert stats.interval([0.5]) == stats.Estimate(0.5, None, None, 1)
    assert stats.interval([0.25, 0.75]) == stats.Estimate(0.5, None, None, 2)
    with pytest.raises(ValueError, match="at least one"):
        stats.interval([])


def test_intervals_stay_inside_what_the_values_can_be() -> None:
    values = [0.9, 0.99, 0.6]
    free, cut = stats.interval(values), stats.interval(values, within=(-1.0, 1.0))
    assert free.high is not None
    assert free.high > 1
    assert cut == stats.Estimate(free.mean, free.low, 1.0, 3)
    assert stats.interval(values, within=(-2.0, 2.0)) == free
    assert stats.bounded(stats.Estimate(0.5, None, None, 2), (0.0, 1.0)) == stats.Estimate(0.5, None, None, 2)


def test_two_seeds_would_give_an_interval_that_says_nothing() -> None:
    """Its mean width in standard deviations, by hand: 2 t E[s] / sqrt(n); simulated to one part in fifty."""
    rng = np.random.default_rng(0)
    for n, mean in ((2, 0.7979), (3, 0.8862)):  # of s, for normal values
        expected = 2 * scipy_stats.t.ppf(0.975, n - 1) * mean / np.sqrt(n)
        spreads = rng.normal(size=(20_000, n)).std(axis=1, ddof=1)
        found = 2 * scipy_stats.t.ppf(0.975, n - 1) * spreads.mean() / np.sqrt(n)
        assert found == pytest.approx(expected, rel=0.02)
        assert round(expected, 1) == {2: 14.3, 3: 4.4}[n]


@pytest.mark.parametrize("seed", range(10))
def test_sign_flip_p_equals_enumeration(seed: int) -> None:
    """Whole numbers, so that equal sums are equal and ties at the observed value are met."""
    differences = np.random.default_rng(seed).integers(-3, 5, 7)
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=7)
    ]
    expected = np.mean([s >= abs(differences.sum()) for s in sums])
    assert stats.sign_flip_p(differences.tolist()) == pytest.approx(expected, abs=1e-15)
    assert stats.sign_flip_p((differences * 0.1).tolist()) == pytest.approx(expected, abs=1e-15)


def test_sign_flip_p_equals_scipy() -> None:
    differences = np.random.default_rng(3).normal(0.5, 1, 10)
    exact = scipy_stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert stats.sign_flip_p(differences.tolist()) == pytest.approx(exact.pvalue, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 18])
def test_more_repetitions_are_still_enumerated(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.4, 1, n)
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    exact = float(np.mean(np.abs(sums) >= abs(differences.sum()) - 1e-12))
    assert stats.sign_flip_p(differences.tolist()) == pytest.approx(exact, abs=1e-12)


def test_many_repetitions_are_sampled_with_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, 31).tolist()
    found = stats.sign_flip_p(differences)
    assert found == stats.sign_flip_p(differences)
    monkeypatch.setattr(stats, "EXACT_UP_TO", 31)
    exact = stats.sign_flip_p(differences)
    assert 0 < abs(found - exact) < 4 * np.sqrt(exact * (1 - exact) / stats.RANDOM_FLIPS) + 1 / stats.RANDOM_FLIPS


@pytest.mark.parametrize("n", [17, 18])
def test_plain_python_and_numpy_count_the_same(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenths of whole numbers: ties that rounding pulls apart must be met alike."""
    differences = (np.random.default_rng(n).integers(-3, 5, n) * 0.1).tolist()
    found = stats.sign_flip_p(differences)
    monkeypatch.setattr(stats, "PLAIN_UP_TO", n)
    assert found == stats.sign_flip_p(differences)


@pytest.mark.parametrize("n", [31, 33, 100])
def test_sampled_flips_give_the_p_of_their_signs(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "RANDOM_FLIPS", 999)
    stats._flips.cache_clear()
    differences = np.random.default_rng(n).integers(-3, 5, n)
    groups = -(-n // 8)
    # The first of the eight differences is the lowest bit, which is 0 for plus.
    bits = np.unpackbits(stats._flips(groups, 0)[:, :, None], axis=2, bitorder="little")
    signs = 1 - 2 * bits.transpose(1, 0, 2).reshape(999, -1)[:, :n].astype(int)
    extreme = np.sum(np.abs(signs @ differences) >= abs(differences.sum()))
    assert stats.sign_flip_p(differences.tolist()) == (1 + extreme) / 1000
    assert stats.sign_flip_p((differences * 0.1).tolist()) == (1 + extreme) / 1000
    stats._flips.cache_clear()


def test_flips_are_drawn_once_for_each_size(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    generator = random.Random
    monkeypatch.setattr(stats.random, "Random", lambda seed: drawn.append(seed) or generator(seed))
    stats._flips.cache_clear()
    for arm in range(3):
        stats.sign_flip_p(np.random.default_rng(arm).normal(0, 1, 40).tolist())
    assert drawn == [0]


@pytest.mark.parametrize("n", [31, 100])
def test_a_verdict_stays_possible_beyond_exact_seeds(n: int) -> None:
    comparisons = 4_999
    assert stats.least_p(n, comparisons) < stats.ALPHA <= stats.least_p(n, comparisons + 1)
    assert stats.sign_flip_p([0.1 * (i + 1) for i in range(n)]) == stats.least_p(n)
    assert stats.repetitions_needed(comparisons) <= stats.EXACT_UP_TO
    assert "no verdict is possible" not in seeds_words(n, stats.repetitions_needed(comparisons), comparisons)
    words = seeds_words(n, stats.repetitions_needed(5_000), 5_000)
    assert words.startswith(f"With {n} seeds no verdict is possible (the least p is 0.050): beyond 30 seeds")


def signed_rank_by_hand(differences: np.ndarray) -> float:
    """All signs of the ranks of what is not zero."""
    nonzero = differences[differences != 0]
    ranks = scipy_stats.rankdata(np.abs(nonzero))
    sums = np.array(
        [
            sum(r for r, plus in zip(ranks, signs, strict=True) if plus)
            for signs in itertools.product((True, False), repeat=len(ranks))
        ]
    )
    observed = ranks[nonzero > 0].sum()
    return float(min(1.0, 2 * min(np.mean(sums <= observed), np.mean(sums >= observed))))


@pytest.mark.parametrize("seed", range(6))
def test_wilcoxon_equals_enumeration(seed: int) -> None:
    """Whole numbers have ties and zeros, also after they are scaled and rounded."""
    rng = np.random.default_rng(seed)
    for differences in (rng.normal(0.5, 1, 9), rng.integers(-2, 5, 9).astype(float)):
        expected = signed_rank_by_hand(differences)
        assert stats.wilcoxon_p(differences.tolist()) == pytest.approx(expected)
        assert stats.wilcoxon_p((differences * 0.1).tolist()) == pytest.approx(expected)


def test_wilcoxon_of_nothing() -> None:
    assert stats.wilcoxon_p([0.0, 0.0]) == 1.0
    with pytest.raises(ValueError, match="at least one"):
        stats.wilcoxon_p([])


@pytest.mark.parametrize("n", [*range(1, 20), 30])
def test_the_least_p_is_reached_when_all_agree(n: int) -> None:
    differences = [0.1 * (i + 1) for i in range(n)]
    assert stats.sign_flip_p(differences) == stats.least_p(n) == 2 / 2**n


def test_no_difference_at_all_has_p_one() -> None:
    assert stats.sign_flip_p([0.0] * 6) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_test(seed: int) -> None:
    """Holm is closed testing with Bonferroni: a hypothesis' adjusted p is the largest over the sets it is in."""
    ps = np.round(np.random.default_rng(seed).uniform(0, 0.2, 5), 2).tolist()
    sets = [s for size in range(1, 6) for s in itertools.combinations(range(5), size)]
    expected = [max(min(1.0, len(s) * min(ps[j] for j in s)) for s in sets if i in s) for i in range(5)]
    assert stats.holm(ps) == pytest.approx(expected)
    assert stats.holm([]) == []


@pytest.mark.parametrize(("comparisons", "needed"), [(1, 6), (2, 7), (3, 7), (4, 8), (6, 8), (7, 9), (20, 10)])
def test_repetitions_needed(comparisons: int, needed: int) -> None:
    """By hand: 2 m / 2^n < .05."""
    assert 2 * comparisons / 2**needed < 0.05 <= 2 * comparisons / 2 ** (needed - 1)
    assert stats.repetitions_needed(comparisons) == needed


def test_holm_within_families() -> None:
    ps = [0.01, 0.04, 0.03, 0.02]
    assert stats.holm_within(ps, "abab") == pytest.approx([0.02, 0.04, 0.03, 0.04])
    assert stats.holm_within(ps, "aaaa") == stats.holm(ps)
    assert stats.holm_within([], []) == []
