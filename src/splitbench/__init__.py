"""splitbench: which splitting criterion makes a weight-sharing supernet rank architectures better, at equal compute?

The public face: ``run`` a study, ``load`` its results, ``sweep`` its arms, and for plugins ``register`` and
``Affinity``. Importing it imports no torch; that waits until something is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

    from splitbench.criteria.base import Affinity as Affinity
    from splitbench.harness.engines.driver import Watcher
    from splitbench.harness.registry import Spec
    from splitbench.harness.registry import register as register
    from splitbench.harness.study.config import StudyConfig
    from splitbench.results import load as load
    from splitbench.results.frames.frame import Results

__all__ = ["Affinity", "load", "register", "run", "sweep"]

_LAZY = {
    "Affinity": "splitbench.criteria.base",
    "load": "splitbench.results",
    "register": "splitbench.harness.registry",
}


def run(
    study: StudyConfig | Mapping[str, Any] | str | Path,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int = 1,
    plugins: Sequence[str | Path] = (),
    watcher: Watcher | None = None,
    engine: Spec | None = None,
) -> Results:
    """Run what is missing of a study, and give its results.

        import splitbench

        study = {"space": "micro", "dataset": "digits", "budget": {"steps": 200}, "arms": ["none", "gm"]}
        found = splitbench.run(study)
        found.leaderboard()

    A program that asks for several workers does so under ``if __name__ == "__main__":``, because worker processes
    import the program again.

    Args:
        study: the path of a study file, its content, or a ``StudyConfig`` of ``splitbench.harness.study.config``. One
        with
            the key ``grid`` is several studies, each run into a folder of its own in ``out``.
        out: the results folder, ``runs/<name of the study>`` if it is not named. What the folder already holds of the
            study is not computed again, so the same call goes on where an interrupted one stopped.
        device: auto (a GPU if there is one), cpu or cuda.
        workers: processes, one torch thread each. More than one finish sooner, and give the same records.
        plugins: Python files whose components register themselves.
        watcher: told what happens while the study runs; subclass ``splitbench.harness.engines.driver.Watcher``.
        engine: what runs the stages, a component of the kind ``engines`` as a name or ``{"name": ..., ...}``. If it is
            not named, this process runs them for one worker, and a pool of processes for several.

    Returns:
        What ``splitbench.load(out)`` gives: the runs as a DataFrame (``.frame()``), the leaderboard
        (``.leaderboard()``), every architecture's estimates (``.estimates()``), the records themselves (``.runs``).

    Raises:
        splitbench.harness.errors.ConfigError: the study is wrong, or its budget cannot work.
        splitbench.harness.errors.DataError: data are missing or damaged.
        splitbench.harness.errors.StoreError: the folder cannot be written, or is another study's.
    """
    from splitbench.harness.running import grid_run  # torch takes seconds to import
    from splitbench.harness.running.study import Study
    from splitbench.harness.study.grid import Grid
    from splitbench.results import load

    found = grid_run.open_study_or_grid(study, plugins)
    folder, files = Path("runs") / found.name if out is None else Path(out), [Path(p) for p in plugins]
    if isinstance(found, Grid):
        grid_run.run_cells(found, grid_run.build_cells(found.cells, device), folder, workers, files, watcher, engine)
    else:
        Study.build(found, device).run(folder, workers, files, watcher, engine)
    return load(folder)


def sweep(
    study: StudyConfig | Mapping[str, Any] | str | Path,
    trials: int | None = None,
    out: str | Path | None = None,
    storage: str | None = None,
    device: str = "auto",
    workers: int = 1,
    plugins: Sequence[str | Path] = (),
    watcher: Watcher | None = None,
    engine: Spec | None = None,
) -> dict[str, optuna.Study]:
    """Tune every arm of a study with the same number of trials, and give the Optuna study of each.

        import splitbench

        found = splitbench.sweep(
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
    ``splitbench.results.sweeps.sweep.read_sweep(out)``.

    Args:
        study: the path of a study file, its content, or a ``StudyConfig`` of ``splitbench.harness.study.config``; it
        has
            the key ``search``.
        trials: configurations of each arm; the study file's ``sweep.trials`` if None.
        out: the results folder, ``runs/<name of the study>-sweep`` if it is not named. The same call goes on where an
            interrupted one stopped.
        storage: URL of an Optuna database that several machines share; a journal in the results folder if None.
        device, workers, plugins, watcher, engine: as for :func:`run`.

    Raises:
        splitbench.harness.errors.ConfigError: the study is wrong, or what it searches.
        splitbench.harness.errors.DataError: data are missing or damaged.
        splitbench.harness.errors.StoreError: the folder or the storage cannot be used, or is another sweep's.
    """
    from splitbench.harness.running.study import open_study
    from splitbench.harness.sweeps.tuner import Tuner

    config = open_study(study, plugins)
    folder = Path("runs") / f"{config.name}-sweep" if out is None else Path(out)
    return Tuner(config, device, trials).run(folder, storage, workers, [Path(p) for p in plugins], watcher, engine)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Names of other modules are imported when they are asked for: ``Affinity`` needs torch."""
        import importlib

        if name in _LAZY:
            return getattr(importlib.import_module(_LAZY[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
