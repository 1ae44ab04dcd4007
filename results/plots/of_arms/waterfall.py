"""A difference to no split, from its first term to its last: what it lost in training, paid for scoring, and gained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import PRIMARY, ArmRuns
from splitbench.results.arms.terms import NAMES, TERMS
from splitbench.results.payoff.explain import Explanation, of_arms
from splitbench.results.plots import style
from splitbench.results.plots.source import CannotDrawError, Options, PlotTable
from splitbench.results.records.population_names import with_population_names
from splitbench.results.words.sheet import count, interval_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 0.42  # inches
BAR = 0.55  # of a row


def waterfall_figure(table: PlotTable, arm: ArmRuns, options: Options) -> Figure:
    """One arm against no split."""
    try:
        explanation = of_arms(arm, None, table.title)
    except ConfigError as error:
        raise CannotDrawError(f"arm {arm.name} has no decomposition (decompose: true makes it)") from error
    return picture(explanation, table.title)


@style.styled
def picture(explanation: Explanation, title: str) -> Figure:
    """The terms as bars, each from where the one before it ended, with the interval of each and of their sum."""
    labels = [explanation.against, *(NAMES[name] for name in TERMS), explanation.arm]
    short = style.shortened(labels)
    values = [interval_words(explanation.terms[name], 3, sign=True) for name in TERMS]
    left, right = style.widest(list(short.values())) + 0.25, style.widest(values) + 0.25
    body = ROW * len(labels)
    kind, limit = explanation.budget
    facts = (
        f"{with_population_names(PRIMARY, explanation.population)}; {limit:.4g} {kind} an arm, "
        f"{count(explanation.seeds, 'seed')}. Bars: means over seeds; lines: 95% "
        "intervals of each term; the lowest line is that of the whole difference."
    )
    sheet = style.figure_page(
        style.WIDTH, body + 0.5, f"{title}: {explanation.arm} beside {explanation.against}", (facts,)
    )
    axes = style.panel(sheet, left, 0.45, style.WIDTH - left - right, body)
    at = explanation.tau[1]
    place = float(len(labels) - 1)
    axes.plot([at], [place], marker="o", color=style.INK, markersize=6)
    for name, words in zip(TERMS, values, strict=True):
        place -= 1
        term = explanation.terms[name]
        colour = style.BLUE if term.mean >= 0 else style.VERMILLION
        axes.barh(place, term.mean, left=at, height=BAR, color=colour, alpha=0.85)
        axes.plot([at, at], [place + 1, place], color=style.SOFT, linewidth=0.8, zorder=0)
        if term.low is not None and term.high is not None:
            axes.plot([at + term.low, at + term.high], [place, place], color=style.INK, linewidth=1.2)
        at += term.mean
        axes.text(1.02, place, words, transform=axes.get_yaxis_transform(), va="center", fontsize=style.SMALL)
    axes.plot([at, at], [1, 0], color=style.SOFT, linewidth=0.8, zorder=0)
    axes.plot([at], [0], marker="o", color=style.INK, markersize=6)
    whole = explanation.terms["difference"]
    if whole.low is not None and whole.high is not None:
        start = explanation.tau[1]
        axes.plot([start + whole.low, start + whole.high], [0, 0], color=style.INK, linewidth=1.2)
    words = interval_words(whole, 3, sign=True)
    axes.text(1.02, 0, words, transform=axes.get_yaxis_transform(), va="center", fontsize=style.SMALL)
    axes.set_yticks(range(len(labels)), [short[label] for label in reversed(labels)])
    axes.set_ylim(-0.6, len(labels) - 0.4)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(with_population_names(PRIMARY, explanation.population))
    return sheet
