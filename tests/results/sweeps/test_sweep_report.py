"""A sweep's file, the curves that follow from it, and the words of its report."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from scipy import stats as scipy_stats
from synthetic_records import Writer, arm_records
from synthetic_sweeps import make_arm, make_sweep, make_trial, searching

from splitbench.harness.errors import SplitbenchError, StoreError
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.inference.stats import interval
from splitbench.results.publishing import publish_sweep
from splitbench.results.publishing.publish import publish
from splitbench.results.records.loading import load_runs
from splitbench.results.sweeps import sweep_report, sweep_tuned
from splitbench.results.sweeps.sweep import (
    SWEEP,
    best,
    chosen_difference,
    compare_chosen,
    curve,
    read_sweep,
    runs,
    spent_by_trials,
    value,
    write_sweep,
)
from splitbench.results.sweeps.sweep_words import component_words, domain_words, short_names
from splitbench.results.words.values import sampled_words


def published(**changes: Any) -> Any:
    return searching(2, 3, 9, study="toy-sweep", **changes)


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_sweep_is_read_as_it_was_written(tmp_path: Path) -> None:
    values: dict[str, Any] = {"a": True, "b": 1, "c": 1.0, "d": "gap[k=2]", "e": 1e-5}
    arm = make_arm("gm", [make_trial(0, [0.1], values=values)], own={"a": None, "b": 0, "c": 0.5, "d": "x", "e": False})
    wrote = make_sweep(arm, sampler={"name": "tpe", "startup": None}, seeds=1)
    path = write_sweep(tmp_path / "new", wrote)
    again = read_sweep(tmp_path / "new")
    assert again == wrote
    assert {key: type(one) for key, one in again.arms[0].trials[0].values.items()} == {
        key: type(one) for key, one in values.items()
    }
    assert type(again.arms[0].own["e"]) is bool
    before = path.read_bytes()
    assert write_sweep(tmp_path / "new", again).read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [SWEEP]


def test_numbers_are_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        make_trial(0, [math.nan])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "empty; start `splitbench sweep` again"),
        ('{"schema_version": 1, "splitbench": ', "truncated or not JSON"),
        ("[1]", "not a sweep of splitbench"),
        ('{"schema_version": 3}', "not a sweep of splitbench"),
        (
            '{"schema_version": 7, "splitbench": "9.1", "arms": 0}',
            "by splitbench 9.1 with schema 7; .* up to 1: upgrade",
        ),
        ('{"schema_version": 0, "splitbench": "9.1", "arms": 0}', "there is no schema 0"),
        ('{"schema_version": 1, "splitbench": "9.1", "arms": 0}', "invalid at 'optuna' \\(field required\\)"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / SWEEP).write_text(content)
    with pytest.raises(StoreError, match=sentence) as caught:
        read_sweep(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / SWEEP}: ")
    assert "\n" not in str(caught.value)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    content = make_sweep(make_arm()).model_dump(mode="json") | {"extra": 1}
    (tmp_path / SWEEP).write_text(json.dumps(content))
    with pytest.raises(StoreError, match="invalid at 'extra'"):
        read_sweep(tmp_path)


def test_no_sweep_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no sweep; name the --out folder of `splitbench sweep`"):
        read_sweep(tmp_path)
    (tmp_path / SWEEP).mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        read_sweep(tmp_path)


# -- curves ------------------------------------------------------------------------------------------------------------

TRIALS = [
    make_trial(0, [0.5], "pruned"),  # the best of all, and it never counts
    make_trial(1, [0.01, 0.02, 0.03]),
    make_trial(2, [], "infeasible", spent=1000.0, reason="it diverged"),
    make_trial(3, [0.02, 0.03, 0.01]),  # the same mean as slot 1
    make_trial(5, [0.00, 0.06, 0.03]),
]


def test_best_after_n_by_hand() -> None:
    arm = make_arm("gm", TRIALS)
    sweep = make_sweep(arm)
    points = curve(sweep, arm)
    assert [(point.n, point.runs, point.slot) for point in points] == [
        (1, 1, None),
        (2, 4, 1),
        (3, 5, 1),
        (4, 8, 1),
        (5, 11, 5),
    ]
    assert [point.best and point.best.mean for point in points] == pytest.approx([None, 0.02, 0.02, 0.02, 0.03])
    top = best(sweep, arm)
    assert top is not None
    assert top.slot == 5
    assert chosen_difference(sweep, arm) == points[-1].best == interval([0.00, 0.06, 0.03])
    assert spent_by_trials(arm) == 11000.0


def test_the_order_of_slots_counts_and_not_that_of_the_list() -> None:
    mixed = make_arm("gm", [TRIALS[4], TRIALS[3], TRIALS[0], TRIALS[1], TRIALS[2]])
    assert curve(make_sweep(mixed), mixed) == curve(make_sweep(mixed), make_arm("gm", TRIALS))


def test_less_is_better_where_the_metric_says_so() -> None:
    arm = make_arm("gm", TRIALS)
    sweep = make_sweep(arm, metric="regret[all]")
    assert sweep.lower_is_better
    assert [point.slot for point in curve(sweep, arm)] == [None, 1, 1, 1, 1]
    worse = make_arm("gm", [make_trial(0, [-0.1, -0.1]), make_trial(1, [-0.2, -0.2])])
    found = [best(make_sweep(worse, metric=metric, seeds=2), worse) for metric in ("regret[all]", "tau[all]")]
    assert [one.slot for one in found if one] == [1, 0]


def test_ties_go_to_the_lower_slot() -> None:
    for metric in ("tau[all]", "regret[all]"):
        arm = make_arm("gm", [make_trial(4, [0.1, 0.3]), make_trial(2, [0.3, 0.1]), make_trial(3, [0.2, 0.2])])
        top = best(make_sweep(arm, metric=metric, seeds=2), arm)
        assert top is not None
        assert top.slot == 2


def test_an_arm_without_a_complete_trial_has_chosen_nothing() -> None:
    arm = make_arm("gm", TRIALS[:1])
    sweep = make_sweep(arm, make_arm("none", TRIALS))
    assert best(sweep, arm) is None
    assert chosen_difference(sweep, arm) is None
    assert curve(sweep, arm)[0].best is None
    assert compare_chosen(sweep, arm, sweep.arms[1]) is None
    assert curve(sweep, make_arm("empty")) == []


def test_intervals_are_student_t() -> None:
    differences = [0.013, -0.02, 0.041, 0.007, 0.03]
    arm = make_arm("gm", [make_trial(0, differences)])
    found = chosen_difference(make_sweep(arm, seeds=5), arm)
    assert found is not None
    sem = scipy_stats.sem(differences)
    low, high = scipy_stats.t.interval(0.95, 4, loc=sum(differences) / 5, scale=sem)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    one = make_arm("gm", [make_trial(0, [0.1])])
    alone = chosen_difference(make_sweep(one, seeds=1), one)
    assert alone is not None
    assert (alone.mean, alone.low, alone.high) == (0.1, None, None)


def test_chosen_configurations_are_compared_seed_by_seed() -> None:
    a, b = [0.05, 0.01, 0.06], [0.01, 0.02, 0.01]
    first, second = make_arm("gm", [make_trial(0, a)]), make_arm("none", [make_trial(0, b)])
    found = compare_chosen(make_sweep(first, second), first, second)
    assert found is not None
    gaps = [0.04, -0.01, 0.05]
    assert found.mean == pytest.approx(sum(gaps) / 3)
    low, high = scipy_stats.t.interval(0.95, 2, loc=sum(gaps) / 3, scale=scipy_stats.sem(gaps))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_diverged_run_was_paid_for() -> None:
    """The engine charges a run that diverges as a whole one; it has no value."""
    sweep = make_sweep(make_arm())
    cases = [([], 0.0, 0), ([], 1000.0, 1), ([], 998.7, 1), ([0.1], 1996.0, 2), ([0.1, 0.2], 2000.0, 2)]
    for differences, paid, count in cases:
        assert runs(sweep, make_trial(0, differences, "infeasible", spent=paid)) == count
    assert runs(sweep, make_trial(0, [0.1, 0.2], "pruned", spent=3100.0)) == 2


def test_names_and_values_in_words() -> None:
    paths = ["trainer.learning_rate", "criterion.proxy.batches", "criterion.batches", "partitioner", "a.partitioner"]
    assert short_names(paths) == {
        "trainer.learning_rate": "learning_rate",
        "criterion.proxy.batches": "proxy.batches",
        "criterion.batches": "criterion.batches",
        "partitioner": "partitioner",
        "a.partitioner": "a.partitioner",
    }
    assert [sampled_words(one) for one in (True, 3, 0.031623, "gap", None)] == [
        "true",
        "3",
        "0.03162",
        "gap",
        "not set",
    ]
    assert domain_words([1, 2.5, "max_cut", {"name": "gap"}]) == '1, 2.5, max_cut, {"name": "gap"}'
    assert domain_words({"log": [0.005, 0.1]}) == "0.005 to 0.1, on a logarithmic scale"
    assert domain_words({"range": [1, 9], "step": 2}) == "1 to 9 in steps of 2"
    assert domain_words(None) == "-"
    assert component_words({"name": "tpe", "startup": 5, "constant_liar": True}) == (
        "tpe(constant_liar=true, startup=5)"
    )
    assert value(make_trial(0, [], "infeasible")) is None


# -- the report --------------------------------------------------------------------------------------------------------


def cells(text: str, title: str) -> list[list[str]]:
    """Rows of the table under a title, header first."""
    lines = text.split(f"**{title}", 1)[1].split("\n\n")[1].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [rows[0], *rows[2:]]


def by_hand(**changes: Any) -> Any:
    base = make_arm("none", [make_trial(0, [0.0, 0.01, 0.02]), *(make_trial(n, [-0.1], "pruned") for n in range(1, 6))])
    return make_sweep(make_arm("gm", TRIALS), base, trials=6, **changes)


def test_tables_by_hand() -> None:
    text = sweep_report.sweep_markdown(by_hand(complete=False))
    assert cells(text, "Search space") == [
        ["parameter", "values", "the study's own", "searched by"],
        ["trainer.learning_rate", "0.001 to 1, on a logarithmic scale", "0.1", "all"],
    ]
    low, high = scipy_stats.t.interval(0.95, 2, loc=0.03, scale=scipy_stats.sem([0.00, 0.06, 0.03]))
    assert cells(text, "Chosen by tau[all] on validation truth") == [
        ["arm", "chosen values", "less untuned none", "complete", "pruned", "infeasible", "runs used"],
        ["gm", "learning_rate 0.06", f"+0.030 [{low:+.3f}, {high:+.3f}]", "3", "1", "1", "11 of 18"],
        ["none", "learning_rate 0.01", "+0.010 [-0.015, +0.035]", "1", "5", "0", "8 of 18"],
    ]
    assert cells(text, "Best tau[all] less untuned none after n trials") == [
        ["arm", "after 1", "after 2", "after 4", "after 6"],
        ["gm", "none complete (1)", "+0.020 (4)", "+0.020 (8)", "not yet"],
        ["none", "+0.010 (3)", "+0.010 (4)", "+0.010 (6)", "+0.010 (8)"],
    ]
    assert cells(text, "Chosen configurations, on the seeds and the validation truth that they were tuned on") == [
        ["arm", "tau[all] less tuned none"],
        ["gm", "+0.020 [-0.046, +0.086]"],
    ]
    assert "This sweep is not finished: of 6 trials an arm there are gm 5, none 6; start it again to go on" in text
    assert "gm: 1 trial could not run: it diverged" in text
    assert (
        "6 trials an arm, each of at most 3 seeds; budget 1000 flops a run; so no arm may use more than 18 runs" in text
    )


def test_the_caveat_is_in_plain_words() -> None:
    text = sweep_report.sweep_markdown(by_hand())
    assert "The best of 6 trials is chosen on these seeds and this truth, so its number is optimistic" in text
    assert "fresh seeds against test truth: run `tuned.yaml` with `splitbench run` to have it" in text
    assert "gm: it has 5 of 6 trials, all that its sampler had to propose" in text
    assert "not finished" not in text


def test_an_arm_that_chose_nothing_says_so() -> None:
    lost = [make_trial(0, [0.1], "pruned"), make_trial(1, [], "infeasible", reason="no | step fits")]
    text = sweep_report.sweep_markdown(make_sweep(make_arm("none", TRIALS), make_arm("gm", lost), trials=5))
    assert "- gm: none of its 2 trials is complete, so nothing was chosen" in text
    assert "- gm: 1 trial could not run: no \\| step fits" in text
    assert cells(text, "Chosen by")[2][1:6] == ["-", "-", "0", "1", "1"]
    assert cells(text, "Chosen configurations, on")[1] == ["gm", "-"]


def test_one_arm_has_nothing_to_be_compared_with() -> None:
    text = sweep_report.sweep_markdown(make_sweep(make_arm("none", TRIALS)))
    assert "sweep of 1 arm," in text
    assert "Chosen configurations" not in text
    assert "differences of differences" not in text


def test_one_parameter_has_all_importance() -> None:
    text = sweep_report.sweep_markdown(make_sweep(make_arm("none", TRIALS)))
    assert cells(text, "Importance of each parameter") == [["arm", "learning_rate"], ["none", "1.00"]]
    assert "none searches one parameter, whose importance is 1 whatever it does" in text


def test_where_there_is_no_importance_it_says_why() -> None:
    arms = [make_arm("none", TRIALS), make_arm("gm", TRIALS, importance={}, importance_note="all values are equal")]
    text = sweep_report.sweep_markdown(make_sweep(*arms))
    assert "- gm has no importance: all values are equal." in text
    assert cells(text, "Importance")[2] == ["gm", "-"]
    none = sweep_report.sweep_markdown(make_sweep(make_arm("none", TRIALS, importance={})))
    assert "Importance of each" not in none
    assert "none has no importance: none is known." in none


def test_arms_with_parameters_and_values_of_their_own() -> None:
    more = {"trainer.learning_rate": 0.2, "criterion.repetitions": None}
    both = [make_arm("none", TRIALS), make_arm("gm", TRIALS, searched=sorted(more), own=more, reads_truth=True)]
    text = sweep_report.sweep_markdown(make_sweep(*both, search={p: [1, 2] for p in more}))
    assert cells(text, "Search space")[1:] == [
        ["criterion.repetitions", "1, 2", "not set", "gm †"],
        ["trainer.learning_rate", "1, 2", "none: 0.1; gm: 0.2", "all"],
    ]
    assert "† An oracle control" in text


def test_before_anything_has_run() -> None:
    sweep = make_sweep(make_arm("none", importance={}), trials=7, baseline_validation=[], complete=False)
    text = sweep_report.sweep_markdown(sweep)
    assert "The untuned none has not run yet." in text
    assert cells(text, "Best tau[all]")[1] == ["none", "not yet", "not yet", "not yet", "not yet"]
    assert "less is better" in sweep_report.sweep_markdown(make_sweep(make_arm("none"), metric="regret[all]"))


@pytest.mark.parametrize(("trials", "at"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (30, [1, 10, 20, 30])])
def test_where_curves_are_read(trials: int, at: list[int]) -> None:
    assert sweep_report.marks(trials) == at


def test_the_terminal_has_the_same_tables() -> None:
    text = io.StringIO()
    sweep_report.sweep_terminal(by_hand(), console=Console(file=text, width=200))
    shown = text.getvalue()
    for word in ("learning_rate 0.06", "11 of 18", "+0.020 (8)", "so its number is optimistic", "less tuned none"):
        assert word in shown
    assert "\\|" not in shown


def test_json_has_the_sweep_and_what_follows_from_it() -> None:
    sweep = by_hand()
    found = json.loads(sweep_report.sweep_json(sweep))
    assert {key: found[key] for key in sweep.model_dump()} == sweep.model_dump(mode="json")
    assert [point["runs"] for point in found["curves"]["gm"]] == [1, 4, 5, 8, 11]
    assert found["curves"]["gm"][0]["best"] is None
    assert found["chosen"]["gm"]["slot"] == 5
    assert found["chosen"]["gm"]["difference"]["mean"] == pytest.approx(0.03)
    assert found["spent"] == {"gm": 11000.0, "none": 8000.0}
    (compared,) = found["comparisons"]
    assert (compared["arm"], compared["against"]) == ("gm", "none")
    assert compared["difference"]["mean"] == pytest.approx(0.02)
    nothing = json.loads(sweep_report.sweep_json(make_sweep(make_arm("none"))))
    assert nothing["chosen"] == {"none": None}
    assert sweep_report.sweep_json(sweep) == sweep_report.sweep_json(sweep)


# -- the tuned study ---------------------------------------------------------------------------------------------------


def config(rate: float, **more: Any) -> dict[str, Any]:
    return {"arm": {"trainers": {"name": "rsps", "learning_rate": rate}, **more}}


def tuned_folder(write: Writer, **changes: Any) -> Path:
    """Against ``by_hand``: gm chose 0.06, none 0.01, and their own value is 0.1."""

    def records(arm: str, tau: float, rate: float, **more: Any) -> Any:
        taus: list[float | None] = [tau, tau + 0.02, tau + 0.04]
        validation = {"validation_metrics": {"tau[all]": tau + 0.005}}
        fixed = {"study": "toy-tuned", "baseline": arm == "none tuned", "config": config(rate), "protocol": "f02"}
        return arm_records(arm, taus, **validation | fixed | changes | more)

    return write(
        *records("none untuned", 0.50, 0.1),
        *records("gm untuned", 0.49, 0.1),
        *records("none tuned", 0.505, 0.01),
        *records("gm tuned", 0.512, 0.06),
        folder="tuned",
    )


def test_how_much_of_the_gain_is_left(write: Writer) -> None:
    folder = tuned_folder(write)
    text = sweep_report.sweep_markdown(by_hand(), folder)
    rows = cells(text, "The tuned study toy-tuned: fresh seeds, test truth")
    assert rows[0][:4] == ["arm", "values", "tau[all]", "difference to none tuned"]
    assert [row[:2] for row in rows[1:]] == [
        ["gm tuned", "tuned"],
        ["none tuned", "tuned"],
        ["none untuned", "the study's own"],
        ["gm untuned", "the study's own"],
    ]
    assert [row[3].split(" ")[0] for row in rows[1:]] == ["+0.007", "-", "-0.005", "-0.015"]
    assert rows[2][4] == "baseline"
    left = cells(text, "What is left of tuning's gains in tau[all]")
    assert [(row[0], row[1], row[3].split()[0], row[4].split()[0], row[5]) for row in left[1:]] == [
        ("gm", "untuned none", "+0.012", "+0.012", "40%"),  # 0.012 of 0.03
        ("gm", "tuned none", "+0.007", "+0.007", "35%"),  # 0.007 of 0.02
        ("none", "untuned none", "+0.005", "+0.005", "50%"),  # 0.005 of 0.01
    ]
    assert "fresh seeds against test truth: the last tables have it" in text
    assert "In the tuned study, less tuned none tells what is left" in text


def test_an_arm_with_other_values_than_the_chosen_is_told_apart(write: Writer) -> None:
    """As when the sweep went on after tuned.yaml was run."""
    folder = tuned_folder(write)
    sweep = by_hand()
    more = [*sweep.arms[0].trials, make_trial(6, [0.5, 0.5, 0.5])]
    later = make_sweep(make_arm("gm", more), sweep.arms[1], trials=7)
    text = sweep_report.sweep_markdown(later, folder)
    rows = {row[0]: row[1] for row in cells(text, "The tuned study")}
    assert rows["gm tuned"] == "other values"
    assert [row[0] for row in cells(text, "What is left")[1:]] == ["none"]


def test_a_tuned_study_without_arms_of_the_sweep_is_shown_alone(write: Writer) -> None:
    folder = write(*arm_records("other", [0.5, 0.6, 0.7], baseline=True), folder="tuned")
    text = sweep_report.sweep_markdown(by_hand(), folder)
    assert cells(text, "The tuned study")[1][:2] == ["other", "-"]
    assert "What is left" not in text


def test_an_incomplete_arm_of_the_tuned_study_has_no_number(write: Writer) -> None:
    folder = tuned_folder(write)
    next((folder / "records").glob("gm-tuned*r1-d0.json")).unlink()
    text = sweep_report.sweep_markdown(by_hand(), folder)
    row = next(row for row in cells(text, "The tuned study") if row[0] == "gm tuned")
    assert row[2:] == ["-", "-", "-", "incomplete: 2 of 3"]
    assert [row[0] for row in cells(text, "What is left")[1:]] == ["none"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"space": "nb201"}, "not the tuned study of toy, it is nb201 on digits and the sweep micro on digits"),
        ({"dataset": "cifar10"}, "it is micro on cifar10"),
    ],
)
def test_another_study_is_no_tuned_study(write: Writer, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence):
        sweep_report.sweep_markdown(by_hand(), tuned_folder(write, **changes))


def test_several_tables_are_no_tuned_study(write: Writer) -> None:
    tuned_folder(write)
    folder = write(*arm_records("none", [0.5], study="else"), folder="tuned")
    with pytest.raises(StoreError, match="it holds 2 leaderboards and not one"):
        sweep_report.sweep_sheet(by_hand(), folder)


@pytest.mark.parametrize(
    ("path", "wanted", "same"),
    [
        ("trainer.learning_rate", 0.06, True),
        ("trainer.learning_rate", 0.061, False),
        ("schedule.levels", 1, True),
        ("schedule.levels", True, False),
        ("partitioner", "gap[k=2]", True),
        ("partitioner", "gap", True),
        ("partitioner", "ga", False),
        ("criterion.proxy.batches", 4, True),
        ("criterion.edges", "0+1", True),
        ("criterion.flag", True, True),
        ("criterion.absent", 1, False),
        ("criterion.absent", "x", False),
    ],
)
def test_values_are_found_in_records(path: str, wanted: Any, same: bool) -> None:
    arm = config(
        0.06,
        schedule={"levels": 1},
        partitioners={"name": "gap", "k": 2},
        criteria={"name": "gm", "proxy": {"name": "plain", "batches": 4}, "edges": [0, 1], "flag": True},
    )["arm"]
    assert sweep_tuned._same(sweep_tuned.value_at_path(arm, path), wanted) is same


# -- folders -----------------------------------------------------------------------------------------------------------


def test_the_leaderboard_of_trials_warns_once(write: Writer) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]), *arm_records("gm [x=1]", [0.4, 0.7]))
    assert load_runs(folder).warnings == ()
    (folder / SWEEP).write_text("{}")
    loaded = load_runs(folder)
    (sentence,) = loaded.warnings
    assert sentence.startswith(
        "sweep.json: the arms beside it are trials of a sweep, so to take the best of this table"
    )
    assert loaded.notes == loaded.warnings == leaderboards(folder).warnings
    (outer,) = load_runs(folder.parent).warnings
    assert outer.startswith("out/sweep.json: ")


def test_a_sweep_without_records_is_no_reason_to_warn(write: Writer) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]))
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / SWEEP).write_text("{}")
    assert load_runs(folder.parent).warnings == ()


def sweep_folder(place: Path, **changes: Any) -> Path:
    write_sweep(place / "run", published(**changes))
    (place / "run" / "sweep.yaml").write_text("name: toy-sweep\n")
    (place / "run" / "records").mkdir(exist_ok=True)
    (place / "run" / "records" / "junk").write_text("left behind")
    return place / "run"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_sweep_is_published_without_its_records(tmp_path: Path) -> None:
    into = tmp_path / "published"
    assert publish(sweep_folder(tmp_path), into) == into / "toy-sweep.md"
    files = ["importance.svg", "slices.svg", "sweep.json", "sweep.yaml", "tuning.svg"]
    assert sorted(contents(into)) == ["toy-sweep.md", *(f"toy-sweep/{name}" for name in files)]
    text = (into / "toy-sweep.md").read_text()
    assert "[all numbers as JSON](toy-sweep/sweep.json), [the study file](toy-sweep/sweep.yaml)" in text
    for name in ("tuning", "slices", "importance"):
        assert f"](toy-sweep/{name}.svg)" in text
    assert text.index("tuning.svg") < text.index("**Search space**")


def test_a_published_sweep_is_made_anew_byte_for_byte(tmp_path: Path) -> None:
    into = tmp_path / "published"
    publish(sweep_folder(tmp_path), into)
    before = contents(into)
    (into / "toy-sweep.md").write_text("old")
    (into / "toy-sweep" / "pareto.svg").write_text("of an earlier version")
    publish(into / "toy-sweep", into)
    assert contents(into) == before
    publish(tmp_path / "run", into)
    assert contents(into) == before


def test_a_published_tuned_study_joins_the_page(tmp_path: Path, write: Writer) -> None:
    into = tmp_path / "published"
    publish(sweep_folder(tmp_path), into)
    sweep = read_sweep(into / "toy-sweep")
    trials = [best(sweep, arm) for arm in sweep.arms]
    for arm, trial in zip(sweep.arms, trials, strict=True):
        assert trial is not None
        own = {"trainers": {"learning_rate": trial.values["trainer.learning_rate"]}}
        own |= {"schedule": {"levels": trial.values["schedule.levels"]}}
        own |= {"partitioners": {"name": str(trial.values["partitioner"]).partition("[")[0]}}
        fixed = {"study": "toy-sweep-tuned", "baseline": arm.baseline, "config": {"arm": own}}
        folder = write(*arm_records(f"{arm.arm} tuned", [0.5, 0.6, 0.7], **fixed), folder="tuned")
    assert "The tuned study" not in (into / "toy-sweep.md").read_text()
    assert publish(folder, into) == into / "toy-sweep-tuned"
    text = (into / "toy-sweep.md").read_text()
    assert "**The tuned study toy-sweep-tuned: fresh seeds, test truth**" in text
    assert "[the tuned study](toy-sweep-tuned/leaderboard.md)" in text
    assert [row[:2] for row in cells(text, "What is left")[1:]] == [["criterion 1", "tuned none"]]
    before = contents(into)
    for folder in (into / "toy-sweep-tuned", into / "toy-sweep"):
        publish(folder, into)
    assert contents(into) == before


EDGES: dict[str, tuple[Any, Any, str | None]] = {
    "inside": ({"log": [0.01, 1.0]}, 0.1, None),
    "low": ({"log": [0.01, 1.0]}, 0.0125, "low"),
    "just inside": ({"log": [0.01, 1.0]}, 0.0127, None),  # 0.0126 is a twentieth of two decades up
    "high": ({"range": [0.0, 1.0]}, 0.95, "high"),
    "whole numbers": ({"range": [1, 9]}, 9, "high"),
    "few whole numbers": ({"range": [1, 4]}, 4, None),
    "few steps": ({"range": [0.0, 0.6], "step": 0.2}, 0.6, None),
    "steps": ({"range": [0.0, 1.0], "step": 0.2}, 1.0, "high"),
    "choices": ([0.1, 0.2], 0.2, None),
}


@pytest.mark.parametrize("case", EDGES)
def test_a_choice_at_the_end_of_its_range_is_told(case: str) -> None:
    domain, value, end = EDGES[case]
    trial = make_trial(0, [0.1, 0.2, 0.3]).model_copy(update={"values": {"a.b": value}})
    sweep = make_sweep(make_arm("none", [trial]), search={"a.b": domain})
    told = "lies at the" in sweep_report.sweep_markdown(sweep)
    assert told == (end is not None)
    if end is not None:
        text = sweep_report.sweep_markdown(sweep)
        assert f"none: the chosen a.b of {value:.4g} lies at the {end} end of what was searched" in text


def test_a_published_control_is_in_the_page_of_its_sweep(tmp_path: Path) -> None:
    """Whichever of the two is published first."""
    folder, into = sweep_folder(tmp_path), tmp_path / "published"
    publish(folder, into)
    assert "## Control" not in (into / "toy-sweep.md").read_text()
    planted = read_sweep(folder).model_copy(update={"study": "toy-sweep-planted"})
    write_sweep(tmp_path / "planted", planted)
    publish(tmp_path / "planted", into)
    text = (into / "toy-sweep.md").read_text()
    section = text[text.index("## Control: a planted optimum") :]
    assert "[its own page](toy-sweep-planted.md)" in section
    assert "](toy-sweep-planted/tuning.svg)" in section
    assert section.count("**Chosen by tau[all] on validation truth**") == 1
    before = contents(into)
    for name in ("toy-sweep-planted", "toy-sweep"):
        publish(into / name, into)
    assert contents(into) == before


def test_an_unfinished_sweep_is_not_published(tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path, complete=False)
    write_sweep(folder, read_sweep(folder).model_copy(update={"trials": 30}))
    with pytest.raises(SplitbenchError, match=r"not finished \(none has 9 of 30 trials, criterion 1 has 9 of 30"):
        publish(folder, tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_a_damaged_sweep_is_not_published(tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path)
    (folder / SWEEP).write_text("{")
    with pytest.raises(StoreError, match="truncated"):
        publish(folder, tmp_path / "published")
    assert not (tmp_path / "published").exists()


@pytest.mark.parametrize("study", ["..", "a/b", "", "a b"])
def test_a_sweep_whose_study_is_no_name_is_not_published(tmp_path: Path, study: str) -> None:
    write_sweep(tmp_path / "run", searching(2, 2, 3, study=study))
    with pytest.raises(SplitbenchError, match="its sweep names the study .*, which is no name"):
        publish(tmp_path / "run", tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_what_is_published_under_another_kind_is_not_replaced(tmp_path: Path, write: Writer) -> None:
    into = tmp_path / "published"
    (into).mkdir()
    (into / "toy-sweep.md").write_text("the gate's page")
    folder = sweep_folder(tmp_path)
    with pytest.raises(SplitbenchError, match=r"toy-sweep\.md is something else's page"):
        publish(folder, into)
    assert contents(into) == {"toy-sweep.md": b"the gate's page"}
    (into / "toy-sweep.md").unlink()
    study = write(*arm_records("none", [0.5, 0.6], study="toy-sweep"), folder="study")
    publish(study, into)
    before = contents(into)
    with pytest.raises(SplitbenchError, match="holds a study of that name"):
        publish(folder, into)
    assert contents(into) == before


def test_a_study_does_not_replace_a_published_sweep(tmp_path: Path, write: Writer) -> None:
    into = tmp_path / "published"
    publish(sweep_folder(tmp_path), into)
    before = contents(into)
    study = write(*arm_records("none", [0.5, 0.6], study="toy-sweep"), folder="study")
    with pytest.raises(SplitbenchError, match="holds a sweep of that name"):
        publish(study, into)
    assert contents(into) == before


def test_pictures_that_cannot_be_drawn_are_left_out(tmp_path: Path) -> None:
    lost = make_arm("none", [make_trial(0, [], "infeasible")], importance={}, importance_note="nothing ran")
    write_sweep(tmp_path / "run", make_sweep(lost, study="lost"))
    publish(tmp_path / "run", tmp_path / "published")
    assert publish_sweep.sweep_pictures(read_sweep(tmp_path / "run")) == {}
    assert sorted(contents(tmp_path / "published")) == ["lost.md", "lost/sweep.json"]
