"""Records on disk: canonical bytes, atomic writes, and a sentence for every file that cannot be used."""

import gc
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_records import ESTIMATES, Writer, make_measured, make_record

from splitbench.harness.errors import StoreError
from splitbench.results.records import archive, store
from splitbench.results.records.files import digest, encode, encode_estimates, write_atomically
from splitbench.results.records.listing import arm_slug
from splitbench.results.records.loading import load_runs, read_estimates
from splitbench.results.records.record import SCHEMA, Record


def test_a_run_comes_back_as_it_was_written(write: Writer) -> None:
    record = make_record("gm", 1, 0.6)
    folder = write(record)
    loaded = load_runs(folder)
    assert loaded.warnings == ()
    (run,) = loaded.runs
    assert run.record == record
    assert run.measured == make_measured()
    assert sorted(path.name for path in (folder / "records").iterdir()) == [
        "gm--r1-d0.json",
        "gm--r1-d0.measured.json",
        "gm--r1-d0.parquet",
    ]
    frame = read_estimates(run)
    assert frame["architecture"].tolist() == ["00", "01"]
    assert frame["leaf"].tolist() == [0, 1]
    assert frame["accuracy"].tolist() == [10.0, 20.0]


def test_records_are_canonical_json(write: Writer) -> None:
    write(make_record("gm"))
    path = write(make_record("gm")) / "records" / "gm--r0-d0.json"
    text = path.read_text()
    assert text.endswith("}\n")
    pairs: list[list[str]] = []
    json.loads(text, object_pairs_hook=lambda found: pairs.append([key for key, _ in found]))
    assert all(keys == sorted(keys) for keys in pairs)
    assert encode(load_runs(path.parent.parent).runs[0].record) == path.read_bytes()


def test_infinite_losses_stay_valid_json_and_come_back(write: Writer) -> None:
    plain = make_record("gm")
    leaf = plain.selection.leaves[0].model_copy(update={"loss": math.inf})
    record = plain.model_copy(update={"selection": plain.selection.model_copy(update={"leaves": [leaf]})})
    folder = write(record)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    json.loads((folder / "records" / "gm--r0-d0.json").read_text(), parse_constant=refuse)
    assert load_runs(folder).runs[0].record.selection.leaves[0].loss == math.inf


@pytest.mark.parametrize("arm", ["none", "gm_v2.0", "exhaustive+edges=0"])
def test_plain_names_are_their_own_slugs(arm: str) -> None:
    assert arm_slug(arm) == arm


def test_slugs_are_safe_and_unique() -> None:
    arms = ["gm", "GM", "gm(variant=as_shipped)", "gm[variant=as_shipped]", "../gm", "..", "", "grüße", "grusse", "a/b"]
    arms += ["a b", "a-b", "a?b", "x" * 300, "x" * 301, "CON", "a\nb", ".hidden"]
    slugs = [arm_slug(arm) for arm in arms]
    assert len(set(slugs)) == len(arms)
    assert all(re.fullmatch(r"[a-z0-9_=+-][a-z0-9._=+-]{0,99}", slug) for slug in slugs)


def test_slugs_survive_a_round_trip_through_the_folder(write: Writer) -> None:
    arms = ["gm", "GM", "gm(variant=as_shipped)", "gm[variant=as_shipped]"]
    loaded = load_runs(write(*(make_record(arm) for arm in arms)))
    assert sorted(run.record.arm for run in loaded.runs) == sorted(arms)


def truncated(content: str) -> str:
    return content[: len(content) // 2]


def edited(**changes: object) -> Callable[[str], str]:
    return lambda content: json.dumps({**json.loads(content), **changes})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (truncated, "truncated or not JSON; delete it and run the study again"),
        (lambda content: "", "empty; delete it and run the study again"),
        (lambda content: "[" * 100_000, "truncated or not JSON; delete it and run the study again"),
        (lambda content: '{"my": "notes"}', "not a splitbench record; move it elsewhere"),
        (lambda content: "[1, 2]", "not a splitbench record; move it elsewhere"),
        (edited(repetition="first"), "invalid at 'repetition'"),
        (edited(colour="blue"), "invalid at 'colour'"),
        (
            edited(schema_version=SCHEMA + 6, splitbench="7.1.0", colour="blue"),
            f"written by splitbench 7.1.0 with schema {SCHEMA + 6}; this version reads up to {SCHEMA}: upgrade",
        ),
        (edited(schema_version=0), "there is no schema 0; delete it and run the study again"),
        (edited(schema_version=SCHEMA + 1), f"with schema {SCHEMA + 1}; this version reads up to {SCHEMA}: upgrade"),
    ],
)
def test_a_bad_file_is_a_warning_and_the_rest_is_returned(
    write: Writer, spoil: Callable[[str], str], sentence: str
) -> None:
    folder = write(make_record("gm", 0), make_record("gm", 1), make_record("none", 0))
    path = folder / "records" / "gm--r1-d0.json"
    path.write_text(spoil(path.read_text()))
    loaded = load_runs(folder)
    assert [(run.record.arm, run.record.repetition) for run in loaded.runs] == [("gm", 0), ("none", 0)]
    (warning,) = loaded.warnings
    assert warning.startswith("records/gm--r1-d0.json: left out, ")
    assert sentence in warning


def test_what_is_not_a_readable_file_is_a_warning(write: Writer) -> None:
    folder = write(make_record("gm"))
    records = folder / "records"
    (records / "folder.json").mkdir()
    (records / "gone.json").symlink_to("nowhere")
    (records / "loop.json").symlink_to("loop.json")
    os.mkfifo(records / "pipe.json")  # opening one would wait for ever
    loaded = load_runs(folder)
    assert len(loaded.runs) == 1
    assert loaded.warnings == (
        "records/folder.json: left out, a folder and not a record; move it elsewhere",
        "records/gone.json: left out, cannot be read (No such file or directory); mend or delete it",
        "records/loop.json: left out, cannot be read (Too many levels of symbolic links); mend or delete it",
        "records/pipe.json: left out, not a regular file; move it elsewhere",
    )


@pytest.mark.parametrize("content", [b"\x80\x81\xff{", b"PAR1\x00\x00", b'{"arm": "\xe9"}'])
def test_bytes_that_are_no_text_are_a_warning(write: Writer, content: bytes) -> None:
    folder = write(make_record("gm"))
    (folder / "records" / "other.json").write_bytes(content)
    loaded = load_runs(folder)
    assert loaded.warnings == (
        "records/other.json: left out, truncated or not JSON; delete it and run the study again",
    )


def test_permission_that_is_refused_is_a_warning(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may read everything, so the refusal is played."""
    folder = write(make_record("gm", 0), make_record("gm", 1), make_record("gm", 2))
    real = open

    def guarded(path: str, *words: object, **more: object) -> object:
        if Path(path).name in ("gm--r1-d0.json", "gm--r2-d0.measured.json"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *words, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(archive, "open", guarded, raising=False)
    loaded = load_runs(folder)
    assert [(run.record.repetition, run.measured is None) for run in loaded.runs] == [(0, False), (2, True)]
    assert loaded.warnings == (
        "records/gm--r1-d0.json: left out, cannot be read (Permission denied); mend its permissions or delete it",
        "records/gm--r2-d0.measured.json: cannot be read (Permission denied), so seconds and memory of this run are "
        "unknown; run the study again to have them",
    )


def test_a_records_folder_that_is_none_is_a_warning(write: Writer, tmp_path: Path) -> None:
    write(make_record("gm"), folder="all/first")
    (tmp_path / "all" / "second").mkdir()
    (tmp_path / "all" / "second" / "records").write_text("in the way")
    (tmp_path / "all" / "third").mkdir()
    (tmp_path / "all" / "third" / "records").symlink_to("records")
    loaded = load_runs(tmp_path / "all")
    assert len(loaded.runs) == 1
    assert [warning.split(":")[0] for warning in loaded.warnings] == ["second/records", "third/records"]


def test_names_that_cannot_be_printed_are_escaped(write: Writer) -> None:
    folder = write(make_record("gm"))
    (folder / "records" / "two\nlines").write_text("")
    Path(os.fsdecode(os.fsencode(folder) + b"/records/latin-\xe9.txt")).write_text("")
    loaded = load_runs(folder)
    assert loaded.warnings == (
        "records/latin-\\udce9.txt: left out, not a record; move it elsewhere",
        "records/two\\nlines: left out, not a record; move it elsewhere",
    )


def test_files_of_another_kind_are_named_and_traces_of_a_killed_write_are_not(write: Writer) -> None:
    folder = write(make_record("gm"))
    (folder / "records" / "notes.txt").write_text("remember")
    (folder / "records" / ".gm--r1-d0.json.xyz.tmp").write_text("{")
    loaded = load_runs(folder)
    assert loaded.warnings == ("records/notes.txt: left out, not a record; move it elsewhere",)
    assert len(loaded.runs) == 1


def test_companions_without_their_record_are_named(write: Writer) -> None:
    folder = write(make_record("gm", 0), make_record("gm", 1))
    (folder / "records" / "gm--r1-d0.json").unlink()
    loaded = load_runs(folder)
    assert [run.record.repetition for run in loaded.runs] == [0]
    assert loaded.warnings == tuple(
        f"records/gm--r1-d0.{kind}: left out, its record gm--r1-d0.json is missing; run the study again, or delete it"
        for kind in ("measured.json", "parquet")
    )


@pytest.mark.parametrize("copy", ["a.json", "zz.json"])
def test_a_duplicate_is_named_and_the_rightful_file_kept(write: Writer, copy: str) -> None:
    folder = write(make_record("gm", tau=0.5))
    path = folder / "records" / "gm--r0-d0.json"
    path.with_name(copy).write_bytes(encode(make_record("gm", tau=0.9)))
    loaded = load_runs(folder)
    assert [run.record.metrics["tau[all]"] for run in loaded.runs] == [0.5]
    (warning,) = [warning for warning in loaded.warnings if "second record" in warning]
    start = f"records/{copy}: left out, because it is a second record of arm 'gm', repetition 0, draw 0"
    assert warning.startswith(start)
    assert warning.endswith("beside records/gm--r0-d0.json; delete one of the two")


@pytest.mark.parametrize("content", [None, "", '{"seconds": "long"}'])
def test_a_record_without_its_measured_file_is_kept(write: Writer, content: str | None) -> None:
    folder = write(make_record("gm"))
    path = folder / "records" / "gm--r0-d0.measured.json"
    path.unlink() if content is None else path.write_text(content)
    loaded = load_runs(folder)
    assert loaded.runs[0].measured is None
    (warning,) = loaded.warnings
    assert warning.startswith("records/gm--r0-d0.measured.json: ")
    assert "seconds and memory of this run are unknown" in warning


def test_a_folder_of_results_folders_is_read_too(write: Writer, tmp_path: Path) -> None:
    write(make_record("gm", study="first"), folder="all/first")
    write(make_record("gm", study="second"), folder="all/second")
    assert [run.record.study for run in load_runs(tmp_path / "all").runs] == ["first", "second"]


def test_nothing_to_read_is_an_error(write: Writer, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing: there is no such results folder; name the --out folder"):
        load_runs(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="holds no usable record; finish a run"):
        load_runs(tmp_path / "empty")
    folder = write(make_record("gm"))
    path = folder / "records" / "gm--r0-d0.json"
    path.write_text(edited(schema_version=99, splitbench="9.9")(path.read_text()))
    with pytest.raises(StoreError, match=rf"written by splitbench 9\.9 with schema 99; .* up to {SCHEMA}: upgrade"):
        load_runs(folder)


def test_an_unwritable_folder_is_one_sentence_before_and_after(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for attempt in (
        lambda: store.prepare_folder(tmp_path / "file" / "out"),
        lambda: store.write_run(tmp_path / "file", make_record(), make_measured(), ESTIMATES),
    ):
        with pytest.raises(StoreError, match=r"cannot be written .*; choose a folder with write permission") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    store.prepare_folder(tmp_path / "fine" / "out")
    assert list((tmp_path / "fine" / "out" / "records").iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "x.json"
    write_atomically(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StoreError, match="No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_a_rerun_replaces_its_record_and_another_study_is_refused(write: Writer) -> None:
    folder = write(make_record("gm", tau=0.5), make_record("gm", tau=0.6))
    assert [run.record.metrics["tau[all]"] for run in load_runs(folder).runs] == [0.6]
    with pytest.raises(StoreError, match="give each study an output folder of its own"):
        write(make_record("gm", study="other"))
    assert load_runs(folder).runs[0].record.study == "toy"


def test_estimates_are_checked_against_the_record(write: Writer) -> None:
    with pytest.raises(ValueError, match="not the digest"):
        write(make_record("gm", estimates_sha256="0"))
    folder = write(make_record("gm"))
    (run,) = load_runs(folder).runs
    path = folder / "records" / "gm--r0-d0.parquet"
    path.write_bytes(encode_estimates({"architecture": ["00"]}))
    with pytest.raises(StoreError, match="not the estimates that the record names"):
        read_estimates(run)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        read_estimates(run)


def test_equal_estimates_are_equal_bytes() -> None:
    columns = {"architecture": ["0", "1"], "leaf": [0, 0], "accuracy": [1.0, 2.5]}
    assert encode_estimates(columns) == encode_estimates(dict(columns))


def digests(folder: Path) -> dict[str, str]:
    """Every file of a folder with its content's digest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in files}


def test_a_folder_with_everything_wrong_names_each_file_and_changes_none(write: Writer) -> None:
    folder = write(*(make_record("gm", repetition) for repetition in range(7)))
    records = folder / "records"

    def rewrite(repetition: int, spoil: Callable[[str], str]) -> None:
        path = records / f"gm--r{repetition}-d0.json"
        path.write_text(spoil(path.read_text()))

    rewrite(1, truncated)
    rewrite(2, edited(schema_version=2))
    rewrite(3, edited(schema_version=1))
    rewrite(4, edited(schema_version=SCHEMA + 1, splitbench="9.0"))
    (records / "copy.json").write_bytes((records / "gm--r5-d0.json").read_bytes())
    (records / "copy.measured.json").write_bytes((records / "gm--r5-d0.measured.json").read_bytes())
    (records / "foreign.json").write_text('{"my": "notes"}')
    (records / "photo.png").write_bytes(b"\x89PNG")
    before = digests(folder)
    loaded = load_runs(folder)
    assert digests(folder) == before
    assert [run.record.repetition for run in loaded.runs] == [0, 2, 3, 5, 6]
    assert {warning.split(":")[0]: warning.split(": ", 1)[1].split(",")[0] for warning in loaded.warnings} == {
        "records/copy.json": "left out",
        "records/foreign.json": "left out",
        "records/gm--r1-d0.json": "left out",
        "records/gm--r2-d0.json": "shown",
        "records/gm--r3-d0.json": "shown",
        "records/gm--r4-d0.json": "left out",
        "records/photo.png": "left out",
    }
    assert len(loaded.warnings) == 7


def test_older_records_are_read_and_named_in_one_sentence_a_schema(write: Writer) -> None:
    folder = write(*(make_record("gm", repetition) for repetition in range(7)))
    for repetition in range(6):
        path = folder / "records" / f"gm--r{repetition}-d0.json"
        path.write_text(edited(schema_version=1 if repetition == 0 else 2)(path.read_text()))
    loaded = load_runs(folder)
    assert len(loaded.runs) == 7
    assert loaded.notes == (
        "records/gm--r0-d0.json: shown, but of the older schema 1 (this version writes 3), which lacks the names of "
        "edges and operations; run the study again to renew it",
        "records/gm--r1-d0.json, records/gm--r2-d0.json, records/gm--r3-d0.json and 2 more: shown, but of the older "
        "schema 2 (this version writes 3), which lacks the names of edges and operations; run the study again to renew "
        "them",
    )
    assert loaded.warnings == loaded.notes


def test_warnings_beside_the_notes_are_no_notes(write: Writer) -> None:
    folder = write(make_record("gm", 0), make_record("gm", 1))
    path = folder / "records" / "gm--r0-d0.json"
    path.write_text(edited(schema_version=2)(path.read_text()))
    (folder / "records" / "notes.txt").write_text("")
    loaded = load_runs(folder)
    assert len(loaded.notes) == 1
    assert set(loaded.warnings) - set(loaded.notes) == {"records/notes.txt: left out, not a record; move it elsewhere"}


@pytest.mark.parametrize("enabled", [True, False])
def test_reading_leaves_the_garbage_collector_as_it_was(write: Writer, enabled: bool) -> None:
    folder = write(make_record("gm"))
    try:
        (gc.enable if enabled else gc.disable)()
        load_runs(folder)
        assert gc.isenabled() is enabled
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()


def test_records_of_the_first_schema_are_still_read(write: Writer) -> None:
    """What schema 1 looked like before `protocol` was added."""
    folder = write(make_record("gm"))
    path = folder / "records" / "gm--r0-d0.json"
    content = json.loads(path.read_text())
    del content["protocol"]
    path.write_text(json.dumps(content))
    assert isinstance(load_runs(folder).runs[0].record, Record)


def test_a_record_of_schema_1_is_read_with_its_one_edge(write: Writer) -> None:
    """It named the split edge, or null; since schema 2 several edges can be split at once."""
    folder = write(make_record("gm"))
    path = folder / "records" / "gm--r0-d0.json"
    content = json.loads(path.read_text())
    content["schema_version"] = 1
    del content["tree"]["edges"]
    content["tree"]["edge"] = 3
    path.write_text(json.dumps(content))
    (run,) = load_runs(folder).runs
    assert run.record.tree.edges == [3]
    content["tree"]["edge"] = None
    path.write_text(json.dumps(content))
    assert load_runs(folder).runs[0].record.tree.edges == []
