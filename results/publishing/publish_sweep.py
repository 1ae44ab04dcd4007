"""Publish a finished sweep: its numbers, its pictures, and a page beside its folder. Trials' records stay behind."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from splitbench.harness.errors import SplitbenchError
from splitbench.results.plots import KINDS, style
from splitbench.results.plots.catalogue import OF_A_SWEEP
from splitbench.results.plots.source import CannotDrawError, Options
from splitbench.results.records.archive import has_records
from splitbench.results.records.files import write_atomically
from splitbench.results.records.listing import SWEEP, SWEEP_STUDY
from splitbench.results.sweeps.sweep import Sweep, read_sweep
from splitbench.results.sweeps.sweep_report import control_markdown, sweep_markdown

TUNED, PLANTED = "-tuned", "-planted"
"""What the names of a sweep's tuned study, and of the control of a sweep, end in."""
CONTROL_PICTURES = ("tuning", "importance")
FILES = {SWEEP: "all numbers as JSON", SWEEP_STUDY: "the study file"}


def publish_sweep(folder: Path, target: Path) -> Path:
    """Make ``target``, and the page of the same name beside it, of the sweep in ``folder``; returns the page's path.

    The page has the leaderboard of the tuned study where one is published, in ``target``-tuned.

    Raises:
        SplitbenchError: if the sweep is not finished, something else is published under its name, or what is published
            as its tuned study is that of another.
    """
    sweep = read_sweep(folder)
    if not sweep.complete:
        stand = ", ".join(f"{arm.arm} has {len(arm.trials)} of {sweep.trials} trials" for arm in sweep.arms)
        raise SplitbenchError(f"{folder} is not published: its sweep is not finished ({stand}); start it again")
    page = target.with_name(f"{target.name}.md")
    if has_records(target):
        raise SplitbenchError(f"{folder} is not published: {target} holds a study of that name; give the sweep another")
    if page.exists() and not (target / SWEEP).exists():
        raise SplitbenchError(
            f"{folder} is not published: {page} is something else's page; give the sweep another name"
        )
    drawn = sweep_pictures(sweep)
    text = sweep_page(sweep, folder, target, list(drawn))
    if target.resolve() != folder.resolve():
        _replace(folder, target)
    for old in target.glob("*.svg"):  # pictures that this sweep does not give
        if old.name not in drawn:
            old.unlink()
    for name, content in drawn.items():
        write_atomically(target / name, content)
    write_atomically(page, text.encode())
    return page


def _replace(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        for name in FILES:
            if (folder / name).exists():
                shutil.copy(folder / name, new)
        if target.exists():
            target.rename(Path(scratch) / "old")
        new.rename(target)


def sweep_pictures(sweep: Sweep) -> dict[str, bytes]:
    """SVG files by name. What cannot be drawn is left out."""
    files: dict[str, bytes] = {}
    for kind, draw in OF_A_SWEEP.items():
        with contextlib.suppress(CannotDrawError):
            files[f"{kind}.svg"] = style.svg(draw(sweep, Options()))
    return files


def sweep_page(sweep: Sweep, folder: Path, target: Path, drawn: Sequence[str]) -> str:
    """The page of a sweep that is published from ``folder``, with its pictures and the tuned study beside it."""
    files = [f"[{words}]({target.name}/{name})" for name, words in FILES.items() if (folder / name).exists()]
    shown = [f"![{KINDS[name.removesuffix('.svg')].capitalize()}]({target.name}/{name})" for name in drawn]
    tuned = tuned_of(target)
    if tuned is not None:
        files.append(f"[the tuned study]({tuned.name}/leaderboard.md)")
    return sweep_markdown(sweep, tuned, files, shown) + control(target)


def control(target: Path) -> str:
    """The section of the published sweep ``target``-planted, whose optimum is known beforehand; nothing without one."""
    planted = target.with_name(target.name + PLANTED)
    if not (planted / SWEEP).exists():
        return ""
    picture = [f"![{KINDS[kind].capitalize()}]({planted.name}/{kind}.svg)" for kind in CONTROL_PICTURES]
    drawn = [name for name, kind in zip(picture, CONTROL_PICTURES, strict=True) if (planted / f"{kind}.svg").exists()]
    return "\n" + control_markdown(read_sweep(planted), f"[its own page]({planted.name}.md)", drawn)


def tuned_of(target: Path) -> Path | None:
    """The published study of the arms as the sweep tuned them."""
    tuned = target.with_name(target.name + TUNED)
    return tuned if has_records(tuned) else None
