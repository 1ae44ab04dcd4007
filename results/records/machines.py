"""The machines that computed runs, and a sentence where runs that are compared come from different kinds of machines.

The same training ends a little elsewhere on another CPU model, instruction set, device or version of torch: sums are in
another order, and the steps magnify the last digit. Pairing by seed does not take that out of a difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from splitbench.results.records.loading import StoredRun
from splitbench.results.records.record import MachineRecord

KINDS = {
    "devices": ("device", "devices"),
    "cpus": ("cpu", "CPU models"),
    "instructions": ("instructions", "instruction sets"),
    "torch": ("torch", "versions of torch"),
}
"""What makes machines unlike -> a machine's field, and its plural in words."""


def machines(runs: Iterable[StoredRun]) -> list[MachineRecord]:
    """Every machine that computed a stage of one of the runs; none of runs that lack their measured file."""
    return list(
        dict.fromkeys(machine for run in runs if run.measured is not None for machine in run.measured.computed_on)
    )


def kinds(of: Iterable[MachineRecord]) -> dict[str, list[str]]:
    """For each of KINDS the distinct values over machines, sorted; unknown values are left out."""
    of = list(of)
    return {kind: sorted({getattr(machine, field) for machine in of} - {""}) for kind, (field, _) in KINDS.items()}


def mixture(kinds_there: Mapping[str, Sequence[str]], subject: str = "this table mixes") -> str:
    """A sentence if machines of several kinds took part; empty if they are alike.

    Args:
        kinds_there: what :func:`kinds` returns.
        subject: how the sentence begins.
    """
    several = [(words, kinds_there[kind]) for kind, (_, words) in KINDS.items() if len(kinds_there.get(kind, ())) > 1]
    if not several:
        return ""
    parts = [f"{words} ({'; '.join(values)})" for words, values in several]
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return (
        f"{subject} {listed}: the same training ends elsewhere on each, so a difference between runs from two of "
        "them is in part one between machines; run the whole study on one to be rid of it"
    )
