"""The picture of a geometry report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from splitbench.results.partitions.geometry_report import two_decimals
from splitbench.results.plots import style
from splitbench.results.words.sheet import count, marked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = "rank_eta2[all]"
MOST_NUMBERS = 20


def geometry_svg(geometry: Mapping[str, Any]) -> bytes:
    """:func:`geometry_figure` as an SVG file; equal reports give equal bytes under one version of matplotlib."""
    return style.svg(geometry_figure(geometry))


@style.styled
def geometry_figure(geometry: Mapping[str, Any]) -> Figure:
    """Left, the agreement of the partitions of every two arms; right, how each divides the ground truth, a dot a seed.

    Args:
        geometry: as ``splitbench.results.partitions.geometry_report.geometry_json`` gives it.
    """
    from matplotlib.lines import Line2D

    short = style.shortened([arm["arm"] for arm in geometry["arms"]])
    names = [
        marked(short[arm["arm"]], arm["arm"] in geometry["reads_truth"], arm["arm"] in geometry.get("given", ()))
        for arm in geometry["arms"]
    ]
    n = len(names)
    cell = 0.4 if n <= MOST_NUMBERS else 0.17
    label, side = style.widest(names), max(cell * n, 1.6)
    right = max(2.5, style.WIDTH - (label + 0.25 + side + 0.3) - 0.15)
    handles = [
        Line2D([], [], color=style.ACCENT, marker="o", markersize=5.5, linestyle="", label="mean"),
        Line2D([], [], color=style.SOFT, marker="o", markersize=3, linestyle="", label="seed"),
    ]
    below = max(0.75 * label + 0.2, 0.35) + style.legend_height(2, 2)
    width = label + 0.25 + side + 0.3 + right + 0.15
    title = f"{geometry['study']}: {geometry['space']} on {geometry['dataset']}, {count(geometry['seeds'], 'seed')}"
    page = style.figure_page(width, below + cell * n + 0.55, title)
    left_panel = style.panel(page, label + 0.25, below, side, cell * n)
    right_panel = style.panel(page, label + 0.25 + side + 0.3, below, right, cell * n)
    _agreement(left_panel, geometry["ari[all]"]["mean"], names)
    _truth(right_panel, geometry["arms"])
    style.draw_legend(page, handles, left=label + 0.25 + side + 0.3, columns=2)
    return page


def _agreement(axes: Axes, values: Sequence[Sequence[float]], names: Sequence[str]) -> None:
    n = len(names)
    # Below 0 is no agreement either.
    axes.pcolormesh(values, cmap=style.SEQUENTIAL, vmin=0, vmax=1, edgecolors="white", linewidth=1)
    for i, row in enumerate(values if n <= MOST_NUMBERS else []):
        for j, value in enumerate(row):
            colour = style.on(style.SEQUENTIAL, min(max(value, 0.0), 1.0))
            axes.text(
                j + 0.5, i + 0.5, two_decimals(value), ha="center", va="center", color=colour, fontsize=style.SMALL
            )
    centres = [index + 0.5 for index in range(n)]
    axes.set_xticks(centres, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(centres, names)
    axes.set_ylim(n, 0)
    axes.tick_params(length=0)
    axes.set_title("ARI of partitions [all]", loc="left")
    axes.spines[:].set_visible(False)


def _truth(axes: Axes, arms: Sequence[Mapping[str, Any]]) -> None:
    n = len(arms)
    for index, arm in enumerate(arms):
        metric, height = arm["metrics"][SHOWN], index + 0.5
        seeds = list(metric["by_repetition"].values())
        axes.plot([metric["mean"]], [height], "o", color=style.ACCENT, markersize=5.5)
        axes.plot(seeds, [height] * len(seeds), "o", color=style.SOFT, markersize=3)
    axes.set_xlim(left=0)
    axes.set_ylim(n, 0)
    axes.set_yticks([index + 0.5 for index in range(n)], [""] * n)
    axes.grid(axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_title(
        "rank_eta2 [all]: share of the\ntruth's variance (of ranks) between leaves", loc="left", fontsize=style.SMALL
    )
    axes.spines["left"].set_visible(False)
