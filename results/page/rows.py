"""The leaderboard's tables and arms as compact arrays, in the order of the tables and of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from splitbench.results.arms.arms import JUDGED, PRIMARY, SELECTED, ArmRuns
from splitbench.results.arms.controls import Chance
from splitbench.results.arms.costs import MEASUREMENT, MeanCost
from splitbench.results.arms.grounds import ungrounded
from splitbench.results.arms.terms import MEANINGS, NAMES
from splitbench.results.boards.leaderboard import Leaderboard
from splitbench.results.boards.rows import SELECTION, BoardRow
from splitbench.results.inference.paired import EQUAL, Verdict
from splitbench.results.inference.stats import EXACT_UP_TO, FEWEST, Estimate
from splitbench.results.inference.verdicts import decimals, p_words
from splitbench.results.measures.families import family
from splitbench.results.page.pack import decimal, rounded, rounded_for_page
from splitbench.results.records.loading import StoredRun
from splitbench.results.words.sheet import Sheet
from splitbench.results.words.sheets import PHASES

ARM_FIELDS = (
    "board",
    "name",
    "trainer",
    "baseline",
    "trivial",
    "rank_sum",
    "oracle",
    "complete",
    "found",
    "expected",
    "seeds",
    "draws",
    "leaves",
    "metrics",
    "validation",
    "of_ceiling",
    "verdicts",
    "finding",
    "reasons",
    "chance",
    "selection",
    "decomposition",
    "cost",
    "paired",
    "runs",
)
RUN_FIELDS = ("repetition", "draw", "metrics", "selection", "leaf", "leaves", "architecture", "ledger", "spent", "peak")
FINE = 7  # digits of what verdicts rest on


def payload(
    boards: Sequence[Leaderboard], sheets: Sequence[Sheet], arms: Sequence[Sequence[ArmRuns]]
) -> dict[str, Any]:
    """Everything but the details of runs; ``arms`` are those of each board."""
    metrics = _names(row.metrics for board in boards for row in board.rows)
    validation = _names(row.validation_metrics for board in boards for row in board.rows)
    phases = _phases(boards)
    controls: dict[tuple[str, ...], int] = {}  # arms share most of these
    reasons: dict[str, int] = {"": 0}
    rows = []
    for index, (board, own) in enumerate(zip(boards, arms, strict=True)):
        by_name = {arm.name: arm for arm in own}
        for row in board.rows:
            arm = None if row.trivial else by_name.get(row.arm)  # none of its runs may have succeeded
            rows.append(_row(index, row, arm, metrics, validation, phases, controls, reasons))
    return {
        "arm_fields": ARM_FIELDS,
        "arms": rows,
        "controls": list(controls),
        "exact_up_to": EXACT_UP_TO,
        "explained": [[NAMES[name], MEANINGS[name], int(name == "calibration")] for name in NAMES],
        "fewest": FEWEST,
        "judged": [[name, family(name).region, *family(name).differences] for name in JUDGED],
        "boards": [_board(board, sheet, own) for board, sheet, own in zip(boards, sheets, arms, strict=True)],
        "metrics": metrics,
        "phases": phases,
        "primary": PRIMARY,
        "reasons": list(reasons),
        "run_fields": RUN_FIELDS,
        "selection": list(SELECTION),
        "validation": validation,
    }


def _board(board: Leaderboard, sheet: Sheet, arms: Sequence[ArmRuns]) -> dict[str, Any]:
    records = [run.record for arm in arms for run in arm.runs]
    topology = next((record.topology for record in records if record.topology is not None), None)
    return {
        "baseline": board.baseline,
        "budget": [board.budget[0], board.budget[1]],
        "ceiling": {name: decimal(value, decimals(name)) for name, value in board.ceiling.items()},
        "dataset": board.dataset,
        "heading": sheet.heading,
        "population": board.population,
        "protocol": records[0].protocol,
        "size": board.population_size,
        "space": board.space,
        "study": board.study,
        "topology": None if topology is None else [topology.edges, topology.operations],
    }


def _row(
    board: int,
    row: BoardRow,
    arm: ArmRuns | None,
    metrics: Sequence[str],
    validation: Sequence[str],
    phases: Sequence[str],
    controls: dict[tuple[str, ...], int],
    reasons: dict[str, int],
) -> list[Any]:
    ungrounded_reasons = [] if arm is None else [ungrounded(arm, name not in SELECTED) for name in JUDGED]
    values = {
        "board": board,
        "name": row.arm,
        "trainer": row.trainer,
        "baseline": int(row.baseline),
        "trivial": int(row.trivial),
        "rank_sum": int(row.rank_sum),
        "oracle": int(row.reads_truth),
        "complete": int(row.complete),
        "found": row.runs,
        "expected": row.expected_runs,
        "seeds": row.seeds,
        "draws": row.draws,
        "leaves": list(row.leaves),
        "metrics": [_estimate(row.metrics.get(name), decimals(name)) for name in metrics],
        "validation": [_estimate(row.validation_metrics.get(name), decimals(name)) for name in validation],
        "of_ceiling": _estimate(row.of_ceiling, 2),
        "verdicts": [_verdict(row.verdicts.get(name), reasons) for name in JUDGED],
        "finding": row.finding,
        "reasons": [reasons.setdefault(reason, len(reasons)) for reason in ungrounded_reasons],
        "chance": _chance(row.chance, controls),
        "selection": [_estimate(row.selection.get(name), 2) for name in SELECTION],
        "decomposition": _decomposition(row),
        "cost": _cost(row.cost, phases),
        "paired": _paired(arm) if arm is not None and row.complete else None,
        "runs": [] if arm is None else [_run(run, metrics, phases) for run in arm.runs],
    }
    return [values[name] for name in ARM_FIELDS]


def _estimate(estimate: Estimate | None, digits: int) -> list[float | None] | None:
    return None if estimate is None else rounded_for_page((estimate.mean, estimate.low, estimate.high), digits)


def _unrounded(estimate: Estimate) -> list[float | None]:
    """Rounded where it is shown, and only there, so that the page and the text agree."""
    return [estimate.mean, estimate.low, estimate.high]


def _verdict(verdict: Verdict | None, reasons: dict[str, int]) -> list[Any] | None:
    if verdict is None:
        return None
    decisive = verdict.equal_p if verdict.word == EQUAL else verdict.p
    words = "" if decisive is None else p_words(decisive)
    ps = (rounded(verdict.p, FINE), rounded(verdict.equal_p, FINE), words)
    reason = reasons.setdefault(verdict.reason, len(reasons))
    probability = rounded(verdict.probability, FINE)
    return [verdict.against, verdict.word, reason, _unrounded(verdict.difference), probability, *ps]


def _chance(chance: Chance | None, controls: dict[tuple[str, ...], int]) -> list[Any] | None:
    if chance is None:
        return None
    words = p_words(chance.p)
    index = controls.setdefault(chance.controls, len(controls))
    return [chance.sizes, index, _unrounded(chance.difference), rounded(chance.p, FINE), words]


def _decomposition(row: BoardRow) -> list[list[float | None] | None] | None:
    """In the order of ``explained``; None where the arm was not decomposed."""
    return None if row.decomposition is None else [_estimate(row.decomposition[name], 3) for name in NAMES]


def _cost(cost: MeanCost | None, phases: Sequence[str]) -> list[Any] | None:
    """Mean FLOPs, seconds without measurement, peak bytes, and FLOPs and seconds by phase."""
    if cost is None:
        return None
    by_phase = [cost.by_phase.get(phase) for phase in phases]
    return [
        rounded(cost.flops, FINE),
        _seconds(cost.seconds),
        cost.peak_bytes,
        [None if phase is None else [rounded(phase.flops, FINE), _seconds(phase.seconds)] for phase in by_phase],
    ]


def _paired(arm: ArmRuns) -> list[list[Any] | None]:
    """For each metric with verdicts, repetitions and its mean over draws in each, unrounded; None where one lacks."""
    pairs: list[list[Any] | None] = []
    for get in JUDGED.values():
        values = arm.by_repetition(get)
        repetitions = sorted(values or {})
        pairs.append(None if values is None else [repetitions, [values[repetition] for repetition in repetitions]])
    return pairs


def _run(run: StoredRun, metrics: Sequence[str], phases: Sequence[str]) -> list[Any]:
    record, measured = run.record, run.measured
    chosen = record.selection
    ledger = []
    for phase in phases:
        cost = record.cost.get(phase)
        seconds = _seconds(measured.seconds.get(phase)) if measured is not None else None
        charged = [0, 0, 0] if cost is None else [cost.flops, cost.steps, cost.examples]
        ledger.append([*charged, seconds] if cost is not None or seconds is not None else None)
    values = {
        "repetition": record.repetition,
        "draw": record.draw,
        "metrics": [decimal(record.metrics.get(name), decimals(name)) for name in metrics],
        "selection": rounded_for_page((float(getattr(chosen, name)) for name in SELECTION), 2),
        "leaf": chosen.leaf,
        "leaves": sum(leaf.kept for leaf in chosen.leaves),
        "architecture": chosen.architecture,
        "ledger": ledger,
        "spent": rounded(record.budget.spent, FINE),
        "peak": None if measured is None else round(measured.peak_bytes / 2**20),
    }
    return [values[name] for name in RUN_FIELDS]


def _seconds(value: float | None) -> float | None:
    return decimal(value, 1)


def _phases(boards: Sequence[Leaderboard]) -> list[str]:
    """In the order of a run; measurement, which is not charged, last."""
    costs = [row.cost for board in boards for row in board.rows if row.cost is not None]
    present = {phase for cost in costs for phase in cost.by_phase}
    known = [phase for phase in PHASES if phase in present]
    return [*known, *sorted(present - {*PHASES, MEASUREMENT}), *sorted(present & {MEASUREMENT})]


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Sorted, the primary metric first."""
    names = {name for mapping in mappings for name in mapping}
    return sorted(names, key=lambda name: (name != PRIMARY, name))
