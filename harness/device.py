"""Devices: choosing one, peak memory, and what a machine is to the numbers that it computes."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from splitbench.harness.errors import ConfigError

LIMITS = {
    "oneDNN": ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
    "MKL": ("MKL_ENABLE_INSTRUCTIONS",),
}
"""Libraries below torch that choose their instructions themselves -> the variables that hold them back."""
NO_LIMIT = ("", "ALL", "DEFAULT")
CPU_FIELDS = {"cpu family": "family", "model": "model", "stepping": "stepping"}
ARM_FIELDS = {"CPU implementer": "implementer", "CPU part": "part", "CPU variant": "variant"}


@dataclass(frozen=True)
class Machine:
    """What decides the last digits of a training; an empty word is not known, as in stages of older versions.

    Attributes:
        device: the GPU's name, or the CPU and its number of threads.
        cpu: the CPU's model; one name can stand for several, so with family, model and stepping where Linux names them.
        instructions: the set that torch used, and what held back the libraries below it: ``AVX512``,
            ``AVX2, oneDNN at most AVX2``.
        torch: its version.
    """

    device: str
    cpu: str = ""
    instructions: str = ""
    torch: str = ""


def machine(device: torch.device) -> Machine:
    """This machine with one of its devices, as it computes at the moment: called when a stage has been computed."""
    return Machine(describe_device(device), cpu_model(), instructions(), torch.__version__)


@functools.cache
def cpu_model() -> str:
    """The CPU's model in words, or the kind of machine where nothing more is known."""
    with contextlib.suppress(OSError):
        if model := cpu_words(Path("/proc/cpuinfo").read_text()):
            return model
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            words = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(words, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return platform.processor() or platform.machine()


def cpu_words(cpuinfo: str) -> str:
    """The model of the first CPU in the text of ``/proc/cpuinfo``; empty if it names none."""
    first = cpuinfo.strip().partition("\n\n")[0]
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    name = " ".join(fields.get("model name", "").split())
    numbers = [f"{word} {fields[key]}" for key, word in (CPU_FIELDS if name else ARM_FIELDS).items() if key in fields]
    if not numbers:
        return name
    return f"{name or platform.machine()} ({', '.join(numbers)})"


def instructions() -> str:
    """The instruction set that torch's own loops use, and the limits under which its libraries choose theirs."""
    words = [torch.backends.cpu.get_cpu_capability()]
    for library, variables in LIMITS.items():
        limit = next((value for name in variables if (value := os.environ.get(name, "").upper()) not in NO_LIMIT), "")
        words += [f"{library} at most {limit}"] if limit else []
    return ", ".join(words)


def choose(name: str) -> str:
    """``cpu`` or ``cuda``, checked.

    Raises:
        ConfigError: if there is no such device here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: this machine has no CUDA device that torch can use; take --device cpu")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"--device {name}: unknown device; there are: auto, cpu, cuda")
    return name


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside: sums are then in the same order in this process, in workers, and on any number of cores
    (not on another CPU model or instruction set: see :class:`Machine`).

    With more threads the same study gives other bits, and supernets this small do not train faster.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reset_peak(device: torch.device) -> None:
    """Start a new reading of peak memory. (Where Linux does not let us, a CPU process has one for its whole life.)"""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak_bytes(device: torch.device) -> int:
    """Peak memory: allocated on the GPU since the reset, or resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def wait(device: torch.device) -> None:
    """Until everything that was asked of a device is done, so that a clock can be read for what it took."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe_device(device: torch.device) -> str:
    """The device in words, for the record of what was measured."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} thread(s)"
