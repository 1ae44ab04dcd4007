"""Friedman's test and Nemenyi's critical difference against scipy, printed tables and brute force."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats
from synthetic_records import Writer, arm_records

from splitbench.results.arms import friedman
from splitbench.results.arms.arms import tables
from splitbench.results.arms.friedman import critical_difference
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.records.loading import load_runs
from splitbench.results.words import render


@pytest.mark.parametrize("seed", range(5))
def test_statistic_and_p_equal_scipy(seed: int) -> None:
    table = np.random.default_rng(seed).integers(0, 6, (4, 9))
    found = critical_difference({name: row.tolist() for name, row in zip("abcd", table, strict=True)})
    expected = scipy_stats.friedmanchisquare(*table)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (found.blocks, found.freedom) == (9, 3)


def test_statistic_by_hand() -> None:
    """Ranks b 1 1 1, a 2 2 3, c 3 3 2: 12 / (3 * 3 * 4) (9 + 49 + 64) - 3 * 3 * 4."""
    values = {"a": [0.5, 0.6, 0.1], "b": [0.9, 0.8, 0.7], "c": [0.1, 0.2, 0.3]}
    found = critical_difference(values)
    assert found.arms == ("b", "a", "c")
    assert found.mean_ranks == pytest.approx((1, 7 / 3, 8 / 3))
    assert found.statistic == pytest.approx(12 / 36 * (9 + 49 + 64) - 36)
    assert found.p == pytest.approx(math.exp(-found.statistic / 2)), "chi-square with 2 degrees of freedom"
    assert critical_difference(values, larger_is_better=False).arms == ("c", "a", "b")


def test_ties_share_their_mean_rank() -> None:
    found = critical_difference({"a": [1.0, 1.0], "b": [1.0, 2.0], "c": [0.0, 2.0]})
    assert dict(zip(found.arms, found.mean_ranks, strict=True)) == {"b": 1.5, "a": 2.25, "c": 2.25}
    assert found.arms == ("b", "a", "c"), "equal ranks by name"
    alike = critical_difference({name: [1.0, 1.0] for name in "abc"})
    assert (alike.statistic, alike.p, alike.groups) == (0.0, 1.0, (("a", "b", "c"),))


def test_values_equal_on_paper_share_their_rank() -> None:
    found = critical_difference({"a": [0.1 + 0.2] * 2, "b": [0.3] * 2, "c": [0.1, 0.1]})
    assert dict(zip(found.arms, found.mean_ranks, strict=True)) == {"a": 1.5, "b": 1.5, "c": 3.0}


@pytest.mark.parametrize(("k", "q"), [(3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (10, 3.164)])
def test_critical_differences_are_the_printed_ones(k: int, q: float) -> None:
    """Demsar (2006), table 5, alpha = 0.05."""
    rng = np.random.default_rng(k)
    found = critical_difference({str(arm): rng.normal(size=14).tolist() for arm in range(k)})
    assert found.cd == pytest.approx(q * math.sqrt(k * (k + 1) / (6 * 14)), rel=5e-4)


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_the_maximal_sets_within_the_critical_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.2, 2)
    values = {name: (rng.normal(size=8) + spread * i).tolist() for i, name in enumerate("abcdef")}
    found = critical_difference(values)
    rank = dict(zip(found.arms, found.mean_ranks, strict=True))
    close = [
        set(s)
        for size in range(2, 7)
        for s in itertools.combinations(found.arms, size)
        if max(rank[arm] for arm in s) - min(rank[arm] for arm in s) <= found.cd
    ]
    maximal = [s for s in close if not any(s < other for other in close)]
    assert sorted(map(sorted, found.groups)) == sorted(map(sorted, maximal))
    assert all(list(group) == sorted(group, key=found.arms.index) for group in found.groups)


def test_false_positives_of_nemenyi() -> None:
    """In how many tables of arms that are all alike are any two told apart."""
    values = np.random.default_rng(0).normal(size=(2_000, 5, 12))
    first = critical_difference({str(arm): row for arm, row in enumerate(values[0].tolist())})
    ranks = scipy_stats.rankdata(values, axis=1).mean(axis=2)
    assert sorted(6 - ranks[0]) == pytest.approx(first.mean_ranks)
    wrong = np.mean(np.ptp(ranks, axis=1) > first.cd)
    assert 0.01 < wrong <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 2_000)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"a": [1.0, 2], "b": [1.0, 2]}, "three arms"),
        ({"a": [1.0], "b": [1.0], "c": [2.0]}, "two blocks"),
        ({"a": [1.0, 2], "b": [1.0, 2], "c": [2.0]}, "one value a block"),
        ({"a": [1.0, 2], "b": [1.0, 2], "c": [2.0, math.nan]}, "not finite"),
    ],
)
def test_what_cannot_be_ranked_is_refused(values: dict[str, list[float]], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        critical_difference(values)


SPACES = ("micro", "nb201", "darts")


def write_blocks(write: Writer, spaces: tuple[str, ...] = SPACES, study: str = "s") -> Path:
    """gm is best, then none, then lid, in every space; the oracle is above all and takes no rank."""
    for index, space in enumerate(spaces):
        level = 0.1 * index
        change = {"space": space, "study": f"{study}{index}"}
        records = [
            *arm_records("none", [level + 0.2, level + 0.3], **change),
            *arm_records("gm", [level + 0.4, level + 0.3], **change),
            *arm_records("lid", [level, level + 0.1], **change),
            *arm_records("seer", [level + 0.6] * 2, reads_truth=True, **change),
        ]
        folder = write(*records, folder=f"all/{study}{index}")
    return folder.parent


def test_blocks_are_spaces_and_data_sets(write: Writer) -> None:
    folder = write_blocks(write)
    write(*arm_records("extra", [0.9], space="micro", study="s0", expected_runs=1), folder="all/s0")
    found = leaderboards(folder).rank_groups
    assert found is not None
    assert (found.unit, found.blocks) == ("table", ("darts on digits", "micro on digits", "nb201 on digits"))
    assert (found.result.arms, found.result.mean_ranks) == (("gm", "none", "lid"), (1.0, 2.0, 3.0))
    assert found.left_out == ("extra",)
    assert found.result.statistic == pytest.approx(6), "N (k - 1) where all blocks agree"
    assert "Blocks are the 3 pairs of space and data set" in found.sentence
    text = render.markdown(leaderboards(folder))
    assert "# Mean ranks by tau[all] over 3 blocks" in text
    assert "Not complete in every block, so not ranked: extra." in text
    assert [line for line in text.splitlines() if line.startswith(("| gm", "| lid"))][-2:] == [
        "| gm   |      1.00 | a     |",
        "| lid  |      3.00 | b     |",
    ], "2.343 sqrt(3 4 / 18) = 1.91 is less than 2, so none alone is in both groups"


def test_tables_of_one_space_are_one_block(write: Writer) -> None:
    """Another budget on the same space and data set is no new block, and is averaged into its own."""
    folder = write_blocks(write, SPACES[:2])
    assert leaderboards(folder).rank_groups is None
    more = {"space": "micro", "study": "other", "budget": {"kind": "flops", "limit": 9.0, "spent": 9.0}}
    lifted = [(arm, arm_records(arm, [tau] * 2, **more)) for arm, tau in (("none", 9.0), ("gm", 0.0), ("lid", 0.0))]
    write(*(record for _, records in lifted for record in records), folder="all/other")
    assert leaderboards(folder).rank_groups is None
    found = leaderboards(write_blocks(write)).rank_groups
    assert found is not None
    assert len(found.blocks) == 3
    assert found.result.mean_ranks[found.result.arms.index("none")] == pytest.approx((1 + 2 + 2) / 3)
    assert "1 of them average several tables" in found.sentence


def test_too_few_common_arms_are_not_ranked(write: Writer) -> None:
    folder = write_blocks(write)
    write(*arm_records("gm", [0.5], space="cell", study="x", expected_runs=1), folder="all/x")
    assert leaderboards(folder).rank_groups is None


def test_seeds_of_one_table_are_blocks_too(write: Writer) -> None:
    taus = {"none": [0.5, 0.6, 0.4, 0.5], "gm": [0.6, 0.7, 0.5, 0.6], "lid": [0.4, 0.65, 0.3, 0.2]}
    folder = write(*(record for arm, values in taus.items() for record in arm_records(arm, values)))
    (table,) = tables(load_runs(folder).runs)
    found = friedman.friedman_within(table, "tau[all]")
    assert found is not None
    assert (found.unit, found.result) == ("seed", critical_difference(taus))
    assert "not for other spaces" in found.sentence
    assert friedman.friedman_within(table[:2], "tau[all]") is None
    regret = friedman.friedman_within(table, "regret[all]")
    assert regret is not None
    assert regret.result.p == 1.0, "all records have one regret"
