"""Budgets and accounts, and that every arm of a study spends its budget to within a training step a supernet."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pretended import pretended
from spent_budgets import ARMS, FACTOR, TRAINERS, account_of, dearest_path, dearest_step, named, trained
from tiny_studies import Notes, run_tiny, tiny

import splitbench
from splitbench.harness.budget import Account, Allowance, Budget, Cost, training_pass
from splitbench.harness.running.study import Study
from splitbench.harness.seeds import at_step
from splitbench.harness.stages.score import Score
from splitbench.harness.study.config import parse_study
from splitbench.results.records.loading import load_runs
from splitbench.spaces.base import SubSpace
from splitbench.spaces.micro.space import Micro

SPACE = Micro()


def test_costs_add_up_in_every_unit() -> None:
    total = sum([Cost(10, 1, 4), Cost(5, 2, 3)], Cost())
    assert total == Cost(15, 3, 7)
    assert total.as_dict() == {"flops": 15, "steps": 3, "examples": 7}
    assert [Budget(kind, 1).amount(total, 2.5) for kind in ("flops", "steps", "examples", "seconds")] == [15, 3, 7, 2.5]


def test_a_training_pass_is_forward_and_backward_of_the_batch() -> None:
    flops = SPACE.flops((3, 1, 2, 3, 1, 3))
    assert training_pass(SPACE, (3, 1, 2, 3, 1, 3), 64) == Cost(64 * (flops.forward + flops.backward), 1, 64)


@pytest.mark.parametrize(
    ("kind", "share", "portion"),
    [("steps", 0.3, 18), ("examples", 0.299, 17), ("flops", 1.0, 60), ("flops", 0.0, 0), ("seconds", 0.299, 17.94)],
)
def test_a_portion_is_whole_units_but_for_seconds(kind: str, share: float, portion: float) -> None:
    assert Budget(kind, 60).portion(share) == pytest.approx(portion, abs=0 if kind != "seconds" else 1e-12)


def test_a_portion_is_not_a_unit_short_for_the_last_bit_of_a_product() -> None:
    assert 100 * 0.29 < 29
    assert Budget("steps", 100).portion(0.29) == 29


@pytest.mark.parametrize(
    ("kind", "total", "count", "amount"),
    [("steps", 22, 5, 4), ("flops", 22.9, 2, 11), ("examples", 3, 5, 0), ("steps", -4, 2, 0), ("seconds", 22, 5, 4.4)],
)
def test_parts_of_a_budget_are_equal_and_whole(kind: str, total: float, count: int, amount: float) -> None:
    """What rounding leaves over is lost: no leaf waits for what another has left."""
    assert Budget(kind, 60).parts(total, [Fraction(1, count)] * count) == [Allowance(kind, amount)] * count


def test_parts_of_a_budget_follow_their_shares() -> None:
    shares = (Fraction(1, 7), Fraction(4, 7), Fraction(2, 7))
    assert [part.amount for part in Budget("flops", 1e12).parts(1e12, shares)] == [
        142857142857,
        571428571428,
        285714285714,
    ]


def test_what_is_free_is_noted_and_not_paid_for() -> None:
    account = Account(Budget("steps", 20), free=("scoring",))
    account.charge("warm_up", Cost(100, 5, 10), 1.0)
    account.charge("scoring", Cost(10, 9, 10), 2.0)
    assert (account.spent, account.left) == (5, 15)
    assert account.phases["scoring"] == Cost(10, 9, 10)


def test_an_account_keeps_phases_apart_and_knows_what_is_left() -> None:
    account = Account(Budget("steps", 20))
    account.charge("warm_up", Cost(100, 5, 10), 1.0)
    account.charge("scoring", Cost(10, 3, 10), 2.0)
    account.charge("scoring", Cost(10, 4, 10), 0.5)
    assert (account.spent, account.left) == (12, 8)
    assert account.phases == {"warm_up": Cost(100, 5, 10), "scoring": Cost(20, 7, 20)}
    assert account.seconds == {"warm_up": 1.0, "scoring": 2.5}


# --- every arm spends its budget --------------------------------------------------------------------------------------

LEAVES = [1, 2, 5, 25, 2, 2, 4, 4, 2]
SELECTORS = {"random_best": {"name": "random_best", "samples": 8}, "all": "all", "argmax_alpha": "argmax_alpha"}
BUDGETS = {"flops": 5e9, "steps": 503.0, "examples": 8003.0}
PHASES = {"warm_up", "scoring", "training", "selection"}


def test_the_dearest_path_is_that_of_every_path() -> None:
    for subspace in (SPACE.root(), SPACE.root().only(0, (0, 1)).only(5, (0, 4)), SPACE.root().only(3, (0,))):
        most = max(SPACE.flops(path).forward for path in itertools.product(*subspace.allowed))
        assert SPACE.flops(dearest_path(subspace)).forward == most


def check_spent(account: Account, kind: str, trainer: Any, trained: list[SubSpace]) -> None:
    """Within the limit, and short of it by less than the dearest step of each supernet that was trained."""
    assert 0 <= account.left < sum(dearest_step(kind, trainer, subspace) for subspace in trained)
    assert account.spent == pytest.approx(account.budget.limit, rel=0.1)
    assert set(account.phases) <= PHASES


@pytest.mark.parametrize(
    ("trainer", "selector", "kind"),
    [
        *[("rsps", "random_best", kind) for kind in BUDGETS],
        ("rsps", "all", "flops"),
        ("darts", "random_best", "flops"),
        *[("darts", "argmax_alpha", kind) for kind in BUDGETS],
    ],
)
def test_every_arm_spends_its_budget_to_within_a_step_a_supernet(trainer: str, selector: str, kind: str) -> None:
    """Nine arms: one and two levels, up to 25 leaves, inherited and fresh weights, with and without warm-up."""
    study = tiny(
        budget={kind: FACTOR[trainer] * BUDGETS[kind]},
        trainer=TRAINERS[trainer],
        selector=SELECTORS[selector],
        arms=named(ARMS),
    )
    built = Study.build(parse_study(study), "cpu")

    def five_passes(stage: Score) -> Cost:
        path = SPACE.sample(at_step(stage.seed, stage.edge), stage.subspace)
        return sum([training_pass(SPACE, path, 16)] * (5 if stage.criterion.name == "gm" else 0), Cost())

    leaves = []
    for arm in built.arms:
        found = pretended(built, arm, five_passes)
        leaves.append(len(found.leaves))
        check_spent(found.account, kind, TRAINERS[trainer], [member.subspace for member in found.members])
        assert ("scoring" in found.account.phases) is arm.splits
        assert ("warm_up" in found.account.phases) is (arm.label != "no warm-up")
        assert all(member.allowance.amount % 1 == 0 for member in found.members)
    assert leaves == LEAVES


@pytest.mark.parametrize("trainer", list(TRAINERS))
def test_a_study_spends_its_budget_to_within_a_step_a_supernet(tmp_path: Path, trainer: str) -> None:
    """The same of trained arms, from their records."""
    arms = {name: ARMS[name] for name in ("none", "exhaustive", "gm", "random 2 restart")}
    notes = run_tiny(
        tmp_path, budget={"flops": 6e9}, trainer=TRAINERS[trainer], arms=named(arms), evaluation={"images": 20}
    )
    assert [record.arm for record in notes.records] == list(arms)
    for record in notes.records:
        account = account_of(record)
        assert account.spent == record.budget.spent
        check_spent(account, "flops", TRAINERS[trainer], trained(record))


# --- a dearer criterion trains less -----------------------------------------------------------------------------------

EXTRA = '''
from dataclasses import dataclass

from splitbench.criteria.controls.unmeasured import Exhaustive
from splitbench.harness.registry import register


@register("criteria", "extra_{name}")
@dataclass(frozen=True)
class Extra(Exhaustive):
    """exhaustive, after some more probe calls."""

    calls: int = 0

    def __call__(self, probe, edge):
        for repetition in range(self.calls):
            probe.gradient(edge, 1, repetition, probe.context(edge, repetition))
        return super().__call__(probe, edge)
'''


@pytest.mark.parametrize("kind", ["flops", "steps"])
def test_a_dearer_criterion_trains_less_by_exactly_that(tmp_path: Path, kind: str) -> None:
    """Scoring is paid out of the arm's budget: what more probe calls cost, training loses, to within a step a leaf."""
    plugin = tmp_path / f"extra_{kind}.py"
    plugin.write_text(EXTRA.replace("{name}", kind))
    arms = [{"criterion": f"extra_{kind}", "calls": calls, "name": f"{calls}"} for calls in (0, 40, 80)]
    notes = Notes()
    study = tiny(budget={kind: SMALL[kind]}, trainer=TRAINERS["rsps"], arms=arms, baseline="0")
    splitbench.run(study, tmp_path / "out", device="cpu", plugins=[plugin], watcher=notes)
    check_twice_as_dear(notes, kind)


def test_gm_with_twice_the_repetitions_trains_less_by_exactly_that(tmp_path: Path) -> None:
    fixed = {"partitioner": "singletons", "edge_rule": {"name": "fixed", "edges": [3]}}
    arms: list[dict[str, Any]] = [{"criterion": "exhaustive", "edges": [3], "name": "free"}]
    arms += [{"criterion": "gm", "repetitions": r, "name": f"gm {r}", **fixed} for r in (8, 16)]
    notes = run_tiny(tmp_path, budget={"flops": 6e9}, trainer=TRAINERS["rsps"], arms=arms, baseline="free")
    check_twice_as_dear(notes, "flops")


SMALL = {"flops": 3e9, "steps": 300}


def check_twice_as_dear(notes: Notes, kind: str) -> None:
    """Three arms with the same leaves whose criteria cost nothing, something and about twice that (contexts differ)."""
    step = dearest_step(kind, TRAINERS["rsps"], SPACE.root())
    (leaves,) = {len(record.selection.leaves) for record in notes.records}
    free, dear, dearer = (
        {phase: Budget(kind, 1).amount(Cost(**cost.model_dump())) for phase, cost in record.cost.items()}
        for record in notes.records
    )
    assert free["scoring"] == 0 < leaves * step < dear["scoring"]
    assert dearer["scoring"] == pytest.approx(2 * dear["scoring"], rel=0.0 if kind == "steps" else 0.3)
    for arm in (dear, dearer):
        assert arm["warm_up"] == free["warm_up"]
        assert arm["selection"] == free["selection"]
        assert abs(free["training"] - arm["training"] - arm["scoring"]) < leaves * step


def test_none_and_split_arms_share_the_same_warm_up_price(tmp_path: Path) -> None:
    arms = [{"criterion": "none"}, {"criterion": "random"}]
    first, second = run_tiny(tmp_path, arms=arms).records
    assert first.cost["warm_up"] == second.cost["warm_up"]


# --- budgets that cannot work -----------------------------------------------------------------------------------------


def test_a_budget_that_scoring_eats_up_costs_that_run_alone(tmp_path: Path) -> None:
    notes = Notes()
    study = tiny(arms=["none", {"criterion": "gm", "repetitions": 3}])
    splitbench.run(study, tmp_path, device="cpu", watcher=notes)
    assert [record.arm for record in notes.records] == ["none"]
    (failure,) = load_runs(tmp_path).failed
    assert failure.arm.startswith("gm")
    assert re.match(r"the budget of 60 steps is too small .* raise budget.steps", failure.reason)


def test_seconds_are_a_budget_too(tmp_path: Path) -> None:
    """Not reproducible, so the weakest promise: it trains about that long and ends."""
    (record,) = run_tiny(tmp_path, budget={"seconds": 0.5}, schedule={"warmup": 0}).records
    assert record.budget.kind == "seconds"
    assert record.cost["training"].steps > 0
    assert record.budget.spent >= 0.5
