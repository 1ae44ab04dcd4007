"""Shared fixtures. Tests that need the real data folder skip, with a sentence, where it is absent."""

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """One torch thread: measured faster than two on small networks, and sums are then in one order everywhere."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data that SPLITBENCH_DATA names."""
    folder = os.environ.get("SPLITBENCH_DATA")
    if not folder:
        pytest.skip("needs the real data folder: set SPLITBENCH_DATA to it (docs/data.md says what is in it)")
    path = Path(folder).resolve()
    if not path.is_dir():
        pytest.fail(f"SPLITBENCH_DATA names {folder}, which is not a folder")
    return path
