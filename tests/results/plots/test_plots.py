"""Pictures: what they show is what the records hold, the files are stable, and no words overlap."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pytest
from drawn_figures import by_gid, gids, overlaps, texts
from matplotlib.colors import to_hex
from synthetic_ladders import budgeted, many
from synthetic_records import Writer, arm_records, make_record

from splitbench.results.arms.arms import tables as arms_of
from splitbench.results.arms.friedman import critical_difference
from splitbench.results.plots import catalogue, style
from splitbench.results.plots.of_arms import anytime, pareto, ranking, scatter
from splitbench.results.plots.of_arms import critical_difference as cd
from splitbench.results.plots.of_partitions import affinity, stability, tree
from splitbench.results.plots.source import CannotDrawError, Options, PlotSource, open_folder
from splitbench.results.records.files import digest, encode, encode_estimates
from splitbench.results.records.listing import record_path
from splitbench.results.records.loading import Loaded, load_runs
from splitbench.results.records.record import NodeRecord, Record, config_fingerprint
from splitbench.results.records.store import write_run

OPERATIONS = [["none", "skip_connect", "nor_conv_3x3"], ["none", "skip_connect", "nor_conv_3x3"]]
TOPOLOGY = {"edges": ["0→1", "0→2"], "operations": OPERATIONS}
FULL = [[0, 1, 2], [0, 1, 2]]


def node(allowed: list[list[int]], **changes: Any) -> dict[str, Any]:
    return {"allowed": allowed, "stage": "s", "steps": 10, **changes}


def split(edge: int, first: list[int], second: list[int], distance: float = 0.5) -> dict[str, Any]:
    """A root of two edges with three operations each, split at ``edge``."""
    score = {
        "operations": [0, 1, 2],
        "dissimilarity": [[0, distance, 0.2], [distance, 0, 0.3], [0.2, 0.3, 0]],
        "standard_error": [[None, 0.01, 0.02], [0.01, None, 0.03], [0.02, 0.03, None]],
        "repetitions": 3,
        "groups": [first, second],
        "cut": 1.0,
    }
    children = [node([group if e == edge else FULL[e] for e in range(2)], steps=5) for group in (first, second)]
    return node(FULL, edges=[edge], scores={str(edge): score}, children=children)


def leaves(tree: dict[str, Any]) -> list[dict[str, Any]]:
    facts = {"architecture": "01", "estimate": 20.0, "loss": 1.5, "population": 2, "test": 60.0}
    return [{"allowed": child["allowed"], **facts} for child in tree["children"]]


def splitting(arm: str, roots: list[dict[str, Any]], **changes: Any) -> list[Record]:
    """An arm whose root is split as given, a repetition each."""
    base = make_record().model_dump(mode="json")["selection"]
    return [
        make_record(
            arm,
            repetition,
            expected_runs=len(roots),
            topology=TOPOLOGY,
            tree=root,
            selection=base | {"leaves": leaves(root), "leaf": 1},
            **changes,
        )
        for repetition, root in enumerate(roots)
    ]


@pytest.fixture(scope="module")
def fifty_seven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return many(tmp_path_factory.mktemp("many"), 57)


def one(folder: Path, arms: tuple[str, ...] = ()) -> PlotSource:
    return open_folder(folder, arms)


# -- style -------------------------------------------------------------------------------------------------------------


def test_series_all_differ_and_use_the_palette() -> None:
    looks = [style.series(index) for index in range(330)]
    assert len({(look.colour, look.marker, str(look.line)) for look in looks}) == 330
    assert {to_hex(look.colour) for look in looks} <= {
        style.BLUE,
        style.VERMILLION,
        style.GREEN,
        style.PURPLE,
        style.ORANGE,
        style.SKY,
    }
    for a, b in itertools.pairwise(looks[:100]):
        assert a.marker != b.marker
        assert a.line != b.line


def test_spread_is_the_nearest_arrangement() -> None:
    wanted, gap = [0.5, 0.52, 0.1, 0.51], 0.1
    places = style.spread(wanted, gap, 0.0, 1.0)
    assert places[2] == pytest.approx(0.1)
    assert [places[0], places[3], places[1]] == pytest.approx([0.41, 0.51, 0.61])
    # least squares: no other arrangement on a fine grid, in the same order, is nearer
    rng = random.Random(1)
    cost = sum((a - b) ** 2 for a, b in zip(places, wanted, strict=True))
    for _ in range(500):
        other = sorted(rng.uniform(0, 1) for _ in wanted)
        if all(b - a >= gap for a, b in itertools.pairwise(other)):
            tried = dict(zip(sorted(range(4), key=lambda i: wanted[i]), other, strict=True))
            assert sum((tried[i] - wanted[i]) ** 2 for i in range(4)) >= cost - 1e-12
    packed = sorted(style.spread([2.0, 2.0, -1.0], gap, 0.0, 1.0))
    assert packed == pytest.approx([0.0, 0.9, 1.0])


def test_labels_are_shortened_in_the_middle_unless_they_become_equal() -> None:
    long = "head" + "-" * 60 + "tail"
    short = style.shortened(["gm", long])
    assert short["gm"] == "gm"
    assert len(short[long]) == style.LONGEST
    assert (short[long][:4], short[long][-4:]) == ("head", "tail")
    twins = ["h" * 40 + middle + "t" * 40 for middle in "ab"]
    assert style.shortened(twins) == {name: name for name in twins}


@pytest.mark.parametrize(
    ("value", "words"), [(5e10, "50 G"), (1e12, "1 T"), (120, "120"), (2.5e6, "2.5 M"), (999.9, "1 k"), (0.5, "0.5")]
)
def test_quantities(value: float, words: str) -> None:
    assert style.quantity(value) == words


@pytest.mark.parametrize(("value", "colour"), [(0.0, style.INK), (1.0, "white")])
def test_words_on_a_colour_can_be_read(value: float, colour: str) -> None:
    assert style.on(style.SEQUENTIAL, value) == colour


# -- tables ------------------------------------------------------------------------------------------------------------


def test_the_ranking_shows_every_seed_mean_and_interval(write: Writer) -> None:
    source = one(write(*arm_records("none", [0.5, 0.6]), *arm_records("gm", [0.4, 0.9])))
    figure = ranking.ranking_figure(source.tables, Options())
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gm", "none"]
    assert sorted(by_gid(figure, "seeds gm").get_xdata()) == pytest.approx([0.4, 0.9])
    assert by_gid(figure, "mean none").get_xdata() == pytest.approx([0.55])
    assert by_gid(figure, "mean gm").get_ydata() == [0]
    shown = {text.get_text() for text in texts(figure)}
    assert {"noise ceiling: one training against another (0.88)", "FLOPs alone, no supernet (0.60)"} <= shown
    assert sorted(line.get_xdata()[0] for line in axes.lines if line.get_linestyle() in ("--", "-.")) == [0.6, 0.88]


def test_a_metric_where_less_is_better_is_ranked_upwards(write: Writer) -> None:
    records = [
        make_record(arm, 0, expected_runs=1, metrics={"regret[all]": regret})
        for arm, regret in (("none", 3.0), ("gm", 1.0))
    ]
    figure = ranking.ranking_figure(one(write(*records)).tables, Options(metric="regret[all]"))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["gm", "none"]


def test_incomplete_arms_are_in_no_mean(write: Writer) -> None:
    source = one(write(*arm_records("none", [0.5, 0.6]), *arm_records("gm", [0.4], expected_runs=2)))
    assert any("'gm' has 1 of 2 runs" in warning for warning in source.warnings)
    assert not gids(ranking.ranking_figure(source.tables, Options()), "mean gm")


def test_the_front_is_that_of_brute_force() -> None:
    rng = random.Random(3)
    for trial in range(60):
        n = rng.randint(1, 12)
        costs = [float(rng.randint(0, 6)) for _ in range(n)]
        values = [float(rng.randint(0, 6)) for _ in range(n)]
        lower = trial % 2 == 1
        worth = [-v if lower else v for v in values]
        dominated = {
            i
            for i in range(n)
            for j in range(n)
            if costs[j] <= costs[i] and worth[j] >= worth[i] and (costs[j] < costs[i] or worth[j] > worth[i])
        }
        found = pareto.front(costs, values, lower)
        assert set(found) == set(range(n)) - dominated
        assert [costs[i] for i in found] == sorted(costs[i] for i in found)


def test_pareto_shows_costs_values_and_front(write: Writer) -> None:
    def costing(flops: int) -> dict[str, Any]:
        return {"warm_up": {"flops": flops // 2}, "training": {"flops": flops - flops // 2}}

    source = one(
        write(
            *arm_records("none", [0.5, 0.6], cost=costing(1000)),
            *arm_records("cheap", [0.4, 0.5], cost=costing(500)),
            *arm_records("worse", [0.4, 0.5], cost=costing(900)),
            *arm_records("seer", [0.8, 0.8], cost=costing(400), reads_truth=True),
        )
    )
    figure = pareto.pareto_figure(source.tables, Options())
    point = by_gid(figure, "arm 0 worse")
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (900, pytest.approx(0.45))
    best = by_gid(figure, "best")
    assert list(best.get_xdata()) == [500, 1000]
    assert list(best.get_ydata()) == pytest.approx([0.45, 0.55])
    assert gids(figure, "arm 0 seer")
    seconds = pareto.pareto_figure(source.tables, Options(cost="seconds"))
    assert by_gid(seconds, "arm 0 worse").get_xdata()[0] == pytest.approx(2.0)  # measurement (9 s) is not in it


def test_without_seconds_an_arm_is_left_out_and_named(write: Writer) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]), *arm_records("gm", [0.4, 0.9]))
    next((folder / "records").glob("gm--r0*.measured.json")).unlink()
    options = Options(cost="seconds")
    figure = pareto.pareto_figure(one(folder).tables, options)
    assert not gids(figure, "arm 0 gm")
    assert options.notes == ["pareto: arm 'gm' is left out, because its seconds were not kept"]


def test_anytime_has_each_budget_and_mean(write: Writer) -> None:
    budgets = (1e10, 4e10, 2e11)
    for index, budget in enumerate(budgets):
        write(
            *budgeted("none", budget, [0.3 + 0.1 * index, 0.4 + 0.1 * index]),
            *budgeted("gm", budget, [0.2 + 0.2 * index, 0.2 + 0.2 * index]),
            *(budgeted("once", budget, [0.5]) if index == 0 else []),
            *budgeted("changed", budget, [0.5, 0.6], config={"arm": {"n": index}}),
            folder=f"some/{index}",
        )
        folder = write(folder="some")
    source = one(folder)
    (family,) = source.families
    options = Options()
    figure = anytime.anytime_figure(family, options)
    line = by_gid(figure, "arm none")
    assert list(line.get_xdata()) == list(budgets)
    assert list(line.get_ydata()) == pytest.approx([0.35, 0.45, 0.55])
    assert list(by_gid(figure, "arm gm").get_ydata()) == pytest.approx([0.2, 0.4, 0.6])
    axes = figure.axes[0]
    assert list(axes.get_xticks()) == list(budgets)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10 G", "40 G", "200 G"]
    assert not gids(figure, "arm once")
    assert not gids(figure, "arm changed")
    assert len(options.notes) == 2
    # on the front of all three budgets: gm's last, and none's first, which is the cheapest
    front = by_gid(pareto.pareto_figure(family, Options()), "best")
    assert next(iter(front.get_xdata())) == 1e10
    assert list(front.get_ydata())[-1] == pytest.approx(0.6)


def test_a_second_table_of_a_budget_is_left_out_and_named(write: Writer) -> None:
    write(*budgeted("gm", 1e10, [0.3, 0.3]), folder="some/a")
    write(*budgeted("gm", 4e10, [0.5, 0.5]), folder="some/b")
    write(*budgeted("gm", 4e10, [0.9, 0.9], study="zoo", protocol="q"), folder="some/c")
    (family,) = one(write(folder="some")).families
    assert len(family) == 3
    options = Options()
    assert list(by_gid(anytime.anytime_figure(family, options), "arm gm").get_ydata()) == pytest.approx([0.3, 0.5])
    (note,) = options.notes
    assert "at 40 G FLOPs the table (zoo: micro on digits, protocol q) is left out beside (toy: micro on " in note
    assert "digits, protocol p40000000000)" in note


def test_families_differ_in_the_budget_alone(write: Writer) -> None:
    for index, changes in enumerate(
        [{}, {}, {"dataset": "cifar10"}, {"population": "another"}, {"config": {"study": {"seed": 1}}}]
    ):
        write(*budgeted("none", 1e10 * (index + 1), [0.5], **changes), folder=f"some/{index}")
    sizes = sorted(len(family) for family in one(write(folder="some")).families)
    assert sizes == [1, 1, 1, 2]


def test_one_budget_gives_no_curve(write: Writer) -> None:
    with pytest.raises(CannotDrawError, match="differ in their budgets alone"):
        anytime.anytime_figure(one(write(*arm_records("none", [0.5]))).tables, Options())


def test_the_diagram_stands_at_the_mean_ranks(write: Writer) -> None:
    taus: dict[str, list[float | None]] = {
        "a": [0.9, 0.8, 0.7, 0.9],
        "b": [0.5, 0.9, 0.6, 0.8],
        "none": [0.1, 0.2, 0.3, 0.1],
        "d": [0.4, 0.3, 0.2, 0.2],
    }
    records = [record for arm, own in taus.items() for record in arm_records(arm, own)]
    records += arm_records("seer", [1.0] * 4, reads_truth=True)
    source = one(write(*records))
    figure = cd.critical_difference_figure(source.tables, Options())
    found = critical_difference({arm: [tau or 0 for tau in own] for arm, own in taus.items()})
    assert not gids(figure, "arm seer")
    places = {arm: by_gid(figure, f"arm {arm}").get_xdata()[0] for arm in taus}
    ranks = dict(zip(found.arms, found.mean_ranks, strict=True))
    assert ranks == {"a": 1.25, "b": 1.75, "d": 3.25, "none": 3.75}
    inch = (places["none"] - places["a"]) / (ranks["none"] - ranks["a"])  # of one rank
    for arm, place in places.items():
        assert place == pytest.approx(places["a"] + inch * (ranks[arm] - ranks["a"]))
    bars = gids(figure, "group")
    assert len(bars) == len(found.groups) > 0
    for bar, group in zip(bars, found.groups, strict=True):
        low, high = bar.get_xdata()
        assert low == pytest.approx(places[group[0]], abs=0.05)
        assert high == pytest.approx(places[group[-1]], abs=0.05)
    bound = gids(figure, "cd")
    if bound:
        low, high = bound[0].get_xdata()
        assert high - low == pytest.approx(found.cd * inch)
    assert "4 paired seeds of micro on digits" in " ".join(text.get_text() for text in texts(figure))


def test_three_pairs_of_space_and_dataset_are_blocks(write: Writer) -> None:
    for space in ("a", "b", "c"):
        for index, arm in enumerate(("none", "gm", "lid")):
            write(*arm_records(arm, [0.5 + 0.1 * index], space=space), folder=f"some/{space}")
    write(make_record("alone", expected_runs=1, space="c"), folder="some/c")
    source = one(write(folder="some"))
    options = Options()
    (drawing,) = catalogue.drawings(source, "critical_difference", options)
    figure = drawing.draw()
    places = {arm: by_gid(figure, f"arm {arm}").get_xdata()[0] for arm in ("lid", "gm", "none")}
    assert list(places.values()) == sorted(places.values())
    shown = " ".join(text.get_text() for text in texts(figure))
    assert "3 pairs of space and data set" in shown
    assert "a on digits; b on digits; c on digits" in shown
    assert options.notes == ["critical_difference: arm 'alone' is left out, because some block lacks it"]
    two = PlotSource(source.folder, source.tables[:2], (), ())
    assert len(list(catalogue.drawings(two, "critical_difference", options))) == 2  # a diagram a table
    with pytest.raises(CannotDrawError, match="the same 3 seeds, or in 3 pairs of space and data set"):
        cd.critical_difference_figure(two.tables[:1], options)


def test_tables_of_one_space_and_dataset_are_no_blocks(write: Writer) -> None:
    """Three budgets of one space and data set depend on one another: each has a diagram, of its own seeds."""
    for index, budget in enumerate((1e10, 2e10, 4e10)):
        for arm, tau in (("none", 0.3), ("gm", 0.4), ("lid", 0.5)):
            write(*budgeted(arm, budget, [tau, tau + 0.1, tau + 0.2]), folder=f"some/{index}")
    drawn = list(catalogue.drawings(one(write(folder="some")), "critical_difference", Options()))
    assert len(drawn) == 3
    for drawing in drawn:
        assert "3 paired seeds of micro on digits" in " ".join(text.get_text() for text in texts(drawing.draw()))


# -- arms --------------------------------------------------------------------------------------------------------------


def test_heat_maps_hold_means_errors_and_the_usual_groups(write: Writer) -> None:
    roots = [split(1, [0, 2], [1], 0.5), split(1, [0, 2], [1], 0.9), split(0, [0], [1, 2], 0.1)]
    source = one(write(*splitting("gm", roots)))
    (table,) = source.tables
    figure = affinity.affinity_figure(table, table.arms[0], Options())
    records = [run.record for run in table.arms[0].runs]
    first, second = affinity.heats(records)
    assert (second.edge, second.operations, second.groups) == (1, (0, 2, 1), ((0, 2), (1,)))
    assert (second.runs, second.chosen, second.agreeing) == (2, 2, 2)
    assert second.dissimilarity[0, 2] == pytest.approx(0.7)  # operations 0 and 1
    assert second.error[0, 2] == pytest.approx(0.2)  # |0.9 - 0.5| / 2
    assert first.error[0, 1] == pytest.approx(0.03)  # one run: the record's own, of operations 1 and 2
    assert first.operations == (1, 2, 0)
    mesh = by_gid(figure, "edge 1")
    assert np.asarray(mesh.get_array()).reshape(3, 3) == pytest.approx(second.dissimilarity)
    names = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert names == ["none", "nor_conv_3x3", "skip_connect"]
    assert {".70\n±.20"} <= {text.get_text() for text in texts(figure)}
    lines = [line for line in gids(figure, "border") if line.axes is figure.axes[1]]
    assert [line.get_ydata()[0] for line in lines] == [2]
    single = affinity.affinity_figure(table, table.arms[0], Options(repetition=1))
    assert {".90\n±.01"} <= {text.get_text() for text in texts(single)}
    assert not overlaps(figure)


def test_tiny_dissimilarities_get_a_unit(write: Writer) -> None:
    root = split(1, [0, 2], [1])
    root["scores"]["1"]["dissimilarity"] = [[0, 2e-5, 1e-5], [2e-5, 0, 4e-6], [1e-5, 4e-6, 0]]
    root["scores"]["1"]["standard_error"] = [[None] * 3] * 3
    (table,) = one(write(*splitting("gm", [root]))).tables
    shown = {text.get_text() for text in texts(affinity.affinity_figure(table, table.arms[0], Options()))}
    assert {"2.0", "1.0", ".40"} <= shown
    assert any("1e-5" in text for text in shown)


def test_the_tree_names_operations_steps_and_the_answer(write: Writer) -> None:
    (table,) = one(write(*splitting("gm", [split(1, [0, 2], [1])]))).tables
    record = table.arms[0].runs[0].record
    root, first, second = tree.boxes(record)
    assert root.lines == ("10 steps", "split at edge 0→2")
    assert first.lines[0] == "none, nor_conv_3x3"
    assert second.lines == ("skip_connect", "5 steps", "leaf 1: 2 of 2", "choice: test 60.0 %")
    assert (first.parent, second.depth, second.leaf) == (0, 1, 1)
    figure = tree.tree_figure(table, table.arms[0], Options())
    shown = {text.get_text() for text in texts(figure)}
    assert {"none, nor_conv_3x3", "skip_connect", "choice: test 60.0 % ✓"} <= shown
    assert not overlaps(figure)


def test_a_deep_tree_does_not_overlap(write: Writer) -> None:
    def grow(allowed: list[list[int]], edges: list[int]) -> dict[str, Any]:
        if not edges:
            return node(allowed)
        groups = [[0], [1, 2]]
        children = []
        for group in groups:
            kept = [group if edge == edges[0] else own for edge, own in enumerate(allowed)]
            children.append(grow(kept, edges[1:] if group == [1, 2] else []))
        score = {
            "operations": [0, 1, 2],
            "dissimilarity": [[0.0] * 3] * 3,
            "standard_error": [[None] * 3] * 3,
            "repetitions": 0,
            "groups": groups,
            "cut": 0.0,
        }
        return node(allowed, edges=edges[:1], scores={str(edges[0]): score}, children=children)

    root = grow([[0, 1, 2]] * 5, [0, 1, 2, 3, 4])
    record = make_record("deep", expected_runs=1, tree=root)
    (table,) = one(write(record)).tables
    figure = tree.tree_figure(table, table.arms[0], Options())
    assert not overlaps(figure)
    assert sum(text.get_text() == "op 1, op 2" for text in texts(figure)) == 5  # no topology: indices


def estimates_of(n: int = 40) -> tuple[bytes, dict[str, Any]]:
    rng = random.Random(5)
    columns: dict[str, Any] = {
        "architecture": [f"{index:02d}" for index in range(n)],
        "leaf": [index % 2 for index in range(n)],
        "accuracy": [rng.uniform(10, 80) for _ in range(n)],
        "loss": [1.0] * n,
        "truth_test": [rng.uniform(30, 95) for _ in range(n)],
    }
    return encode_estimates(columns), columns


def test_the_scatter_holds_every_architecture_by_leaf(write: Writer, tmp_path: Path) -> None:
    data, columns = estimates_of()
    from synthetic_records import make_measured

    record = make_record("gm", 0, 0.25, expected_runs=1, estimates_sha256=digest(data))
    write_run(tmp_path / "some", record, make_measured(), data)
    (table,) = one(tmp_path / "some").tables
    figure = scatter.scatter_figure(table, table.arms[0], Options())
    values, ranks = by_gid(figure, "values 1"), by_gid(figure, "ranks 1")
    own = [index for index in range(40) if index % 2 == 1]
    assert list(values.get_xdata()) == [columns["truth_test"][index] for index in own]
    assert list(values.get_ydata()) == [columns["accuracy"][index] for index in own]
    order = sorted(columns["truth_test"], reverse=True)
    assert list(ranks.get_xdata()) == [order.index(columns["truth_test"][index]) + 1 for index in own]
    assert sum(patch.get_height() for patch in figure.axes[1].patches) == 40
    assert any(text.get_text() == "gm: tau[all] 0.250" for text in texts(figure))
    assert not overlaps(figure)
    run = table.arms[0].runs[0]
    run.path.with_suffix(".parquet").unlink()
    with pytest.raises(CannotDrawError, match="cannot be read"):
        scatter.scatter_figure(table, table.arms[0], Options())


def test_the_rank_panel_ranks_as_the_metrics_do(tmp_path: Path) -> None:
    """Equal accuracies are told apart by the loss, as for tau: the smaller is the better."""
    from synthetic_records import make_measured

    columns: dict[str, Any] = {
        "architecture": ["00", "01", "02", "03"],
        "leaf": [0] * 4,
        "accuracy": [50.0, 50.0, 50.0, 20.0],
        "loss": [1.0, 3.0, 2.0, 0.5],
        "truth_test": [90.0, 70.0, 80.0, 60.0],
    }
    data = encode_estimates(columns)
    record = make_record("gm", 0, 1.0, expected_runs=1, estimates_sha256=digest(data))
    write_run(tmp_path / "some", record, make_measured(), data)
    (table,) = one(tmp_path / "some").tables
    drawn = by_gid(scatter.scatter_figure(table, table.arms[0], Options()), "ranks 0")
    assert list(drawn.get_xdata()) == list(drawn.get_ydata()) == [1, 3, 2, 4]
    assert drawn.axes.get_ylabel() == "rank by the estimate (ties by lower loss)"


def test_a_folder_is_read_once(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that arrives after the folder was read is in none of its pictures."""
    folder = write(*arm_records("none", [0.5]))

    def loading(path: Path) -> Loaded:
        found = load_runs(path)
        write(*arm_records("late", [0.5], study="late"))
        return found

    for place in ("splitbench.results.plots.source.load_runs", "splitbench.results.boards.leaderboard.load_runs"):
        monkeypatch.setattr(place, loading)
    assert [table.board.study for table in open_folder(folder).tables] == ["toy"]


def test_equal_values_share_their_rank() -> None:
    assert list(scatter.ranks([3.0, 5.0, 3.0])) == [2.5, 1.0, 2.5]


# -- stability ---------------------------------------------------------------------------------------------------------


def test_ari_of_partitions_is_that_of_the_listed_strings() -> None:
    from sklearn.metrics import adjusted_rand_score

    def nodes(edge: int, groups: list[list[int]]) -> list[NodeRecord]:
        return [
            NodeRecord.model_validate(node([group if e == edge else [0, 1, 2, 3] for e in range(3)]))
            for group in groups
        ]

    sides = [nodes(0, [[0, 1], [2, 3]]), nodes(0, [[0], [1, 2, 3]])]
    sides += [nodes(2, [[0, 1], [2, 3]]), nodes(1, [[0], [1], [2, 3]])]
    strings = list(itertools.product(range(4), repeat=3))
    labels = [
        [
            next(i for i, one in enumerate(side) if all(op in own for op, own in zip(s, one.allowed, strict=True)))
            for s in strings
        ]
        for side in sides
    ]
    for a, b in itertools.product(range(4), repeat=2):
        assert stability.partition_ari(sides[a], sides[b]) == pytest.approx(adjusted_rand_score(labels[a], labels[b]))


def test_stability_counts_pairs_of_seeds(write: Writer) -> None:
    same, other = split(1, [0, 2], [1]), split(0, [0, 2], [1])
    folder = write(
        *splitting("gm", [same, same, other], config={"arm": {"n": 1}}, protocol="p"), *arm_records("none", [0.5] * 3)
    )
    (source,) = [one(folder)]
    table = next(t for t in source.tables if any(arm.name == "gm" for arm in t.arms))
    (found,) = stability.of_table(table)
    assert found.same_edge == pytest.approx(1 / 3)
    assert sorted(found.aris)[-1] == 1.0
    assert found.ari == pytest.approx(1 / 3, abs=0.1)
    figure = stability.stability_figure((table,), Options())
    assert by_gid(figure, "edge gm").get_width() == pytest.approx(1 / 3)
    assert by_gid(figure, "mean gm").get_xdata()[0] == pytest.approx(found.ari)

    def geometry(protocol: str) -> None:
        import json

        batches = {"same_edge": {"mean": 0.25}, "functions_ari[all]": {"mean": 0.125}}
        report = {
            "protocol": protocol,
            "fingerprints": {"gm": config_fingerprint({"n": 1})},
            "arms": [{"arm": "gm", "stability": {"batches": batches}}],
        }
        (folder / "geometry.json").write_text(json.dumps(report))

    geometry("another")
    assert stability.of_table(table)[0].batches is None
    geometry("p")
    assert stability.of_table(table)[0].batches == (0.25, 0.125)
    assert not overlaps(stability.stability_figure((table,), Options()))


def test_without_a_split_there_is_no_stability(write: Writer) -> None:
    with pytest.raises(CannotDrawError, match="split in two repetitions"):
        stability.stability_figure(one(write(*arm_records("none", [0.5, 0.6]))).tables, Options())


# -- files and words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ranking", "pareto", "anytime", "critical_difference"])
def test_57_arms_can_be_read(fifty_seven: Path, kind: str) -> None:
    source = one(fifty_seven if kind == "anytime" else fifty_seven / "1e+10")
    (drawing,) = catalogue.drawings(source, kind, Options())
    figure = drawing.draw()
    assert not overlaps(figure)
    words = texts(figure)
    assert min(text.get_fontsize() for text in words) >= 8
    if kind != "pareto":  # which names the front and the baseline alone
        for index in (0, 30, 54):
            assert any(f"a criterion with a name {index}" in text.get_text() for text in words)
    assert figure.get_size_inches()[0] <= 11


def test_57_arms_have_57_rows_of_stability(tmp_path: Path) -> None:
    roots = [split(1, [0, 2], [1]), split(1, [0], [1, 2])]
    (tmp_path / "records").mkdir()
    for index in range(57):
        for record in splitting(f"criterion number {index}", roots):
            record_path(tmp_path, record).write_bytes(encode(record))
    figure = stability.stability_figure(one(tmp_path).tables, Options())
    assert len(gids(figure, "mean")) == 57
    assert not overlaps(figure)


def test_files_are_equal_byte_for_byte(write: Writer) -> None:
    others = (*arm_records("none", [0.5, 0.4, 0.6]), *arm_records("$x_1$", [0.1, 0.2, 0.3]))
    folder = write(*splitting("gm", [split(1, [0, 2], [1])] * 3), *others)
    for kind in ("ranking", "pareto", "critical_difference", "affinity", "tree", "scatter", "stability"):
        first, second = (list(catalogue.drawings(source, kind, Options())) for source in (one(folder), one(folder)))
        drawn = 0
        for a, b in zip(first, second, strict=True):
            try:
                pictures = [a.draw()]
                with matplotlib.style.context("ggplot"):  # as a notebook may use, and optuna's pictures do
                    pictures.append(b.draw())
                    svgs = [style.svg(pictures[1])]
            except CannotDrawError:
                continue
            svgs.insert(0, style.svg(pictures[0]))
            assert svgs[0] == svgs[1]
            assert b"<svg" in svgs[0]
            drawn += 1
        assert drawn, kind
        assert style.png(pictures[0]).startswith(b"\x89PNG\r\n\x1a\n")
    assert b"$x_1$" in style.svg(ranking.ranking_figure(one(folder).tables, Options()))


def test_too_many_arms_are_not_drawn_unasked(write: Writer) -> None:
    records = [record for index in range(13) for record in arm_records(f"a{index}", [0.5])]
    folder = write(*records)
    with pytest.raises(CannotDrawError, match="13, more than 12; name those you want with --arm"):
        list(catalogue.drawings(one(folder), "tree", Options()))
    assert [drawing.arm for drawing in catalogue.drawings(one(folder, ("a3",)), "tree", Options())] == ["a3"]


def test_names_of_files_tell_tables_and_arms_apart(write: Writer) -> None:
    for budget in (1e10, 5e10):
        write(*budgeted("none", budget, [0.5]), *budgeted("gm(x=1)", budget, [0.5]), folder=f"some/{budget:g}")
    source = one(write(folder="some"))
    names = [drawing.name for kind in ("ranking", "scatter") for drawing in catalogue.drawings(source, kind, Options())]
    assert len(set(names)) == len(names) == 6
    assert all(not set(name) & set("/ ()") for name in names)


def test_tables_agree_with_their_boards(tmp_path: Path) -> None:
    folder = many(tmp_path, arms=4)
    source = one(folder)
    assert [table.board.budget[1] for table in source.tables] == [1e10, 5e10]
    for table, own in zip(source.tables, arms_of(load_runs(folder).runs), strict=True):
        assert table.arms == own
        for row in table.board.rows:
            if not row.trivial:
                found = row.metrics["tau[all]"]
                assert found is not None
                assert math.isclose(table.estimates("tau[all]")[row.arm].mean, found.mean)
