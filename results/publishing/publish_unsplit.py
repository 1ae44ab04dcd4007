"""The table of unsplit supernets (results/expectation/unsplit.json), made from the records of published studies.

`python -m splitbench.results.publishing` makes it at its end. One seed counts once, however many studies ran it: of
equal settings, budgets and selectors, a repetition of a study's own seed is taken from the first study, by name, that
has it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitbench.results.arms.arms import ArmRuns, Getter, tables
from splitbench.results.expectation import unsplit
from splitbench.results.expectation.unsplit import METRICS, UNITS, Known, Length, PublishedSupernet, SupernetSetting
from splitbench.results.records.files import encode, write_atomically
from splitbench.results.records.loading import load_runs
from splitbench.results.records.record import Record

RULERS = tuple(name for name in METRICS if "[" in name)
"""Metrics that FLOPs alone and the ceiling have, too."""


@dataclass(frozen=True)
class UnsplitRuns:
    """An unsplit arm of a published study, and the setting of its supernets."""

    arm: ArmRuns
    setting: SupernetSetting

    @property
    def key(self) -> str:
        """Equal for supernets of one setting."""
        return _text(self.setting.flat)

    @property
    def length(self) -> str:
        """Equal for supernets of one setting that were trained equally long."""
        budget = self.arm.runs[0].record.budget
        return _text([budget.kind, budget.limit, unsplit.selector(self.arm), unsplit.kept_back(self.arm)])


def unsplit_table(folders: Iterable[Path]) -> Known:
    """The unsplit supernets of results folders.

    Raises:
        StoreError: if a folder holds no usable record.
    """
    settings: dict[str, dict[str, list[UnsplitRuns]]] = defaultdict(lambda: defaultdict(list))
    for folder in folders:
        for published in _unsplit_runs(folder):
            settings[published.key][published.length].append(published)
    supernets = []
    for own in settings.values():
        lengths = [_length(published) for published in own.values()]
        setting = next(iter(own.values()))[0].setting
        supernets.append(PublishedSupernet(setting=setting, lengths=sorted(lengths, key=lambda length: length.steps)))
    return Known(supernets=sorted(supernets, key=_order))


def publish_unsplit_table(folders: Iterable[Path], path: Path) -> Path:
    """Write the table of these results folders to ``path``; returns ``path``."""
    write_atomically(path, encode(unsplit_table(folders)))
    return path


def _unsplit_runs(folder: Path) -> list[UnsplitRuns]:
    arms = [arm for own in tables(load_runs(folder).runs) for arm in own if arm.complete and unsplit.never_split(arm)]
    pairs = [(arm, unsplit.setting_of(arm)) for arm in arms]
    return [UnsplitRuns(arm, setting) for arm, setting in pairs if setting is not None]


def _length(runs: Sequence[UnsplitRuns]) -> Length:
    """What arms of one setting and length measured, each seed once."""
    chosen: dict[tuple[int, int], ArmRuns] = {}
    for run in sorted(runs, key=lambda each: each.arm.runs[0].record.study):
        for repetition in run.arm.repetitions:
            chosen.setdefault((unsplit.study_seed(run.arm), repetition), run.arm)
    seeds = sorted(chosen)
    arms = list({id(arm): arm for arm in chosen.values()}.values())
    first = runs[0].arm.runs[0].record

    def values(get: Getter) -> list[float] | None:
        """By seed; None if a run lacks the value."""
        by_arm = {id(arm): arm.by_repetition(get) for arm in arms}
        each = [(by_arm[id(chosen[seed])] or {}).get(seed[1]) for seed in seeds]
        known = [value for value in each if value is not None]
        return known if len(known) == len(seeds) else None

    def means(getters: dict[str, Getter]) -> dict[str, float]:
        return {name: unsplit.arithmetic_mean(own) for name, get in getters.items() if (own := values(get)) is not None}

    return Length(
        kind=first.budget.kind,
        limit=first.budget.limit,
        selector=unsplit.selector(runs[0].arm),
        steps=means({"steps": lambda record: float(record.tree.steps)})["steps"],
        spent=means({unit: _spent(unit) for unit in UNITS}),
        studies=sorted({run.arm.runs[0].record.study for run in runs}),
        code=sorted({mark for arm in arms for mark in unsplit.code(arm)}),
        seeds=seeds,
        values={name: own for name, get in METRICS.items() if (own := values(get)) is not None},
        flops=means({name: _flops(name) for name in RULERS}),
        ceiling=means({name: _ceiling(name) for name in RULERS}),
    )


def _spent(unit: str) -> Getter:
    return lambda record: unsplit.spent_by_run(record, unit)


def _flops(name: str) -> Getter:
    return lambda record: record.trivial.get("flops", {}).get(name)


def _ceiling(name: str) -> Getter:
    def get(record: Record) -> float | None:
        return record.ceiling.get(name)

    return get


def _order(supernet: PublishedSupernet) -> tuple[object, ...]:
    setting = supernet.setting
    return (
        setting.space["name"],
        setting.dataset["name"],
        setting.trainer["name"],
        supernet.lengths[0].steps,
        _text(setting.flat),
    )


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
