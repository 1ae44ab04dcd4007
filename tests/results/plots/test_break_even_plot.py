"""The picture of break-evens shows what the report holds, and its words can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_figures import by_gid, gids, overlaps, texts
from synthetic_ladders import NONE, Taus, at, many
from synthetic_records import Writer

from splitbench.results.inference import stats
from splitbench.results.payoff.break_even_report import BreakEvenReport, break_even_report
from splitbench.results.payoff.ladder import read_ladder
from splitbench.results.plots import style
from splitbench.results.plots.of_arms.break_even import break_even_figure

ARMS: dict[str, dict[float, Taus]] = {
    "gm": {1e10: [0.46, 0.48, 0.50], 4e10: [0.611, 0.63, 0.649]},
    "never": {1e10: [0.41, 0.40, 0.39], 4e10: [0.50, 0.51, 0.50]},
}


def two_arms(write: Writer) -> BreakEvenReport:
    folders = [
        write(
            *at(budget, "none", NONE[budget]),
            *(record for arm, own in ARMS.items() for record in at(budget, arm, own[budget])),
            folder=f"{budget:g}",
        )
        for budget in NONE
    ]
    return break_even_report(read_ladder(folders))


def test_lines_bands_and_sets_are_those_of_the_report(write: Writer) -> None:
    shown = two_arms(write)
    drawn = break_even_figure(shown)
    gm, never = shown.rows
    assert by_gid(drawn, "arm gm").get_ydata() == pytest.approx([-0.04, 0.01])
    assert list(by_gid(drawn, "tested never").get_xdata()) == [1e10, 4e10]
    assert by_gid(drawn, "high gm").get_ydata()[-1] == gm.break_even.gains[1].high
    assert by_gid(drawn, "low gm").get_ydata()[0] == gm.break_even.gains[0].low
    assert by_gid(drawn, "zero gm").get_xydata().tolist() == [[gm.break_even.at, 0]]
    assert list(by_gid(drawn, "set gm").get_xdata()) == list(gm.break_even.parts[0])
    assert by_gid(drawn, "break-even gm").get_xdata() == [gm.break_even.at]
    assert not gids(drawn, "open < gm") + gids(drawn, "open > gm")
    assert never.break_even.parts == ()
    assert not gids(drawn, "set never") + gids(drawn, "break-even never") + gids(drawn, "zero never")
    assert len(gids(drawn, "open > never")) == 1
    assert not gids(drawn, "open < never")


def test_the_unsplit_supernet_and_flops_alone(write: Writer) -> None:
    drawn = break_even_figure(two_arms(write))
    assert by_gid(drawn, "unsplit none").get_ydata() == pytest.approx([0.52, 0.62])
    assert by_gid(drawn, "unsplit FLOPs alone").get_ydata() == pytest.approx([0.6, 0.6])
    expected = stats.interval([0.50, 0.52, 0.54])
    assert list(gids(drawn, "interval none")[0].get_ydata()) == [expected.low, expected.high]


def test_words_do_not_overlap_and_name_every_arm(write: Writer) -> None:
    drawn = break_even_figure(two_arms(write))
    assert not overlaps(drawn)
    words = [text.get_text() for text in texts(drawn)]
    assert words.count("gm") == words.count("never") == 2  # beside its line, and beside its set
    assert {"none", "FLOPs alone", "10 G", "40 G", "tau[all]: arm less none"} <= set(words)


def test_57_arms_can_be_read(tmp_path: Path) -> None:
    shown = break_even_report(read_ladder([many(tmp_path, 57)]))
    assert len(shown.rows) == 56
    drawn = break_even_figure(shown)
    assert not overlaps(drawn)
    assert min(float(text.get_fontsize()) for text in texts(drawn)) >= 8
    assert not gids(drawn, "high ")  # bars at the tested budgets, no bands
    assert len(gids(drawn, "arm ")) == 56
    coloured = {row.arm for row in sorted(shown.rows, key=lambda row: -row.break_even.gains[-1].mean)[:7]}
    assert {artist.get_gid().removeprefix("tested ") for artist in gids(drawn, "tested ")} == coloured


def test_equal_reports_give_equal_files(write: Writer) -> None:
    shown = two_arms(write)
    assert style.svg(break_even_figure(shown)) == style.svg(break_even_figure(shown))
