"""The report of a sweep: what was searched and how, what each arm chose, and how reliable its number is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitbench.results.inference import stats
from splitbench.results.inference.verdicts import decimals, number
from splitbench.results.sweeps.sweep import (
    Sweep,
    SweptArm,
    TrialPoint,
    best,
    chosen_difference,
    compare_chosen,
    curve,
    runs,
    searched_paths,
    spent_by_trials,
)
from splitbench.results.sweeps.sweep_notes import pairs, sweep_legend, warnings
from splitbench.results.sweeps.sweep_tuned import read_tuned, tuned_tables
from splitbench.results.sweeps.sweep_words import component_words, domain_words, short_names
from splitbench.results.words import render
from splitbench.results.words.sheet import NOTHING, Sheet, WordTable, count, interval_words, marked
from splitbench.results.words.values import sampled_words

if TYPE_CHECKING:
    from rich.console import Console


def sweep_markdown(
    sweep: Sweep, tuned: Path | None = None, files: Sequence[str] = (), pictures: Sequence[str] = ()
) -> str:
    """The report as markdown; the same arguments give the same bytes.

    Args:
        tuned: the results folder of the tuned study, whose leaderboard is set beside the sweep.
        files: links, as markdown, to what else there is.
        pictures: images, as markdown, that stand above the tables.

    Raises:
        StoreError: if ``tuned`` is no tuned study of this sweep.
    """
    shown = sweep_sheet(sweep, tuned)
    more = [f"Also: {', '.join(files)}."] if files else []
    return render.sheet_markdown(replace(shown, facts=(*shown.facts, *more, *pictures)))


def control_markdown(sweep: Sweep, page: str, pictures: Sequence[str] = ()) -> str:
    """A sweep with a planted optimum, as a section of another sweep's report.

    Args:
        page: a link, as markdown, to its own.
        pictures: images, as markdown, that stand above the tables.
    """
    facts = (
        "A control of the sweep itself, on the same space: among what is searched, one value is known to be the only "
        f"good one. Whatever a sweep's other choices are worth, every arm has to find it. More of it: {page}.",
        *pictures,
    )
    tables = (_space_table(sweep), _chosen_table(sweep), _curve_table(sweep), *_importance_table(sweep))
    text = render.sheet_markdown(Sheet("Control: a planted optimum", facts, tables, ()))
    return f"#{text}"


def sweep_terminal(sweep: Sweep, tuned: Path | None = None, console: Console | None = None) -> None:
    """The same as rich tables."""
    render.terminal_sheet(sweep_sheet(sweep, tuned), console)


def sweep_json(sweep: Sweep) -> str:
    """``sweep.json`` and what follows from it, as text with a newline at the end.

    Beside the sweep's own keys: ``curves`` (arm -> a point for each settled trial), ``chosen`` (arm -> slot, values,
    difference, null where none is complete), ``spent`` (arm -> in the budget's unit), ``comparisons`` (chosen
    configurations against the baseline's). Undefined numbers are null.
    """
    derived = {
        "curves": {arm.arm: [asdict(point) for point in curve(sweep, arm)] for arm in sweep.arms},
        "chosen": {arm.arm: _chosen_object(sweep, arm) for arm in sweep.arms},
        "spent": {arm.arm: spent_by_trials(arm) for arm in sweep.arms},
        "comparisons": [
            {"arm": first.arm, "against": second.arm, "difference": asdict(difference)}
            for first, second in pairs(sweep)
            if (difference := compare_chosen(sweep, first, second)) is not None
        ],
    }
    data = sweep.model_dump(mode="json") | derived
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _chosen_object(sweep: Sweep, arm: SweptArm) -> dict[str, Any] | None:
    top, difference = best(sweep, arm), chosen_difference(sweep, arm)
    return {"slot": top.slot, "values": top.values, "difference": asdict(difference)} if top and difference else None


def sweep_sheet(sweep: Sweep, tuned: Path | None = None) -> Sheet:
    """The report in words and tables.

    Raises:
        StoreError: if ``tuned`` is no tuned study of this sweep.
    """
    beside = tuned_tables(sweep, read_tuned(sweep, tuned)) if tuned else ()
    importance = _importance_table(sweep)
    against = _comparison_table(sweep)
    return Sheet(
        heading=f"{sweep.study}: sweep of {count(len(sweep.arms), 'arm')}, {sweep.space} on {sweep.dataset}",
        facts=(_size_words(sweep), _objective_words(sweep), _caveat(sweep, bool(beside))),
        tables=(_space_table(sweep), _chosen_table(sweep), _curve_table(sweep), *importance, *against, *beside),
        legend=tuple(sweep_legend(sweep, bool(beside))),
        warnings=tuple(warnings(sweep)),
    )


# -- facts -------------------------------------------------------------------------------------------------------------


def _size_words(sweep: Sweep) -> str:
    return (
        f"{count(sweep.trials, 'trial')} an arm, each of at most {count(sweep.seeds, 'seed')}; budget "
        f"{sweep.budget_limit:.4g} {sweep.budget_kind} a run; so no arm may use more than "
        f"{sweep.trials * sweep.seeds:,} runs. Sampler {component_words(sweep.sampler)}; pruner "
        f"{component_words(sweep.pruner)}. Population: {sweep.population}."
    )


def _objective_words(sweep: Sweep) -> str:
    better = "less is better" if sweep.lower_is_better else "more is better"
    words = (
        f"A trial's value is the mean over seeds of its {sweep.metric} less that of {sweep.baseline} with the study "
        f"file's own values (the untuned {sweep.baseline}), seed by seed, both against the ground truth's validation "
        f"accuracy; {better}. Test accuracy is not read."
    )
    if not sweep.baseline_validation:
        return f"{words} The untuned {sweep.baseline} has not run yet."
    own = interval_words(stats.interval(sweep.baseline_validation), decimals(sweep.metric))
    return (
        f"{words} The untuned {sweep.baseline} has {own} over {count(len(sweep.baseline_validation), 'seed')}, and its "
        "runs count as nobody's."
    )


def _caveat(sweep: Sweep, beside: bool) -> str:
    honest = "the last tables have it" if beside else "run `tuned.yaml` with `splitbench run` to have it"
    return (
        f"The best of {count(sweep.trials, 'trial')} is chosen on these seeds and this truth, so its number is "
        "optimistic: it holds the luck of the trial that was chosen, and intervals do not know of the choice. The "
        f"honest comparison is that of the tuned study on fresh seeds against test truth: {honest}."
    )


# -- tables ------------------------------------------------------------------------------------------------------------


def _space_table(sweep: Sweep) -> WordTable:
    rows = []
    for path in searched_paths(sweep):
        arms = [arm for arm in sweep.arms if path in arm.searched]
        own = {arm.arm: sampled_words(arm.own.get(path)) for arm in arms}
        same = len(set(own.values())) == 1
        words = next(iter(own.values())) if same else "; ".join(f"{arm}: {value}" for arm, value in own.items())
        every = len(arms) == len(sweep.arms)
        names = "all" if every else ", ".join(marked(arm.arm, arm.reads_truth) for arm in arms) or "none of them"
        rows.append((path, domain_words(sweep.search.get(path)), words or NOTHING, names))
    header = ("parameter", "values", "the study's own", "searched by")
    return WordTable("Search space", header, tuple(rows), left=header)


def _chosen_table(sweep: Sweep) -> WordTable:
    names = short_names(searched_paths(sweep))
    rows = []
    for arm in sweep.arms:
        top = best(sweep, arm)
        values = (
            ", ".join(f"{names.get(path, path)} {sampled_words(top.values[path])}" for path in sorted(top.values))
            if top
            else ""
        )
        states = [trial.state for trial in arm.trials]
        used = sum(runs(sweep, trial) for trial in arm.trials)
        rows.append(
            (
                marked(arm.arm, arm.reads_truth),
                values or NOTHING,
                interval_words(chosen_difference(sweep, arm), decimals(sweep.metric), sign=True),
                *(str(states.count(state)) for state in ("complete", "pruned", "infeasible")),
                f"{used:,} of {sweep.trials * sweep.seeds:,}",
            )
        )
    difference = f"less untuned {sweep.baseline}"
    header = ("arm", "chosen values", difference, "complete", "pruned", "infeasible", "runs used")
    return WordTable(f"Chosen by {sweep.metric} on validation truth", header, tuple(rows), left=("chosen values",))


def marks(trials: int) -> list[int]:
    """After how many trials the curves are read: the first, a third, two thirds, all."""
    return sorted({1, max(1, round(trials / 3)), max(1, round(2 * trials / 3)), trials})


def _curve_table(sweep: Sweep) -> WordTable:
    at = marks(sweep.trials)
    rows = []
    for arm in sweep.arms:
        points = curve(sweep, arm)
        later = NOTHING if sweep.complete else "not yet"
        cells = [_point_words(sweep, points[n - 1]) if n <= len(points) else later for n in at]
        rows.append((marked(arm.arm, arm.reads_truth), *cells))
    header = ("arm", *(f"after {n}" for n in at))
    return WordTable(
        f"Best {sweep.metric} less untuned {sweep.baseline} after n trials (runs used)", header, tuple(rows)
    )


def _point_words(sweep: Sweep, point: TrialPoint) -> str:
    best = number(sweep.metric, point.best.mean, "+") if point.best else "none complete"
    return f"{best} ({point.runs:,})"


def _importance_table(sweep: Sweep) -> tuple[WordTable, ...]:
    if not any(arm.importance for arm in sweep.arms):
        return ()
    paths = searched_paths(sweep)
    names = short_names(paths)
    rows = tuple(
        (marked(arm.arm, arm.reads_truth), *(_share(arm.importance.get(path)) for path in paths)) for arm in sweep.arms
    )
    return (WordTable("Importance of each parameter", ("arm", *(names[path] for path in paths)), rows),)


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _comparison_table(sweep: Sweep) -> tuple[WordTable, ...]:
    compared = pairs(sweep)
    if not compared:
        return ()
    rows = tuple(
        (marked(a.arm, a.reads_truth), interval_words(compare_chosen(sweep, a, b), decimals(sweep.metric), sign=True))
        for a, b in compared
    )
    title = "Chosen configurations, on the seeds and the validation truth that they were tuned on"
    return (WordTable(title, ("arm", f"{sweep.metric} less tuned {compared[0][1].arm}"), rows),)


# -- sentences below ---------------------------------------------------------------------------------------------------
