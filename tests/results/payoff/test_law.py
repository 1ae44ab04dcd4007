"""The law of a split: what is planted is recovered, and what cannot be fitted is refused."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from synthetic_records import make_record

from splitbench.results.payoff.breakeven import ABOVE, BELOW
from splitbench.results.payoff.law import Curve, Law, Points, SeedPoint, at_equal_length, fit, fit_curve, predict
from splitbench.results.payoff.lengths import mean_leaf_steps

CURVE = Curve(limit=0.72, gap=0.15, decay=0.9, start=math.log(900))
BUDGETS = (5e10, 1e11, 2e11, 4e11, 8e11)
RATIO = 1.5
SHIFTS = (0.0, 0.01, -0.01, 0.02, -0.02, 0.0)  # of a seed, in both arms


def planted(relief: float, curve: Curve = CURVE, budgets: tuple[float, ...] = BUDGETS) -> Points:
    """A leaf has two thirds of the unsplit supernet's steps, and ``relief`` more than that had at its length."""

    def point(steps: float, shift: float) -> SeedPoint:
        leaf = steps / RATIO
        return SeedPoint(steps, leaf, curve(steps) + shift, curve(leaf) + relief + shift)

    return {b: {s: point(900 * b / 5e10, shift) for s, shift in enumerate(SHIFTS)} for b in budgets}


def known(relief: float) -> Any:
    """A measured relief, as a decomposition gives it."""
    return lambda points: {budget: dict.fromkeys(own, relief) for budget, own in points.items()}


def test_a_planted_law_is_recovered_and_predicts_the_other_half() -> None:
    relief = 0.012
    first, second = predict(planted(relief), up_to=2e11, ceiling=0.8, relief=known(relief))
    assert (first.fitted, first.checked) == ((0, 2, 4), (1, 3, 5))
    assert (second.fitted, second.checked) == ((1, 3, 5), (0, 2, 4))
    worth = CURVE.gap * (RATIO**CURVE.decay - 1)
    at = 5e10 * (worth / relief) ** (1 / CURVE.decay)
    assert 2e11 < at < 4e11
    for found in (first, second):
        assert found.law.relief == pytest.approx(relief)
        assert found.law.curve.decay == pytest.approx(CURVE.decay, rel=1e-3)
        assert found.at == pytest.approx(at, rel=1e-3)
        assert list(found.gains) == [4e11, 8e11]
        for predicted, observed in found.gains.values():
            assert predicted == pytest.approx(observed.mean, abs=1e-5)
        assert found.observed.at == pytest.approx(at, rel=0.1)  # linear in ln B between tested budgets


@pytest.mark.parametrize(("relief", "at"), [(0.2, BELOW), (-0.001, ABOVE), (0.0, ABOVE)])
def test_a_split_may_always_pay_or_never(relief: float, at: float) -> None:
    assert predict(planted(relief), 2e11, 0.8, known(relief))[0].at == at


def test_a_break_even_above_all_tested_budgets() -> None:
    relief = 0.003
    found = predict(planted(relief), 2e11, 0.8, known(relief))[0]
    worth = CURVE.gap * (RATIO**CURVE.decay - 1)
    assert found.at == pytest.approx(5e10 * (worth / relief) ** (1 / CURVE.decay), rel=0.01)
    assert found.at > BUDGETS[-1]
    assert found.observed.at is None


def test_the_slope_is_the_law_itself_where_leaves_are_hardly_shorter() -> None:
    law, steps = Law(0.0, CURVE), 2000.0
    ratio = 1e-6
    assert -law.gain(steps, steps * math.exp(-ratio)) / ratio == pytest.approx(CURVE.slope(steps), rel=1e-5)
    rise = (CURVE(steps * 1.0001) - CURVE(steps)) / math.log(1.0001)
    assert CURVE.slope(steps) == pytest.approx(rise, rel=1e-3)


def test_relief_of_the_other_half_is_not_seen() -> None:
    """A table of all seeds and budgets can be looked up: the fit takes its own seeds and budgets from it."""
    table = {b: {s: 0.01 if s % 2 else 0.02 for s in own} for b, own in planted(0.0).items()}
    table[8e11] = dict.fromkeys(table[8e11], 99.0)
    first, second = predict(planted(0.01), 2e11, 0.8, lambda _: table)
    assert (first.law.relief, second.law.relief) == pytest.approx((0.02, 0.01))


def test_relief_at_equal_length_by_hand() -> None:
    """A leaf of 200 steps lies half way, in ln steps, between 100 and 400; that of the lowest budget is below both."""
    points = {
        1e9: {0: SeedPoint(100, 60, 0.3, 0.2)},
        4e9: {0: SeedPoint(400, 200, 0.5, 0.45), 1: SeedPoint(400, 200, 0.5, 0.4)},
    }
    assert at_equal_length(points) == {4e9: {0: pytest.approx(0.05)}}


def test_two_budgets_give_a_curve_that_ends_at_the_ceiling() -> None:
    curve = fit_curve([math.log(900), math.log(3600)], [0.6, 0.7], ceiling=0.8)
    assert [curve(900), curve(3600)] == pytest.approx([0.6, 0.7])
    assert curve(3600 * 4) == pytest.approx(0.75)  # the gap is halved again
    with pytest.raises(ValueError, match="noise ceiling"):
        fit_curve([1.0, 2.0], [0.6, 0.8], ceiling=0.8)
    with pytest.raises(ValueError, match="two lengths"):
        fit_curve([1.0, 1.0], [0.6, 0.8], ceiling=0.9)


def test_the_fitted_curve_is_the_least_squares_one() -> None:
    """No curve on a fine grid is nearer to five noisy values."""
    lengths, taus = [6.8, 7.5, 8.2, 8.9, 9.6], [0.51, 0.60, 0.62, 0.66, 0.67]

    def error(curve: Curve) -> float:
        return sum((curve(math.exp(x)) - tau) ** 2 for x, tau in zip(lengths, taus, strict=True))

    best = fit_curve(lengths, taus, ceiling=0.9)
    steps = [k / 10 for k in range(-5, 6)]
    for a, b, c in itertools.product(steps, repeat=3):
        near = Curve(best.limit + 0.02 * a, best.gap + 0.02 * b, best.decay * math.exp(0.3 * c), best.start)
        assert error(near) >= error(best) - 1e-12


def test_what_cannot_be_fitted_or_checked_is_said() -> None:
    points = planted(0.01)
    for up_to, words in ((5e10, "1 of 5 budgets"), (8e11, "5 of 5 budgets")):
        with pytest.raises(ValueError, match=words):
            predict(points, up_to, 0.8)
    few = {budget: {seed: own[seed] for seed in range(3)} for budget, own in points.items()}
    with pytest.raises(ValueError, match="3 seeds are present"):
        predict(few, 2e11, 0.8)
    with pytest.raises(ValueError, match="relief is known at no fitted budget"):
        fit({budget: points[budget] for budget in BUDGETS[:2]}, 0.8, lambda _: {})


# -- lengths from records ----------------------------------------------------------------------------------------------


def split_record(weights: str, populations: tuple[int, int]) -> Any:
    tree = {
        "allowed": [[0, 1]],
        "stage": "root",
        "steps": 100,
        "edges": [0],
        "children": [
            {"allowed": [[0]], "stage": "a", "steps": 300},
            {"allowed": [[1]], "stage": "b", "steps": 800},
        ],
    }
    selection = make_record().model_dump(mode="json")["selection"]
    leaf = selection["leaves"][0]
    own = [leaf | {"allowed": [[index]], "population": size} for index, size in enumerate(populations)]
    config = {"arm": {"schedule": {"weights": weights}}}
    return make_record("gm", tree=tree, selection=selection | {"leaves": own}, config=config)


def test_a_leaf_is_as_long_as_its_path_weighted_by_what_it_ranks() -> None:
    assert mean_leaf_steps(split_record("inherit", (3, 1))) == pytest.approx((400**3 * 900) ** 0.25)
    assert mean_leaf_steps(split_record("restart", (1, 1))) == pytest.approx((300 * 800) ** 0.5)
    assert mean_leaf_steps(make_record()) == pytest.approx(10)
