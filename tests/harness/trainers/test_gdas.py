"""A trainer whose steps' costs depend on what it learns: nothing is known beforehand, and every budget is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gdas import Gdas, drawn
from spent_budgets import account_of, trained
from tiny_studies import run_tiny

from splitbench.harness import registry
from splitbench.harness.budget import Budget, Meter, training_pass
from splitbench.harness.testing import check_trainer, images_of
from splitbench.harness.trainers.base import Job
from splitbench.spaces.base import SubSpace
from splitbench.spaces.micro.space import Micro

SPACE, BATCH = Micro(), 16
IMAGES = images_of((1, 8, 8), 10)


@pytest.fixture(autouse=True)
def component() -> Iterator[None]:
    registry._registered.pop(("trainers", "gdas"), None)
    registry.register("trainers", "gdas")(Gdas)
    yield
    registry._registered.pop(("trainers", "gdas"))


def test_it_passes_the_conformance_suite() -> None:
    """Each step is charged what was said when it was drawn, and it goes on from its tensors bit for bit."""
    check_trainer(Gdas(batch_size=8), SPACE, IMAGES, steps=10)


def test_a_draw_is_a_function_of_seed_step_and_what_was_learnt() -> None:
    session = Gdas(batch_size=8).open(Job(SPACE, SPACE.root(), SPACE.supernet(0), IMAGES, 5, Meter()))
    before = [session.next_cost(step) for step in range(20)]
    assert [session.next_cost(step) for step in range(20)] == before
    assert len({cost.flops for cost in before}) > 10
    with torch.no_grad():
        session.alpha[:, 3] += 2.0  # 3x3 convolutions
    after = [session.next_cost(step) for step in range(20)]
    assert after != before
    assert sum(cost.flops for cost in after) > sum(cost.flops for cost in before)


def test_a_draw_is_straight_through() -> None:
    alpha = torch.zeros(6, 5, requires_grad=True)
    mixture = drawn(SPACE.root().only(1, (2, 4)), alpha, np.random.default_rng(0), 1.0)
    picked = [operations[0] for operations in mixture.active.allowed]
    assert picked[1] in (2, 4)
    assert mixture.weights.sum(1).tolist() == pytest.approx([1.0] * 6)
    assert [float(mixture.weights[edge, op]) for edge, op in enumerate(picked)] == pytest.approx([1.0] * 6)
    mixture.weights[0, picked[0]].backward()  # type: ignore[no-untyped-call]
    assert alpha.grad is not None
    assert alpha.grad[0, picked[0]] > 0
    assert not alpha.grad[1:].any()


ARMS: list[dict[str, Any]] = [
    {"criterion": "none"},
    {"criterion": "random", "name": "random"},
    {"criterion": "exhaustive", "edges": [0], "name": "exhaustive"},
    {"criterion": "random", "schedule": {"levels": 2}, "name": "two levels"},
]
SUPERNETS = {"none": 2, "random": 3, "exhaustive": 6, "two levels": 7}
"""One for each training; the root of ``none`` is trained in two pieces."""


def dearest_step(kind: str, subspace: SubSpace) -> float:
    """Two passes of the dearest path, connected or not."""
    path = tuple(max(ops, key=lambda op: (op == 3, op == 2)) for ops in subspace.allowed)
    cost = training_pass(SPACE, path, BATCH)
    return Budget(kind, 1).amount(cost + cost)


@pytest.mark.parametrize("budget", [{"flops": 2.2e9}, {"steps": 91}], ids=["flops", "steps"])
def test_every_arm_ends_within_a_step_a_supernet_of_its_budget(tmp_path: Path, budget: dict[str, float]) -> None:
    """Fixed numbers of steps would spend a quarter or a half of it."""
    notes = run_tiny(
        tmp_path,
        trainer={"name": "gdas", "batch_size": BATCH},
        selector="argmax_alpha",
        evaluation={"images": 20},
        population={"sample": 10},
        budget=budget,
        arms=ARMS,
    )
    (kind,) = budget
    assert [record.arm for record in notes.records] == list(SUPERNETS)
    for record in notes.records:
        supernets = trained(record)
        assert len(supernets) == SUPERNETS[record.arm]
        short = account_of(record).left
        assert 0 <= short < sum(dearest_step(kind, subspace) for subspace in supernets)
        assert record.budget.spent > 0.85 * record.budget.limit
