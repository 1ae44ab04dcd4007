"""Pictures of sweeps: what they show is what the sweep holds, no words overlap, and the files are stable."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from drawn_figures import by_gid, gids, overlaps, texts
from matplotlib.colors import to_hex
from synthetic_records import Writer, arm_records
from synthetic_sweeps import make_arm, make_sweep, make_trial, searching

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.plots import KINDS, catalogue, style
from splitbench.results.plots.of_sweeps import importance, slices, tuning
from splitbench.results.plots.source import CannotDrawError, Options, open_folder
from splitbench.results.sweeps.sweep import SWEEP, chosen_difference, curve, write_sweep

DRAWN = (tuning.tuning_figure, slices.slices_figure, importance.importance_figure)
LONG = [f"a criterion with quite a long name(partitioner=max_cut, repetitions={index})" for index in range(12)]


def words(figure: Any) -> set[str]:
    return {text.get_text() for text in texts(figure)}


def smallest(figure: Any) -> float:
    return min(text.get_fontsize() for text in texts(figure))


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_curves_are_those_of_the_sweep() -> None:
    sweep = searching(3, 2, 15)
    figure = tuning.tuning_figure(sweep, Options())
    for arm in sweep.arms:
        points = [point for point in curve(sweep, arm) if point.best is not None]
        means = [point.best.mean for point in points if point.best is not None]
        for what, places in (("trials", [p.n for p in points]), ("runs", [p.runs for p in points])):
            line = by_gid(figure, f"{what} {arm.arm}")
            assert line.get_drawstyle() == "steps-post"
            assert list(line.get_xdata()) == places
            assert list(line.get_ydata()) == means
        end = chosen_difference(sweep, arm)
        assert end is not None
        assert list(by_gid(figure, f"interval {arm.arm}").get_ydata()) == [end.low, end.high]
        assert list(by_gid(figure, f"end {arm.arm}").get_ydata()) == [end.mean]
    assert not overlaps(figure)
    assert "3 seeds" in " ".join(words(figure))
    assert {"none with the study's own values", "runs used, of 45 allowed"} <= words(figure)


def test_trials_that_ended_before_are_marked() -> None:
    trials = [
        make_trial(0, [0.1], "pruned"),
        make_trial(1, [0.1, 0.2, 0.3]),
        make_trial(2, [], "infeasible", spent=1000.0, reason="too small"),
        make_trial(3, [0.1, 0.1], "pruned"),
    ]
    figure = tuning.tuning_figure(make_sweep(make_arm("none", trials)), Options())
    assert list(by_gid(figure, "trials pruned none").get_xdata()) == [1, 4]
    assert list(by_gid(figure, "runs pruned none").get_xdata()) == [1, 7]
    assert list(by_gid(figure, "trials infeasible none").get_xdata()) == [3]
    assert list(by_gid(figure, "runs infeasible none").get_xdata()) == [5]
    assert list(by_gid(figure, "trials none").get_xdata()) == [2, 3, 4]
    assert not overlaps(figure)


def test_absurd_trials_do_not_press_the_others_together() -> None:
    good = [make_trial(slot, [0.01 * slot, 0.02 * slot, 0.015 * slot]) for slot in range(1, 5)]
    for metric, sign in (("tau[all]", 1), ("regret[all]", -1)):
        flipped = [make_trial(t.slot, [sign * d for d in t.differences]) for t in good]
        sweep = make_sweep(make_arm("none", [make_trial(0, [sign * -50.0] * 3), *flipped]), metric=metric)
        shown = tuning.limits(sweep)
        assert shown.high - shown.low < 0.5
        assert shown.outside(sign * -50.0)
        assert shown.low < shown.held(sign * -50.0) < shown.high
        for trial in flipped:
            assert not any(shown.outside(d) for d in [sum(trial.differences) / 3])
        expected = "worse, below what is shown" if sign == 1 else "worse, above what is shown"
        for draw in (tuning.tuning_figure, slices.slices_figure):
            figure = draw(sweep, Options())
            assert expected in words(figure)
            assert not overlaps(figure)


def test_the_best_arm_stands_on_top() -> None:
    a = make_arm("a", [make_trial(0, [0.1, 0.1, 0.1])])
    b = make_arm("b", [make_trial(0, [0.2, 0.2, 0.2])])
    assert [arm.arm for arm in tuning.ordered(make_sweep(a, b, make_arm("c")))] == ["b", "a"]
    assert [arm.arm for arm in tuning.ordered(make_sweep(a, b, metric="regret[all]"))] == ["a", "b"]


def test_arms_look_alike_in_every_picture() -> None:
    sweep = searching(4, 2, 9)
    look = tuning.looks(sweep)
    assert look["none"].colour == style.INK
    assert len({(one.colour, one.marker) for one in look.values()}) == 4
    drawn = tuning.tuning_figure(sweep, Options()), slices.slices_figure(sweep, Options())
    for arm, one in look.items():
        assert to_hex(by_gid(drawn[0], f"trials {arm}").get_color()) == one.colour
        (ring, *_) = gids(drawn[1], f"chosen trainer.learning_rate {arm}")
        assert to_hex(ring.get_markeredgecolor()) == one.colour


def test_slices_hold_every_trial_that_ran_a_seed() -> None:
    trials = [
        make_trial(0, [0.1, 0.2, 0.3], values={"trainer.learning_rate": 0.01, "partitioner": "gap"}),
        make_trial(1, [0.1], "pruned", values={"trainer.learning_rate": 0.1, "partitioner": "balanced"}),
        make_trial(2, [], "infeasible", values={"trainer.learning_rate": 1.0, "partitioner": "gap"}),
        make_trial(3, [0.0, 0.1, 0.2], values={"trainer.learning_rate": 0.5}),  # has no partitioner
    ]
    search = {"trainer.learning_rate": {"log": [0.001, 1.0]}, "partitioner": ["balanced", "gap"]}
    arm = make_arm("none", trials, searched=sorted(search), own={"trainer.learning_rate": 0.1, "partitioner": "gap"})
    figure = slices.slices_figure(make_sweep(arm, search=search), Options())
    assert len(gids(figure, "trainer.learning_rate none")) == 3
    assert len(gids(figure, "partitioner none")) == 2
    point = by_gid(figure, "trainer.learning_rate none 0")
    assert (point.get_xdata()[0], point.get_ydata()[0]) == pytest.approx((-2.0, 0.2))
    assert by_gid(figure, "trainer.learning_rate none 1").get_marker() == "x"
    assert by_gid(figure, "partitioner none 0").get_xdata()[0] == 1.0
    assert by_gid(figure, "partitioner none 1").get_xdata()[0] == 0.0
    assert by_gid(figure, "chosen partitioner none").get_ydata()[0] == pytest.approx(0.2)
    assert by_gid(figure, "own trainer.learning_rate").get_xdata()[0] == pytest.approx(-1.0)
    assert not overlaps(figure)


def test_choices_stand_in_the_study_files_order() -> None:
    arm = make_arm("none", [make_trial(0, [0.1], values={"x": 8}), make_trial(1, [0.1], values={"x": "gone"})], own={})
    found = slices.scale(make_sweep(arm, search={"x": [8, 2, 0.5, True]}), "x", 2.0)
    assert [text for _, text in found.ticks] == ["8", "2", "0.5", "true", "gone"]
    assert (found.place(8), found.place("gone"), found.choices) == (0.0, 4.0, True)


def test_ranges_have_few_round_ticks() -> None:
    arm = make_arm("none", [make_trial(0, [0.1], values={"x": 3, "y": 0.25})], own={})
    sweep = make_sweep(arm, search={"x": {"range": [1, 9]}, "y": {"range": [0.1, 0.5], "step": 0.1}})
    whole, stepped = (slices.scale(sweep, path, 2.0) for path in "xy")
    assert all(float(text).is_integer() and 1 <= place <= 9 for place, text in whole.ticks)
    assert (whole.place(3), whole.apart) == (3.0, 0.6)
    assert stepped.apart == pytest.approx(0.06)
    plain = slices.scale(make_sweep(arm, search={"y": {"range": [0.1, 0.5]}}), "y", 2.0)
    assert plain.apart is None


@pytest.mark.parametrize(
    ("low", "high", "across", "ticks"),
    [
        (0.005, 0.1, 3.0, [0.005, 0.01, 0.02, 0.05, 0.1]),
        (0.001, 1.0, 2.0, [0.001, 0.01, 0.1, 1.0]),
        (1e-9, 1.0, 1.6, None),
        (0.03, 0.04, 2.0, None),
    ],
)
def test_logarithmic_ticks(low: float, high: float, across: float, ticks: list[float] | None) -> None:
    found = slices.log_ticks(low, high, across)
    assert found
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in found)
    if ticks is not None:
        assert found == pytest.approx(ticks)


def test_importance_has_one_order_for_all_arms() -> None:
    shares = {"a": {"x.p": 0.1, "x.q": 0.9}, "b": {"x.p": 0.3, "x.q": 0.7}}
    arms = [make_arm(name, searched=["x.p", "x.q"], own={}, importance=own) for name, own in shares.items()]
    lost = make_arm("c", searched=["x.p"], own={}, importance={}, importance_note="all values are the same " * 9)
    part = make_arm("d", searched=["x.p"], own={}, importance={"x.p": 1.0})
    sweep = make_sweep(*arms, lost, part, search={"x.p": [1, 2], "x.q": [1, 2]})
    assert importance.order(sweep) == ["x.q", "x.p"]  # 1.6 and 1.4
    figure = importance.importance_figure(sweep, Options())
    assert by_gid(figure, "a x.q").get_width() == pytest.approx(0.9)
    assert by_gid(figure, "b x.p").get_width() == pytest.approx(0.3)
    shown = words(figure)
    assert {"a", "b", "c", "d", "0.90", "0.30", "not searched"} <= shown
    assert any(text.startswith("none: all values") for text in shown)
    assert not overlaps(figure)


# -- that it can be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize(("arms", "parameters"), [(1, 1), (1, 6), (2, 3), (5, 2), (12, 1), (12, 6)])
def test_one_to_twelve_arms_and_one_to_six_parameters(draw: Any, arms: int, parameters: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(searching(arms, parameters, 9), Options())
        found = overlaps(figure)
        style.svg(figure)
    assert not found
    assert smallest(figure) >= 8
    assert figure.get_size_inches()[0] <= 11


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_long_names_and_values(draw: Any) -> None:
    sweep = searching(parameters=6, trials=9, names=LONG, metric="regret[all]")
    choices = ["a partitioner with a name of its own[k=2]", "balanced", "another with quite a long name", "gap[k=3]"]
    arms = [
        arm.model_copy(
            update={
                "trials": [
                    t.model_copy(update={"values": {**t.values, "partitioner": choices[t.slot % 4]}})
                    for t in arm.trials
                ]
            }
        )
        for arm in sweep.arms
    ]
    named = {"arms": arms, "search": {**sweep.search, "partitioner": choices}, "study": "s" * 70}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(sweep.model_copy(update=named), Options())
        assert not overlaps(figure)


def test_more_arms_than_can_be_told_apart_are_grey() -> None:
    sweep = searching(16, 2, 8)
    look = tuning.looks(sweep)
    assert sum(one is tuning.GREY for one in look.values()) == 4
    assert look["none"] is tuning.BASELINE
    for draw in DRAWN:
        figure = draw(sweep, Options())
        assert not overlaps(figure)
    assert any("In grey: the 4 arms" in text for text in words(tuning.tuning_figure(sweep, Options())))


def test_one_seed_has_no_intervals() -> None:
    sweep = searching(2, 2, 9, seeds=1)
    figure = tuning.tuning_figure(sweep, Options())
    assert not gids(figure, "interval")
    assert len(gids(figure, "end")) == 2
    assert any("up to 1 seed of" in text for text in words(figure))
    assert not overlaps(figure)


def test_an_unfinished_sweep_says_so() -> None:
    lost = make_arm("gm", [make_trial(0, [0.1], "pruned")], reads_truth=True)
    sweep = make_sweep(make_arm("none", [make_trial(0, [0.1, 0.2, 0.3])]), lost, complete=False, trials=9)
    for draw in (tuning.tuning_figure, slices.slices_figure):
        shown = " ".join(words(draw(sweep, Options())))
        assert "The sweep is not finished. Without a complete trial: gm †." in shown
        assert "† oracle control" in shown


def test_what_cannot_be_drawn_is_a_sentence() -> None:
    empty = make_sweep(make_arm("none", importance={}, importance_note="the sweep is not over"))
    for draw, sentence in (
        (tuning.tuning_figure, "no trial of the sweep is complete"),
        (slices.slices_figure, "no trial of the sweep ran a seed"),
        (importance.importance_figure, "no arm has importances: the sweep is not over"),
    ):
        with pytest.raises(CannotDrawError, match=sentence):
            draw(empty, Options())
    with pytest.raises(CannotDrawError, match="searches no parameter"):
        slices.slices_figure(make_sweep(make_arm("none", searched=[]), search={}), Options())


def test_equal_sweeps_give_equal_bytes() -> None:
    for draw in DRAWN:
        first, second = (style.svg(draw(searching(3, 4, 12), Options())) for _ in range(2))
        assert first == second
        assert not re.search(rb"href=\"http", first)


# -- folders -----------------------------------------------------------------------------------------------------------


def kinds(source: Any, asked: bool = False) -> dict[str, list[str] | str]:
    """By kind: the names of its pictures, or why there are none."""
    found: dict[str, list[str] | str] = {}
    for kind in KINDS:
        try:
            shown = source if asked else catalogue.unasked(source, kind)
            found[kind] = [drawing.name for drawing in catalogue.drawings(shown, kind, Options())]
        except CannotDrawError as error:
            found[kind] = str(error)
    return found


def test_a_folder_of_a_sweep_alone_gives_its_pictures(tmp_path: Path) -> None:
    write_sweep(tmp_path, searching(2, 2, 6))
    source = open_folder(tmp_path)
    assert (source.tables, source.warnings) == ((), ())
    catalogue.check_metric(source, Options())
    found = kinds(source)
    assert {kind: names for kind, names in found.items() if isinstance(names, list)} == {
        "tuning": ["tuning"],
        "slices": ["slices"],
        "importance": ["importance"],
    }
    assert found["tree"] == found["ranking"] == found["critical_difference"] == "the folder holds no record"


def test_a_folder_without_a_sweep_says_so_once_a_kind(write: Writer) -> None:
    found = kinds(open_folder(write(*arm_records("none", [0.5, 0.6]))))
    for kind in ("tuning", "slices", "importance"):
        assert found[kind] == "the folder holds no sweep, which `splitbench sweep` makes"


def trials_folder(write_records: Writer, arms: int = 30) -> Path:
    """The records of a sweep: the baseline, a complete trial in five, and pruned ones."""
    records = arm_records("none", [0.5, 0.6, 0.7])
    for index in range(arms):
        taus: list[float | None] = [0.4, 0.5, 0.6]
        records += arm_records(f"gm [x={index}]", taus if index % 5 == 0 else taus[: 1 + index % 2], expected_runs=3)
    folder = write_records(*records)
    write_sweep(folder, searching(2, 2, 6))
    return folder


def test_pruned_trials_are_told_in_one_sentence(write: Writer) -> None:
    source = open_folder(trials_folder(write))
    assert [table.trials for table in source.tables] == [True]
    assert len(source.warnings) == 2
    assert source.warnings[0].startswith("sweep.json: the arms beside it are trials of a sweep")
    assert source.warnings[1] == (
        "toy: micro on digits: 24 trials of the sweep are in no picture of means, because they ran only some of the "
        "seeds"
    )
    found = kinds(source)
    assert [kind for kind, names in found.items() if isinstance(names, list)] == ["tuning", "slices", "importance"]
    for kind in ("ranking", "pareto", "scatter"):
        assert found[kind] == "it shows arms, and these are trials of a sweep; ask with --kind"
    asked = kinds(source, asked=True)
    assert asked["ranking"] == ["ranking"]
    assert isinstance(asked["pareto"], list)
    for kind in ("affinity", "tree", "scatter"):
        assert asked[kind] == "it draws arm by arm, and there are 31, more than 12; name those you want with --arm"


def test_named_trials_are_drawn_one_by_one(write: Writer) -> None:
    folder = trials_folder(write)
    source = open_folder(folder, ["gm [x=0]", "gm [x=1]"])
    assert source.warnings[1].endswith(
        "1 trial of the sweep is in no picture of means, because it ran only some of the seeds"
    )
    found = kinds(source, asked=True)
    assert len(found["tree"]) == 2
    assert found["tuning"] == "the folder holds no sweep of the arms named"
    swept = kinds(open_folder(folder, ["criterion 1"]))
    assert swept["tuning"] == ["tuning"]
    assert swept["ranking"] == "the folder holds no record of the arms named"
    with pytest.raises(ConfigError, match=r"there is no arm 'gn'.*criterion 1, gm \[x=0\]"):
        open_folder(folder, ["gn"])


def test_named_arms_of_a_sweep_alone(tmp_path: Path) -> None:
    write_sweep(tmp_path, searching(3, 2, 6))
    (sweep,) = open_folder(tmp_path, ["criterion 2"]).sweeps
    assert [arm.arm for arm in sweep.arms] == ["criterion 2"]
    for kind in ("tuning", "slices", "importance"):
        (drawing,) = catalogue.drawings(open_folder(tmp_path, ["criterion 2"]), kind, Options())
        assert not overlaps(drawing.draw())


def test_a_folder_of_several_sweeps_names_its_pictures(tmp_path: Path) -> None:
    for study in ("one", "two"):
        write_sweep(tmp_path / study, searching(2, 2, 6, study=study))
    assert kinds(open_folder(tmp_path))["tuning"] == ["tuning--one", "tuning--two"]
    write_sweep(tmp_path / "again", searching(2, 2, 6, study="one"))
    names = kinds(open_folder(tmp_path))["tuning"]
    assert len(set(names)) == 3


def test_a_sweep_beside_other_studies_leaves_them_their_pictures(write: Writer) -> None:
    write(*arm_records("none", [0.5, 0.6, 0.4]), *arm_records("gm", [0.4, 0.7, 0.4]), folder="all/study")
    folder = write(*arm_records("none", [0.5] * 3, study="swept"), folder="all/swept").parent
    from splitbench.results.sweeps.sweep import write_sweep as write_sweep

    write_sweep(folder / "swept", searching(2, 2, 6, study="swept"))
    found = kinds(open_folder(folder))
    assert found["critical_difference"] == ["critical_difference"]  # of the one table that is no sweep's
    assert found["ranking"] == ["ranking"]
    assert len(kinds(open_folder(folder), asked=True)["ranking"]) == 2


def test_a_damaged_sweep_is_a_warning_beside_records(write: Writer, tmp_path: Path) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]))
    (folder / SWEEP).write_text("{")
    source = open_folder(folder)
    assert any("sweep.json: truncated or not JSON" in warning for warning in source.warnings)
    assert len(source.tables) == 1
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / SWEEP).write_text("{")
    with pytest.raises(StoreError, match="truncated or not JSON"):
        open_folder(tmp_path / "alone")


def test_damaged_records_beside_a_sweep_are_a_warning(tmp_path: Path) -> None:
    write_sweep(tmp_path, searching(2, 2, 6))
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a--r0-d0.json").write_text("{")
    source = open_folder(tmp_path)
    assert len(source.sweeps) == 1
    assert any("no usable record" in warning for warning in source.warnings)
