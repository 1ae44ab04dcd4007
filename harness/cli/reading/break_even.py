"""The verb that says from which budget on a split pays: `break-even`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitbench.harness.cli import show
from splitbench.harness.cli.options import JsonFlag
from splitbench.harness.errors import ConfigError

if TYPE_CHECKING:
    from splitbench.results.payoff.break_even_report import BreakEvenReport

ENDINGS = (".svg", ".png")


def break_even(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", help="Results folders of one study at several budgets, or a folder of them."),
    ],
    arm: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this arm (again for more). [default: all]")
    ] = None,
    metric: Annotated[str, typer.Option(metavar="NAME", help="What arms are compared by.")] = "tau[all]",
    fit_up_to: Annotated[
        float | None,
        typer.Option(
            metavar="BUDGET", help="Fit the law of splits up to this budget on half of the seeds; predict the others."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it, too: a file that ends with .svg or .png.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Find the budget from which on each arm is better than the baseline.

    The folders hold one study, run at two budgets or more and alike in everything else but the number of seeds.
    """
    if out is not None and out.suffix not in ENDINGS:
        raise ConfigError(f"--out {out}: the file's ending names its format; there are: {', '.join(ENDINGS)}")

    from splitbench.results.payoff.break_even_report import break_even_report
    from splitbench.results.payoff.break_even_sheet import break_even_json, break_even_sheet
    from splitbench.results.payoff.ladder import read_ladder

    answer = break_even_report(read_ladder(folders), metric, arm or [], fit_up_to)
    if out is not None:
        _draw(answer, out)
    if as_json:
        show.json_out(break_even_json(answer))
        return
    show.print_sheet(break_even_sheet(answer))


def _draw(answer: BreakEvenReport, out: Path) -> None:
    from splitbench.results.plots import style
    from splitbench.results.plots.of_arms.break_even import break_even_figure
    from splitbench.results.records.files import write_atomically

    save = {".svg": style.svg, ".png": style.png}[out.suffix]
    write_atomically(out, save(break_even_figure(answer)))
