"""The verbs that say what there is: `list`, `describe` and `env`."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag, Plugin
from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import (
    KINDS,
    Component,
    components,
    load_plugin,
    parameters,
    plural,
    suggestion,
)


def list_components(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="criteria, spaces, trainers, ... [default: all]")
    ] = None,
    plugin: Plugin = None,
    as_json: JsonFlag = False,
) -> None:
    """List the components that a study file or --engine can name."""
    for path in plugin or []:
        load_plugin(path)
    kinds = [plural(kind)] if kind else list(KINDS)
    listed = {
        k: [{"name": c.name, "summary": c.summary, "origin": c.origin} for c in components(k).values()] for k in kinds
    }
    if as_json:
        show.json_out(listed[kinds[0]] if kind else listed)
        return
    for k, rows in listed.items():
        if rows:
            show.print_table(k, ["name", "summary", "origin"], [[r["name"], r["summary"], r["origin"]] for r in rows])


def describe_component(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A component's name.")],
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Its kind, if two kinds have that name.")] = None,
    plugin: Plugin = None,
    as_json: JsonFlag = False,
) -> None:
    """Show a component's documentation and parameters."""
    for path in plugin or []:
        load_plugin(path)
    everything = {k: components(k) for k in ([plural(kind)] if kind else KINDS)}
    named = [known[name] for known in everything.values() if name in known]
    if not named:
        names = sorted({n for known in everything.values() for n in known})
        among = f" among the {plural(kind)}" if kind else ""
        raise ConfigError(f"there is no component {name!r}{among}{suggestion(name, names)}; see splitbench list")
    described = [_description(component) for component in named]
    if as_json:
        show.json_out(described)
        return
    for each in described:
        typer.echo(f"{each['name']} ({each['kind']}, from {each['origin']}: {each['target']})\n")
        typer.echo(f"{each['documentation']}\n")
        for p in each["parameters"]:
            typer.echo(f"  {p['name']}: {p['type']} = {p['default']!r}")
        if not each["parameters"]:
            typer.echo("  It takes no parameters.")


def _description(component: Component) -> dict[str, Any]:
    """A component as JSON shows it."""
    return {
        "kind": component.kind,
        "name": component.name,
        "origin": component.origin,
        "target": component.target,
        "documentation": inspect.getdoc(component.load()) or "",
        "parameters": [
            {
                "name": key,
                "type": str(p.annotation).removeprefix("<class '").removesuffix("'>"),
                "default": None if p.default is p.empty else p.default,
            }
            for key, p in parameters(component).items()
        ],
    }


def show_environment(as_json: JsonFlag = False) -> None:
    """Show versions, devices and where data is looked for."""
    from splitbench.harness.cli.components.environment import environment

    facts = environment()
    if as_json:
        show.json_out(facts)
        return
    show.print_table("environment", ["what", "value"], [[key, str(value)] for key, value in facts.items()])
