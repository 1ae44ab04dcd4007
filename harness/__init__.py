"""splitbench: which splitting criterion makes a weight-sharing supernet rank architectures better, at equal compute?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

    from harness.config import StudyConfig
    from harness.driver import Watcher
    from results.frame import Results

__all__ = ["run", "sweep"]


def run(
    study: StudyConfig | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int = 1,
    plugins: Sequence[str | Path] = (),
    watcher: Watcher | None = None,
) -> Results:
    """Run what is missing of a study, and give its results.

        import harness

        found = harness.run({"space": "micro", "dataset": "digits", "budget": {"steps": 200}, "arms": ["none", "gm"]})
        found.leaderboard()

    A program that asks for several workers does so under ``if __name__ == "__main__":``, because worker processes
    import the program again.

    Args:
        study: the path of a study file, its content as a mapping, or a ``harness.config.StudyConfig``.
        out: the results folder, ``runs/<name of the study>`` if it is not named. What the folder already holds of the
            study is not computed again, so the same call goes on where an interrupted one stopped.
        device: auto (a GPU if there is one), cpu or cuda.
        workers: processes, one torch thread each. More than one finish sooner, and give the same records.
        plugins: Python files whose components register themselves.
        watcher: told what happens while the study runs; subclass ``harness.driver.Watcher``.

    Returns:
        What ``results.load(out)`` gives: the runs as a DataFrame (``.frame()``), the leaderboard (``.leaderboard()``),
        every architecture's estimates (``.estimates()``), the records themselves (``.runs``).

    Raises:
        harness.errors.ConfigError: the study is wrong, or its budget cannot work.
        harness.errors.DataError: data are missing or damaged.
        harness.errors.StoreError: the folder cannot be written, or is another study's.
    """
    from harness.study import run as run_study  # torch takes seconds to import

    return run_study(study, out, device, workers, plugins, watcher)


def sweep(
    study: StudyConfig | Mapping[str, Any] | str | Path,
    trials: int | None = None,
    out: str | Path | None = None,
    storage: str | None = None,
    device: str = "auto",
    workers: int = 1,
    plugins: Sequence[str | Path] = (),
    watcher: Watcher | None = None,
) -> dict[str, optuna.Study]:
    """Tune every arm of a study with the same number of trials, and give the Optuna study of each.

        import harness

        found = harness.sweep(
            {
                "space": "micro", "dataset": "digits", "budget": {"steps": 200}, "arms": ["none", "gm"],
                "search": {"trainer.learning_rate": {"log": [0.01, 0.3]}},
            },
            trials=10,
        )
        found["gm"].best_params

    Each arm has an Optuna study of its own, so that samplers, pruners, importances and dashboards see one arm's history
    and not a mixture; all of them lie in one storage. A trial's value is the mean over seeds of the metric less that of
    the baseline with the study file's own values, both against validation truth. The report is
    ``results.sweep.read(out)``.

    Args:
        study: the path of a study file, its content as a mapping, or a ``harness.config.StudyConfig``; with ``search``.
        trials: configurations of each arm; the study file's ``sweep.trials`` if None.
        out: the results folder, ``runs/<name of the study>-sweep`` if it is not named. The same call goes on where an
            interrupted one stopped.
        storage: URL of an Optuna database that several machines share; a journal in the results folder if None.
        device, workers, plugins, watcher: as for :func:`run`.

    Raises:
        harness.errors.ConfigError: the study is wrong, or what it searches.
        harness.errors.DataError: data are missing or damaged.
        harness.errors.StoreError: the folder or the storage cannot be used, or is another sweep's.
    """
    from harness.study import opened
    from harness.tuning.tuner import Tuner

    config = opened(study, plugins)
    folder = Path("runs") / f"{config.name}-sweep" if out is None else Path(out)
    return Tuner(config, device, trials).run(folder, storage, workers, [Path(p) for p in plugins], watcher)
