"""Leaderboards and comparisons as sheets of words, which markdown, a terminal or a page can show."""

from __future__ import annotations

from splitbench.results.arms.arms import PRIMARY
from splitbench.results.arms.costs import MEASUREMENT, MeanCost
from splitbench.results.arms.terms import NAMES as EXPLAINED
from splitbench.results.boards.compare import Compared
from splitbench.results.boards.leaderboard import Leaderboard, Leaderboards
from splitbench.results.boards.rows import BoardRow
from splitbench.results.inference.verdicts import p_words, probability_words, verdict_words
from splitbench.results.records.population_names import with_population_names as named
from splitbench.results.words.legend import legend
from splitbench.results.words.pair_sheets import pair_sheet, rank_sheet
from splitbench.results.words.sheet import NOTHING, Sheet, WordTable, count, interval_words, marked

SHOWN = ("tau[top50%]",)
FAILED_RUNS = "Failed runs"
PHASES = ("warm_up", "scoring", "training", "selection")


def sheets(shown: Leaderboards | Compared) -> list[Sheet]:
    if isinstance(shown, Leaderboards):
        ranks = [rank_sheet(shown.rank_groups)] if shown.rank_groups else []
        return [named(_board_sheet(board), board.population) for board in shown.boards] + ranks
    return [named(pair_sheet(pair), pair.population) for pair in shown.pairs]


NORMALISED = {
    "recalibrated": ", normalised by recalibrated statistics",
    "running": ", normalised by running statistics",
}
"""What a table's heading says of the estimates in it, where they are not normalised by the batch's own statistics."""


def _board_sheet(board: Leaderboard) -> Sheet:
    kind, limit = board.budget
    return Sheet(
        heading=f"{board.study}: {board.space} on {board.dataset}{NORMALISED.get(board.batch_norm, '')}",
        facts=(
            f"Trainer {', '.join(board.trainers)}; budget {limit:.4g} {kind} an arm, {_sharing_words(board)}; "
            f"{count(board.seeds, 'seed')}; population: {board.population} "
            f"({count(board.population_size, 'architecture')}).",
            _ceiling_words(board),
            *board.expected,
        ),
        tables=(
            _ranking_table(board),
            *_failed_table(board),
            *_chance_table(board),
            *_chosen_table(board),
            *_decomposition_table(board),
            _selection_table(board),
            _cost_table(board),
        ),
        legend=legend(board),
        warnings=board.warnings,
    )


def _sharing_words(board: Leaderboard) -> str:
    """Settings that make another order of the same arms."""
    words = {
        "sampler": "shared among leaves as the unsplit sampler would",
        "functions": "shared among leaves by functions",
        "steps": "shared among leaves in equal steps",
        "flops": "shared among leaves in equal parts",
    }
    drawn = ", functions drawn in training" if board.sampling == "functions" else ""
    free = ", scoring free" if board.scoring == "free" else ""
    return f"{words.get(board.share, board.share)}{drawn}{free}"


def _ceiling_words(board: Leaderboard) -> str:
    named = [(name, board.ceiling.get(name)) for name in (PRIMARY, *SHOWN)]
    known = [f"{name} {value:z.3f}" for name, value in named if value is not None]
    if not known:
        return "Noise ceiling: not known, the ground truth holds a single training of each architecture."
    return f"Noise ceiling: one stand-alone training ranks another with {', '.join(known)}; little can exceed that."


def _ranking_table(board: Leaderboard) -> WordTable:
    baseline = board.baseline or "baseline"
    header = ("arm", PRIMARY, "of ceiling", f"difference to {baseline}", f"P(> {baseline})", "verdict", *SHOWN, "runs")
    rows = []
    for row in board.rows:
        verdict = row.verdict
        rows.append(
            (
                ("= " if row.finding else "") + _arm_words(row),
                interval_words(row.metrics.get(PRIMARY), 3, short=row.trivial and not row.rank_sum),
                NOTHING if row.of_ceiling is None else f"{row.of_ceiling.mean:z.0%}",
                interval_words(verdict.difference, 3, sign=True) if verdict else NOTHING,
                probability_words(verdict.probability) if verdict else NOTHING,
                verdict_words(verdict) if verdict else "baseline" if row.baseline else NOTHING,
                *(interval_words(row.metrics.get(name), 3, short=True) for name in SHOWN),
                _runs_words(row),
            )
        )
    return WordTable("Ranking", header, tuple(rows), left=("verdict",))


def _failed_table(board: Leaderboard) -> tuple[WordTable, ...]:
    """No table where no run has failed."""
    rows = tuple(
        (_arm_words(row), str(failed.repetition + 1), str(failed.draw + 1), failed.stage or NOTHING, failed.reason)
        for row in board.rows
        for failed in row.failed
    )
    header = ("arm", "seed", "draw", "stage", "reason")
    return (WordTable(FAILED_RUNS, header, rows, left=("stage", "reason")),) if rows else ()


def _chance_table(board: Leaderboard) -> tuple[WordTable, ...]:
    """No table where no arm has a control."""
    compared = [(row, row.chance) for row in board.rows if row.chance]
    header = ("arm", "group sizes", f"{PRIMARY} less chance", "p", "bill", "what the bill costs", "control")
    rows = tuple(
        (
            _arm_words(row),
            chance.sizes,
            interval_words(chance.difference, 3, sign=True),
            p_words(chance.p),
            f"{chance.paid:.1%}",
            interval_words(chance.bill, 3, sign=True),
            ", ".join(chance.controls),
        )
        for row, chance in sorted(compared, key=lambda pair: -pair[1].difference.mean)
    )
    title = "Against chance: random edges and random groups of the same sizes, seed by seed"
    return (WordTable(title, header, rows, left=("group sizes", "control")),) if rows else ()


def _chosen_table(board: Leaderboard) -> tuple[WordTable, ...]:
    """No table where nothing is compared."""
    judged = [(row, row.selected_verdict) for row in board.rows if row.selected_verdict or row.baseline]
    if all(verdict is None for _, verdict in judged):
        return ()
    baseline = board.baseline or "baseline"
    rows = tuple(
        (
            _arm_words(row),
            interval_words(row.selection.get("test"), 2),
            interval_words(verdict.difference, 2, sign=True) if verdict else NOTHING,
            probability_words(verdict.probability) if verdict else NOTHING,
            verdict_words(verdict) if verdict else "baseline",
        )
        for row, verdict in judged
    )
    header = ("arm", "honest test %", f"difference to {baseline}", f"P(> {baseline})", "verdict")
    return (WordTable("The honest choice: test accuracy %, seed by seed", header, rows, left=("verdict",)),)


def _decomposition_table(board: Leaderboard) -> tuple[WordTable, ...]:
    """No table where no arm was decomposed."""
    rows = tuple(
        (_arm_words(row), *(interval_words(row.decomposition[name], 3, sign=True) for name in EXPLAINED))
        for row in board.rows
        if row.decomposition is not None
    )
    header = ("arm", *(EXPLAINED[name] for name in EXPLAINED))
    return (WordTable("What each part of a split cost and brought, beside no split", header, rows),) if rows else ()


def _selection_table(board: Leaderboard) -> WordTable:
    header = ("arm", "honest test %", "regret", "oracle*", "leaf floor*", "best of K*", "K")
    names = ("test", "regret", "oracle", "leaf_floor", "best_of_k")
    rows = tuple(
        (
            _arm_words(row),
            *(interval_words(row.selection.get(name), 2, short=name != "test") for name in names),
            " or ".join(map(str, row.leaves)) or NOTHING,
        )
        for row in board.rows
        if not (row.trivial or row.outside)
    )
    return WordTable("Selection, test accuracy % (* reads the ground-truth table)", header, rows)


def _cost_table(board: Leaderboard) -> WordTable:
    costs = [(row, row.cost) for row in board.rows if not (row.trivial or row.outside)]
    charged = {phase for _, cost in costs if cost for phase in cost.by_phase} - {MEASUREMENT}
    phases = [*(phase for phase in PHASES if phase in charged), *sorted(charged - set(PHASES))]
    header = ("arm", "FLOPs", *(phase.replace("_", "-") for phase in phases), "seconds", "peak MiB")
    rows = tuple((_arm_words(row), *_cost_words(cost, phases)) for row, cost in costs)
    return WordTable("Cost of a run, and its share by phase", header, rows)


def _cost_words(cost: MeanCost | None, phases: list[str]) -> tuple[str, ...]:
    if cost is None:
        return (NOTHING,) * (len(phases) + 3)
    shares = (f"{cost.by_phase[phase].share:.1%}" if phase in cost.by_phase else NOTHING for phase in phases)
    seconds = NOTHING if cost.seconds is None else f"{cost.seconds:.1f}"
    peak = NOTHING if cost.peak_bytes is None else f"{cost.peak_bytes / 2**20:.0f}"
    return (f"{cost.flops:.3e}", *shares, seconds, peak)


def _arm_words(row: BoardRow) -> str:
    if row.trivial:
        return f"({row.arm})"
    return f"{row.arm} §" if row.outside else marked(row.arm, row.reads_truth, row.given)


def _runs_words(row: BoardRow) -> str:
    if row.trivial:
        return NOTHING
    if row.outside:
        return "none"
    if row.failed:
        return f"failed: {len(row.failed)} of {row.expected_runs}"
    if not row.complete:
        return f"incomplete: {row.runs} of {row.expected_runs}"
    return f"{row.seeds} x {row.draws}" if row.draws > 1 else str(row.seeds)
