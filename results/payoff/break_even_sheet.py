"""Output of `splitbench break-even`: break-evens and their sets in words, as tables, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.inference.verdicts import decimals
from splitbench.results.payoff.break_even_report import BreakEvenReport, BreakEvenRow
from splitbench.results.payoff.breakeven import ABOVE, BELOW, BreakEven
from splitbench.results.words.sheet import GIVEN, NOTHING, ORACLE, Sheet, WordTable, interval_words, marked

BELOW_WORDS, ABOVE_WORDS = "below the lowest tested", "above the highest tested"
SAME_POINT = 1e-6  # of a budget: as a set, both ends are one number


def at_words(reached: BreakEven) -> str:
    """The last upward zero of the mean, and whether the arm keeps ahead."""
    if reached.at is None:
        return BELOW_WORDS if reached.ahead else ABOVE_WORDS
    return f"{reached.at:.3g}" + ("" if reached.ahead else ", behind again at the highest tested")


def set_words(reached: BreakEven) -> str:
    """The confidence set: ``1.2e+10 to 3e+10``; several parts are joined by ``or``, an open end is named in words."""
    names = [(f"{low:.3g}", f"{high:.3g}", high - low <= SAME_POINT * high) for low, high in reached.parts]
    words = [low if same else f"{low} to {high}" for low, high, same in names]
    touches_low = bool(reached.parts) and reached.parts[0][0] == reached.budgets[0]
    touches_high = bool(reached.parts) and reached.parts[-1][1] == reached.budgets[-1]
    if reached.below and touches_low:
        end = ABOVE_WORDS if len(names) == 1 and touches_high and reached.above else names[0][1]
        words[0] = f"{BELOW_WORDS} to {end}"
    elif reached.below:
        words.insert(0, BELOW_WORDS)
    if reached.above and touches_high:
        if not words[-1].endswith(ABOVE_WORDS):
            words[-1] = f"{names[-1][0]} to {ABOVE_WORDS}"
    elif reached.above:
        words.append(ABOVE_WORDS)
    return " or ".join(words)


def break_even_sheet(shown: BreakEvenReport) -> Sheet:
    """The sheet that `splitbench break-even` prints."""
    ladder, record = shown.ladder, shown.ladder.record
    budgets = list(ladder.tables)
    tables = [_gain_table(shown, budgets), _unsplit_table(shown, budgets)]
    if any(row.predictions for row in shown.rows):
        tables += [_law_table(shown), _checked_table(shown)]
    studies = sorted({next(iter(own.values())).runs[0].record.study for own in ladder.tables.values()})
    return Sheet(
        heading=f"{', '.join(studies)}: break-even, {shown.title}",
        facts=(
            f"Budgets of {', '.join(f'{budget:.4g}' for budget in budgets)} {ladder.kind} an arm; population: "
            f"{record.population}.",
        ),
        tables=tuple(tables),
        legend=tuple(_legend(shown)),
        warnings=(*shown.left_out, *shown.warnings),
    )


def _gain_table(shown: BreakEvenReport, budgets: Sequence[float]) -> WordTable:
    rows = []
    for row in shown.rows:
        own = dict(zip(row.break_even.budgets, row.break_even.gains, strict=True))
        cells = [interval_words(own.get(budget), decimals(shown.metric), sign=True) for budget in budgets]
        seeds = [str(own[budget].n) if budget in own else NOTHING for budget in budgets]
        seeds_in_words = seeds[0] if len(set(seeds)) == 1 else ", ".join(seeds)
        rows.append(
            (
                marked(row.arm, row.reads_truth, row.given),
                seeds_in_words,
                *cells,
                at_words(row.break_even),
                set_words(row.break_even),
            )
        )
    header = ("arm", "seeds", *(f"at {budget:.4g}" for budget in budgets), "break-even", "95% set")
    return WordTable(f"{_difference(shown)} in {shown.metric}", header, tuple(rows), left=("break-even", "95% set"))


def _unsplit_table(shown: BreakEvenReport, budgets: Sequence[float]) -> WordTable:
    lines = {shown.ladder.baseline: shown.unsplit, "(flops)": shown.flops_alone}
    rows = tuple(
        (name, *(interval_words(own.get(budget), decimals(shown.metric)) for budget in budgets))
        for name, own in lines.items()
    )
    return WordTable(f"{shown.metric} without a split", ("", *(f"at {budget:.4g}" for budget in budgets)), rows)


def _law_table(shown: BreakEvenReport) -> WordTable:
    rows = tuple(
        (
            marked(row.arm, row.reads_truth, row.given),
            _seed_words(prediction.fitted),
            f"{prediction.law.relief:+.3f}",
            predicted_words(prediction.at),
            at_words(prediction.observed),
            set_words(prediction.observed),
        )
        for row in shown.rows
        for prediction in row.predictions
    )
    header = ("arm", "fitted on seeds", "relief", "predicted break-even", "observed on the others", "95% set")
    return WordTable(
        f"The law of splits, fitted at budgets up to {shown.fitted_up_to:.4g}", header, rows, left=header[3:]
    )


def _checked_table(shown: BreakEvenReport) -> WordTable:
    rows = tuple(
        (
            marked(row.arm, row.reads_truth, row.given),
            _seed_words(prediction.fitted),
            f"{budget:.4g}",
            f"{predicted:+.3f}",
            interval_words(observed, decimals(shown.metric), sign=True),
        )
        for row in shown.rows
        for prediction in row.predictions
        for budget, (predicted, observed) in prediction.gains.items()
    )
    header = ("arm", "fitted on seeds", "budget", "predicted", "observed on the others")
    return WordTable("Differences at the budgets above", header, rows)


def predicted_words(at: float) -> str:
    if at == BELOW:
        return "ahead at every budget"
    return "behind at every budget" if at == ABOVE else f"{at:.3g}"


def _seed_words(seeds: Sequence[int]) -> str:
    return ", ".join(str(seed + 1) for seed in seeds)


def _difference(shown: BreakEvenReport) -> str:
    baseline = shown.ladder.baseline
    return f"{baseline} less arm" if stats.lower_is_better(shown.metric) else f"Arm less {baseline}"


def _legend(shown: BreakEvenReport) -> list[str]:
    confidence, baseline = f"{stats.CONFIDENCE:.0%}", shown.ladder.baseline
    legend = [
        f"{_difference(shown)}, paired by seed: above 0 the arm is better. Brackets are {confidence} Student-t "
        "intervals over seeds.",
        "Break-even: the last budget at which the mean difference becomes positive; between tested budgets each seed's "
        "difference is linear in the budget's logarithm.",
        f"{confidence} set: all budgets at which the interval of the difference holds 0, from the seeds that both "
        "neighbouring budgets have; an end is open where the tested budgets do not settle it. It speaks of one arm: "
        "arms are not adjusted for their number.",
    ]
    if shown.fitted_up_to is not None:
        legend.append(
            "The law: a split pays where relief, the arm's gain over an unsplit supernet that was trained as long as a "
            f"leaf, exceeds what {baseline} gains between a leaf's length and its own. Relief is taken to be the same "
            "at all budgets, and the unsplit supernet to approach a limit: with two fitted budgets the noise ceiling, "
            "with more the one that fits best."
        )
    if any(row.reads_truth for row in shown.rows):
        legend.append(ORACLE)
    if any(row.given for row in shown.rows):
        legend.append(GIVEN)
    return legend


# -- JSON --------------------------------------------------------------------------------------------------------------


def break_even_json(shown: BreakEvenReport) -> dict[str, Any]:
    """Plain data for ``break-even --json``; docs/statistics.md says what the numbers are."""
    ladder, record = shown.ladder, shown.ladder.record
    return {
        "space": record.space,
        "dataset": record.dataset,
        "population": record.population,
        "metric": shown.metric,
        "baseline": ladder.baseline,
        "budget_kind": ladder.kind,
        "budgets": list(ladder.tables),
        "unsplit": _estimates(shown.unsplit),
        "flops_alone": _estimates(shown.flops_alone),
        "rows": [_row(row) for row in shown.rows],
        "fitted_up_to": shown.fitted_up_to,
        "left_out": list(shown.left_out),
        "warnings": list(shown.warnings),
    }


def _row(row: BreakEvenRow) -> dict[str, Any]:
    return {
        "arm": row.arm,
        "reads_truth": row.reads_truth,
        "given": row.given,
        **_break_even_json(row.break_even),
        "predictions": [
            {
                "fitted_seeds": list(prediction.fitted),
                "checked_seeds": list(prediction.checked),
                "relief": prediction.law.relief,
                "curve": asdict(prediction.law.curve),
                "break_even": prediction.at if BELOW < prediction.at < ABOVE else None,
                "words": predicted_words(prediction.at),
                "differences": [
                    {"budget": budget, "predicted": predicted, "observed": asdict(observed)}
                    for budget, (predicted, observed) in prediction.gains.items()
                ],
                "observed": _break_even_json(prediction.observed),
            }
            for prediction in row.predictions
        ],
    }


def _break_even_json(reached: BreakEven) -> dict[str, Any]:
    return {
        "differences": _estimates(dict(zip(reached.budgets, reached.gains, strict=True))),
        "break_even": reached.at,
        "ahead_at_highest": reached.ahead,
        "set": [list(part) for part in reached.parts],
        "open_below": reached.below,
        "open_above": reached.above,
        "words": f"{at_words(reached)}; set: {set_words(reached)}",
    }


def _estimates(own: Mapping[float, Estimate]) -> list[dict[str, Any]]:
    return [{"budget": budget, **asdict(value)} for budget, value in own.items()]
