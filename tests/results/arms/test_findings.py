"""Arms that chose one partition are one finding: which they are, and how they count."""

from typing import Any

import pytest
from synthetic_records import Writer, arm_records

from splitbench.results.arms.arms import tables
from splitbench.results.arms.findings import findings
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.inference import stats
from splitbench.results.records.loading import load_runs
from splitbench.results.records.record import Record
from splitbench.results.words import render

NONE = [0.50, 0.52, 0.51, 0.49, 0.50, 0.53, 0.51]
SCHEDULE = {"schedule": {"levels": 1, "splits": "weights"}}


def tree(*leaves: list[list[int]]) -> dict[str, Any]:
    leaf = {"stage": "x", "steps": 1}
    score = {
        "operations": [0, 1, 2],
        "dissimilarity": [[0.0]],
        "standard_error": [[None]],
        "repetitions": 0,
        "cut": 0.0,
    }
    scores = {"0": score | {"groups": [leaf[0] for leaf in leaves]}}
    children = [leaf | {"allowed": allowed} for allowed in leaves]
    return leaf | {"allowed": [[0, 1, 2], [0, 1]], "edges": [0], "scores": scores, "children": children}


ONE_TWO = tree([[0], [0, 1]], [[1, 2], [0, 1]])
TWO_ONE = tree([[2, 1], [0, 1]], [[0], [0, 1]])
OTHER = tree([[1], [0, 1]], [[0, 2], [0, 1]])


def arm(
    name: str, shapes: list[dict[str, Any]], shift: float, parts: dict[str, Any] = SCHEDULE, **more: Any
) -> list[Record]:
    taus = [tau + shift + 0.001 * i for i, tau in enumerate(NONE)]
    made = arm_records(name, list(taus), config={"arm": parts}, baseline=False, **more)
    trees = [one.tree.model_validate(shape) for one, shape in zip(made, shapes, strict=True)]
    return [one.model_copy(update={"tree": shape}) for one, shape in zip(made, trees, strict=True)]


def found(write: Writer, *records: Record) -> dict[str, str]:
    (own,) = tables(load_runs(write(*records)).runs)
    return findings(own)


def test_the_same_leaves_on_every_seed_are_one_finding(write: Writer) -> None:
    """Whatever the order of groups and operations; one other seed is another partition, and so is another schedule."""
    assert found(
        write,
        *arm("a", [ONE_TWO] * 7, -0.1),
        *arm("b", [TWO_ONE] * 7, -0.2),
        *arm("c", [ONE_TWO] * 6 + [OTHER], -0.1),
        *arm("d", [ONE_TWO] * 7, -0.1, {"schedule": {"levels": 1, "splits": "momentum"}}),
        *arm("e", [ONE_TWO] * 7, -0.1, SCHEDULE | {"modifiers": [{"name": "x"}]}),
        *arm("seer", [ONE_TWO] * 7, 0.1, reads_truth=True),
        *arm_records("none", list(NONE)),
        *arm_records("none again", list(NONE)),
    ) == {"a": "a", "b": "a", **{name: name for name in ("c", "d", "e", "seer", "none", "none again")}}


def test_a_finding_counts_once_in_holms_adjustment() -> None:
    """By hand: findings have p .02 (of .01 and .02), .03 and .04."""
    ps, marks = [0.01, 0.03, 0.02, 0.04], ["a", "b", "a", "c"]
    assert stats.holm_within(ps, "xxxx", marks) == pytest.approx([0.06, 0.06, 0.06, 0.06])
    assert stats.holm_within(ps, "xxyy", marks) == pytest.approx([0.02, 0.03, 0.04, 0.04]), "within a family alone"
    assert stats.holm_within(ps, "xxxx") == stats.holm(ps)


def test_arms_of_one_partition_stand_together_and_count_once(write: Writer) -> None:
    folder = write(
        *arm_records("none", list(NONE)),
        *arm("first", [ONE_TWO] * 7, 0.1),
        *arm("other", [OTHER] * 7, 0.05),
        *arm("last", [TWO_ONE] * 7, 0.01),
        *arm("twin", [TWO_ONE] * 7, -0.2),
    )
    shown = leaderboards(folder)
    (board,) = shown.boards
    rows = {row.arm: row for row in board.rows}
    assert [row.arm for row in board.rows if not row.trivial] == ["first", "last", "twin", "other", "none"]
    assert {arm: row.finding for arm, row in rows.items() if row.finding} == {"last": "first", "twin": "first"}
    assert (board.comparisons, board.seeds_needed) == (2, 7)
    assert {arm: row.verdict.p for arm, row in rows.items() if row.verdict} == dict.fromkeys(
        ["first", "last", "twin", "other"], 2 * 2 / 2**7
    )
    text = render.markdown(shown)
    assert "| = last " in text
    assert "| = twin " in text
    assert "for 2 findings" in text
    assert "one finding, whatever finding it cost each" in text
    assert '"finding": "first"' in render.boards_json(shown)
