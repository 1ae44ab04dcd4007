"""The result of a merge, in words and as JSON."""

from __future__ import annotations

from typing import Any

from splitbench.results.merging.merging import Merger, spans
from splitbench.results.words.sheet import NOTHING, Sheet, WordTable, count


def merge_json(merged: Merger) -> dict[str, Any]:
    """Plain JSON: the target folder, the parts, and the runs that are missing."""
    return {
        "out": str(merged.out),
        "study": merged.study,
        "whole": not merged.missing,
        "runs": len(merged.runs),
        "expected_runs": len(merged.expected),
        "overlap": merged.overlap,
        "parts": [{"folder": str(part.folder), "runs": len(part.runs)} for part in merged.parts],
        "missing": [
            {
                "arm": arm,
                "repetition": repetition,
                "draw": draw,
                "failed": failure.reason if (failure := merged.failed.get((arm, repetition, draw))) else None,
            }
            for arm, repetition, draw in merged.missing
        ],
        "warnings": list(merged.warnings),
    }


def merge_sheet(merged: Merger) -> Sheet:
    """The same in words."""
    runs = f"{len(merged.runs):,} of {count(len(merged.expected), 'run')} of the study are in {merged.out}"
    equal = f"; {count(merged.overlap, 'record')} stood in several parts, and are equal" if merged.overlap else ""
    whole = "It is whole." if not merged.missing else "It is not whole: the missing runs are below."
    rows = tuple((str(part.folder), str(len(part.runs)), str(len(part.failed))) for part in merged.parts)
    tables = [WordTable("Parts", ("folder", "runs", "failed runs"), rows)]
    if merged.missing:
        tables.append(_missing(merged))
    legend = ["Records are joined, and not stages: what is still to be run is computed from its beginning."]
    if merged.overlap:
        legend.append("Of a run that several parts hold, seconds and bytes are those of the first part.")
    return Sheet(f"Merged: {merged.study}", (f"{runs}{equal}. {whole}",), tuple(tables), tuple(legend), merged.warnings)


def _missing(merged: Merger) -> WordTable:
    rows = []
    for arm in dict.fromkeys(arm for arm, _, _ in merged.missing):
        own = [run for run in merged.missing if run[0] == arm]
        expected = sum(name == arm for name, _, _ in merged.expected)
        reasons = list(dict.fromkeys(merged.failed[run].reason for run in own if run in merged.failed))
        seeds = spans(repetition for _, repetition, _ in own)
        rows.append((arm, f"{len(own)} of {expected}", seeds, "; ".join(reasons) or NOTHING))
    header = ("arm", "runs", "--seeds", "failed before")
    return WordTable("Missing to be whole", header, tuple(rows), left=("--seeds", "failed before"))
