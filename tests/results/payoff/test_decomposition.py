"""The decomposition of a difference in tau: against brute force over pairs, and on simulated studies."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from splitbench.results.arms.terms import TERMS
from splitbench.results.inference.stats import interval
from splitbench.results.measures.ranking import Floats, Integers, tau_b
from splitbench.results.payoff.decomposition import EstimateSet, decompose, pair_sums, with_offsets


def estimates(rng: np.random.Generator, n: int) -> EstimateSet:
    """Accuracies in steps of one image in fifty, so that many tie, and losses that break most of the ties."""
    return EstimateSet(np.round(rng.normal(60, 5, n) * 0.5) / 0.5, np.round(rng.random(n), 1))


def by_hand(score: Floats, truth: Floats, leaf: Integers) -> tuple[float, float]:
    sums, tied = {True: 0, False: 0}, [0, 0]
    for i, j in itertools.combinations(range(len(score)), 2):
        a, b = np.sign(score[i] - score[j]), np.sign(truth[i] - truth[j])
        sums[bool(leaf[i] == leaf[j])] += int(a * b)
        tied[0] += a == 0
        tied[1] += b == 0
    pairs = math.comb(len(score), 2)
    norm = math.sqrt((pairs - tied[0]) * (pairs - tied[1]))
    return sums[True] / norm, sums[False] / norm


@pytest.mark.parametrize("n", [2, 30, 600])
def test_within_and_across_add_up_to_tau_b(n: int) -> None:
    rng = np.random.default_rng(n)
    score, truth = estimates(rng, n).score, np.round(rng.normal(0, 3, n))
    leaf = rng.integers(0, 3, n)
    found = pair_sums(score, truth, leaf)
    assert found is not None
    assert sum(found) == pytest.approx(tau_b(score, truth), abs=1e-12)
    if n <= 30:
        assert found == pytest.approx(by_hand(score, truth, leaf), abs=1e-12)


def test_the_terms_telescope() -> None:
    rng = np.random.default_rng(3)
    four = [estimates(rng, 80) for _ in range(4)]
    truth, leaf = rng.normal(size=80), rng.integers(0, 4, 80)
    found = decompose(four[0], four[1], four[2], four[3], truth, leaf)
    assert found is not None
    assert math.fsum(found[name] for name in TERMS) == pytest.approx(found["difference"], abs=1e-12)
    assert found["difference"] == pytest.approx(tau_b(four[3].score, truth) - tau_b(four[0].score, truth), abs=1e-12)
    moved = by_hand(with_offsets(four[2], four[3], leaf).score, truth, leaf)[1]
    assert found["calibration"] == pytest.approx(moved - by_hand(four[2].score, truth, leaf)[1], abs=1e-12)


def test_equal_estimates_have_no_terms_and_a_constant_has_no_tau() -> None:
    rng = np.random.default_rng(4)
    one, truth, leaf = estimates(rng, 40), rng.normal(size=40), rng.integers(0, 2, 40)
    found = decompose(one, one, one, one, truth, leaf)
    assert found is not None
    assert [found[name] for name in (*TERMS, "calibration", "difference")] == [0.0] * 6
    flat = EstimateSet(np.ones(40), np.ones(40))
    assert decompose(one, one, flat, one, truth, leaf) is None
    assert decompose(one, one, one, one, np.ones(40), leaf) is None


def test_offsets_alone_are_all_of_across_and_nothing_within() -> None:
    """The arm is the sham with one leaf lifted: what it gains is calibration, exactly."""
    rng = np.random.default_rng(5)
    sham, truth, leaf = EstimateSet(rng.normal(60, 5, 60), np.zeros(60)), rng.normal(size=60), np.arange(60) % 2
    lifted = EstimateSet(sham.accuracy + 4.0 * leaf, sham.loss)
    found = decompose(sham, sham, sham, lifted, truth, leaf)
    assert found is not None
    assert found["relief"] == 0
    assert found["across"] == found["calibration"] != 0
    assert found["difference"] == pytest.approx(found["across"], abs=1e-12)


# --- simulated studies --------------------------------------------------------------------------------------------

N, SEEDS = 40, 12
NOISE = {"none": 0.8, "free": 1.1, "charged": 1.3, "arm": 0.7}
OFFSET = 0.6
"""The arm's second leaf is estimated too high by it: what separation brings within leaves, offsets take back across."""


def expected_agreement(noise: float, offset: float) -> float:
    """E[sgn(s_i - s_j) sgn(t_i - t_j)] for t normal, s = t + normal noise, and s_i - s_j shifted by ``offset``."""

    def density(d: float) -> float:
        up = stats.norm.cdf((d + offset) / (noise * math.sqrt(2)))
        return float(stats.norm.pdf(d, scale=math.sqrt(2)) * np.sign(d) * (2 * up - 1))

    return float(integrate.quad(density, -12, 0)[0] + integrate.quad(density, 0, 12)[0])


def planted(leaf: Integers) -> dict[str, float]:
    """What the terms of this model are, in expectation. A mean of the two directions of a pair across leaves: the
    second leaf is the first member of half of them."""
    pairs = math.comb(N, 2)
    same = sum(math.comb(int(count), 2) for count in np.bincount(leaf)) / pairs
    tau = {name: expected_agreement(noise, 0.0) for name, noise in NOISE.items()}
    shifted = expected_agreement(NOISE["arm"], OFFSET)
    return {
        "training_lost": tau["free"] - tau["none"],
        "bill": tau["charged"] - tau["free"],
        "relief": same * (tau["arm"] - tau["charged"]),
        "across": (1 - same) * (shifted - tau["charged"]),
        "difference": same * tau["arm"] + (1 - same) * shifted - tau["none"],
    }


def simulated(rng: np.random.Generator, leaf: Integers) -> dict[str, float]:
    """One seed of a study. Noise is shared in part between the four estimates, as seeds are."""
    truth, shared = rng.normal(size=N), rng.normal(size=N)

    def noisy(name: str, offset: float) -> EstimateSet:
        noise = NOISE[name] * (0.6 * shared + 0.8 * rng.normal(size=N))
        return EstimateSet(truth + noise + offset * (leaf == 1), np.zeros(N))

    found = decompose(noisy("none", 0), noisy("free", 0), noisy("charged", 0), noisy("arm", OFFSET), truth, leaf)
    assert found is not None
    return found


def test_planted_terms_are_recovered_without_bias_and_covered_as_often_as_stated() -> None:
    """2,000 studies of 12 seeds: the intervals cover 95 +- 2% (their own error at 2,000 is .5%), and the mean over all
    24,000 seeds is within five standard errors of what was planted."""
    rng, leaf = np.random.default_rng(6), (np.arange(N) % 4 == 0).astype(np.int64)
    wanted, studies = planted(leaf), 2000
    covered: dict[str, int] = dict.fromkeys(wanted, 0)
    values: dict[str, list[float]] = {name: [] for name in wanted}
    for _ in range(studies):
        seeds = [simulated(rng, leaf) for _ in range(SEEDS)]
        for name, value in wanted.items():
            own = [seed[name] for seed in seeds]
            values[name] += own
            estimate = interval(own)
            assert estimate.low is not None
            assert estimate.high is not None
            covered[name] += estimate.low <= value <= estimate.high
    for name, value in wanted.items():
        error = float(np.std(values[name])) / math.sqrt(len(values[name]))
        assert abs(float(np.mean(values[name])) - value) < 5 * error, name
        assert covered[name] / studies == pytest.approx(0.95, abs=0.02), name


def test_planted_calibration_is_told_from_the_rest() -> None:
    """In the mean over 400 seeds: where an arm differs from its sham by offsets alone, all of across is calibration."""
    rng, leaf = np.random.default_rng(7), (np.arange(N) % 4 == 0).astype(np.int64)
    found: list[dict[str, Any]] = []
    for _ in range(400):
        truth = rng.normal(size=N)
        sham = EstimateSet(truth + rng.normal(size=N), np.zeros(N))
        arm = EstimateSet(sham.accuracy + OFFSET * (leaf == 1), np.zeros(N))
        terms = decompose(sham, sham, sham, arm, truth, leaf)
        assert terms is not None
        found.append(terms)
    assert all(terms["relief"] == 0 for terms in found)
    assert all(terms["across"] == pytest.approx(terms["calibration"], abs=0.01) for terms in found)
    same = sum(math.comb(int(count), 2) for count in np.bincount(leaf)) / math.comb(N, 2)
    value = (1 - same) * (expected_agreement(1.0, OFFSET) - expected_agreement(1.0, 0.0))
    taken = [terms["across"] for terms in found]
    assert abs(float(np.mean(taken)) - value) < 5 * float(np.std(taken)) / math.sqrt(len(taken))
