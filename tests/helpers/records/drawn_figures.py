"""What a drawn figure holds: artists by their id, words, and words that overlap."""

from __future__ import annotations

import itertools
from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text

from splitbench.results.plots import style


def by_gid(figure: Figure, gid: str) -> Any:
    (found,) = figure.findobj(lambda artist: artist.get_gid() == gid, include_self=False)
    return found


def gids(figure: Figure, prefix: str) -> list[Any]:
    return figure.findobj(lambda artist: str(artist.get_gid() or "").startswith(prefix), include_self=False)


def texts(figure: Figure) -> list[Text]:
    with style.context():
        figure.canvas.draw()
    found = figure.findobj(Text, include_self=False)
    return [text for text in found if text.get_visible() and text.get_text().strip()]


@style.styled
def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of words whose boxes overlap by more than a pixel, and words that leave the page."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    shown = [text for text in texts(figure) if not text.get_rotation()]
    undrawn = _undrawn(figure)
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in shown if id(text) not in undrawn]
    page = figure.bbox
    found = [
        (text, "the page")
        for text, box in boxes
        if box.x0 < page.x0 - 1 or box.x1 > page.x1 + 1 or box.y0 < page.y0 - 1 or box.y1 > page.y1 + 1
    ]
    for (first, a), (second, b) in itertools.combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        if wide > 1 and high > 1.5:
            found.append((first, second))
    return found


def _undrawn(figure: Figure) -> set[int]:
    """Tick labels beyond the limits, or of axes that are switched off: they exist, and are not drawn."""
    found = set()
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted(limits)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not axes.axison or not low <= tick.get_loc() <= high:  # type: ignore[attr-defined]
                    found |= {id(tick.label1), id(tick.label2)}
            if not axes.axison:
                found |= {id(axis.label)}
    return found
