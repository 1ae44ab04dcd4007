"""One study at several budgets: what is read of its folders, what is refused, and what is said of its break-evens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic_ladders import NONE, Taus, at
from synthetic_records import Writer, make_failure

from splitbench.harness.errors import ConfigError
from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.payoff.break_even_report import break_even_report
from splitbench.results.payoff.break_even_sheet import at_words, break_even_json, break_even_sheet, set_words
from splitbench.results.payoff.breakeven import BreakEven
from splitbench.results.payoff.ladder import Ladder, read_ladder
from splitbench.results.records.record import Record
from splitbench.results.records.store import write_failure

GM: dict[float, Taus] = {1e10: [0.46, 0.48, 0.50], 4e10: [0.611, 0.63, 0.649]}


def ladder(write: Writer, budgets: dict[float, Callable[[], list[Record]]]) -> list[Path]:
    return [write(*make(), folder=f"{budget:g}") for budget, make in budgets.items()]


def plain(write: Writer, **changes: Any) -> list[Path]:
    """none and gm at two budgets; ``changes`` are of gm at the second."""
    return [
        write(
            *at(budget, "none", NONE[budget]),
            *at(budget, "gm", GM[budget], **(changes if budget > 1e10 else {})),
            folder=f"{budget:g}",
        )
        for budget in NONE
    ]


def test_gains_are_paired_by_seed_and_budget(write: Writer) -> None:
    folders = plain(write)
    found = read_ladder(folders)
    assert (found.baseline, found.arms, found.kind, list(found.tables)) == ("none", ("gm",), "flops", [1e10, 4e10])
    gains = found.gains("gm", "tau[all]")
    assert [gains[1e10][seed] for seed in range(3)] == pytest.approx([-0.04] * 3)
    assert [gains[4e10][seed] for seed in range(3)] == pytest.approx([0.011, 0.01, 0.009])
    assert found.unsplit("tau[all]")[1e10] == stats.interval([0.50, 0.52, 0.54])
    assert found.flops_alone("tau[all]")[4e10].mean == 0.6
    assert found.ceiling("tau[all]") == pytest.approx(0.88)
    assert read_ladder([folders[0].parent]).gains("gm", "tau[all]") == gains  # a folder of them
    assert read_ladder([*folders, folders[0]]).gains("gm", "tau[all]") == gains  # the same records twice


def test_where_less_is_better_a_gain_is_a_fall(write: Writer) -> None:
    regrets = {"none": [3.0, 4.0], "gm": [1.0, 3.5]}
    folders = [
        write(
            *(r for arm, own in regrets.items() for r in at(b, arm, [0.5, 0.5], metrics={"regret[all]": own[k]})),
            folder=f"{b:g}",
        )
        for k, b in enumerate(NONE)
    ]
    assert read_ladder(folders).gains("gm", "regret[all]") == {1e10: {0: 2.0, 1: 2.0}, 4e10: {0: 0.5, 1: 0.5}}
    assert (
        break_even_sheet(break_even_report(read_ladder(folders), "regret[all]")).tables[0].title
        == "none less arm in regret[all]"
    )


def test_the_seeds_may_be_fewer_at_a_dear_budget(write: Writer) -> None:
    folders = [
        write(*at(1e10, "none", [0.5, 0.5, 0.5]), *at(1e10, "gm", [0.4, 0.42, 0.1]), folder="a"),
        write(*at(4e10, "none", [0.6, 0.6]), *at(4e10, "gm", [0.7, 0.68]), folder="b"),
    ]
    (row,) = break_even_report(read_ladder(folders)).rows
    assert [one.n for one in row.break_even.gains] == [3, 2]
    assert row.break_even.at == pytest.approx(2e10)  # of the two seeds that both have
    assert break_even_sheet(break_even_report(read_ladder(folders))).tables[0].rows[0][1] == "3, 2"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": "nb201"}, "are not of one study"),
        ({"dataset": "cifar10"}, r"are not of one study \(dataset digits -> cifar10\)"),
        ({"population": "others"}, "population all distinct connected functions -> others"),
        ({"budget": {"kind": "steps", "limit": 9e10, "spent": 9e10}}, "budget kind flops -> steps"),
        (
            {"config": {"arm": {"name": "none"}, "study": {"trainer": {"learning_rate": 0.2}}}},
            r"study.trainer.learning_rate 0.1 -> 0.2",
        ),
        ({"ceiling": {"tau[all]": 0.5}}, "did not rank the same architectures"),
        ({"baseline": False}, "no arm is the baseline"),
    ],
)
def test_a_mix_is_refused_in_one_sentence(write: Writer, changes: dict[str, Any], words: str) -> None:
    folders = [
        write(*at(1e10, "none", NONE[1e10]), folder="a"),
        write(*at(4e10, "none", NONE[4e10], **changes), folder="b"),
    ]
    with pytest.raises(ConfigError, match=words) as refused:
        read_ladder(folders)
    assert str(refused.value).count("; ") == 1
    assert "\n" not in str(refused.value)


def test_an_arm_is_one_thing_at_every_budget(write: Writer) -> None:
    config = {"arm": {"name": "gm", "repetitions": 5}, "study": {"seeds": 3, "trainer": {"learning_rate": 0.1}}}
    with pytest.raises(ConfigError, match=r"arm 'gm' is not the same at budgets .* \(repetitions \(absent\) -> 5\)"):
        read_ladder(plain(write, config=config))


def test_two_tables_of_one_budget_are_refused(write: Writer) -> None:
    first = write(*at(1e10, "none", NONE[1e10]), folder="a")
    second = write(*at(1e10, "none", NONE[4e10], protocol="other"), folder="b")
    with pytest.raises(ConfigError, match="two tables at budget 1e"):
        read_ladder([first, second])
    third = write(*at(1e10, "none", NONE[4e10]), folder="c")
    with pytest.raises(ConfigError, match="another record of the run"):
        read_ladder([first, third])


def test_one_budget_is_not_enough(write: Writer) -> None:
    with pytest.raises(ConfigError, match="there is one budget alone"):
        read_ladder([write(*at(1e10, "none", NONE[1e10]))])
    short = write(*at(4e10, "none", [0.5], expected_runs=2), *at(4e10, "gm", [0.5]), folder="out")
    with pytest.raises(ConfigError, match=r"of the budgets 1e\+10, 4e\+10 the baseline none is complete at 1e\+10"):
        read_ladder([short])


def test_incomplete_arms_count_at_no_budget(write: Writer) -> None:
    folders = plain(write, expected_runs=4)
    found = read_ladder(folders)
    assert list(found.gains("gm", "tau[all]")) == [1e10]
    assert any("arm 'gm' has 3 of 4 runs" in warning for warning in found.warnings)
    with pytest.raises(
        ConfigError, match="no arm has a break-even to be read: arm 'gm' is left out: it and the baseline"
    ):
        break_even_report(found)
    write_failure(folders[1], make_failure("gm", 3, expected_runs=4, budget_limit=4e10, protocol="p40000000000"))
    write_failure(folders[1], make_failure("random", 0, budget_limit=4e10, protocol="p40000000000"))
    told = "\n".join(read_ladder(folders).warnings)
    assert "arm 'gm' has 3 of 4 runs (seed 4, train root: the supernet has diverged)" in told
    assert "at budget 4e+10 no run of arm 'random' succeeded (seed 1, train root: the supernet has" in told


def test_unknown_names_are_refused(write: Writer) -> None:
    found = read_ladder(plain(write))
    with pytest.raises(ConfigError, match=r"no arm 'gn' beside the baseline \(did you mean"):
        break_even_report(found, arms=["gn"])
    with pytest.raises(ConfigError, match="--metric tau: no record has it"):
        break_even_report(found, "tau")
    with pytest.raises(ConfigError, match="nothing can be predicted: arm 'gm' is not predicted: 2 of 2 budgets"):
        break_even_report(found, fit_up_to=4e10)
    with pytest.raises(ConfigError, match="more is better"):
        break_even_report(found, "regret[all]", fit_up_to=1e10)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "below", "above", "words"),
    [
        ([(2e10, 3e10)], False, False, "2e+10 to 3e+10"),
        ([(2e10, 2e10)], False, False, "2e+10"),
        ([(1e10, 2e10)], True, False, "below the lowest tested to 2e+10"),
        ([(2e10, 4e10)], False, True, "2e+10 to above the highest tested"),
        ([(1e10, 4e10)], True, True, "below the lowest tested to above the highest tested"),
        (
            [(1e10, 2e10), (3e10, 4e10)],
            True,
            True,
            "below the lowest tested to 2e+10 or 3e+10 to above the highest tested",
        ),
        ([(1e10, 2e10), (3e10, 3.5e10)], True, False, "below the lowest tested to 2e+10 or 3e+10 to 3.5e+10"),
        ([(1e10, 2e10)], True, True, "below the lowest tested to 2e+10 or above the highest tested"),
        ([(2e10, 3e10)], True, False, "below the lowest tested or 2e+10 to 3e+10"),
        ([(2e10, 3e10)], False, True, "2e+10 to 3e+10 or above the highest tested"),
        ([], True, False, "below the lowest tested"),
        ([], False, True, "above the highest tested"),
        ([], True, True, "below the lowest tested or above the highest tested"),
    ],
)
def test_sets_in_words(parts: list[tuple[float, float]], below: bool, above: bool, words: str) -> None:
    nothing = (Estimate(0.0, None, None, 1),) * 2
    assert set_words(BreakEven((1e10, 4e10), nothing, None, tuple(parts), below, above, False)) == words


@pytest.mark.parametrize(
    ("zero", "ahead", "words"),
    [
        (2e10, True, "2e+10"),
        (2e10, False, "2e+10, behind again at the highest tested"),
        (None, True, "below the lowest tested"),
        (None, False, "above the highest tested"),
    ],
)
def test_break_evens_in_words(zero: float | None, ahead: bool, words: str) -> None:
    nothing = (Estimate(0.0, None, None, 1),) * 2
    assert at_words(BreakEven((1e10, 4e10), nothing, zero, (), False, False, ahead)) == words


def law_ladder(write: Writer) -> Ladder:
    """Four seeds, three budgets; none has 100, 400 and 1,600 steps, a leaf of gm half of that."""
    tau: dict[float, tuple[float, float]] = {1e10: (0.4, 0.3), 4e10: (0.5, 0.48), 1.6e11: (0.55, 0.56)}
    folders = []
    for k, (budget, (none, gm)) in enumerate(tau.items()):
        steps = 100 * 4**k
        root = {"allowed": [[0, 1]], "stage": "r"}
        child = {"stage": "c", "steps": steps // 4}
        tree = {**root, "steps": steps // 4, "edges": [0]}
        tree["children"] = [{**child, "allowed": [[0]]}, {**child, "allowed": [[1]]}]
        shifts = (-0.01, -0.005, 0.005, 0.01)
        records = [
            *at(budget, "none", [none + s for s in shifts], tree={**root, "steps": steps}),
            *at(budget, "gm", [gm + s for s in shifts], tree=tree),
        ]
        folders.append(write(*records, folder=f"{budget:g}"))
    return read_ladder(folders)


def test_the_law_stands_beside_what_was_observed(write: Writer) -> None:
    """At 4e10 a leaf has 200 steps, half way between none's 100 and 400 in ln steps: .45, so relief is .03."""
    shown = break_even_report(law_ladder(write), fit_up_to=4e10)
    (row,) = shown.rows
    assert [one.law.relief for one in row.predictions] == pytest.approx([0.03, 0.03])
    gaps = 0.48, 0.38  # to the ceiling, at 100 and 400 steps
    quarter, half = gaps[1] / gaps[0], (gaps[1] / gaps[0]) ** 0.5  # what four times and twice the length leave of it
    at_1600 = gaps[1] * quarter
    for one in row.predictions:
        assert one.gains[1.6e11][0] == pytest.approx(0.03 - (at_1600 / half - at_1600), abs=2e-3)
        assert one.observed.at is not None
    titles = [table.title for table in break_even_sheet(shown).tables]
    assert titles[2:] == ["The law of splits, fitted at budgets up to 4e+10", "Differences at the budgets above"]
    plain_data = break_even_json(shown)
    assert plain_data["rows"][0]["predictions"][0]["relief"] == pytest.approx(0.03)
    assert plain_data["fitted_up_to"] == 4e10


def test_json_has_what_the_table_says(write: Writer) -> None:
    found = break_even_json(break_even_report(read_ladder(plain(write))))
    (row,) = found["rows"]
    assert found["budgets"] == [1e10, 4e10]
    assert row["break_even"] == pytest.approx(1e10 * 4**0.8)
    assert (row["open_below"], row["open_above"], row["ahead_at_highest"]) == (False, False, True)
    ((low, high),) = row["set"]
    assert low < row["break_even"] < high
    assert [one["budget"] for one in row["differences"]] == [1e10, 4e10]
    assert row["words"].endswith(f"set: {low:.3g} to {high:.3g}")
    assert found["unsplit"][0]["mean"] == pytest.approx(0.52)


def test_arms_come_in_the_order_of_their_break_evens(write: Writer) -> None:
    arms: dict[str, tuple[float, float]] = {
        "late": (0.1, 0.51),
        "never": (0.1, 0.2),
        "always": (0.6, 0.7),
        "early": (0.49, 0.9),
    }
    folders = [
        write(
            *at(budget, "none", [0.5, 0.5]),
            *(record for arm, taus in arms.items() for record in at(budget, arm, [taus[k], taus[k]])),
            folder=f"{budget:g}",
        )
        for k, budget in enumerate(NONE)
    ]
    assert [row.arm for row in break_even_report(read_ladder(folders)).rows] == ["always", "early", "late", "never"]


def test_an_oracle_is_marked(write: Writer) -> None:
    folders = [write(*at(b, "none", NONE[b]), *at(b, "oracle", GM[b], reads_truth=True), folder=f"{b:g}") for b in NONE]
    shown = break_even_sheet(break_even_report(read_ladder(folders)))
    assert shown.tables[0].rows[0][0] == "oracle †"
    assert shown.legend[-1].startswith("† An oracle control")
