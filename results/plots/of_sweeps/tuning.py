"""Best after n trials: what each arm's tuning has found so far, against trials and against runs used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from splitbench.results.inference import stats
from splitbench.results.plots import style
from splitbench.results.plots.of_sweeps import margins
from splitbench.results.plots.source import CannotDrawError, Options
from splitbench.results.sweeps.sweep import (
    Sweep,
    SweptArm,
    TrialPoint,
    baseline_arm,
    best,
    chosen_difference,
    curve,
    full,
    settled,
    value,
)
from splitbench.results.words.sheet import ORACLE_LABEL, count, marked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURED = 12  # more lines than that cannot be told apart: the best ones and the baseline have colours
PANEL, SPACE, COLUMN, EVENT = 2.1, 0.2, 0.11, 0.12  # inches: a panel's least width, between two, an interval, a row
BASELINE = style.Series(style.INK, "o", "-")
GREY = style.Series(style.FAINT, "", "-")


@dataclass(frozen=True)
class Limits:
    """The range of differences that is shown; worse ones are drawn at its edge."""

    low: float
    high: float

    def held(self, difference: float) -> float:
        inside = 0.02 * (self.high - self.low)
        return min(max(difference, self.low + inside), self.high - inside) if self.outside(difference) else difference

    def outside(self, difference: float) -> bool:
        return not self.low <= difference <= self.high


def ordered(sweep: Sweep) -> list[SweptArm]:
    """Arms that have chosen, the best first."""
    sign = 1 if sweep.lower_is_better else -1
    ranked = [
        (sign * own.mean, arm.arm, arm) for arm in sweep.arms if (own := chosen_difference(sweep, arm)) is not None
    ]
    return [arm for _, _, arm in sorted(ranked, key=lambda entry: entry[:2])]


def looks(sweep: Sweep) -> dict[str, style.Series]:
    """By arm, in the sweep's order, so that every picture of a sweep draws an arm alike."""
    base = baseline_arm(sweep)
    shown = [arm for arm in sweep.arms if arm is not base]
    if len(sweep.arms) > COLOURED:
        best_ones = [arm for arm in ordered(sweep) if arm is not base][: COLOURED - 1]
        shown = [arm for arm in shown if arm in best_ones]
    series = {arm.arm: style.series(index) for index, arm in enumerate(shown)}
    return {arm.arm: BASELINE if arm is base else series.get(arm.arm, GREY) for arm in sweep.arms}


def labels(sweep: Sweep) -> dict[str, str]:
    short = style.shortened([arm.arm for arm in sweep.arms])
    return {arm.arm: marked(short[arm.arm], arm.reads_truth) for arm in sweep.arms}


def limits(sweep: Sweep) -> Limits:
    """The ends with their intervals, the zero line, and of worse values half as much again: absurd configurations are
    part of a search, and would press everything else into a line."""
    core, seen = [0.0], [0.0]
    for arm in sweep.arms:
        end = chosen_difference(sweep, arm)
        core += [own for own in (end.mean, end.low, end.high) if own is not None] if end else []
        seen += [own for trial in arm.trials if full(trial) and (own := value(trial)) is not None]
    low, high = min(core), max(core)
    span = (high - low) or (max(seen) - min(seen)) or 0.01
    if sweep.lower_is_better:
        high = min(max(high, *seen), high + span)
    else:
        low = max(min(low, *seen), low - span)
    room = 0.06 * (high - low or span)
    return Limits(low - room, high + room)


def notes(sweep: Sweep, more: str) -> list[str]:
    """The lines under a picture's title: what is drawn, and whether all of it is there."""
    unit = "FLOPs" if sweep.budget_kind == "flops" else sweep.budget_kind
    facts = (
        f"{count(sweep.trials, 'trial')} an arm, up to {count(sweep.seeds, 'seed')} of "
        f"{style.quantity(sweep.budget_limit)} {unit} each; against validation truth, on the seeds that were tuned on."
    )
    without = [labels(sweep)[arm.arm] for arm in sweep.arms if best(sweep, arm) is None]
    lacking = f"Without a complete trial: {', '.join(without)}." if without else ""
    unfinished = "" if sweep.complete else "The sweep is not finished."
    oracles = ORACLE_LABEL if any(arm.reads_truth for arm in sweep.arms) else ""
    return [f"{facts} {more}".strip(), f"{unfinished} {lacking}".strip(), oracles]


def axis(sweep: Sweep, up: float, size: float) -> list[str]:
    """The words of the axis of values, in lines of at most ``up`` inches."""
    name = style.shortened([sweep.baseline], 24)[sweep.baseline]
    return style.wrapped(f"{sweep.metric} less that of untuned {name}", up, size)


@style.styled
def tuning_figure(sweep: Sweep, options: Options) -> Figure:
    """Left trials, right runs used; then each arm's chosen configuration with its interval, and names.

    Raises:
        CannotDrawError: if no arm has a complete trial.
    """
    arms = ordered(sweep)
    if not arms:
        raise CannotDrawError("no trial of the sweep is complete")
    look, words, shown = looks(sweep), labels(sweep), limits(sweep)
    handles = _handles(sweep, shown)
    strip = max(0.35, COLUMN * (len(arms) + 1))
    up = margins.height(len(arms), 2.9)
    value_words = axis(sweep, up, style.TEXT)
    left, right = 0.57 + 0.17 * len(value_words), margins.margin([words[arm.arm] for arm in arms])
    width = max(style.WIDTH, left + 2 * PANEL + 2 * SPACE + strip + right)
    across = (width - left - 2 * SPACE - strip - right) / 2
    events = EVENT * len(sweep.arms) + 0.04
    below = 0.5 + style.legend_height(len(handles), 2)
    head = f"{sweep.study}: {sweep.space} on {sweep.dataset}, best after n trials"
    page = style.figure_page(width, below + events + 0.06 + up + 0.12, head, notes(sweep, _grey_words(sweep, look)))
    bottom = below + events + 0.06
    curves = {arm.arm: curve(sweep, arm) for arm in sweep.arms}
    for index, what in enumerate(("trials", "runs")):
        at = left + index * (across + SPACE)
        axes = style.panel(page, at, bottom, across, up)
        strips = style.panel(page, at, below, across, events)
        places = {arm: [point.n if what == "trials" else point.runs for point in own] for arm, own in curves.items()}
        for arm in [*arms[::-1], *(swept for swept in sweep.arms if swept not in arms)]:
            _curve(axes, sweep, arm, curves[arm.arm], places[arm.arm], look[arm.arm], shown, what)
        for row, arm in enumerate([*arms, *(swept for swept in sweep.arms if swept not in arms)]):
            _events(strips, arm, places[arm.arm], look[arm.arm], row, what)
        end = sweep.trials if what == "trials" else max([1, *(own[-1] for own in places.values() if own)])
        _finish(axes, strips, end, len(sweep.arms), shown)
        strips.set_xlabel("trials" if what == "trials" else f"runs used, of {sweep.trials * sweep.seeds:,} allowed")
        if index:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("\n".join(value_words))
    ends = style.panel(page, left + 2 * (across + SPACE), bottom, strip, up)
    _ends(ends, sweep, arms, look, shown)
    page.canvas.draw()  # limits are final once drawn
    names = [
        margins.Label(words[arm.arm], column, own.mean, _name_colour(look[arm.arm]))
        for column, arm in enumerate(arms)
        if (own := chosen_difference(sweep, arm)) is not None
    ]
    margins.write_names(ends, names, (strip, up))
    style.draw_legend(page, handles, left=0.1, columns=2)
    return page


def _name_colour(look: style.Series) -> str:
    return style.SOFT if look is GREY else look.colour


def _grey_words(sweep: Sweep, look: Mapping[str, style.Series]) -> str:
    grey = sum(series is GREY for series in look.values())
    return f"In grey: the {grey} arms behind the best and the baseline." if grey else ""


def _handles(sweep: Sweep, shown: Limits) -> list[Any]:
    from matplotlib.lines import Line2D

    def mark(marker: str, label: str, **more: Any) -> Line2D:
        settings: dict[str, Any] = {"color": style.SOFT, "marker": marker, "linestyle": "", "markersize": 4, **more}
        return Line2D([], [], label=label, **settings)

    name = style.shortened([sweep.baseline], 24)[sweep.baseline]
    handles = [
        Line2D([], [], color=style.SOFT, linestyle="--", linewidth=1.2, label=f"{name} with the study's own values"),
        mark("o", f"chosen, with its {stats.CONFIDENCE:.0%} interval over seeds", markersize=5),
        mark("o", "complete trial", alpha=0.4, markersize=3),
    ]
    states = {trial.state for arm in sweep.arms for trial in arm.trials}
    complete = [value(trial) for arm in sweep.arms for trial in arm.trials if full(trial)]
    if any(own is not None and shown.outside(own) for own in complete):
        handles.append(mark(*edge(sweep), alpha=0.6, markersize=5))
    if "pruned" in states:
        handles.append(mark("x", "pruned trial (rows below: arms from the best down)"))
    if "infeasible" in states:
        handles.append(mark("s", "trial that could not run", markerfacecolor="none", markersize=3.5))
    return handles


def edge(sweep: Sweep) -> tuple[str, str]:
    """Marker and words for what is worse than the picture shows."""
    return ("2", "worse, above what is shown") if sweep.lower_is_better else ("1", "worse, below what is shown")


def _curve(
    axes: Axes,
    sweep: Sweep,
    arm: SweptArm,
    points: Sequence[TrialPoint],
    places: Sequence[int],
    look: style.Series,
    shown: Limits,
    what: str,
) -> None:
    """Steps, with a marker where a trial was better than all before it; every complete trial as a faint dot."""
    grey = look is GREY
    for place, trial in zip(places, settled(arm), strict=True):
        own = value(trial)
        if full(trial) and own is not None and not grey:
            out = shown.outside(own)
            marker, faint, width = (edge(sweep)[0], 0.6, 0.9) if out else ("o", 0.35, 0.0)
            axes.plot(
                [place],
                [shown.held(own)],
                marker,
                color=look.colour,
                markersize=4.5 if out else 3,
                alpha=faint,
                markeredgewidth=width,
            )
    line = [(place, point) for place, point in zip(places, points, strict=True) if point.best is not None]
    heights = [point.best.mean for _, point in line if point.best is not None]
    axes.step(
        [place for place, _ in line],
        heights,
        where="post",
        color=look.colour,
        linestyle=look.line,
        linewidth=0.8 if grey else 1.6,
        zorder=2 if grey else 3,
        gid=f"{what} {arm.arm}",
    )
    better = [i for i, (_, point) in enumerate(line) if i == 0 or point.slot != line[i - 1][1].slot]
    if not grey:
        axes.plot(
            [line[i][0] for i in better],
            [heights[i] for i in better],
            look.marker,
            color=look.colour,
            markersize=4,
            zorder=4,
        )


def _events(axes: Axes, arm: SweptArm, places: Sequence[int], look: style.Series, row: int, what: str) -> None:
    """Trials without a value of all seeds, where they settled."""
    own = list(zip(places, settled(arm), strict=True))
    for state, marker, size in (("pruned", "x", 3.2), ("infeasible", "s", 3.0)):
        at = [place for place, trial in own if trial.state == state]
        axes.plot(
            at,
            [row] * len(at),
            marker,
            color=_name_colour(look),
            markersize=size,
            markeredgewidth=0.9,
            markerfacecolor="none",
            gid=f"{what} {state} {arm.arm}",
        )


def _finish(axes: Axes, strips: Axes, end: int, rows: int, shown: Limits) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.axhline(0.0, color=style.SOFT, linestyle="--", linewidth=1.2, zorder=1)
    axes.set_ylim(shown.low, shown.high)
    axes.grid(axis="y")
    strips.set_ylim(rows - 0.4, -0.6)
    strips.set_yticks([])
    for panel in (axes, strips):
        panel.set_xlim(max(0.3, 1 - 0.03 * end - 0.2), end * 1.03 + 0.2)
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.tick_params(labelbottom=False)
    strips.spines["left"].set_visible(False)


def _ends(axes: Axes, sweep: Sweep, arms: Sequence[SweptArm], look: Mapping[str, style.Series], shown: Limits) -> None:
    """The chosen configurations side by side, the best first."""
    for column, arm in enumerate(arms):
        own, colour = chosen_difference(sweep, arm), _name_colour(look[arm.arm])
        if own is None:
            continue
        if own.low is not None and own.high is not None:
            axes.plot([column, column], [own.low, own.high], color=colour, linewidth=1.4, gid=f"interval {arm.arm}")
        axes.plot([column], [own.mean], look[arm.arm].marker or "o", color=colour, markersize=5, gid=f"end {arm.arm}")
    axes.axhline(0.0, color=style.SOFT, linestyle="--", linewidth=1.2, zorder=1)
    axes.set_xlim(-0.8, len(arms) - 0.2)
    axes.set_ylim(shown.low, shown.high)
    axes.set_axis_off()
