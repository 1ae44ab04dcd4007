"""How often a criterion gives the same split with other seeds: the same edge, and the same partition.

Both are read from the trees in the records, pair by pair of repetitions; where ``splitbench geometry`` has been run,
also from its scorings of one root by other batches.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from splitbench.results.arms.arms import ArmRuns
from splitbench.results.plots import style
from splitbench.results.plots.source import CannotDrawError, Options, PlotTable
from splitbench.results.records.record import NodeRecord, config_fingerprint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, ROOMY = 0.17, 0.26


@dataclass(frozen=True)
class Stability:
    """One arm.

    Attributes:
        same_edge: share of the pairs of repetitions (draw by draw) whose roots were split at the same edges.
        aris: of the root's partitions, a number a pair.
        batches: the same two means between scorings of one root by other batches; None where nothing is known.
    """

    arm: str
    same_edge: float
    aris: tuple[float, ...]
    batches: tuple[float, float] | None = None

    @property
    def ari(self) -> float:
        return math.fsum(self.aris) / len(self.aris)


def partition_ari(first: Sequence[NodeRecord], second: Sequence[NodeRecord]) -> float:
    """Adjusted Rand index (Hubert and Arabie, 1985) of two partitions of all strings of operations into nodes.

    A string has one operation on each edge, so two nodes share the product over edges of the operations that both
    allow: no string is listed. 1 for the same partition; about 0 for partitions at different edges.
    """

    def pairs(n: int) -> int:
        return n * (n - 1) // 2

    def shared(a: NodeRecord, b: NodeRecord) -> int:
        return math.prod(len(set(x) & set(y)) for x, y in zip(a.allowed, b.allowed, strict=True))

    both = sum(pairs(shared(a, b)) for a in first for b in second)
    first_pairs, second_pairs = (sum(pairs(shared(node, node)) for node in side) for side in (first, second))
    everything = pairs(sum(shared(node, node) for node in first))
    expected = first_pairs * second_pairs / everything if everything else 0.0
    most = (first_pairs + second_pairs) / 2
    return (both - expected) / (most - expected) if most != expected else 1.0


def arm_stability(arm: ArmRuns) -> Stability | None:
    """None where fewer than two repetitions have a split root."""
    split = [run.record for run in arm.runs if run.record.tree.children]
    pairs = [
        (a.tree, b.tree)
        for a, b in itertools.combinations(split, 2)
        if a.draw == b.draw and a.repetition != b.repetition
    ]
    if not pairs:
        return None
    same = [sorted(a.edges) == sorted(b.edges) for a, b in pairs]
    return Stability(arm.name, sum(same) / len(same), tuple(partition_ari(a.children, b.children) for a, b in pairs))


def of_table(table: PlotTable) -> list[Stability]:
    """Every complete arm that splits, the most stable first."""
    probed = _batches(table)
    stabilities = []
    for arm in table.complete:
        own = arm_stability(arm)
        if own is not None:
            stabilities.append(Stability(own.arm, own.same_edge, own.aris, probed.get(own.arm)))
    return sorted(stabilities, key=lambda stability: (-stability.ari, -stability.same_edge, stability.arm))


def _batches(table: PlotTable) -> dict[str, tuple[float, float]]:
    """From the ``geometry.json`` beside the records, as far as it is of the same protocol and settings."""
    batches: dict[str, tuple[float, float]] = {}
    for folder in sorted({run.path.parent.parent for arm in table.arms for run in arm.runs}):
        try:
            report = json.loads((folder / "geometry.json").read_bytes())
        except (OSError, ValueError):
            continue
        if not isinstance(report, dict):
            continue
        marks = report.get("fingerprints", {})
        for arm in table.arms:
            record = arm.runs[0].record
            same = (report.get("protocol"), marks.get(arm.name)) == (
                record.protocol,
                config_fingerprint(record.config.get("arm")),
            )
            own = next((entry for entry in report.get("arms", []) if entry.get("arm") == arm.name), None)
            values = _means(own) if same and own else None
            if values:
                batches[arm.name] = values
    return batches


def _means(arm: Mapping[str, Any]) -> tuple[float, float] | None:
    batches = arm.get("stability", {}).get("batches")
    if not batches:
        return None
    edge, ari = (batches.get(name, {}).get("mean") for name in ("same_edge", "functions_ari[all]"))
    return None if edge is None or ari is None else (float(edge), float(ari))


@style.styled
def stability_figure(tables: Sequence[PlotTable], options: Options) -> Figure:
    """Left the edges, right the partitions.

    Raises:
        CannotDrawError: if no arm split in two repetitions.
    """
    from matplotlib.lines import Line2D

    (table,) = tables
    shown = of_table(table)
    if not shown:
        raise CannotDrawError("no complete arm was split in two repetitions")
    labels = table.labels()
    row = ROOMY if len(shown) <= 20 else ROW
    probed = any(stability.batches for stability in shown)
    handles = [
        Line2D([], [], color=style.SOFT, marker="o", markersize=3, linestyle="", label="one pair of seeds"),
        Line2D([], [], color=style.ACCENT, marker="o", markersize=5.5, linestyle="", label="mean over pairs of seeds"),
    ]
    if probed:
        handles.append(
            Line2D(
                [],
                [],
                color=style.VERMILLION,
                marker="D",
                markersize=4.5,
                linestyle="",
                markerfacecolor="none",
                label="mean over pairs of batches, one seed",
            )
        )
    left = style.widest([labels[stability.arm] for stability in shown]) + 0.25
    below = 0.5 + style.legend_height(len(handles), 3)
    high = row * len(shown) + 0.05
    page = style.figure_page(
        style.WIDTH,
        below + high + 0.1,
        f"{table.title}: stability of the root's split",
        [f"{table.facts} ARI: adjusted Rand index, 1 for the same partition, 0 for chance.", table.marks()],
    )
    half = (style.WIDTH - left - 0.15 - 0.25) / 2
    edges = style.panel(page, left, below, half, high)
    partitions = style.panel(page, left + half + 0.25, below, half, high)
    for height, stability in enumerate(shown):
        edges.barh([height], [stability.same_edge], height=0.6, color=style.SKY, gid=f"edge {stability.arm}")
        partitions.plot(
            stability.aris,
            [height] * len(stability.aris),
            "o",
            color=style.SOFT,
            markersize=3,
            gid=f"pairs {stability.arm}",
        )
        partitions.plot(
            [stability.ari], [height], "o", color=style.ACCENT, markersize=5.5, zorder=4, gid=f"mean {stability.arm}"
        )
        if stability.batches:
            for axes, value in zip((edges, partitions), stability.batches, strict=True):
                axes.plot(
                    [value], [height], "D", color=style.VERMILLION, markersize=4.5, markerfacecolor="none", zorder=5
                )
    _finish(edges, len(shown), [labels[stability.arm] for stability in shown], "same edge: share of pairs")
    _finish(partitions, len(shown), None, "same partition: ARI")
    least = min([0.0, *(value for stability in shown for value in stability.aris)])
    edges.set_xlim(0, 1.03)
    partitions.set_xlim(least - 0.04, 1.04)
    style.draw_legend(page, handles, left=0.1, columns=3)
    return page


def _finish(axes: Axes, rows: int, labels: Sequence[str] | None, words: str) -> None:
    axes.set_yticks(range(rows), labels if labels is not None else [""] * rows)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_xlabel(words)
