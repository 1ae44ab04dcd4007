"""Packed records: read like the folder that they stand for, the same bytes from the same files, damage named."""

from __future__ import annotations

import io
import json
import lzma
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from synthetic_records import Writer, arm_records, make_record

from splitbench.harness.errors import StoreError
from splitbench.results.arms.arms import tables
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.frames.frame import load_frames
from splitbench.results.gating.baseline import MEAN_ESTIMATE, BaselineTable, make_baseline
from splitbench.results.page import page
from splitbench.results.publishing.publish import publish
from splitbench.results.records import archive, store
from splitbench.results.records.archive import ARCHIVE
from splitbench.results.records.loading import load_runs
from splitbench.results.words import render


def toy(write: Writer, name: str = "out") -> Path:
    return write(*arm_records("none", [0.5, 0.6]), *arm_records("gm [lr=0.1]", [0.4, 0.7]), folder=name)


def packed(folder: Path) -> Path:
    """The same folder with its records packed."""
    (folder / ARCHIVE).write_bytes(archive.pack_records(folder / "records"))
    shutil.rmtree(folder / "records")
    return folder


def baseline(folder: Path) -> list[BaselineTable]:
    return make_baseline(tables(load_runs(folder).runs), ["tau[all]", MEAN_ESTIMATE], "", folder).tables


def rewrite(folder: Path, files: dict[str, bytes | str | None]) -> None:
    """An archive by hand: content by name; text is the target of a symbolic link, and None a folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
            elif content is None:
                member.type = tarfile.DIRTYPE
            else:
                member.type, member.linkname = tarfile.SYMTYPE, content
            tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    (folder / ARCHIVE).write_bytes(lzma.compress(stream.getvalue()))


def test_a_packed_folder_is_read_as_the_folder_was(write: Writer, tmp_path: Path) -> None:
    """Records with every fault that a folder can have, except those of the file system, and the same sentences."""
    folder = toy(write)
    (folder / "records" / "none--r1-d0.measured.json").unlink()
    (folder / "records" / "none--r0-d0.measured.json").write_text("{")
    (folder / "records" / "torn--r0-d0.json").write_text('{"spl')
    (folder / "records" / "note.txt").write_text("a note")
    (folder / "records" / "lost--r0-d0.parquet").write_bytes(b"lost")
    (folder / "records" / ".hidden.json").write_text("a killed write's")
    shutil.copy(folder / "records" / "none--r1-d0.json", folder / "records" / "copy.json")
    before, boards = load_frames(folder), leaderboards(folder)
    shown = render.markdown(boards), render.boards_json(boards), page(folder, 1.0)
    estimates, gated = before.estimates(), baseline(folder)
    again = load_frames(packed(folder))
    assert not (folder / "records").exists()
    assert again.loaded == before.loaded
    assert len(again.warnings) == 7
    boards = leaderboards(folder)
    assert (render.markdown(boards), render.boards_json(boards), page(folder, 1.0)) == shown
    assert again.estimates().equals(estimates)
    assert baseline(folder) == gated


def test_a_folder_of_packed_folders_is_read_too(write: Writer, tmp_path: Path) -> None:
    write(make_record(study="first"), folder="all/1")
    packed(write(make_record(study="second"), folder="all/2"))
    loaded = load_runs(tmp_path / "all")
    assert [run.record.study for run in loaded.runs] == ["first", "second"]
    assert [run.path.parent.parent.name for run in loaded.runs] == ["1", "2"]
    assert loaded.warnings == ()


def test_equal_files_give_equal_bytes(write: Writer, tmp_path: Path) -> None:
    """Whatever their times, permissions and order in the folder; and any tar gives them back."""
    folder = toy(write)
    first = archive.pack_records(folder / "records")
    other = tmp_path / "other" / "records"
    other.mkdir(parents=True)
    for path in sorted((folder / "records").iterdir(), reverse=True):
        (other / path.name).write_bytes(path.read_bytes())
        os.chmod(other / path.name, 0o600)
        os.utime(other / path.name, (1, 1))
    assert archive.pack_records(other) == first
    (tmp_path / ARCHIVE).write_bytes(first)
    with tarfile.open(tmp_path / ARCHIVE) as tar:
        assert {(one.mtime, one.mode, one.uid, one.gid, one.uname, one.gname) for one in tar} == {
            (0, 420, 0, 0, "", "")
        }
        tar.extractall(tmp_path / "back", filter="data")
    assert contents(tmp_path / "back" / "records") == contents(folder / "records")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_long_names_come_back(tmp_path: Path) -> None:
    names = {"a" * 120 + ".json", "b" * 240 + ".json", "größe.json"}
    (tmp_path / "records").mkdir()
    for name in names:
        (tmp_path / "records" / name).write_text(name)
    assert {name: data.decode() for name, data in archive.archive_members(packed(tmp_path) / ARCHIVE).items()} == {
        name: name for name in names
    }


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[: len(data) // 2], "truncated; get it again"),
        (lambda data: data[:-1], "truncated; get it again"),
        (lambda data: b"", "truncated; get it again"),
        (lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:], "damaged (corrupt input data); get it again"),
        (lambda data: b"<html>not found</html>", "damaged (input format not supported by decoder); get it again"),
        (lambda data: lzma.compress(b"x" * 2000), "damaged, what is packed is no tar"),
    ],
)
def test_a_damaged_archive_is_a_warning_and_the_rest_is_there(
    write: Writer, tmp_path: Path, damage: object, reason: str
) -> None:
    write(make_record(study="whole"), folder="all/whole")
    folder = packed(toy(write, "all/torn"))
    assert callable(damage)
    (folder / ARCHIVE).write_bytes(damage((folder / ARCHIVE).read_bytes()))
    loaded = load_runs(tmp_path / "all")
    assert [run.record.study for run in loaded.runs] == ["whole"]
    (warning,) = loaded.warnings
    assert warning.startswith(f"torn/{ARCHIVE}: left out with all that is in it, {reason}")
    with pytest.raises(StoreError, match=f"holds no usable record: {ARCHIVE}: left out with all"):
        load_runs(folder)
    with pytest.raises(StoreError, match="holds no usable record"):
        publish(folder, tmp_path / "published")


def test_every_bit_counts(write: Writer) -> None:
    """Wherever one is turned, the archive is refused: no record is read that is not the one that was packed."""
    folder = packed(toy(write))
    sound = (folder / ARCHIVE).read_bytes()
    there = archive.archive_members(folder / ARCHIVE)
    for place in range(0, len(sound), max(1, len(sound) // 40)):
        torn = bytearray(sound)
        torn[place] ^= 0x10
        (folder / ARCHIVE).write_bytes(torn)
        os.utime(folder / ARCHIVE, ns=(place, place))
        with pytest.raises(archive.DamagedError):
            assert archive.archive_members(folder / ARCHIVE) != there
    (folder / ARCHIVE).write_bytes(sound)
    assert archive.archive_members(folder / ARCHIVE) == there


@pytest.mark.parametrize(
    "files",
    [
        {"records/../../outside.json": b"{}"},
        {"/records/a.json": b"{}"},
        {"other/a.json": b"{}"},
        {"a.json": b"{}"},
        {"records/inner/a.json": b"{}"},
        {"records/a.json": "/etc/hostname"},
        {"records": None},
    ],
    ids=lambda files: next(iter(files)),
)
def test_what_is_no_file_of_a_records_folder_is_not_read(
    write: Writer, tmp_path: Path, files: dict[str, bytes | str | None]
) -> None:
    rewrite(tmp_path, files)
    with pytest.raises(StoreError, match="in it is no file of records; pack the folder again"):
        load_runs(tmp_path)


def test_an_archive_that_claims_to_be_endless_is_refused(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = toy(write)
    monkeypatch.setattr(archive, "LARGEST", 2**12)
    with pytest.raises(StoreError, match="more than an archive may hold"):
        archive.pack_records(folder / "records")
    shutil.rmtree(folder / "records")
    (folder / ARCHIVE).write_bytes(lzma.compress(bytes(2**16)))
    with pytest.raises(StoreError, match=r"it holds more than .* GiB; unpack it with `tar -xf records.tar.xz`"):
        load_runs(folder)


def test_a_folder_beside_its_archive_is_read_and_the_archive_named(write: Writer) -> None:
    folder = toy(write)
    (folder / ARCHIVE).write_bytes(archive.pack_records(folder / "records"))
    (folder / "records" / "none--r0-d0.measured.json").unlink()
    loaded = load_runs(folder)
    assert len(loaded.runs) == 4
    assert loaded.runs[-2].measured is None  # not from the archive
    assert [w for w in loaded.warnings if ARCHIVE in w] == [
        f"{ARCHIVE}: left out, because the folder records stands beside it; delete one of the two"
    ]


def test_nothing_is_run_into_packed_records(write: Writer) -> None:
    folder = packed(toy(write))
    with pytest.raises(StoreError, match="packed records are read, and none are added; unpack them with"):
        store.prepare_folder(folder)
    assert not (folder / "records").exists()


def test_an_archive_that_is_replaced_is_read_anew(write: Writer) -> None:
    folder = packed(toy(write))
    assert len(load_runs(folder).runs) == 4
    other = write(*arm_records("none", [0.1, 0.2]), folder="other")
    (folder / ARCHIVE).write_bytes(archive.pack_records(other / "records"))
    assert [run.record.metrics["tau[all]"] for run in load_runs(folder).runs] == [0.1, 0.2]


def test_publishing_packs_and_packs_once(write: Writer, tmp_path: Path) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]))
    target = publish(folder, tmp_path / "published")
    assert (target / ARCHIVE).read_bytes() == archive.pack_records(folder / "records")
    assert not (target / "records").exists()
    assert (folder / "records").is_dir()
    os.utime(target / ARCHIVE, (1, 1))
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    assert publish(target, tmp_path / "published") == target
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert (target / ARCHIVE).stat().st_mtime == 1  # not written again: another liblzma may pack it differently
    elsewhere = publish(target, tmp_path / "elsewhere")
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before


def test_a_published_folder_is_packed_in_place(write: Writer, tmp_path: Path) -> None:
    folder = write(*arm_records("none", [0.5, 0.6]), folder="published/toy")
    before = render.boards_json(leaderboards(folder))
    assert publish(folder, tmp_path / "published") == folder
    assert not (folder / "records").exists()
    assert json.loads(before) == json.loads((folder / "leaderboard.json").read_text())
