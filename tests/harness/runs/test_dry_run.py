"""The rehearsal, a run answered without work: its account against the real run's, and what it refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretended import pretended
from spent_budgets import ARMS, FACTOR, TRAINERS, dearest_step, named, trained
from tiny_studies import Executed, Notes, run_tiny, tiny

import splitbench
from splitbench.criteria.base import Affinity, Partition
from splitbench.harness import registry
from splitbench.harness.budget import Budget, Cost, forward_pass
from splitbench.harness.errors import ConfigError
from splitbench.harness.running.study import Study
from splitbench.harness.runs.dry_run import Rehearsal, Rehearser
from splitbench.harness.runs.protocol import Run
from splitbench.harness.study.arm import Arm
from splitbench.harness.study.config import parse_study
from splitbench.spaces.architectures.populations import population
from splitbench.spaces.base import SearchSpace
from splitbench.spaces.micro.space import Micro

SPACE = Micro()
BUDGET = {"flops": 3e9}


def built(**changes: Any) -> Study:
    return Study.build(parse_study(tiny(**changes)), "cpu")


def rehearsed(study: Study) -> dict[str, Rehearsal]:
    return {arm.label: study.rehearser.rehearse(arm, study.seeds(0)) for arm in study.arms}


def amounts(budget: Budget, phases: Mapping[str, Any]) -> dict[str, float]:
    return {phase: budget.amount(Cost(cost.flops, cost.steps, cost.examples)) for phase, cost in phases.items()}


# --- its account ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["flops", "steps", "examples"])
@pytest.mark.parametrize("trainer", list(TRAINERS))
def test_its_account_is_that_of_a_run_whose_every_step_is_priced(trainer: str, kind: str) -> None:
    """Within a step a supernet, by phase: some steps are priced, and the others are taken for their mean."""
    arms = {name: arm for name, arm in ARMS.items() if arm["criterion"] != "gm"}
    limit = {"flops": 5e9, "steps": 503, "examples": 8003}[kind] * FACTOR[trainer]
    study = built(budget={kind: limit}, trainer=TRAINERS[trainer], arms=named(arms))
    for arm in study.arms:
        found, exact = study.rehearser.rehearse(arm, study.seeds(0)), pretended(study, arm)
        first, second = (amounts(study.settings.budget, one.account.phases) for one in (found, exact))
        assert first.keys() == second.keys()
        assert first["selection"] == pytest.approx(second["selection"], rel=0.2)  # other groups, other paths to look at
        assert found.leaves == len(exact.leaves)
        assert found.trained == len(exact.members)
        step = max(dearest_step(kind, TRAINERS[trainer], member.subspace) for member in exact.members)
        lost = abs(first["selection"] - second["selection"])
        for phase in {"warm_up", "training"} & first.keys():
            assert abs(first[phase] - second[phase]) < len(exact.members) * step + lost


def test_its_account_is_that_of_the_real_run(tmp_path: Path) -> None:
    """Trained arms: warm-up and training within a step a supernet, and the same stages."""
    arms = named({name: ARMS[name] for name in ("none", "exhaustive", "random 2 restart")})
    changes: dict[str, Any] = {"budget": BUDGET, "trainer": TRAINERS["rsps"], "arms": arms}
    study = built(**changes)
    rehearsals, notes = rehearsed(study), run_tiny(tmp_path, **changes)
    run_stages = {stage.key for stage, _ in notes.stages}
    for record in notes.records:
        found = rehearsals[record.arm]
        step = dearest_step("flops", TRAINERS["rsps"], SPACE.root())
        said, paid = amounts(study.settings.budget, found.account.phases), {p: c.flops for p, c in record.cost.items()}
        assert said.keys() == paid.keys()
        assert said.get("scoring", 0) == paid.get("scoring", 0) == 0
        assert said["selection"] == paid["selection"]  # random groups are the run's own
        for phase in ("warm_up", "training"):
            assert abs(said[phase] - paid[phase]) < len(trained(record)) * step
        assert found.trained == len(trained(record))
        assert Counter(stage.kind for stage in found.stages)["train"] == found.trained
        # Until something is measured, its stages are the run's own.
        first = next(stage.key for stage in found.stages if stage.kind == "train")
        assert first in run_stages


def test_scoring_is_paid_as_the_caller_says() -> None:
    study = built(budget={"steps": 400}, arms=["none", {"criterion": "gm", "repetitions": 1, "name": "gm"}])
    arm, seeds = study.arms[1], study.seeds(0)
    free = Rehearser(study.settings).rehearse(arm, seeds)
    paid = Rehearser(study.settings, lambda stage: Cost(10, 10, 320)).rehearse(arm, seeds)
    assert free.account.phases["scoring"] == Cost()
    assert paid.account.phases["scoring"] == Cost(60, 60, 1920)  # six edges
    assert free.steps - paid.steps == 60
    assert free.account.phases["warm_up"] == paid.account.phases["warm_up"]


def test_measurement_is_counted_and_not_charged() -> None:
    study = built(budget={"steps": 100}, population={"sample": 20})
    found = rehearsed(study)["none"]
    rows = population(SPACE, 20, study.seeds(0).of("population"))
    exact = sum((forward_pass(SPACE, tuple(row), 100, 32) for row in rows.tolist()), Cost())
    assert found.measurement == exact  # all of so few are priced
    assert found.account.spent == 100


def test_seconds_are_not_foretold() -> None:
    found = rehearsed(built(budget={"seconds": 5.0}, arms=["none", "random"]))
    assert [one.account.spent for one in found.values()] == [0, 0]
    assert [one.steps for one in found.values()] == [0, 0]


def test_it_trains_nothing_and_reads_no_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    study = built(budget={"steps": 400}, arms=["none", {"criterion": "gm", "repetitions": 1}])
    executed = Executed(monkeypatch)

    def forbidden(self: Micro, dataset: str) -> None:
        raise AssertionError("the ground truth was read")

    monkeypatch.setattr(Micro, "ground_truth", forbidden)
    assert [len(one.stages) > 4 for one in rehearsed(study).values()] == [True, True]
    assert not executed


# --- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"budget": {"flops": 1e6}}, r"arm none: the budget of 1e\+06 flops is too small .* in phase warm_up .* raise"),
        ({"budget": {"steps": 2}, "schedule": {"warmup": 0}}, "arm none: the budget of 2 steps is too .*training"),
        (
            {"budget": {"steps": 100}, "arms": ["none", {"criterion": "exhaustive", "edges": [0, 1], "name": "many"}]},
            r"arm many: .* in phase training nothing is left for 25 supernets; raise budget.steps, or take fewer",
        ),
        (
            {"budget": {"steps": 900}, "arms": ["none", {"criterion": "gm", "variant": "as_shipped", "name": "shipped",
                                                          "schedule": {"levels": 8, "warmup": 0}}]},
            "arm shipped: no edge is left to split at level 7; lower schedule.levels",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], says: str
) -> None:
    executed = Executed(monkeypatch)
    with pytest.raises(ConfigError, match=says):
        splitbench.run(tiny(**changes), tmp_path, device="cpu")
    assert not executed


WRONG: list[float] = []
"""Random numbers at which the edge rule below names an edge that there is not."""


@dataclass(frozen=True)
class Capricious:
    """Edge 0, or nonsense, by its random number."""

    def __call__(self, candidates: Mapping[int, tuple[Affinity, Partition]], rng: np.random.Generator, _: int) -> int:
        return 99 if rng.random() in WRONG else 0

    def shortlist(self, edges: Any, rng: np.random.Generator, level: int, space: SearchSpace) -> list[int]:
        return [0]


@pytest.fixture
def capricious() -> Iterator[None]:
    registry.register("edge_rules", "capricious")(Capricious)
    yield
    WRONG.clear()
    registry._registered.pop(("edge_rules", "capricious"))


@pytest.mark.usefixtures("capricious")
@pytest.mark.parametrize(("repetition", "draw"), [(0, 0), (0, 1), (2, 0), (2, 1)])
def test_all_seeds_and_draws_are_rehearsed_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repetition: int, draw: int
) -> None:
    """What goes wrong in one repetition or draw alone is said before the first one has begun."""
    arms = ["none", {"criterion": "random", "edge_rule": "capricious", "draws": 2, "name": "mine"}]
    changes: dict[str, Any] = {"arms": arms, "seeds": 3}
    study = built(**changes)
    arm: Arm = study.arms[1]
    WRONG.append(Run(study.settings, arm, study.seeds(repetition), draw).splitter.rng("edge root").random())
    executed, notes = Executed(monkeypatch), Notes()
    with pytest.raises(ConfigError, match=r"^arm mine: the edge rule capricious answers \[99\]; it must name"):
        splitbench.run(tiny(**changes), tmp_path, device="cpu", watcher=notes)
    assert not executed
    assert not notes.records
    assert not (tmp_path / "stages").exists()
