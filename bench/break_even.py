"""How often the set of a break-even holds the true one, and what a bootstrap of it would hold, by simulation.

    python bench/break_even.py results/published/break-even-coverage.md          # some minutes on one core

A seed's gains at four budgets are correlated; between the budgets the true mean is linear in ln B.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from splitbench.results.inference import bootstrap
from splitbench.results.payoff.breakeven import ABOVE, BELOW, find_break_even

Floats = npt.NDArray[np.floating[Any]]
Rows = list[tuple[str, ...]]

BUDGETS = (5e10, 2e11, 8e11, 3.2e12)
SPREAD, CORRELATION = 0.015, 0.6  # between seeds: standard deviation at a budget, correlation of neighbouring budgets
RESAMPLES = 999
FEWER = 2  # budgets from the top that have half the seeds, where some are missing


@dataclass(frozen=True)
class Curve:
    """The true mean gain at each of BUDGETS, and the break-even that it has."""

    name: str
    means: tuple[float, ...]
    truth: float


CURVES = (
    Curve("one zero", (-0.037, -0.005, 0.012, 0.020), 2e11 * 4 ** (5 / 17)),
    Curve("one zero, shallow", (-0.009, -0.003, 0.003, 0.009), 2e11 * 4**0.5),
    Curve("two zeros, the second upward", (0.012, -0.015, -0.005, 0.020), 8e11 * 4**0.2),
)
BEYOND = (
    Curve("worse at every budget", (-0.040, -0.030, -0.020, -0.012), ABOVE),
    Curve("worse at every budget, by .0005 at the highest", (-0.040, -0.030, -0.020, -0.0005), ABOVE),
    Curve("better at every budget", (0.012, 0.020, 0.030, 0.040), BELOW),
    Curve("better at every budget, by .0005 at the lowest", (0.0005, 0.020, 0.030, 0.040), BELOW),
)
NOISES = ("normal", "skewness 0.5", "skewness 2")


def studies(curve: Curve, seeds: int, count: int, noise: str = "normal") -> Floats:
    """[count, seeds, budgets] gains."""
    rng = np.random.default_rng([seeds, NOISES.index(noise)])
    lags = np.abs(np.subtract.outer(np.arange(len(BUDGETS)), np.arange(len(BUDGETS))))
    root = np.linalg.cholesky(CORRELATION**lags)
    shape = {"skewness 0.5": 16.0, "skewness 2": 1.0}.get(noise)
    size = (count, seeds, len(BUDGETS))
    drawn = rng.normal(size=size) if shape is None else (rng.gamma(shape, size=size) - shape) / math.sqrt(shape)
    found: Floats = np.array(curve.means) + SPREAD * drawn @ root.T
    return found


def gains(study: Floats, missing: bool) -> dict[float, dict[int, float]]:
    """As break_even takes them; half the seeds are missing at the upper budgets if ``missing``."""
    kept = [len(study) // 2 if missing and k >= len(BUDGETS) - FEWER else len(study) for k in range(len(BUDGETS))]
    return {budget: {seed: float(study[seed, k]) for seed in range(kept[k])} for k, budget in enumerate(BUDGETS)}


def fieller(curve: Curve, seeds: int, count: int, noise: str = "normal", missing: bool = False) -> str:
    held = [find_break_even(gains(one, missing)).holds(curve.truth) for one in studies(curve, seeds, count, noise)]
    return f"{np.mean(held):.1%}"


def last_zero(means: Floats) -> Floats:
    """[rows, budgets] mean gains -> [rows] ln of the last upward zero; the nearest end where there is none."""
    x = np.log(BUDGETS)
    found: Floats = np.where(means[:, -1] > 0, x[0], x[-1])
    for k in range(len(x) - 1):
        start, end = means[:, k], means[:, k + 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            zero = x[k] + (x[k + 1] - x[k]) * start / (start - end)
        found = np.where((start <= 0) & (end > 0), zero, found)
    return found


def bootstraps(curve: Curve, seeds: int, count: int) -> tuple[str, str]:
    """Coverage of the percentile and the BCa bootstrap of the last upward zero, seeds resampled."""
    rng = np.random.default_rng(seeds)
    truth = math.log(curve.truth)
    percentile, accelerated = [], []
    for study in studies(curve, seeds, count):

        def statistic(counts: Floats, study: Floats = study) -> Floats:
            return last_zero(counts @ study / counts.sum(axis=1, keepdims=True))

        drawn = last_zero(study[rng.integers(seeds, size=(RESAMPLES, seeds))].mean(axis=1))
        low, high = np.quantile(drawn, (0.025, 0.975))
        percentile.append(low <= truth <= high)
        bca = bootstrap.bca_clustered(statistic, seeds, resamples=RESAMPLES)
        accelerated.append(bca.low is not None and bca.high is not None and bca.low <= truth <= bca.high)
    return f"{np.mean(percentile):.1%}", f"{np.mean(accelerated):.1%}"


def within(count: int) -> Iterator[tuple[str, ...]]:
    for curve in CURVES:
        for seeds in (6, 12):
            skewed = [fieller(curve, seeds, count, noise) for noise in NOISES]
            yield (curve.name, str(seeds), *skewed, fieller(curve, seeds, count, missing=True))


def against(count: int) -> Iterator[tuple[str, ...]]:
    for curve in CURVES:
        for seeds in (6, 12):
            yield (curve.name, str(seeds), fieller(curve, seeds, count), *bootstraps(curve, seeds, count))


def beyond(count: int) -> Iterator[tuple[str, ...]]:
    for curve in BEYOND:
        for seeds in (6, 12):
            found = [find_break_even(gains(one, False)) for one in studies(curve, seeds, count)]
            lost = np.mean([not one.holds(curve.truth) for one in found])
            empty = np.mean([not one.parts for one in found])
            yield curve.name, str(seeds), f"{lost:.1%}", f"{empty:.1%}"


def table(title: str, header: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [tuple(header), ("---:",) * len(header), *rows]
    return f"## {title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def report(count: int) -> str:
    error = 2 * math.sqrt(0.95 * 0.05 / count)
    tested = ", ".join(f"{budget:g}" for budget in BUDGETS)
    return "\n".join(
        [
            f"# Coverage of break-even sets\n\nBy `bench/break_even.py`, {count:,} studies a cell: a share near 95% is "
            f"known to {error:.1%} (two standard errors). Sets claim 95%. Budgets {tested}; between seeds the gain at "
            f"a budget has standard deviation {SPREAD:g}, and correlation {CORRELATION:g} with that at a neighbouring "
            "one. A resample without an upward zero counts for the bootstraps as the end of the tested budgets that it "
            "speaks for.\n",
            table(
                "The set holds the true break-even",
                ("true mean", "seeds", *NOISES, f"normal, half the seeds at the {FEWER} highest"),
                within(count),
            ),
            table(
                "Beside a bootstrap over seeds, normal",
                ("true mean", "seeds", "set", "percentile", "BCa"),
                against(count),
            ),
            table(
                "No zero among the tested budgets, normal",
                ("true mean", "seeds", "truth beyond the end is excluded", "set within the tested budgets is empty"),
                beyond(count),
            ),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--studies", type=int, default=10_000)
    arguments = parser.parse_args()
    arguments.out.write_text(report(arguments.studies))


if __name__ == "__main__":
    main()
