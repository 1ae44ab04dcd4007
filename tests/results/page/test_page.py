"""The page as a file: a pure function of the folder, safe against what stands in it, and of a bounded size."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from crowded_folder import ARMS, CONTROLS, SEEDS, crowded_page
from synthetic_records import Writer, arm_records, make_measured, make_record

from splitbench.harness.cli.app import main
from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import tables
from splitbench.results.boards.leaderboard import Leaderboards, leaderboards
from splitbench.results.page import FOLDER, SCRIPTS, SIZES, page
from splitbench.results.page.pack import ALPHABET, LEVELS, embedded_json, pack_levels, quantised, rounded
from splitbench.results.page.run_details import SCATTER_POINTS, details
from splitbench.results.publishing.publish import publish
from splitbench.results.records.files import digest, encode_estimates
from splitbench.results.records.listing import record_path
from splitbench.results.records.loading import Loaded, load_runs
from splitbench.results.records.record import Record
from splitbench.results.records.store import write_run
from splitbench.results.words.sheet import Sheet
from splitbench.results.words.sheets import sheets
from splitbench.results.words.table import FORMULA, to_csv

NASTY = "</script><script>alert(\"x\")</script> & 'quotes' <b>bold</b>"
SPLIT_TREE: dict[str, Any] = {
    "allowed": [[0, 1, 2], [0, 1]],
    "stage": "root",
    "steps": 10,
    "curve": [(step, 2.0 - step / 1000) for step in range(200)],
    "edges": [0],
    "scores": {
        "0": {
            "operations": [0, 1, 2],
            "dissimilarity": [[0.0, 0.5, 0.25], [0.5, 0.0, 0.123456], [0.25, 0.123456, 0.0]],
            "standard_error": [[None, 0.1, None], [0.1, None, 0.2], [None, 0.2, None]],
            "repetitions": 4,
            "groups": [[0], [1, 2]],
            "cut": 0.75,
        }
    },
    "children": [
        {"allowed": [[0], [0, 1]], "stage": "a", "steps": 5, "curve": [(210, 1.0)]},
        {"allowed": [[1, 2], [0, 1]], "stage": "b", "steps": 5, "curve": []},
    ],
}


class Parsed(HTMLParser):
    """The text of each script by its id, and whatever points anywhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: dict[str, str] = {}
        self.addresses: list[str] = []
        self.open: str | None = None
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.addresses += [value or "" for name, value in attributes if name in ("href", "src")]
        self.open = (found.get("id") or "code") if tag == "script" else None
        if self.open:
            assert self.open not in self.scripts, "a script that is not the page's own"
            self.scripts[self.open] = ""

    def handle_endtag(self, tag: str) -> None:
        self.open = None

    def handle_data(self, data: str) -> None:
        if self.open:
            self.scripts[self.open] += data
        else:
            self.words.append(data)

    def data(self, name: str = "data") -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.scripts[name])
        return loaded

    def arms(self) -> list[dict[str, Any]]:
        data = self.data()
        return [dict(zip(data["arm_fields"], arm, strict=True)) for arm in data["arms"]]


def parsed(folder: Path, **options: Any) -> Parsed:
    return Parsed(page(folder, **options).decode())


def two_arms(write: Writer) -> Path:
    return write(*arm_records("none", [0.5, 0.6, 0.55]), *arm_records("gm", [0.7, 0.8, 0.75]))


# Purity


def test_two_builds_are_equal_byte_for_byte(write: Writer) -> None:
    folder = two_arms(write)
    assert page(folder) == page(folder)


def test_the_order_of_files_their_times_and_their_place_do_not_matter(write: Writer, tmp_path: Path) -> None:
    folder = two_arms(write)
    (folder / "skipped.json").write_text('{"ofa": "it needs kernels"}')
    (folder / "records" / "broken--r0-d0.json").write_text("{")
    files = [path for path in folder.rglob("*") if path.is_file()]
    for seed in range(3):
        random.Random(seed).shuffle(files)
        copy = tmp_path / f"copy {seed}"
        for number, path in enumerate(files):
            there = copy / path.relative_to(folder)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)
            os.utime(there, (number, number))
        assert page(copy) == page(folder)


def test_it_holds_no_address_but_its_own(write: Writer) -> None:
    found = parsed(two_arms(write))
    assert [address for address in found.addresses if not address.startswith(("#", "data:,"))] == []
    text = page(two_arms(write)).decode()
    assert not re.search(r"@import|url\(", text)
    assert "connect-src" not in text
    assert "default-src 'none'" in text


# Safety


def test_names_are_text_and_never_markup(write: Writer) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]), *arm_records(NASTY, [0.4, 0.5]), make_record("other", study=NASTY))
    text = page(folder).decode()
    found = Parsed(text)
    assert set(found.scripts) == {"data", "details", "code"}
    assert NASTY in [arm["name"] for arm in found.arms()]
    assert NASTY in {board["study"] for board in found.data()["boards"]}
    assert text.count("<script") == text.count("</script>") == 3
    assert '<script>alert("x")' not in text


def test_embedded_json_is_json_without_markup() -> None:
    value = {"b": ["</script>", "<!--", "&amp;", "\u2028\u2029", "é"], "a": 1.5}
    text = embedded_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")
    assert text.startswith('{"a":1.5,"b":[')
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded_json({"nan": float("nan")})


def test_the_scripts_cannot_end_their_element() -> None:
    assert {path.name for path in FOLDER.glob("*.js")} == set(SCRIPTS)
    forbidden = re.compile(r"</script|<!--|innerHTML|outerHTML|insertAdjacentHTML|\beval\b")
    assert [name for name in SCRIPTS if forbidden.search((FOLDER / name).read_text())] == []


# Numbers


def test_rounding_keeps_significant_digits_and_no_undefined_number() -> None:
    assert [rounded(value, 3) for value in (0.0012345, 123456.0, -0.0, float("nan"), float("inf"), None)] == [
        0.00123,
        123000.0,
        0.0,
        None,
        None,
        None,
    ]
    assert str(rounded(-0.0)) == "0.0"


def test_quantised_values_come_back_to_half_a_level() -> None:
    values = [random.Random(0).uniform(-3, 9) for _ in range(500)]
    packed, low, high = quantised(values)
    levels = [ALPHABET.index(a) * 64 + ALPHABET.index(b) for a, b in zip(packed[::2], packed[1::2], strict=True)]
    assert (low, high) == (min(values), max(values))
    step = (high - low) / (LEVELS - 1)
    assert all(abs(low + level * step - value) <= 0.5001 * step for level, value in zip(levels, values, strict=True))
    assert quantised([5.0, 5.0]) == ("AAAA", 5.0, 5.0)
    assert quantised([float("nan"), 1.0, 2.0])[0] == "AAAA__"
    with pytest.raises(ValueError, match="4096"):
        pack_levels([LEVELS])


def test_rows_hold_what_the_leaderboard_says(write: Writer) -> None:
    folder = write(*arm_records("none", [0.5, 0.6, 0.55]), *arm_records("gm", [0.7, 0.8, 0.75]), make_record("half"))
    found = parsed(folder)
    (board,) = leaderboards(folder).boards
    metrics = found.data()["metrics"]
    assert metrics[0] == "tau[all]"
    arms = found.arms()
    assert [arm["name"] for arm in arms] == [row.arm for row in board.rows]
    for arm, row in zip(arms, board.rows, strict=True):
        assert (bool(arm["complete"]), bool(arm["trivial"]), arm["found"]) == (row.complete, row.trivial, row.runs)
        for name, values in zip(metrics, arm["metrics"], strict=True):
            estimate = row.metrics.get(name)
            if estimate is None:
                assert values is None
            else:
                ends = (estimate.mean, estimate.low, estimate.high)
                digits = 2 if name.startswith("regret") else 3  # what the page shows of it
                assert values == [None if end is None else round(end, digits) for end in ends]
        if row.verdict:
            assert arm["verdicts"][0][:2] == ["none", row.verdict.word]
            assert arm["verdicts"][0][3][0] == pytest.approx(row.verdict.difference.mean, rel=1e-6)
    by_name = {arm["name"]: arm for arm in arms}
    assert by_name["gm"]["paired"][0] == [[0, 1, 2], [0.7, 0.8, 0.75]]
    assert (by_name["half"]["paired"], by_name["half"]["found"], by_name["half"]["expected"]) == (None, 1, 3)
    assert len(by_name["half"]["runs"]) == 1


def test_the_folder_is_read_once(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An arm that arrives after the folder was read is not in the page."""
    folder = two_arms(write)

    def loading(path: Path) -> Loaded:
        found = load_runs(path)
        write(*arm_records("late", [0.5, 0.6, 0.55]))
        return found

    for place in ("splitbench.results.page.load_runs", "splitbench.results.boards.leaderboard.load_runs"):
        monkeypatch.setattr(place, loading)
    assert {arm["name"] for arm in parsed(folder).arms() if not arm["trivial"]} == {"none", "gm"}


def test_sizes_are_marked_in_the_pages_own_words(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a sheet says that brackets mark sizes, the page, which has none, does not repeat it."""
    folder = two_arms(write)

    def worded(shown: Leaderboards) -> list[Sheet]:
        brackets = any(row.trivial for board in shown.boards for row in board.rows)
        return [replace(one, legend=(*one.legend, *(["Brackets are sizes."] * brackets))) for one in sheets(shown)]

    assert "Brackets are sizes." in worded(leaderboards(folder))[0].legend
    monkeypatch.setattr("splitbench.results.page.sheets", worded)
    words = "".join(parsed(folder).words)
    assert "Brackets are sizes." not in words
    assert words.count("rank by the size of the stand-alone network") == words.count(SIZES) == 1
    none = write(*arm_records("none", [0.5, 0.6], trivial={}), folder="without")
    assert SIZES not in "".join(parsed(none).words)


# Details


def split_record(arm: str, repetition: int = 0, **changes: Any) -> Record:
    leaves = [
        {"allowed": [[0], [0, 1]], "architecture": "00", "estimate": 20.0, "loss": 1.5, "population": 2, "test": 60.0},
        {
            "allowed": [[1, 2], [0, 1]],
            "architecture": "11",
            "estimate": 30.0,
            "loss": 1.0,
            "population": 1,
            "test": 50.0,
        },
    ]
    selection = make_record().selection.model_dump() | {"leaves": leaves, "leaf": 1, "architecture": "11"}
    topology = {"edges": ["in", "out"], "operations": [["skip", "conv", "pool"], ["skip", "conv"]]}
    return make_record(arm, repetition, tree=SPLIT_TREE, selection=selection, topology=topology, **changes)


def test_details_hold_tree_affinity_curve_and_scatter(write: Writer) -> None:
    found = parsed(write(split_record("none", expected_runs=1), split_record("gm", expected_runs=1)))
    data = found.data("details")
    assert set(data["runs"]) == {"0/none/r0-d0", "0/gm/r0-d0"}
    assert len(data["truths"]) == 1  # both arms rank the same population
    one = data["runs"]["0/gm/r0-d0"]
    tree = one["tree"]
    assert tree["kept"] == {"0": [0, 1, 2], "1": [0, 1]}
    assert [child["kept"] for child in tree["children"]] == [{"0": [0]}, {"0": [1, 2]}]
    assert [child["leaf"] for child in tree["children"]] == [0, 1]
    assert tree["scores"]["0"] == [[0, 1, 2], [[0], [1, 2]], 0.75, 4, [0.5, 0.25, 0.1235], [0.1, None, 0.2]]
    steps, losses = tree["curve"]
    assert (len(steps), len(losses), steps[0], steps[-1]) == (60, 60, 0, 199)
    assert one["scatter"] == [0, "AA__", 10.0, 20.0, "AAAB", 0]
    assert data["truths"][0] == ["AA__", 50.0, 60.0, 2]
    assert found.data()["boards"][0]["topology"][0] == ["in", "out"]
    assert data["parts"][one["config"]["seeds"]] == 3


def test_a_matrix_that_is_not_symmetric_is_kept_whole(write: Writer) -> None:
    tree = json.loads(json.dumps(SPLIT_TREE))
    tree["scores"]["0"]["dissimilarity"][0][1] = 0.4
    folder = write(make_record("none", tree=tree, expected_runs=1))
    score = parsed(folder).data("details")["runs"]["0/none/r0-d0"]["tree"]["scores"]["0"]
    assert score[4] == [0.4, 0.25, 0.5, 0.1235, 0.25, 0.1235]


def test_a_large_population_is_thinned_to_the_same_architectures_in_every_arm(tmp_path: Path) -> None:
    n = 2 * SCATTER_POINTS + 1
    truth = [random.Random(1).random() for _ in range(n)]
    for arm in ("none", "gm"):
        columns = {
            "architecture": [f"{i:05d}" for i in range(n)],
            "leaf": [i % 3 for i in range(n)],
            "accuracy": [100 * value + (arm == "gm") for value in truth],
            "truth_test": truth,
        }
        estimates = encode_estimates(columns)
        record = make_record(arm, estimates_sha256=digest(estimates), expected_runs=1)
        write_run(tmp_path / "out", record, make_measured(), estimates)
    data = parsed(tmp_path / "out").data("details")
    ((packed, low, high, size),) = data["truths"]
    assert (len(packed) // 2, size) == (1334, n)
    assert low == pytest.approx(min(truth), rel=1e-4)
    assert high <= max(truth) * 1.0001
    for run in data["runs"].values():
        assert run["scatter"][1] == packed  # the estimates are the truth, moved


def test_the_budget_is_kept_and_shared_fairly(write: Writer) -> None:
    arms = [f"arm {i}" for i in range(6)]
    folder = write(*(record for arm in ["none", *arms] for record in arm_records(arm, [0.5, 0.6, 0.7])))
    whole = parsed(folder).data("details")
    assert len(whole["runs"]) == 21
    half = parsed(folder, details_mb=len(embedded_json(whole)) / 2e6).data("details")
    assert len(embedded_json(half)) <= len(embedded_json(whole)) / 2
    by_turn = [sum(key.endswith(f"r{turn}-d0") for key in half["runs"]) for turn in range(3)]
    assert by_turn[0] == 7
    assert by_turn[2] == 0
    assert parsed(folder, details_mb=0).data("details")["runs"] == {}
    only = parsed(folder, arms=["arm 3"]).data("details")["runs"]
    assert set(only) == {f"0/arm 3/r{turn}-d0" for turn in range(3)}


def test_what_did_not_fit_leaves_nothing_behind(write: Writer) -> None:
    folder = two_arms(write)
    grouped = tables(load_runs(folder).runs)
    assert details(grouped, 10).payload() == {"parts": [], "runs": {}, "truths": []}


def test_unknown_arms_and_sizes_are_errors(write: Writer) -> None:
    folder = two_arms(write)
    with pytest.raises(ConfigError, match=r"--arm gmm: the folder holds no such arm \(did you mean 'gm'\?\)"):
        page(folder, arms=["gmm"])
    with pytest.raises(ConfigError, match="--details -1"):
        page(folder, details_mb=-1)
    with pytest.raises(ConfigError, match="--details nan"):
        page(folder, details_mb=float("nan"))


# Bad files


def test_each_bad_file_is_named_and_the_rest_is_shown(write: Writer) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]), *arm_records("gm", [0.4, 0.7]))
    records = folder / "records"
    whole = record_path(folder, make_record("gm")).read_bytes()
    (records / "truncated--r0-d0.json").write_bytes(whole[: len(whole) // 2])
    (records / "duplicate--r0-d0.json").write_bytes(whole)
    (records / "notes.txt").write_text("mine")
    newer = json.loads(whole) | {"schema_version": 99, "arm": "newer"}
    (records / "newer--r0-d0.json").write_text(json.dumps(newer))
    older = json.loads(whole) | {"schema_version": 2, "arm": "older", "expected_runs": 1}
    del older["topology"]
    (records / "older--r0-d0.json").write_text(json.dumps(older))
    before = sorted(path.name for path in records.iterdir())
    found = parsed(folder)
    words = "".join(found.words)
    for name in ("truncated--r0-d0.json", "duplicate--r0-d0.json", "notes.txt", "newer--r0-d0.json"):
        assert f"records/{name}: left out" in words
    assert "records/older--r0-d0.json: shown, but of the older schema 2" in words
    assert {"none", "gm", "older"} == {arm["name"] for arm in found.arms() if not arm["trivial"]}
    assert sorted(path.name for path in records.iterdir()) == before


def test_estimates_that_cannot_be_read_become_a_warning(write: Writer) -> None:
    folder = two_arms(write)
    record_path(folder, make_record("gm", 1)).with_suffix(".parquet").unlink()
    record_path(folder, make_record("gm", 2)).with_suffix(".parquet").write_bytes(b"other")
    found = parsed(folder)
    runs = found.data("details")["runs"]
    assert [runs[f"0/gm/r{turn}-d0"]["scatter"] is None for turn in range(3)] == [False, True, True]
    words = "".join(found.words)
    assert "gm--r1-d0.parquet: no scatter plot of this run" in words
    assert "these are not the estimates that the record names" in words


# Size


def test_ten_thousand_records_stay_under_ten_megabytes() -> None:
    text = crowded_page()
    assert 4_000_000 < len(text) < 10_000_000
    found = Parsed(text.decode())
    arms = found.arms()
    assert sum(len(arm["runs"]) for arm in arms) == ARMS * SEEDS == 10_000
    held = [arm for arm in arms if arm["chance"]]
    controls = (ARMS - 1) // CONTROLS
    assert len(held) == ARMS - controls  # every arm but the controls, the baseline (which splits) among them
    assert {len(found.data()["controls"][index]) for index in {arm["chance"][1] for arm in held}} == {controls}


# The command


def test_the_command_writes_every_format(
    write: Writer, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = two_arms(write)
    for form in ("text", "md", "json", "csv", "html"):
        out = tmp_path / f"made.{form}"
        main(["leaderboard", str(folder), "--format", form, "--out", str(out)])
        said = capfdbinary.readouterr()
        assert (said.out, b"wrote" in said.err) == (b"", True)
        assert b"gm" in out.read_bytes()
        if form != "text":
            main(["leaderboard", str(folder), "--format", form])
            assert capfdbinary.readouterr().out == out.read_bytes()


def test_a_terminal_gets_a_file_and_not_a_page(
    write: Writer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = two_arms(write)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    main(["leaderboard", str(folder), "--format", "html"])
    out, err = capfd.readouterr()
    assert (out, f"wrote {folder / 'leaderboard.html'}" in err) == ("", True)
    assert (folder / "leaderboard.html").read_bytes() == page(folder)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--format", "pdf"], "there are: text, md, json, csv, html"),
        (["--format", "md", "--arm", "gm"], "--arm belongs to --format html"),
        (["--json", "--details", "3"], "--details belongs to --format html"),
        (["--json", "--format", "csv"], "ask for two formats"),
    ],
)
def test_wrong_usage_is_one_sentence(
    write: Writer, words: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["leaderboard", str(two_arms(write)), *words])
    assert end.value.code == 2
    assert complaint in capfd.readouterr().err


def test_publishing_writes_the_page(write: Writer, tmp_path: Path) -> None:
    target = publish(two_arms(write), tmp_path / "published")
    assert (target / "leaderboard.html").read_bytes() == page(target, 3.0)


# CSV


def test_csv_has_a_line_an_arm_with_unrounded_numbers(write: Writer) -> None:
    folder = write(
        *arm_records("none", [0.5, 0.6, 0.55]),
        *arm_records('with "quotes", and\na line', [0.7, 0.8, 0.75]),
        make_record("half"),
    )
    boards = leaderboards(folder)
    lines = list(csv.DictReader(io.StringIO(to_csv(boards))))
    rows = boards.boards[0].rows
    assert [line["arm"] for line in lines] == [row.arm for row in rows]
    for line, row in zip(lines, rows, strict=True):
        for name, estimate in row.metrics.items():
            assert estimate is not None
            assert [float(line[f"{name} {end}"]) for end in ("mean", "low", "high")] == [
                estimate.mean,
                estimate.low,
                estimate.high,
            ]
        assert line["complete"] == ("yes" if row.complete else "no")
        if row.verdict:
            assert (line["verdict"], float(line["verdict p"])) == (row.verdict.word, row.verdict.p)
            assert float(line["difference mean"]) == row.verdict.difference.mean
        if row.cost:
            assert float(line["flops"]) == 1000
            assert float(line["training flops"]) == 800
            assert float(line["seconds"]) == pytest.approx(2.0)
    half = next(line for line in lines if line["arm"] == "half")
    assert (half["tau[all] mean"], half["verdict"], half["flops"]) == ("", "", "")


def test_csv_holds_no_formula(write: Writer) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "a=1"]
    metrics = {"tau[all]": -0.5, "=cmd()": -1.0}
    records = [make_record(name, 0, expected_runs=1, metrics=metrics, trainer="-t") for name in names]
    text = to_csv(leaderboards(write(*records)))
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    assert "'=cmd() mean" in header
    arms = {line[header.index("arm")] for line in lines if line[header.index("size baseline")] == "no"}
    assert arms == {"'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx", "'\rx", "a=1"}
    for line in lines:
        if line[header.index("size baseline")] == "no":
            assert (line[header.index("trainer")], line[header.index("tau[all] mean")]) == ("'-t", "-0.5")
    formulas = [cell for line in [header, *lines] for cell in line if cell.startswith(FORMULA)]
    assert {-0.5, -1.0} < {float(cell) for cell in formulas}  # numbers are left as they are


def test_csv_holds_every_table(write: Writer) -> None:
    folder = write(make_record(expected_runs=1), folder="out/one").parent
    write(make_record(study="other", space="nb201", expected_runs=1), folder="out/two")
    lines = list(csv.DictReader(io.StringIO(to_csv(leaderboards(folder)))))
    assert {(line["study"], line["space"]) for line in lines} == {("toy", "micro"), ("other", "nb201")}
