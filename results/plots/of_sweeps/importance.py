"""How much each parameter of a sweep matters: a panel an arm, a bar a parameter, in one order everywhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from splitbench.results.plots import style
from splitbench.results.plots.of_sweeps.tuning import labels, notes
from splitbench.results.plots.source import CannotDrawError, Options
from splitbench.results.sweeps.sweep import Sweep, SweptArm, searched_paths
from splitbench.results.sweeps.sweep_words import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, HEAD, SPACE = 0.22, 0.3, 0.3  # inches: a bar, an arm's name over its bars, between two columns
LONGEST = 30  # characters of a parameter's name


def order(sweep: Sweep) -> list[str]:
    """Paths, those that matter most on average over the arms first."""
    arms = [arm for arm in sweep.arms if arm.importance]

    def mean(path: str) -> float:
        return math.fsum(arm.importance.get(path, 0.0) for arm in arms) / max(1, len(arms))

    return sorted(searched_paths(sweep), key=lambda path: (-mean(path), path))


@style.styled
def importance_figure(sweep: Sweep, options: Options) -> Figure:
    """Two columns of panels where there are several arms.

    Raises:
        CannotDrawError: if no arm has importances.
    """
    if not any(arm.importance for arm in sweep.arms):
        reasons = sorted({arm.importance_note for arm in sweep.arms if arm.importance_note})
        raise CannotDrawError(f"no arm has importances{f': {reasons[0]}' if reasons else ''}")
    paths, words = order(sweep), labels(sweep)
    names = short_names(paths)
    short = style.shortened([names[path] for path in paths], LONGEST)
    columns = min(2, len(sweep.arms))
    rows = -(-len(sweep.arms) // columns)
    left = style.widest([short[names[path]] for path in paths]) + 0.25
    each = ROW * len(paths) + 0.05
    below = 0.5
    more = "Bars: share of the variance of trials' values that a parameter alone explains (fANOVA), within this search."
    heading = max(style.text_width(words[arm.arm], style.TEXT) for arm in sweep.arms)
    width = max(style.WIDTH, left + columns * (heading + SPACE))
    page = style.figure_page(
        width, below + rows * (each + HEAD), f"{sweep.study}: importance of parameters", notes(sweep, more)
    )
    across = (width - left - 0.2 - (columns - 1) * SPACE) / columns
    for index, arm in enumerate(sweep.arms):
        row, column = divmod(index, columns)
        last = index + columns >= len(sweep.arms)
        axes = style.panel(
            page, left + column * (across + SPACE), below + (rows - 1 - row) * (each + HEAD), across, each
        )
        _bars(axes, arm, paths, across)
        axes.set_title(words[arm.arm], loc="left", fontsize=style.TEXT, pad=4)
        axes.set_yticks(range(len(paths)), [short[names[path]] for path in paths] if column == 0 else [""] * len(paths))
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(paths) - 0.45, -0.55)
        axes.set_xlim(0, 1.12)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        axes.tick_params(labelbottom=last)
        axes.grid(axis="x")
        if last:
            axes.set_xlabel("importance")
    return page


def _bars(axes: Axes, arm: SweptArm, paths: list[str], across: float) -> None:
    """A number at each bar's end; a reason where there is no bar."""
    if not arm.importance:
        lines = style.wrapped(f"none: {arm.importance_note or 'not known'}", across - 0.15)
        room = max(1, round(len(paths) * ROW / style.LINE))
        shown = lines if len(lines) <= room else [*lines[: room - 1], f"{lines[room - 1]} …"]
        axes.text(
            0.02,
            (len(paths) - 1) / 2,
            "\n".join(shown),
            fontsize=style.SMALL,
            color=style.SOFT,
            va="center",
            linespacing=1.1,
        )
        return
    for height, path in enumerate(paths):
        share = arm.importance.get(path)
        words = f"{share:.2f}" if share is not None else "not searched"
        if share is not None:
            axes.barh([height], [share], height=0.62, color=style.ACCENT, gid=f"{arm.arm} {path}")
        axes.text(
            (share or 0.0) + 0.015,
            height,
            words,
            fontsize=style.SMALL,
            color=style.INK if share is not None else style.SOFT,
            va="center_baseline",
        )
