"""The verbs for components of one's own: `new` writes a package, `check` runs the conformance suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag, Plugin
from splitbench.harness.cli.specs import spec_of
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import KINDS, Component, components, load_plugin, plural, split_spec, suggestion

if TYPE_CHECKING:
    from splitbench.harness.testing.checks import CheckVerdict

SUITES = ("criteria", "proxies", "partitioners", "edge_rules", "trainers", "modifiers", "spaces", "engines")
"""Kinds that have a conformance suite (known here, so that a wrong name is refused before torch is imported)."""


def check(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A component: a name, or '{name: gm, variant: as_shipped}'.")
    ],
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Its kind, if two kinds have that name.")] = None,
    plugin: Plugin = None,
    as_json: JsonFlag = False,
) -> None:
    """Run a component's conformance suite."""
    for path in plugin or []:
        load_plugin(path)
    spec = spec_of(name, "NAME")
    suited = checkable(split_spec(spec, "NAME")[0], kind)

    from splitbench.harness.device import one_thread
    from splitbench.harness.testing.suites.by_kind import make_small

    built = [
        (component, *make_small(component, spec)) for component in suited
    ]  # all of them, before the first is checked
    with one_thread():
        reports = [run_suite(*each, quiet=as_json) for each in built]
    if as_json:
        show.json_out(reports)
    if not all(each["ok"] for each in reports):
        raise typer.Exit(1)


def run_suite(component: Component, thing: Any, chosen: dict[str, Any], quiet: bool) -> dict[str, Any]:
    """Run a component's checks and print each as it ends, unless ``quiet``; the outcome as JSON has it."""
    from splitbench.harness.testing.suites.by_kind import suite

    suited = suite(component.kind, thing)
    if not quiet:
        given = ", ".join(f"{key}={value}" for key, value in chosen.items())
        heading = f"{component.name} ({component.kind}, from {component.origin})"
        typer.echo(f"{heading} with {given}" if given else heading)
    verdicts = []
    for conformance in suited:
        verdicts.append(conformance.verdict())
        if not quiet:
            typer.echo(line(verdicts[-1]))
    return suite_json(component, chosen, verdicts)


def checkable(name: str, kind: str | None) -> list[Component]:
    """The components called ``name`` that there is a suite for.

    Raises:
        ConfigError: if there are none, with a suggestion.
    """
    among = [plural(kind)] if kind else list(KINDS)
    everything = {each: components(each) for each in among}
    named = [known[name] for known in everything.values() if name in known]
    suited = [component for component in named if component.kind in SUITES]
    if suited:
        return suited
    if named:
        raise ConfigError(
            f"{name} is one of the {named[0].kind}, which have no conformance suite; there are suites for: "
            f"{', '.join(SUITES)}"
        )
    names = sorted({n for each, known in everything.items() if each in SUITES for n in known})
    where = f" among the {plural(kind)}" if kind else ""
    raise ConfigError(
        f"there is no component {name!r}{where}{suggestion(name, names)}; see splitbench list, and name a plugin file "
        "with --plugin FILE.py"
    )


def line(verdict: CheckVerdict) -> str:
    """A check in one line."""
    return f"  {verdict.state:<8} {verdict.name}" + (f": {verdict.says}" if verdict.says else "")


def suite_json(component: Component, chosen: dict[str, Any], verdicts: Sequence[CheckVerdict]) -> dict[str, Any]:
    """A suite's outcome as JSON has it."""
    return {
        "name": component.name,
        "kind": component.kind,
        "origin": component.origin,
        "parameters": chosen,
        "ok": all(verdict.state != "failed" for verdict in verdicts),
        "checks": [{"name": v.name, "state": v.state, "says": v.says} for v in verdicts],
    }


def new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="criterion, proxy or partitioner.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name in study files, and its module's.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the package's folder is made.")] = Path("."),
    as_json: JsonFlag = False,
) -> None:
    """Write a working package with a component of your own.

    It holds a small component that works, its entry point, a test and a README with the commands.
    """
    from splitbench.harness.cli.components.packages import write_package

    written = write_package(kind, name, out)
    if as_json:
        show.json_out({"name": name, "kind": written.kind, "folder": str(written.folder), "files": written.files})
        return
    typer.echo(f"wrote {written.folder}: {', '.join(written.files)}")
    typer.echo(f"next: pip install -e {written.folder} && splitbench check {name}; see {written.folder / 'README.md'}")
