"""The break-even report of a study: the budget from which on each arm pays (`splitbench break-even`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import PRIMARY
from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.payoff.breakeven import ABOVE, BELOW, BreakEven, Gains, find_break_even
from splitbench.results.payoff.ladder import Ladder
from splitbench.results.payoff.law import Prediction, predict
from splitbench.results.payoff.lengths import length_points
from splitbench.results.words.sheet import count


@dataclass(frozen=True)
class BreakEvenRow:
    """One arm: the gains of each seed, the break-even, and, if asked for, predictions of half of the seeds from the
    other half."""

    arm: str
    reads_truth: bool
    given: bool
    gains: Gains
    break_even: BreakEven
    predictions: tuple[Prediction, ...] = ()


@dataclass(frozen=True)
class BreakEvenReport:
    """Arms in the order of their break-evens. ``left_out`` has a sentence for each that has none."""

    ladder: Ladder
    metric: str
    rows: tuple[BreakEvenRow, ...]
    unsplit: Mapping[float, Estimate]
    flops_alone: Mapping[float, Estimate]
    left_out: tuple[str, ...]
    fitted_up_to: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        record = self.ladder.record
        return f"{record.space} on {record.dataset}"


def break_even_report(
    ladder: Ladder, metric: str = PRIMARY, arms: Sequence[str] = (), fit_up_to: float | None = None
) -> BreakEvenReport:
    """The break-evens of a study's arms.

    Args:
        arms: which; all but the baseline if none is named.
        fit_up_to: predict by the law of splits, fitted at budgets up to this one, too.

    Raises:
        ConfigError: if an arm or a metric is unknown, no arm has a break-even to be read, or none can be predicted.
    """
    _check(ladder, metric, arms, fit_up_to)
    rows: list[BreakEvenRow] = []
    left_out: list[str] = []
    for arm in arms or ladder.arms:
        gains = ladder.gains(arm, metric)
        try:
            if len(gains) < 2:
                raise ValueError(
                    f"it and the baseline have {metric} at {count(len(gains), 'budget')}, and two are needed"
                )
            break_even = find_break_even(gains)
        except ValueError as problem:
            left_out.append(f"arm {arm!r} is left out: {problem}")
            continue
        own = [table[arm] for table in ladder.tables.values() if arm in table]
        truth, given = any(runs.reads_truth for runs in own), any(runs.given for runs in own)
        rows.append(
            BreakEvenRow(arm, truth, given, gains, break_even, _predictions(ladder, arm, metric, fit_up_to, left_out))
        )
    if not rows:
        raise ConfigError(f"{_where(ladder)}: no arm has a break-even to be read: {left_out[0]}")
    if fit_up_to is not None and not any(row.predictions for row in rows):
        raise ConfigError(f"{_where(ladder)}: nothing can be predicted: {left_out[-1]}")
    return BreakEvenReport(
        ladder,
        metric,
        tuple(sorted(rows, key=_place)),
        ladder.unsplit(metric),
        ladder.flops_alone(metric),
        tuple(left_out),
        fit_up_to,
        ladder.warnings,
    )


def _predictions(
    ladder: Ladder, arm: str, metric: str, fit_up_to: float | None, left_out: list[str]
) -> tuple[Prediction, ...]:
    ceiling = ladder.ceiling(metric)
    if fit_up_to is None or ceiling is None:
        return ()
    try:
        return predict(length_points(ladder, arm, metric), fit_up_to, ceiling)
    except ValueError as problem:
        left_out.append(f"arm {arm!r} is not predicted: {problem}")
        return ()


def _check(ladder: Ladder, metric: str, arms: Sequence[str], fit_up_to: float | None) -> None:
    from splitbench.harness.registry import suggestion

    for arm in arms:
        if arm not in ladder.arms:
            raise ConfigError(
                f"{_where(ladder)}: there is no arm {arm!r} beside the baseline{suggestion(arm, list(ladder.arms))}; "
                f"there are {', '.join(ladder.arms) or 'none'}"
            )
    own = [arm for table in ladder.tables.values() for arm in table.values()]
    known = sorted({name for arm in own for run in arm.runs for name in run.record.metrics})
    if metric not in known:
        raise ConfigError(
            f"--metric {metric}: no record has it{suggestion(metric, known)}; there are {', '.join(known)}"
        )
    if fit_up_to is not None and stats.lower_is_better(metric):
        raise ConfigError(
            f"--fit-up-to: the law is on metrics in which more is better, and {metric} is none; take tau[all]"
        )


def _place(row: BreakEvenRow) -> tuple[float, float, str]:
    """The earliest break-even first; without one, the best at the highest budget."""
    break_even = row.break_even
    at = break_even.at if break_even.at is not None else (BELOW if break_even.ahead else ABOVE)
    return at, -break_even.gains[-1].mean, row.arm


def _where(ladder: Ladder) -> str:
    return ", ".join(map(str, ladder.folders))
