"""The gate: does a results folder fall behind its baseline by more than noise, at the same protocol?

Three questions, each with a family of tests of its own (splitbench.results.inference.noninferiority):

- metrics: has an arm's number dropped, by more than the margin and more than chance?
- invariants: are the ceiling, the size baselines and the truth what they were? No trainer and no criterion can change
  them; if they differ, the ranked architectures or their truth do.
- ledger: did each arm spend its budget, and on the same phases?
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.arms.arms import tables
from splitbench.results.gating import baseline as baselines
from splitbench.results.gating.baseline import Baseline, conditions_title
from splitbench.results.gating.checks import GateReport
from splitbench.results.gating.comparing import hold
from splitbench.results.inference import noninferiority as tests
from splitbench.results.records.differences import config_changes
from splitbench.results.records.failures import by_arm, failure_words
from splitbench.results.records.loading import AllFailedError, Loaded, load_runs


def hold_against_baseline(folder: str | Path, path: str | Path, metrics: Sequence[str] = ()) -> GateReport:
    """Compare a results folder with a baseline file; ``metrics`` picks among the baseline's.

    Raises:
        StoreError: if the folder or the file cannot be used.
        ConfigError: if the baseline does not hold a metric, or two tables of the folder match one of the baseline.
    """
    there = baselines.read_baseline(Path(path))
    if unknown := [name for name in metrics if name not in there.metrics]:
        raise ConfigError(
            f"{path}: the baseline does not hold {unknown[0]!r}, but {', '.join(there.metrics)}; add it with "
            f"`splitbench gate {folder} --baseline {path} --update` and a --metric for each"
        )
    try:
        loaded = load_runs(folder)
    except AllFailedError as error:  # nothing was measured: no other word for it fits
        loaded = Loaded((), (), failed=error.failed)
    return hold(there, loaded, metrics, folder)


def update(folder: str | Path, path: str | Path, metrics: Sequence[str], command: str) -> list[str]:
    """Write the baseline of a results folder; returns the changes as sentences.

    Without ``metrics`` those of the old baseline are kept.

    Raises:
        StoreError: if the folder cannot be used or the file not be written.
        ConfigError: if an arm is incomplete or lacks a metric.
    """
    path = Path(path)
    old, said = None, []
    if path.exists():
        try:
            old = baselines.read_baseline(path)
        except StoreError as error:
            said.append(f"the old file is replaced unread: {error}")
    loaded = load_runs(folder)
    if loaded.failed:
        arm, own = next(iter(by_arm(loaded.failed).items()))
        raise ConfigError(
            f"{folder}: no baseline is written: arm {arm!r} has failed ({failure_words(own)}); mend it and run the "
            "study again, or take it out of the study"
        )
    chosen = list(dict.fromkeys(metrics)) or (old.metrics if old else list(baselines.METRICS))
    new = baselines.make_baseline(tables(loaded.runs, loaded.failed), chosen, command, Path(folder))
    baselines.write_baseline(path, new)
    return [*said, *loaded.warnings, *_news(old, new)]


def _news(old: Baseline | None, new: Baseline) -> list[str]:
    was = {
        (conditions_title(table.conditions), name): arm
        for table in (old.tables if old else [])
        for name, arm in table.arms.items()
    }
    now = {(conditions_title(table.conditions), name): arm for table in new.tables for name, arm in table.arms.items()}
    said = [f"{where}: arm {name} is no longer guarded" for where, name in sorted(was.keys() - now.keys())]
    for (where, name), arm in now.items():
        before = was.get((where, name))
        if before is None:
            said.append(f"{where}: arm {name} is new")
        differs = config_changes(before.config, arm.config) if before else []
        said += [f"{where}: arm {name}: {difference}" for difference in differs]
        for metric, values in arm.metrics.items():
            past = before.metrics.get(metric) if before else None
            if past == values:
                continue
            start = f"{tests.exact_mean(past):.4f} -> " if past else ""
            said.append(f"{where}: arm {name}: {metric} {start}{tests.exact_mean(values):.4f} ({len(values)} seeds)")
    return said or ["nothing changed but, perhaps, the provenance"]
