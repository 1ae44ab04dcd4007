"""Publishing a study: whole and clean, or not at all; and its picture."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from synthetic_records import Writer, arm_records

from harness.errors import SplitbenchError
from results.figures import ranking_svg
from results.leaderboard import leaderboards
from results.publish import publish
from results.render import markdown


def folder_of(write: Writer) -> Path:
    folder = write(
        *arm_records("none", [0.5, 0.6], baseline=True, expected_runs=2),
        *arm_records("gm", [0.4, 0.7], expected_runs=2),
    )
    (folder / "study.yaml").write_text("name: study\n")
    return folder


def test_what_is_published_gives_the_same_leaderboard(write: Writer, tmp_path: Path) -> None:
    folder = folder_of(write)
    target = publish(folder, tmp_path / "published")
    assert markdown(leaderboards(target)) == markdown(leaderboards(folder)) == (target / "leaderboard.md").read_text()
    arms = {row["arm"] for row in json.loads((target / "leaderboard.json").read_text())["rows"] if not row["trivial"]}
    assert arms == {"none", "gm"}
    assert (target / "study.yaml").exists()


def test_a_published_folder_is_rendered_anew_in_place(write: Writer, tmp_path: Path) -> None:
    folder = folder_of(write)
    (folder / "geometry.md").write_text("geometry")
    (folder / "skipped.json").write_text('{"ofa": "it needs kernels"}')
    target = publish(folder, tmp_path / "published")
    before = {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()}
    assert b"ofa: it needs kernels" in before["leaderboard.md"]
    assert before["geometry.md"] == b"geometry"
    (target / "leaderboard.md").write_text("old")
    assert publish(target, tmp_path / "published") == target
    assert {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()} == before


def test_half_a_study_is_not_published(write: Writer, tmp_path: Path) -> None:
    folder = folder_of(write)
    next((folder / "records").glob("gm--r1*.json")).unlink()
    with pytest.raises(SplitbenchError, match="not published"):
        publish(folder, tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_the_picture_shows_every_arm_and_seed(write: Writer) -> None:
    folder = folder_of(write)
    svg = ranking_svg(folder).decode()
    assert svg == ranking_svg(folder).decode()
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"none", "gm"} <= set(shown)
    assert any("noise ceiling" in text for text in shown)
    assert "http" not in re.sub(
        r"http://(www\.w3\.org|purl\.org|creativecommons\.org|matplotlib\.org)\S*", "", svg
    ).replace("https://matplotlib.org/", "")
