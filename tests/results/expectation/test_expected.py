"""Is a supernet normal: prediction intervals, settings, the table of published supernets, and what a folder is told."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_records import Writer, arm_records
from synthetic_supernets import supernets

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.arms.arms import PRIMARY, TEST, tables
from splitbench.results.boards.leaderboard import leaderboards, leaderboards_of
from splitbench.results.expectation import expected, unsplit
from splitbench.results.expectation.expected import HIGHEST, LOWEST, LengthPlace, further, place_among
from splitbench.results.expectation.expected_folder import judge_unsplit, judged, with_expected
from splitbench.results.expectation.expected_report import Question, expectation_report, parse_budget, told_apart
from splitbench.results.expectation.unsplit import Length, PublishedSupernet, SupernetSetting
from splitbench.results.inference import stats
from splitbench.results.measures.families import family
from splitbench.results.page import page
from splitbench.results.publishing.publish_unsplit import unsplit_table
from splitbench.results.records.files import encode
from splitbench.results.records.loading import load_runs
from splitbench.results.words import render


def length(steps: float, taus: Sequence[float] = (), seeds: int | None = None, limit: float = 0.0) -> Length:
    return Length(
        kind="flops",
        limit=limit or steps * 1e6,
        selector={"name": "all"},
        steps=steps,
        spent={"flops": steps * 1e6, "steps": steps, "examples": steps * 64},
        studies=["toy"],
        code=[],
        seeds=[(0, seed) for seed in range(len(taus) if seeds is None else seeds)],
        values={PRIMARY: list(taus)} if taus else {},
        flops={},
        ceiling={},
    )


# -- the interval ------------------------------------------------------------------------------------------------------


def test_a_further_run_by_hand() -> None:
    """Mean 2, standard deviation 1, t(2) = 4.3027."""
    one = further([1.0, 2.0, 3.0], 1)
    assert one.mean == 2
    assert one.high == pytest.approx(2 + 4.302653 * math.sqrt(1 + 1 / 3))
    assert one.low == pytest.approx(2 - 4.302653 * math.sqrt(1 + 1 / 3))
    assert one.n == 3
    assert further([1.0, 2.0, 3.0], 6).high == pytest.approx(2 + 4.302653 * math.sqrt(1 / 6 + 1 / 3))
    bounded = further([0.7, 0.8, 0.9], 1, (-1.0, 1.0))
    assert (bounded.low, bounded.high) == (pytest.approx(0.8 - 0.1 * 4.302653 * math.sqrt(4 / 3)), 1.0)
    two = further([0.1, 0.2], 1)
    assert (two.mean, two.low, two.high, two.n) == (pytest.approx(0.15), None, None, 2)
    for values, runs in (([], 1), ([0.1], 0)):
        with pytest.raises(ValueError, match="at least one"):
            further(values, runs)


@pytest.mark.parametrize("runs", [1, 3, 12])
@pytest.mark.parametrize("published", [3, 6, 12])
def test_95_of_100_sound_results_lie_inside(published: int, runs: int) -> None:
    """4,000 simulations: a share near 95% is known to .7 points (two standard errors)."""
    rng = np.random.default_rng([published, runs])
    inside = 0
    for _ in range(4_000):
        found = further((0.6 + 0.05 * rng.standard_normal(published)).tolist(), runs)
        own = 0.6 + 0.05 * float(rng.standard_normal(runs).mean())
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= own <= found.high
    assert inside / 4_000 == pytest.approx(0.95, abs=0.02)


def test_the_interval_of_a_mean_would_be_wrong() -> None:
    """What is on a leaderboard says where the mean is, and not where a further run will be."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(1_000):
        found = stats.interval(rng.standard_normal(12).tolist())
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= rng.standard_normal() <= found.high
    assert inside / 1_000 < 0.6


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_between_two_budgets_at_least_95_of_100_lie_inside(weight: float) -> None:
    """Where the mean is straight in ln steps. The wider of two neighbours' ranges errs on the safe side."""
    rng = np.random.default_rng(int(weight * 10))
    inside = 0
    for _ in range(2_000):
        low, high = 0.5 + 0.05 * rng.standard_normal(12), 0.6 + 0.03 * rng.standard_normal(6)
        at = LengthPlace((length(100, low.tolist()), length(400, high.tolist())), weight)
        found = expected.expected(at, PRIMARY, 3)
        own = 0.5 + weight * 0.1 + 0.05 * float(rng.standard_normal(3).mean())
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= own <= found.high
    assert inside / 2_000 > 0.93


def test_published_seeds_lie_inside_what_the_others_lead_to_expect() -> None:
    """Each seed of the package's table beside the others of its setting: real runs are no normal numbers."""
    inside = []
    for one in (one for supernet in unsplit.read_unsplit() for one in supernet.lengths):
        for metric, values in one.values.items():
            for turn, value in enumerate(values):
                found = further([*values[:turn], *values[turn + 1 :]], 1, family(metric).range)
                if found.low is not None and found.high is not None:
                    inside.append(found.low <= value <= found.high)
    assert len(inside) > 100
    assert 0.9 < float(np.mean(inside)) < 0.99


# -- among the tested budgets ------------------------------------------------------------------------------------------


def test_where_a_length_lies() -> None:
    tested = [length(100, seeds=3), length(400, seeds=3), length(410, seeds=6), length(1600, seeds=3)]

    def at(amount: float) -> LengthPlace:
        return place_among(tested, amount, lambda one: one.steps)

    assert at(102).between == (tested[0],)
    assert at(400).between == (tested[2],)  # of two that are equal the one with more seeds
    assert at(200) == LengthPlace((tested[0], tested[1]), pytest.approx(0.5))
    assert at(800) == LengthPlace((tested[2], tested[3]), pytest.approx(math.log(800 / 410) / math.log(1600 / 410)))
    assert (at(50).outside, at(50).between) == (LOWEST, (tested[0],))
    assert (at(5000).outside, at(5000).between) == (HIGHEST, (tested[3],))
    assert at(5000).budget == "above the highest tested, flops 1.6e+09"
    assert at(200).budget == "between flops 1e+08 and flops 4e+08"


def test_between_two_tested_budgets_by_hand() -> None:
    """Means .5 and .7, a quarter of the way in ln steps; the wider half-width is that of three seeds."""
    low, high = length(100, [0.49, 0.5, 0.5, 0.51]), length(1600, [0.6, 0.7, 0.8])
    at = place_among([low, high], 200, lambda one: one.steps)
    found = expected.expected(at, PRIMARY, 2)
    assert found is not None
    assert found.n == 3
    assert found.mean == pytest.approx(0.55)
    assert found.high == pytest.approx(0.55 + 4.302653 * 0.1 * math.sqrt(1 / 2 + 1 / 3))


def test_nothing_is_expected_beyond_the_tested_or_of_too_few() -> None:
    three, two = length(100, [0.4, 0.5, 0.6]), length(400, [0.6, 0.7])
    assert expected.expected(place_among([three, two], 1000, lambda one: one.steps), PRIMARY) is None
    assert expected.expected(LengthPlace((three,)), "rho[all]") is None
    found = expected.expected(LengthPlace((three, two), 0.5), PRIMARY)
    assert found is not None
    assert (found.mean, found.low, found.high, found.n) == (pytest.approx(0.575), None, None, 2)


# -- what a setting is -------------------------------------------------------------------------------------------------


def setting_of(write: Writer, name: str = "out", **changes: Any) -> SupernetSetting:
    ((arm,),) = tables(load_runs(write(*supernets([0.5, 0.6], **changes), folder=name)).runs)
    found = unsplit.setting_of(arm)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "config",
    [
        {"arm.schedule": {"levels": 3, "branching": 4, "warmup": 0.1, "weights": "restart", "share": "flops"}},
        {"study.schedule": {"levels": 2, "keep": "best"}, "study.scoring": "free"},
        {"study.scoring": None, "study.sampling": None, "arm.modifiers": None},  # an old record lacks them
        {"arm.selectors": {"name": "all"}, "study.selector": "all", "arm.leaf_choices": {"name": "random_leaf"}},
        {"study.seed": 7, "common.device": "cuda", "arm.criteria": {"name": "none", "fingerprint": "none-2"}},
        {"common.space": {"name": "micro", "fingerprint": "micro-2"}},
        {"study.population": {"sample": 40, "of": "functions"}},
        {"study.evaluation": {"batch_size": 1000.0}},
    ],
)
def test_what_decides_nothing_is_no_part_of_a_setting(write: Writer, config: dict[str, Any]) -> None:
    one, other = setting_of(write), setting_of(write, "other", config=config)
    assert one.differences(other) == []
    assert one.flat == other.flat


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({"arm.trainers": {"name": "rsps", "batch_size": 64, "learning_rate": 0.2}}, ["trainer.learning_rate"]),
        ({"arm.trainers": {"name": "darts", "batch_size": 32}}, ["trainer.name"]),
        ({"common.space": {"name": "nb201", "channels": 16}}, ["space.name"]),
        ({"arm.modifiers": [{"name": "momentum_groups"}]}, ["modifiers"]),
        ({"study.sampling": "functions"}, ["sampling"]),
        ({"study.population": {"sample": 50}}, ["population.sample"]),
        ({"study.evaluation": {"images": 100, "batch_size": 10}}, ["evaluation.batch_size", "evaluation.images"]),
        # written nowhere where it is the default
        ({"study.evaluation": {"images": None, "batch_norm": "running"}}, ["evaluation.batch_norm"]),
        ({"common.precision": "bfloat16"}, ["precision"]),
    ],
)
def test_what_decides_is(write: Writer, config: dict[str, Any], keys: list[str]) -> None:
    one, other = setting_of(write), setting_of(write, "other", config=config)
    assert one.differences(other) == other.differences(one) == keys


def test_another_truth_is_another_setting(write: Writer) -> None:
    assert setting_of(write).differences(setting_of(write, "other", best=91.0)) == ["best_test"]


def test_the_whole_space_is_no_sample(write: Writer) -> None:
    whole = setting_of(write, "other", population="all 40 distinct connected functions")
    assert setting_of(write).differences(whole) == ["population.sample"]


def test_parameters_that_an_older_record_lacks_are_not_known(write: Writer) -> None:
    newer = {"common.space": {"name": "micro", "fingerprint": "micro-1", "recipe": 12}}
    one, other = setting_of(write), setting_of(write, "other", config=newer)
    assert one.differences(other) == []
    assert one.unknown(other) == ["space.recipe"]


@pytest.mark.parametrize("config", [{"arm.trainers": 4.5}, {"study.population": "all"}])
def test_records_that_do_not_say_have_no_setting(write: Writer, config: dict[str, Any]) -> None:
    (arms,) = tables(load_runs(write(*supernets([0.5, 0.6, 0.7], config=config))).runs)
    published = known_of(write(*supernets([0.5, 0.6, 0.7]), folder="published"))
    assert [one.supernet for one in judge_unsplit(arms, published)] in ([], [None])


# -- the table of published supernets ----------------------------------------------------------------------------------


def known_of(*folders: Path) -> tuple[PublishedSupernet, ...]:
    return tuple(unsplit_table(folders).supernets)


def test_a_seed_counts_once(write: Writer) -> None:
    first = write(*supernets([0.5, 0.6, 0.7], study="a"), folder="first")
    again = write(*supernets([0.5, 0.6, 0.7, 0.8], study="b"), folder="again")
    other = write(*supernets([0.1, 0.2], study="c", config={"study.seed": 1}), folder="other")
    (supernet,) = known_of(again, first, other)
    (one,) = supernet.lengths
    assert one.seeds == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]
    assert one.values[PRIMARY] == [0.5, 0.6, 0.7, 0.8, 0.1, 0.2]
    assert one.studies == ["a", "b", "c"]
    assert one.flops == {PRIMARY: 0.6}
    assert one.ceiling == pytest.approx({PRIMARY: 0.88, "tau[top50%]": 0.7})
    assert one.values[TEST] == [60, 61, 62, 63, 60, 61]


def test_lengths_and_settings_are_kept_apart(write: Writer) -> None:
    selector = {"name": "random_best", "samples": 90}
    folders = [
        write(*supernets([0.6, 0.7, 0.8], steps=400), folder="long"),
        write(*supernets([0.5, 0.6, 0.7], steps=100), folder="short"),
        write(*supernets([0.4, 0.5, 0.6], steps=50, config={"arm.selectors": selector}), folder="other selector"),
        write(*supernets([0.3] * 3, config={"arm.trainers": {"name": "darts"}}), folder="other trainer"),
    ]
    darts, rsps = known_of(*folders)
    assert (darts.setting.trainer["name"], rsps.setting.trainer["name"]) == ("darts", "rsps")
    assert [one.steps for one in rsps.lengths] == [50, 100, 400]
    assert rsps.lengths[0].selector == selector
    assert rsps.lengths[1].spent == {"flops": 1e8, "steps": 100, "examples": 6400}


def test_splits_and_incomplete_arms_are_left_out(write: Writer) -> None:
    tree = {"allowed": [[0, 1]], "stage": "s", "steps": 5, "edges": [0]}
    tree |= {"children": [{"allowed": [[0]], "stage": "l", "steps": 5}, {"allowed": [[1]], "stage": "r", "steps": 5}]}
    folder = write(
        *supernets([0.5, 0.6, 0.7], arm="gm", tree=tree),
        *supernets([0.5, 0.6], arm="none", expected_runs=3),
        *supernets([0.1, 0.2, None], arm="none collapsed"),
        *arm_records("of an unknown setting", [0.5, 0.6, 0.7]),
    )
    (supernet,) = known_of(folder)
    assert PRIMARY not in supernet.lengths[0].values  # a mean never leaves out a run that collapsed
    assert len(supernet.lengths[0].values["tau[top50%]"]) == 3


def test_the_table_is_read_as_it_was_written(write: Writer, tmp_path: Path) -> None:
    made = unsplit_table([write(*supernets([0.5, 0.6, 0.7]))])
    (tmp_path / "table.json").write_bytes(encode(made))
    assert unsplit.read_unsplit(tmp_path / "table.json") == tuple(made.supernets)
    (tmp_path / "table.json").write_text("{}")
    with pytest.raises(StoreError, match="damaged"):
        unsplit.read_unsplit(tmp_path / "table.json")
    with pytest.raises(StoreError, match="cannot be read"):
        unsplit.read_unsplit(tmp_path / "none.json")


# -- what a folder is told ---------------------------------------------------------------------------------------------


@pytest.fixture
def known(write: Writer) -> tuple[PublishedSupernet, ...]:
    """Three seeds of .5, .6, .7 at 100 steps, and of .7, .8, .9 at 1,600; further ones are 100 on."""
    return known_of(
        write(*supernets([0.5, 0.6, 0.7], steps=100), folder="published"),
        write(*supernets([0.7, 0.8, 0.9], steps=1600), folder="published longer"),
    )


def said(folder: Path, known: Sequence[PublishedSupernet]) -> tuple[str, ...]:
    loaded = load_runs(folder)
    return with_expected(leaderboards_of(loaded), loaded, known).boards[0].expected


HALF = 4.302653 * 0.1 * math.sqrt(1 / 3 + 1 / 3)
"""Of three published seeds, for a mean over three."""


@pytest.mark.parametrize(
    ("tau", "steps", "mean", "word"),
    [(0.6, 100, 0.6, "within"), (0.2, 100, 0.6, "below"), (0.99, 100, 0.6, "above"), (0.25, 400, 0.7, "below")],
)
def test_a_leaderboard_says_whether_a_supernet_is_normal(
    write: Writer, known: Sequence[PublishedSupernet], tau: float, steps: int, mean: float, word: str
) -> None:
    folder = write(*supernets([tau - 0.01, tau, tau + 0.01], steps=steps, first=100), folder="mine")
    (sentence,) = said(folder, known)
    limits = f"{mean - HALF:.3f} to {min(1.0, mean + HALF):.3f} for a mean over 3 seeds"
    start = f"none: tau[all] {tau:.3f} (3 seeds) is {word} what published runs of this setting lead to expect, {limits}"
    rest = ": something is wrong, or differs; one sound result in twenty lies outside, too."
    assert sentence == start + ("." if word == "within" else rest)
    boards = with_expected(leaderboards(folder), load_runs(folder), known)
    assert sentence in render.markdown(boards)
    assert json.loads(render.boards_json(boards))["expected"] == [sentence]


def test_one_seed_is_held_against_the_range_of_one(write: Writer, known: Sequence[PublishedSupernet]) -> None:
    (sentence,) = said(write(*supernets([0.5], first=100), folder="mine"), known)
    half = 4.302653 * 0.1 * math.sqrt(1 + 1 / 3)
    assert "tau[all] 0.500 (1 seed) is within" in sentence
    assert sentence.endswith(f"{0.6 - half:.3f} to 1.000 for one seed.")


def test_what_differs_and_no_setting_has_is_named(write: Writer, known: Sequence[PublishedSupernet]) -> None:
    config = {"common.space": {"name": "micro", "fingerprint": "micro-2", "recipe": 12}}
    folder = write(*supernets([0.1, 0.1, 0.1], first=100, config=config), folder="mine")
    (sentence,) = said(folder, known)
    assert "(known to differ: code micro-2, there micro-1; space.recipe is not known of one of them)" in sentence


def test_strings_are_named_so(write: Writer) -> None:
    words = "a uniform sample of 40 connected strings"
    strings = {"population": words, "config": {"study.population": {"sample": 40, "of": "strings"}}}
    published = known_of(write(*supernets([0.5, 0.6, 0.7], **strings), folder="published"))
    folder = write(*supernets([0.5, 0.6, 0.7], first=100, **strings), folder="mine")
    boards = with_expected(leaderboards(folder), load_runs(folder), published)
    assert "none: tau[all strings] 0.600 (3 seeds) is within" in render.markdown(boards)
    assert "tau[all strings]" in json.loads(render.boards_json(boards))["expected"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"arm.trainers": {"name": "rsps", "batch_size": 64, "learning_rate": 0.2}}},
        {"steps": 50},
        {"steps": 5000},
        {"best": 91.0},
        {"expected_runs": 4},
    ],
)
def test_where_nothing_is_known_nothing_is_said(
    write: Writer, known: Sequence[PublishedSupernet], changes: dict[str, Any]
) -> None:
    folder = write(*supernets([0.1, 0.1, 0.1], first=100, **changes), folder="mine")
    boards = leaderboards(folder)
    found = with_expected(boards, load_runs(folder), known)
    assert found == boards
    assert "expected" not in json.loads(render.boards_json(found))


def test_published_runs_are_not_held_against_themselves(write: Writer, known: Sequence[PublishedSupernet]) -> None:
    folder = write(*supernets([0.5, 0.6]), folder="mine")
    assert said(folder, known) == ()
    (one,) = judged(folder, known)
    assert one.itself
    assert one.word(PRIMARY) == "within"
    other = write(*supernets([0.5, 0.6000001]), folder="on another machine")
    assert "within" in said(other, known)[0]


def test_two_published_seeds_give_no_range(write: Writer) -> None:
    published = known_of(write(*supernets([0.5, 0.6]), folder="published"))
    folder = write(*supernets([0.1, 0.1, 0.1], first=100), folder="mine")
    assert said(folder, published) == ()
    (one,) = judged(folder, published)
    assert one.word(PRIMARY) is None


def test_what_another_selector_chose_is_not_compared(write: Writer, known: Sequence[PublishedSupernet]) -> None:
    folder = write(*supernets([0.6] * 3, first=100, config={"arm.selectors": {"name": "all"}}), folder="mine")
    (one,) = judged(folder, known)
    assert (one.word(PRIMARY), one.word(TEST)) == ("within", None)
    folder = write(*supernets([0.6] * 3, first=100), folder="same selector")
    (one,) = judged(folder, known)
    assert one.word(TEST) == "above"  # 160 to 162, as synthetic records have it


def test_the_nearest_setting_is_named(write: Writer, known: Sequence[PublishedSupernet]) -> None:
    config = {"arm.trainers": {"name": "rsps", "batch_size": 64, "learning_rate": 0.2}}
    folder = write(*supernets([0.1, 0.1, 0.1], config=config), folder="mine")
    (one,) = judged(folder, known)
    assert one.nearest == ("trainer.learning_rate 0.2, there 0.1",)
    (one,) = judge_unsplit(*tables(load_runs(folder).runs), ())
    assert one.nearest == ()
    other = write(*supernets([0.1] * 3, config={"arm.trainers": {"name": "darts"}}), folder="other trainer")
    config = {**config, "study.population": {"sample": None}, "common.precision": "bfloat16"}
    folder = write(*supernets([0.1, 0.1, 0.1], config=config), folder="far")
    (one,) = judged(folder, known_of(other, write(*supernets([0.5] * 3), folder="same trainer")))
    assert one.nearest == (
        "population.sample all, there 40",
        "precision bfloat16, there float32",
        "trainer.learning_rate 0.2, there 0.1",
    )


def test_a_folder_without_an_unsplit_supernet_is_refused(write: Writer, known: Sequence[PublishedSupernet]) -> None:
    with pytest.raises(ConfigError, match="no arm without a split is complete"):
        judged(write(*supernets([0.1, 0.1], expected_runs=3), folder="mine"), known)


def test_the_page_says_it_when_it_is_asked_to(
    write: Writer, known: tuple[PublishedSupernet, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsplit, "read_unsplit", lambda: known)
    folder = write(*supernets([0.2, 0.2, 0.2], first=100), folder="mine")
    words = b"is below what published runs of this setting lead to expect"
    assert words in page(folder, expected=True)
    assert words not in page(folder)


# -- what a question is answered ---------------------------------------------------------------------------------------


def test_a_question_is_answered_by_settings_that_have_what_it_names(
    write: Writer, known: Sequence[PublishedSupernet]
) -> None:
    found = expectation_report(
        Question(space={"name": "micro"}, trainer={"name": "rsps", "learning_rate": 0.1}, runs=3), known
    )
    assert found.exact
    assert [row.at.between[0].steps for row in found.rows] == [100, 1600]
    tau = found.rows[0].metrics[PRIMARY]
    assert tau is not None
    assert tau.low == pytest.approx(0.6 - HALF)


@pytest.mark.parametrize(("unit", "amount"), [("flops", 4e8), ("steps", 400.0), ("examples", 25600.0)])
def test_a_budget_may_be_in_any_unit(known: Sequence[PublishedSupernet], unit: str, amount: float) -> None:
    (row,) = expectation_report(Question(budget=(unit, amount)), known).rows
    tau = row.metrics[PRIMARY]
    assert tau is not None
    assert tau.mean == pytest.approx(0.7)
    assert len(row.at.between) == 2
    (row,) = expectation_report(Question(budget=(unit, amount / 100)), known).rows
    assert (row.at.outside, row.metrics[PRIMARY]) == (LOWEST, None)


def test_the_nearest_come_first_and_say_what_differs(write: Writer) -> None:
    trainers: list[dict[str, Any]] = [
        {"name": "rsps", "batch_size": 64, "learning_rate": 0.1},
        {"name": "rsps", "batch_size": 32, "learning_rate": 0.1},
        {"name": "darts"},
    ]
    folders = [
        write(*supernets([0.5, 0.6, 0.7], config={"arm.trainers": trainer}), folder=f"{number}")
        for number, trainer in enumerate(trainers)
    ]
    asked = {"name": "rsps", "batch_size": 64, "learning_rate": 0.2}
    found = expectation_report(Question(trainer=asked), known_of(*folders))
    assert not found.exact
    assert [row.differs for row in found.rows] == [
        ("trainer.learning_rate 0.1",),
        ("trainer.batch_size 32", "trainer.learning_rate 0.1"),
        ("trainer.name darts", "trainer.batch_size not known", "trainer.learning_rate not known"),
    ]
    assert told_apart([row.setting for row in found.rows]) == [
        "micro on digits, rsps: batch_size 64",
        "micro on digits, rsps: batch_size 32",
        "micro on digits, darts",
    ]


def test_a_space_that_nobody_published_is_said_so(known: Sequence[PublishedSupernet]) -> None:
    with pytest.raises(ConfigError, match="no unsplit supernet on nb201 is published; there are: micro on digits"):
        expectation_report(Question(space={"name": "nb201"}), known)
    with pytest.raises(ConfigError, match="there are: none"):
        expectation_report(Question(space={"name": "nb201"}), ())


@pytest.mark.parametrize("text", ["5e10", "flops", "flops=", "flops=-1", "flops=nan", "flops=inf", "seconds=9", "a=1"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(ConfigError, match=f"--budget {text}: .*flops"):
        parse_budget(text)


def test_a_budget() -> None:
    assert parse_budget("flops=5e10") == ("flops", 5e10)
