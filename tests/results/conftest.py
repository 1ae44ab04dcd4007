"""A writer of results folders made of synthetic records."""

from pathlib import Path

import pytest
from synthetic_records import ESTIMATES, Writer, make_measured

from splitbench.results.records.record import Record
from splitbench.results.records.store import write_run


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Writes records (in the order given) to a folder, and gives the folder."""

    def writer(*records: Record, folder: str = "out") -> Path:
        for record in records:
            write_run(tmp_path / folder, record, make_measured(), ESTIMATES)
        return tmp_path / folder

    return writer
