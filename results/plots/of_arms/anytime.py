"""The metric against the budget: a line a criterion, over tables that differ in the budget alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.plots import style
from splitbench.results.plots.of_arms.ranking import reference_handles, references
from splitbench.results.plots.of_sweeps import margins
from splitbench.results.plots.source import CannotDrawError, Options, PlotTable, family_title
from splitbench.results.records.record import config_fingerprint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURED = 8  # more lines than that cannot be followed: the best ones and the baseline have colours

BASELINE = style.Series(style.INK, "o", "-")

Line = Mapping[float, Estimate]


def one_a_budget(tables: Sequence[PlotTable], options: Options) -> list[PlotTable]:
    """The first table of each budget; a later one is left out, and noted: one line cannot show two tables."""
    kept_tables: dict[float, PlotTable] = {}
    for table in tables:
        kept = kept_tables.setdefault(table.board.budget[1], table)
        if kept is not table:
            first, second = (
                f"{plotted.title}, protocol {plotted.arms[0].runs[0].record.protocol or 'not known'}"
                for plotted in (kept, table)
            )
            options.note(
                f"anytime: at {table.budget} the table ({second}) is left out beside ({first}); to draw it, name a "
                "folder that does not hold the other"
            )
    return list(kept_tables.values())


def lines(tables: Sequence[PlotTable], options: Options) -> dict[str, dict[float, Estimate]]:
    """Arm -> budget -> the metric's mean and interval, for arms with two budgets or more, best at the largest first.

    No two tables have one budget. An arm whose settings differ from budget to budget is left out, and noted.
    """
    by_arm: dict[str, dict[float, Estimate]] = {}
    settings: dict[str, set[str]] = {}
    for table in tables:
        for arm, value in table.estimates(options.metric).items():
            by_arm.setdefault(arm, {})[table.board.budget[1]] = value
        for runs in table.complete:
            settings.setdefault(runs.name, set()).add(config_fingerprint(runs.runs[0].record.config.get("arm")))
    for arm in sorted(by_arm):
        if len(settings[arm]) > 1:
            options.note(f"anytime: arm {arm!r} is left out, because its settings differ from budget to budget")
        elif len(by_arm[arm]) < 2:
            options.note(f"anytime: arm {arm!r} is left out, because it is complete at one budget only")
    kept = {arm: line for arm, line in by_arm.items() if len(settings[arm]) == 1 and len(line) > 1}
    sign = 1 if stats.lower_is_better(options.metric) else -1
    return {arm: kept[arm] for arm in sorted(kept, key=lambda arm: (sign * kept[arm][max(kept[arm])].mean, arm))}


@style.styled
def anytime_figure(tables: Sequence[PlotTable], options: Options) -> Figure:
    """The tables are those of one family, smallest budget first; the first counts where two have one budget.

    Raises:
        CannotDrawError: if there are fewer than two budgets, or no arm is complete at two of them.
    """
    budgets = sorted({table.board.budget[1] for table in tables})
    if len(budgets) < 2:
        raise CannotDrawError(
            "it needs tables that differ in their budgets alone, two at least; run the study with another budget, and "
            "name the folder that holds both results folders"
        )
    tables = one_a_budget(tables, options)
    drawn = lines(tables, options)
    if not drawn:
        raise CannotDrawError("no arm is complete at two budgets with the same settings")
    baselines = {arm.name for table in tables for arm in table.arms if arm.baseline}
    coloured = coloured_series(list(drawn), baselines)
    words = {arm: label for table in tables for arm, label in table.labels().items()}
    handles = reference_handles(tables[-1], options.metric)
    below = 0.5 + style.legend_height(len(handles), 2)
    left, right = 0.65, margins.margin([words[arm] for arm in drawn])
    up, across = margins.height(len(drawn), 3.4), style.WIDTH - left - right
    page = style.figure_page(style.WIDTH, below + up + 0.12, family_title(tables), _notes(tables, drawn, coloured))
    axes = style.panel(page, left, below, across, up)
    logarithmic = min(budgets) > 0 and max(budgets) / min(budgets) >= 3
    if logarithmic:
        axes.set_xscale("log")
    places = dodged(budgets, len(coloured), logarithmic)
    for arm, line in drawn.items():
        look = coloured.get(arm)
        own = sorted(line)
        axes.plot(
            own,
            [line[budget].mean for budget in own],
            color=look.colour if look else style.FAINT,
            linestyle=look.line if look else "-",
            marker=look.marker if look else None,
            linewidth=1.6 if look else 0.8,
            markersize=5,
            zorder=3 if look else 2,
            gid=f"arm {arm}",
        )
        if look:
            intervals(axes, line, places[list(coloured).index(arm)], look.colour)
    for value, colour, style_of in references(tables[-1], options.metric):
        axes.axhline(value, color=colour, linestyle=style_of, linewidth=1.4, zorder=1)
    ticks(axes, budgets, across, logarithmic)
    axes.set_xlabel(
        f"budget of an arm, {'FLOPs' if tables[0].board.budget[0] == 'flops' else tables[0].board.budget[0]}"
    )
    axes.set_ylabel(tables[-1].named(options.metric))
    axes.grid(axis="y")
    page.canvas.draw()  # limits are final once drawn
    labels = [
        margins.Label(
            words[arm], max(line), line[max(line)].mean, coloured[arm].colour if arm in coloured else style.SOFT
        )
        for arm, line in drawn.items()
    ]
    margins.write_names(axes, labels, (across, up))
    style.draw_legend(page, handles, left=0.1, columns=2)
    return page


def coloured_series(arms: Sequence[str], baselines: set[str]) -> dict[str, style.Series]:
    """The style of each arm that has one: all, or the first and the baseline where there are too many."""
    chosen = arms
    if len(arms) > COLOURED:
        chosen = [*arms[: COLOURED - 1], *[arm for arm in arms[COLOURED - 1 :] if arm in baselines]]
    looks = {arm: style.series(index) for index, arm in enumerate(arm for arm in chosen if arm not in baselines)}
    return {arm: looks.get(arm, BASELINE) for arm in chosen}


def _notes(tables: Sequence[PlotTable], drawn: Mapping[str, Line], coloured: Mapping[str, Any]) -> list[str]:
    seeds = sorted({table.board.seeds for table in tables})
    words = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    bars = f"Means over {words} seeds; bars are {stats.CONFIDENCE:.0%} intervals, set side by side to be seen."
    rest = len(drawn) - len(coloured)
    grey = f"In grey, without intervals: the {rest} arms behind the best and the baseline." if rest else ""
    return [f"{bars} {grey}", next((t.marks() for t in tables if t.marks()), "")]


def dodged(budgets: Sequence[float], count: int, logarithmic: bool) -> list[dict[float, float]]:
    """For each coloured line, where its intervals stand: beside the budget, within an eighth of the least step."""
    scale = [math.log(budget) if logarithmic else budget for budget in budgets]
    step = min(b - a for a, b in itertools.pairwise(scale)) * 0.12
    moved = []
    for index in range(count):
        offset = step * (2 * index / (count - 1) - 1) if count > 1 else 0.0
        places = (math.exp(at + offset) if logarithmic else at + offset for at in scale)
        moved.append(dict(zip(budgets, places, strict=True)))
    return moved


def intervals(axes: Axes, line: Line, places: Mapping[float, float], colour: str) -> None:
    for budget, value in line.items():
        if value.low is not None and value.high is not None:
            at = places[budget]
            axes.plot([at, at], [value.low, value.high], color=colour, linewidth=1, alpha=0.75, zorder=2.5)


def ticks(axes: Axes, budgets: Sequence[float], across: float, logarithmic: bool) -> None:
    """A tick at each budget, with its number where there is room for it."""
    from matplotlib.ticker import NullFormatter, NullLocator

    low, high = (math.log(value) if logarithmic else value for value in (budgets[0], budgets[-1]))
    words, last = [], -math.inf
    for budget in budgets:
        at = ((math.log(budget) if logarithmic else budget) - low) / (high - low) * across * 0.9
        word = style.quantity(budget)
        fits = at - last > style.text_width(word) + 0.1
        words.append(word if fits else "")
        last = at if fits else last
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(budgets, words)
