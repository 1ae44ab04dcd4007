"""Results as DataFrames and in a notebook: every number is that of a record, under a name that says which."""

from __future__ import annotations

import inspect
import json
import math
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_records import Writer, arm_records, make_record

import splitbench
from splitbench import results
from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.frames.frame import Results
from splitbench.results.records import store
from splitbench.results.records.loading import load_runs

HOSTILE = "<script>alert('x')</script> & \"co\""


@pytest.fixture
def found(write: Writer) -> Results:
    """Three arms: the baseline, one whose tau is undefined in a run, one with a run missing."""
    records = [
        *arm_records("none", [0.5, 0.6, 0.7]),
        *arm_records("gm", [0.6, None, 0.9]),
        *arm_records("random", [0.1, 0.2], expected_runs=3),
    ]
    return results.load(write(*records))


def test_the_object_is_what_was_loaded(found: Results) -> None:
    loaded = load_runs(found.folder)
    assert (found.runs, found.warnings, found.skipped) == (loaded.runs, loaded.warnings, loaded.skipped)
    assert found.arms == ("gm", "none", "random")
    assert isinstance(found, results.Results)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = results.nothing  # type: ignore[attr-defined]


def test_a_row_is_a_run_with_the_numbers_of_its_record(found: Results) -> None:
    frame = found.frame()
    assert len(frame) == len(found.runs) == 8
    assert frame.columns.is_unique
    for position, run in enumerate(found.runs):
        row, record, measured = frame.iloc[position], run.record, run.measured
        assert measured is not None
        for name in ("study", "space", "dataset", "trainer", "arm", "repetition", "draw", "baseline", "reads_truth"):
            assert row[name] == getattr(record, name)
        for name in ("population", "population_size", "protocol"):
            assert row[name] == getattr(record, name)
        assert (row["budget_kind"], row["budget_limit"], row["budget_spent"]) == ("flops", 1000.0, 1000.0)
        for name, value in record.metrics.items():
            assert math.isnan(row[name]) if value is None else row[name] == value
        assert row["selection_test"] == 60.0 + record.repetition
        assert (row["selection_architecture"], row["selection_leaf"], row["selection_leaves"]) == ("01", 0, 2)
        assert row["selection_regret"] == 3.0
        assert (row["selection_oracle"], row["selection_leaf_floor"], row["selection_best_of_k"]) == (61.0, 55.0, 56.0)
        assert (row["flops_warm_up"], row["flops_training"], row["flops"]) == (200, 800, 1000)
        assert (row["steps_warm_up"], row["steps_training"], row["steps"]) == (2, 8, 10)
        assert (row["examples_warm_up"], row["examples_training"], row["examples"]) == (20, 80, 100)
        assert (row["seconds_warm_up"], row["seconds_training"], row["seconds_measurement"]) == (0.5, 1.5, 9.0)
        assert row["seconds"] == 2.0  # measurement is timed, not charged
        assert row["peak_bytes"] == 2**20
    assert frame.groupby("arm", observed=True)["complete"].all().to_dict() == {
        "gm": True,
        "none": True,
        "random": False,
    }


def test_columns_have_the_types_of_what_they_hold(found: Results) -> None:
    frame = found.frame()
    for name in ("study", "space", "dataset", "trainer", "arm", "budget_kind", "population", "protocol"):
        assert isinstance(frame[name].dtype, pd.CategoricalDtype)
    assert list(frame["arm"].cat.categories) == ["gm", "none", "random"]
    for name in ("repetition", "draw", "population_size", "selection_leaf", "flops", "steps_training"):
        assert frame[name].dtype == np.int64
    for name in ("baseline", "reads_truth", "complete"):
        assert frame[name].dtype == np.bool_
    for name in ("tau[all]", "rho[all]", "selection_test", "budget_limit", "seconds"):
        assert frame[name].dtype == np.float64


def test_rows_and_columns_have_one_order_whatever_the_order_of_files(write: Writer) -> None:
    records = [*arm_records("none", [0.5, 0.6]), *arm_records("gm", [0.6, 0.7]), make_record("gm", 0, 0.3, draw=1)]
    one, other = results.load(write(*records)), results.load(write(*reversed(records), folder="other"))
    pd.testing.assert_frame_equal(one.frame(), other.frame())
    pd.testing.assert_frame_equal(one.frame("long"), other.frame("long"))
    pd.testing.assert_frame_equal(one.leaderboard(), other.leaderboard())
    assert one.frame()[["arm", "repetition", "draw"]].values.tolist() == [
        ["gm", 0, 0],
        ["gm", 0, 1],
        ["gm", 1, 0],
        ["none", 0, 0],
        ["none", 1, 0],
    ]


def test_the_long_form_is_the_wide_one_unfolded(found: Results) -> None:
    wide, long = found.frame(), found.frame("long")
    names = ["regret[all]", "rho[all]", "tau[all]", "tau[top50%]"]
    assert list(long["metric"].cat.categories) == names
    assert len(long) == len(wide) * len(names)
    assert not long.duplicated(["study", "arm", "repetition", "draw", "metric"]).any()
    back = long.pivot(index=["arm", "repetition"], columns="metric", values="value")
    expected = wide.set_index(["arm", "repetition"])[names]
    np.testing.assert_array_equal(back.loc[expected.index, names].to_numpy(), expected.to_numpy())
    taus, rhos = long[long["metric"] == "tau[all]"], long[long["metric"] == "rho[all]"]
    assert set(taus["validation"]) == {0.45}
    assert set(taus["ceiling"]) == {0.88}
    assert rhos["validation"].isna().all()
    assert set(rhos["ceiling"]) == {0.97}
    with pytest.raises(ValueError, match="no form 'tall' of the frame; there are: wide, long"):
        found.frame("tall")  # type: ignore[arg-type]


def test_what_is_unknown_is_missing_and_what_did_not_happen_cost_nothing(write: Writer) -> None:
    scored = {"scoring": {"flops": 50, "steps": 1, "examples": 5}, "training": {"flops": 900, "steps": 9}}
    folder = write(make_record("gm", cost=scored), make_record("none", metrics={"tau[all]": 0.4}))
    (folder / "records" / "none--r0-d0.measured.json").unlink()
    frame = results.load(folder).frame().set_index("arm")
    phases = [name for name in frame if name.startswith("flops_")]
    assert phases == ["flops_warm_up", "flops_scoring", "flops_training"]
    assert frame.loc["gm", phases].tolist() == [0, 50, 900]
    assert frame.loc["none", phases].tolist() == [200, 0, 800]
    assert frame["seconds"].isna().tolist() == [False, True]
    assert frame["seconds_training"].isna().tolist() == [False, True]
    assert frame["peak_bytes"].isna().tolist() == [False, True]
    assert frame["rho[all]"].isna().tolist() == [False, True]


def test_counts_beyond_64_bits_are_floats(write: Writer) -> None:
    cost = {"training": {"flops": 2**70, "steps": 9, "examples": 9}}
    frame = results.load(write(make_record("none", cost=cost))).frame()
    assert frame["flops"].tolist() == [float(2**70)]
    assert frame["steps"].dtype == np.int64


def test_estimates_are_those_of_the_runs_that_were_asked_for(found: Results) -> None:
    one = found.estimates("gm", 1)
    assert list(one.columns[:7]) == ["study", "space", "dataset", "trainer", "arm", "repetition", "draw"]
    assert one["architecture"].tolist() == ["00", "01"]
    assert one["accuracy"].tolist() == [10.0, 20.0]
    assert one["truth_test"].tolist() == [50.0, 60.0]
    assert set(one["arm"]) == {"gm"}
    assert set(one["repetition"]) == {1}
    of_arm, everything = found.estimates(arm="none"), found.estimates()
    assert of_arm["repetition"].tolist() == [0, 0, 1, 1, 2, 2]
    assert len(everything) == 2 * 8
    assert len(found.estimates(repetition=2)) == 2 * 2
    assert isinstance(everything["arm"].dtype, pd.CategoricalDtype)


def test_runs_that_are_not_there_are_named(found: Results) -> None:
    with pytest.raises(ConfigError, match=r"no arm 'nome'.*none.*; the arms there are gm, none, random"):
        found.estimates("nome")
    with pytest.raises(ConfigError, match="no repetition 2 of arm 'random'; there are: 0, 1"):
        found.estimates("random", 2)
    with pytest.raises(ConfigError, match="no repetition 7; there are: 0, 1, 2"):
        found.estimates(repetition=7)
    (found.folder / "records" / "gm--r0-d0.parquet").write_bytes(b"other")
    with pytest.raises(StoreError, match="not the estimates that the record names"):
        found.estimates("gm", 0)


def test_the_leaderboard_is_of_the_runs_as_they_were_read(write: Writer) -> None:
    found = results.load(write(*arm_records("none", [0.5, 0.6]), *arm_records("gm", [0.7, 0.8])))
    expected = leaderboards(found.folder)
    (found.folder / "records" / "gm--r1-d0.json").unlink()
    assert found.leaderboards == expected
    assert found.leaderboard()["complete"].tolist() == [True, True]


def test_the_leaderboard_has_the_numbers_of_the_leaderboard(write: Writer) -> None:
    gm = [0.61, 0.72, 0.83, 0.64, 0.75, 0.86, 0.67]
    none = [value - 0.1 - 0.001 * index for index, value in enumerate(gm)]
    found = results.load(
        write(*arm_records("none", list(none)), *arm_records("gm", list(gm)), make_record("random", expected_runs=7))
    )
    frame, (board,) = found.leaderboard(), leaderboards(found.folder).boards
    rows = [row for row in board.rows if not row.trivial]
    assert frame["arm"].tolist() == [row.arm for row in rows] == ["gm", "none", "random"]
    assert frame["mean"].tolist()[:2] == pytest.approx([sum(gm) / 7, sum(none) / 7])
    for position, row in enumerate(rows[:2]):
        estimate = row.metrics["tau[all]"]
        assert estimate is not None
        assert frame.loc[position, ["mean", "low", "high"]].tolist() == [estimate.mean, estimate.low, estimate.high]
    verdict = rows[0].verdict
    assert verdict is not None
    assert frame["verdict"].tolist()[0] == verdict.word == "better"
    assert frame["verdict"].isna().tolist() == [False, True, True]
    assert frame["p"].tolist()[0] == verdict.p
    assert frame["difference"].tolist()[0] == pytest.approx(0.103)
    assert frame["baseline"].tolist() == [False, True, False]
    assert frame["complete"].tolist() == [True, True, False]
    assert frame["runs"].tolist() == [7, 7, 1]
    assert frame.loc[2, ["mean", "low", "high", "selection_test"]].isna().all()
    assert frame["selection_test"].tolist()[:2] == [63.0, 63.0]
    assert frame["flops"].tolist()[:2] == [1000.0, 1000.0]


def test_another_metric_has_no_verdict_of_the_first(found: Results) -> None:
    frame = found.leaderboard("rho[all]")
    assert frame["arm"].tolist() == found.leaderboard()["arm"].tolist()
    assert frame[frame["complete"]]["mean"].tolist() == pytest.approx([0.7, 0.7])
    assert frame["verdict"].isna().all()
    with pytest.raises(ConfigError, match=r"no metric 'tau'; there are: regret\[all\], rho\[all\], tau"):
        found.leaderboard("tau")


def test_several_studies_stand_side_by_side(write: Writer, tmp_path: Path) -> None:
    write(*arm_records("none", [0.5, 0.6], study="first"), folder="all/first")
    write(*arm_records("none", [0.1, 0.2], study="second"), folder="all/second")
    found = results.load(tmp_path / "all")
    assert found.leaderboard()[["study", "arm"]].values.tolist() == [["first", "none"], ["second", "none"]]
    assert found.frame().groupby("study", observed=True)["tau[all]"].mean().to_dict() == pytest.approx(
        {"first": 0.55, "second": 0.15}
    )
    assert "first (micro, digits), second (micro, digits): 1 arm, 4 runs" in repr(found)


def test_what_it_says_of_itself(found: Results) -> None:
    (found.folder / "records" / "notes.txt").write_text("")
    first, second = repr(results.load(found.folder)).splitlines()
    assert first == "Results of toy (micro, digits): 3 arms, 8 runs, 1 warning, see .warnings"
    assert second == f"  in {found.folder}; .leaderboard(), .frame(), .estimates()"


class Structure(HTMLParser):
    """Which elements are open, and what is in them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.add(tag)
        assert not {"src", "href", "onclick"} & {name for name, _ in attrs}
        assert all("url(" not in (value or "") for _, value in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


def test_a_notebook_shows_the_leaderboard(write: Writer) -> None:
    folder = write(*arm_records("none", [0.5, 0.6, 0.7]), *arm_records(HOSTILE, [0.6, 0.7, 0.9]))
    (folder / "records" / "<b>.txt").write_text("")
    store.write_skipped(folder, {"<i>": "it <cannot>"})
    html = results.load(folder)._repr_html_()
    structure = Structure()
    structure.feed(html)
    structure.close()
    assert structure.open == []
    assert structure.seen == {
        *("div", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "p", "strong", "ul"),
        "li",
    }
    assert "".join(structure.cells).count(HOSTILE) == 1
    assert "0.600" in "".join(structure.cells)
    assert "records/&lt;b&gt;.txt: left out" in html
    assert "&lt;i&gt;: it &lt;cannot&gt;" in html
    assert "color:inherit" in html
    assert "#" not in html.replace("&#x27;", "")  # no colour of its own: it is read on light and on dark


def test_many_tables_are_counted(write: Writer, tmp_path: Path) -> None:
    for number in range(6):
        write(*arm_records("none", [0.5, 0.6], study=f"study{number}"), folder=f"all/{number}")
    html = results.load(tmp_path / "all")._repr_html_()
    assert html.count("<table") == 4
    assert "2 more tables" in html


def test_loading_imports_neither_torch_nor_pandas(found: Results) -> None:
    program = (
        "import sys, splitbench; found = splitbench.load(sys.argv[1]); repr(found); import splitbench.harness;"
        "heavy = {'torch', 'pandas', 'numpy', 'pyarrow', 'matplotlib'}; assert not heavy & sys.modules.keys(); "
        "found.frame(); assert 'torch' not in sys.modules; "
        "from splitbench.results import Results, load; assert isinstance(load(sys.argv[1]), Results)"
    )
    subprocess.run([sys.executable, "-c", program, str(found.folder)], check=True)


STUDY = {
    "name": "from-python",
    "space": "micro",
    "dataset": "digits",
    "trainer": {"name": "rsps", "batch_size": 32},
    "budget": {"steps": 30},
    "seeds": 1,
    "population": {"sample": 10},
    "evaluation": {"images": 50},
    "selector": {"name": "random_best", "samples": 2},
    "arms": ["none"],
}


def test_a_study_run_from_python_gives_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a mapping, a checked study and a file; results go to runs/<name> unless a folder is named."""
    from splitbench.harness.study.config import parse_study

    monkeypatch.chdir(tmp_path)
    found = splitbench.run(STUDY, device="cpu")
    assert found.folder == Path("runs/from-python")
    assert found == results.load("runs/from-python")
    assert found.frame()[["study", "arm", "complete"]].values.tolist() == [["from-python", "none", True]]
    assert len(found.estimates("none", 0)) == 10
    assert splitbench.run(parse_study(STUDY), "runs/from-python", device="cpu") == found
    Path("from-python.yaml").write_text(json.dumps({key: value for key, value in STUDY.items() if key != "name"}))
    assert splitbench.run("from-python.yaml", device="cpu") == found


def test_every_argument_of_run_is_described() -> None:
    assert all(name in (splitbench.run.__doc__ or "") for name in inspect.signature(splitbench.run).parameters)
