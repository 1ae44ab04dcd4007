"""The verb that ranks stand-alone networks by zero-cost proxies."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.specs import spec_of
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec, build, components, load_plugin, nested_specs

if TYPE_CHECKING:
    from splitbench.harness.proxy_ranking.rank import Correlation, RankedProxy
    from splitbench.harness.proxy_ranking.scoring import RankingJob
    from splitbench.harness.stages.score_networks import NetworkScore
    from splitbench.spaces.base import Architecture, SearchSpace


def run_rank(
    space: str,
    dataset: str,
    named: Sequence[str],
    sample: int | None,
    seed: int,
    out: Path,
    population: str | None,
    cells: Path | None,
    batch_size: int,
    workers: int,
    device: str,
    plugins: Sequence[Path],
    as_json: bool,
    engine: str | None = None,
) -> None:
    """Score what is missing, compare with the ground truth, print and write a table."""
    for plugin in plugins:
        load_plugin(plugin)
    if workers < 1:
        raise ConfigError(f"--workers {workers}: at least 1 is needed")
    if cells is not None and (sample is not None or population is not None):
        other = "--sample" if sample is not None else "--population"
        raise ConfigError(f"--cells {cells} names the architectures, and {other} would draw them: leave one out")
    runs_stages = None if engine is None else spec_of(engine, "--engine", "engines")
    specs = [spec_of(text, "--proxy", "proxies") for text in named]
    space_spec, dataset_spec = spec_of(space, "SPACE", "spaces"), spec_of(dataset, "DATASET", "datasets")

    from splitbench.harness.device import choose
    from splitbench.harness.proxy_ranking import rank, scoring

    job = scoring.RankingJob(space_spec, dataset_spec, seed, batch_size, choose(device))
    specs = specs or serving(job)
    if cells is None:
        population = population or "strings"
        architectures = rank.pool(job.bound, population, SAMPLE if sample is None else sample, seed)
    else:
        population = f"architectures of {cells.name}"
        architectures = named_in(cells, job.bound)
    truth = rank.stand_alone_accuracies(job, architectures)  # a missing table ends it before the work, not after it
    scoring.score_files(job, specs, out)
    with progress(f"scoring {space} by " + ", ".join(map(scoring.proxy_label, specs)), out) as shown:
        scores = scoring.score(job, architectures, specs, out, workers, plugins, shown, runs_stages)
    ranked = rank.measure_proxies(job, specs, scores)
    ranking = {
        "space": space_spec,
        "dataset": dataset_spec,
        "population": population,
        "sample": len(architectures),
        "seed": seed,
        "batch_size": batch_size,
        "rows": [asdict(row) for row in ranked],
    }
    write_ranking(out, ranking, specs, scores, truth.tolist())
    if as_json:
        show.json_out(ranking)
    else:
        title = f"{space} on {dataset}: {len(architectures)} {population}, seed {seed}; 95%: bootstrap over functions"
        show.print_table(title, COLUMNS, [row_in_words(row) for row in ranked])
    larger = "with a larger --sample" if cells is None else "with a longer file"
    typer.echo(f"Scores: {out / 'scores'}. The same command {larger} goes on from them.", err=True)


def named_in(path: Path, space: SearchSpace) -> list[Architecture]:
    """The architectures of a file; repetitions are reported."""
    from splitbench.harness.estimates.cells_file import read_cells

    architectures, repeated = read_cells(path, space)
    if repeated:
        typer.echo(f"{path}: {repeated:,} rows repeat an architecture, and are scored once", err=True)
    return architectures


SAMPLE = 1000
COLUMNS = ["proxy", "tau", "95%", "rho", "95%", "no answer", "passes forward", "backward", "FLOPs", "ms with making"]


def row_in_words(row: RankedProxy) -> list[str]:
    """A row of the table, in words."""
    return [
        row.proxy,
        *_correlation(row.tau),
        *_correlation(row.rho),
        str(row.unanswered),
        f"{row.forward:.2f}",
        f"{row.backward:.2f}",
        f"{row.flops:.2e}",
        f"{row.milliseconds:.1f}",
    ]


def _correlation(correlation: Correlation | None) -> tuple[str, str]:
    if correlation is None:
        return "undefined", ""
    known = correlation.low is not None and correlation.high is not None
    return f"{correlation.value:.3f}", f"{correlation.low:.3f} to {correlation.high:.3f}" if known else "unknown"


def serving(job: RankingJob) -> list[Spec]:
    """Every proxy, those around another one aside, that can serve the space; the others go to standard error."""
    from splitbench.criteria.base import unfit

    serving_specs: list[Spec] = []
    for name, component in components("proxies").items():
        if nested_specs(component.load()):  # another proxy in other clothes
            continue
        reason = unfit(build("proxies", name, "proxy"), job.bound)
        if reason is None:
            serving_specs.append(name)
        else:
            typer.echo(f"proxy {name} is left out: {reason}", err=True)
    if not serving_specs:
        raise ConfigError("there is no proxy that can serve this space; name a file that registers one with --plugin")
    return serving_specs


def write_ranking(
    out: Path,
    ranking: dict[str, Any],
    specs: Sequence[Spec],
    scores: dict[str, dict[str, NetworkScore]],
    truth: Sequence[float],
) -> None:
    """``ranking.json`` and ``scores.csv``: a row an architecture, a column a proxy, higher is better."""
    import json

    import pandas as pd

    from splitbench.harness.proxy_ranking.rank import pooled_scores
    from splitbench.harness.proxy_ranking.scoring import proxy_label
    from splitbench.results.records.files import write_atomically

    names = next(iter(scores.values())).keys()
    columns = {proxy_label(spec): pooled_scores(spec, scores[proxy_label(spec)]) for spec in specs}
    frame = pd.DataFrame({"architecture": list(names), **columns, "test_accuracy": truth})
    write_atomically(out / "scores.csv", frame.to_csv(index=False).encode())
    write_atomically(out / "ranking.json", (json.dumps(ranking, indent=1) + "\n").encode())


@contextlib.contextmanager
def progress(title: str, out: Path) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; elsewhere a line at the start, one a minute and one at the end, on standard error."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(title)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    typer.echo(f"{title}: results go to {out}", err=True)
    start = spoke = time.monotonic()
    first: int | None = None

    def line(done: int, total: int) -> None:
        nonlocal spoke, first
        first = done if first is None else first
        if done < total and time.monotonic() - spoke < 60 and done > first:
            return
        spoke = time.monotonic()
        typer.echo(f"  {done} of {total} networks ({spoke - start:.0f} s)", err=True)

    yield line
