"""Pictures of a leaderboard. (matplotlib, imported when one is drawn.)"""

from __future__ import annotations

import io
from pathlib import Path

from results.arms import metric, tables
from results.leaderboard import Leaderboard, Leaderboards, leaderboards
from results.sheets import ORACLE_LABEL, marked
from results.store import load

INK, SOFT, ACCENT, CEILING, SIZE = "#222222", "#8a8a8a", "#0072b2", "#d55e00", "#009e73"  # Okabe and Ito's colours


def ranking_svg(folder: str | Path, name: str = "tau[all]") -> bytes:
    """Each arm's metric: a dot a seed, the mean with its 95% interval, the noise ceiling and the size baseline.

    Args:
        folder: a results folder with one leaderboard.
        name: the metric.

    Oracle controls are marked †.

    Returns:
        An SVG file; equal records give equal bytes under one version of matplotlib.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    board = _only(leaderboards(folder))
    arms = [arm for table in tables(load(folder).runs) for arm in table]
    seeds = {arm.name: list((arm.by_repetition(metric(name)) or {}).values()) for arm in arms}
    rows = [row for row in board.rows if not row.trivial and row.metrics.get(name) is not None]
    with plt.rc_context({"svg.hashsalt": "splitbench", "svg.fonttype": "none", "font.size": 11, "text.color": INK}):
        figure, axes = plt.subplots(figsize=(8, 2 + 0.5 * len(rows)), layout="constrained")
        for height, row in enumerate(reversed(rows)):
            value = row.metrics[name]
            assert value is not None
            axes.plot(seeds[row.arm], [height] * len(seeds[row.arm]), "o", color=SOFT, markersize=4, zorder=4)
            if value.low is not None and value.high is not None:
                axes.plot([value.low, value.high], [height, height], color=ACCENT, linewidth=2)
            axes.plot([value.mean], [height], "o", color=ACCENT, markersize=8)
        axes.set_yticks(range(len(rows)), [marked(row.arm, row.reads_truth) for row in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        _reference(axes, board.ceiling.get(name), "noise ceiling: one training against another", CEILING)
        flops = next((row.metrics.get(name) for row in board.rows if row.trivial and "flops" in row.arm), None)
        _reference(axes, flops.mean if flops else None, "FLOPs alone, no supernet", SIZE)
        if any(row.reads_truth for row in rows):
            axes.plot([], [], " ", label=ORACLE_LABEL)  # a line of the legend without a mark
        axes.set_xlabel(f"{name} between supernet estimate and stand-alone test accuracy")
        axes.set_title(f"{board.study}: {board.space} on {board.dataset}, {board.seeds} seeds", loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", frameon=False)
        sink = io.BytesIO()
        figure.savefig(sink, format="svg", metadata={"Date": None})
        plt.close(figure)
    return sink.getvalue()


def _reference(axes: object, value: float | None, label: str, colour: str) -> None:
    if value is not None:
        axes.axvline(value, color=colour, linestyle="--", linewidth=1.5, label=f"{label} ({value:.2f})")  # type: ignore[attr-defined]


def _only(boards: Leaderboards) -> Leaderboard:
    if len(boards.boards) != 1:
        raise ValueError(f"a picture shows one leaderboard, and there are {len(boards.boards)}")
    return boards.boards[0]
