"""The picture of a geometry report. (matplotlib, imported when it is drawn.)"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from results.figures import ACCENT, INK, SOFT
from results.geometry_report import number, seeds_words

SHOWN = "rank_eta2[all]"
MOST_NUMBERS = 20


def geometry_svg(found: Mapping[str, Any]) -> bytes:
    """Left, how far the partitions of every two arms agree; right, what each tells of the ground truth, a dot a seed.

    Args:
        found: as ``results.geometry_report.report`` gives it.

    Returns:
        An SVG file; equal reports give equal bytes under one version of matplotlib.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [arm["arm"] + (" †" if arm["arm"] in found["reads_truth"] else "") for arm in found["arms"]]
    n = len(names)
    values = found["ari[all]"]["mean"]
    cell = 0.55 if n <= MOST_NUMBERS else 0.3
    with plt.rc_context({"svg.hashsalt": "splitbench", "svg.fonttype": "none", "font.size": 11, "text.color": INK}):
        figure, (left, right) = plt.subplots(
            ncols=2,
            sharey=True,
            figsize=(7.5 + cell * n, 2.6 + cell * n),
            width_ratios=(max(cell * n, 1.5), 3.5),
            layout="constrained",
        )
        # One hue from light to dark: read by anyone, in print too. Below 0 is no agreement either.
        left.pcolormesh(values, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
        for i, row in enumerate(values if n <= MOST_NUMBERS else []):
            for j, value in enumerate(row):
                colour = "white" if value > 0.55 else INK
                left.text(j + 0.5, i + 0.5, number(value), ha="center", va="center", color=colour, fontsize=9)
        centres = [index + 0.5 for index in range(n)]
        left.set_xticks(centres, names, rotation=40, ha="right", rotation_mode="anchor")
        left.set_yticks(centres, names)
        left.tick_params(length=0)
        left.set_title("ARI of partitions [all]", loc="left", fontsize=11)
        left.spines[:].set_visible(False)
        for height, arm in zip(centres, found["arms"], strict=True):
            metric = arm["metrics"][SHOWN]
            seeds = list(metric["by_repetition"].values())
            right.plot(
                [metric["mean"]], [height], "o", color=ACCENT, markersize=9, label="mean" if height < 1 else None
            )
            right.plot(
                seeds, [height] * len(seeds), "o", color=SOFT, markersize=4, label="seed" if height < 1 else None
            )
        right.set_xlim(left=0)
        right.set_ylim(n, 0)
        right.grid(axis="y", color="#e5e5e5")
        right.set_axisbelow(True)
        right.tick_params(axis="y", length=0)
        right.set_title(
            "rank_eta2 [all]: share of the\ntruth's variance (of ranks) between leaves", loc="left", fontsize=11
        )
        right.spines[["top", "right", "left"]].set_visible(False)
        right.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)
        figure.suptitle(
            f"{found['study']}: {found['space']} on {found['dataset']}, {seeds_words(found)}", x=0.01, ha="left"
        )
        sink = io.BytesIO()
        figure.savefig(sink, format="svg", metadata={"Date": None})
        plt.close(figure)
    return sink.getvalue()
