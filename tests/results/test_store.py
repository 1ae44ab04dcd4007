"""Records on disk: canonical bytes, atomic writes, and a sentence for every file that cannot be used."""

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_records import ESTIMATES, Writer, make_measured, make_record

from harness.errors import StoreError
from results import store
from results.record import SCHEMA, Record


def test_a_run_comes_back_as_it_was_written(write: Writer) -> None:
    record = make_record("gm", 1, 0.6)
    folder = write(record)
    loaded = store.load(folder)
    assert loaded.warnings == ()
    (run,) = loaded.runs
    assert run.record == record
    assert run.measured == make_measured()
    assert sorted(path.name for path in (folder / "records").iterdir()) == [
        "gm--r1-d0.json",
        "gm--r1-d0.measured.json",
        "gm--r1-d0.parquet",
    ]
    frame = store.read_estimates(run)
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
    assert store.encode(store.load(path.parent.parent).runs[0].record) == path.read_bytes()


def test_infinite_losses_stay_valid_json_and_come_back(write: Writer) -> None:
    plain = make_record("gm")
    leaf = plain.selection.leaves[0].model_copy(update={"loss": math.inf})
    record = plain.model_copy(update={"selection": plain.selection.model_copy(update={"leaves": [leaf]})})
    folder = write(record)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    json.loads((folder / "records" / "gm--r0-d0.json").read_text(), parse_constant=refuse)
    assert store.load(folder).runs[0].record.selection.leaves[0].loss == math.inf


@pytest.mark.parametrize("arm", ["none", "gm_v2.0", "exhaustive+edges=0"])
def test_plain_names_are_their_own_slugs(arm: str) -> None:
    assert store.arm_slug(arm) == arm


def test_slugs_are_safe_and_unique() -> None:
    arms = ["gm", "GM", "gm(variant=as_shipped)", "gm[variant=as_shipped]", "../gm", "..", "", "grüße", "grusse", "a/b"]
    arms += ["a b", "a-b", "a?b", "x" * 300, "x" * 301, "CON", "a\nb", ".hidden"]
    slugs = [store.arm_slug(arm) for arm in arms]
    assert len(set(slugs)) == len(arms)
    assert all(re.fullmatch(r"[a-z0-9_=+-][a-z0-9._=+-]{0,99}", slug) for slug in slugs)


def test_slugs_survive_a_round_trip_through_the_folder(write: Writer) -> None:
    arms = ["gm", "GM", "gm(variant=as_shipped)", "gm[variant=as_shipped]"]
    loaded = store.load(write(*(make_record(arm) for arm in arms)))
    assert sorted(run.record.arm for run in loaded.runs) == sorted(arms)


def truncated(content: str) -> str:
    return content[: len(content) // 2]


def edited(**changes: object) -> Callable[[str], str]:
    return lambda content: json.dumps({**json.loads(content), **changes})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (truncated, "truncated or not JSON; delete it and run the study again"),
        (lambda content: "", "truncated or not JSON; delete it and run the study again"),
        (lambda content: '{"my": "notes"}', "not a splitbench record; move it elsewhere"),
        (lambda content: "[1, 2]", "not a splitbench record; move it elsewhere"),
        (edited(repetition="first"), "invalid at 'repetition'"),
        (edited(colour="blue"), "invalid at 'colour'"),
        (
            edited(schema_version=SCHEMA + 6, splitbench="7.1.0", colour="blue"),
            f"written by splitbench 7.1.0 with schema {SCHEMA + 6}; this version reads up to {SCHEMA}: upgrade",
        ),
        (edited(schema_version=SCHEMA + 1), f"with schema {SCHEMA + 1}; this version reads up to {SCHEMA}: upgrade"),
    ],
)
def test_a_bad_file_is_a_warning_and_the_rest_is_returned(
    write: Writer, spoil: Callable[[str], str], sentence: str
) -> None:
    folder = write(make_record("gm", 0), make_record("gm", 1), make_record("none", 0))
    path = folder / "records" / "gm--r1-d0.json"
    path.write_text(spoil(path.read_text()))
    loaded = store.load(folder)
    assert [(run.record.arm, run.record.repetition) for run in loaded.runs] == [("gm", 0), ("none", 0)]
    (warning,) = loaded.warnings
    assert warning.startswith("records/gm--r1-d0.json: left out, ")
    assert sentence in warning


def test_a_file_that_cannot_be_read_is_a_warning(write: Writer) -> None:
    folder = write(make_record("gm"))
    (folder / "records" / "none--r0-d0.json").mkdir()
    (folder / "records" / "gone.json").symlink_to("nowhere")
    loaded = store.load(folder)
    assert len(loaded.runs) == 1
    assert [warning.split(",")[0] for warning in loaded.warnings] == [
        "records/gone.json: left out",
        "records/none--r0-d0.json: left out",
    ]
    assert all("cannot be read" in warning for warning in loaded.warnings)


def test_files_of_another_kind_are_named_and_traces_of_a_killed_write_are_not(write: Writer) -> None:
    folder = write(make_record("gm"))
    (folder / "records" / "notes.txt").write_text("remember")
    (folder / "records" / ".gm--r1-d0.json.xyz.tmp").write_text("{")
    (folder / "records" / "gm--r1-d0.parquet").write_bytes(b"")
    loaded = store.load(folder)
    assert loaded.warnings == ("records/notes.txt: left out, not a record; move it elsewhere",)
    assert len(loaded.runs) == 1


@pytest.mark.parametrize("copy", ["a.json", "zz.json"])
def test_a_duplicate_is_named_and_the_rightful_file_kept(write: Writer, copy: str) -> None:
    folder = write(make_record("gm", tau=0.5))
    path = folder / "records" / "gm--r0-d0.json"
    path.with_name(copy).write_bytes(store.encode(make_record("gm", tau=0.9)))
    loaded = store.load(folder)
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
    loaded = store.load(folder)
    assert loaded.runs[0].measured is None
    (warning,) = loaded.warnings
    assert warning.startswith("records/gm--r0-d0.measured.json: ")
    assert "seconds and memory of this run are unknown" in warning


def test_a_folder_of_results_folders_is_read_too(write: Writer, tmp_path: Path) -> None:
    write(make_record("gm", study="first"), folder="all/first")
    write(make_record("gm", study="second"), folder="all/second")
    assert [run.record.study for run in store.load(tmp_path / "all").runs] == ["first", "second"]


def test_nothing_to_read_is_an_error(write: Writer, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing: there is no such results folder; name the --out folder"):
        store.load(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="holds no usable record; finish a run"):
        store.load(tmp_path / "empty")
    folder = write(make_record("gm"))
    path = folder / "records" / "gm--r0-d0.json"
    path.write_text(edited(schema_version=99, splitbench="9.9")(path.read_text()))
    with pytest.raises(StoreError, match=r"written by splitbench 9\.9 with schema 99; .* up to 2: upgrade"):
        store.load(folder)


def test_an_unwritable_folder_is_one_sentence_before_and_after(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for attempt in (
        lambda: store.prepare(tmp_path / "file" / "out"),
        lambda: store.write_run(tmp_path / "file", make_record(), make_measured(), ESTIMATES),
    ):
        with pytest.raises(StoreError, match=r"cannot be written .*; choose a folder with write permission") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    store.prepare(tmp_path / "fine" / "out")
    assert list((tmp_path / "fine" / "out" / "records").iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "x.json"
    store.write_atomically(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StoreError, match="No space left on device"):
        store.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_a_rerun_replaces_its_record_and_another_study_is_refused(write: Writer) -> None:
    folder = write(make_record("gm", tau=0.5), make_record("gm", tau=0.6))
    assert [run.record.metrics["tau[all]"] for run in store.load(folder).runs] == [0.6]
    with pytest.raises(StoreError, match="give each study an output folder of its own"):
        write(make_record("gm", study="other"))
    assert store.load(folder).runs[0].record.study == "toy"


def test_estimates_are_checked_against_the_record(write: Writer) -> None:
    with pytest.raises(ValueError, match="not the digest"):
        write(make_record("gm", estimates_sha256="0"))
    folder = write(make_record("gm"))
    (run,) = store.load(folder).runs
    path = folder / "records" / "gm--r0-d0.parquet"
    path.write_bytes(store.encode_estimates({"architecture": ["00"]}))
    with pytest.raises(StoreError, match="not the estimates that the record names"):
        store.read_estimates(run)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        store.read_estimates(run)


def test_equal_estimates_are_equal_bytes() -> None:
    columns = {"architecture": ["0", "1"], "leaf": [0, 0], "accuracy": [1.0, 2.5]}
    assert store.encode_estimates(columns) == store.encode_estimates(dict(columns))


def test_records_of_the_first_schema_are_still_read(write: Writer) -> None:
    """What schema 1 looked like before `protocol` was added."""
    folder = write(make_record("gm"))
    path = folder / "records" / "gm--r0-d0.json"
    content = json.loads(path.read_text())
    del content["protocol"]
    path.write_text(json.dumps(content))
    assert isinstance(store.load(folder).runs[0].record, Record)


def test_a_record_of_schema_1_is_read_with_its_one_edge(write: Writer) -> None:
    """It named the split edge, or null; since schema 2 several edges can be split at once."""
    folder = write(make_record("gm"))
    path = folder / "records" / "gm--r0-d0.json"
    content = json.loads(path.read_text())
    content["schema_version"] = 1
    del content["tree"]["edges"]
    content["tree"]["edge"] = 3
    path.write_text(json.dumps(content))
    (run,) = store.load(folder).runs
    assert run.record.tree.edges == [3]
    content["tree"]["edge"] = None
    path.write_text(json.dumps(content))
    assert store.load(folder).runs[0].record.tree.edges == []
