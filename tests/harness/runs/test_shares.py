"""How leaves share a budget, what their samplers draw, who pays for scoring: against enumeration of every string."""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from pretended import pretended
from tiny_studies import tiny

from splitbench.harness.budget import Allowance, Budget, Cost
from splitbench.harness.errors import ConfigError
from splitbench.harness.running.study import Study
from splitbench.harness.runs.shares import SHARES, shares
from splitbench.harness.stages.train import Member
from splitbench.harness.study.arm_checks import check_listed
from splitbench.harness.study.config import parse_study
from splitbench.harness.testing.small_spaces.two_cells import TwoCells
from splitbench.spaces.architectures import sampling
from splitbench.spaces.architectures.sampling import Sampler, masses, owned_functions
from splitbench.spaces.base import Architecture, SubSpace
from splitbench.spaces.micro.space import Micro

SPACE = Micro()
ROOT = SPACE.root()
NONE_ALONE = SPACE.divide(ROOT, 0, [(0,), (1, 2, 3, 4)])
PAIRS = SPACE.divide(ROOT, 4, [(0, 1), (2, 3, 4)])
CELLS = TwoCells(3)
STAYING = CELLS.divide(CELLS.root(), 2, [(0,), (2,)])  # ``none`` stays in both children, so they overlap


def connected(subspace: SubSpace) -> list[Architecture]:
    return [a for a in itertools.product(*subspace.allowed) if SPACE.connected(a)]


def ranked_in(function: Architecture, leaves: tuple[SubSpace, ...]) -> int:
    return next(index for index, leaf in enumerate(leaves) if leaf.contains(function))


# --- how often ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", [NONE_ALONE, PAIRS, (ROOT,)])
def test_masses_and_counts_equal_those_of_every_string(leaves: tuple[SubSpace, ...]) -> None:
    every = connected(ROOT)
    owners = Counter(ranked_in(SPACE.function(a), leaves) for a in every)
    distinct = Counter(ranked_in(f, leaves) for f in {SPACE.function(a) for a in every})
    assert masses(SPACE, leaves, "strings") == tuple(Fraction(owners[i], len(every)) for i in range(len(leaves)))
    assert owned_functions(SPACE, leaves) == tuple(distinct[i] for i in range(len(leaves)))
    total = sum(distinct.values())
    assert masses(SPACE, leaves, "functions") == tuple(Fraction(distinct[i], total) for i in range(len(leaves)))


def test_the_few_functions_without_edge_0_get_a_quarter_of_the_samples() -> None:
    assert owned_functions(SPACE, NONE_ALONE)[0] == 84
    assert float(masses(SPACE, NONE_ALONE, "strings")[0]) == pytest.approx(0.241, abs=5e-4)
    assert float(masses(SPACE, NONE_ALONE, "functions")[0]) == pytest.approx(84 / 9444, abs=1e-5)


def test_masses_of_overlapping_leaves_add_up_to_one() -> None:
    """What both contain is the first one's."""
    found = masses(CELLS, STAYING, "strings")
    assert sum(found) == 1
    inside = [a for a in itertools.product(*CELLS.root().allowed) if CELLS.connected(a)]
    first = sum(STAYING[0].contains(CELLS.function(a)) for a in inside)
    assert found[0] == Fraction(first, len(inside))


def test_masses_of_a_space_with_too_many_strings_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """By 20,000 draws a mass of p has a standard error of sqrt(p (1 - p) / 20,000): five of them are allowed."""
    exact = float(masses(SPACE, NONE_ALONE, "strings")[0])
    monkeypatch.setattr(sampling, "ENUMERATED", 10)
    sampling._functions_of_strings.cache_clear()
    try:
        drawn = float(masses(SPACE, NONE_ALONE, "strings")[0])
    finally:
        sampling._functions_of_strings.cache_clear()
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=5 * (exact * (1 - exact) / sampling.DRAWS) ** 0.5)


def test_shares_are_money_times_as_often() -> None:
    prices = [Fraction(1), Fraction(3)]
    mass, count = masses(SPACE, NONE_ALONE, "strings"), owned_functions(SPACE, NONE_ALONE)
    expected = {
        "sampler": mass[0] / (mass[0] + 3 * mass[1]),
        "functions": Fraction(count[0], count[0] + 3 * count[1]),
        "steps": Fraction(1, 4),
        "flops": Fraction(1, 2),
    }
    assert set(expected) == set(SHARES)
    for kind, first in expected.items():
        assert shares(kind, SPACE, "strings", NONE_ALONE, prices) == (first, 1 - first)


# --- what a study makes of it -------------------------------------------------------------------------------------


def run_with(share: str, criterion: dict[str, Any], budget: dict[str, Any], **changes: Any) -> tuple[Study, Any]:
    data = tiny(schedule={"warmup": 0.3, "share": share}, budget=budget, arms=["none", criterion], **changes)
    study = Study.build(parse_study(data), "cpu")
    return study, pretended(study, study.arms[1])


@pytest.mark.parametrize(
    ("share", "part"), [("functions", 84 / 9444), ("sampler", 0.241), ("steps", 0.2), ("flops", None)]
)
def test_a_leaf_without_edge_0_gets_the_steps_of_its_share(share: str, part: float | None) -> None:
    """Exhaustive on edge 0: the leaf ``none`` owns 84 functions. A mean price is known to about 2.5%."""
    study, found = run_with(share, {"criterion": "exhaustive", "edges": [0]}, {"flops": 4e10})
    trained = [m for m in found.members if m.parent is not None]
    assert [m.subspace.allowed[0] for m in trained] == [(0,), (1,), (2,), (3,), (4,)]
    money = [m.allowance.amount for m in trained]
    if part is None:
        assert len(set(money)) == 1
        return
    prices = [float(study.settings.prices.mean(study.arms[1], m)) for m in trained]
    steps = np.array(money) / np.array(prices)
    assert steps[0] / steps.sum() == pytest.approx(part, rel=1e-3)


@pytest.mark.parametrize(
    ("share", "low", "high"), [("functions", 0.008, 0.010), ("sampler", 0.235, 0.247), ("steps", 0.49, 0.51)]
)
def test_of_two_leaves_the_one_without_edge_0_trains_so_many_steps(share: str, low: float, high: float) -> None:
    """In steps that were really priced one by one: about 1%, 24% and 50%."""
    study = Study.build(parse_study(tiny(budget={"flops": 1e11})), "cpu")
    space, arm = study.settings.space, study.arms[0]
    members = [Member(leaf, None, Allowance("flops", 0)) for leaf in NONE_ALONE]
    prices = [study.settings.prices.mean(arm, member) for member in members]
    money = Budget("flops", 1e12).parts(1e11, shares(share, space, "strings", NONE_ALONE, prices))
    steps = [0, 0]
    for index, (member, allowance) in enumerate(zip(members, money, strict=True)):
        costs = study.settings.prices.costs(arm, member)
        spent = Cost()
        for cost in itertools.cycle(costs):
            if (spent + cost).flops > allowance.amount:
                break
            spent += cost
            steps[index] += 1
    assert low < steps[0] / sum(steps) < high


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("unit", ["flops", "steps"])
def test_leaves_never_get_more_than_there_is_and_all_but_their_rounding(share: str, unit: str) -> None:
    limit = 5e10 if unit == "flops" else 2000
    _, found = run_with(share, {"criterion": "exhaustive", "edges": [0]}, {unit: limit})
    money = [m.allowance.amount for m in found.members if m.parent is not None]
    before = found.account.phases["warm_up"]
    kept = found.account.phases["selection"]
    left = limit - found.account.budget.amount(before) - found.account.budget.amount(kept)
    assert left - len(money) < sum(money) <= left
    assert all(amount == int(amount) for amount in money)


def test_arms_may_not_differ_in_how_leaves_share() -> None:
    arm = {"criterion": "random", "schedule": {"share": "flops"}}
    with pytest.raises(ConfigError, match="one setting of the whole study"):
        Study.build(parse_study(tiny(arms=["none", arm])), "cpu")


def test_a_method_may_bring_the_share_of_its_paper_and_so_does_its_random_control() -> None:
    arms = ["none", {"criterion": "hierarchy", "of": "random"}, {"criterion": "metric_driven"}, "random"]
    study = Study.build(parse_study(tiny(budget={"steps": 4000}, arms=arms)), "cpu")
    assert [arm.schedule.share for arm in study.arms] == ["sampler", "steps", "steps", "sampler"]


# --- what is trained ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaf", [*NONE_ALONE, *PAIRS, ROOT])
def test_a_leaf_trains_every_string_that_it_ranks_and_no_other(leaf: SubSpace) -> None:
    """All owned strings are drawn equally often: chi-square within five standard deviations of its mean."""
    sampler, rng = Sampler(SPACE, leaf), np.random.default_rng(1)
    owned = [a for a in connected(leaf) if leaf.contains(SPACE.function(a))]
    draws = 6 * len(owned)
    counts = Counter(sampler.draw(rng) for _ in range(draws))
    assert set(counts) <= set(owned)
    squares = sum((counts[a] - 6) ** 2 / 6 for a in owned)
    assert abs(squares - (len(owned) - 1)) < 5 * (2 * len(owned)) ** 0.5


def test_strings_that_another_leaf_ranks_are_there_to_be_rejected() -> None:
    strange = [a for a in connected(NONE_ALONE[1]) if not NONE_ALONE[1].contains(SPACE.function(a))]
    assert strange
    assert not any(Sampler(SPACE, NONE_ALONE[1]).owns(a) for a in strange)
    assert all(NONE_ALONE[0].contains(SPACE.function(a)) for a in strange)


def test_of_overlapping_leaves_the_first_trains_what_both_contain() -> None:
    first, second = Sampler(CELLS, STAYING[0]), Sampler(CELLS, STAYING[1], (STAYING[0],))
    rng = np.random.default_rng(2)
    drawn = [second.draw(rng) for _ in range(300)]
    assert not any(STAYING[0].contains(CELLS.function(a)) for a in drawn)
    both = [a for a in (first.draw(rng) for _ in range(300)) if STAYING[1].contains(a)]
    assert both
    assert not any(map(second.owns, both))


def test_functions_are_drawn_equally_often() -> None:
    sampler, rng = Sampler(SPACE, NONE_ALONE[0], sampling="functions"), np.random.default_rng(3)
    counts = Counter(sampler.draw(rng) for _ in range(84 * 20))
    owned = {SPACE.function(a) for a in connected(NONE_ALONE[0])}
    assert set(counts) <= owned
    squares = sum((counts[a] - 20) ** 2 / 20 for a in owned)
    assert abs(squares - 83) < 5 * (2 * 83) ** 0.5


def test_the_root_draws_as_the_space_does() -> None:
    mine, theirs = np.random.default_rng(4), np.random.default_rng(4)
    assert [Sampler(SPACE, ROOT).draw(mine) for _ in range(50)] == [SPACE.sample(theirs) for _ in range(50)]


@pytest.mark.parametrize("change", [{"sampling": "functions"}, {"schedule": {"share": "functions"}}])
def test_functions_of_a_space_that_cannot_be_listed_are_refused(change: dict[str, Any]) -> None:
    config = parse_study(tiny(**change))
    with pytest.raises(ConfigError, match="cannot be listed"):
        check_listed(config, config.schedule, TwoCells(3, listable=False), "arms[0]")


# --- who pays for scoring -----------------------------------------------------------------------------------------


def test_free_scoring_leaves_more_for_the_leaves_and_is_noted() -> None:
    budget = {"steps": 400}
    charged = {"criterion": "gm", "repetitions": 4}
    scoring = 60

    def price(stage: Any) -> Cost:
        return Cost(1000, scoring // 6, 320)

    data = tiny(budget=budget, arms=["none", charged, {**charged, "scoring": "free", "name": "free"}])
    study = Study.build(parse_study(data), "cpu")
    paid, free = (pretended(study, arm, price) for arm in study.arms[1:])
    assert paid.account.phases["scoring"] == free.account.phases["scoring"]
    assert free.account.phases["training"].steps - paid.account.phases["training"].steps == scoring
    assert 398 <= paid.account.spent == free.account.spent <= 400


@pytest.mark.parametrize("burn", [0.0, 0.03, 0.5])
def test_a_random_control_burns_its_share_and_keeps_its_groups(burn: float) -> None:
    data = tiny(budget={"steps": 1000}, arms=["none", "random", {"criterion": "random", "burn": burn, "name": "burns"}])
    study = Study.build(parse_study(data), "cpu")
    plain, burns = (pretended(study, arm) for arm in study.arms[1:])
    assert burns.account.phases["scoring"].steps == 1000 * burn
    assert burns.leaves == plain.leaves
    assert plain.account.phases["training"].steps - burns.account.phases["training"].steps == 1000 * burn


def test_a_burn_that_nobody_pays_is_refused() -> None:
    arm = {"criterion": "random", "burn": 0.1, "scoring": "free"}
    with pytest.raises(ConfigError, match="scoring is free"):
        Study.build(parse_study(tiny(arms=["none", arm])), "cpu")
    with pytest.raises(ConfigError, match="from 0 to below 1"):
        Study.build(parse_study(tiny(arms=["none", {"criterion": "random", "burn": 1.0}])), "cpu")
    with pytest.raises(ConfigError, match="seconds cannot be burnt"):
        Study.build(
            parse_study(tiny(budget={"seconds": 5}, arms=["none", {"criterion": "random", "burn": 0.1}])), "cpu"
        )
