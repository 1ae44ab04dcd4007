"""How long a sweep takes that is cut off twice, and whether a finished trial is lost or run again.

    python bench/sweep.py studies/sweep-micro.yaml --out runs/sweep-micro-sweep

The sweep is killed (SIGKILL, its workers with it) when a third of the trials have ended, interrupted (SIGINT) at two
thirds, and started a third time. After each cut the trials that had ended are read from the storage; at the end they
must stand there as they were, and every slot must have ended once.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from splitbench.harness.study.config import load_study
from splitbench.harness.sweeps.attempts import ORIGINAL
from splitbench.harness.sweeps.storages.storage import open_storage
from splitbench.harness.sweeps.tuner import JOURNAL

SETTLED = (TrialState.COMPLETE, TrialState.PRUNED)
Told = dict[tuple[str, int], tuple[Any, ...]]


def trials(journal: Path, study: str, arms: list[str]) -> dict[str, list[FrozenTrial]]:
    """By arm, every trial of the storage; nothing where there is none yet."""
    if not journal.exists():
        return {}
    storage = open_storage(journal)
    names = [one.study_name for one in storage.get_all_studies()]
    return {
        arm: optuna.load_study(study_name=f"{study}/{arm}", storage=storage).trials
        for arm in arms
        if f"{study}/{arm}" in names
    }


def ended(found: dict[str, list[FrozenTrial]]) -> Told:
    """What each trial that has ended came to, and when."""
    return {
        (arm, trial.number): (trial.state, trial.params, trial.user_attrs, trial.value, trial.datetime_complete)
        for arm, all_trials in found.items()
        for trial in all_trials
        if trial.state in SETTLED
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    config = load_study(given.study)
    arms, journal = [arm.label for arm in config.arms], given.out / JOURNAL
    wanted = (given.trials or config.sweep.trials) * len(arms)
    words = ["sweep", given.study, "--out", given.out, "--workers", given.workers]
    words += ["--trials", given.trials] if given.trials else []
    command = [sys.executable, "-m", "splitbench", *map(str, words)]
    before, seconds = list[Told](), list[float]()
    for cut, how in ((wanted / 3, signal.SIGKILL), (2 * wanted / 3, signal.SIGINT), (None, None)):
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # ignored by what a shell has put behind
        )
        while cut is not None and how is not None and process.poll() is None:
            time.sleep(0.5)
            if len(ended(trials(journal, config.name, arms))) >= cut:
                process.send_signal(how)
                break
        status = process.wait()
        seconds.append(time.monotonic() - start)
        found = trials(journal, config.name, arms)
        before.append(ended(found))
        print(f"ended with status {status} after {seconds[-1]:.0f} s: {len(before[-1])} of {wanted} trials", flush=True)
    last = before[-1]
    for earlier in before[:-1]:
        changed = [key for key in earlier if last.get(key) != earlier[key]]
        assert not changed, f"trials that had ended have changed: {changed}"
    for arm, all_trials in found.items():
        originals = [trial.number for trial in all_trials if ORIGINAL not in trial.system_attrs]
        slots = [trial.system_attrs.get(ORIGINAL, trial.number) for trial in all_trials if trial.state in SETTLED]
        assert sorted(slots) == originals, f"a slot of {arm} has not ended, or ended twice"
    failed = sum(trial.state is TrialState.FAIL for all_trials in found.values() for trial in all_trials)
    print(f"{sum(seconds):.0f} s in all; {failed} trials cut off and done again; none lost, none repeated")


if __name__ == "__main__":
    main()
