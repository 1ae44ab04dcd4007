"""The data verbs: what there is, importing published files, verifying."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag
from splitbench.harness.errors import DataError

app = typer.Typer(help="Ground-truth tables and images: list, import, verify.", no_args_is_help=True)


@app.command("list")
def list_data(as_json: JsonFlag = False) -> None:
    """List what is imported, found below SPLITBENCH_DATA, or missing."""
    from splitbench.spaces.files import sources

    statuses = [(source, sources.status(name)) for name, source in sources.DATA.items()]
    if as_json:
        show.json_out(
            [
                {
                    "name": status.name,
                    "summary": source.summary,
                    "state": status.state,
                    "path": str(status.path) if status.path else None,
                    "bytes": status.size,
                }
                for source, status in statuses
            ]
        )
        return
    rows = [
        [
            status.name,
            status.state,
            f"{status.size / 1e6:.1f} MB" if status.path else "-",
            str(status.path or "-"),
            s.summary,
        ]
        for s, status in statuses
    ]
    rows.append(["digits, micro", "embedded", "-", "-", "the embedded space: nothing to import"])
    show.print_table("data", ["name", "state", "size", "where", "what"], rows)


@app.command("import")
def import_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="nb201, nb_macro, cifar10 or cifar100.")],
    source: Annotated[
        Path, typer.Option("--from", metavar="PATH", help="The published file, or the folder that holds it.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Read published files, check them, and keep a copy."""
    from splitbench.spaces.files import sources

    status = sources.import_source(name, source)
    if as_json:
        show.json_out({"name": status.name, "state": status.state, "path": str(status.path), "bytes": status.size})
    else:
        typer.echo(f"imported {name} into {status.path} ({status.size / 1e6:.1f} MB)")


@app.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Which one. [default: all that are there]")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Recompute checksums and check known facts."""
    from splitbench.spaces.files import sources

    names = [name] if name else [n for n in sources.DATA if sources.status(n).state != "missing"]
    results: list[tuple[str, bool, str]] = []
    for each in names:
        try:
            results.append((each, True, sources.verify_source(each)))
        except DataError as error:
            results.append((each, False, str(error)))
    if as_json:
        show.json_out([{"name": each, "ok": ok, "says": sentence} for each, ok, sentence in results])
    else:
        for _, ok, sentence in results:
            typer.echo(sentence if ok else f"splitbench: {sentence}", err=not ok)
        if not names:
            typer.echo("nothing is imported, and SPLITBENCH_DATA is not set or holds nothing: see splitbench data list")
    if not all(ok for _, ok, _ in results):
        raise typer.Exit(2)
