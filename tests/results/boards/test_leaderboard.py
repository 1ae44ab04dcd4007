"""The leaderboard as a pure function of a folder: what is averaged, compared, refused and shown."""

import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from json_keys import ESTIMATE, written_keys
from scipy import stats as scipy_stats
from synthetic_records import Writer, arm_records, make_failure, make_record

from splitbench.results.boards.bills import BillCorrelation
from splitbench.results.boards.leaderboard import Leaderboard, Leaderboards, leaderboards, leaderboards_of
from splitbench.results.records.files import encode
from splitbench.results.records.loading import load_runs
from splitbench.results.records.record import SCHEMA, Record
from splitbench.results.records.store import write_failure
from splitbench.results.words import render

NONE = [0.50, 0.52, 0.51, 0.49, 0.50, 0.53, 0.51]
BETTER = [0.55, 0.56, 0.58, 0.52, 0.57, 0.56, 0.55]
MIXED = [0.52, 0.50, 0.53, 0.47, 0.51, 0.52, 0.52]
SCORE: dict[str, Any] = {
    "operations": [0, 1, 2],
    "dissimilarity": [[0.0]],
    "standard_error": [[None]],
    "repetitions": 0,
    "groups": [[0, 1], [2]],
    "cut": 0.0,
}
LEAF = {"allowed": [[0]], "stage": "x", "steps": 1}
TREE: dict[str, Any] = {**LEAF, "edges": [0], "scores": {"0": SCORE}, "children": [LEAF, LEAF]}
RANDOM = {"criteria": "random", "partitioners": "random_groups", "edge_rules": "random_edge"}
CONTROL = {"arm": {kind: {"name": name} for kind, name in RANDOM.items()}}


def study() -> list[Record]:
    return [*arm_records("none", NONE), *arm_records("gm", BETTER), *arm_records("mixed", MIXED)]


def only(folder: Path) -> Leaderboard:
    (board,) = leaderboards(folder).boards
    return board


def test_rows_hold_means_intervals_and_verdicts(write: Writer) -> None:
    board = only(write(*study()))
    rows = {row.arm: row for row in board.rows}
    assert [row.arm for row in board.rows] == ["gm", "mixed", "none", "flops", "convolutions"]
    gm = rows["gm"].metrics["tau[all]"]
    assert gm is not None
    expected = scipy_stats.t.interval(0.95, 6, sum(BETTER) / 7, scipy_stats.sem(BETTER))
    assert (gm.low, gm.high) == pytest.approx(expected, rel=1e-9)
    verdict = rows["gm"].verdict
    assert verdict is not None
    assert (verdict.against, verdict.word) == ("none", "better")
    assert verdict.p == 2 * 2 / 2**7, "all seven agree, two arms compared"
    assert verdict.difference.mean == pytest.approx(sum(BETTER) / 7 - sum(NONE) / 7)
    assert rows["mixed"].verdict is not None
    assert rows["mixed"].verdict.word == "can't tell"
    assert rows["none"].verdict is None
    assert rows["none"].baseline
    assert (board.comparisons, board.seeds_needed) == (2, 7)
    assert board.ceiling == {"rho[all]": 0.97, "tau[all]": 0.88, "tau[top50%]": 0.7}
    assert board.warnings == ()


def test_of_ceiling_is_a_ratio_in_each_repetition(write: Writer) -> None:
    """The mean of the ratios, and not the ratio of the means: .5 / .5, .4 / .8 and .6 / .8: .75 on average."""
    records = [
        make_record("none", 0, 0.5, ceiling={"tau[all]": 0.5}),
        make_record("none", 1, 0.4, ceiling={"tau[all]": 0.8}),
        make_record("none", 2, 0.6, ceiling={"tau[all]": 0.8}),
    ]
    none, flops, _ = only(write(*records)).rows[:3]
    assert none.of_ceiling is not None
    assert (none.of_ceiling.mean, none.of_ceiling.n) == (pytest.approx(0.75), 3)
    assert (none.of_ceiling.low, none.of_ceiling.high) == pytest.approx(
        scipy_stats.t.interval(0.95, 2, 0.75, scipy_stats.sem([1.0, 0.5, 0.75]))
    )
    assert flops.of_ceiling is not None
    assert flops.of_ceiling.mean == pytest.approx((0.6 / 0.5 + 2 * 0.6 / 0.8) / 3), "and may pass 1"
    assert re.search(r"^\| none +\| [^|]+ \| +75% \|", render.markdown(leaderboards(write(*records))), re.MULTILINE)


@pytest.mark.parametrize("ceiling", [{}, {"tau[all]": None}, {"tau[all]": 0.0}, {"tau[all]": -0.1}])
def test_no_ceiling_no_share_of_it(write: Writer, ceiling: dict[str, float | None]) -> None:
    records = [make_record("none", 0, 0.5, expected_runs=2), make_record("none", 1, expected_runs=2, ceiling=ceiling)]
    board = only(write(*records))
    assert [row.of_ceiling for row in board.rows] == [None] * 3
    assert "Of ceiling is" not in render.markdown(Leaderboards((board,), ()))


def test_a_strange_configuration_breaks_no_table(write: Writer) -> None:
    config = {"study": {"schedule": 1, "evaluation": []}}
    records = [*arm_records("none", NONE, config=config), *arm_records("gm", BETTER, config=config)]
    folder = write(*records)
    path = next((folder / "records").glob("gm*r0-d0.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"config": {"arm": None}}))
    found = leaderboards(folder)
    assert found.boards[0].share == "flops"
    assert any("config.arm is no mapping" in warning for warning in found.warnings)


def test_a_worse_arm_is_called_worse(write: Writer) -> None:
    board = only(write(*arm_records("none", BETTER), *arm_records("gm", NONE, baseline=False)))
    (row,) = [row for row in board.rows if row.arm == "gm"]
    assert row.verdict is not None
    assert (row.verdict.word, row.verdict.p) == ("worse", 2 / 2**7)


def test_draws_are_averaged_within_a_repetition_first(write: Writer) -> None:
    draws = [
        make_record("random", repetition, 0.4 + 0.1 * repetition + 0.02 * draw, draw=draw, expected_runs=9)
        for repetition in range(3)
        for draw in range(3)
    ]
    board = only(write(*draws, *arm_records("none", [0.5, 0.5, 0.5])))
    (row,) = [row for row in board.rows if row.arm == "random"]
    assert (row.seeds, row.draws, row.runs) == (3, 3, 9)
    found = row.metrics["tau[all]"]
    assert found is not None
    assert found.n == 3
    assert (found.low, found.high) == pytest.approx(scipy_stats.t.interval(0.95, 2, 0.52, 0.1 / 3**0.5))


def test_an_incomplete_arm_is_named_last_and_never_averaged(write: Writer) -> None:
    records = [*study(), *arm_records("partial", [0.99, 0.98], expected_runs=7)]
    folder = write(*records)
    board = only(folder)
    row = board.rows[3]
    assert (row.arm, row.complete, row.runs, row.expected_runs) == ("partial", False, 2, 7)
    assert (row.metrics, row.selection, row.verdict, row.cost) == ({}, {}, None, None)
    assert board.comparisons == 2
    text = render.markdown(leaderboards(folder))
    (line,) = [line for line in text.splitlines() if line.startswith("| partial ") and "incomplete" in line]
    assert "incomplete: 2 of 7" in line
    assert "0.99" not in line


def test_uneven_draws_are_incomplete(write: Writer) -> None:
    runs = [make_record("random", r, draw=d, expected_runs=3) for r, d in ((0, 0), (0, 1), (1, 0))]
    assert not only(write(*runs, *arm_records("none", [0.5, 0.5]))).rows[1].complete


def test_more_seeds_make_an_old_arm_incomplete(write: Writer) -> None:
    old = arm_records("gm", [0.5, 0.6])
    board = only(write(*old, make_record("gm", 2, 0.7, expected_runs=5), *arm_records("none", [0.5, 0.5])))
    (row,) = [row for row in board.rows if row.arm == "gm"]
    assert (row.complete, row.runs, row.expected_runs) == (False, 3, 5)


def test_an_incomplete_baseline_gives_no_verdict(write: Writer) -> None:
    board = only(write(*arm_records("none", NONE[:3], expected_runs=7), *arm_records("gm", BETTER)))
    assert all(row.verdict is None for row in board.rows)
    assert board.warnings == ("the baseline none is incomplete, so there is no verdict; finish its runs",)


def test_a_metric_that_one_run_lacks_has_no_mean(write: Writer) -> None:
    board = only(write(*arm_records("none", NONE), *arm_records("gm", [None, *BETTER[1:]])))
    (row,) = [row for row in board.rows if row.arm == "gm"]
    assert row.metrics["tau[all]"] is None
    assert row.verdict is None
    assert row.metrics["rho[all]"] is not None
    assert board.warnings == ("gm: tau[all] is undefined in 1 of 7 runs, so it has no mean",)
    assert json.loads(render.boards_json(Leaderboards((board,), ())))["rows"][1]["metrics"]["tau[all]"] is None


def test_studies_spaces_budgets_and_protocols_are_never_mixed(write: Writer, tmp_path: Path) -> None:
    changes: list[dict[str, object]] = [
        {"study": "other"},
        {"space": "nb201"},
        {"dataset": "cifar10"},
        {"budget": {"kind": "flops", "limit": 2000.0, "spent": 2000.0}},
        {"budget": {"kind": "steps", "limit": 1000.0, "spent": 1000.0}},
        {"population": "1000 drawn uniformly"},
        {"protocol": "f00"},
    ]
    for index, change in enumerate([{}, *changes]):
        write(*arm_records("none", [0.5, 0.6], **change), folder=f"all/{index}")
    found = leaderboards(tmp_path / "all")
    assert len(found.boards) == 8
    assert all([row.arm for row in board.rows if not row.trivial] == ["none"] for board in found.boards)
    data = json.loads(render.boards_json(found))
    assert set(data) == {"boards", "rank_groups", "warnings", "skipped"}
    assert data["rank_groups"] is None, "one arm ranks nothing"
    assert len(data["boards"]) == 8
    assert render.markdown(found).count("\n# ") == 7


def test_other_architectures_ranked_in_one_repetition_are_reported(write: Writer) -> None:
    other = make_record("gm", 1, 0.6).model_copy(update={"trivial": {"flops": {"tau[all]": 0.61, "rho[all]": 0.75}}})
    records = [*arm_records("none", [0.5, 0.5]), make_record("gm", 0, 0.6, expected_runs=2), other]
    (warning,) = only(write(*records)).warnings
    assert "arms gm and none did not rank the same architectures in repetition 1" in warning


def test_leaf_metrics_of_sizes_belong_to_an_arm_and_are_no_row(write: Writer) -> None:
    trivial = {"flops": {"tau[all]": 0.6, "rho[all]": 0.75, "tau_in_leaf[all]": 0.1}}
    both = {"trivial": trivial, "expected_runs": 1}
    unlike = {"trivial": {"flops": {**trivial["flops"], "tau_in_leaf[all]": 0.9}}, "expected_runs": 1}
    board = only(write(make_record("none", **both), make_record("gm", **unlike)))
    assert board.warnings == ()
    (row,) = [row for row in board.rows if row.trivial]
    assert set(row.metrics) == {"tau[all]", "rho[all]"}


def test_costs_are_means_by_phase_and_measurement_is_not_charged(write: Writer) -> None:
    (row, *_) = only(write(*arm_records("none", [0.5, 0.6]))).rows
    cost = row.cost
    assert cost is not None
    assert (cost.flops, cost.seconds, cost.peak_bytes) == (1000, 2.0, 2**20)
    assert {phase: (c.flops, c.share, c.seconds) for phase, c in cost.by_phase.items()} == {
        "measurement": (0, 0.0, 9.0),
        "training": (800, 0.8, 1.5),
        "warm_up": (200, 0.2, 0.5),
    }


def test_seconds_of_a_run_without_measured_file_are_unknown(write: Writer) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]))
    (folder / "records" / "none--r1-d0.measured.json").unlink()
    found = leaderboards(folder)
    cost = found.boards[0].rows[0].cost
    assert cost is not None
    assert (cost.flops, cost.seconds, cost.peak_bytes) == (1000, None, None)
    assert json.loads(render.boards_json(found))["warnings"] == list(found.warnings) != []


def texts(folder: Path) -> tuple[str, str]:
    found = leaderboards(folder)
    return render.markdown(found), render.boards_json(found)


def test_bytes_do_not_depend_on_file_order_or_place(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(*study(), *arm_records("partial", [0.9], expected_runs=2))
    (folder / "records" / "bad.json").write_text("{")
    backwards = write(*reversed([*study(), *arm_records("partial", [0.9], expected_runs=2)]), folder="backwards")
    (backwards / "records" / "bad.json").write_text("{")
    expected = texts(folder)
    assert texts(backwards) == expected
    shutil.copytree(folder, tmp_path / "elsewhere")
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: list(glob(self, pattern))[::-1])
    monkeypatch.chdir(tmp_path)
    assert texts(Path("elsewhere")) == expected


def test_json_keeps_the_contract(write: Writer) -> None:
    data = json.loads(render.boards_json(leaderboards(write(*study()))))
    assert {"study", "ceiling", "rows", "warnings"} <= set(data)
    assert data["ceiling"]["tau[all]"] == 0.88
    gm = data["rows"][0]
    assert {k: gm[k] for k in ("arm", "space", "dataset", "trainer", "seeds", "complete", "baseline", "trivial")} == {
        "arm": "gm",
        "space": "micro",
        "dataset": "digits",
        "trainer": "rsps",
        "seeds": 7,
        "complete": True,
        "baseline": False,
        "trivial": False,
    }
    assert {"mean", "low", "high"} <= set(gm["metrics"]["tau[all]"])
    assert {k: gm["verdict"][k] for k in ("against", "word", "p")} == {"against": "none", "word": "better", "p": 1 / 32}
    assert set(gm["cost"]) == {"flops", "seconds", "peak_bytes", "by_phase"}
    assert gm["selection"]["test"]["mean"] == 63.0
    assert data["rows"][-1]["trivial"] is True
    assert data["rows"][2]["verdict"] is None


def test_markdown_tells_what_a_reader_needs(write: Writer) -> None:
    text = render.markdown(leaderboards(write(*study())))
    assert text.startswith("# toy: micro on digits\n")
    for words in (
        "Trainer rsps; budget 1000 flops an arm, shared among leaves in equal parts; 7 seeds; "
        "population: all distinct connected functions",
        "Noise ceiling: one stand-alone training ranks another with tau[all] 0.880",
        "difference to none",
        "better (p = 0.031)",
        "can't tell (p = ",
        "(flops)",
        "leaf floor*",
        "best of K*",
        "95% Student-t intervals of the mean over seeds",
        "With 7 seeds the least p is 0.031; the fewest that can give a verdict are 7.",
    ):
        assert words in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 4
    for table in tables:
        assert len({len(line) for line in table.splitlines()}) == 1, "columns are padded"
        assert len({line.count("|") for line in table.splitlines()}) == 1
        assert max(map(len, table.splitlines())) <= 140


def test_markdown_says_how_many_seeds_a_verdict_takes(write: Writer) -> None:
    text = render.markdown(leaderboards(write(*arm_records("none", NONE[:2]), *arm_records("gm", BETTER[:2]))))
    assert "With 2 seeds no verdict is possible (the least p is 0.500): 4 more would make it 6 seeds" in text


def test_names_cannot_break_a_table(write: Writer) -> None:
    text = render.markdown(leaderboards(write(*arm_records("none", [0.5]), *arm_records("a|b\nc", [0.5]))))
    assert "| a\\|b c " in text


def test_the_terminal_shows_the_same_numbers(write: Writer) -> None:
    from rich.console import Console

    buffer = io.StringIO()
    folder = write(*study())
    (folder / "records" / "bad.json").write_text("{")
    render.terminal(leaderboards(folder), Console(file=buffer, width=200))
    text = buffer.getvalue()
    for words in ("toy: micro on digits", "tau[all]", "better (p = 0.031)", "leaf floor*", "warning: records/bad.json"):
        assert words in text


def test_the_leaderboard_imports_nothing_slow(write: Writer) -> None:
    folder = write(*study())
    code = (
        "import sys; from splitbench.results.arms import friedman, populations;"
        "from splitbench.results.boards import compare, leaderboard;"
        "from splitbench.results.inference import bootstrap, power; from splitbench.results.words import render;"
        f"found = leaderboard.leaderboards({str(folder)!r}); render.markdown(found); render.boards_json(found);"
        "print([name for name in ('torch', 'pandas', 'scipy', 'numpy', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_newer_record_beside_older_ones_is_reported(write: Writer) -> None:
    folder = write(*study())
    newer = make_record("gm", 9).model_copy(update={"schema_version": SCHEMA + 1, "splitbench": "9.0.0"})
    (folder / "records" / "gm--r9-d0.json").write_bytes(encode(newer))
    found = leaderboards(folder)
    assert len(found.boards[0].rows) == 5
    assert found.warnings == (
        f"records/gm--r9-d0.json: left out, written by splitbench 9.0.0 with schema {SCHEMA + 1}; "
        f"this version reads up to {SCHEMA}: upgrade",
    )
    assert "## Warnings" in render.markdown(found)


def test_values_that_are_not_numbers_become_null(write: Writer) -> None:
    """A hand-edited or foreign record may hold NaN; JSON for CI jobs must not."""
    nan = float("nan")
    records = arm_records("none", [nan, 0.5], ceiling={"tau[all]": nan}, trivial={"flops": {"tau[all]": nan}})
    folder = write(*records)
    path = folder / "records" / "none--r0-d0.measured.json"
    path.write_text(path.read_text().replace("0.5", '"NaN"'))
    data = json.loads(render.boards_json(leaderboards(folder)))
    assert data["ceiling"] == {"tau[all]": None}
    assert [row["metrics"]["tau[all]"] for row in data["rows"]] == [None, None]
    assert data["rows"][0]["cost"]["seconds"] is None


def test_oracles_are_bounds_and_make_no_other_p_larger(write: Writer) -> None:
    honest = leaderboards(write(*study())).boards[0]
    seers = [*arm_records("seer", BETTER, reads_truth=True), *arm_records("prophet", BETTER, reads_truth=True)]
    folder = write(*study(), *seers, folder="with")
    found = leaderboards(folder)
    (board,) = found.boards
    verdicts = {row.arm: row.verdict for row in board.rows if row.verdict}
    assert {arm: verdict.p for arm, verdict in verdicts.items() if arm in {"seer", "prophet"}} == {
        "seer": 2 * 2 / 2**7,
        "prophet": 2 * 2 / 2**7,
    }
    alone = {row.arm: row.verdict for row in honest.rows if row.verdict}
    assert {arm: verdicts[arm] for arm in alone} == alone
    assert (board.comparisons, board.seeds_needed) == (honest.comparisons, honest.seeds_needed) == (2, 7)
    text = render.markdown(found)
    assert "p adjusted after Holm for 2 arms, and apart from them for 2 oracle controls (†); better" in text
    assert "With 7 seeds the least p is 0.031; the fewest that can give a verdict are 7." in text
    assert "| seer † " in text


def test_oracles_do_not_count_while_the_baseline_is_incomplete(write: Writer) -> None:
    seer = arm_records("seer", BETTER, reads_truth=True)
    board = only(write(*arm_records("none", NONE[:3], expected_runs=7), *arm_records("gm", BETTER), *seer))
    assert board.comparisons == 1


def test_a_table_of_oracles_alone_says_how_they_were_adjusted(write: Writer) -> None:
    folder = write(*arm_records("none", NONE), *arm_records("seer", BETTER, reads_truth=True))
    found = leaderboards(folder)
    assert found.boards[0].comparisons == 0
    text = render.markdown(found)
    assert "p adjusted after Holm for 1 oracle control (†); better" in text
    assert "the least p" not in text


PAGE = Path(__file__).parents[3] / "docs" / "leaderboard.md"


def documented_keys() -> list[set[str]]:
    """The first columns of the tables in the page's section about JSON."""
    section = PAGE.read_text().partition("\n## JSON\n")[2]
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE):
        lines = table.splitlines()[2:]
        keys = [key for line in lines for key in re.findall("`([^`]+)`", line.split("|")[1])]
        assert len(set(keys)) == len(keys)
        found.append(set(keys))
    return found


def test_the_page_lists_every_key_that_is_written(write: Writer) -> None:
    running = {"study": {"evaluation": {"batch_norm": "running"}}}
    split = {"tree": TREE, "config": CONTROL | running}
    terms = dict.fromkeys(("training_lost", "bill", "relief", "across", "calibration", "difference"), 0.0)
    terms |= dict.fromkeys(("tau_none", "tau_free", "tau_charged", "tau_arm"), 0.5)
    other = {"tree": TREE, "config": {"arm": {"criteria": {"name": "gm"}}} | running, "decomposition": terms}
    none = arm_records("none", NONE, config=running)
    arms = [*none, *arm_records("random", NONE, **split), *arm_records("gm", BETTER, **other)]
    lone = {"tree": {**TREE, "children": TREE["children"] * 2, "scores": {"0": {**SCORE, "groups": [[0], [1], [2]]}}}}
    folder = write(*arms, *arm_records("lone", MIXED, config=other["config"], **lone), folder="all/a")
    (folder / "records" / "bad.json").write_text("{")
    write_failure(folder, make_failure("broken"))
    (folder / "skipped.json").write_text('{"ofa": "it needs kernels"}')
    table, several, ranks = documented_keys()
    one = leaderboards(folder)
    correlation = BillCorrelation("at the arm's own bill", 9, 0.5, 0.1, 0.9, 0.7, 0.2, 0.1)
    board = replace(one.boards[0], bill_correlations=(correlation,), expected=("none: tau[all] is within",))
    one = replace(one, boards=(board,))
    assert written_keys(json.loads(render.boards_json(one))) == table

    for space in ("nb201", "darts"):
        others = [r for arm in ("none", "gm", "random", "late") for r in arm_records(arm, NONE, space=space)]
        write(*others, folder=f"all/{space}")
    data = json.loads(render.boards_json(leaderboards(folder.parent)))
    assert {f"{key}[]" for key in data if key != "rank_groups"} | {"rank_groups"} == several
    assert written_keys(data["rank_groups"], "rank_groups") == ranks
    micro = next(board for board in data["boards"] if board["space"] == "micro")
    few = {key for key in table if not key.startswith("bill_correlations[].")} | {"bill_correlations[]"}
    assert written_keys(micro) | {"warnings[]", "skipped[]", "expected[]"} == few
    assert not {"skipped", "expected"} & micro.keys()


def test_the_page_says_what_an_estimate_is() -> None:
    section = PAGE.read_text().partition("\n## JSON\n")[2]
    (words,) = re.findall(r"an estimate is\s+an object of ([^.]*)\.", section)
    assert set(re.findall("`([^`]+)`", words)) == ESTIMATE


def test_a_damaged_file_of_skipped_arms_is_a_warning(write: Writer) -> None:
    folder = write(*study())
    for content in ("{", "[]", '{"ofa": 3}', "\udcff"):
        (folder / "skipped.json").write_text(content, errors="surrogateescape")
        found = leaderboards(folder)
        assert found.skipped == ()
        (warning,) = found.warnings
        assert warning.startswith("skipped.json: left out, damaged")
        assert len(found.boards[0].rows) == 5


def test_skipped_arms_can_always_be_written_down(write: Writer) -> None:
    folder = write(*study())
    (folder / "skipped.json").write_text('{"of\\ud800a": "it needs\\udfff\\nkernels, \u00e9"}')
    found = leaderboards(folder)
    assert found.skipped == (r"of\ud800a: it needs\udfff\nkernels, é",)
    assert found.skipped[0].encode() in render.markdown(found).encode()
    assert json.loads(render.boards_json(found).encode())["skipped"] == list(found.skipped)


def test_leaderboards_of_runs_that_were_read(write: Writer) -> None:
    folder = write(*study())
    loaded = load_runs(folder)
    expected = leaderboards(folder)
    shutil.rmtree(folder)
    assert leaderboards_of(loaded) == expected


def test_faults_are_the_warnings_that_forbid_a_comparison(write: Writer) -> None:
    (board,) = leaderboards(write(*study(), *arm_records("gm2", [0.5], expected_runs=1))).boards
    assert board.faults == ()
    other = {"flops": {"tau[all]": 0.1}}
    records = [
        *arm_records("none", NONE),
        *arm_records("gm", NONE, baseline=True),
        *arm_records("x", NONE, trivial=other),
    ]
    (board,) = leaderboards(write(*records, folder="unfair")).boards
    several, populations = board.faults
    assert several.startswith("several arms are marked as the baseline: gm is used")
    assert "did not rank the same architectures" in populations


def test_skipped_arms_of_several_folders_name_their_folder(write: Writer) -> None:
    for name in ("a", "b"):
        folder = write(*arm_records("none", NONE, study=name), folder=f"all/{name}")
        (folder / "skipped.json").write_text('{"ofa": "it needs kernels"}')
    found = leaderboards(folder.parent)
    assert found.skipped == ("ofa (in a): it needs kernels", "ofa (in b): it needs kernels")
    assert "- ofa (in a): it needs kernels\n" in render.markdown(found)
    assert leaderboards(folder).skipped == ("ofa: it needs kernels",)
    (folder / "skipped.json").write_text("{")
    assert leaderboards(folder.parent).warnings[0].startswith("b/skipped.json: left out, damaged")
