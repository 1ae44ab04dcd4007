"""How every picture looks: colours, type, sizes, and files that are equal byte for byte for equal figures.

Sizes are those on paper: a figure is placed without scaling, and no type is below 8 points. Colours are Okabe and Ito's
(Color Universal Design, 2008), which people with any colour vision tell apart; each series has a marker and a line of
its own as well. matplotlib is imported when something is drawn.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
YELLOW, BLUE, VERMILLION, PURPLE = "#f0e442", "#0072b2", "#d55e00", "#cc79a7"
INK, SOFT, FAINT, GRID = "#222222", "#6b6b6b", "#b3b3b3", "#e5e5e5"
ACCENT, CEILING, SIZE = BLUE, VERMILLION, GREEN
SEQUENTIAL = "Blues"  # one hue from light to dark: read by anyone, in print too

WIDTH = 7.2  # inches: both columns of a journal's page
TITLE, TEXT, SMALL = 10, 9, 8  # points
LINE = 0.165  # inches from one line of small type to the next
PNG_DPI = 200
MANY_POINTS = 2000  # beyond it, points go into an SVG as one bitmap
LONGEST = 44  # characters of a label

# Yellow is left out: on white it is a mark that cannot be seen. Neighbours differ in marker and line as well.
_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Series:
    """How one series is drawn."""

    colour: str
    marker: str
    line: Any


def series(index: int) -> Series:
    """The style of the index-th series: the first 330 all differ."""
    return Series(_COLOURS[index % len(_COLOURS)], _MARKERS[index % len(_MARKERS)], _LINES[index % len(_LINES)])


@contextlib.contextmanager
def context() -> Iterator[None]:
    """The settings that hold while a figure is made, and again while it is saved.

    They begin from matplotlib's own: a style that the caller uses (optuna's pictures turn one on for the whole process)
    changes no byte of ours.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        with matplotlib.rc_context(_settings()):
            yield


def _settings() -> Any:
    return {
        "svg.hashsalt": "splitbench",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
        "font.size": TEXT,
        "axes.titlesize": TEXT,
        "axes.labelsize": TEXT,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
        "legend.frameon": False,
        "text.hinting": "no_hinting",  # widths are then those that text_width gives
        "text.color": INK,
        "text.parse_math": False,  # a $ in an arm's name is a $
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.8,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "axes.formatter.use_mathtext": False,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Draws in this module's settings, whatever the caller's are."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        with context():
            return draw(*args, **kwargs)

    return drawn


def svg(figure: Figure) -> bytes:
    """Equal figures give equal bytes under one version of matplotlib."""
    return _saved(figure, "svg", {"Date": None})


def png(figure: Figure) -> bytes:
    return _saved(figure, "png", {"Software": None})


def _saved(figure: Figure, form: str, metadata: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    with context():
        figure.savefig(sink, format=form, dpi=PNG_DPI, metadata=metadata)
    return sink.getvalue()


# -- a page in inches --------------------------------------------------------------------------------------------------


def figure_page(width: float, body: float, title: str, notes: Sequence[str] = ()) -> Figure:
    """A figure with a heading above a body of ``width`` x ``body`` inches, whose origin is the lower left corner.

    The heading is a bold line and wrapped sentences; its height is added to that of the body.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    margin = 0.1
    titles = wrapped(title, width - 2 * margin, TITLE, bold=True)
    lines = [line for note in notes if note for line in wrapped(note, width - 2 * margin, SMALL)]
    leading = LINE * TITLE / SMALL
    height = body + margin + leading * len(titles) + LINE * len(lines) + 0.08
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    y = height - margin
    for line in titles:
        figure.text(margin / width, y / height, line, fontsize=TITLE, fontweight="bold", va="top")
        y -= leading
    for line in lines:
        figure.text(margin / width, y / height, line, fontsize=SMALL, color=SOFT, va="top")
        y -= LINE
    return figure


def panel(figure: Figure, left: float, bottom: float, width: float, height: float, **options: Any) -> Axes:
    """Axes at a place in inches."""
    across, up = figure.get_size_inches()
    axes: Axes = figure.add_axes((left / across, bottom / up, width / across, height / up), **options)
    return axes


def blank(figure: Figure, body: float) -> Axes:
    """Axes over the whole body without any axis, in inches: for what is drawn by hand."""
    width = float(figure.get_size_inches()[0])
    axes = panel(figure, 0, 0, width, body)
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(0, body)
    return axes


def draw_legend(figure: Figure, handles: Sequence[Any], left: float, columns: int = 1) -> None:
    """A legend below everything, from ``left`` inches; it takes :func:`legend_height`."""
    if handles:
        width, height = figure.get_size_inches()
        figure.legend(
            handles=list(handles),
            loc="lower left",
            bbox_to_anchor=(left / width, 0.06 / height),
            borderaxespad=0,
            borderpad=0,
            ncols=columns,
            handlelength=2.2,
            labelspacing=0.45,
        )


def legend_height(entries: int, columns: int = 1) -> float:
    return -(-entries // columns) * LINE * 1.1 + 0.12 if entries else 0.0


def on(cmap: str, value: float) -> str:
    """Ink or white, whichever reads better on a colour map's colour for ``value`` in [0, 1]: the contrast of WCAG 2."""
    from matplotlib import colormaps

    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colormaps[cmap](float(value))[:3]
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    ink = 0.0159  # luminance of INK
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / (ink + 0.05) else INK


# -- words -------------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8192)
def text_width(text: str, size: float = SMALL, bold: bool = False) -> float:
    """Inches that a line of type takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return 1.01 * float(width) / 72  # a little more than it is: pixels are whole


def widest(texts: Sequence[str], size: float = SMALL) -> float:
    return max((text_width(text, size) for text in texts), default=0.0)


def wrapped(text: str, width: float, size: float = SMALL, bold: bool = False) -> list[str]:
    """Lines of at most ``width`` inches, broken at spaces; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, bold) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def shortened(names: Sequence[str], longest: int = LONGEST) -> dict[str, str]:
    """Labels of at most ``longest`` characters: the middle of a longer name gives way, unless two became equal."""
    cut = {name: name if len(name) <= longest else _middle_out(name, longest) for name in names}
    taken = list(cut.values())
    return {name: short if taken.count(short) == 1 else name for name, short in cut.items()}


def _middle_out(name: str, longest: int) -> str:
    tail = (longest - 1) // 2
    return f"{name[: longest - 1 - tail]}…{name[-tail:]}"


def quantity(value: float) -> str:
    """A large number in steps of a thousand: 5e10 is ``50 G``."""
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if abs(value) >= 10**power * 0.9995:
            return f"{value / 10**power:.3g} {prefix}"
    return f"{value:.3g}"


# -- labels beside points ----------------------------------------------------------------------------------------------


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places nearest to ``wanted`` (least squares) that are at least ``gap`` apart, inside [low, high] if they fit.

    With the places in order, place_i - i gap must not fall: isotonic regression by pooling adjacent violators (Barlow
    et al., Statistical Inference under Order Restrictions, 1972).
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    pools: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        mean, size = wanted[index] - rank * gap, 1
        while pools and pools[-1][0] >= mean:
            before, n = pools.pop()
            mean, size = (mean * size + before * n) / (size + n), size + n
        pools.append((mean, size))
    flat = [mean for mean, size in pools for _ in range(size)]
    top = high - gap * (len(order) - 1)
    places = [0.0] * len(order)
    for rank, index in enumerate(order):
        places[index] = max(low, min(top, flat[rank])) + rank * gap
    return places
