"""95% intervals hold the truth in 95% of simulations, give or take 2 points; verdicts err in at most 5%.

2,000 simulations a case: two standard errors are one point. bench/coverage.py measures more.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from splitbench.results.inference import bootstrap, paired, stats
from splitbench.results.inference.stats import Estimate

SIMULATIONS = 2_000


def coverage(intervals: Iterable[Estimate], truth: float) -> float:
    held = [one.low is not None and one.high is not None and one.low <= truth <= one.high for one in intervals]
    assert len(held) == SIMULATIONS
    return float(np.mean(held))


Sampler = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


@pytest.mark.parametrize("n", [3, 5, 12])
@pytest.mark.parametrize(
    "sample",
    [lambda rng, size: rng.normal(size=size), lambda rng, size: rng.gamma(16, size=size) - 16],
    ids=["normal", "skewness 0.5"],
)
def test_student_over_seeds(sample: Sampler, n: int) -> None:
    values = sample(np.random.default_rng(n), (SIMULATIONS, n)).tolist()
    assert abs(coverage(map(stats.interval, values), 0.0) - 0.95) <= 0.02


def test_bca_over_few_seeds_covers_less() -> None:
    """Why Student's t is the headline."""
    values = np.random.default_rng(5).normal(size=(SIMULATIONS, 5))
    statistics = (bootstrap.mean_statistic(one) for one in values)
    assert coverage((bootstrap.bca_clustered(one, 5, resamples=599) for one in statistics), 0.0) < 0.9


def draw(rng: np.random.Generator, n: int, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """Score and truth are jointly normal, so tau is 2 / pi arcsin(correlation)."""
    correlation = math.sin(math.pi / 2 * tau)
    truth = rng.normal(size=n)
    return correlation * truth + math.sqrt(1 - correlation**2) * rng.normal(size=n), truth


def test_bca_of_tau_over_functions() -> None:
    rng = np.random.default_rng(0)
    runs = (bootstrap.tau_statistic(*draw(rng, 100, 0.5)) for _ in range(SIMULATIONS))
    assert abs(coverage((bootstrap.bca_clustered(tau, 100, resamples=399) for tau in runs), 0.5) - 0.95) <= 0.02


@pytest.mark.parametrize("clustered", [True, False])
def test_copies_of_a_function_must_be_drawn_together(clustered: bool) -> None:
    """60 functions, four rows each: drawn apart, an interval is half as wide as it should be."""
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(60), 4).tolist() if clustered else 240
    samples = (np.repeat(rng.normal(size=60), 4) for _ in range(SIMULATIONS))
    found = coverage(
        (bootstrap.bca_clustered(bootstrap.mean_statistic(one), clusters, resamples=399) for one in samples), 0.0
    )
    assert abs(found - 0.95) <= 0.02 if clustered else found < 0.75


@pytest.mark.parametrize(("shared", "seeds"), [(True, 12), (False, 5)])
def test_seeds_and_functions(shared: bool, seeds: int) -> None:
    """A value is its seed's effect plus its function's: shared functions move all seeds together, which Student's
    interval over seeds cannot see."""
    rng = np.random.default_rng(seeds)
    student, both = [], []
    for _ in range(SIMULATIONS):
        functions = rng.normal(size=30) if shared else rng.normal(size=(seeds, 30))
        values = 0.15 * rng.normal(size=(seeds, 1)) + functions + 0.5 * rng.normal(size=(seeds, 30))
        student.append(stats.interval(values.mean(axis=1).tolist()))
        statistics = [bootstrap.mean_statistic(own) for own in values]
        both.append(bootstrap.over_seeds_and_functions(statistics, [30] * seeds, shared, resamples=199))
    assert abs(coverage(both, 0.0) - 0.95) <= 0.02
    assert coverage(student, 0.0) < 0.7 if shared else abs(coverage(student, 0.0) - 0.95) <= 0.02


def exact_p(differences: np.ndarray) -> float:
    """The sign-flip p with numpy, for speed: sums of two halves, the first sign held."""
    n = len(differences)
    middle = n // 2
    signs = [1 - 2 * (np.arange(2**k)[:, None] >> np.arange(k) & 1) for k in (middle, n - middle)]
    fore = (signs[0] @ differences[:middle])[::2]
    back = np.sort(signs[1] @ differences[middle:])
    reach = abs(differences.sum()) * (1 - 1e-12)
    beyond = len(back) - np.searchsorted(back, reach - fore) + np.searchsorted(back, -reach - fore, side="right")
    return float(beyond.mean() / len(back))


@pytest.mark.parametrize("seeds", [12, 20])
@pytest.mark.parametrize("arms", [1, 10])
def test_a_table_of_equal_arms_gets_a_verdict_in_at_most_a_twentieth(arms: int, seeds: int) -> None:
    """Family-wise, all arms against one baseline: their differences share its noise."""
    rng = np.random.default_rng(100 * arms + seeds)
    wrong = 0
    for simulation in range(SIMULATIONS):
        values = rng.normal(size=(arms + 1, seeds))
        differences = values[1:] - values[0]
        ps = [exact_p(one) for one in differences]
        if simulation < 20:
            assert ps == pytest.approx([stats.sign_flip_p(one.tolist()) for one in differences], abs=1e-12)
        adjusted = stats.holm(ps)
        words = [paired.word("tau[all]", sum(one), p, 1.0) for one, p in zip(differences, adjusted, strict=True)]
        wrong += any(word != paired.CANNOT_TELL for word in words)
    assert wrong / SIMULATIONS <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / SIMULATIONS)
    assert wrong > 0.01 * SIMULATIONS, "a test that never rejects would pass too"
