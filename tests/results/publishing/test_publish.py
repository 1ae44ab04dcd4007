"""Publishing a study: whole and clean, or not at all; and its picture."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from synthetic_records import Writer, arm_records
from synthetic_supernets import supernets

from splitbench.harness.errors import SplitbenchError
from splitbench.harness.study.config import StudyConfig
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.expectation import unsplit
from splitbench.results.plots.of_arms.ranking import ranking_svg
from splitbench.results.publishing import publish as module
from splitbench.results.publishing.publish import STUDY, publish
from splitbench.results.records import archive
from splitbench.results.records.record import config_fingerprint
from splitbench.results.words.render import markdown

CONFIGS: dict[str, dict[str, object]] = {"none": {"draws": 1}, "gm": {"draws": 1, "criteria": {"name": "gm"}}}


def folder_of(write: Writer) -> Path:
    folder = write(
        *arm_records("none", [0.5, 0.6], baseline=True, config={"arm": CONFIGS["none"]}, protocol="f00"),
        *arm_records("gm", [0.4, 0.7], config={"arm": CONFIGS["gm"]}, protocol="f00"),
    )
    (folder / "study.yaml").write_text("name: study\n")
    return folder


def geometry_of(folder: Path, **changes: object) -> None:
    """What a geometry of the records of ``folder_of`` holds, as far as publishing reads it."""
    fingerprints = {arm: config_fingerprint(CONFIGS[arm]) for arm in CONFIGS}
    content = {"protocol": "f00", "fingerprints": fingerprints, "seeds": 2, **changes}
    (folder / "geometry.json").write_text(json.dumps(content))
    (folder / "geometry.md").write_text("geometry")
    (folder / "geometry.svg").write_text("<svg/>")


def test_what_is_published_gives_the_same_leaderboard(write: Writer, tmp_path: Path) -> None:
    folder = folder_of(write)
    target = publish(folder, tmp_path / "published")
    assert markdown(leaderboards(target)) == markdown(leaderboards(folder)) == (target / "leaderboard.md").read_text()
    arms = {row["arm"] for row in json.loads((target / "leaderboard.json").read_text())["rows"] if not row["trivial"]}
    assert arms == {"none", "gm"}
    assert (target / "study.yaml").exists()


def test_a_published_folder_is_rendered_anew_in_place(write: Writer, tmp_path: Path) -> None:
    folder = folder_of(write)
    geometry_of(folder)
    (folder / "skipped.json").write_text('{"ofa": "it needs kernels"}')
    said: list[str] = []
    target = publish(folder, tmp_path / "published", said.append)
    before = {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()}
    assert b"ofa: it needs kernels" in before["leaderboard.md"]
    assert before["geometry.md"] == b"geometry"
    (target / "leaderboard.md").write_text("old")
    (target / "pareto.svg").write_text("of an earlier version")
    assert publish(target, tmp_path / "published", said.append) == target
    assert said == []
    assert {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()} == before


def test_half_a_study_is_not_published(write: Writer, tmp_path: Path) -> None:
    folder = folder_of(write)
    next((folder / "records").glob("gm--*r1*.json")).unlink()
    with pytest.raises(SplitbenchError, match="not published"):
        publish(folder, tmp_path / "published")
    assert not (tmp_path / "published").exists()


@pytest.mark.parametrize("study", ["..", ".", "../x", "{outside}", "a/b", "", "a b", "x\n"])
def test_a_study_that_is_no_name_is_not_published(write: Writer, tmp_path: Path, study: str) -> None:
    """A record may say anything, and what is published replaces the folder of its study."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    name = study.format(outside=outside)
    folder = write(*arm_records("none", [0.5, 0.6], study=name))
    into = tmp_path / "published"
    (into / "a").mkdir(parents=True)
    (into / "kept").write_text("kept")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SplitbenchError, match="is not published: its records name the study"):
        publish(folder, into)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_study_that_leads_elsewhere_is_not_published(write: Writer, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "toy").symlink_to(outside)
    with pytest.raises(SplitbenchError, match="is not published"):
        publish(folder_of(write), tmp_path / "published")
    assert (outside / "kept").exists()


def test_a_folder_in_what_it_replaces_is_not_published(write: Writer, tmp_path: Path) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]), folder="published/toy/inside")
    with pytest.raises(SplitbenchError, match="it lies in .*, which would be replaced"):
        publish(folder, tmp_path / "published")
    assert len(list(folder.glob("records/*.json"))) == 4


def test_names_that_are_published_are_those_of_study_files() -> None:
    (allowed,) = (one.pattern for one in StudyConfig.model_fields["name"].metadata if hasattr(one, "pattern"))
    assert allowed == f"^{STUDY.pattern}$"


def test_the_table_of_unsplit_supernets_is_made_anew_at_the_end(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all that is published, and not of what was named alone."""
    folders = [
        write(*supernets([0.5, 0.6, 0.7], study=name, config={"study.seed": seed}), folder=name)
        for seed, name in enumerate(("a", "b"))
    ]
    done: list[Path] = []
    monkeypatch.setattr(module, "publish", lambda folder: done.append(folder) or folder)
    monkeypatch.setattr(module, "published", lambda: folders)
    monkeypatch.setattr(unsplit, "TABLE", tmp_path / "unsplit.json")
    monkeypatch.setattr("sys.argv", ["publish", str(folders[1])])
    module.publish_main()
    assert done == folders[1:]
    (supernet,) = unsplit.read_unsplit(tmp_path / "unsplit.json")
    assert supernet.lengths[0].studies == ["a", "b"]
    assert f"published {tmp_path / 'unsplit.json'}" in capsys.readouterr().out


def test_what_fails_halfway_leaves_what_was_published(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "published"
    target = publish(folder_of(write), into)
    before = {path: path.read_bytes() for path in into.rglob("*") if path.is_file()}
    newer = write(*arm_records("none", [0.1, 0.2]), folder="newer")

    def broken(*_: object) -> bytes:
        raise OSError("no room")

    monkeypatch.setattr("splitbench.results.publishing.publish.pictures", broken)
    with pytest.raises(OSError, match="no room"):
        publish(newer, into)
    assert {path: path.read_bytes() for path in into.rglob("*") if path.is_file()} == before
    monkeypatch.undo()
    assert publish(newer, into) == target
    assert [name for name in archive.archive_members(target / archive.ARCHIVE) if name.startswith("gm")] == []
    assert [path.name for path in into.iterdir()] == ["toy"]
    assert target.stat().st_mode == newer.stat().st_mode


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"baseline": True}, "several arms are marked as the baseline"),
        ({"trivial": {"flops": {"tau[all]": 0.1}}}, "did not rank the same architectures"),
    ],
)
def test_arms_that_are_not_comparable_are_not_published(
    write: Writer, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]), *arm_records("gm", [0.4, 0.7], **changes))
    with pytest.raises(SplitbenchError, match=f"is not published: .*{reason}"):
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


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"protocol": "f01"}, "it was made under another protocol than the records"),
        ({"protocol": None}, "it was made under another protocol than the records"),
        ({"fingerprints": {"none": config_fingerprint(CONFIGS["none"])}}, "its arms are not those of the records"),
        (
            {"fingerprints": {arm: config_fingerprint({**config, "draws": 2}) for arm, config in CONFIGS.items()}},
            "its arms are not those of the records",
        ),
        ({"seeds": 3}, "its seeds are not those of the records"),
        ({"fingerprints": None}, "geometry.json does not say which records it belongs to"),
    ],
)
def test_a_stale_geometry_is_left_out_in_one_sentence(
    write: Writer, tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    folder = folder_of(write)
    geometry_of(folder)
    said: list[str] = []
    target = publish(folder, tmp_path / "published", said.append)
    assert (said, len(list(target.glob("geometry.*")))) == ([], 3)

    geometry_of(folder, **changes)
    publish(folder, tmp_path / "published", said.append)
    files = "geometry.json, geometry.md, geometry.svg"
    assert said == [f"{folder}: {files} left out, because {reason}; run `splitbench geometry` again"]
    assert not list(target.glob("geometry.*"))
    assert (target / "leaderboard.md").exists()
    assert len(list(folder.glob("geometry.*"))) == 3

    geometry_of(target, **changes)  # published before it went stale
    publish(target, tmp_path / "published", said.append)
    assert len(said) == 2
    assert not list(target.glob("geometry.*"))


def test_a_geometry_without_its_numbers_is_left_out(write: Writer, tmp_path: Path) -> None:
    folder = folder_of(write)
    (folder / "geometry.md").write_text("geometry")
    said: list[str] = []
    target = publish(folder, tmp_path / "published", said.append)
    assert said == [
        f"{folder}: geometry.md left out, because geometry.json cannot be read; run `splitbench geometry` again"
    ]
    assert not (target / "geometry.md").exists()


def test_the_picture_marks_oracles(write: Writer) -> None:
    def shown(folder: Path) -> list[str]:
        return re.findall(r"<text[^>]*>([^<]*)</text>", ranking_svg(folder).decode())

    seer = arm_records("seer", [0.4, 0.7], reads_truth=True)
    words = shown(write(*arm_records("none", [0.5, 0.6]), *seer))
    assert {"none", "seer †", "† oracle control, reads the ground truth"} <= set(words)
    assert not [text for text in shown(folder_of_honest(write)) if "†" in text]


def folder_of_honest(write: Writer) -> Path:
    return write(*arm_records("none", [0.5, 0.6]), *arm_records("gm", [0.4, 0.7]), folder="honest")
