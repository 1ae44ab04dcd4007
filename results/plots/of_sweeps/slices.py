"""Where the optimum lies: each trial's value against each parameter, a panel a parameter, a colour an arm."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from splitbench.results.plots import style
from splitbench.results.plots.of_sweeps.tuning import GREY, Limits, axis, edge, labels, limits, looks, notes
from splitbench.results.plots.source import CannotDrawError, Options
from splitbench.results.sweeps.sweep import Sweep, SweptArm, best, full, searched_paths, settled, value
from splitbench.results.sweeps.sweep_words import short_names
from splitbench.results.words.values import sampled_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UP, SPACE, UNDER = 1.9, 0.15, 0.5  # inches: a panel, between two, below a row of them
COLUMNS = 3
MOST_STEPS = 12  # so many values of a range are drawn as choices are, arms side by side
LONGEST = 24  # characters of a value's name

EACH = "Each trial has a point in each panel, so what else it varied is in the scatter."

Value = bool | int | float | str


@dataclass(frozen=True)
class Scale:
    """How a parameter's values become places: choices stand side by side in the study file's order.

    Attributes:
        ticks: (place, words).
        ends: the limits of the axis.
        apart: how far arms are set side by side at one value; None where hardly two trials share one.
        choices: whether the ticks are the choices, and not numbers along a range.
    """

    place: Callable[[Value], float]
    ticks: tuple[tuple[float, str], ...]
    ends: tuple[float, float]
    apart: float | None = None
    choices: bool = False


def scale(sweep: Sweep, path: str, across: float) -> Scale:
    """Of one parameter, over ``across`` inches."""
    domain = sweep.search.get(path)
    seen = [t.values[path] for arm in sweep.arms for t in arm.trials if path in t.values]
    seen += [own for arm in sweep.arms if (own := arm.own.get(path)) is not None]
    ends = (
        next((domain[kind] for kind in ("log", "range") if kind in domain), None) if isinstance(domain, dict) else None
    )
    numbers = [float(number) for number in [*seen, *(ends or [])] if isinstance(number, int | float)]
    if ends is None or len(numbers) < len(seen) + len(ends):
        return _choices(domain if isinstance(domain, list) else [], seen)
    low, high = min(numbers), max(numbers)
    if isinstance(domain, dict) and "log" in domain and low > 0:
        logs = math.log10(low), math.log10(high)
        room = 0.06 * (logs[1] - logs[0]) or 0.1
        ticks = tuple((math.log10(tick), f"{tick:g}") for tick in log_ticks(low, high, across))
        return Scale(lambda own: math.log10(float(own)), ticks, (logs[0] - room, logs[1] + room))
    room = 0.06 * (high - low) or 0.5
    whole = all(float(number).is_integer() for number in numbers)
    ticks = tuple((tick, f"{tick:g}") for tick in _linear_ticks(low, high, whole))
    step = domain.get("step") if isinstance(domain, dict) else None
    step = float(step or 1) if step or whole else None
    few = step is not None and (high - low) / step < MOST_STEPS
    room = max(room, 0.5 * step) if step is not None and few else room
    return Scale(float, ticks, (low - room, high + room), 0.6 * step if step is not None and few else None)


def _choices(listed: Sequence[Any], seen: Sequence[Value]) -> Scale:
    """Keys are JSON, so that 1, 1.0 and true are three."""
    choices = {json.dumps(choice): choice for choice in listed if isinstance(choice, bool | int | float | str)}
    choices |= {
        key: choice for key, choice in sorted((json.dumps(choice), choice) for choice in seen) if key not in choices
    }
    words = [sampled_words(choice) for choice in choices.values()]
    short = style.shortened(words, LONGEST)
    places = {key: float(index) for index, key in enumerate(choices)}
    ticks = tuple((float(index), short[word]) for index, word in enumerate(words))
    return Scale(lambda own: places[json.dumps(own)], ticks, (-0.6, len(words) - 0.4), 0.7, True)


def log_ticks(low: float, high: float, across: float) -> list[float]:
    """1, 2 and 5 of each decade if their words fit into ``across`` inches, else every decade, or every k-th."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    near = 1e-9
    span = math.log10(high / low) or 1.0
    for step, digits in ((1, (1, 2, 5)), (1, (1, 3)), (1, (1,)), *((k, (1,)) for k in range(2, last - first + 2))):
        ticks = [digit * 10.0**power for power in range(first, last + 1, step) for digit in digits]
        ticks = [tick for tick in ticks if low * (1 - near) <= tick <= high * (1 + near)]
        places = [math.log10(tick / low) / span * across * 0.88 for tick in ticks]
        widths = [style.text_width(f"{tick:g}") for tick in ticks]
        gaps = [b - a - (v + w) / 2 for a, b, v, w in zip(places, places[1:], widths, widths[1:], strict=False)]
        if ticks and all(gap > 0.08 for gap in gaps):
            return ticks
    return [low]


def _linear_ticks(low: float, high: float, whole: bool) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(4, integer=whole).tick_values(low, high) if high > low else [low]
    return [float(tick) for tick in ticks if low - 1e-9 * abs(low) <= tick <= high + 1e-9 * abs(high)]


@style.styled
def slices_figure(sweep: Sweep, options: Options) -> Figure:
    """Up to three panels in a row; one axis of values for all.

    Raises:
        CannotDrawError: if no trial ran a seed, or nothing was searched.
    """
    paths = searched_paths(sweep)
    if not paths or not any(trial.differences for arm in sweep.arms for trial in arm.trials):
        raise CannotDrawError("no trial of the sweep ran a seed" if paths else "the sweep searches no parameter")
    shown, look = limits(sweep), looks(sweep)
    names = short_names(paths)
    columns = min(COLUMNS, len(paths))
    rows = -(-len(paths) // columns)
    value_words = axis(sweep, UP, style.SMALL)
    left = 0.57 + 0.15 * len(value_words)
    across = (style.WIDTH - left - 0.15 - (columns - 1) * SPACE) / columns
    scales = [scale(sweep, path, across) for path in paths]
    upright = [_upright(axis_scale, across) for axis_scale in scales]
    unders = [
        UNDER
        + max(
            _room(scales[i]) if not upright[i] else 0.0 for i in range(r * columns, min((r + 1) * columns, len(paths)))
        )
        for r in range(rows)
    ]
    handles = _handles(sweep, shown)
    fitting = max(1, int((style.WIDTH - 0.2) / (0.6 + style.widest([str(handle.get_label()) for handle in handles]))))
    below = style.legend_height(len(handles), fitting)
    body = below + sum(unders) + rows * (UP + 0.1)
    page = style.figure_page(style.WIDTH, body, f"{sweep.study}: trials by parameter", notes(sweep, EACH))
    top = body
    for index, path in enumerate(paths):
        row, column = divmod(index, columns)
        bottom = top - sum(unders[: row + 1]) - row * (UP + 0.1) - UP - 0.1 + unders[row]
        axes = style.panel(page, left + column * (across + SPACE), bottom, across, UP)
        for order, arm in enumerate(sweep.arms):
            _trials(axes, sweep, arm, path, scales[index], _offset(scales[index], order, len(sweep.arms)), look, shown)
        _own(axes, sweep, path, scales[index])
        places, ticks = zip(*scales[index].ticks, strict=True) if scales[index].ticks else ((), ())
        axes.set_xticks(places, ticks, rotation=0 if upright[index] else 90)
        axes.set_xlim(*scales[index].ends)
        axes.set_ylim(shown.low, shown.high)
        axes.axhline(0.0, color=style.SOFT, linestyle="--", linewidth=1, zorder=1)
        axes.grid(axis="y")
        axes.set_xlabel(style.shortened([names[path]], LONGEST)[names[path]])
        axes.tick_params(labelleft=column == 0)
        if column == 0:
            axes.set_ylabel("\n".join(value_words), fontsize=style.SMALL)
    style.draw_legend(page, handles, left=0.1, columns=fitting)
    return page


def _upright(scale: Scale, across: float) -> bool:
    """Whether the words at a panel's ticks fit beside one another."""
    if not scale.choices or len(scale.ticks) < 2:
        return True
    slot = across / (scale.ends[1] - scale.ends[0])
    return style.widest([words for _, words in scale.ticks]) + 0.06 <= slot


def _room(scale: Scale) -> float:
    return max(0.0, style.widest([words for _, words in scale.ticks]) - style.LINE)


def _offset(scale: Scale, order: int, count: int) -> float:
    return 0.0 if scale.apart is None or count == 1 else scale.apart * (order / (count - 1) - 0.5)


def _trials(
    axes: Axes,
    sweep: Sweep,
    arm: SweptArm,
    path: str,
    by: Scale,
    offset: float,
    look: dict[str, style.Series],
    shown: Limits,
) -> None:
    """Complete trials in the arm's marker, pruned ones as crosses at the mean of the seeds that they ran."""
    own, top = look[arm.arm], best(sweep, arm)
    for trial in settled(arm):
        difference = value(trial)
        if path not in trial.values or difference is None:
            continue
        at, height = by.place(trial.values[path]) + offset, shown.held(difference)
        inside = not shown.outside(difference)
        marker = ((own.marker or "o") if full(trial) else "x") if inside else edge(sweep)[0]
        filled = full(trial) and inside
        axes.plot(
            [at],
            [height],
            marker,
            color=own.colour,
            markersize=4.5 if filled or not inside else 3.5,
            markeredgewidth=0.4 if filled else 0.9,
            markeredgecolor="white" if filled else own.colour,
            alpha=0.85 if full(trial) else 0.55,
            zorder=3 if full(trial) else 2,
            gid=f"{path} {arm.arm} {trial.slot}",
        )
        if trial == top and own is not GREY:
            axes.plot(
                [at],
                [height],
                "o",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor=own.colour,
                zorder=4,
                gid=f"chosen {path} {arm.arm}",
            )


def _own(axes: Axes, sweep: Sweep, path: str, by: Scale) -> None:
    """A line at each value that a study file itself has: one, unless arms have their own."""
    values = {json.dumps(own): own for arm in sweep.arms if (own := arm.own.get(path)) is not None}
    for own in values.values():
        axes.axvline(by.place(own), color=style.FAINT, linestyle=":", linewidth=1.4, zorder=0.5, gid=f"own {path}")


def _handles(sweep: Sweep, shown: Limits) -> list[Any]:
    from matplotlib.lines import Line2D

    look, words = looks(sweep), labels(sweep)
    handles = [
        Line2D(
            [], [], color=look[arm.arm].colour, marker=look[arm.arm].marker or "o", linestyle="", label=words[arm.arm]
        )
        for arm in sweep.arms
        if arm.trials
    ]

    def mark(marker: str, label: str, **more: Any) -> Line2D:
        return Line2D([], [], color=style.SOFT, marker=marker, linestyle="", label=label, **more)

    trials = [trial for arm in sweep.arms for trial in arm.trials if trial.differences]
    if any(full(trial) for trial in trials):
        handles.append(mark("o", "chosen", markersize=9, markerfacecolor="none"))
    if not all(full(trial) for trial in trials):
        handles.append(mark("x", "stopped: mean of its seeds", markersize=4))
    if any(shown.outside(own) for trial in trials if (own := value(trial)) is not None):
        handles.append(mark(*edge(sweep), markersize=5))
    if any(own is not None for arm in sweep.arms for own in arm.own.values()):
        handles.append(Line2D([], [], color=style.FAINT, linestyle=":", linewidth=1.4, label="the study's own value"))
    return handles
