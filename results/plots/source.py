"""The input of pictures: the tables of a results folder, and the user's options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.arms.arms import PRIMARY, ArmRuns, metric, tables
from splitbench.results.boards.leaderboard import Leaderboard, leaderboards_of
from splitbench.results.inference.stats import Estimate, lower_is_better
from splitbench.results.payoff.ladder import rounded_ceiling, shared_by_ladder
from splitbench.results.plots.style import quantity, shortened
from splitbench.results.records.archive import ARCHIVE, RECORDS
from splitbench.results.records.files import readable_json
from splitbench.results.records.listing import SWEEP, both
from splitbench.results.records.loading import StoredRun, load_runs
from splitbench.results.records.population_names import with_population_names
from splitbench.results.records.record import Record
from splitbench.results.sweeps.sweep import Sweep
from splitbench.results.sweeps.sweep import read_sweep as read_sweep
from splitbench.results.words.sheet import count, marked, marks_words


class CannotDrawError(Exception):
    """This folder cannot give this picture; the message is a sentence without its subject, and says why."""


@dataclass(frozen=True)
class Options:
    """The user's options.

    Attributes:
        metric: its name, as in the records.
        cost: ``flops`` that were charged, or ``seconds`` that were measured.
        repetition: the one that pictures of single runs show; None for the first there is (affinity: for the mean).
        notes: drawing appends a sentence for anything that it leaves out.
    """

    metric: str = PRIMARY
    cost: str = "flops"
    repetition: int | None = None
    notes: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def axis(self, table: PlotTable) -> str:
        """The metric as an axis is labelled, with the name of the table's population."""
        better = "less is better" if lower_is_better(self.metric) else "more is better"
        return f"{table.named(self.metric)} of the supernet's ranking against stand-alone test accuracy ({better})"


@dataclass(frozen=True)
class PlotTable:
    """One leaderboard and the runs that it was made of; ``trials`` if its arms are those of a sweep."""

    board: Leaderboard
    arms: tuple[ArmRuns, ...]
    trials: bool = False

    @property
    def complete(self) -> tuple[ArmRuns, ...]:
        return tuple(arm for arm in self.arms if arm.complete)

    @property
    def title(self) -> str:
        return f"{self.board.study}: {self.board.space} on {self.board.dataset}"

    @property
    def budget(self) -> str:
        kind, limit = self.board.budget
        return f"{quantity(limit)} {'FLOPs' if kind == 'flops' else kind}"

    @property
    def facts(self) -> str:
        seeds = f"{self.board.seeds} seed{'' if self.board.seeds == 1 else 's'}"
        return f"{self.budget} an arm, {seeds}, {self.board.population_size:,} architectures."

    def named(self, name: str) -> str:
        """A metric's name as it is shown: what its population is of stands in it."""
        return with_population_names(name, self.board.population)

    def estimates(self, name: str) -> dict[str, Estimate]:
        """Mean and interval of a metric, by complete arm; arms without a value are absent."""
        by_arm = {arm.name: arm.estimate(metric(name)) for arm in self.complete}
        return {arm: value for arm, value in by_arm.items() if value is not None}

    def labels(self) -> dict[str, str]:
        """The label of each arm: oracle controls are marked, the middle of a very long name is left out."""
        short = shortened([arm.name for arm in self.arms])
        return {arm.name: marked(short[arm.name], arm.reads_truth, arm.given) for arm in self.arms}

    def ceiling(self, name: str) -> float | None:
        return self.board.ceiling.get(name)

    def flops_alone(self, name: str) -> float | None:
        """The metric of the stand-alone network's FLOPs as a score."""
        estimate = next((row.metrics.get(name) for row in self.board.rows if row.trivial and row.arm == "flops"), None)
        return estimate.mean if estimate else None

    def marks(self) -> str:
        return marks_words(any(arm.reads_truth for arm in self.arms), any(arm.given for arm in self.arms))


@dataclass(frozen=True)
class PlotSource:
    """The tables and the sweeps of a results folder, restricted to the arms that were asked for."""

    folder: Path
    tables: tuple[PlotTable, ...]
    named: tuple[str, ...]
    warnings: tuple[str, ...]
    sweeps: tuple[Sweep, ...] = ()

    @property
    def families(self) -> list[tuple[PlotTable, ...]]:
        """Tables that differ in nothing but the budget's limit (and their study's name), smallest budget first."""
        by_family: dict[str, list[PlotTable]] = {}
        for table in self.tables:
            by_family.setdefault(family_key(table), []).append(table)
        return [tuple(sorted(members, key=lambda table: table.board.budget[1])) for members in by_family.values()]


def open_folder(folder: str | Path, arms: Sequence[str] = ()) -> PlotSource:
    """Read a results folder, or a folder of them. One with a sweep need not have records.

    Raises:
        StoreError: if it holds no usable record, and no usable sweep either.
        ConfigError: if an arm is unknown.
    """
    sweeps, everything, warnings = _read(Path(folder))
    known = {arm.name for table in everything for arm in table.arms} | {arm.arm for s in sweeps for arm in s.arms}
    for name in arms:
        if name not in known:
            from splitbench.harness.registry import suggestion

            raise ConfigError(
                f"{folder}: there is no arm {name!r}{suggestion(name, sorted(known))}; the arms there are "
                f"{', '.join(sorted(known))}"
            )
    kept = [replace(t, arms=tuple(arm for arm in t.arms if not arms or arm.name in arms)) for t in everything]
    for table in kept:
        warnings += _incomplete(table)
    if arms:
        sweeps = [s.model_copy(update={"arms": [arm for arm in s.arms if arm.arm in arms]}) for s in sweeps]
    return PlotSource(
        Path(folder),
        tuple(table for table in kept if table.arms),
        tuple(arms),
        tuple(warnings),
        tuple(sweep for sweep in sweeps if sweep.arms),
    )


def _read(folder: Path) -> tuple[list[Sweep], list[PlotTable], list[str]]:
    """Sweeps, tables, warnings."""
    paths = both(folder, SWEEP) if folder.is_dir() else []
    sweeps: list[Sweep] = []
    faults: list[StoreError] = []
    for path in paths:
        try:
            sweeps.append(read_sweep(path.parent))
        except StoreError as error:
            faults.append(error)
    warnings = [str(fault) for fault in faults]
    try:
        loaded = load_runs(folder)
    except StoreError as error:
        if sweeps:
            return sweeps, [], [*warnings, *([str(error)] if both(folder, RECORDS) or both(folder, ARCHIVE) else [])]
        raise (faults or [error])[0] from None
    boards = leaderboards_of(loaded)
    places = {path.parent for path in paths}
    plotted = [
        PlotTable(board, own, any(run.path.parent.parent in places for arm in own for run in arm.runs))
        for board, own in zip(boards.boards, tables(loaded.runs, loaded.failed), strict=True)
    ]
    return sweeps, plotted, [*boards.warnings, *warnings]


def _incomplete(table: PlotTable) -> list[str]:
    """A sentence for each arm with missing runs; one for all trials of a sweep, most of which end before."""
    incomplete = [arm for arm in table.arms if not arm.complete]
    if incomplete and table.trials:
        are = (
            "is in no picture of means, because it ran"
            if len(incomplete) == 1
            else "are in no picture of means, because they ran"
        )
        return [f"{table.title}: {count(len(incomplete), 'trial')} of the sweep {are} only some of the seeds"]
    return [
        f"{table.title}: arm {arm.name!r} has {len(arm.runs)} of {arm.expected_runs} runs, so it is in no picture of "
        "means"
        for arm in incomplete
    ]


def family_key(table: PlotTable) -> str:
    """Everything that a table's records share with those of other budgets, the ground truth by its noise ceiling."""
    record = table.arms[0].runs[0].record
    first = min((run.record for arm in table.arms for run in arm.runs), key=lambda record: record.repetition)
    return readable_json([shared_by_ladder(record), first.repetition, rounded_ceiling(first)])


def family_title(tables: Sequence[PlotTable]) -> str:
    """Of one family: the study is named where it is the same."""
    studies = {table.board.study for table in tables}
    return tables[0].title if len(studies) == 1 else f"{tables[0].board.space} on {tables[0].board.dataset}"


def run_shown(arm: ArmRuns, options: Options) -> StoredRun:
    """The first draw of the repetition that is shown.

    Raises:
        CannotDrawError: if the arm has no such repetition.
    """
    if options.repetition is None:
        return arm.runs[0]
    if options.repetition not in arm.repetitions:
        known = ", ".join(map(str, sorted(arm.repetitions)))
        raise CannotDrawError(f"arm {arm.name!r} has no repetition {options.repetition}; it has {known}")
    return arm.repetitions[options.repetition][0]


def edge_name(record: Record, edge: int) -> str:
    return record.topology.edges[edge] if record.topology else str(edge)


def operation_name(record: Record, edge: int, operation: int) -> str:
    """Records before schema 3 know no names: the index, then."""
    return record.topology.operations[edge][operation] if record.topology else f"op {operation}"


def run_words(record: Record) -> str:
    return f"repetition {record.repetition}" + (f", draw {record.draw}" if record.draw else "")
