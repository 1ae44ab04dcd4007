"""A sweep's tuned study beside it: fresh seeds, test truth, and how much of what tuning gained is left there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitbench.harness.errors import StoreError
from splitbench.results.arms.arms import PRIMARY, ArmRuns, Getter, metric, tables, validation_metric
from splitbench.results.boards.leaderboard import Leaderboard, leaderboards_of
from splitbench.results.boards.rows import BoardRow
from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.inference.verdicts import decimals, verdict_words
from splitbench.results.records.loading import load_runs
from splitbench.results.sweeps.sweep import Sweep, SweptArm, baseline_arm, best, chosen_difference, compare_chosen
from splitbench.results.words.sheet import NOTHING, WordTable, interval_words, marked

KINDS = {
    "trainer": "trainers",
    "criterion": "criteria",
    "partitioner": "partitioners",
    "edge_rule": "edge_rules",
    "selector": "selectors",
    "leaf_choice": "leaf_choices",
}
"""The first part of a path in a study file -> where a record's configuration of the arm has it."""
TUNED, OWN, OTHER = "tuned", "the study's own", "other values"


@dataclass(frozen=True)
class Left:
    """One gain of a chosen configuration, by the sweep and by the tuned study.

    Attributes:
        arm: as the sweep names it.
        over: the reference of the gain, in words.
        tuning: on the seeds and the validation truth that were tuned on.
        validation, test: of the tuned study, seed by seed; None where a run lacks the metric.
    """

    arm: SweptArm
    over: str
    tuning: Estimate
    validation: Estimate | None
    test: Estimate | None

    @property
    def share(self) -> float | None:
        """The mean on test truth over that of tuning; None where tuning gained nothing."""
        return self.test.mean / self.tuning.mean if self.test is not None and self.tuning.mean else None


@dataclass(frozen=True)
class Tuned:
    """The one leaderboard of a tuned study, and for each of its arms which values of the sweep it ran with."""

    board: Leaderboard
    arms: Mapping[str, ArmRuns]
    swept: Mapping[str, SweptArm]
    values: Mapping[str, str]


def read_tuned(sweep: Sweep, folder: Path) -> Tuned:
    """The tuned study in a results folder.

    An arm belongs to the swept arm of the same name, or to the one whose name and a space its own begins with.

    Raises:
        StoreError: if the folder holds no usable record, several tables, or another space or data set.
    """
    loaded = load_runs(folder)
    boards = leaderboards_of(loaded).boards
    if len(boards) != 1:
        raise StoreError(f"{folder}: no tuned study of a sweep, it holds {len(boards)} leaderboards and not one")
    (board,) = boards
    if (board.space, board.dataset) != (sweep.space, sweep.dataset):
        raise StoreError(
            f"{folder}: not the tuned study of {sweep.study}, it is {board.space} on {board.dataset} and the sweep "
            f"{sweep.space} on {sweep.dataset}"
        )
    arms = {arm.name: arm for arm in tables(loaded.runs)[0]}
    swept = {name: own for name in arms if (own := _swept(sweep, name)) is not None}
    return Tuned(board, arms, swept, {name: _which(sweep, own, arms[name]) for name, own in swept.items()})


def _swept(sweep: Sweep, name: str) -> SweptArm | None:
    mine = [arm for arm in sweep.arms if name == arm.arm or name.startswith(f"{arm.arm} ")]
    return max(mine, key=lambda arm: len(arm.arm), default=None)


def _which(sweep: Sweep, swept: SweptArm, arm: ArmRuns) -> str:
    """By the name that the sweep's own ``tuned.yaml`` gives an arm, if its record agrees; else by the values alone."""
    config = arm.runs[0].record.config.get("arm", {})
    top = best(sweep, swept)
    values: dict[str, Mapping[str, Any]] = {TUNED: top.values if top else {}, OWN: swept.own}
    named = {f"{swept.arm} tuned": TUNED, f"{swept.arm} untuned": OWN}.get(arm.name)
    for word in [named] if named else values:
        # a parameter that the study file does not set has no number here to compare with
        wanted = {path: value for path, value in values[word].items() if value is not None}
        if (named or wanted) and all(_same(value_at_path(config, path), value) for path, value in wanted.items()):
            return word
    return OTHER


def value_at_path(config: Any, path: str) -> Any:
    """The value at a study file's path in a record's configuration of its arm; None if there is none."""
    head, *rest = path.split(".")
    part_value = config
    for part in (KINDS.get(head, head), *rest):
        part_value = part_value.get(part) if isinstance(part_value, Mapping) else None
    return part_value


def _same(there: Any, value: bool | int | float | str) -> bool:
    """A whole component is known by its name, which its own value in a sweep begins with."""
    if isinstance(there, Mapping):
        return there.get("name") == str(value).partition("[")[0]
    if isinstance(there, list | tuple):
        return "+".join(map(str, there)) == value
    if isinstance(value, str) or isinstance(there, bool) or isinstance(value, bool):
        return bool(there == value) and isinstance(there, bool) == isinstance(value, bool)
    return isinstance(there, int | float) and math.isclose(there, value, rel_tol=1e-9)


def what_is_left(sweep: Sweep, tuned: Tuned) -> list[Left]:
    """Each arm's chosen configuration against the untuned baseline and against the baseline's chosen one, as far as
    the tuned study has both, complete."""

    def arm_of(swept: SweptArm | None, values: str) -> ArmRuns | None:
        names = [name for name, own in tuned.swept.items() if own is swept and tuned.values[name] == values]
        return next((tuned.arms[name] for name in sorted(names, key=len) if tuned.arms[name].complete), None)

    base = baseline_arm(sweep)
    untuned = arm_of(base, OWN)
    gaps = []
    for swept in sweep.arms:
        own, gain = arm_of(swept, TUNED), chosen_difference(sweep, swept)
        if own is None or gain is None:
            continue
        if untuned is not None:
            gaps.append(_left(sweep, swept, f"untuned {sweep.baseline}", gain, own, untuned))
        rival, gap = arm_of(base, TUNED), compare_chosen(sweep, swept, base) if base else None
        if swept is not base and rival is not None and gap is not None:
            gaps.append(_left(sweep, swept, f"tuned {sweep.baseline}", gap, own, rival))
    return gaps


def _left(sweep: Sweep, swept: SweptArm, over: str, tuning: Estimate, own: ArmRuns, rival: ArmRuns) -> Left:
    def gain(get: Getter) -> Estimate | None:
        return _difference(own, rival, get)

    return Left(swept, over, tuning, gain(validation_metric(sweep.metric)), gain(metric(sweep.metric)))


def _difference(own: ArmRuns, rival: ArmRuns, get: Getter) -> Estimate | None:
    a, b = own.by_repetition(get), rival.by_repetition(get)
    if a is None or b is None:
        return None
    shared = sorted(a.keys() & b.keys())
    return stats.interval([a[seed] - b[seed] for seed in shared]) if shared else None


# -- tables ------------------------------------------------------------------------------------------------------------


def tuned_tables(sweep: Sweep, tuned: Tuned) -> tuple[WordTable, ...]:
    """The tuned study's leaderboard, and the remaining gains where there are two to compare."""
    left = what_is_left(sweep, tuned)
    return (_rows(sweep, tuned), *((_gains(sweep, left),) if left else ()))


def _rows(sweep: Sweep, tuned: Tuned) -> WordTable:
    board, places = tuned.board, decimals(sweep.metric)
    baseline = tuned.arms.get(board.baseline or "")
    rows = []
    for row in board.rows:
        if row.trivial:
            continue
        arm = tuned.arms[row.arm]
        against = baseline if baseline is not None and baseline.complete and arm is not baseline else None
        difference = _difference(arm, against, metric(sweep.metric)) if against and row.complete else None
        rows.append(
            (
                marked(row.arm, row.reads_truth),
                tuned.values.get(row.arm, NOTHING),
                interval_words(row.metrics.get(sweep.metric), places),
                interval_words(difference, places, sign=True),
                _verdict(row),
                str(row.runs) if row.complete else f"incomplete: {row.runs} of {row.expected_runs}",
            )
        )
    header = ("arm", "values", sweep.metric, f"difference to {board.baseline or 'baseline'}", f"verdict on {PRIMARY}")
    title = f"The tuned study {board.study}: fresh seeds, test truth"
    return WordTable(title, (*header, "runs"), tuple(rows), left=("values", header[-1]))


def _verdict(row: BoardRow) -> str:
    if row.verdict is None:
        return "baseline" if row.baseline else NOTHING
    return verdict_words(row.verdict)


def _gains(sweep: Sweep, left: list[Left]) -> WordTable:
    places = decimals(sweep.metric)
    rows = tuple(
        (
            marked(gap.arm.arm, gap.arm.reads_truth),
            gap.over,
            interval_words(gap.tuning, places, sign=True),
            interval_words(gap.validation, places, sign=True),
            interval_words(gap.test, places, sign=True),
            _share_words(sweep, gap),
        )
        for gap in left
    )
    header = ("tuned arm", "less", "tuned on: validation", "fresh seeds: validation", "fresh seeds: test", "left")
    return WordTable(f"What is left of tuning's gains in {sweep.metric}", header, rows, left=("less",))


def _share_words(sweep: Sweep, gap: Left) -> str:
    """A share of a gain; of a loss there is none."""
    gained = gap.tuning.mean < 0 if sweep.lower_is_better else gap.tuning.mean > 0
    return f"{gap.share:.0%}" if gained and gap.share is not None else NOTHING
