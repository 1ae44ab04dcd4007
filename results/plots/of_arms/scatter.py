"""The supernet's estimate against stand-alone accuracy, architecture by architecture, and rank against rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from splitbench.harness.errors import StoreError
from splitbench.results.arms.arms import ArmRuns
from splitbench.results.measures.metrics import lexicographic_score
from splitbench.results.plots import style
from splitbench.results.plots.source import CannotDrawError, Options, PlotTable, run_shown, run_words
from splitbench.results.records.loading import read_estimates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
SIDE, STRIP, SPACE = 2.55, 0.4, 0.75  # inches: a panel, a histogram beside it, and between the two panels
BINS = 24


def ranks(values: npt.ArrayLike) -> Floats:
    """1 for the largest; equal values share their mean rank."""
    from scipy import stats

    places: Floats = stats.rankdata(-np.asarray(values, np.float64)).astype(np.float64)
    return places


@style.styled
def scatter_figure(table: PlotTable, arm: ArmRuns, options: Options) -> Figure:
    """Left accuracies, with histograms at the margins; right ranks, with the diagonal of a perfect ranking. Ranks are
    those of the metrics: by accuracy, then by lower loss.

    Raises:
        CannotDrawError: if the run's estimates are missing.
    """
    from matplotlib.lines import Line2D

    run = run_shown(arm, options)
    try:
        frame = read_estimates(run)
    except StoreError as error:
        raise CannotDrawError(str(error)) from None
    estimate, loss, truth = (frame[name].to_numpy(np.float64) for name in ("accuracy", "loss", "truth_test"))
    leaf = frame["leaf"].to_numpy(np.int64)
    leaves = [int(number) for number in np.unique(leaf)]
    tau = run.record.metrics.get(options.metric)
    value = "undefined" if tau is None else f"{tau:.3f}"
    left, below = 0.6, 0.55
    columns = max(1, int((style.WIDTH - 0.2) / (0.35 + style.text_width("leaf 88: 88,888"))))
    bottom = below + (style.legend_height(len(leaves), columns) if len(leaves) > 1 else 0)
    page = style.figure_page(
        style.WIDTH,
        bottom + SIDE + STRIP + 0.08,
        f"{arm.name}: {table.named(options.metric)} {value}",
        [f"{table.title}, {run_words(run.record)}: {len(frame):,} architectures in {_leaves(len(leaves))}."],
    )
    values = style.panel(page, left, bottom, SIDE, SIDE)
    over = style.panel(page, left, bottom + SIDE + 0.04, SIDE, STRIP, sharex=values)
    beside = style.panel(page, left + SIDE + 0.04, bottom, STRIP, SIDE, sharey=values)
    order = style.panel(page, style.WIDTH - SIDE - 0.15, bottom, SIDE, SIDE)
    handles = []
    first, second = ranks(truth), ranks(lexicographic_score(estimate, loss))
    for index, number in enumerate(leaves):
        look, own = style.series(index), leaf == number
        options_of: dict[str, Any] = {
            "color": look.colour,
            "marker": look.marker,
            "linestyle": "",
            "markersize": 3 if len(frame) <= 1000 else 1.8,
            "markeredgewidth": 0,
            "alpha": 0.65,
            "rasterized": len(frame) > style.MANY_POINTS,
        }
        values.plot(truth[own], estimate[own], gid=f"values {number}", **options_of)
        order.plot(first[own], second[own], gid=f"ranks {number}", **options_of)
        handles.append(
            Line2D([], [], color=look.colour, marker=look.marker, linestyle="", label=f"leaf {number}: {own.sum():,}")
        )
    _histograms(over, beside, truth, estimate)
    values.set_xlabel("stand-alone test accuracy, %")
    values.set_ylabel("supernet estimate, %")
    values.grid()
    _diagonal(order, len(frame))
    if len(leaves) > 1:
        style.draw_legend(page, handles, left=0.1, columns=columns)
    return page


def _leaves(count: int) -> str:
    return "one leaf" if count == 1 else f"{count} leaves"


def _histograms(over: Axes, beside: Axes, truth: Floats, estimate: Floats) -> None:
    over.hist(truth, bins=BINS, color=style.FAINT, gid="truth")
    beside.hist(estimate, bins=BINS, orientation="horizontal", color=style.FAINT, gid="estimate")
    for axes in (over, beside):
        axes.set_axis_off()


def _diagonal(axes: Axes, count: int) -> None:
    margin = max(0.5, 0.03 * count)
    axes.plot([1, count], [1, count], color=style.SOFT, linewidth=0.8, linestyle="--", zorder=1, gid="diagonal")
    axes.set_xlim(1 - margin, count + margin)
    axes.set_ylim(count + margin, 1 - margin)
    axes.xaxis.set_inverted(True)
    axes.set_xlabel("true rank (1 is best)")
    axes.set_ylabel("rank by the estimate (ties by lower loss)")
    step = next((s * 10**p for p in range(7) for s in (1, 2, 5) if s * 10**p >= count / 5), count)
    ticks = [1, *range(step, count + 1, step)]
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.grid()
