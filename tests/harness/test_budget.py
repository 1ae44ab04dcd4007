"""Budgets and accounts, and that every arm of a study spends its budget to within one of its training steps."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from tiny_studies import Notes, run_tiny, tiny

import harness
from harness.budget import Account, Budget, Cost, training_pass
from harness.errors import ConfigError
from harness.registry import build
from results.record import Record
from spaces.base import SubSpace
from spaces.micro.space import Micro

SPACE = Micro()


def test_costs_add_up_in_every_unit() -> None:
    total = sum([Cost(10, 1, 4), Cost(5, 2, 3)], Cost())
    assert total == Cost(15, 3, 7)
    assert total.as_dict() == {"flops": 15, "steps": 3, "examples": 7}
    assert [Budget(kind, 1).amount(total, 2.5) for kind in ("flops", "steps", "examples", "seconds")] == [15, 3, 7, 2.5]


def test_a_training_pass_is_forward_and_backward_of_the_batch() -> None:
    flops = SPACE.flops((3, 1, 2, 3, 1, 3))
    assert training_pass(SPACE, (3, 1, 2, 3, 1, 3), 64) == Cost(64 * (flops.forward + flops.backward), 1, 64)


@pytest.mark.parametrize(("allowance", "steps", "spent"), [(0, 0, 0), (2.9, 0, 0), (3, 1, 3), (7.9, 2, 7), (8, 3, 8)])
def test_an_allowance_pays_for_whole_steps_in_their_order(allowance: float, steps: int, spent: float) -> None:
    costs = itertools.cycle([Cost(3), Cost(4), Cost(1)])
    assert Budget("flops", 100).steps_within(allowance, costs) == (steps, spent)


def test_a_step_that_costs_nothing_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="a training step costs nothing"):
        Budget("flops", 1).steps_within(1, itertools.repeat(Cost(0, 1, 1)))


def test_an_account_keeps_phases_apart_and_knows_what_is_left() -> None:
    account = Account(Budget("steps", 20))
    account.charge("warm_up", Cost(100, 5, 10), 1.0)
    account.charge("scoring", Cost(10, 3, 10), 2.0)
    account.charge("scoring", Cost(10, 4, 10), 0.5)
    assert (account.spent, account.left) == (12, 8)
    assert account.phases == {"warm_up": Cost(100, 5, 10), "scoring": Cost(20, 7, 20)}
    assert account.seconds == {"warm_up": 1.0, "scoring": 2.5}
    assert [share for _, share in account.shares(9, 3)] == pytest.approx([3, 6, 9])


# --- every arm spends its budget --------------------------------------------------------------------------------------

ARMS: dict[str, dict[str, Any]] = {
    "none": {"criterion": "none"},
    "random": {"criterion": "random"},
    "exhaustive": {"criterion": "exhaustive", "edges": [0]},
    "exhaustive 0 1": {"criterion": "exhaustive", "edges": [0, 1]},
    "gm": {"criterion": "gm", "repetitions": 1},
    "gm restart": {"criterion": "gm", "repetitions": 1, "schedule": {"weights": "restart"}},
    "random 2 levels": {"criterion": "random", "schedule": {"levels": 2}},
    "random 2 restart": {"criterion": "random", "schedule": {"levels": 2, "weights": "restart", "warmup": [0.1, 0.2]}},
    "no warm-up": {"criterion": "random", "schedule": {"warmup": 0}},
}
DARTS: dict[str, dict[str, Any]] = {
    "none": {"criterion": "none"},
    "gm": {"criterion": "gm", "repetitions": 1},
    "exhaustive": {"criterion": "exhaustive", "edges": [0]},
}
BUDGETS = {"flops": 5e9, "steps": 161.0, "examples": 5003.0}
PHASES = {"warm_up", "scoring", "training", "selection"}


def dearest_step(kind: str, trainer: dict[str, Any], subspace: SubSpace) -> float:
    """The most that one training step on a subspace can cost."""
    component = build("trainers", trainer)
    if trainer["name"] == "darts":
        cost = next(component.costs(SPACE, subspace, 0, 0))
    else:
        paths = itertools.product(*subspace.allowed)
        path = max(paths, key=lambda a: SPACE.flops(a).forward + SPACE.flops(a).backward)
        cost = training_pass(SPACE, path, component.batch_size)
    return Budget(kind, 1).amount(cost)


def leaves_of(record: Record) -> list[SubSpace]:
    return [SubSpace(tuple(tuple(ops) for ops in leaf.allowed)) for leaf in record.selection.leaves]


def named(arms: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**arm, "name": name} for name, arm in arms.items()]


def check_spending(notes: Notes, kind: str, trainer: dict[str, Any], slack: float = 0.0) -> None:
    """Within the limit, and short of it by less than one step of the last leaf (and ``slack``)."""
    for record in notes.records:
        spent = sum(Budget(kind, 1).amount(Cost(**cost.model_dump())) for cost in record.cost.values())
        assert spent == record.budget.spent <= record.budget.limit
        left = record.budget.limit - record.budget.spent
        assert left < dearest_step(kind, trainer, leaves_of(record)[-1]) + slack, record.arm
        assert set(record.cost) <= PHASES


@pytest.mark.parametrize("kind", list(BUDGETS))
def test_every_arm_spends_its_budget_to_within_a_step(tmp_path: Path, kind: str) -> None:
    """Nine arms: one and two levels, inherited and fresh weights, with and without warm-up."""
    trainer = {"name": "rsps", "batch_size": 32, "learning_rate": 0.1}
    notes = run_tiny(tmp_path, budget={kind: BUDGETS[kind]}, trainer=trainer, arms=named(ARMS))
    assert [record.arm for record in notes.records] == list(ARMS)
    check_spending(notes, kind, trainer)
    leaves = {record.arm: len(record.selection.leaves) for record in notes.records}
    assert list(leaves.values()) == [1, 2, 5, 25, 2, 2, 4, 4, 2]
    phases = {record.arm: set(record.cost) for record in notes.records}
    assert "scoring" in phases["gm"]
    assert "warm_up" not in phases["no warm-up"]


@pytest.mark.parametrize("kind", list(BUDGETS))
def test_darts_spends_its_budget_to_within_a_step(tmp_path: Path, kind: str) -> None:
    trainer = {"name": "darts", "batch_size": 16}
    notes = run_tiny(tmp_path, budget={kind: BUDGETS[kind]}, trainer=trainer, arms=named(DARTS))
    check_spending(notes, kind, trainer)


def test_what_argmax_alpha_leaves_over(tmp_path: Path) -> None:
    """Its answer is known after the training only, so the price of each leaf's dearest path is kept back.

    What a cheaper answer leaves is not spent: at most the evaluations of all leaves, here 5 paths on 100 images.
    In steps and examples a path's price does not depend on the path, and nothing is left over.
    """
    trainer = {"name": "darts", "batch_size": 16}
    study = {"trainer": trainer, "arms": named(DARTS), "selector": "argmax_alpha"}
    for kind, limit in BUDGETS.items():
        notes = run_tiny(tmp_path / kind, budget={kind: limit}, **study)
        for record in notes.records:
            kept_back = sum(
                100 * max(SPACE.flops(path).forward for path in itertools.product(*leaf.allowed))
                for leaf in leaves_of(record)
            )
            slack = kept_back - record.cost["selection"].flops if kind == "flops" else 0
            assert 0 <= slack < 0.1 * limit
            left = record.budget.limit - record.budget.spent
            assert slack <= left < slack + dearest_step(kind, trainer, leaves_of(record)[-1])


# --- a dearer criterion trains less -----------------------------------------------------------------------------------

EXTRA = '''
from dataclasses import dataclass

from criteria.controls import Exhaustive
from harness.registry import register


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


@pytest.mark.parametrize("kind", list(BUDGETS))
def test_a_dearer_criterion_trains_less_by_exactly_that(tmp_path: Path, kind: str) -> None:
    """Scoring is paid out of the arm's budget: what more probe calls cost, training loses, to within a step."""
    plugin = tmp_path / f"extra_{kind}.py"
    plugin.write_text(EXTRA.replace("{name}", kind))
    arms = [{"criterion": f"extra_{kind}", "calls": calls, "name": f"{calls}"} for calls in (0, 2, 4)]
    notes = Notes()
    study = tiny(budget={kind: BUDGETS[kind]}, arms=arms, baseline="0")
    harness.run(study, tmp_path / "out", device="cpu", plugins=[plugin], watcher=notes)
    check_twice_as_dear(notes, kind)


@pytest.mark.parametrize("kind", list(BUDGETS))
def test_gm_with_twice_the_repetitions_trains_less_by_exactly_that(tmp_path: Path, kind: str) -> None:
    fixed = {"partitioner": "singletons", "edge_rule": {"name": "fixed", "edges": [0]}}
    arms: list[dict[str, Any]] = [{"criterion": "exhaustive", "name": "free"}]
    arms += [{"criterion": "gm", "repetitions": r, "name": f"gm {r}", **fixed} for r in (1, 2)]
    notes = run_tiny(tmp_path, budget={kind: BUDGETS[kind]}, arms=arms, baseline="free")
    check_twice_as_dear(notes, kind)


def check_twice_as_dear(notes: Notes, kind: str) -> None:
    """Three arms with the same leaves whose criteria cost nothing, something and about twice that."""
    step = dearest_step(kind, {"name": "rsps", "batch_size": 32}, SPACE.root())
    spent = [
        {phase: Budget(kind, 1).amount(Cost(**cost.model_dump())) for phase, cost in record.cost.items()}
        for record in notes.records
    ]
    free, dear, dearer = spent
    assert free["scoring"] == 0 < dear["scoring"]
    assert dearer["scoring"] == pytest.approx(2 * dear["scoring"], rel=0.25)
    for arm in (dear, dearer):
        assert arm["warm_up"] == free["warm_up"]
        assert arm["selection"] == free["selection"]
        assert abs(free["training"] - arm["training"] - arm["scoring"]) < step


def test_none_and_split_arms_share_the_same_warm_up_price(tmp_path: Path) -> None:
    arms = [{"criterion": "none"}, {"criterion": "random"}]
    first, second = run_tiny(tmp_path, arms=arms).records
    assert first.cost["warm_up"] == second.cost["warm_up"]


# --- budgets that cannot work -----------------------------------------------------------------------------------------


def test_a_budget_that_scoring_eats_up_is_a_sentence_and_keeps_what_ended(tmp_path: Path) -> None:
    notes = Notes()
    study = tiny(arms=["none", {"criterion": "gm", "repetitions": 3}])
    with pytest.raises(ConfigError, match=r"arm gm.*: the budget of 60 steps is too small .* raise budget.steps"):
        harness.run(study, tmp_path, device="cpu", watcher=notes)
    assert [record.arm for record in notes.records] == ["none"]


def test_seconds_are_a_budget_too(tmp_path: Path) -> None:
    """Not reproducible, so the weakest promise: it trains about that long and ends."""
    (record,) = run_tiny(tmp_path, budget={"seconds": 0.5}, schedule={"warmup": 0}).records
    assert record.budget.kind == "seconds"
    assert record.cost["training"].steps > 0
    assert record.budget.spent >= 0.5
