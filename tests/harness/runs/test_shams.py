"""The decomposition of a study's arms: which shams are trained, for how long, and what records and tables say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from tiny_studies import Notes, run_tiny, tiny

from splitbench.harness.errors import ConfigError
from splitbench.harness.running.study import Study
from splitbench.harness.runs.shams import undefined
from splitbench.harness.stages.train import Train
from splitbench.harness.study.config import parse_study
from splitbench.results.arms.terms import TERMS
from splitbench.results.payoff.explain import explain_arm
from splitbench.spaces.base import SubSpace
from splitbench.spaces.micro.space import Micro

ROOT = Micro().root()
GM = {"criterion": "gm", "repetitions": 2}


def shams_of(notes: Notes, arm: str) -> list[Train]:
    found = [
        stage for stage, _ in notes.stages if isinstance(stage, Train) and stage.title.startswith(f"{arm} r0: sham")
    ]
    return list({stage.key: stage for stage in found}.values())


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Notes, Path]:
    out = tmp_path_factory.mktemp("decomposed")
    arms = ["none", {**GM, "name": "gm"}, {"criterion": "exhaustive", "edges": [0], "name": "e0"}]
    arms += [{**GM, "name": "momentum", "modifiers": ["momentum_groups"]}]
    arms += [{**GM, "name": "levels free", "schedule": {"levels": 2, "warmup": [0.2, 0.2]}, "scoring": "free"}]
    schedule = {"warmup": 0.3, "share": "steps"}
    return run_tiny(out, budget={"steps": 200}, arms=arms, decompose=True, schedule=schedule), out


def test_records_hold_terms_that_add_up_and_those_that_have_none_say_nothing(study: tuple[Notes, Path]) -> None:
    records = {record.arm: record for record in study[0].records}
    assert [name for name, record in records.items() if record.decomposition] == ["gm", "e0", "levels free"]
    none = records["none"].metrics["tau[all]"]
    for name in ("gm", "e0", "levels free"):
        found = records[name].decomposition
        assert found is not None
        assert math.fsum(getattr(found, term) for term in TERMS) == pytest.approx(found.difference, abs=1e-12)
        assert found.tau_arm == pytest.approx(records[name].metrics["tau[all]"], abs=1e-12)
        assert found.tau_none == pytest.approx(none, abs=1e-12)


def test_a_sham_trains_on_everything_for_as_many_steps_as_its_leaf(study: tuple[Notes, Path]) -> None:
    notes, _ = study
    tree = next(record.tree for record in notes.records if record.arm == "e0")
    (sham,) = shams_of(notes, "e0")  # five leaves of equal length, and no bill: one net
    (member,) = sham.members
    assert member.subspace == ROOT
    assert {leaf.steps for leaf in tree.children} == {member.allowance.amount}
    leaves = [
        stage for stage, _ in notes.stages if isinstance(stage, Train) and stage.title.startswith("e0 r0: train root.")
    ]
    assert {stage.members[0].parent for stage in leaves} == {member.parent}
    assert {stage.window for stage in leaves} == {sham.window}
    assert all(stage.members[0].subspace != ROOT for stage in leaves)


def test_with_a_bill_the_free_sham_is_longer_by_what_scoring_took(study: tuple[Notes, Path]) -> None:
    notes, _ = study
    record = next(record for record in notes.records if record.arm == "gm")
    free, charged = sorted(shams_of(notes, "gm"), key=lambda stage: -stage.members[0].allowance.amount)
    bill, trained = record.cost["scoring"].steps, record.cost["training"].steps
    (steps,) = {leaf.steps for leaf in record.tree.children}
    assert bill > 0
    assert charged.members[0].allowance.amount == steps
    assert free.members[0].allowance.amount == round(steps * (1 + bill / trained))


def test_free_scoring_has_no_bill_and_shams_follow_the_tree(study: tuple[Notes, Path]) -> None:
    notes, _ = study
    record = next(record for record in notes.records if record.arm == "levels free")
    assert record.decomposition is not None
    assert record.decomposition.bill == 0
    inner = {node.steps for node in record.tree.children}
    last = {leaf.steps for node in record.tree.children for leaf in node.children}
    lengths = sorted(stage.members[0].allowance.amount for stage in shams_of(notes, "levels free"))
    assert set(lengths) == inner | last


def test_nothing_of_it_is_charged(study: tuple[Notes, Path], tmp_path: Path) -> None:
    plain = run_tiny(
        tmp_path, budget={"steps": 200}, arms=["none", {**GM, "name": "gm"}], schedule={"warmup": 0.3, "share": "steps"}
    )
    with_it = next(record for record in study[0].records if record.arm == "gm")
    without = next(record for record in plain.records if record.arm == "gm")
    assert with_it.protocol == without.protocol
    assert (with_it.cost, with_it.budget, with_it.metrics) == (without.cost, without.budget, without.metrics)
    assert with_it.tree == without.tree


def test_the_leaderboard_and_explain_say_it(study: tuple[Notes, Path]) -> None:
    from splitbench.results.boards.leaderboard import leaderboards
    from splitbench.results.words import render

    boards = leaderboards(study[1])
    rows = {row["arm"]: row for row in json.loads(render.boards_json(boards))["rows"]}
    assert "decomposition" not in rows["none"]
    assert set(TERMS) < set(rows["gm"]["decomposition"])
    assert "What each part of a split cost and brought" in render.markdown(boards)
    found = explain_arm(study[1], "gm")
    assert found.against == "no split"
    mean = {name: estimate.mean for name, estimate in found.terms.items()}
    assert math.fsum(mean[name] for name in TERMS) == pytest.approx(found.tau[0] - found.tau[1], abs=1e-12)
    pair = explain_arm(study[1], "gm", "e0")
    assert pair.terms["difference"].mean == pytest.approx(pair.tau[0] - pair.tau[1], abs=1e-12)
    assert math.fsum(pair.terms[name].mean for name in TERMS) == pytest.approx(pair.terms["difference"].mean, abs=1e-12)
    with pytest.raises(ConfigError, match="has no decomposition; run the study with decompose: true"):
        explain_arm(study[1], "momentum")
    with pytest.raises(ConfigError, match="has no arm 'gn'.*did you mean 'gm'"):
        explain_arm(study[1], "gn")


@pytest.mark.parametrize(
    ("arm", "why"),
    [
        ("none", "does not split"),
        ({"criterion": "hierarchy", "of": "random", "schedule": {"warmup": 0.3}}, "gives leaves up"),
        ({"criterion": "random", "modifiers": ["momentum_groups"]}, "share one supernet"),
        ("random", None),
    ],
)
def test_where_it_is_not_defined_it_says_why(arm: Any, why: str | None) -> None:
    built = Study.build(parse_study(tiny(budget={"steps": 400}, arms=["none", arm] if arm != "none" else [arm])), "cpu")
    reason = undefined(built.arms[-1])
    assert reason is None if why is None else why in str(reason)


def test_fresh_leaves_have_fresh_shams(tmp_path: Path) -> None:
    arm = {"criterion": "exhaustive", "edges": [0], "name": "e0", "schedule": {"weights": "restart"}}
    notes = run_tiny(tmp_path, budget={"steps": 200}, arms=["none", arm], decompose=True, schedule={"share": "steps"})
    (sham,) = shams_of(notes, "e0")
    assert sham.members[0].parent is None
    assert sham.window == (0.0, 1.0)
    assert isinstance(sham.members[0].subspace, SubSpace)
    record = next(record for record in notes.records if record.arm == "e0")
    assert record.decomposition is not None
    assert record.decomposition.tau_none == pytest.approx(
        next(one for one in notes.records if one.arm == "none").metrics["tau[all]"], abs=1e-12
    )
