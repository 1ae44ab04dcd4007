"""Pack a finished study's records into results/published, with its leaderboard as a page, markdown, JSON and pictures.

    python -m splitbench.results.publishing runs/quickstart              # writes results/published/quickstart
    python -m splitbench.results.publishing results/published/quickstart  # all but the records anew, from the records
    python -m splitbench.results.publishing runs/ladder-micro            # a grid: a folder a cell, break-evens
    python -m splitbench.results.publishing runs/micro-sweep             # a sweep: results/published/<study>
    python -m splitbench.results.publishing                              # every published study anew: `make reproduce`

Weights and other stages stay behind: the records hold everything that a leaderboard is a function of. Of a sweep its
numbers are published, and no records: they are those of trials (splitbench.results.publishing.publish_sweep). The table
of unsplit supernets, which `splitbench expect` reads, is made anew at the end
(splitbench.results.publishing.publish_unsplit).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from splitbench.harness.errors import SplitbenchError
from splitbench.results.boards.leaderboard import Leaderboards, leaderboards_of
from splitbench.results.expectation import unsplit
from splitbench.results.grids.grids import GRID, read_grid
from splitbench.results.page import page
from splitbench.results.plots import style
from splitbench.results.plots.catalogue import drawings
from splitbench.results.plots.source import CannotDrawError, Options, open_folder
from splitbench.results.publishing import publish_unsplit
from splitbench.results.publishing.publish_grid import publish_grid
from splitbench.results.publishing.publish_sweep import PLANTED, TUNED, publish_sweep
from splitbench.results.records import archive
from splitbench.results.records.files import write_atomically
from splitbench.results.records.listing import RECORDS, SKIPPED
from splitbench.results.records.loading import StoredRun, load_runs
from splitbench.results.records.record import config_fingerprint
from splitbench.results.sweeps.sweep import SWEEP
from splitbench.results.sweeps.sweep import read_sweep as read_sweep
from splitbench.results.words import render

STUDY = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names that study files may have (splitbench.harness.study.config). A record may hold any text, and its study becomes
the name of a folder."""
PUBLISHED = Path(__file__).parents[1] / "published"
DETAILS_MB = 3.0  # a published page stays small enough for a repository
DRAWN = ("ranking", "critical_difference", "stability")  # at one budget the others say no more
GEOMETRY = ("geometry.json", "geometry.md", "geometry.svg")


def publish(folder: Path, into: Path = PUBLISHED, say: Callable[[str], None] = print) -> Path:
    """Copy the records of ``folder`` to ``into``/<study>, replacing what was there; a published folder's own
    leaderboard is made anew from its records. A geometry of partitions that is not these records' is left out, and
    removed where it is published already; ``say`` gets a sentence about it. A folder with a sweep gives a sweep's page,
    a grid's folder its cells, an index and the break-evens (splitbench.results.publishing.publish_grid).

    Raises:
        SplitbenchError: if an arm or the sweep is incomplete, a file cannot be used, arms are not comparable, or the
            study's name is none, or another's: half a study is not published.
    """
    if (folder / SWEEP).exists():
        target = _target(folder, into, read_sweep(folder).study, "its sweep names")
        page = publish_sweep(folder, target)
        _beside(target)
        return page
    if (grid := read_grid(folder)) is not None:
        target = _target(folder, into, grid.study, "its grid names")
        return publish_grid(grid, target, lambda cell, where, name: _study(cell, where, say, name), say)
    return _study(folder, into, say)


def _study(folder: Path, into: Path, say: Callable[[str], None], cell: str | None = None) -> Path:
    """Publish the records of one results folder, as ``cell`` if it is one of a grid."""
    loaded = load_runs(folder)
    boards = leaderboards_of(loaded)
    faults = [warning for warning in boards.warnings if warning not in loaded.notes]
    for fault in (*faults, *(fault for board in boards.boards for fault in board.faults)):
        raise SplitbenchError(f"{folder} is not published: {fault}")
    if len(boards.boards) != 1:
        raise SplitbenchError(f"{folder} is not published: it holds {len(boards.boards)} leaderboards, not one")
    (board,) = boards.boards
    missing = [row.arm for row in board.rows if not row.complete]
    if missing:
        raise SplitbenchError(f"{folder} is not published: the arm {missing[0]} is incomplete; run its study again")
    target = _target(folder, into, board.study) if cell is None else into / cell
    if (target / SWEEP).exists():
        raise SplitbenchError(f"{folder} is not published: {target} holds a sweep of that name; give the study another")
    geometry = _geometry(folder, loaded.runs, say)
    if target.resolve() == folder.resolve():
        for name in GEOMETRY:
            if name not in geometry:
                (target / name).unlink(missing_ok=True)
        _pack(target, target)
        _render(boards, target)
        return _beside(target)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=into) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        _pack(folder, new)
        for name in ("study.yaml", SKIPPED, *geometry):
            if (folder / name).exists():
                shutil.copy(folder / name, new)
        _render(boards, new)
        if target.exists():
            target.rename(Path(scratch) / "old")
        new.rename(target)
    return _beside(target)


def _pack(folder: Path, target: Path) -> None:
    """The records of ``folder`` in ``target``, packed; what is packed already stays as it is, byte for byte."""
    if archive.packed(folder):
        if folder != target:
            shutil.copy(folder / archive.ARCHIVE, target)
        return
    write_atomically(target / archive.ARCHIVE, archive.pack_records(folder / RECORDS))
    if folder == target:
        shutil.rmtree(folder / RECORDS)


def _beside(target: Path) -> Path:
    """What belongs to another sweep that is published, its tuned study or its control, is in that one's page too.

    Gives ``target``.
    """
    for suffix in (TUNED, PLANTED):
        sweep = target.with_name(target.name.removesuffix(suffix))
        if sweep != target and (sweep / SWEEP).exists():
            publish_sweep(sweep, sweep)
    return target


def _render(boards: Leaderboards, target: Path) -> None:
    write_atomically(target / "leaderboard.md", render.markdown(boards).encode())
    write_atomically(target / "leaderboard.json", render.boards_json(boards).encode())
    write_atomically(target / "leaderboard.html", page(target, DETAILS_MB))
    drawn = pictures(target)
    for old in target.glob("*.svg"):  # pictures that these records no longer give
        if old.name not in drawn and old.name not in GEOMETRY:
            old.unlink()
    for name, content in drawn.items():
        write_atomically(target / name, content)


def _target(folder: Path, into: Path, study: str, who: str = "its records name") -> Path:
    """The folder of a study in ``into``; a name that would lead elsewhere is refused."""
    target = into / study
    if not STUDY.fullmatch(study) or target.resolve().parent != into.resolve():
        raise SplitbenchError(f"{folder} is not published: {who} the study {study!r}, which is no name")
    if target.resolve() in folder.resolve().parents:
        raise SplitbenchError(f"{folder} is not published: it lies in {target}, which would be replaced; move it")
    return target


def pictures(folder: Path) -> dict[str, bytes]:
    """SVG files by name: those of the whole table, and the baseline's scatter. What cannot be drawn is left out."""
    source = open_folder(folder, [])
    baseline = [arm.name for arm in source.tables[0].arms if arm.baseline]
    wanted = [(source, kind) for kind in DRAWN]
    wanted += [(open_folder(folder, baseline), "scatter")] if baseline else []
    files: dict[str, bytes] = {}
    for source, kind in wanted:
        for drawing in drawings(source, kind, Options()):
            with contextlib.suppress(CannotDrawError):
                files[f"{drawing.name}.svg"] = style.svg(drawing.draw())
    return files


def _geometry(folder: Path, runs: Sequence[StoredRun], say: Callable[[str], None]) -> list[str]:
    """The names of the files of a geometry of partitions that are to be published."""
    there = [name for name in GEOMETRY if (folder / name).exists()]
    problem = stale(folder, runs) if there else ""
    if problem:
        say(f"{folder}: {', '.join(there)} left out, because {problem}; run `splitbench geometry` again")
    return [] if problem else there


def stale(folder: Path, runs: Sequence[StoredRun] | None = None) -> str:
    """Why the geometry of a results folder is not that of its ``runs`` (read from it if None); empty if it is.

    It is theirs if it was made under their protocol, with as many seeds, of the same arms with the same configurations.
    """
    records = [run.record for run in (load_runs(folder).runs if runs is None else runs)]
    try:
        geometry = json.loads((folder / GEOMETRY[0]).read_bytes())
    except (OSError, ValueError):
        return f"{GEOMETRY[0]} cannot be read"
    if not isinstance(geometry, dict) or not isinstance(geometry.get("fingerprints"), dict):
        return f"{GEOMETRY[0]} does not say which records it belongs to"
    if {record.protocol for record in records} != {geometry.get("protocol")}:
        return "it was made under another protocol than the records"
    arms = {(record.arm, config_fingerprint(record.config.get("arm"))) for record in records}
    if dict(arms) != geometry["fingerprints"] or len(dict(arms)) < len(arms):
        return "its arms are not those of the records"
    if len({record.repetition for record in records}) != geometry.get("seeds"):
        return "its seeds are not those of the records"
    return ""


def published() -> list[Path]:
    """The folders of all studies that are published, of all grids, then of all sweeps."""
    folders = sorted(path for path in PUBLISHED.glob("[!.]*") if path.is_dir())
    grids = [path for path in folders if (path / GRID).exists()]
    sweeps = [path for path in folders if (path / SWEEP).exists()]
    return [*filter(archive.has_records, folders), *grids, *sweeps]


def record_folders() -> list[Path]:
    """Every published folder of records: studies, and the cells of grids."""
    folders = published()
    cells = [cell for folder in folders if (folder / GRID).exists() for cell in sorted(folder.iterdir())]
    return [folder for folder in (*folders, *cells) if folder.is_dir() and archive.has_records(folder)]


def publish_main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "folder", type=Path, nargs="*", help="results folders of finished studies [default: all that are published]"
    )
    for folder in parser.parse_args().folder or published():
        try:
            print(f"published {publish(folder)}")
        except SplitbenchError as error:
            raise SystemExit(f"splitbench.results.publishing: {error}") from None
    print(f"published {publish_unsplit.publish_unsplit_table(record_folders(), unsplit.TABLE)}")
