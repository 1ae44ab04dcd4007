"""Power and seeds needed, against statsmodels, enumeration and simulations of the real sign-flip test."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from splitbench.results.inference import power, stats


@pytest.mark.parametrize("effect", [0.1, 0.5, 1.0, -1.5])
@pytest.mark.parametrize("seeds", [3, 6, 12, 40])
@pytest.mark.parametrize("level", [0.05, 0.005])
def test_power_equals_statsmodels(effect: float, seeds: int, level: float) -> None:
    assert power.power(effect, seeds, level) == pytest.approx(TTestPower().power(effect, seeds, level), abs=1e-8)


def test_power_at_no_effect_is_the_level() -> None:
    assert power.power(0.0, 8, 0.05) == pytest.approx(0.05)
    assert power.power(3.0, 1, 0.05) == power.power(3.0, 5, 0.0) == 0.0


@pytest.mark.parametrize("seeds", [3, 5, 6, 8])
@pytest.mark.parametrize("comparisons", [1, 2, 10])
def test_the_attainable_level_is_the_largest_significant_p(seeds: int, comparisons: int) -> None:
    """Powers of two as differences: no two flips have one sum, so that every multiple of 2 / 2^n is some p."""
    sizes = [2**i for i in range(seeds)]
    sums = [
        sum(sign * size for sign, size in zip(signs, sizes, strict=True))
        for signs in itertools.product((1, -1), repeat=seeds)
    ]
    ps = {Fraction(sum(abs(s) >= abs(own) for s in sums), len(sums)) for own in sums}
    expected = max((p for p in ps if p * comparisons < Fraction(1, 20)), default=Fraction(0))
    assert power.attainable_level(seeds, comparisons) == pytest.approx(float(expected))


def of(mean: float, spread: float = 1.0) -> list[float]:
    """Two differences with this mean and standard deviation."""
    return [mean - spread * math.sqrt(0.5), mean + spread * math.sqrt(0.5)]


@pytest.mark.parametrize(("effect", "comparisons"), [(0.3, 1), (0.5, 1), (0.5, 10), (0.2, 5)])
def test_many_seeds_needed_equal_statsmodels(effect: float, comparisons: int) -> None:
    solved = TTestPower().solve_power(effect, power=0.8, alpha=0.05 / comparisons)
    assert power.seeds_needed(of(effect), comparisons) == pytest.approx(math.ceil(solved), abs=1 + 0.02 * solved)


@pytest.mark.parametrize(("effect", "comparisons"), [(0.8, 1), (1.0, 1), (1.5, 1), (1.0, 10), (1.5, 10)])
def test_the_real_test_has_that_power(effect: float, comparisons: int) -> None:
    """The t approximation is a little hopeful where seeds are few: up to 7 points in these cells."""
    seeds = power.seeds_needed(of(effect), comparisons)
    assert seeds is not None

    def rejections(n: int) -> float:
        draws = np.random.default_rng(n).normal(effect, 1, (1_000, n)).tolist()
        return float(np.mean([stats.sign_flip_p(one) * comparisons < stats.ALPHA for one in draws]))

    assert rejections(seeds) > 0.8 - 3 * math.sqrt(0.8 * 0.2 / 1_000)
    assert rejections(max(2, seeds * 2 // 3)) < 0.75
    assert abs(rejections(seeds) - power.power(effect, seeds, power.attainable_level(seeds, comparisons))) < 0.07


@pytest.mark.parametrize("comparisons", [1, 2, 10, 50])
def test_never_fewer_than_can_reject_at_all(comparisons: int) -> None:
    fewest = stats.repetitions_needed(comparisons)
    assert power.seeds_needed(of(100.0), comparisons) == fewest
    assert power.seeds_needed([0.25, 0.25, 0.25], comparisons) == fewest, "no spread at all"


def test_where_no_number_is_known() -> None:
    assert power.seeds_needed([0.1]) is None
    assert power.seeds_needed([0.1, -0.1]) is None
    assert power.seeds_needed(of(1e-6)) is None
    assert power.seeds_needed(of(1.0), comparisons=0) is None


def test_order_of_arms_and_unit_change_nothing() -> None:
    differences = [0.02, 0.05, -0.01, 0.04]
    expected = power.seeds_needed(differences)
    assert (
        expected == power.seeds_needed([-d for d in differences]) == power.seeds_needed([100 * d for d in differences])
    )


@pytest.mark.parametrize("comparisons", [1, 10])
def test_the_smallest_difference_told_has_the_wanted_power(comparisons: int) -> None:
    differences = np.random.default_rng(0).normal(0, 0.02, 15).tolist()
    found = power.detectable(differences, comparisons)
    assert found is not None
    level = power.attainable_level(15, comparisons)
    assert power.power(found / np.std(differences, ddof=1), 15, level) == pytest.approx(0.8, abs=1e-6)
    solved = TTestPower().solve_power(nobs=15, power=0.8, alpha=level)
    assert found == pytest.approx(solved * np.std(differences, ddof=1), rel=1e-5)
    assert power.detectable(differences[:5]) is None
