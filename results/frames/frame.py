"""Results for Python: the object that ``splitbench.run`` and ``splitbench.load`` give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import PRIMARY
from splitbench.results.inference.paired import WORDS
from splitbench.results.records.failures import Failure
from splitbench.results.records.loading import Loaded, StoredRun, load_runs, read_estimates
from splitbench.results.records.reading import SkippedArm

if TYPE_CHECKING:
    import pandas as pd

    from splitbench.results.boards.leaderboard import Leaderboards
from splitbench.results.boards.rows import BoardRow


@dataclass(frozen=True, repr=False)
class Results:
    """The runs of a results folder, as they were when it was read.

    In a notebook it shows its leaderboard. pandas is imported by the methods that give a DataFrame.

    Attributes:
        folder: where the records are.
        loaded: what was read from it.
    """

    folder: Path
    loaded: Loaded

    @property
    def runs(self) -> tuple[StoredRun, ...]:
        """Every run with its record and its measured costs, by table, arm, repetition and draw."""
        return self.loaded.runs

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for every file that could not be used, or not fully."""
        return self.loaded.warnings

    @property
    def skipped(self) -> tuple[SkippedArm, ...]:
        """The arms that did not run, and why."""
        return self.loaded.skipped

    @property
    def failed(self) -> tuple[Failure, ...]:
        """The runs that failed, each with its reason; running the study again tries them again."""
        return self.loaded.failed

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of the arms that ran, sorted."""
        return tuple(sorted({run.record.arm for run in self.runs}))

    def frame(self, form: Literal["wide", "long"] = "wide") -> pd.DataFrame:
        """The runs as a tidy DataFrame, in the order of ``runs``.

        Args:
            form: "wide", one row a run, or "long", one row a run and metric.

        Returns:
            Both forms begin with study, space, dataset, trainer, arm, repetition, draw, baseline, reads_truth,
            complete (whether the arm has all its runs), budget_kind, budget_limit, budget_spent, population,
            population_size and protocol; only runs that agree in all but trainer, arm, repetition, draw and what
            follows from them may be compared. Then

            - wide: a column for each metric against ground-truth test accuracy, under the metric's own name
              (``tau[all]``, ...); ``selection_*``, the choice from validation images and the columns that read the
              table (accuracies in %); flops, steps and examples in all and by phase (``flops_training``, ...); seconds
              without measurement and by phase, and peak_bytes.
            - long: metric, value (against test accuracy), validation (against validation accuracy) and ceiling (the
              same metric between two trainings of the ground truth).

            Words are categoricals, counts whole numbers. What is undefined or unknown is NaN; a phase that an arm does
            not have cost 0.

        Raises:
            ValueError: if there is no such form.
        """
        from splitbench.results.frames import columns

        forms: dict[str, Callable[[tuple[StoredRun, ...]], pd.DataFrame]] = {"wide": columns.wide, "long": columns.long}
        if form not in forms:
            raise ValueError(f"there is no form {form!r} of the frame; there are: {', '.join(forms)}")
        return forms[form](self.runs)

    def estimates(self, arm: str | None = None, repetition: int | None = None) -> pd.DataFrame:
        """What the supernets said of every architecture: one row an architecture of a run.

        Args:
            arm, repetition: the runs wanted; None stands for all of them, which can be many rows.

        Returns:
            study, space, dataset, trainer, arm, repetition and draw; architecture, leaf (index of the subspace that it
            lies in), accuracy (of the supernet on validation images, %), loss, and the ground truth beside them
            (truth_test and truth_validation, %), and the stand-alone FLOPs (records from schema 3 on that hold them).

        Raises:
            ConfigError: if there is no such run.
            StoreError: if a run's estimates are missing, or not those of its record.
        """
        import pandas as pd

        from splitbench.results.frames import columns

        wanted = [
            run for run in self.runs if arm in (None, run.record.arm) and repetition in (None, run.record.repetition)
        ]
        if not wanted:
            raise ConfigError(self._no_run(arm, repetition))
        parts = [columns.labelled(run, read_estimates(run)) for run in wanted]
        return columns.categories(pd.concat(parts, ignore_index=True))

    def leaderboard(self, metric: str = PRIMARY) -> pd.DataFrame:
        """The leaderboard as a DataFrame: one row an arm, table by table, the best first, incomplete arms last.

        Args:
            metric: whose mean and interval are shown; rows stay in the order of the leaderboard, which is by tau[all].

        Returns:
            study, space, dataset, trainer, budget_kind, budget_limit, population, arm, baseline, reads_truth, complete,
            seeds, runs, expected_runs; mean, low and high of ``metric`` over seeds (95% Student-t interval, NaN for an
            incomplete arm or where a run lacks the metric); verdict against the baseline (better, practically equal,
            can't tell, worse, no verdict, or missing), its adjusted p, the probability of being better and the paired
            difference with its interval, for the metric that verdicts are on;
            selection_test (%), flops, seconds: means over runs.

        Raises:
            ConfigError: if no arm has the metric.
        """
        import pandas as pd

        from splitbench.results.frames.columns import categories

        rows = [
            {
                "study": board.study,
                "space": board.space,
                "dataset": board.dataset,
                "trainer": row.trainer,
                "budget_kind": board.budget[0],
                "budget_limit": board.budget[1],
                "population": board.population,
                **_row(row, metric),
            }
            for board in self.leaderboards.boards
            for row in board.rows
            if not row.trivial
        ]
        known = sorted({name for run in self.runs for name in run.record.metrics})
        if metric not in known:
            raise ConfigError(f"{self.folder}: there is no metric {metric!r}; there are: {', '.join(known)}")
        frame = categories(pd.DataFrame(rows))
        return frame.assign(verdict=pd.Categorical(frame["verdict"], categories=WORDS))

    @cached_property
    def leaderboards(self) -> Leaderboards:
        """Everything that ``splitbench leaderboard`` shows, as plain objects, of the runs as they were when read."""
        from splitbench.results.boards.leaderboard import leaderboards_of

        return leaderboards_of(self.loaded)

    def __repr__(self) -> str:
        records = [run.record for run in self.runs]
        studies = sorted({f"{record.study} ({record.space}, {record.dataset})" for record in records})
        named = ", ".join(studies[:3]) + (f" and {len(studies) - 3} more" if len(studies) > 3 else "")
        counts = [_count(len(self.arms), "arm"), _count(len(self.runs), "run")]
        if self.skipped:
            counts.append(f"{_count(len(self.skipped), 'arm')} skipped")
        if self.warnings:
            counts.append(f"{_count(len(self.warnings), 'warning')}, see .warnings")
        return f"Results of {named}: {', '.join(counts)}\n  in {self.folder}; .leaderboard(), .frame(), .estimates()"

    def _repr_html_(self) -> str:
        from splitbench.results.frames.notebook import html

        return html(self.leaderboards)

    def _no_run(self, arm: str | None, repetition: int | None) -> str:
        from splitbench.harness.registry import suggestion

        if arm is not None and arm not in self.arms:
            hint = suggestion(arm, list(self.arms))
            return f"{self.folder}: there is no arm {arm!r}{hint}; the arms there are {', '.join(self.arms)}"
        known = {run.record.repetition for run in self.runs if arm in (None, run.record.arm)}
        of = "" if arm is None else f" of arm {arm!r}"
        return (
            f"{self.folder}: there is no repetition {repetition}{of}; there are: {', '.join(map(str, sorted(known)))}"
        )


def load_frames(folder: str | Path) -> Results:
    """Read a results folder, or a folder of results folders.

    Raises:
        StoreError: if the folder is missing or holds no usable record at all.
    """
    return Results(Path(folder), load_runs(folder))


def _row(row: BoardRow, metric: str) -> dict[str, Any]:
    nan = float("nan")

    def number(value: float | None) -> float:
        return nan if value is None else value

    estimate, verdict, test = row.metrics.get(metric), row.verdict, row.selection.get("test")
    judged = verdict if verdict is not None and verdict.metric == metric else None
    return {
        "arm": row.arm,
        "baseline": row.baseline,
        "reads_truth": row.reads_truth,
        "complete": row.complete,
        "seeds": row.seeds,
        "runs": row.runs,
        "expected_runs": row.expected_runs,
        "mean": estimate.mean if estimate else nan,
        "low": number(estimate.low) if estimate else nan,
        "high": number(estimate.high) if estimate else nan,
        "verdict": judged.word if judged else None,
        "p": number(judged.p) if judged else nan,
        "probability": number(judged.probability) if judged else nan,
        "difference": judged.difference.mean if judged else nan,
        "difference_low": number(judged.difference.low) if judged else nan,
        "difference_high": number(judged.difference.high) if judged else nan,
        "selection_test": test.mean if test else nan,
        "flops": row.cost.flops if row.cost else nan,
        "seconds": number(row.cost.seconds) if row.cost else nan,
    }


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
