"""Each arm's metric: a dot a seed, the mean with its interval, the noise ceiling and the size baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitbench.results.arms.arms import PRIMARY, metric
from splitbench.results.inference import stats
from splitbench.results.plots import style
from splitbench.results.plots.source import CannotDrawError, Options, PlotTable, open_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.17  # inches: as close as lines of small type can stand
ROOMY = 0.28


@style.styled
def ranking_figure(tables: Sequence[PlotTable], options: Options) -> Figure:
    """The best arm on top; oracle controls are marked †.

    Raises:
        CannotDrawError: if no complete arm has the metric.
    """
    from matplotlib.lines import Line2D

    (table,) = tables
    estimates = table.estimates(options.metric)
    if not estimates:
        raise CannotDrawError(f"no complete arm has {options.metric} in every run")
    sign = -1 if stats.lower_is_better(options.metric) else 1
    order = sorted(estimates, key=lambda arm: (sign * estimates[arm].mean, arm), reverse=True)
    seeds = {arm.name: arm.by_repetition(metric(options.metric)) or {} for arm in table.complete}
    labels = table.labels()
    row = ROOMY if len(order) <= 20 else ROW
    handles = [
        Line2D([], [], color=style.SOFT, marker="o", markersize=3, linestyle="", label="one seed"),
        Line2D(
            [],
            [],
            color=style.ACCENT,
            marker="o",
            markersize=5.5,
            label=f"mean and its {stats.CONFIDENCE:.0%} interval",
        ),
        *reference_handles(table, options.metric),
    ]
    left = style.widest([labels[arm] for arm in order]) + 0.25
    below = 0.5 + style.legend_height(len(handles), 2)
    body = below + row * len(order) + 0.1
    page = style.figure_page(style.WIDTH, body, table.title, [table.facts, table.marks()])
    axes = style.panel(page, left, below, style.WIDTH - left - 0.15, row * len(order) + 0.05)
    for height, arm in enumerate(order):
        value = estimates[arm]
        if value.low is not None and value.high is not None:
            axes.plot([value.low, value.high], [height, height], color=style.ACCENT, linewidth=1.8)
        axes.plot([value.mean], [height], "o", color=style.ACCENT, markersize=5.5, gid=f"mean {arm}")
        own = [seeds[arm][repetition] for repetition in sorted(seeds[arm])]
        axes.plot(own, [height] * len(own), "o", color=style.SOFT, markersize=3, zorder=4, gid=f"seeds {arm}")
    axes.set_yticks(range(len(order)), [labels[arm] for arm in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y")
    for reference, colour, line in references(table, options.metric):
        axes.axvline(reference, color=colour, linestyle=line, linewidth=1.4, zorder=1.5)
    axes.set_xlabel(options.axis(table), x=1.0, ha="right")
    style.draw_legend(page, handles, left=0.1, columns=2)
    return page


def references(table: PlotTable, name: str) -> list[tuple[float, str, Any]]:
    """(value, colour, line) of the noise ceiling and of FLOPs alone, as far as they are known."""
    both = ((table.ceiling(name), style.CEILING, "--"), (table.flops_alone(name), style.SIZE, "-."))
    return [(value, colour, line) for value, colour, line in both if value is not None]


def reference_handles(table: PlotTable, name: str) -> list[object]:
    from matplotlib.lines import Line2D

    words = {style.CEILING: "noise ceiling: one training against another", style.SIZE: "FLOPs alone, no supernet"}
    return [
        Line2D([], [], color=colour, linestyle=line, linewidth=1.4, label=f"{words[colour]} ({value:.2f})")
        for value, colour, line in references(table, name)
    ]


def ranking_svg(folder: str | Path, name: str = PRIMARY) -> bytes:
    """The ranking of a results folder with one leaderboard, as an SVG file; equal records give equal bytes.

    Raises:
        ValueError: if there are several leaderboards.
    """
    source = open_folder(folder)
    if len(source.tables) != 1:
        raise ValueError(f"a picture shows one leaderboard, and there are {len(source.tables)}")
    return style.svg(ranking_figure(source.tables, Options(metric=name)))
