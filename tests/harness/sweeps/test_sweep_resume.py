"""A sweep that is cut off and resumed ends as one that is not, slot by slot, under every pruner and sampler.

Nothing is trained: a trial's values are a function of its parameters with a scatter by seed.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from splitbench.harness.registry import Spec
from splitbench.harness.sweeps.choosing import samplers
from splitbench.harness.sweeps.choosing.pruners import PRUNERS, make_pruner
from splitbench.harness.sweeps.ledger import TrialLedger
from splitbench.harness.sweeps.storages.storage import open_storage, open_studies
from splitbench.harness.sweeps.worker import Worker

SEEDS = 4
SLOTS = 14
SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-3, 1.0, log=True),
    "levels": IntDistribution(1, 3),
    "parts": CategoricalDistribution(["gap", "max_cut"]),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "median": {"n_startup_trials": 2},
    "percentile": {"percentile": 40.0, "n_startup_trials": 2},
    "successive_halving": {"reduction_factor": 2},
    "hyperband": {"reduction_factor": 2},
}
SAMPLERS: dict[str, Spec] = {"tpe": {"name": "tpe", "n_startup_trials": 4}, "random": "random"}
Slots = list[tuple[dict[str, Any], dict[int, float], TrialState, float | None]]


@pytest.fixture(autouse=True)
def lock_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locks").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "locks"))


def difference(params: Mapping[str, Any], seed: int) -> float:
    """Best at a rate of 0.03, 2 levels and the gap."""
    noise = random.Random(repr((sorted(params.items()), seed))).gauss(0.0, 0.1)
    return -0.2 * math.log10(params["rate"] / 0.03) ** 2 - 0.1 * abs(params["levels"] - 2) + noise


def sweep(journal: Path, pruner: str, sampler: str, seed: int, cuts: Sequence[tuple[int, int]] = ()) -> Slots:
    """Run all slots, one after the other; a cut (n, k) interrupts a process in mid-trial.

    It comes once n seeds have run in the process, before seed k (from 0) of a trial. Who resumes has the journal only.
    """
    for after, own in [*cuts, (10**9, 0)]:
        with Worker() as worker:
            study = open_studies(open_storage(str(journal)), {"s/arm": {}})["s/arm"]
            study.sampler = samplers.Paired(SAMPLERS[sampler], SPACE, seed, None)
            study.pruner = make_pruner({"name": pruner, **OPTIONS.get(pruner, {})}, SEEDS)
            ledger = TrialLedger(study, SLOTS, worker, SPACE)
            ledger.revive()
            left: int | None = after
            while left is not None and (trial := ledger.claim()) is not None:
                left = run(ledger, trial, left, own)
    assert ledger.settled
    found = ledger.slots()
    return [(trial.params, trial.intermediate_values, trial.state, trial.value) for trial in found]


def run(ledger: TrialLedger, trial: optuna.Trial, left: int, own: int) -> int | None:
    """Run one trial; the seeds left to run before the cut, or None once it has come."""
    differences: list[float] = []
    for seed in range(SEEDS):
        if left <= 0 and len(differences) == own:
            ledger.release(trial, "interrupted")
            return None
        differences.append(difference(trial.params, seed))
        left -= 1
        mean = sum(differences) / len(differences)
        trial.report(mean, len(differences))
        if len(differences) < SEEDS and trial.should_prune():
            ledger.prune(trial)
            return left
    ledger.finish(trial, mean)
    return left


@pytest.mark.parametrize(("pruner", "sampler"), [*((pruner, "tpe") for pruner in PRUNERS), ("interval", "random")])
def test_cut_off_and_resumed_it_ends_as_if_it_had_not_been(pruner: str, sampler: str, tmp_path: Path) -> None:
    states = set()
    for seed in range(2):
        whole = sweep(tmp_path / f"whole {seed}", pruner, sampler, seed)
        # In the middle of a trial that had begun well, again before the first seed of the same trial, and later.
        cuts = [(5, 1), (0, 0), (6, 2)]
        cut = sweep(tmp_path / f"cut {seed}", pruner, sampler, seed, cuts)
        numbers = open_studies(open_storage(str(tmp_path / f"cut {seed}")), {"s/arm": {}})["s/arm"].trials
        assert [trial.state for trial in numbers].count(TrialState.FAIL) == len(cuts)
        assert cut == whole
        assert len(whole) == SLOTS
        states |= {state for _, _, state, _ in whole}
    assert states == {TrialState.COMPLETE} | (set() if pruner == "none" else {TrialState.PRUNED})
