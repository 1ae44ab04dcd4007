"""`splitbench expect`: what the package's own table answers, and what the verb refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from splitbench.results.expectation import unsplit
from splitbench.results.publishing.publish import PUBLISHED
from splitbench.results.records import archive

Call = Callable[..., tuple[int, str, str]]

KNOWN = unsplit.read_unsplit()
FIRST = KNOWN[0]
STUDIES = [path for path in sorted(PUBLISHED.iterdir()) if archive.has_records(path)]


def test_without_arguments_it_lists_all_that_is_known(splitbench: Call) -> None:
    status, out, err = splitbench("expect")
    assert (status, err) == (0, "")
    rows = [line for line in out.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + sum(len(one.lengths) for one in KNOWN)
    found = json.loads(splitbench("expect", "--json")[1])
    assert len(found["rows"]) == sum(len(one.lengths) for one in KNOWN)
    assert found["exact"]


def test_a_setting_and_budget_by_name(splitbench: Call) -> None:
    setting, length = FIRST.setting, FIRST.lengths[0]
    words = [
        *(setting.space["name"], "--dataset", setting.dataset["name"], "--trainer", json.dumps(setting.trainer)),
        *("--budget", f"{length.kind}={length.limit:g}", "--seeds", "5", "--json"),
    ]
    status, out, _ = splitbench("expect", *words)
    assert status == 0
    found = json.loads(out)
    row = next(row for row in found["rows"] if row["setting"] == json.loads(setting.model_dump_json()))
    tau = row["expected"]["tau[all]"]
    values = length.values["tau[all]"]
    assert row["lengths"][0]["metrics"]["tau[all]"]["n"] == tau["n"] == len(values)
    assert tau["mean"] == pytest.approx(sum(values) / len(values))
    assert tau["low"] < tau["mean"] < tau["high"]
    assert "a mean over 5 further seeds" in splitbench("expect", *words[:-1])[1]


def test_the_nearest_where_none_is_the_same(splitbench: Call) -> None:
    status, out, _ = splitbench("expect", FIRST.setting.space["name"], "--trainer", "{name: rsps, clip: 77}")
    assert status == 0
    assert "No published supernet is of that setting; these are the nearest." in out
    assert "| differs in" in out
    assert "trainer.clip 5" in out


@pytest.mark.parametrize("folder", STUDIES, ids=lambda path: path.name)
def test_published_studies_are_what_was_published(splitbench: Call, folder: Path) -> None:
    status, out, _ = splitbench("expect", folder)
    assert status == 0
    assert "its seeds are published ones, and measured the same to the last digit" in out
    for one in json.loads(splitbench("expect", folder, "--json")[1]):
        assert one["published"]
        assert one["metrics"]["tau[all]"]["word"] in ("within", None)
        assert one["lengths"]
    assert "lead to expect" not in splitbench("leaderboard", folder)[1]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["mikro"], "SPACE: unknown spaces component 'mikro' (did you mean 'micro'?)"),
        (["nb_macro"], "no unsplit supernet on nb_macro is published; there are: "),
        (["micro", "--trainer", "rspss"], "rspss"),
        (["micro", "--budget", "seconds=4"], "seconds buy another training on every machine"),
        (["micro", "--seeds", "0"], "--seeds 0: at least 1 is needed"),
        (["no/folder"], "no/folder: there is no such results folder"),
        ([PUBLISHED / "quickstart", "--seeds", "3"], "--seeds: the records of "),
    ],
)
def test_wrong_usage_ends_with_2(splitbench: Call, words: list[str], reason: str) -> None:
    status, out, err = splitbench("expect", *words)
    assert (status, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1


def test_it_imports_no_torch() -> None:
    script = f"""
import sys
from splitbench.harness.cli.app import main
main(["expect", {FIRST.setting.space["name"]!r}])
main(["expect", {str(PUBLISHED / "quickstart")!r}])
print(*sorted({{"torch", "numpy", "scipy", "pandas", "matplotlib"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "noise ceiling" in done.stdout
    assert done.stderr.split() == []
