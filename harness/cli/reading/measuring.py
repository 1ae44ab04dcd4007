"""The verb that scores estimates from outside: `measure`."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag, Plugin
from splitbench.harness.cli.specs import spec_of
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import build, load_plugin

if TYPE_CHECKING:
    from splitbench.harness.estimates.estimates_file import Estimates
    from splitbench.harness.estimates.outside import MeasuredEstimates


def measure_estimates(
    space: Annotated[
        str, typer.Argument(metavar="SPACE", help="A search space: a name, or '{name: nb201, channels: 16}'.")
    ],
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A dataset: a name, or a mapping.")],
    estimates: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV or Parquet: a column of architectures, a column of estimates.")
    ],
    architecture: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column that names architectures. [default: by name, or by content]"),
    ] = None,
    estimate: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of estimates. [default: by name, or the only one]")
    ] = None,
    lower_is_better: Annotated[
        bool, typer.Option("--lower-is-better", help="The column holds losses, or errors.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write to a file instead of standard output; JSON if it ends in .json."),
    ] = None,
    plugin: Plugin = None,
    as_json: JsonFlag = False,
) -> None:
    """Score estimates that were made elsewhere, by any supernet or ranker, against the ground truth.

    Every metric, with bootstrap intervals over functions, beside the noise ceiling, what sizes alone give, and the
    rank-sum of estimates and FLOPs; on the strings as given and on their distinct functions.
    """
    for path in plugin or []:
        load_plugin(path)
    space_spec, dataset_spec = spec_of(space, "SPACE", "spaces"), spec_of(dataset, "DATASET", "datasets")

    from splitbench.harness.estimates.estimates_file import read_estimates_file
    from splitbench.harness.estimates.outside import measure_from_outside
    from splitbench.harness.proxy_ranking.scoring import RankingJob
    from splitbench.results.estimates.outside_sheet import estimates_sheet
    from splitbench.results.records.files import write_atomically
    from splitbench.results.words import render

    bound, images = RankingJob(space_spec, dataset_spec).built
    table = read_estimates_file(estimates, bound, architecture, estimate, lower_is_better)
    measured = measure_from_outside(table, bound, images.name)
    text = json.dumps(as_object(space_spec, dataset_spec, table, measured), indent=1, allow_nan=False) + "\n"
    shown = estimates_sheet(f"{estimates.name}: {space} on {dataset}", facts(table, measured), measured.populations)
    if out is not None:
        write_atomically(out, (text if as_json or out.suffix == ".json" else render.sheet_markdown(shown)).encode())
        typer.echo(f"wrote {out}", err=True)
    elif as_json:
        typer.echo(text, nl=False)
    else:
        show.print_sheet(shown)


def for_leaderboard(named: Sequence[str], spaces: Collection[str]) -> dict[str, dict[str, float]]:
    """The estimates of ``NAME=FILE`` words: name -> function, as the space writes it -> estimate.

    Raises:
        ConfigError: if a word is no such thing, a name is given twice, or the folder has runs of several spaces.
    """
    if len(spaces) > 1:
        raise ConfigError(
            f"--estimates: the folder has runs on {', '.join(sorted(spaces))}, and a file is of one space; "
            "take a folder of one of them"
        )
    from splitbench.harness.estimates.estimates_file import read_estimates_file
    from splitbench.harness.estimates.outside import by_name

    space = build("spaces", *spaces)
    rows: dict[str, dict[str, float]] = {}
    for word in named:
        name, given, path = word.partition("=")
        if not (name and given and path):
            raise ConfigError(f"--estimates {word}: it is not NAME=FILE, as mine=estimates.csv")
        if name in rows:
            raise ConfigError(f"--estimates {word}: there is a row {name} already; choose another name")
        rows[name] = by_name(read_estimates_file(Path(path), space), space)
    return rows


def facts(estimates: Estimates, measured: MeasuredEstimates) -> list[str]:
    """How the file was read, in sentences."""
    given = len(estimates.architectures)
    said = [
        f"Ground truth: {measured.source}.",
        f"Column {estimates.architecture} names {given:,} of the {measured.strings:,} strings of the space; column "
        f"{estimates.estimate} ranks them, {'lower' if estimates.lower_is_better else 'higher'} is better.",
    ]
    if estimates.repeated:
        said.append(f"{estimates.repeated:,} rows repeat an architecture with the same estimate, and count once.")
    if len(measured.populations) == 1 and measured.populations[0].name == "functions":
        said.append("Every string is a connected function of its own, so strings and functions are one population.")
    elif any(each.name == "functions" for each in measured.populations):
        said.append(
            "A function has the estimate of its string without dead operations where the file names that, and the mean "
            f"over its strings where not ({measured.averaged:,} are means of strings that differ)."
        )
    return said


def as_object(space: Any, dataset: Any, estimates: Estimates, measured: MeasuredEstimates) -> dict[str, Any]:
    """The JSON: how the file was read, then every number by population."""
    from splitbench.results.estimates.outside_sheet import estimates_json

    return {
        "space": space,
        "dataset": dataset,
        "truth": measured.source,
        "estimates": {
            "file": str(estimates.path),
            **{key: getattr(estimates, key) for key in ("architecture", "estimate", "lower_is_better", "repeated")},
            "architectures": len(estimates.architectures),
            "strings_of_the_space": measured.strings,
            "functions_by_mean": measured.averaged,
        },
        "populations": estimates_json(measured.populations),
    }
