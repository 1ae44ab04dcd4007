"""The verb that scores estimates from outside: `measure`."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from splitbench.harness.cli.specs import spec_of
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import build, load_plugin

if TYPE_CHECKING:
    from splitbench.harness.estimates.estimates_file import Estimates
    from splitbench.harness.estimates.outside import Measured


def run(
    space: str,
    dataset: str,
    path: Path,
    architecture: str | None,
    estimate: str | None,
    lower_is_better: bool,
    out: Path | None,
    plugins: Sequence[Path],
    as_json: bool,
) -> None:
    """Read a file of estimates, hold it against the ground truth, and print what that shows."""
    for plugin in plugins:
        load_plugin(plugin)
    space_spec, dataset_spec = spec_of(space, "SPACE", "spaces"), spec_of(dataset, "DATASET", "datasets")

    from splitbench.harness.estimates.estimates_file import read_estimates
    from splitbench.harness.estimates.outside import measure
    from splitbench.harness.proxy_ranking.scoring import Job
    from splitbench.results.estimates.outside_sheet import sheet
    from splitbench.results.records.store import write_atomically
    from splitbench.results.words import render

    bound, images = Job(space_spec, dataset_spec).built
    estimates = read_estimates(path, bound, architecture, estimate, lower_is_better)
    found = measure(estimates, bound, images.name)
    text = json.dumps(as_object(space_spec, dataset_spec, estimates, found), indent=1, allow_nan=False) + "\n"
    shown = sheet(f"{path.name}: {space} on {dataset}", facts(estimates, found), found.populations)
    if out is not None:
        write_atomically(out, (text if as_json or out.suffix == ".json" else render.sheet_markdown(shown)).encode())
        typer.echo(f"wrote {out}", err=True)
    elif as_json:
        typer.echo(text, nl=False)
    elif sys.stdout.isatty():
        render.terminal_sheet(shown)
    else:
        typer.echo(render.sheet_markdown(shown), nl=False)


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
    from splitbench.harness.estimates.estimates_file import read_estimates
    from splitbench.harness.estimates.outside import by_name

    space = build("spaces", *spaces)
    found: dict[str, dict[str, float]] = {}
    for word in named:
        name, given, path = word.partition("=")
        if not (name and given and path):
            raise ConfigError(f"--estimates {word}: it is not NAME=FILE, as mine=estimates.csv")
        if name in found:
            raise ConfigError(f"--estimates {word}: there is a row {name} already; choose another name")
        found[name] = by_name(read_estimates(Path(path), space), space)
    return found


def facts(estimates: Estimates, found: Measured) -> list[str]:
    """How the file was read, in sentences."""
    given = len(estimates.architectures)
    said = [
        f"Ground truth: {found.source}.",
        f"Column {estimates.architecture} names {given:,} of the {found.strings:,} strings of the space; column "
        f"{estimates.estimate} ranks them, {'lower' if estimates.lower_is_better else 'higher'} is better.",
    ]
    if estimates.repeated:
        said.append(f"{estimates.repeated:,} rows repeat an architecture with the same estimate, and count once.")
    if len(found.populations) == 1 and found.populations[0].name == "functions":
        said.append("Every string is a connected function of its own, so strings and functions are one population.")
    elif any(each.name == "functions" for each in found.populations):
        said.append(
            "A function has the estimate of its string without dead operations where the file names that, and the mean "
            f"over its strings where not ({found.averaged:,} are means of strings that differ)."
        )
    return said


def as_object(space: Any, dataset: Any, estimates: Estimates, found: Measured) -> dict[str, Any]:
    """The JSON: how the file was read, then every number by population."""
    from splitbench.results.estimates.outside_sheet import to_json

    return {
        "space": space,
        "dataset": dataset,
        "truth": found.source,
        "estimates": {
            "file": str(estimates.path),
            **{key: getattr(estimates, key) for key in ("architecture", "estimate", "lower_is_better", "repeated")},
            "architectures": len(estimates.architectures),
            "strings_of_the_space": found.strings,
            "functions_by_mean": found.averaged,
        },
        "populations": to_json(found.populations),
    }
