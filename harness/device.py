"""Devices: choosing one, peak memory, and the seconds that a stage takes."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from splitbench.harness.errors import ConfigError


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
    """One torch thread inside: sums are then in the same order in this process, in workers and on any machine.

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
    """Until everything that was asked of a device is done, so that a clock tells what it took."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe(device: torch.device) -> str:
    """The device in words, for the record of what was measured."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} thread(s)"
