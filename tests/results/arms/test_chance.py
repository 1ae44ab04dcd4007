"""Arms against random groups of the same sizes: which control a run has, and what is made of the differences."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic_records import arm_records, make_record

from splitbench.results.arms import controls
from splitbench.results.arms.arms import tables
from splitbench.results.arms.controls import NO_CONTROL, NO_VALUE, against_chance, is_random, pattern
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.inference import stats
from splitbench.results.records.loading import load_runs
from splitbench.results.records.record import NodeRecord, Record
from splitbench.results.words import render

Writer = Callable[..., Path]
SCHEDULE = {"levels": 1, "weights": "inherit"}
MOMENTUM = [{"name": "momentum_groups"}]


def tree(*splits: list[list[int]]) -> dict[str, Any]:
    """A root that is split at edges 0, 1, ... at once into these groups."""
    leaves = [
        {"allowed": [sorted(group) for group in chosen], "stage": "x", "steps": 1}
        for chosen in itertools.product(*splits)
    ]
    scores = {
        str(edge): {
            "operations": sorted(op for group in groups for op in group),
            "dissimilarity": [[0.0]],
            "standard_error": [[0.0]],
            "repetitions": 0,
            "groups": groups,
            "cut": 0.0,
        }
        for edge, groups in enumerate(splits)
    }
    node = {"allowed": [[0]], "stage": "x", "steps": 1, "edges": list(range(len(splits))), "scores": scores}
    return node | {"children": leaves}


TWO_THREE = tree([[0, 1], [2, 3, 4]])
THREE_TWO = tree([[1, 3, 4], [0, 2]])
ONE_FOUR = tree([[0, 1, 2, 4], [3]])


def parts(
    criterion: str, schedule: dict[str, Any] = SCHEDULE, modifiers: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    names = {"partitioners": "balanced", "edge_rules": "normalised_max_cut"}
    if criterion == "random":
        names = {"partitioners": "random_groups", "edge_rules": "random_edge"}
    specs = {kind: {"name": name} for kind, name in (names | {"criteria": criterion, "trainers": "rsps"}).items()}
    return {"arm": {**specs, "schedule": schedule} | ({} if modifiers is None else {"modifiers": modifiers})}


def split(arm: str, taus: list[float | None], shape: dict[str, Any], **changes: Any) -> list[Record]:
    config = parts(changes.pop("criterion", arm), changes.pop("schedule", SCHEDULE), changes.pop("modifiers", None))
    return arm_records(arm, taus, tree=shape, config=config, **changes)


def chances(folder: Path) -> Any:
    (arms,) = tables(load_runs(folder).runs)
    return against_chance(arms, "tau[all]").by_arm


def without(folder: Path) -> dict[str, str]:
    (arms,) = tables(load_runs(folder).runs)
    return dict(against_chance(arms, "tau[all]").without)


def test_sizes_alone_make_a_pattern() -> None:
    def of(content: dict[str, Any]) -> Any:
        return pattern(NodeRecord.model_validate(content))

    assert of(TWO_THREE) == of(THREE_TWO) != of(ONE_FOUR)
    assert of(tree([[0], [1, 2]], [[3, 4], [0, 1, 2]])) == of(tree([[0, 1], [2, 3, 4]], [[0], [3, 4]]))
    deeper = TWO_THREE | {"children": [ONE_FOUR, TWO_THREE["children"][0]]}
    assert of(deeper) != of(TWO_THREE)


def test_a_run_is_held_against_random_runs_of_its_sizes_in_its_repetition(write: Writer) -> None:
    draws = [make_record("even", r, tau, draw=d, tree=TWO_THREE, config=parts("random"), expected_runs=6)
             for r, taus in enumerate([(0.5, 0.7), (0.4, 0.4), (0.1, 0.3)]) for d, tau in enumerate(taus)]  # fmt: skip
    folder = write(
        *arm_records("none", [0.9, 0.9, 0.9]),
        *draws,
        *split("odd", [0.2, 0.3, 0.4], ONE_FOUR, criterion="random"),
        *split("gm", [0.65, 0.45, 0.25], THREE_TWO),
        *split("snip", [0.1, 0.5, 0.3], ONE_FOUR),
        *split("wide", [0.5, 0.5, 0.5], tree([[0], [1], [2]])),
    )
    found = chances(folder)
    assert set(found) == {"gm", "snip"}
    assert without(folder) == {"wide": NO_CONTROL}, "none is not split, and random arms are the controls"
    assert found["gm"].sizes == "2|3"
    assert found["gm"].controls == ("even",)
    expected = stats.interval([0.65 - 0.6, 0.45 - 0.4, 0.25 - 0.2])
    assert found["gm"].difference.mean == pytest.approx(expected.mean)
    assert found["gm"].difference.low == pytest.approx(expected.low)
    assert found["snip"].difference.mean == pytest.approx((-0.1 + 0.2 - 0.1) / 3, abs=1e-12)
    ps = stats.holm([stats.sign_flip_p([0.05] * 3), stats.sign_flip_p([-0.1, 0.2, -0.1])])
    assert [found["gm"].p, found["snip"].p] == pytest.approx(ps)


def test_each_run_is_looked_at_once(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Holding every run against every control takes the square of their number."""
    arms = [split(f"gm-{i}", [0.5, 0.6], TWO_THREE, criterion="gm") for i in range(6)]
    draws = [make_record("even", r, 0.1 * d, draw=d, tree=TWO_THREE, config=parts("random"), expected_runs=12)
             for r in range(2) for d in range(6)]  # fmt: skip
    folder = write(*(record for arm in arms for record in arm), *draws)
    looked: list[NodeRecord] = []

    def counted(node: NodeRecord) -> Any:
        looked.extend([node] if node.children else [])
        return pattern(node)

    monkeypatch.setattr(controls, "pattern", counted)
    found = chances(folder)
    assert {name: chance.difference.n for name, chance in found.items()} == {f"gm-{i}": 2 for i in range(6)}
    assert found["gm-0"].difference.mean == pytest.approx(0.55 - 0.25)
    assert len(looked) == 6 * 2 + 2 * 6


def test_the_control_follows_the_sizes_that_an_arm_has_in_each_seed(write: Writer) -> None:
    shapes = [TWO_THREE, ONE_FOUR]
    mixed = [
        make_record("cut", r, 0.5, tree=shape, config=parts("cut"), expected_runs=2) for r, shape in enumerate(shapes)
    ]
    folder = write(
        *mixed,
        *split("even", [0.1, 0.2], TWO_THREE, criterion="random"),
        *split("odd", [0.3, 0.45], ONE_FOUR, criterion="random"),
    )
    chance = chances(folder)["cut"]
    assert chance.sizes == "1|4 or 2|3"
    assert chance.controls == ("even", "odd")
    assert chance.difference.mean == pytest.approx((0.4 + 0.05) / 2)


def test_another_schedule_or_a_lacking_value_is_no_control(write: Writer) -> None:
    restart = SCHEDULE | {"weights": "restart"}
    folder = write(
        *split("gm", [0.5, 0.6], TWO_THREE),
        *split("gm restart", [0.5, 0.6], TWO_THREE, schedule=restart),
        *split("random restart", [0.4, 0.4], TWO_THREE, criterion="random", schedule=restart),
    )
    assert set(chances(folder)) == {"gm restart"}
    assert without(folder) == {"gm": NO_CONTROL}


def test_other_modifiers_are_no_control(write: Writer) -> None:
    """Momentum groups are compared with momentum groups."""
    folder = write(
        *split("gm", [0.5, 0.6], TWO_THREE, modifiers=[]),
        *split("gm momentum", [0.5, 0.6], TWO_THREE, modifiers=MOMENTUM),
        *split("random momentum", [0.4, 0.4], TWO_THREE, criterion="random", modifiers=MOMENTUM),
    )
    assert set(chances(folder)) == {"gm momentum"}
    assert without(folder) == {"gm": NO_CONTROL}


def test_a_record_that_names_no_modifiers_has_none(write: Writer) -> None:
    folder = write(
        *split("gm", [0.5, 0.6], TWO_THREE, modifiers=[]), *split("even", [0.4, 0.4], TWO_THREE, criterion="random")
    )
    assert set(chances(folder)) == {"gm"}


def test_a_control_that_lacks_the_value_makes_no_comparison(write: Writer) -> None:
    folder = write(*split("gm", [0.5, 0.6], TWO_THREE), *split("even", [0.4, None], TWO_THREE, criterion="random"))
    assert chances(folder) == {}
    assert without(folder) == {"gm": NO_VALUE}


def test_a_control_in_some_seeds_only_is_none(write: Writer) -> None:
    mixed = [make_record("cut", r, 0.5, tree=shape, config=parts("cut"), expected_runs=2)
             for r, shape in enumerate([TWO_THREE, ONE_FOUR])]  # fmt: skip
    folder = write(*mixed, *split("even", [0.1, 0.2], TWO_THREE, criterion="random"))
    assert chances(folder) == {}
    assert without(folder) == {"cut": NO_CONTROL}


def test_oracles_are_adjusted_among_themselves(write: Writer) -> None:
    """Seven seeds that agree: p is 2 / 2^7 for each arm, times 2 for two honest ones and for two oracles."""
    arms = ["gm", "snip", "seer", "prophet"]
    shapes = dict(zip(arms, [TWO_THREE, THREE_TWO] * 2, strict=True))
    records = [
        record
        for arm in arms
        for record in split(arm, [0.6] * 7, shapes[arm], reads_truth=arm in {"seer", "prophet"}, baseline=False)
    ]
    even = split("even", [0.5] * 7, tree([[0, 3], [1, 2, 4]]), criterion="random")
    found = chances(write(*records, *even))
    assert {arm: chance.p for arm, chance in found.items()} == dict.fromkeys(arms, 2 * 2 / 2**7)
    text = render.markdown(leaderboards(write(*records, *even)))
    assert "Against chance, p is adjusted after Holm for 2 arms, and apart from them for 2 oracle controls (†)." in text
    fewer = write(*records[:7], *records[14:21], *even, folder="fewer")
    assert {arm: chance.p for arm, chance in chances(fewer).items()} == {"gm": 2 / 2**7, "seer": 2 / 2**7}


def test_the_legend_names_who_is_not_in_the_table(write: Writer) -> None:
    records = [
        *split("even", [0.5, 0.4], TWO_THREE, criterion="random"),
        *split("gm", [0.6, 0.4], THREE_TWO),
        *split("odd", [0.6, 0.4], ONE_FOUR),
        *split("wide", [0.6, 0.4], tree([[0], [1], [2]])),
        *split("collapsed", [None, 0.4], TWO_THREE),
        *arm_records("none", [0.5, 0.5]),
    ]
    boards = leaderboards(write(*records))
    text = render.markdown(boards)
    assert f"- Split, but not held against chance ({NO_CONTROL}): odd, wide.\n" in text
    assert f"- Split, but not held against chance ({NO_VALUE}): collapsed.\n" in text
    assert json.loads(render.boards_json(boards))["without_chance"] == dict(boards.boards[0].without_chance)
    alone = leaderboards(write(*records[4:], folder="alone"))
    assert "held against chance" not in render.markdown(alone), "there is no such table"
    assert set(alone.boards[0].without_chance) == {"odd", "wide", "collapsed"}


def test_shuffled_and_fixed_edges_are_no_random_control() -> None:
    assert is_random(make_record(config=parts("random")))
    for kind, name in (("partitioners", "shuffled"), ("edge_rules", "fixed"), ("criteria", "gm")):
        config = parts("random")
        config["arm"][kind] = {"name": name}
        assert not is_random(make_record(config=config))
    assert not is_random(make_record())


def test_random_groups_on_given_edges_are_the_control_of_a_hierarchy() -> None:
    def hierarchy(inside: str) -> bool:
        config = parts("hierarchy")
        config["arm"]["criteria"]["of"] = {"name": inside}
        config["arm"]["edge_rules"] = {"name": "hierarchy"}
        return is_random(make_record(config=config))

    assert hierarchy("random")
    assert not hierarchy("gm")


def test_the_leaderboard_shows_it(write: Writer) -> None:
    folder = write(
        *arm_records("none", [0.9, 0.9, 0.9]),
        *split("even", [0.5, 0.4, 0.3], TWO_THREE, criterion="random"),
        *split("gm", [0.65, 0.45, 0.25], THREE_TWO),
    )
    boards = leaderboards(folder)
    words = render.markdown(boards)
    assert "Against chance" in words
    assert r"| gm  | 2\|3        |" in words
    rows = {row["arm"]: row for row in json.loads(render.boards_json(boards))["rows"]}
    assert rows["gm"]["chance"]["controls"] == ["even"]
    assert rows["even"]["chance"] is None


# --- chance at an arm's own bill ----------------------------------------------------------------------------------


def stretched(shape: dict[str, Any], steps: int) -> dict[str, Any]:
    return shape | {"children": [child | {"steps": steps} for child in shape["children"]]}


def burning(arm: str, burn: float, steps: int, taus: list[float]) -> list[Record]:
    config = parts("random")
    config["arm"]["criteria"] = {"name": "random", "burn": burn}
    return arm_records(arm, list(taus), tree=stretched(TWO_THREE, steps), config=config)


def paying(arm: str, share: float, taus: list[float], scoring: str = "charged") -> list[Record]:
    config = parts("gm")
    config["arm"]["scoring"] = scoring
    phase = {"flops": round(1000 * share), "steps": 1, "examples": 1}
    return arm_records(arm, list(taus), tree=TWO_THREE, config=config, cost={"scoring": phase})


def test_chance_is_taken_at_the_arms_bill_linear_in_the_logarithm_of_steps(write: Writer) -> None:
    """Random leaves of 400 steps reach .5, .6; those that burn 20% have 200 steps and .4, .5. A bill of 10% leaves 300
    steps, of which the logarithm lies log(3/4) / log(1/2) = .415 of the way down."""
    folder = write(
        *burning("free", 0.0, 400, [0.5, 0.6]),
        *burning("burns", 0.2, 200, [0.4, 0.5]),
        *paying("gm", 0.1, [0.47, 0.58]),
        *paying("gift", 0.1, [0.47, 0.58], scoring="free"),
        *paying("dear", 0.3, [0.3, 0.3]),
        *paying("full", 0.2, [0.45, 0.55]),
    )
    found = chances(folder)
    down = 0.1 * math.log(3 / 4) / math.log(1 / 2)
    gm = found["gm"]
    assert gm.paid == pytest.approx(0.1)
    assert gm.bill.mean == pytest.approx(-down)
    assert gm.difference.mean == pytest.approx((0.47 - 0.5 + 0.58 - 0.6) / 2 + down)
    assert gm.controls == ("burns", "free")
    assert (found["gift"].paid, found["gift"].bill) == (0.0, None)
    assert found["gift"].difference.mean == pytest.approx((0.47 - 0.5 + 0.58 - 0.6) / 2)
    assert found["full"].bill.mean == pytest.approx(-0.1)
    assert found["full"].difference.mean == pytest.approx(0.05)
    # Nobody burns 30%: the bill is known, what it costs is not, and stays in the difference.
    assert (found["dear"].paid, found["dear"].bill) == (pytest.approx(0.3), None)
    assert found["dear"].difference.mean == pytest.approx(-0.25)


def test_a_table_says_whose_bill_is_not_known(write: Writer) -> None:
    folder = write(
        *burning("free", 0.0, 400, [0.5, 0.6]), *paying("gm", 0.1, [0.47, 0.58]), *arm_records("none", [0.5, 0.6])
    )
    text = render.markdown(leaderboards(folder))
    assert "No random control burns as much as these arms pay, so their bill is part of the difference: gm." in text
    assert "10.0%" in text


def test_controls_that_all_burn_are_no_control(write: Writer) -> None:
    """An arm that pays nothing must not be held against one that pays."""
    folder = write(*burning("burns", 0.2, 200, [0.4, 0.5]), *paying("gm", 0.1, [0.47, 0.58]))
    assert without(folder) == {"gm": controls.NOTHING_FREE}
