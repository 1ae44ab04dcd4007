"""The verb that says what an unsplit supernet should reach: `expect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag, Plugin
from splitbench.harness.cli.specs import spec_of
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import components, load_plugin

if TYPE_CHECKING:
    from splitbench.results.words.sheet import Sheet


def expect(
    about: Annotated[
        str | None,
        typer.Argument(
            metavar="[SPACE|DIR]",
            help="A search space: a name, or '{name: nb201, channels: 16}'; or a results folder. [default: all that is "
            "known]",
        ),
    ] = None,
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help="A dataset: a name, or a mapping.")] = None,
    trainer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A trainer: a name, or a mapping of those parameters that are to be equal."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="UNIT=N", help="The budget of an arm, as flops=5e10; flops, steps or examples."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="K", help="Ranges of a mean over so many seeds. [default: 1]")
    ] = None,
    plugin: Plugin = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what an unsplit supernet is expected to reach, by published runs, or whether those of a folder are normal."""
    for path in plugin or []:
        load_plugin(path)
    if about is not None and _is_folder(about):
        given = {"dataset": dataset, "trainer": trainer, "budget": budget, "seeds": seeds}
        if unread := [name for name, value in given.items() if value is not None]:
            raise ConfigError(f"--{unread[0]}: the records of {about} say that themselves; leave it out")
        _of_folder(Path(about), as_json)
        return
    if seeds is not None and seeds < 1:
        raise ConfigError(f"--seeds {seeds}: at least 1 is needed")
    asked = {
        "space": _component(about, "SPACE", "spaces"),
        "dataset": _component(dataset, "--dataset", "datasets"),
        "trainer": _component(trainer, "--trainer", "trainers"),
    }

    from splitbench.results.expectation import expected_report, unsplit
    from splitbench.results.expectation.expected_sheet import report_json, report_sheet

    question = expected_report.Question(
        **asked, budget=None if budget is None else expected_report.parse_budget(budget), runs=seeds or 1
    )
    expected = expected_report.expectation_report(question, unsplit.read_unsplit())
    _tell(report_sheet(expected), report_json(expected), as_json)


def _of_folder(folder: Path, as_json: bool) -> None:
    from splitbench.results.expectation.expected_folder import judged
    from splitbench.results.expectation.expected_sheet import folder_json, folder_sheet
    from splitbench.results.grids.grids import refuse_grid

    refuse_grid(folder, "expect")
    expected = judged(folder)
    _tell(folder_sheet(folder, expected), folder_json(expected), as_json)


def _tell(sheet: Sheet, data: Any, as_json: bool) -> None:
    if as_json:
        show.json_out(data)
    else:
        show.print_sheet(sheet)


def _is_folder(about: str) -> bool:
    """A folder, unless it is called like a space: then ``./micro`` names the folder."""
    return (
        about not in components("spaces")
        and not about.lstrip().startswith("{")
        and (Path(about).is_dir() or "/" in about)
    )


def _component(text: str | None, where: str, kind: str) -> Mapping[str, Any] | None:
    if text is None:
        return None
    spec = spec_of(text, where, kind)
    return {"name": spec} if isinstance(spec, str) else spec
