"""Does a record's tau follow from its own estimates file? If it does not, it was computed on other architectures."""

from __future__ import annotations

from collections.abc import Iterable

from splitbench.results.arms.arms import ArmRuns
from splitbench.results.arms.populations import UnusableError, score_and_truth
from splitbench.results.records.archive import exists
from splitbench.results.records.listing import ESTIMATES
from splitbench.results.records.loading import StoredRun


def recheck(arm: ArmRuns) -> tuple[list[str], int]:
    """One sentence for the first run of an arm whose tau[all] is not that of its estimates, and how many runs have no
    estimates file beside them.

    Raises:
        StoreError: if an estimates file is not the one that its record names.
    """
    there = [run for run in arm.runs if exists(run.path.with_suffix(ESTIMATES))]
    return _first(_problem(run) for run in there), len(arm.runs) - len(there)


def _problem(run: StoredRun) -> str:
    try:
        score_and_truth(run)
    except UnusableError as problem:
        return f"repetition {run.record.repetition}, draw {run.record.draw}: {problem}"
    return ""


def _first(problems: Iterable[str]) -> list[str]:
    problem_found = next((problem for problem in problems if problem), "")
    return [problem_found] if problem_found else []
