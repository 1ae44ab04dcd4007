"""What makes a sweep another one, and what does not; and that a trial's own failure is the trial's alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_studies import tiny

import splitbench
from splitbench.criteria.partitioners.cuts import Balanced
from splitbench.harness import registry
from splitbench.harness.engines.driver import Watcher
from splitbench.harness.errors import ConfigError, StoreError
from splitbench.harness.sweeps.identity import identity_differences
from splitbench.harness.sweeps.storages.storage import open_storage
from splitbench.harness.sweeps.tuner import JOURNAL
from splitbench.results.sweeps import sweep

GM = {"criterion": "gm", "repetitions": 1, "name": "gm"}
SMALL = {"seeds": 1, "budget": {"steps": 40}, "selector": {"name": "random_best", "samples": 2}}
SEARCH = {"trainer.learning_rate": ["1e-2", 0.1]}


def study(**changes: Any) -> dict[str, Any]:
    return tiny(**{**SMALL, "search": SEARCH, "sweep": {"sampler": "random"}, **changes})


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("identity")
    splitbench.sweep(study(), trials=1, out=folder, device="cpu")
    return folder


SAME: dict[str, dict[str, Any]] = {
    "a mapping for a name": {"sweep": {"sampler": {"name": "random"}, "pruner": {"name": "interval"}}},
    "numbers as numbers": {"search": {"trainer.learning_rate": [0.01, "0.1"]}},
    "another default of trials": {"sweep": {"sampler": "random", "trials": 7}},
    "an arm more, in front": {"arms": [GM, "none"]},
}


def test_what_is_written_otherwise_is_the_same_sweep(tmp_path: Path) -> None:
    """To the storage and to the folder. The new arm gets its own trials, and the baseline's value stays."""
    url = f"sqlite:///{tmp_path / 'sweep.db'}"
    splitbench.sweep(study(), trials=1, out=tmp_path / "first", storage=url, device="cpu")
    first = sweep.read_sweep(tmp_path / "first")
    for case, changes in SAME.items():
        splitbench.sweep(study(**changes), trials=1, out=tmp_path / "second", storage=url, device="cpu")
        second = sweep.read_sweep(tmp_path / "second")
        assert first.arms[0].trials == next(arm for arm in second.arms if arm.arm == "none").trials, case
        assert first.baseline_validation == second.baseline_validation, case
    assert [arm.arm for arm in second.arms] == ["gm", "none"]
    kept = [one.user_attrs for one in open_storage(url).get_all_studies()]
    assert sum("baseline 0" in attrs for attrs in kept) == 1


OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "seeds": ({"seeds": 2}, "started with seeds 1, and the study file now says 2"),
    "sampler": ({"sweep": {"sampler": "tpe"}}, 'sampler.name "random", and the study file now says "tpe"'),
    "metric": ({"sweep": {"sampler": "random", "metric": "rho[all]"}}, 'metric "tau[all]", and the study file now'),
    "range": ({"search": {"trainer.learning_rate": [0.01, 0.2]}}, "search.trainer.learning_rate"),
    "budget": ({"budget": {"steps": 41}}, "budget.steps 40, and the study file now says 41"),
    "trainer": ({"trainer": {"name": "rsps", "batch_size": 16}}, "started with"),
    "arm": ({"arms": [{"criterion": "none", "name": "none", "leaf_choice": "random_leaf"}]}, "started with"),
}


@pytest.mark.parametrize("case", OTHER)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_another_sweep_is_refused_by_folder_and_by_storage(
    case: str, elsewhere: bool, swept: Path, tmp_path: Path
) -> None:
    """Whether its storage is the folder's own or a new one, and whether its folder is new and its storage is not."""
    changes, words = OTHER[case]
    before = everything(swept)
    journal = swept / JOURNAL
    for out, storage in ((swept, f"sqlite:///{tmp_path / 'new.db'}" if elsewhere else None), (tmp_path, str(journal))):
        with pytest.raises(StoreError) as error:
            splitbench.sweep(study(**changes), trials=1, out=out, storage=storage, device="cpu")
        assert words in str(error.value)
        assert everything(swept) == before
    assert list(tmp_path.iterdir()) == []


def test_a_pruner_that_cannot_serve_the_seeds_is_refused_before_anything(tmp_path: Path) -> None:
    bad = study(seeds=2, sweep={"pruner": {"name": "hyperband", "min_resource": 3}})
    with pytest.raises(ConfigError, match=r"sweep\.pruner"):
        splitbench.sweep(bad, trials=1, out=tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_mistyped_url_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="is neither a path nor a URL") as error:
        splitbench.sweep(study(), trials=1, out="out", storage="postgresql:/me:secret@h/x", device="cpu")
    assert "secret" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_differences_are_told_by_what_a_user_wrote() -> None:
    there = {"a": {"fingerprint": "x-1", "b": 1}, "c": [1, 2]}
    assert identity_differences(there, there) == ""
    now = {"a": {"fingerprint": "x-2", "b": 2}, "c": [1, 2]}
    assert identity_differences(there, now) == "with a.b 1, and the study file now says 2 (and 1 more)"
    only = {"a": {"fingerprint": "x-2", "b": 1}, "c": [1, 2]}
    assert identity_differences(there, only) == "with other code of the component at a"
    assert identity_differences({}, {"c": [1]}) == "with c nothing, and the study file now says [1]"


class Said(Watcher):
    def __init__(self) -> None:
        self.said: list[str] = []

    def done(self, sentence: str) -> None:
        self.said.append(sentence)


def test_a_plugins_bug_is_its_trials_end_and_not_the_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Buggy(Balanced):
        """Fails whenever it is asked."""

        def __call__(self, affinity: Any, k: int, rng: Any) -> Any:
            raise ValueError("boom")

    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    registry.register("partitioners", "buggy")(Buggy)
    buggy = study(arms=["none", GM], search={"partitioner": ["buggy", "balanced"]}, sweep={"sampler": "grid"})
    buggy["budget"] = {"steps": 120}
    watcher = Said()
    splitbench.sweep(buggy, out=tmp_path, device="cpu", watcher=watcher)
    (arm,) = sweep.read_sweep(tmp_path).arms
    assert {trial.values["partitioner"]: trial.state for trial in arm.trials} == {
        "buggy": "infeasible",
        "balanced": "complete",
    }
    assert sum("this is a bug: ValueError: boom" in sentence for sentence in watcher.said) == 1
