"""Names in the margin right of the axes, each beside what it names, joined to it by a thin line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from splitbench.results.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEADER = 0.35  # inches between the axes and the names
GAP = 0.15


@dataclass(frozen=True)
class Label:
    """A name, and the point (in data coordinates) that it belongs to."""

    text: str
    x: float
    y: float
    colour: str = style.INK


def margin(labels: Sequence[str]) -> float:
    """Inches that the names take, right of the axes."""
    return LEADER + style.widest(labels) + 0.15


def height(labels: int, least: float) -> float:
    """Inches of axes that hold so many names."""
    return max(least, GAP * (labels + 1))


def write_names(axes: Axes, labels: Sequence[Label], inches: tuple[float, float]) -> None:
    """Names in the order of their points' heights, as near to them as they can be without overlap.

    Args:
        inches: width and height of the axes; their limits are final.
    """
    across, up = inches
    to_axes = axes.transData + axes.transAxes.inverted()
    points = [to_axes.transform((label.x, label.y)) for label in labels]
    wanted = [float(point[1]) * up for point in points]
    places = style.spread(wanted, GAP, 0.0, up)
    for label, (x, y), place in zip(labels, points, places, strict=True):
        at = place / up
        axes.plot(
            [float(x), 1 + 0.06 / across, 1 + (LEADER - 0.06) / across],
            [float(y), float(y), at],
            transform=axes.transAxes,
            color=label.colour if label.colour != style.INK else style.FAINT,
            linewidth=0.6,
            alpha=0.8,
            clip_on=False,
            zorder=1,
        )
        axes.text(
            1 + LEADER / across,
            at,
            label.text,
            transform=axes.transAxes,
            fontsize=style.SMALL,
            color=label.colour,
            va="center_baseline",
        )
