"""Parts of a study that are run apart and merged: equal to the whole, and checked before anything is written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_studies import record_bytes, tiny

from splitbench.harness.running.study import Study
from splitbench.harness.study.config import parse_study
from splitbench.harness.study.portion import portion
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.merging.merging import first_json_difference, spans
from splitbench.results.words import render

Command = Callable[..., tuple[int, str, str]]
SPLIT = "exhaustive(edges=0)"
STUDY = tiny(
    seeds=2,
    budget={"steps": 24},
    population={"sample": 12},
    evaluation={"images": 20},
    trainer={"name": "rsps", "batch_size": 16},
    selector={"name": "random_best", "samples": 2},
    arms=["none", {"criterion": "exhaustive", "edges": [0]}, {"criterion": "random", "draws": 2}],
)
PARTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "none": {"arms": ["none"]},
    "splits": {"arms": [f"{SPLIT},random"]},
    "first": {"seeds": "0"},
    "second": {"seeds": "1"},
}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole study, and halves of it by arms and by seeds, each run into a folder of its own. Read them only."""
    folder, config = tmp_path_factory.mktemp("parts"), parse_study(STUDY)
    for name, asked in PARTS.items():
        part = portion(config, asked.get("arms", []), asked.get("seeds"))
        Study.build(config, "cpu", part).run(folder / name)
    return folder


def numbers(folder: Path) -> Any:
    """A folder's leaderboard without seconds and bytes, which are the machine's."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(inner) for key, inner in value.items() if key not in ("seconds", "peak_bytes")}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    return without(json.loads(render.boards_json(leaderboards(folder))))


@pytest.mark.parametrize("halves", [("none", "splits"), ("splits", "none"), ("first", "second")], ids=" ".join)
def test_two_halves_merged_equal_the_whole(
    splitbench: Command, there: Path, tmp_path: Path, halves: tuple[str, str]
) -> None:
    status, out, _ = splitbench("merge", *(there / half for half in halves), "--out", tmp_path, "--json")
    found = json.loads(out)
    assert (status, found["whole"], found["runs"], found["overlap"], found["missing"]) == (0, True, 8, 0, [])
    assert record_bytes(tmp_path) == record_bytes(there / "whole")
    assert (tmp_path / "study.yaml").read_bytes() == (there / "whole" / "study.yaml").read_bytes()
    assert numbers(tmp_path) == numbers(there / "whole")
    assert numbers(tmp_path)["rows"][0]["metrics"]["tau[all]"]["n"] == 2


def test_overlapping_parts_are_joined_and_what_is_missing_is_named(
    splitbench: Command, there: Path, tmp_path: Path
) -> None:
    status, out, _ = splitbench("merge", there / "first", there / "none", "--out", tmp_path)
    assert status == 0
    assert "5 of 8 runs of the study" in out
    assert "1 record stood in several parts" in out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("|")]
    assert [SPLIT, "1 of 2", "1", "-"] in rows
    assert ["random", "2 of 4", "1", "-"] in [[name.split("(")[0], *rest] for name, *rest in rows]
    _, out, _ = splitbench("merge", there / "second", "--out", tmp_path, "--json")  # what is there is a part
    assert json.loads(out)["whole"]
    assert record_bytes(tmp_path) == record_bytes(there / "whole")


def test_a_merged_study_has_nothing_left_to_do(there: Path, tmp_path: Path, splitbench: Command) -> None:
    splitbench("merge", there / "first", there / "second", "--out", tmp_path)
    assert Study.build(parse_study(STUDY), "cpu").run(tmp_path) == ()
    assert not list(tmp_path.glob("stages/*/*"))
    assert record_bytes(tmp_path) == record_bytes(there / "whole")


def test_merge_needs_no_torch(there: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from splitbench.harness.cli.app import main; main(['merge', *sys.argv[1:]]);"
        "assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    folders = [str(there / "first"), str(there / "second"), "--out", str(tmp_path)]
    subprocess.run([sys.executable, "-c", code, *folders], check=True, stdout=subprocess.DEVNULL)


def edit(part: Path, change: Callable[[dict[str, Any]], None], pattern: str = "records/*-d0.json") -> None:
    """Change every record of a part (or every other JSON file) that the pattern fits."""
    for path in part.glob(pattern):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))


def refused(splitbench: Command, first: Path, second: Path, out: Path, *fragments: str) -> None:
    status, printed, err = splitbench("merge", first, second, "--out", out)
    assert (status, printed, err.count("\n")) == (2, "", 1), err
    for fragment in fragments:
        assert fragment in err
    assert not out.exists()


def test_two_records_of_one_run_that_differ_are_named_with_the_field(
    splitbench: Command, there: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(there / "none", tmp_path / "other"))
    edit(other, lambda record: record["metrics"].update({"tau[all]": 0.25}), "records/*r1-d0.json")
    refused(
        splitbench, there / "whole", other, tmp_path / "out",
        "--r1-d0.json are records of one run and differ: metrics.tau[all] is ", " and 0.25 in the second",
    )  # fmt: skip


def test_other_protocols_and_versions_are_refused(splitbench: Command, there: Path, tmp_path: Path) -> None:
    def other_budget(record: dict[str, Any]) -> None:
        record["protocol"] = "0" * 16
        record["config"]["study"]["budget"]["steps"] = 25

    def other_stages(record: dict[str, Any]) -> None:
        record["protocol"] = "0" * 16

    changes: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
        "budget": (other_budget, "different protocols: study.budget.steps is 24.0 in the first and 25 in the second"),
        "stages": (other_stages, "different protocols: versions of stages, or the ground truth"),
        "version": (lambda record: record.update(splitbench="0.0"), "were written by splitbench "),
        "arm": (lambda record: record["config"]["arm"].update(draws=7), f"configurations of arm {SPLIT}: draws"),
    }
    for name, (change, says) in changes.items():
        other = Path(shutil.copytree(there / "splits", tmp_path / name))
        edit(other, change)
        refused(splitbench, there / "first", other, tmp_path / "out", f"{there / 'first'} and {other}", says)


def test_other_studies_are_refused(splitbench: Command, there: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(there / "second", tmp_path / "other"))
    study = yaml.safe_load((other / "study.yaml").read_text())
    for key, value in {"name": "another", "seeds": 3, "baseline": SPLIT, "arms": study["arms"][:2]}.items():
        (other / "study.yaml").write_text(yaml.safe_dump(study | {key: value}))
        refused(splitbench, there / "first", other, tmp_path / "out", "are no parts of one study", key)
    (other / "study.yaml").unlink()
    refused(splitbench, there / "first", other, tmp_path / "out", "there is no study.yaml in it")
    refused(splitbench, there / "first", there / "first", tmp_path / "out", "name two or more results folders")


def test_unlike_machines_are_said(splitbench: Command, there: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(there / "second", tmp_path / "other"))
    edit(other, lambda measured: measured["machines"][0].update(torch="1.0"), "records/*.measured.json")
    _, out, _ = splitbench("merge", there / "first", other, "--out", tmp_path / "out")
    assert "the parts mix versions of torch (1.0; " in out


def test_a_run_that_failed_elsewhere_is_not_missing_where_it_succeeded(
    splitbench: Command, there: Path, tmp_path: Path
) -> None:
    """A failure stands in the place of a record: the record of another part replaces it, and without one it is told."""
    other = Path(shutil.copytree(there / "first", tmp_path / "other"))
    path = next(other.glob("records/none*-d0.json"))
    record = json.loads(path.read_text())
    common = ("splitbench", "study", "arm", "repetition", "baseline", "expected_runs", "space", "dataset", "trainer")
    failure = {key: record[key] for key in (*common, "protocol")} | {
        "config": {"arm": record["config"]["arm"]},
        "budget_kind": "steps",
        "budget_limit": 24,
        "stage": "",
        "component": "",
        "reason": "it has diverged",
        "traceback": "",
    }
    for file in other.glob("records/none*"):
        file.unlink()
    path.with_suffix(".failed.json").write_text(json.dumps(failure))
    _, out, _ = splitbench("merge", other, there / "second", "--out", tmp_path / "out", "--json")
    (missing,) = json.loads(out)["missing"]
    assert missing == {"arm": "none", "repetition": 0, "draw": 0, "failed": "it has diverged"}
    assert list((tmp_path / "out" / "records").glob("*.failed.json"))
    _, out, _ = splitbench("merge", there / "none", "--out", tmp_path / "out", "--json")
    assert json.loads(out)["whole"]
    assert record_bytes(tmp_path / "out") == record_bytes(there / "whole")


def test_the_first_difference_of_two_values() -> None:
    assert first_json_difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == ("a.1.b", 2, 3)
    assert first_json_difference({"a": 1}, {"a": 1, "b": None}) == ("b", None, None)
    assert first_json_difference([1, 2], [1]) == ("", [1, 2], [1])
    assert first_json_difference({"a": [1.0]}, {"a": [1]}) is None


def test_spans() -> None:
    assert spans([8, 0, 1, 2, 2, 5, 4]) == "0-2,4-5,8"
    assert spans([]) == ""
