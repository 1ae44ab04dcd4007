"""How often the intervals hold the truth and the verdicts err, by simulation of the code that a leaderboard runs.

    python bench/coverage.py results/published/coverage.md          # some minutes on one core

tau's truth is known where score and stand-alone accuracy are jointly normal: 2 / pi arcsin(correlation).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from splitbench.results.expectation.expected import further
from splitbench.results.inference import bootstrap, power, stats
from splitbench.results.inference.stats import Estimate

Rows = list[tuple[str, ...]]
TAU, BETWEEN = 0.5, 0.06  # of the mean, and the standard deviation between seeds
RESAMPLES = 599


def coverage(intervals: Iterator[Estimate], truth: float) -> str:
    held = [one.low is not None and one.high is not None and one.low <= truth <= one.high for one in intervals]
    return f"{np.mean(held):.1%}"


def samples(name: str, n: int, simulations: int) -> Iterator[list[float]]:
    """Values of mean 0: normal, or gamma of skewness 0.5 or 2."""
    rng = np.random.default_rng(n)
    shape = {"skewness 0.5": 16.0, "skewness 2": 1.0}.get(name)
    for _ in range(simulations):
        values = rng.normal(size=n) if shape is None else rng.gamma(shape, size=n) - shape
        yield values.tolist()


def over_seeds(simulations: int) -> Rows:
    methods: dict[str, Callable[[Sequence[float]], Estimate]] = {
        "Student t": stats.interval,
        # Equal to bootstrap.bca, which is scipy's, and faster.
        "BCa": lambda values: bootstrap.bca_clustered(bootstrap.mean_statistic(values), len(values)),
    }
    rows: Rows = []
    for n in (3, 5, 8, 12, 20, 40):
        found = [
            coverage((method(values) for values in samples(name, n, simulations)), 0.0)
            for method in methods.values()
            for name in ("normal", "skewness 0.5", "skewness 2")
        ]
        rows.append((str(n), *found))
    return rows


def further_runs(simulations: int) -> Rows:
    """How often the mean of so many further runs lies where published ones lead to expect it."""

    def held(name: str, published: int, runs: int) -> Iterator[bool]:
        for values in samples(name, published + runs, simulations):
            found = further(values[:published], runs)
            assert found.low is not None
            assert found.high is not None
            yield found.low <= math.fsum(values[published:]) / runs <= found.high

    kinds = ("normal", "skewness 0.5", "skewness 2")
    return [
        (str(published), str(runs), *(f"{np.mean(list(held(name, published, runs))):.1%}" for name in kinds))
        for published in (3, 6, 12, 24)
        for runs in (1, 3, 12)
    ]


def draw_run(rng: np.random.Generator, n: int, tau: float) -> tuple[np.ndarray, np.ndarray]:
    correlation = math.sin(math.pi / 2 * tau)
    truth = rng.normal(size=n)
    return correlation * truth + math.sqrt(1 - correlation**2) * rng.normal(size=n), truth


def over_functions(simulations: int) -> Rows:
    def intervals(n: int, tau: float) -> Iterator[Estimate]:
        rng = np.random.default_rng(n)
        for _ in range(simulations):
            score, truth = draw_run(rng, n, tau)
            yield bootstrap.bca_clustered(bootstrap.tau_statistic(score, truth), n, resamples=RESAMPLES)

    return [
        (str(n), str(tau), coverage(intervals(n, tau), tau))
        for n, tau in ((50, 0.5), (200, 0.2), (200, 0.5), (200, 0.8))
    ]


def copies(simulations: int) -> Rows:
    """60 functions, each ranked under 4 names; rows of one function are copies."""

    def intervals(clustered: bool) -> Iterator[Estimate]:
        rng = np.random.default_rng(1)
        for _ in range(simulations):
            score, truth = (np.repeat(column, 4) for column in draw_run(rng, 60, TAU))
            clusters = np.repeat(np.arange(60), 4).tolist() if clustered else 240
            yield bootstrap.bca_clustered(bootstrap.tau_statistic(score, truth), clusters, resamples=RESAMPLES)

    return [
        ("all rows of a function together", coverage(intervals(True), TAU)),
        ("each row by itself (wrong)", coverage(intervals(False), TAU)),
    ]


def seeds_and_functions(simulations: int, n: int = 60) -> Rows:
    def draw_arm(rng: np.random.Generator, seeds: int, shared: bool) -> list[tuple[np.ndarray, np.ndarray]]:
        taus = rng.normal(TAU, BETWEEN, seeds)
        if not shared:
            return [draw_run(rng, n, tau) for tau in taus]
        truth, common = rng.normal(size=(2, n))
        correlations = np.sin(np.pi / 2 * taus)
        noise = (common + rng.normal(size=(seeds, n))) / math.sqrt(2)
        return [(r * truth + math.sqrt(1 - r**2) * own, truth) for r, own in zip(correlations, noise, strict=True)]

    def intervals(seeds: int, shared: bool, student: bool) -> Iterator[Estimate]:
        rng = np.random.default_rng(seeds)
        for _ in range(simulations):
            taus = [bootstrap.tau_statistic(*run) for run in draw_arm(rng, seeds, shared)]
            if student:
                yield stats.interval([float(tau(np.ones((1, n)))[0]) for tau in taus])
            else:
                yield bootstrap.over_seeds_and_functions(taus, [n] * seeds, shared, resamples=199)

    return [
        (
            "the same for all seeds" if shared else "drawn anew for each seed",
            str(seeds),
            coverage(intervals(seeds, shared, True), TAU),
            coverage(intervals(seeds, shared, False), TAU),
        )
        for shared in (False, True)
        for seeds in (3, 5, 12)
    ]


def false_positives(simulations: int) -> Rows:
    """m arms and a baseline that are all alike: in how many tables does any arm get a verdict?"""
    rows: Rows = []
    for arms in (1, 10):
        for seeds in (6, 12, 20):
            rng = np.random.default_rng(seeds)
            wrong = 0
            for _ in range(simulations):
                values = rng.normal(size=(arms + 1, seeds))
                ps = [stats.sign_flip_p((own - values[0]).tolist()) for own in values[1:]]
                wrong += any(p < stats.ALPHA for p in stats.holm(ps))
            rows.append((str(arms), str(seeds), f"{wrong / simulations:.1%}"))
    return rows


def powers(simulations: int) -> Rows:
    """The seeds that power.seeds_needed names, and how often the real test then rejects at alpha / m."""
    rows: Rows = []
    for arms in (1, 10):
        for effect in (0.8, 1.0, 1.5, 2.0):
            rng = np.random.default_rng(arms)
            pair = [effect - math.sqrt(0.5), effect + math.sqrt(0.5)]  # this mean, and standard deviation 1
            seeds = power.seeds_needed(pair, arms)
            assert seeds is not None
            draws = rng.normal(effect, 1, (simulations, seeds)).tolist()
            found = np.mean([stats.sign_flip_p(one) * arms < stats.ALPHA for one in draws])
            expected = power.power(effect, seeds, power.attainable_level(seeds, arms))
            rows.append((str(arms), str(effect), str(seeds), f"{expected:.1%}", f"{found:.1%}"))
    return rows


def table(title: str, header: tuple[str, ...], rows: Rows) -> str:
    lines = [header, ("---:",) * len(header), *rows]
    return f"## {title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def report(simulations: int) -> str:
    error = 2 * math.sqrt(0.95 * 0.05 / simulations)
    kinds = ("normal", "skewness 0.5", "skewness 2")
    seeds = tuple(f"{method}, {kind}" for method in ("t", "BCa") for kind in kinds)
    return "\n".join(
        [
            f"# Measured coverage\n\nBy `bench/coverage.py`, {simulations:,} simulations a cell: a share near 95% is "
            f"known to {error:.1%} (two standard errors). Intervals claim 95%.\n",
            table("Intervals over seeds", ("seeds", *seeds), over_seeds(simulations)),
            table(
                "Further runs inside the range that published seeds lead to expect",
                ("published seeds", "a mean over", *kinds),
                further_runs(simulations),
            ),
            table("BCa over functions, tau-b", ("functions", "tau", "coverage"), over_functions(simulations)),
            table("60 functions under four names each, tau-b", ("resampled", "coverage"), copies(simulations)),
            table(
                "Seeds and functions, mean tau-b, 60 functions",
                ("population", "seeds", "Student t over seeds", "over both"),
                seeds_and_functions(simulations),
            ),
            table(
                "Tables with a wrong verdict, arms all alike (sign flips, Holm)",
                ("arms", "seeds", "wrong"),
                false_positives(simulations),
            ),
            table(
                "Power at the seeds that are named for 80%",
                ("arms", "effect (sd)", "seeds", "computed", "sign flips"),
                powers(simulations),
            ),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--simulations", type=int, default=2_000)
    arguments = parser.parse_args()
    arguments.out.write_text(report(arguments.simulations))


if __name__ == "__main__":
    main()
