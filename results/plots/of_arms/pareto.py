"""The metric against what it cost, with the arms that no other arm beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from splitbench.results.arms.arms import ArmRuns
from splitbench.results.arms.costs import MEASUREMENT
from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.plots import style
from splitbench.results.plots.of_arms.ranking import reference_handles, references
from splitbench.results.plots.of_sweeps import margins
from splitbench.results.plots.source import CannotDrawError, Options, PlotTable, family_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS = {"flops": "FLOPs charged to a run", "seconds": "seconds a run took, measurement left out"}
FRONT = style.INK
ONE = style.Series(style.BLUE, "o", "-")
LABELLED = 20  # up to so many points all have names


@dataclass(frozen=True)
class ParetoPoint:
    """One arm of one table: means and intervals over seeds."""

    arm: str
    label: str
    table: int
    cost: Estimate
    value: Estimate
    reads_truth: bool


def pareto_points(tables: Sequence[PlotTable], options: Options) -> list[ParetoPoint]:
    """Every complete arm that has the metric and the cost; what is left out is noted."""
    shown = []
    for index, table in enumerate(tables):
        values, labels = table.estimates(options.metric), table.labels()
        for arm in table.complete:
            cost = cost_of(arm, options.cost)
            if cost is None:
                options.note(f"pareto: arm {arm.name!r} is left out, because its seconds were not kept")
            elif arm.name in values:
                shown.append(ParetoPoint(arm.name, labels[arm.name], index, cost, values[arm.name], arm.reads_truth))
    return shown


def cost_of(arm: ArmRuns, kind: str) -> Estimate | None:
    """Mean over seeds, draws averaged first; None if a run lacks its seconds."""
    means = []
    for runs in arm.repetitions.values():
        own = [_flops(run.record.cost) if kind == "flops" else _seconds(run.measured) for run in runs]
        known = [cost for cost in own if cost is not None and math.isfinite(cost)]
        if len(known) < len(own):
            return None
        means.append(math.fsum(known) / len(known))
    return stats.interval(means)


def _flops(cost: Any) -> float:
    return float(sum(phase.flops for phase in cost.values()))


def _seconds(measured: Any) -> float | None:
    if measured is None:
        return None
    return math.fsum(seconds for phase, seconds in sorted(measured.seconds.items()) if phase != MEASUREMENT)


def front(costs: Sequence[float], values: Sequence[float], lower: bool = False) -> list[int]:
    """Indices of the points that no other dominates (at most the cost, at least the value, and one of them strictly),
    cheapest first. One sweep in order of cost."""
    worth = [-value if lower else value for value in values]
    order = sorted(range(len(costs)), key=lambda index: (costs[index], -worth[index], index))
    kept: list[int] = []
    for index in order:
        same = bool(kept) and (costs[index], worth[index]) == (costs[kept[-1]], worth[kept[-1]])
        if not kept or worth[index] > worth[kept[-1]] or same:
            kept.append(index)
    return kept


@style.styled
def pareto_figure(tables: Sequence[PlotTable], options: Options) -> Figure:
    """The tables are those of one family. Oracle controls are shown, and never on the front: they read the answers.

    Raises:
        CannotDrawError: if no arm has the metric and the cost.
    """
    from matplotlib.lines import Line2D

    shown = pareto_points(tables, options)
    if not shown:
        raise CannotDrawError(f"no complete arm has {options.metric} and {options.cost} in every run")
    honest = [point for point in shown if not point.reads_truth]
    lower = stats.lower_is_better(options.metric)
    best = [honest[index] for index in front([p.cost.mean for p in honest], [p.value.mean for p in honest], lower)]
    baselines = {arm.name for table in tables for arm in table.arms if arm.baseline}
    named = shown if len(shown) <= LABELLED else [p for p in shown if p in best or p.arm in baselines]
    texts = {id(p): p.label + (f" ({tables[p.table].budget})" if len(tables) > 1 else "") for p in named}
    colours = [ONE] if len(tables) == 1 else [style.series(index) for index in range(len(tables))]
    handles: list[Any] = [
        Line2D(
            [],
            [],
            color=FRONT,
            linewidth=1.8,
            alpha=0.5,
            marker="o",
            markersize=9,
            markerfacecolor="none",
            label="Pareto front (oracle controls left out)",
        )
    ]
    for index, table in enumerate(tables):
        name = f"{table.budget} an arm" if len(tables) > 1 else "arm: mean, with its 95% intervals over seeds"
        mark = Line2D([], [], color=colours[index].colour, marker=colours[index].marker, linestyle="", label=name)
        handles.append(mark)
    handles += reference_handles(tables[0], options.metric)
    below, right, left = 0.5 + style.legend_height(len(handles), 2), margins.margin(list(texts.values())), 0.65
    up = margins.height(len(texts), 3.4)
    across = style.WIDTH - left - right
    page = style.figure_page(style.WIDTH, below + up + 0.12, family_title(tables), _notes(tables, shown, named))
    axes = style.panel(page, left, below, across, up)
    for point in shown:
        _point(axes, point, colours[point.table], point in named)
    _front(axes, best)
    for value, colour, line in references(tables[0], options.metric):
        axes.axhline(value, color=colour, linestyle=line, linewidth=1.4, zorder=1)
    axes.set_xlabel(COSTS[options.cost])
    axes.set_ylabel(tables[0].named(options.metric))
    _scale(axes, [point.cost for point in shown])
    axes.grid(axis="y")
    labels = [margins.Label(texts[id(p)], p.cost.mean, p.value.mean, colours[p.table].colour) for p in named]
    page.canvas.draw()  # limits are final once drawn
    margins.write_names(axes, labels, (across, up))
    style.draw_legend(page, handles, left=0.1, columns=2)
    return page


def _notes(tables: Sequence[PlotTable], shown: Sequence[ParetoPoint], named: Sequence[ParetoPoint]) -> list[str]:
    facts = tables[0].facts if len(tables) == 1 else f"{len(tables)} budgets, {tables[0].board.seeds} seeds."
    rest = len(shown) - len(named)
    grey = (
        f"The {rest} arms in grey are neither on the front nor the baseline, and have no intervals here."
        if rest
        else ""
    )
    return [f"{facts} {grey}", next((t.marks() for t in tables if t.marks()), "")]


def _point(axes: Axes, point: ParetoPoint, look: style.Series, named: bool) -> None:
    """Points without a name have no intervals either: dozens of crosses hide one another."""
    x, y = point.cost, point.value
    colour, order = (look.colour, 3.0) if named else (style.FAINT, 2.5)
    if named and y.low is not None and y.high is not None:
        axes.plot([x.mean, x.mean], [y.low, y.high], color=colour, linewidth=0.9, zorder=order - 0.2)
    if named and x.low is not None and x.high is not None:
        axes.plot([x.low, x.high], [y.mean, y.mean], color=colour, linewidth=0.9, zorder=order - 0.2)
    axes.plot(
        [x.mean], [y.mean], look.marker, color=colour, markersize=5, zorder=order, gid=f"arm {point.table} {point.arm}"
    )


def _front(axes: Axes, best: Sequence[ParetoPoint]) -> None:
    """Steps: at a cost, the best value that so much buys."""
    if best:
        costs, values = [p.cost.mean for p in best], [p.value.mean for p in best]
        axes.step(costs, values, where="post", color=FRONT, linewidth=1.8, alpha=0.5, zorder=2.8, gid="front")
        axes.plot(
            costs, values, "o", markersize=9, markerfacecolor="none", markeredgecolor=FRONT, zorder=3.2, gid="best"
        )


def _scale(axes: Axes, costs: Sequence[Estimate]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    means = [cost.mean for cost in costs]
    if min(means) > 0 and max(means) / min(means) > 4:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif max(means) - min(means) < 0.1 * max(means):
        # Equal budgets: what the last step leaves of them is no difference worth the whole axis.
        axes.set_xlim(0, 1.15 * max(means))
    else:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: style.quantity(value)))
