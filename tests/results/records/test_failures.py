"""Runs that failed are shown wherever their arm is, with the reason, and are never averaged."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from synthetic_records import Writer, arm_records, make_failure, make_record

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.boards.compare import compare
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.gating import checks
from splitbench.results.gating import gate as gates
from splitbench.results.gating.gate_report import gate_json
from splitbench.results.page import page
from splitbench.results.records import store
from splitbench.results.records.loading import load_runs
from splitbench.results.words import render
from splitbench.results.words.table import to_csv

DIVERGED = "the supernet has diverged"
SEED = {"config": {"study": {"seed": 0}}}


def unchecked(folder: Path) -> Path:
    """Without the estimates, which are not those that the made-up metrics would follow from."""
    for path in folder.glob("records/*.parquet"):
        path.unlink()
    return folder


@pytest.fixture
def folder(write: Writer) -> Path:
    """``none`` is whole; ``gm`` lost its second of three runs, ``random`` all of them."""
    whole, part = arm_records("none", [0.5, 0.6, 0.7], **SEED), [make_record("gm", r, **SEED) for r in (0, 2)]
    found = unchecked(write(*whole, *part))
    store.write_failure(found, make_failure("gm", 1))
    for repetition in range(3):
        store.write_failure(found, make_failure("random", repetition, reason=f"it broke | {repetition}", stage=""))
    return found


def test_rows_say_which_runs_failed_and_why(folder: Path) -> None:
    (board,) = leaderboards(folder).boards
    rows = {row.arm: row for row in board.rows}
    assert (rows["gm"].complete, rows["gm"].runs, rows["gm"].metrics) == (False, 2, {})
    assert (rows["random"].complete, rows["random"].runs, rows["random"].expected_runs) == (False, 0, 3)
    assert [(one.repetition, one.draw, one.reason) for one in rows["gm"].failed] == [(1, 0, DIVERGED)]
    assert len(rows["random"].failed) == 3
    assert rows["none"].complete
    assert rows["none"].failed == ()


def test_json_has_them_in_the_row_and_no_key_where_there_are_none(folder: Path) -> None:
    rows = {row["arm"]: row for row in json.loads(render.boards_json(leaderboards(folder)))["rows"]}
    one = {"arm": "gm", "repetition": 1, "draw": 0, "stage": "train root", "reason": DIVERGED}
    assert rows["gm"]["failed"] == [one]
    assert "failed" not in rows["none"]


def test_markdown_terminal_and_page_show_the_reason(folder: Path) -> None:
    text = render.markdown(leaderboards(folder))
    assert "failed: 1 of 3" in text
    assert "failed: 3 of 3" in text
    assert "**Failed runs**" in text
    assert f"| gm     |    2 |    1 | train root | {DIVERGED} " in text
    assert "it broke \\| 2" in text
    html = page(folder).decode()
    assert "<h2>Failed runs</h2>" in html
    assert f'<td class="left">{DIVERGED}</td>' in html


def test_csv_counts_them(folder: Path) -> None:
    rows = {row["arm"]: row for row in csv.DictReader(io.StringIO(to_csv(leaderboards(folder))))}
    assert [(rows[arm]["failed runs"], rows[arm]["failure"]) for arm in ("none", "gm", "random")] == [
        ("0", ""),
        ("1", DIVERGED),
        ("3", "it broke | 0"),
    ]


def test_a_baseline_that_failed_gives_no_verdict(write: Writer) -> None:
    folder = write(*arm_records("gm", [0.5, 0.6, 0.7]))
    store.write_failure(folder, make_failure("none"))
    (board,) = leaderboards(folder).boards
    assert board.warnings[0].startswith("the baseline none has failed, so there is no verdict")


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ("gm", f"'gm' has 2 of 3 runs (seed 2, train root: {DIVERGED}), and incomplete arms are never averaged"),
        (
            "random",
            "no run of arm 'random' succeeded (seed 1: it broke | 0; seed 2: it broke | 1; seed 3: it broke | 2)",
        ),
    ],
)
def test_compare_says_why_an_arm_cannot_be_compared(folder: Path, arm: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        compare(folder, "none", arm)
    assert says in str(error.value)


def test_the_gate_does_not_pass_an_arm_that_failed(folder: Path, write: Writer, tmp_path: Path) -> None:
    records = [record for arm in ("none", "gm", "random") for record in arm_records(arm, [0.5, 0.6, 0.7], **SEED)]
    whole = unchecked(write(*records, folder="whole"))
    gates.update(whole, tmp_path / "gate.json", ["tau[all]"], "")
    report = gates.hold_against_baseline(folder, tmp_path / "gate.json")
    assert report.status == checks.NOT_MEASURED
    where = "toy / micro / digits"
    assert report.missing[:2] == (
        f"{where}: arm gm has 2 of 3 runs (seed 2, train root: {DIVERGED})",
        f"{where}: arm random failed: seed 1: it broke | 0; seed 2: it broke | 1; seed 3: it broke | 2",
    )
    assert gate_json(report)["status"] == 3
    with pytest.raises(ConfigError, match="no baseline is written: arm 'gm' has failed"):
        gates.update(folder, tmp_path / "other.json", [], "")


def test_the_gate_names_a_failed_arm_that_it_does_not_guard(folder: Path, write: Writer, tmp_path: Path) -> None:
    whole = unchecked(write(*arm_records("none", [0.5, 0.6, 0.7], **SEED), folder="whole"))
    gates.update(whole, tmp_path / "gate.json", ["tau[all]"], "")
    report = gates.hold_against_baseline(folder, tmp_path / "gate.json")
    assert report.status == checks.OK
    assert f"arm gm, which the baseline does not guard, failed: seed 2, train root: {DIVERGED}" in "".join(report.notes)


def test_where_all_runs_failed_nothing_was_measured(write: Writer, tmp_path: Path) -> None:
    gates.update(write(*arm_records("none", [0.5, 0.6]), folder="whole"), tmp_path / "gate.json", ["tau[all]"], "")
    store.write_failure(tmp_path / "lost", make_failure("none"))
    report = gates.hold_against_baseline(tmp_path / "lost", tmp_path / "gate.json")
    assert report.status == checks.NOT_MEASURED
    assert f"was not measured: arm none failed: seed 1, train root: {DIVERGED}" in report.missing[0]
    with pytest.raises(StoreError, match=rf"no run has succeeded, and 1 failed: none, seed 1, train root: {DIVERGED}"):
        leaderboards(tmp_path / "lost")


@pytest.mark.parametrize("change", [{"metrics": []}, {"tables": []}])
def test_a_baseline_that_guards_nothing_is_refused(write: Writer, tmp_path: Path, change: dict[str, object]) -> None:
    folder, path = unchecked(write(*arm_records("none", [0.5, 0.6], **SEED))), tmp_path / "gate.json"
    gates.update(folder, path, ["tau[all]"], "")
    path.write_text("\ufeff" + path.read_text(), encoding="utf-8")
    assert gates.hold_against_baseline(folder, path).status == checks.OK, "a byte order mark is no damage"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8-sig")) | change))
    with pytest.raises(StoreError, match="the baseline guards no (metric|arm), so that nothing could ever fail"):
        gates.hold_against_baseline(folder, path)


def test_a_failure_gives_way_to_the_record_of_its_run(folder: Path, write: Writer) -> None:
    write(make_record("gm", 1))
    assert not list(folder.glob("records/gm*.failed.json"))
    assert {one.arm for one in load_runs(folder).failed} == {"random"}


def test_a_failure_beside_a_record_of_its_run_is_passed_over(folder: Path) -> None:
    store.write_failure(folder, make_failure("gm", 0))
    assert ("gm", 0) not in {(one.arm, one.repetition) for one in load_runs(folder).failed}


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"arm": "gm"}', "[" * 100_000])
def test_a_damaged_failure_is_a_warning(folder: Path, content: str) -> None:
    (path,) = folder.glob("records/gm*.failed.json")
    path.write_text(content)
    (warning,) = load_runs(folder).warnings
    assert warning.startswith(f"records/{path.name}: left out, a failed run's file that is damaged")


# -- protocols -----------------------------------------------------------------------------------------------------


def test_runs_under_two_protocols_never_share_a_path(write: Writer) -> None:
    folder = write(make_record("gm", protocol="a1"), make_record("gm", protocol="b2"), make_record("gm"))
    names = sorted(path.name for path in folder.glob("records/*-d0.json"))
    assert names == ["gm--a1--r0-d0.json", "gm--b2--r0-d0.json", "gm--r0-d0.json"]
    assert len(load_runs(folder).runs) == 3


@pytest.mark.parametrize("protocol", ["../../outside", "a\x00b", "a\n", "x" * 5000, ["a"], 7, None, "a/b", "."])
def test_a_protocol_that_could_be_a_path_is_damage(write: Writer, protocol: object) -> None:
    folder = write(make_record("gm", 0), make_record("gm", 1))
    path = folder / "records" / "gm--r1-d0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"protocol": protocol}))
    loaded = load_runs(folder)
    assert len(loaded.runs) == 1
    assert loaded.warnings[0].startswith("records/gm--r1-d0.json: left out, invalid at 'protocol'")
    assert len(loaded.warnings[0]) < 250
