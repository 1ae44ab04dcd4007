"""From which budget on an arm pays: its difference to the baseline against the budget, and where that passes zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.payoff.break_even_report import BreakEvenReport, BreakEvenRow
from splitbench.results.payoff.breakeven import along
from splitbench.results.plots import style
from splitbench.results.plots.of_arms.anytime import coloured_series, dodged, intervals, ticks
from splitbench.results.plots.of_sweeps import margins
from splitbench.results.words.sheet import marked, marks_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UP, UNSPLIT_UP = 2.9, 1.3  # inches: the differences, the curves without a split
ROW = 0.17  # inches of a set
BETWEEN = 0.3  # inches between panels
BANDS = 3  # more bands than that cannot be told apart: there are bars at the tested budgets then
BAR: dict[str, Any] = {"linewidth": 4, "alpha": 0.45, "solid_capstyle": "butt", "zorder": 2}
BEYOND = 0.06  # of the axis: where an open end points to


@style.styled
def break_even_figure(shown: BreakEvenReport) -> Figure:
    """Above, mean differences with pointwise intervals; then each arm's break-even and its set on a zero line of its
    own; below, what the unsplit supernet and FLOPs alone reach."""
    budgets = list(shown.ladder.tables)
    labels = _labels(shown)
    rows = sorted(shown.rows, key=lambda row: -row.break_even.gains[-1].mean)
    looks = coloured_series([row.arm for row in rows], set())
    left = 0.72
    right = margins.margin([*labels.values(), shown.ladder.baseline, "FLOPs alone"])
    up, across = margins.height(len(rows), UP), style.WIDTH - left - right
    strip = ROW * len(looks) + 0.1
    below = 0.5
    body = below + UNSPLIT_UP + BETWEEN + strip + BETWEEN + up + 0.12
    page = style.figure_page(style.WIDTH, body, f"Break-even: {shown.title}", _notes(shown, len(looks)))
    bottom = below + UNSPLIT_UP + BETWEEN
    unsplit = style.panel(page, left, below, across, UNSPLIT_UP)
    sets = style.panel(page, left, bottom, across, strip, sharex=unsplit)
    gains = style.panel(page, left, bottom + strip + BETWEEN, across, up, sharex=unsplit)
    unsplit.set_xscale("log")
    span = (budgets[-1] / budgets[0]) ** BEYOND
    unsplit.set_xlim(budgets[0] / span, budgets[-1] * span)

    places = dodged(budgets, len(looks), True)
    for row in rows:
        _line(gains, row, looks.get(row.arm))
        if row.arm not in looks:
            continue
        _marks(gains, row, looks[row.arm])
        if len(looks) <= BANDS:
            _band(gains, row, looks[row.arm].colour)
        else:
            tested = dict(zip(row.break_even.budgets, row.break_even.gains, strict=True))
            intervals(gains, tested, places[list(looks).index(row.arm)], looks[row.arm].colour)
    gains.axhline(0, color=style.INK, linewidth=1, zorder=1.5)
    gains.set_ylabel(_difference(shown))
    gains.grid(axis="y")
    _sets(sets, [row for row in shown.rows if row.arm in looks], looks, labels, span)
    ends = _unsplit(unsplit, shown)
    unsplit.set_ylabel(shown.metric)
    unsplit.grid(axis="y")
    kind = "FLOPs" if shown.ladder.kind == "flops" else shown.ladder.kind
    unsplit.set_xlabel(f"budget of an arm, {kind}")
    ticks(unsplit, budgets, across, True)
    for axes in (gains, sets):
        axes.tick_params(axis="x", which="both", labelbottom=False)
    page.canvas.draw()  # limits are final once drawn
    names = [
        margins.Label(
            labels[row.arm],
            row.break_even.budgets[-1],
            row.break_even.gains[-1].mean,
            looks[row.arm].colour if row.arm in looks else style.SOFT,
        )
        for row in rows
    ]
    margins.write_names(gains, names, (across, up))
    margins.write_names(unsplit, ends, (across, UNSPLIT_UP))
    return page


def _line(axes: Axes, row: BreakEvenRow, look: style.Series | None) -> None:
    """The mean, straight in ln B between tested budgets."""
    line = along(row.gains, steps=1)
    axes.plot(
        [budget for budget, _ in line],
        [value.mean for _, value in line],
        color=look.colour if look else style.FAINT,
        linestyle=look.line if look else "-",
        linewidth=1.6 if look else 0.8,
        zorder=3 if look else 2,
        gid=f"arm {row.arm}",
    )


def _marks(axes: Axes, row: BreakEvenRow, look: style.Series) -> None:
    """What was measured, and a ring where the line passes zero for good."""
    axes.plot(
        list(row.break_even.budgets),
        [value.mean for value in row.break_even.gains],
        color=look.colour,
        marker=look.marker,
        markersize=5,
        linestyle="",
        zorder=3.5,
        gid=f"tested {row.arm}",
    )
    if row.break_even.at is not None:
        axes.plot(
            [row.break_even.at],
            [0],
            "o",
            markerfacecolor="white",
            markeredgecolor=look.colour,
            markersize=6,
            zorder=4,
            gid=f"zero {row.arm}",
        )


def _band(axes: Axes, row: BreakEvenRow, colour: str) -> None:
    """Pointwise intervals along the line; none where one seed alone has both neighbouring budgets."""
    known = [(b, own.low, own.high) for b, own in along(row.gains) if own.low is not None and own.high is not None]
    if not known:
        return
    places, low, high = zip(*known, strict=True)
    axes.fill_between(places, low, high, color=colour, alpha=0.12, linewidth=0, zorder=1)
    for side, bound in (("low", low), ("high", high)):
        axes.plot(places, bound, color=colour, linewidth=0.6, alpha=0.7, zorder=2.5, gid=f"{side} {row.arm}")


def _sets(
    axes: Axes, rows: Sequence[BreakEvenRow], looks: Mapping[str, style.Series], labels: Mapping[str, str], span: float
) -> None:
    """A zero line an arm: thick where the interval holds 0, a mark at the break-even, an arrow at an open end."""
    lowest, highest = (end(budget for row in rows for budget in row.break_even.budgets) for end in (min, max))
    for height, row in enumerate(rows):
        look, break_even = looks[row.arm], row.break_even
        axes.plot([lowest, highest], [height] * 2, color=style.GRID, linewidth=1, zorder=1)
        for low, high in break_even.parts:
            axes.plot(
                [low, high],
                [height] * 2,
                color=look.colour,
                gid=f"set {row.arm}",
                **BAR,
            )
        for is_open, end, beyond, mark in (
            (break_even.below, break_even.budgets[0], break_even.budgets[0] / span**0.6, "<"),
            (break_even.above, break_even.budgets[-1], break_even.budgets[-1] * span**0.6, ">"),
        ):
            if is_open:
                axes.plot(
                    [end, beyond], [height] * 2, color=look.colour, linewidth=4, alpha=0.45, solid_capstyle="butt"
                )
                axes.plot([beyond], [height], mark, color=look.colour, markersize=5, gid=f"open {mark} {row.arm}")
        if break_even.at is not None:
            axes.plot(
                [break_even.at],
                [height],
                look.marker,
                color=look.colour,
                markeredgecolor="white",
                markersize=6.5,
                zorder=3,
                gid=f"break-even {row.arm}",
            )
        axes.annotate(
            labels[row.arm],
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(margins.LEADER * 72, 0),
            textcoords="offset points",
            fontsize=style.SMALL,
            color=look.colour,
            va="center_baseline",
            annotation_clip=False,
        )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_ylabel(f"{stats.CONFIDENCE:.0%}\nset", rotation=0, ha="right", va="center")
    axes.spines["left"].set_visible(False)


def _unsplit(axes: Axes, shown: BreakEvenReport) -> list[margins.Label]:
    """Both curves, and what stands beside their ends."""
    ends = []
    for name, own, colour, line, marker in (
        (shown.ladder.baseline, shown.unsplit, style.INK, "-", "o"),
        ("FLOPs alone", shown.flops_alone, style.SIZE, "-.", None),
    ):
        if not own:
            continue
        axes.plot(
            list(own),
            [value.mean for value in own.values()],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=5,
            linewidth=1.6,
            gid=f"unsplit {name}",
        )
        for budget, value in own.items() if marker else ():
            _bar(axes, budget, value, colour, f"interval {name}")
        last = max(own)
        ends.append(margins.Label(name, last, own[last].mean, colour))
    return ends


def _bar(axes: Axes, budget: float, value: Estimate, colour: str, gid: str) -> None:
    if value.low is not None and value.high is not None:
        axes.plot([budget, budget], [value.low, value.high], color=colour, linewidth=1, alpha=0.75, gid=gid)


def _labels(shown: BreakEvenReport) -> dict[str, str]:
    short = style.shortened([row.arm for row in shown.rows])
    return {row.arm: marked(short[row.arm], row.reads_truth, row.given) for row in shown.rows}


def _difference(shown: BreakEvenReport) -> str:
    first, second = "arm", shown.ladder.baseline
    if stats.lower_is_better(shown.metric):
        first, second = second, first
    return f"{shown.metric}: {first} less {second}"


def _notes(shown: BreakEvenReport, coloured: int) -> list[str]:
    seeds = sorted({value.n for row in shown.rows for value in row.break_even.gains})
    words = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    rest = len(shown.rows) - coloured
    confidence = f"{stats.CONFIDENCE:.0%}"
    return [
        f"Mean differences over {words} seeds with pointwise {confidence} intervals; above 0 the arm is better. A ring "
        f"is its break-even. Below, a bar is the {confidence} set of the break-even, and an arrow an open end of it."
        + (f" In grey, without them: the {rest} arms behind the best." if rest else ""),
        marks_words(any(row.reads_truth for row in shown.rows), any(row.given for row in shown.rows)),
    ]
