"""What a run must have done before its arm is judged."""

from typing import Any

import pytest
from synthetic_records import Writer, arm_records, make_record

from splitbench.results.arms.grounds import given_up, measured_nothing
from splitbench.results.boards.compare import compare
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.boards.rows import BoardRow
from splitbench.results.records.record import Record
from splitbench.results.words import render

NONE = [0.50, 0.52, 0.51, 0.49, 0.50, 0.53, 0.51]
LOW = [tau - 0.1 for tau in NONE]
APART = [[0.0, 0.1, 0.3], [0.1, 0.0, 0.2], [0.3, 0.2, 0.0]]
EQUAL = [[0.0, 0.3, 0.1 + 0.2], [0.3, 0.0, 0.3], [0.1 + 0.2, 0.3, 0.0]]
GM: dict[str, Any] = {"name": "gm", "repetitions": 5}


def tree(dissimilarity: list[list[float]], repetitions: int, edges: tuple[int, ...] = (1,)) -> dict[str, Any]:
    n = len(dissimilarity)
    score = {
        "operations": list(range(n)),
        "dissimilarity": dissimilarity,
        "standard_error": [[None] * n] * n,
        "repetitions": repetitions,
        "groups": [[0, 1], [2]],
        "cut": 0.0,
    }
    leaf = {"allowed": [[0]], "stage": "x", "steps": 1}
    scores = {"1": score, "0": score | {"dissimilarity": APART, "repetitions": 5}}
    return leaf | {"edges": list(edges), "scores": scores, "children": [leaf, leaf]}


def record(shape: dict[str, Any], criterion: dict[str, Any]) -> Record:
    return make_record("gm", tree=shape, config={"arm": {"criteria": criterion}})


@pytest.mark.parametrize(
    ("shape", "criterion", "nothing"),
    [
        (tree(APART, 5), GM, False),
        (tree(APART, 0), GM, True),
        (tree(EQUAL, 5), GM, True),
        (tree(EQUAL, 5), {"name": "plugin"}, True),
        (tree(EQUAL, 0), {"name": "exhaustive", "edges": [1]}, False),
        (tree(APART, 0), {"name": "random"}, False),
        (tree(APART, 0), {"name": "inverted", "of": GM}, True),
        (tree(APART, 0), {"name": "hierarchy", "of": {"name": "random"}}, False),
        (tree(EQUAL, 0, edges=(0, 1)), GM, False),
        (tree([[0.0, 0.5], [0.5, 0.0]], 5), GM, False),
        ({"allowed": [[0]], "stage": "x", "steps": 1}, {"name": "none"}, False),
    ],
    ids=[
        "measured", "assumed", "all pairs alike", "a plugin that says it measured", "claims nothing", "random",
        "inside another", "random inside another", "another split edge is measured", "two operations", "no split",
    ],
)  # fmt: skip
def test_criteria_that_measured_nothing(shape: dict[str, Any], criterion: dict[str, Any], nothing: bool) -> None:
    assert measured_nothing(record(shape, criterion)) is nothing


def test_a_deeper_split_is_looked_at_too() -> None:
    deeper = tree(APART, 5) | {"children": [tree(EQUAL, 5), tree(APART, 5)]}
    assert measured_nothing(record(deeper, GM))


def given(arm: str, taus: list[float], lost: int) -> list[Record]:
    """Two leaves, the second of which was given up and holds ``lost`` of 10 architectures."""
    selection = make_record().selection.model_dump()
    first, second = selection["leaves"]
    leaves = [first | {"population": 10 - lost}, second | {"population": lost, "kept": False}]
    return arm_records(arm, list(taus), selection=selection | {"leaves": leaves})


def row_of(rows: tuple[BoardRow, ...], arm: str) -> BoardRow:
    return next(row for row in rows if row.arm == arm)


def test_populations_ranked_by_given_up_leaves_give_no_verdict(write: Writer) -> None:
    records = [*arm_records("none", list(NONE)), *given("best", LOW, 8), *arm_records("gm", list(LOW))]
    assert given_up(records[len(NONE)]) == pytest.approx(0.8)
    found = leaderboards(write(*records))
    (board,) = found.boards
    lost = row_of(board.rows, "best").verdict
    assert lost is not None
    assert (lost.word, lost.reason) == ("no verdict", "given-up leaves rank 80% of the population")
    assert (lost.p, lost.probability) == (None, None)
    assert lost.difference.mean == pytest.approx(-0.1)
    gm = row_of(board.rows, "gm").verdict
    assert gm is not None
    assert (gm.word, gm.p, board.comparisons) == ("worse", 2 / 2**7, 1), "the other is no comparison"
    text = render.markdown(found)
    assert "no verdict: given-up leaves rank 80% of the population" in text
    assert "are not tested and count for no other arm's p" in text


def test_a_given_up_leaf_that_ranks_none_costs_nothing(write: Writer) -> None:
    board = leaderboards(write(*arm_records("none", list(NONE)), *given("best", LOW, 0))).boards[0]
    found = row_of(board.rows, "best").verdict
    assert found is not None
    assert found.word == "worse"


def test_a_baseline_with_given_up_leaves_judges_nobody(write: Writer) -> None:
    board = leaderboards(write(*given("none", NONE, 5), *arm_records("gm", list(LOW)))).boards[0]
    found = row_of(board.rows, "gm").verdict
    assert found is not None
    assert (found.word, found.reason) == ("no verdict", "given-up leaves rank 50% of the population, in none")


def test_a_criterion_that_measured_nothing_gets_no_verdict(write: Writer) -> None:
    shapes = [tree(APART, 5)] * 5 + [tree(EQUAL, 5)] * 2
    gm = [
        one.model_copy(update={"tree": record(shape, GM).tree, "config": {"arm": {"criteria": GM}}})
        for one, shape in zip(arm_records("gm", list(LOW)), shapes, strict=True)
    ]
    found = row_of(leaderboards(write(*arm_records("none", list(NONE)), *gm)).boards[0].rows, "gm").verdict
    assert found is not None
    assert (found.word, found.reason) == ("no verdict", "its criterion measured nothing in 2 of 7 runs")


def test_a_comparison_gives_none_on_the_population_and_one_on_what_was_selected(write: Writer) -> None:
    """The answer of an arm never comes from a leaf that was given up."""
    (pair,) = compare(write(*arm_records("none", list(NONE)), *given("best", LOW, 8)), "best", "none").pairs
    words = {d.metric: (d.word, d.reason) for d in pair.differences}
    assert words["tau[all]"] == ("no verdict", "best: given-up leaves rank 80% of the population")
    assert words["rho[all]"][0] == "no verdict"
    assert words["selected test %"] == ("worse", "")
    (tau,) = [d for d in pair.differences if d.metric == "tau[all]"]
    assert tau.sentence.startswith(
        "no verdict (best: given-up leaves rank 80% of the population): best less none is -0.100"
    )
