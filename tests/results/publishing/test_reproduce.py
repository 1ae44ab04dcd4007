"""What is published is what its records give: `make reproduce` changes nothing."""

from __future__ import annotations

import lzma
import re
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import pytest

from splitbench.results.boards.leaderboard import leaderboards
from splitbench.results.expectation import unsplit
from splitbench.results.grids import grids
from splitbench.results.page import page
from splitbench.results.publishing import publish, publish_grid, publish_sweep, publish_unsplit
from splitbench.results.records import archive
from splitbench.results.records.files import encode
from splitbench.results.records.listing import RECORDS
from splitbench.results.sweeps import sweep
from splitbench.results.words import render

STUDIES = publish.record_folders()
GRIDS = sorted(path.parent for path in publish.PUBLISHED.glob(f"*/{grids.GRID}"))
SWEEPS = sorted(path.parent for path in publish.PUBLISHED.glob(f"*/{sweep.SWEEP}"))


@pytest.fixture(params=STUDIES, ids=lambda path: path.relative_to(publish.PUBLISHED).as_posix(), scope="module")
def study(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_there_are_published_studies() -> None:
    assert {path.name for path in STUDIES} >= {"quickstart", "criteria-micro", "darts-micro"}


def test_records_are_packed_as_publishing_packs_them(study: Path, tmp_path: Path) -> None:
    """The same tar; how it is compressed may differ from one release of liblzma to another."""
    assert not (study / RECORDS).exists()
    (tmp_path / RECORDS).mkdir()
    for name, content in archive.archive_members(study / archive.ARCHIVE).items():
        (tmp_path / RECORDS / name).write_bytes(content)
    again, there = archive.pack_records(tmp_path / RECORDS), (study / archive.ARCHIVE).read_bytes()
    assert lzma.decompress(again) == lzma.decompress(there)
    assert len(again) == pytest.approx(len(there), rel=0.1)


def test_leaderboards_are_those_of_the_records(study: Path) -> None:
    boards = leaderboards(study)
    assert (study / "leaderboard.md").read_text() == render.markdown(boards)
    assert (study / "leaderboard.json").read_text() == render.boards_json(boards)


def test_the_page_is_that_of_the_records(study: Path) -> None:
    assert (study / "leaderboard.html").read_bytes() == page(study, publish.DETAILS_MB)


def test_pictures_are_those_of_the_records(study: Path) -> None:
    """Byte for byte under the release of matplotlib that drew them, and as many of them under any."""
    drawn = publish.pictures(study)
    assert {path.name for path in study.glob("*.svg")} - {"geometry.svg"} == drawn.keys()
    same_pictures(study, drawn)


@pytest.mark.parametrize("folder", SWEEPS, ids=lambda path: path.name)
def test_a_sweep_is_that_of_its_numbers(folder: Path) -> None:
    found = sweep.read_sweep(folder)
    assert (folder / sweep.SWEEP).read_bytes() == encode(found)
    drawn = publish_sweep.sweep_pictures(found)
    assert {path.name for path in folder.glob("*.svg")} == drawn.keys()
    same_pictures(folder, drawn)
    page = folder.with_name(f"{folder.name}.md").read_text()
    assert page == publish_sweep.sweep_page(found, folder, folder, list(drawn))


@pytest.mark.parametrize("folder", GRIDS, ids=lambda path: path.name)
def test_a_grid_is_that_of_its_cells(folder: Path) -> None:
    made = publish_grid.pages(folder)
    same_pictures(folder, {name: content for name, content in made.items() if name.endswith(".svg")})
    for name, content in made.items():
        if not name.endswith(".svg"):
            assert (folder / name).read_bytes() == content, name


def test_the_table_of_unsplit_supernets_is_that_of_the_records() -> None:
    assert unsplit.TABLE.read_bytes() == encode(publish_unsplit.unsplit_table(STUDIES))


def same_pictures(folder: Path, drawn: Mapping[str, bytes]) -> None:
    for name, content in drawn.items():
        there = (folder / name).read_bytes()
        if _release(there) == matplotlib.__version__:
            assert there == content, name
        else:
            assert _words(there) == _words(content), name


def _release(svg: bytes) -> str:
    found = re.search(rb"Matplotlib v([0-9.]+)", svg)
    assert found
    return found[1].decode()


def _words(svg: bytes) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.decode())
