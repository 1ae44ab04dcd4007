"""A finished record whose versions match is kept, with or without the stages that it was made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_studies import Executed, record_bytes, run_tiny

from splitbench.harness.stages.train import Train
from splitbench.results.records.loading import load_runs


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Executed:
    return Executed(monkeypatch)


def test_without_its_stages_nothing_is_done_again(executed: Executed, tmp_path: Path) -> None:
    first = run_tiny(tmp_path, arms=["none", "random"])
    before, done = record_bytes(tmp_path), dict(executed)
    shutil.rmtree(tmp_path / "stages")
    again = run_tiny(tmp_path, arms=["none", "random"])
    assert [record.arm for record in again.records] == [record.arm for record in first.records] == ["none", "random"]
    assert record_bytes(tmp_path) == before
    assert dict(executed) == done
    assert not (tmp_path / "stages").exists()


def test_more_seeds_keep_the_first_and_make_them_know_of_the_others(executed: Executed, tmp_path: Path) -> None:
    run_tiny(tmp_path)
    trained = executed["train"]
    shutil.rmtree(tmp_path / "stages")
    run_tiny(tmp_path, seeds=2)
    assert executed["train"] == 2 * trained
    assert [run.record.expected_runs for run in load_runs(tmp_path).runs] == [2, 2]


@pytest.mark.parametrize("suffix", [".json", ".parquet", ".measured.json"])
def test_what_is_damaged_is_made_again(executed: Executed, tmp_path: Path, suffix: str) -> None:
    run_tiny(tmp_path)
    before, trained = record_bytes(tmp_path), executed["train"]
    shutil.rmtree(tmp_path / "stages")
    (path,) = (p for p in (tmp_path / "records").iterdir() if p.name.partition("-d0")[2] == suffix)
    path.write_bytes(path.read_bytes()[:40])
    run_tiny(tmp_path)
    assert executed["train"] == 2 * trained
    assert record_bytes(tmp_path) == before


def test_a_record_of_another_version_is_set_aside(
    executed: Executed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_tiny(tmp_path)
    trained = executed["train"]
    monkeypatch.setattr(Train, "version", Train.version + 1)
    notes = run_tiny(tmp_path)
    assert any("set aside" in sentence for sentence in notes.sentences)
    assert executed["train"] == 2 * trained
    assert len(load_runs(tmp_path).runs) == 1
