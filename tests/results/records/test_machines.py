"""Tables, comparisons and gates whose runs were computed on unlike machines say so, in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_records import ESTIMATES, arm_records, make_measured

from splitbench.results.boards.compare import compare, comparison_json
from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.gating import baseline, gate, gate_report
from splitbench.results.page import page
from splitbench.results.records.files import encode
from splitbench.results.records.loading import load_runs
from splitbench.results.records.machines import kinds, mixture
from splitbench.results.records.record import MachineRecord, Measured
from splitbench.results.records.store import write_run
from splitbench.results.words import render

INTEL = MachineRecord(device="CPU, 1 thread(s)", cpu="Intel Xeon", instructions="AVX512", torch="2.13.0+cpu")
OTHERS = {
    "CPU models (AMD EPYC; Intel Xeon)": INTEL.model_copy(update={"cpu": "AMD EPYC"}),
    "instruction sets (AVX2; AVX512)": INTEL.model_copy(update={"instructions": "AVX2"}),
    "devices (CPU, 1 thread(s); NVIDIA H100)": INTEL.model_copy(update={"device": "NVIDIA H100"}),
    "versions of torch (2.12.0; 2.13.0+cpu)": INTEL.model_copy(update={"torch": "2.12.0"}),
}
UNKNOWN = {"cpu": "", "instructions": ""}
Computed = Callable[..., Path]


@pytest.fixture
def computed(tmp_path: Path) -> Computed:
    """A folder with the arms none and gm, two seeds each; ``gm`` lists the machines of the last run of that arm."""

    def make(gm: list[MachineRecord], none: MachineRecord = INTEL, folder: str = "out") -> Path:
        for record in [*arm_records("none", [0.5, 0.6]), *arm_records("gm", [0.55, 0.61])]:
            machines = gm if (record.arm, record.repetition) == ("gm", 1) else [none]
            write_run(tmp_path / folder, record, make_measured(machines=machines), ESTIMATES)
        return tmp_path / folder

    return make


@pytest.mark.parametrize("words", OTHERS)
def test_a_table_that_mixes_machines_says_so_everywhere(computed: Computed, words: str) -> None:
    """Also where it is one run alone, and one stage of it."""
    folder = computed([INTEL, OTHERS[words]])
    found = leaderboards(folder)
    (sentence,) = found.boards[0].warnings
    assert sentence.startswith(f"this table mixes {words}: the same training ends elsewhere on each")
    assert sentence in render.markdown(found)
    assert sentence in json.loads(render.boards_json(found))["warnings"]
    assert sentence in page(folder).decode()
    assert found.boards[0].faults == ()

    compared = compare(folder, "gm", "none")
    (said,) = compared.pairs[0].warnings
    assert said.startswith(f"this comparison mixes {words}: ")
    assert said in render.markdown(compared)
    assert comparison_json(compared)["pairs"][0]["warnings"] == (said,)


def test_several_differences_are_one_sentence(computed: Computed) -> None:
    other = MachineRecord(device="CPU, 1 thread(s)", cpu="AMD EPYC", instructions="AVX2", torch="2.12.0")
    (sentence,) = leaderboards(computed([other])).boards[0].warnings
    assert sentence.partition(":")[0] == (
        "this table mixes CPU models (AMD EPYC; Intel Xeon), instruction sets (AVX2; AVX512) and versions of torch "
        "(2.12.0; 2.13.0+cpu)"
    )


@pytest.mark.parametrize("gm", [[INTEL], [INTEL.model_copy(update=UNKNOWN)], []], ids=["alike", "unknown", "older"])
def test_what_is_alike_or_unknown_is_no_mixture(computed: Computed, gm: list[MachineRecord]) -> None:
    """An older record names device and torch alone: the synthetic ones another device, so it is made the same here."""
    folder = computed(gm)
    if not gm:
        path = folder / "records" / "gm--r1-d0.measured.json"
        older = json.loads(path.read_text())
        del older["machines"]
        path.write_text(json.dumps(older | {"device": INTEL.device, "torch": INTEL.torch}))
    assert leaderboards(folder).boards[0].warnings == ()
    assert compare(folder, "gm", "none").pairs[0].warnings == ()


def test_older_records_are_read_and_mix_by_what_they_say() -> None:
    older = json.loads(encode(make_measured()))
    del older["machines"]
    measured = Measured.model_validate(older)
    assert measured.computed_on == (MachineRecord(device="cpu", torch="2.13.0"),)
    assert mixture(kinds(measured.computed_on)) == ""
    two = [*measured.computed_on, MachineRecord(device="cpu", torch="2.12.0")]
    assert "versions of torch (2.12.0; 2.13.0)" in mixture(kinds(two))


def test_runs_without_their_measured_file_mix_nothing(computed: Computed) -> None:
    folder = computed([OTHERS["instruction sets (AVX2; AVX512)"]])
    (folder / "records" / "gm--r1-d0.measured.json").unlink()
    assert leaderboards(folder).boards[0].warnings == ()


# -- the gate --------------------------------------------------------------------------------------------------------


def test_a_gate_says_what_baseline_and_folder_mix(computed: Computed, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    gate.update(computed([INTEL], folder="old"), path, ["tau[all]"], "a command")
    same = gate.hold_against_baseline(computed([INTEL], folder="same"), path)
    assert not [note for note in same.notes if " mix" in note]
    assert same.changed == ()

    amd = OTHERS["CPU models (AMD EPYC; Intel Xeon)"]
    other = gate.hold_against_baseline(computed([amd], none=amd, folder="other"), path)
    assert other.changed == ("cpus: Intel Xeon -> AMD EPYC",)
    (note,) = [note for note in other.notes if " mix" in note]
    assert note.startswith("baseline and folder together mix CPU models (AMD EPYC; Intel Xeon): ")
    assert note in gate_report.text(other)
    assert note in gate_report.gate_markdown(other)
    assert note in gate_report.gate_json(other)["notes"]
    assert other.status == same.status


def test_a_gate_says_what_the_folder_alone_mixes(computed: Computed, tmp_path: Path) -> None:
    path, folder = tmp_path / "baseline.json", computed([INTEL, OTHERS["instruction sets (AVX2; AVX512)"]])
    gate.update(folder, path, ["tau[all]"], "a command")
    report = gate.hold_against_baseline(folder, path)
    assert report.changed == ()
    assert [note for note in report.notes if "instruction sets (AVX2; AVX512)" in note]


def test_a_baseline_without_cpus_is_compared_by_what_it_has(computed: Computed, tmp_path: Path) -> None:
    path, folder = tmp_path / "baseline.json", computed([INTEL])
    gate.update(folder, path, ["tau[all]"], "a command")
    older = baseline.read_baseline(path)
    older.provenance.pop("cpus")
    older.provenance.pop("instructions")
    report = gate.hold(older, load_runs(folder), (), folder)
    assert report.changed == ()
    assert not [note for note in report.notes if " mix" in note]
