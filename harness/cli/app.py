"""The command. Verbs that only read do not import torch: `--help`, `list`, `leaderboard`, `compare` answer at once."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.components import data, listing, plugins
from splitbench.harness.cli.options import JsonFlag, Plugin
from splitbench.harness.cli.reading import boards, break_even, expecting, explaining, gating, measuring, plotting
from splitbench.harness.cli.training import merging
from splitbench.harness.errors import SplitbenchError

app = typer.Typer(
    name="splitbench",
    help="Which splitting criterion makes a weight-sharing supernet rank architectures better, at equal total compute?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")

Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", help="Worker processes, one torch thread each. [default: 2 on CPU, 1 on a GPU]"),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="What runs the stages: a name, or a mapping. [default: local for one worker, pool for several]",
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(f"splitbench {importlib.metadata.version('splitbench')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback with an error (anywhere in a command).")
    ] = False,
) -> None:
    """main() has read --debug already; it stands here to be listed."""


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Results folder.")] = Path("runs/quickstart"),
    workers: Workers = None,
    as_json: JsonFlag = False,
) -> None:
    """Run the main job on the embedded space and data.

    About two minutes on two CPU cores. The study is quickstart.yaml of the package: a file like any other.
    """
    from splitbench.harness.cli.training.running import run_study

    run_study(Path(__file__).parents[1] / "quickstart.yaml", out, "cpu", workers, [], as_json)


@app.command()
def run(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study file.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results folder. [default: runs/<name of the study>]")
    ] = None,
    device: Device = "auto",
    workers: Workers = None,
    engine: EngineOption = None,
    plugin: Plugin = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run nothing: show stages, steps, FLOPs by phase, expected time, disk.")
    ] = False,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a key of the study file, as budget.flops=2e11 (again for more)."
        ),
    ] = None,
    arms: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMES", help="Run these arms alone, as none,gm; the baseline too only if it is named."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="LIST", help="Run these repetitions alone, counted from 0, as 0-5,8.")
    ] = None,
    cell: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Run this cell of a grid alone (again for more).")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run what is missing of a study, of a part of it or of a grid of studies, and show its leaderboard."""
    from splitbench.harness.cli.training.running import Asked, run_study, show_forecast

    asked = Asked(tuple(change or ()), tuple(arms or ()), seeds, tuple(cell or ()))
    if dry_run:
        show_forecast(study, out, device, workers, plugin or [], as_json, asked, engine)
    else:
        run_study(study, out, device, workers, plugin or [], as_json, asked, engine)


@app.command()
def sweep(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study file, with a key search.")],
    trials: Annotated[
        int | None,
        typer.Option(metavar="N", help="Configurations of each arm. [default: sweep.trials of the file, 30]"),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="SPLITBENCH_STORAGE",
            help="Database of Optuna, for several machines, as postgresql://host/name. [default: DIR/sweep.journal]",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results folder. [default: runs/<name of the study>-sweep]")
    ] = None,
    device: Device = "auto",
    workers: Workers = None,
    engine: EngineOption = None,
    plugin: Plugin = None,
    as_json: JsonFlag = False,
) -> None:
    """Tune every arm of a study with the same number of trials, on validation truth.

    Several processes, on one machine or on many, share a sweep by its storage: start the same command again.
    """
    from splitbench.harness.cli.training import sweeping

    sweeping.run_sweep(study, trials, storage, out, device, workers, plugin or [], as_json, engine)


@app.command()
def rank(
    space: Annotated[
        str, typer.Argument(metavar="SPACE", help="A search space: a name, or '{name: nb201, channels: 16}'.")
    ],
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A dataset: a name, or a mapping.")],
    proxy: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A proxy: a name, or a mapping. [default: all of them]")
    ] = None,
    sample: Annotated[int | None, typer.Option(metavar="N", help="How many architectures. [default: 1000]")] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the sample, weights and batches.")] = 0,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Results folder.")] = Path("runs/rank"),
    population: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="strings: all, disconnected ones too; functions: distinct and connected ones. [default: strings]",
        ),
    ] = None,
    cells: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The architectures instead of a sample, in the file's order: one a line, or a column of a table.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Training images a batch.")] = 64,
    workers: Annotated[int, typer.Option(metavar="N", help="Worker processes, one torch thread each.")] = 1,
    engine: EngineOption = None,
    device: Device = "auto",
    plugin: Plugin = None,
    as_json: JsonFlag = False,
) -> None:
    """Rank freshly initialised stand-alone networks by zero-cost proxies."""
    from splitbench.harness.cli.training import ranking

    ranking.run_rank(
        space,
        dataset,
        proxy or [],
        sample,
        seed,
        out,
        population,
        cells,
        batch_size,
        workers,
        device,
        plugin or [],
        as_json,
        engine,
    )


app.command("measure")(measuring.measure_estimates)


@app.command()
def geometry(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study file.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results folder, as of run. [default: runs/<name of the study>]")
    ] = None,
    probes: Annotated[
        int, typer.Option(metavar="P", help="Scorings of the root by different batches that stability is read from.")
    ] = 3,
    device: Device = "auto",
    workers: Workers = None,
    engine: EngineOption = None,
    plugin: Plugin = None,
    as_json: JsonFlag = False,
) -> None:
    """Split the arms of a study and compare the partitions, without training any leaf."""
    from splitbench.harness.cli.training.geometry import run_geometry

    run_geometry(study, out, probes, device, workers, plugin or [], as_json, engine)


# The rest of the verbs lie beside what they print.
app.command("list")(listing.list_components)
app.command("describe")(listing.describe_component)
app.command()(plugins.check)
app.command()(plugins.new)
app.command()(boards.leaderboard)
app.command("compare")(boards.compare_verb)
app.command()(explaining.explain)
app.command("break-even")(break_even.break_even)
app.command()(expecting.expect)
app.command()(merging.merge)
app.command()(plotting.plot)
app.command()(gating.gate)
app.command("env")(listing.show_environment)


def main(arguments: list[str] | None = None) -> None:
    """Run the command. Wrong usage and bad input end with one sentence and status 2, Ctrl-C with 130, a bug with 1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    show.DEBUG = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        status = app(words, prog_name="splitbench", standalone_mode=False)
    except SplitbenchError as error:
        _end(str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except Exception as error:
        if hasattr(error, "format_message"):  # the command line's own errors; their class moved between versions
            _end(_usage(error), 2)
        said = str(error).partition("\n")[0]
        _end(f"this is a bug: {type(error).__name__}: {said}; the same command with --debug shows where it is", 1)
    if status == 130:
        again = words[:1] in (["run"], ["quickstart"], ["sweep"], ["rank"], ["geometry"])
        _end("interrupted" + ("; the same command goes on where this one stopped" if again else ""), 130)
    if status:
        raise SystemExit(status)


def _usage(error: Any) -> str:
    message = str(error.format_message()).strip()
    if message.startswith("Usage:"):  # a bare command: its help
        return message
    message, _, near = message.partition(" Did you mean ")
    suggestion = f" (did you mean {near.rstrip('?')}?)" if near else ""
    path = error.ctx.command_path if error.ctx else "splitbench"
    return f"{message[:1].lower()}{message[1:].rstrip('.')}{suggestion}; see {path} --help"


def _end(message: str, status: int) -> NoReturn:
    if show.DEBUG and sys.exc_info()[0] is not None:
        traceback.print_exc()
    typer.echo(message if message.startswith("Usage:") else f"splitbench: {message}", err=True)
    raise SystemExit(status) from None


if __name__ == "__main__":
    main()
