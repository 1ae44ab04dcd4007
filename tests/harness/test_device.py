"""What a stage's result, and `splitbench env`, say of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from tiny_studies import run_tiny

from splitbench.harness import device
from splitbench.harness.cli.components.environment import environment
from splitbench.harness.device import LIMITS, Machine, cpu_words, instructions, machine
from splitbench.harness.stores.folder import StageStore
from splitbench.results.records.loading import load_runs

X86 = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Processor  @ 2.50GHz
stepping\t: 7

processor\t: 1
model name\t: another
"""
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n"


def test_a_cpu_is_named_with_what_tells_it_from_its_namesakes() -> None:
    assert cpu_words(X86) == "Intel(R) Xeon(R) Processor @ 2.50GHz (family 6, model 85, stepping 7)"
    assert cpu_words(ARM).endswith(" (implementer 0x41, part 0xd0c, variant 0x3)")
    assert cpu_words("") == ""


def test_this_machine_has_a_cpu_instructions_and_a_torch() -> None:
    here = machine(torch.device("cpu"))
    assert here.device == "CPU, 1 thread(s)"
    assert here.cpu
    assert here.instructions.partition(",")[0] == torch.backends.cpu.get_cpu_capability()
    assert here.torch == torch.__version__
    told = environment()
    assert told["cpu model"] == here.cpu
    assert told["instruction set"] == here.instructions


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, ""),
        ({"ONEDNN_MAX_CPU_ISA": "avx2"}, ", oneDNN at most AVX2"),
        ({"DNNL_MAX_CPU_ISA": "SSE41"}, ", oneDNN at most SSE41"),
        ({"ONEDNN_MAX_CPU_ISA": "ALL"}, ""),
        ({"DNNL_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX"}, ", oneDNN at most AVX2, MKL at most AVX"),
    ],
)
def test_limits_of_libraries_are_told(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str) -> None:
    for name in (name for names in LIMITS.values() for name in names):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert instructions() == torch.backends.cpu.get_cpu_capability() + said


def test_the_instructions_are_those_that_torch_was_held_to() -> None:
    code = "from splitbench.harness.device import instructions; print(instructions())"
    held = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
    done = subprocess.run([sys.executable, "-c", code], env={**environ(), **held}, capture_output=True, text=True)
    assert done.stdout.strip() == "DEFAULT, oneDNN at most SSE41", done.stderr


def environ() -> dict[str, str]:
    unset = {name for names in LIMITS.values() for name in names}
    return {name: value for name, value in os.environ.items() if name not in unset}


def test_a_run_whose_stages_were_computed_on_two_machines_lists_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is lost is made again of stages computed before, of which one was lost too."""
    run_tiny(tmp_path)
    here, there = machine(torch.device("cpu")), Machine("CPU, 1 thread(s)", "another", "OTHER", "9.9")
    (record,) = tmp_path.glob("records/none*d0.json")
    record.unlink()
    store = StageStore(tmp_path)
    kept = [store.get(path.parent.name) for path in tmp_path.glob("stages/*/*/result.json")]
    (measure,) = [result for result in kept if result is not None and "estimates_sha256" in result.output]
    (store.folder(measure.key) / "result.json").unlink()
    monkeypatch.setattr(device, "machine", lambda _: there)
    run_tiny(tmp_path)
    (run,) = load_runs(tmp_path).runs
    assert run.measured is not None
    assert [one.model_dump() for one in run.measured.machines] == [asdict(here), asdict(there)]
    assert (run.measured.device, run.measured.torch) == (here.device, here.torch)
