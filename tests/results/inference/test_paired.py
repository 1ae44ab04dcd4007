"""Words, equivalence and P(arm > baseline): against definitions written out, and simulated studies of known truth."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats
from synthetic_records import Writer, arm_records

from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.inference import paired, stats
from splitbench.results.inference.paired import Comparison, compare_pairs, equivalence_p, judge, probability_better
from splitbench.results.measures.families import CORRELATION, POINTS, SHARE, family

SIMULATIONS = 2_000
ERROR = 2 * math.sqrt(0.05 * 0.95 / SIMULATIONS)  # two standard errors of a share of .05
REGION = CORRELATION.region


@pytest.mark.parametrize("metric", ["tau[all]", "rho[all]", "partial_tau[all|flops]", "tau_in_leaf[all]"])
def test_correlations_are_one_family(metric: str) -> None:
    assert family(metric) is CORRELATION
    assert CORRELATION.differences == (-2.0, 2.0)


def test_other_metrics_have_their_own_ranges_and_regions() -> None:
    assert {family(name) for name in ("p@5%[all]", "br@10[all]", "ndcg[all]")} == {SHARE}
    assert {family(name) for name in ("regret[all]", "selected test %", "selected regret")} == {POINTS}
    assert (SHARE.range, POINTS.differences) == ((0.0, 1.0), (-100.0, 100.0))


def test_words_know_which_direction_is_good() -> None:
    assert paired.word("tau[all]", 0.1, 0.04, 1.0) == "better"
    assert paired.word("tau[all]", -0.1, 0.04, 1.0) == "worse"
    assert paired.word("tau[all]", 0.1, 0.05, 0.05) == "can't tell"
    assert paired.word("tau[all]", 0.0, 0.0, 1.0) == "can't tell"
    assert paired.word("regret[all]", 0.1, 0.04, 1.0) == "worse"
    assert paired.word("selected regret", -0.1, 0.04, 1.0) == "better"
    assert paired.word("br@10[all]", -0.1, 0.04, 1.0) == "better"
    assert paired.word("tau[all]", 0.005, 0.001, 0.04) == "practically equal", "sure, and sure to be too small"


def test_comparisons_pair_by_repetition() -> None:
    found = compare_pairs({0: 1.0, 1: 2.0, 5: 9.0}, {1: 1.5, 0: 0.25, 7: 3.0}, "tau[all]")
    assert found is not None
    assert found.difference.mean == pytest.approx((0.75 + 0.5) / 2)
    assert found.difference.n == 2
    assert compare_pairs({0: 1.0}, {1: 1.0}, "tau[all]") is None


def test_a_difference_stays_inside_what_the_metric_allows() -> None:
    found = compare_pairs({0: 0.9, 1: -0.9, 2: 0.1}, {0: -0.9, 1: 0.8, 2: 0.0}, "tau[all]")
    assert found is not None
    assert (found.difference.low, found.difference.high) == (-2.0, 2.0)


@pytest.mark.parametrize("seed", range(10))
def test_two_one_sided_tests_equal_enumeration(seed: int) -> None:
    """Eighths of whole numbers, which add up without rounding: ties at the observed value are met."""
    differences = (np.random.default_rng(seed).integers(-3, 5, 7) / 8).tolist()
    region = 1.25
    signs = list(itertools.product((1, -1), repeat=7))

    def one_sided(values: list[float]) -> float:
        sums = [sum(s * v for s, v in zip(own, values, strict=True)) for own in signs]
        return sum(total >= sum(values) for total in sums) / len(signs)

    expected = max(one_sided([region + d for d in differences]), one_sided([region - d for d in differences]))
    assert equivalence_p(differences, region) == pytest.approx(expected, abs=1e-15)
    assert equivalence_p(differences, abs(sum(differences)) / 7) == 1.0


@pytest.mark.parametrize(("n", "p"), [(4, 1 / 16), (5, 1 / 32), (12, 1 / 4096)])
def test_the_least_p_of_equivalence(n: int, p: float) -> None:
    assert equivalence_p([0.0] * n, REGION) == p


@pytest.mark.parametrize("n", [3, 5, 12, 24])
def test_the_probability_is_that_of_students_posterior(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.01, 0.02, n)
    expected = scipy_stats.t.cdf(differences.mean() / scipy_stats.sem(differences), n - 1)
    assert probability_better(differences.tolist(), "tau[all]") == pytest.approx(expected, abs=1e-12)
    assert probability_better((-differences).tolist(), "regret[all]") == pytest.approx(expected, abs=1e-12)
    ends = stats.interval(differences.tolist())
    assert ends.low is not None
    moved = probability_better((differences - ends.low).tolist(), "tau[all]")
    assert moved == pytest.approx(0.975), "where the 95% interval ends at 0"


def test_probabilities_without_spread_or_seeds() -> None:
    assert probability_better([0.1] * 4, "tau[all]") == 1.0
    assert probability_better([-0.1] * 4, "tau[all]") == 0.0
    assert probability_better([0.0] * 4, "tau[all]") == 0.5
    assert probability_better([0.1, 0.2], "tau[all]") is None


def normal(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return rng.normal(size=size)


def skewed(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return (rng.gamma(16, size=size) - 16) / 4  # skewness 0.5


@pytest.mark.parametrize("sample", [normal, skewed], ids=["normal", "skewness 0.5"])
@pytest.mark.parametrize("n", [5, 12])
def test_equivalence_errs_in_at_most_a_twentieth(sample: type, n: int) -> None:
    """A true difference at the region's very end is called practically equal in at most 5% of studies, and a spread as
    large as the region's does not let the test do nothing."""
    draws = REGION + REGION * sample(np.random.default_rng(n), (SIMULATIONS, n))
    share = np.mean([equivalence_p(one, REGION) < stats.ALPHA for one in draws.tolist()])
    assert share <= 0.05 + ERROR + (0.01 if sample is skewed else 0)
    if n > 5:
        assert share > 0.02


@pytest.mark.parametrize(("n", "spread", "least"), [(12, 0.5, 0.99)])
def test_equivalence_is_found_where_it_holds(n: int, spread: float, least: float) -> None:
    """No true difference; ``spread`` is the standard deviation of paired differences over the region."""
    draws = REGION * spread * np.random.default_rng(n).normal(size=(SIMULATIONS, n))
    assert np.mean([equivalence_p(one, REGION) < stats.ALPHA for one in draws.tolist()]) > least


@pytest.mark.parametrize("n", [3, 6, 12, 24])
def test_the_probability_is_uniform_where_nothing_differs(n: int) -> None:
    """So that P above .95 is said of one arm in twenty that is no better than the baseline."""
    draws = np.random.default_rng(n).normal(size=(SIMULATIONS, n)).tolist()
    said = np.array([probability_better(one, "tau[all]") for one in draws])
    assert scipy_stats.kstest(said, "uniform").pvalue > 0.01
    assert np.mean(said > 0.95) == pytest.approx(0.05, abs=1.3 * ERROR)


def test_the_bootstrap_would_be_too_sure() -> None:
    """Why P is Student's: with three seeds and no true difference the share of bootstrapped means above 0 passes .95 in
    one study of seven, and not of twenty."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(SIMULATIONS, 3))
    resamples = np.array(list(itertools.product(range(3), repeat=3)))
    shares = (draws[:, resamples].mean(axis=2) > 0).mean(axis=1)
    assert np.mean(shares > 0.95) > 0.1
    assert scipy_stats.kstest(shares, "uniform").pvalue < 1e-6


@pytest.mark.parametrize("arms", [1, 10])
def test_a_table_of_unequal_arms_is_called_equal_in_at_most_a_twentieth(arms: int) -> None:
    """Family-wise: every arm truly differs by the region's width from a baseline that they share."""
    rng = np.random.default_rng(arms)
    wrong = 0
    for _ in range(SIMULATIONS // 4):
        values = rng.normal(size=(arms + 1, 12)) * REGION / math.sqrt(2)
        found = {
            str(i): paired.compared((REGION + own - values[0]).tolist(), "tau[all]") for i, own in enumerate(values[1:])
        }
        verdicts = judge("none", "tau[all]", found, {}, dict.fromkeys(found, 0), own_findings(found))
        wrong += any(verdict.word == paired.EQUAL for verdict in verdicts.values())
    assert wrong / (SIMULATIONS // 4) <= 0.05 + 2 * ERROR


def own_findings(found: dict[str, Comparison]) -> dict[str, str]:
    """Each arm found something of its own."""
    return {name: name for name in found}


def judged(n: int, p: float, equal_p: float, arms: int = 1, reason: str = "") -> paired.Verdict:
    one = Comparison(stats.Estimate(0.02, 0.01, 0.03, n), p, equal_p, 0.9)
    found = {str(i): one for i in range(arms)}
    return judge("none", "tau[all]", found, {"0": reason}, dict.fromkeys(found, 0), own_findings(found))["0"]


def test_few_seeds_give_no_verdict_and_say_so() -> None:
    assert judged(12, 0.4, 1.0).word == "can't tell"
    few = judged(5, 2 / 2**5, 1.0)
    assert (few.word, few.reason) == ("no verdict", "5 seeds, and it takes 6")
    assert (few.p, few.probability) == (2 / 2**5, 0.9)
    assert judged(6, 2 / 2**6, 1.0).word == "better"
    many = judged(6, 2 / 2**6, 1.0, arms=2)
    assert (many.word, many.reason) == ("no verdict", "6 seeds, and it takes 7")
    assert judged(1, 1.0, 1.0).reason == "1 seed, and it takes 6"
    assert "more than drawn sign flips can tell" in judged(31, 1.0, 1.0, arms=6_000).reason
    assert judged(5, 1.0, 1 / 2**5).word == "practically equal", "one-sided tests can with one seed less"


def test_an_arm_without_grounds_is_not_tested_and_counts_for_none() -> None:
    found = {name: Comparison(stats.Estimate(0.02, 0.01, 0.03, 6), 2 / 2**6, 1.0, 0.99) for name in ("a", "b")}
    verdicts = judge("none", "tau[all]", found, {"b": "its criterion slept"}, {"a": 0, "b": 0}, own_findings(found))
    assert (verdicts["a"].word, verdicts["a"].p) == ("better", 2 / 2**6)
    lost = verdicts["b"]
    assert (lost.word, lost.reason) == ("no verdict", "its criterion slept")
    assert (lost.p, lost.equal_p, lost.probability, lost.difference) == (None, None, None, found["b"].difference)


def test_practically_equal_arms_of_a_folder(write: Writer) -> None:
    none = [0.5 + 0.02 * (i % 5) for i in range(12)]
    near = [tau + 0.002 * (-1) ** i for i, tau in enumerate(none)]
    folder = write(*arm_records("none", list(none)), *arm_records("near", list(near)))
    (row,) = [row for row in leaderboards(folder).boards[0].rows if row.arm == "near"]
    assert row.verdict is not None
    assert (row.verdict.word, row.verdict.equal_p, row.verdict.region) == ("practically equal", 1 / 2**12, 0.01)
