"""What a merge found, in words and as JSON."""

from __future__ import annotations

from typing import Any

from splitbench.results.merging.merging import Merger, spans
from splitbench.results.words.sheet import NOTHING, Sheet, Table, count


def as_json(found: Merger) -> dict[str, Any]:
    """Plain JSON: where it went, the parts, and what is missing to be whole."""
    return {
        "out": str(found.out),
        "study": found.study,
        "whole": not found.missing,
        "runs": len(found.runs),
        "expected_runs": len(found.expected),
        "overlap": found.overlap,
        "parts": [{"folder": str(part.folder), "runs": len(part.runs)} for part in found.parts],
        "missing": [
            {
                "arm": arm,
                "repetition": repetition,
                "draw": draw,
                "failed": failure.reason if (failure := found.failed.get((arm, repetition, draw))) else None,
            }
            for arm, repetition, draw in found.missing
        ],
        "warnings": list(found.warnings),
    }


def sheet(found: Merger) -> Sheet:
    """The same in words."""
    runs = f"{len(found.runs):,} of {count(len(found.expected), 'run')} of the study are in {found.out}"
    equal = f"; {count(found.overlap, 'record')} stood in several parts, and are equal" if found.overlap else ""
    whole = "It is whole." if not found.missing else "It is not whole: the missing runs are below."
    rows = tuple((str(part.folder), str(len(part.runs)), str(len(part.failed))) for part in found.parts)
    tables = [Table("Parts", ("folder", "runs", "failed runs"), rows)]
    if found.missing:
        tables.append(_missing(found))
    legend = ["Records are joined, and not stages: what is still to be run is computed from its beginning."]
    if found.overlap:
        legend.append("Of a run that several parts hold, seconds and bytes are those of the first part.")
    return Sheet(f"Merged: {found.study}", (f"{runs}{equal}. {whole}",), tuple(tables), tuple(legend), found.warnings)


def _missing(found: Merger) -> Table:
    rows = []
    for arm in dict.fromkeys(arm for arm, _, _ in found.missing):
        own = [run for run in found.missing if run[0] == arm]
        expected = sum(name == arm for name, _, _ in found.expected)
        reasons = list(dict.fromkeys(found.failed[run].reason for run in own if run in found.failed))
        seeds = spans(repetition for _, repetition, _ in own)
        rows.append((arm, f"{len(own)} of {expected}", seeds, "; ".join(reasons) or NOTHING))
    header = ("arm", "runs", "--seeds", "failed before")
    return Table("Missing to be whole", header, tuple(rows), left=("--seeds", "failed before"))
