"""The critical-difference diagram: mean ranks of the arms, and bars over arms that do not differ significantly.

J. Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7 (2006). A block is a pair of space and
data set where there are three that have the same arms, else a seed of one table
(``splitbench.results.arms.friedman``). Oracle controls are left out: they are bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from splitbench.results.arms.friedman import FEWEST_ARMS, FEWEST_BLOCKS, RankGroups, across, friedman_within
from splitbench.results.plots import style
from splitbench.results.plots.source import CannotDrawError, Options, PlotTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAR = 0.075  # inches between the bars of two groups
ROW = 0.17


def ranked_arms(tables: Sequence[PlotTable], options: Options) -> RankGroups | None:
    """The arms ranked over spaces and data sets, or over the seeds of a table alone; None where neither is possible."""
    groups = across([table.arms for table in tables], options.metric)
    return friedman_within(tables[0].arms, options.metric) if groups is None and len(tables) == 1 else groups


@style.styled
def critical_difference_figure(tables: Sequence[PlotTable], options: Options) -> Figure:
    """Rank 1 is best, at the left; the better half of the arms is named on the left, the rest on the right.

    Raises:
        CannotDrawError: if fewer than three arms or three blocks are left.
    """
    groups = ranked_arms(tables, options)
    if groups is None:
        raise CannotDrawError(
            f"mean ranks by {options.metric} need {FEWEST_ARMS} arms at least that all have it in the same "
            f"{FEWEST_BLOCKS} seeds, or in {FEWEST_BLOCKS} pairs of space and data set; oracle controls do not count"
        )
    for arm in groups.left_out:
        options.note(f"critical_difference: arm {arm!r} is left out, because some block lacks it")
    friedman = groups.result
    words = {arm: label for table in tables for arm, label in table.labels().items()}
    n = len(friedman.arms)
    half = (n + 1) // 2
    texts = [f"{words[arm]}  {rank:.1f}" for arm, rank in zip(friedman.arms, friedman.mean_ranks, strict=True)]
    left, right = style.widest(texts[:half]) + 0.3, style.widest(texts[half:]) + 0.3
    width = max(style.WIDTH, left + right + 2.2)
    top = 0.55  # the axis: its numbers and the bar of the critical difference stand above it
    rows = top + 0.16 + BAR * len(friedman.groups) + ROW * half
    body = rows + 0.12
    heading = tables[0].title if len(tables) == 1 else "; ".join(groups.blocks)
    page = style.figure_page(width, body, heading, _notes(tables, groups))
    axes = style.blank(page, body)
    low, high = left, width - right

    def place(rank: float) -> float:
        return low + (rank - 1) / (n - 1) * (high - low)

    _axis(axes, n, body - top, place(1), place(n))
    cd = place(1 + friedman.cd) - place(1)
    if cd <= high - low:
        axes.plot(
            [low, low + cd], [body - 0.1] * 2, color=style.CEILING, linewidth=2.2, solid_capstyle="butt", gid="cd"
        )
        axes.text(low + cd + 0.06, body - 0.1, f"CD = {friedman.cd:.2f}", fontsize=style.SMALL, va="center_baseline")
    else:
        axes.text(
            low,
            body - 0.1,
            f"CD = {friedman.cd:.2f}: more than the axis is long",
            fontsize=style.SMALL,
            va="center_baseline",
        )
    ranks = dict(zip(friedman.arms, friedman.mean_ranks, strict=True))
    for index, group in enumerate(friedman.groups):
        y = body - top - 0.12 - BAR * index
        ends = [place(ranks[group[0]]) - 0.04, place(ranks[group[-1]]) + 0.04]
        axes.plot(ends, [y, y], color=style.BLUE, linewidth=2.6, solid_capstyle="round", zorder=4, gid=f"group {index}")
    first = body - top - 0.12 - BAR * len(friedman.groups) - 0.1
    for index, (arm, text) in enumerate(zip(friedman.arms, texts, strict=True)):
        x = place(ranks[arm])
        better = index < half
        y = first - ROW * (index if better else n - 1 - index)
        end = left - 0.1 if better else width - right + 0.1
        axes.plot([x, x, end], [body - top, y, y], color=style.SOFT, linewidth=0.7, gid=f"arm {arm}")
        axes.text(
            end - 0.05 if better else end + 0.05,
            y,
            text,
            fontsize=style.SMALL,
            ha="right" if better else "left",
            va="center_baseline",
        )
    return page


def _axis(axes: Axes, n: int, y: float, low: float, high: float) -> None:
    """Ranks from 1 to n; as many numbers as there is room for."""
    axes.plot([low, high], [y, y], color=style.INK, linewidth=1)
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, n) if (high - low) / (n - 1) * s >= 0.3)
    numbers = sorted({1, n, *range(step, n - step // 2, step)})
    for rank in numbers:
        x = low + (rank - 1) / (n - 1) * (high - low)
        axes.plot([x, x], [y, y + 0.06], color=style.INK, linewidth=1)
        axes.text(x, y + 0.09, str(rank), fontsize=style.SMALL, ha="center", va="bottom")


def _notes(tables: Sequence[PlotTable], groups: RankGroups) -> list[str]:
    friedman = groups.result
    oracles = any(arm.reads_truth for table in tables for arm in table.arms)
    return [
        f"Mean ranks by {tables[0].named(groups.metric)}, 1 is best. {groups.sentence}",
        f"Friedman chi-square {friedman.statistic:.1f} ({friedman.freedom} degrees of freedom), "
        f"p = {friedman.p:.2g}. Bars join "
        f"arms that Nemenyi's test does not tell apart at {friedman.alpha:g}."
        + (" Oracle controls are left out." if oracles else ""),
    ]
