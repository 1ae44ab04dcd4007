"""`run --dry-run`: what a study will take is told without training, and is what it then takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_studies import run_tiny, tiny

from splitbench.harness.cli.app import main
from splitbench.harness.errors import ConfigError
from splitbench.harness.forecasts.study_forecast import Forecast, duration, forecast
from splitbench.harness.running.study import Study
from splitbench.harness.runs.price_probe import ScorePrices
from splitbench.harness.runs.protocol import Run
from splitbench.harness.stages import base as stages
from splitbench.harness.stages.score import Score
from splitbench.harness.stores.folder import StageStore
from splitbench.harness.study.config import parse_study

CRITERIA: list[Any] = [
    {"criterion": "gm", "repetitions": 2},
    {"criterion": "gradient_contribution", "repetitions": 2},
    {"criterion": "output_distance", "repetitions": 2},
    {"criterion": "perturbation", "repetitions": 1},
    {"criterion": "lid", "neighbours": 3, "repetitions": 2},
    {"criterion": "zero_cost", "proxy": "synflow", "repetitions": 2},
    {"criterion": "zero_cost", "proxy": "zico", "repetitions": 1, "name": "zico"},
    {"criterion": "zero_cost", "proxy": "nwot", "repetitions": 1, "scored": "masked", "name": "nwot"},
]
STUDY: dict[str, Any] = {
    "budget": {"steps": 200},
    "seeds": 1,
    "evaluation": {"images": 20},
    "population": {"sample": 20},
}


def told(**changes: Any) -> Forecast:
    return forecast(Study.build(parse_study(tiny(**{**STUDY, **changes})), "cpu"))


@pytest.mark.parametrize("arm", CRITERIA, ids=lambda arm: str(arm.get("name", arm["criterion"])))
@pytest.mark.parametrize("trainer", ["rsps", "darts"])
def test_scoring_costs_what_the_probe_will_charge(tmp_path: Path, arm: dict[str, Any], trainer: str) -> None:
    """Every way in which criteria use a probe. Contexts are drawn as the real probe draws them: the price is exact."""
    changes = {"arms": [arm], "baseline": arm.get("name", "x"), "trainer": {"name": trainer, "batch_size": 8}}
    study = Study.build(parse_study(tiny(budget={"steps": 9000}, schedule={"warmup": 0}, **changes)), "cpu")
    dataset = study.settings.scene.dataset.build()
    prices = ScorePrices(study.settings.space, dataset.shape, dataset.classes, dataset.sizes["validation"])
    asked = next(Run(study.settings, study.arms[0], study.seeds(0), 0).split())
    for stage in asked[:2]:
        assert isinstance(stage, Score)
        assert prices(stage) == stages.run_stage(stage, StageStore(tmp_path)).cost
    assert prices.unknown == {}


def test_training_and_selection_spend_the_budget(tmp_path: Path) -> None:
    arms = ["none", "random", CRITERIA[0]]
    found = {arm.arm: arm for arm in told(arms=arms).arms}
    for record in run_tiny(tmp_path, **{**STUDY, "arms": arms}).records:
        arm = found[record.arm]
        steps = sum(record.cost[phase].steps for phase in ("warm_up", "training"))
        assert arm.steps == pytest.approx(steps, abs=2)  # in steps: groups are made up, and cost the same
        assert arm.leaves == len(record.selection.leaves)
    assert found["none"].reused == 0 < found["random"].reused


def test_what_arms_share_is_computed_once() -> None:
    first, second = told(arms=["none", "random"]).arms
    assert first.reused == 0
    assert second.reused == second.flops["warm_up"] > 0


def test_a_plugin_whose_price_cannot_be_known_is_named() -> None:
    from splitbench.harness import registry

    @registry.register("criteria", "needs_training")
    def needs_training(probe: Any, edge: int) -> Any:
        """Fails on random numbers."""
        raise RuntimeError("only trained weights will do")

    try:
        found = told(arms=["none", "needs_training"])
    finally:
        registry._registered.pop(("criteria", "needs_training"))
    assert "what needs_training will cost is not known: RuntimeError: only trained weights will do" in found.notes


def test_a_study_whose_measurement_outweighs_its_budget_says_so(tmp_path: Path) -> None:
    notes = run_tiny(tmp_path, budget={"steps": 120}, evaluation={"images": 500}, population={"sample": 40})
    assert any("ranking the population takes" in sentence for sentence in notes.sentences)
    assert not any("ranking" in s for s in run_tiny(tmp_path / "other", evaluation={"images": 20}).sentences)


def test_seconds_promise_nothing(tmp_path: Path) -> None:
    notes = run_tiny(tmp_path, budget={"seconds": 0.3}, schedule={"warmup": 0})
    assert any("a budget in seconds is neither shared nor equal" in sentence for sentence in notes.sentences)


def test_the_command_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(yaml.safe_dump(tiny(**STUDY, arms=["none", "random"])))
    before = sorted(tmp_path.rglob("*"))
    main(["run", "study.yaml", "--dry-run", "--workers", "1"])
    printed = capsys.readouterr().out
    assert "# Dry run of the study tiny" in printed
    assert "warm-up" in printed
    main(["run", "study.yaml", "--dry-run", "--workers", "1", "--json"])
    data = json.loads(capsys.readouterr().out)
    assert [arm["arm"] for arm in data["arms"]] == ["none", "random"]
    assert data["seconds"] > 0 < data["disk"]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_budget_that_cannot_work_at_some_seed_is_refused_before_anything_trains(tmp_path: Path) -> None:
    small = {"evaluation": {"images": 32}, "selector": {"name": "random_best", "samples": 1}}
    with pytest.raises(ConfigError, match=r"arm random: the budget of .* is too small for its schedule"):
        run_tiny(tmp_path, budget={"steps": 4}, seeds=8, arms=["none", "random"], **small)
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(("seconds", "words"), [(12, "12 s"), (300, "5 min"), (7200, "2.0 h")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
