"""Copy a finished study's records into results/published, with its leaderboard as markdown, JSON and a picture.

    python -m results.publish runs/quickstart            # writes results/published/quickstart

Weights and other stages stay behind: the records hold everything that a leaderboard is a function of.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from harness.errors import SplitbenchError
from results import render, store
from results.figures import ranking_svg
from results.leaderboard import leaderboards

PUBLISHED = Path(__file__).with_name("published")
GEOMETRY = ("geometry.json", "geometry.md", "geometry.svg")


def publish(folder: Path, into: Path = PUBLISHED) -> Path:
    """Copy the records of ``folder`` to ``into``/<study>, replacing what was there; a published folder's own
    leaderboard is made anew from its records.

    Raises:
        SplitbenchError: if an arm is incomplete or a file cannot be used: half a study is not published.
    """
    boards = leaderboards(folder)
    if boards.warnings:
        raise SplitbenchError(f"{folder} is not published: {boards.warnings[0]}")
    if len(boards.boards) != 1:
        raise SplitbenchError(f"{folder} is not published: it holds {len(boards.boards)} leaderboards, not one")
    (board,) = boards.boards
    missing = [row.arm for row in board.rows if not row.complete]
    if missing:
        raise SplitbenchError(f"{folder} is not published: the arm {missing[0]} is incomplete; run its study again")
    target = into / board.study
    if target.resolve() != folder.resolve():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder / store.RECORDS, target / store.RECORDS)
        for name in ("study.yaml", store.SKIPPED, *GEOMETRY):
            if (folder / name).exists():
                shutil.copy(folder / name, target)
    store.write_atomically(target / "leaderboard.md", render.markdown(boards).encode())
    store.write_atomically(target / "ranking.svg", ranking_svg(folder))
    store.write_atomically(target / "leaderboard.json", render.to_json(boards).encode())
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="+", help="results folders of finished studies")
    for folder in parser.parse_args().folder:
        try:
            print(f"published {publish(folder)}")
        except SplitbenchError as error:
            raise SystemExit(f"results.publish: {error}") from None


if __name__ == "__main__":
    main()
