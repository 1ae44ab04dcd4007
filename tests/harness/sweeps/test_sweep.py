"""Sweeps as users start them: what trials are, what is kept, and that a cut-off sweep goes on as if never cut off."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from tiny_studies import tiny

import splitbench
from splitbench import run as run_study
from splitbench import sweep as sweep_study
from splitbench.criteria.partitioners.cuts import Balanced
from splitbench.harness import registry
from splitbench.harness.engines.driver import Watcher
from splitbench.harness.errors import ConfigError
from splitbench.harness.running.study import Study
from splitbench.harness.study.config import load_study, parse_study
from splitbench.harness.sweeps.tuner import JOURNAL, TUNED, Tuner
from splitbench.results.records.loading import load_runs
from splitbench.results.sweeps import sweep

GM = {"criterion": "gm", "repetitions": 1, "name": "gm"}
RANDOM = {"criterion": "random", "name": "random"}  # splits at no cost, so its budget can be small
LEARNING_RATE = {"trainer.learning_rate": {"log": [0.01, 0.5]}}


def small(**changes: Any) -> dict[str, Any]:
    """A sweep of two arms whose trials take a second."""
    study = {"arms": ["none", RANDOM], "seeds": 2, "budget": {"steps": 20}, "search": LEARNING_RATE}
    cheap = {"evaluation": {"images": 60}, "selector": {"name": "random_best", "samples": 2}}
    return tiny(**{**study, **cheap, **changes})


class Stopping(Watcher):
    """Ends a sweep as Ctrl-C does, after some trials."""

    def __init__(self, after: int) -> None:
        self.left, self.said = after, list[str]()

    def done(self, sentence: str) -> None:
        self.said.append(sentence)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def values(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """By arm, what its trials ran and came to."""
    found = sweep.read_sweep(folder)
    return {
        arm.arm: [(t.slot, t.state, t.values, t.validation, t.differences, t.spent) for t in arm.trials]
        for arm in found.arms
    }


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, optuna.Study]]:
    """A whole sweep in one process: four trials of two arms."""
    folder = tmp_path_factory.mktemp("swept")
    search = {**LEARNING_RATE, "schedule.warmup": {"range": [0.1, 0.5]}}
    return folder, splitbench.sweep(small(search=search, population={"sample": 40}), trials=4, out=folder, device="cpu")


def test_python_gives_the_optuna_study_of_each_arm(swept: tuple[Path, dict[str, optuna.Study]]) -> None:
    folder, studies = swept
    assert {label: study.study_name for label, study in studies.items()} == {
        "none": "tiny/none",
        "random": "tiny/random",
    }
    for label, study in studies.items():
        assert len(study.trials) == 4
        assert study.best_value == sweep.chosen_difference(sweep.read_sweep(folder), arm_of(folder, label)).mean  # type: ignore[union-attr]
    assert set(studies["none"].best_params) == {"trainer.learning_rate"}
    assert set(studies["random"].best_params) == {"trainer.learning_rate", "schedule.warmup"}


def arm_of(folder: Path, label: str) -> sweep.SweptArm:
    return next(arm for arm in sweep.read_sweep(folder).arms if arm.arm == label)


def test_a_trials_value_is_paired_with_the_untuned_baseline_on_validation_truth(
    swept: tuple[Path, dict[str, optuna.Study]],
) -> None:
    folder, studies = swept
    records = {(run.record.arm, run.record.repetition): run.record for run in load_runs(folder).runs}
    tried = 0
    for label, study in studies.items():
        for trial in arm_of(folder, label).trials:
            for repetition, difference in enumerate(trial.differences):
                own = records[trial.record, repetition].validation_metrics["tau[all]"]
                untuned = records["none", repetition].validation_metrics["tau[all]"]
                assert own is not None
                assert untuned is not None
                assert difference == own - untuned
                tried += 1
            told = study.trials[trial.number]
            assert told.intermediate_values[len(trial.differences)] == pytest.approx(sweep.value(trial))
            if trial.state == "complete":
                assert len(trial.differences) == 2
                assert told.value == told.intermediate_values[2]
    assert tried >= 10
    config = records["none", 0].config["arm"]["trainers"]
    assert config["learning_rate"] == 0.1  # the study file's own


def test_nothing_of_the_test_truth_is_in_the_storage(swept: tuple[Path, dict[str, optuna.Study]]) -> None:
    folder, _ = swept
    told = (folder / JOURNAL).read_text() + (folder / "sweep.json").read_text()
    records = [run.record for run in load_runs(folder).runs]
    validation = {repr(record.validation_metrics["tau[all]"]) for record in records}
    test = {repr(record.metrics["tau[all]"]) for record in records} - validation
    assert len(test) > len(records) / 2
    assert all(value in told for value in validation)  # so the search for the others would find them
    assert not any(value in told for value in test)


def test_all_arms_see_the_same_configurations_first(swept: tuple[Path, dict[str, optuna.Study]]) -> None:
    """Random search, and the first ten trials of the default sampler, are paired like everything else."""
    folder, _ = swept
    tried = [[t.values["trainer.learning_rate"] for t in arm_of(folder, label).trials] for label in ("none", "random")]
    assert tried[0] == tried[1]
    assert tried[0][0] == 0.1
    assert len(set(tried[0])) == 4


def test_the_tuned_study_runs_what_was_chosen_on_other_seeds(swept: tuple[Path, dict[str, optuna.Study]]) -> None:
    folder, _ = swept
    study = load_study(folder / TUNED)
    assert (study.name, study.seed, study.seeds, study.baseline) == ("tiny-tuned", 1, 8, "none tuned")
    assert [arm.label for arm in study.arms] == ["none untuned", "random untuned", "none tuned", "random tuned"]
    arms = {arm.label: arm.config() for arm in Study.build(study, "cpu").arms}
    found = sweep.read_sweep(folder)
    for label in ("none", "random"):
        top = sweep.best(found, arm_of(folder, label))
        assert top is not None
        assert arms[f"{label} untuned"]["trainers"]["learning_rate"] == 0.1
        assert arms[f"{label} tuned"]["trainers"]["learning_rate"] == top.values["trainer.learning_rate"]
    assert arms["random tuned"]["schedule"]["warmup"] == top.values["schedule.warmup"]
    assert arms["random untuned"]["schedule"]["warmup"] == 0.3


def test_a_sweep_that_is_cut_off_twice_ends_as_one_that_is_not(tmp_path: Path) -> None:
    """Finished trials are neither lost nor run again, and what the sampler proposes does not depend on the cuts."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    study = parse_study(small(seeds=1, sweep={"sampler": {"name": "tpe", "n_startup_trials": 1}}))
    Tuner(study, "cpu", 3).run(whole)
    finished: list[dict[str, Any]] = []
    for after in (2, 2):
        with pytest.raises(KeyboardInterrupt):
            Tuner(study, "cpu", 3).run(cut, watcher=Stopping(after))
        finished.append(values(cut))
        assert not sweep.read_sweep(cut).complete
    assert sum(map(len, finished[0].values())) == 2
    assert sum(map(len, finished[1].values())) == 4
    watcher = Stopping(0)
    Tuner(study, "cpu", 3).run(cut, watcher=watcher)
    assert len(watcher.said) == 2
    assert sweep.read_sweep(cut).complete
    ended = values(cut)
    for earlier in finished:
        for label, trials in earlier.items():
            assert ended[label][: len(trials)] == trials
    assert ended == values(whole)
    assert sweep.read_sweep(cut).arms[0].importance == sweep.read_sweep(whole).arms[0].importance


def test_a_third_start_has_nothing_to_do_and_more_trials_can_be_asked_for(
    tmp_path: Path,
) -> None:
    study = parse_study(small(arms=["none"], seeds=1))
    Tuner(study, "cpu", 2).run(tmp_path)
    before = (tmp_path / "sweep.json").read_bytes(), (tmp_path / JOURNAL).read_bytes()
    quiet = Stopping(0)
    Tuner(study, "cpu", 2).run(tmp_path, watcher=quiet)
    assert quiet.said == []
    assert ((tmp_path / "sweep.json").read_bytes(), (tmp_path / JOURNAL).read_bytes()) == before
    Tuner(study, "cpu", 3).run(tmp_path, watcher=quiet)
    assert len(quiet.said) == 1
    assert values(tmp_path)["none"][:2] == [
        (t.slot, t.state, t.values, t.validation, t.differences, t.spent)
        for t in sweep.Sweep.model_validate_json(before[0]).arms[0].trials
    ]


def test_a_repeated_configuration_trains_nothing(tmp_path: Path) -> None:
    """Two trials of the same values have the same records, and the second finds all its stages done."""
    choices = {"trainer.learning_rate": [0.05, 0.1]}
    study = parse_study(small(arms=["none"], seeds=1, search=choices, sweep={"sampler": "random"}))
    Tuner(study, "cpu", 6).run(tmp_path)
    trials = arm_of(tmp_path, "none").trials
    assert len({trial.record for trial in trials}) == 2
    trainings = list((tmp_path / "stages").glob("*/*/result.json"))
    # warm-up, training, selection, prediction and measurement of two configurations, of which the untuned baseline is
    # one, and the population's facts
    assert len(trainings) == 2 * 5 + 1


def test_what_cannot_run_is_told_apart_from_what_loses(tmp_path: Path) -> None:
    search = {"trainer.learning_rate": [0.1, 1e30], "schedule.levels": [1, 6]}
    study = parse_study(
        small(arms=["none", GM], seeds=1, budget={"steps": 60}, search=search, sweep={"sampler": "grid"})
    )
    studies = Tuner(study, "cpu", 99).run(tmp_path)
    states = {
        (arm.arm, trial.values["trainer.learning_rate"], trial.values.get("schedule.levels")): trial
        for arm in sweep.read_sweep(tmp_path).arms
        for trial in arm.trials
    }
    assert {key: trial.state for key, trial in states.items()} == {
        ("none", 0.1, None): "complete",
        ("none", 1e30, None): "infeasible",
        ("gm", 0.1, 1): "complete",
        ("gm", 1e30, 1): "infeasible",
        ("gm", 0.1, 6): "infeasible",
        ("gm", 1e30, 6): "infeasible",
    }
    assert "the supernet has diverged" in states["none", 1e30, None].reason
    assert "raise budget.steps, or take fewer levels" in states["gm", 0.1, 6].reason
    assert "or lower schedule.warmup" in states["gm", 0.1, 6].reason
    assert states["none", 1e30, None].spent == 60  # a run that was broken off counts as a whole one
    assert states["gm", 0.1, 6].spent == 0
    assert [len(study.trials) for study in studies.values()] == [2, 4]  # the grid is smaller than what was asked for
    assert sweep.read_sweep(tmp_path).complete


def test_a_planted_optimum_is_found_for_every_arm_and_the_pruner_saves_runs(tmp_path: Path) -> None:
    """One learning rate trains, and it is not the file's own: the others leave the weights where they are, or burst."""
    changes: dict[str, Any] = {
        "trainer": {"name": "rsps", "batch_size": 32, "learning_rate": 1e-6},
        "arms": ["none", RANDOM],
        "budget": {"steps": 80},
        "population": {"sample": 40},
        "search": {"trainer.learning_rate": [1e5, 0.1, 1e-6, 1e-5]},
        "sweep": {"sampler": "grid", "pruner": {"name": "interval", "confidence": 0.75}},
    }
    splitbench.sweep(small(**changes), trials=9, out=tmp_path, device="cpu")
    found = sweep.read_sweep(tmp_path)
    for arm in found.arms:
        top = sweep.best(found, arm)
        assert top is not None
        assert top.values == {"trainer.learning_rate": 0.1}, arm.arm
        assert len(arm.trials) == 4
        (pruned,) = [trial for trial in arm.trials if trial.state == "pruned"]  # once two are complete
        assert len(pruned.differences) == 1
        assert pruned.values["trainer.learning_rate"] in (1e-6, 1e-5)


def test_an_arm_without_the_parameters_stays_as_it_is(tmp_path: Path) -> None:
    changes = {"arms": ["none", GM], "seeds": 1, "budget": {"steps": 60}, "sweep": {"sampler": "grid"}}
    study = small(search={"criterion.repetitions": [1, 2]}, **changes)
    studies = splitbench.sweep(study, out=tmp_path, device="cpu")
    assert list(studies) == ["gm"]
    tuned = yaml.safe_load((tmp_path / TUNED).read_text())
    assert [arm.get("name", arm["criterion"]) for arm in tuned["arms"]] == ["none", "gm untuned", "gm tuned"]
    assert tuned["baseline"] == "none"


def test_trials_have_one_draw_and_the_tuned_study_all(tmp_path: Path) -> None:
    """Or an arm of many draws would be tuned with a larger budget than the others."""
    splitbench.sweep(small(arms=["none", RANDOM | {"draws": 3}], seeds=1), trials=1, out=tmp_path, device="cpu")
    assert {run.record.draw for run in load_runs(tmp_path).runs} == {0}
    assert [arm.draws for arm in load_study(tmp_path / TUNED).arms] == [1, 3, 1, 3]


def test_a_choice_that_only_this_process_knows_cannot_run_in_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    registry.register("partitioners", "only_here")(type("OnlyHere", (Balanced,), {}))
    study = small(search={"partitioner": ["balanced", "only_here"]}, seeds=1)
    with pytest.raises(ConfigError, match="partitioners component 'only_here' was registered in this process only"):
        splitbench.sweep(study, trials=1, out=tmp_path / "out", device="cpu", workers=2)
    assert not (tmp_path / "out").exists()


def test_lower_is_better_where_it_is(tmp_path: Path) -> None:
    study = small(arms=["none"], seeds=1, sweep={"metric": "regret[all]", "sampler": "random"})
    (found,) = splitbench.sweep(study, trials=3, out=tmp_path, device="cpu").values()
    assert found.direction is optuna.study.StudyDirection.MINIMIZE
    top = sweep.best(sweep.read_sweep(tmp_path), arm_of(tmp_path, "none"))
    assert top is not None
    assert sweep.value(top) == min(trial.value for trial in found.trials if trial.value is not None)


# -- the command -------------------------------------------------------------------------------------------------------


Splitbench = Callable[..., tuple[int, str, str]]


def file(folder: Path, **changes: Any) -> Path:
    path = folder / "my.yaml"
    path.write_text(yaml.safe_dump(small(**changes)))
    return path


def test_the_command_reports_what_it_found(tmp_path: Path, splitbench: Splitbench) -> None:
    path, out = file(tmp_path, seeds=1), tmp_path / "out"
    status, text, said = splitbench("sweep", path, "--trials", 2, "--out", out, "--workers", 1)
    assert status == 0
    assert "**Chosen by tau[all] on validation truth**" in text
    assert "[4/4]" in said
    assert f"splitbench run {out / TUNED}" in said
    status, text, _ = splitbench("sweep", path, "--trials", 2, "--out", out, "--workers", 1, "--json")
    assert status == 0
    assert json.loads(text)["complete"] is True


BAD: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "nothing to search": (
        {"search": None},
        [],
        "study tiny: it does not say what to search; add the key search, as in",
    ),
    "unknown parameter": (
        {"search": {"trainer.lr": {"log": [0.01, 0.1]}}},
        [],
        "search.trainer.lr: no arm has this parameter (did you mean",
    ),
    "empty range": (
        {"search": {"trainer.learning_rate": {"log": [0.1, 0.01]}}},
        [],
        "search: trainer.learning_rate: the range from 0.1 to 0.01 is empty",
    ),
    "no value": (
        {"search": {"trainer.learning_rate": {"range": [-1, 1]}}},
        [],
        "search.trainer.learning_rate: -1.0 is no value for it: ",
    ),
    "no such level": ({"search": {"schedule.levels": [1, 99]}}, [], "search.schedule.levels: 99 is no value for it: "),
    "unknown component": ({"search": {"trainer": ["rsps", "rsp"]}}, [], "search.trainer: unknown trainers component"),
    "unknown metric": (
        {"sweep": {"metric": "tau[al]"}},
        [],
        "sweep.metric: unknown metric 'tau[al]' (did you mean 'tau[all]'?)",
    ),
    "unknown sampler": ({"sweep": {"sampler": "tpee"}}, [], "unknown sampler 'tpee' (did you mean 'tpe'?)"),
    "unknown pruner": (
        {"sweep": {"pruner": "median_"}},
        [],
        "sweep.pruner: unknown pruner 'median_' (did you mean 'median'?)",
    ),
    "grid over a range": (
        {"sweep": {"sampler": "grid"}},
        [],
        "grid needs finitely many values, but trainer.learning_rate is a range of floats without a step",
    ),
    "no trials": ({}, ["--trials", "0"], "--trials 0: at least 1 is needed"),
    "no workers": ({}, ["--workers", "0"], "--workers 0: at least 1 is needed"),
    "no server": (
        {},
        ["--storage", "postgresql://nobody:secret@127.0.0.1:1/x"],
        "the storage postgresql://nobody:***@127.0.0.1:1/x cannot be used (",
    ),
    "no url": (
        {},
        ["--storage", "nosuchdb://x"],
        "the storage nosuchdb://x: there is no database dialect 'nosuchdb' here",
    ),
    "no fit": ({"space": "nb_macro"}, [], "space nb_macro: images are 1x8x8, but must be square and have 3 channels"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_sentence_and_leaves_nothing(case: str, tmp_path: Path, splitbench: Splitbench) -> None:
    changes, words, sentence = BAD[case]
    path, out = file(tmp_path, **changes), tmp_path / "out"
    status, text, said = splitbench("sweep", path, "--out", out, *words)
    assert status == 2, said
    assert text == ""
    last = said.strip().splitlines()[-1]
    assert sentence in last
    assert "secret" not in said
    assert "Traceback" not in said
    assert not out.exists()


def test_test_truth_is_no_substitute_for_validation_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Study, "has_validation", False)
    with pytest.raises(ConfigError, match="the ground truth of micro has no validation accuracies, and a sweep never"):
        Tuner(parse_study(small()), "cpu")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_another_sweep_and_another_study_keep_their_folders(tmp_path: Path, splitbench: Splitbench) -> None:
    study, out = small(arms=["none"], seeds=1), tmp_path / "out"
    sweep_study(study, trials=1, out=out, device="cpu")
    before = everything(out)
    path = tmp_path / "my.yaml"

    def refused(verb: str, **changes: Any) -> str:
        path.write_text(yaml.safe_dump({**study, **changes}))
        status, _, said = splitbench(verb, path, "--out", out)
        assert status == 2
        assert everything(out) == before
        return said

    assert "holds the sweep 'tiny', not 'other'" in refused("sweep", name="other")
    assert "holds a sweep, whose trials would be set aside" in refused("run")
    ordinary = tmp_path / "ordinary"
    run_study({key: value for key, value in study.items() if key != "search"}, ordinary, device="cpu")
    kept = everything(ordinary)
    path.write_text(yaml.safe_dump(study))
    status, _, said = splitbench("sweep", path, "--out", ordinary)
    assert status == 2
    assert "holds the results of a study, and no sweep" in said
    assert everything(ordinary) == kept


def test_a_baseline_that_cannot_run_is_a_sentence(tmp_path: Path, splitbench: Splitbench) -> None:
    trainer = {"name": "rsps", "batch_size": 32, "learning_rate": 1e30}
    path = file(tmp_path, trainer=trainer)
    status, _, said = splitbench("sweep", path, "--out", tmp_path / "out", "--workers", 1)
    assert status == 2
    assert "the sweep compares trials with none as the study file has it, and that cannot run (" in said


def test_a_dashboard_opens_the_journal(swept: tuple[Path, dict[str, optuna.Study]]) -> None:
    """Optuna's dashboard, asked as its page asks it."""
    import io

    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna_dashboard import wsgi

    app = wsgi(JournalStorage(JournalFileBackend(str(swept[0] / JOURNAL))))

    def get(path: str) -> Any:
        status: list[str] = []
        environment = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "x",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "http",
        }
        body = b"".join(app(environment, lambda code, headers, error=None: status.append(code)))
        assert status == ["200 OK"], body
        return json.loads(body)

    summaries = get("/api/studies")["study_summaries"]
    assert [one["study_name"] for one in summaries] == ["tiny/none", "tiny/random"]
    detail = get(f"/api/studies/{summaries[1]['study_id']}")
    assert len(detail["trials"]) == 4
    assert {param["name"] for param in detail["trials"][0]["params"]} == {"trainer.learning_rate", "schedule.warmup"}
