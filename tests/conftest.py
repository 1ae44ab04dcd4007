"""Shared fixtures. Tests that need the real data folder skip, with a sentence, where it is absent.

With SPLITBENCH_REQUIRE_DATA=1, as in CI, such a test fails instead of skipping, whatever it skips for. Only one that
is marked ``gpu`` too may skip, where there is none.
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """One torch thread: measured faster than two on small networks, and sums then have one order whatever the cores."""
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever takes the fixture counts as a test of real data, also if its mark was forgotten."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    required = os.environ.get("SPLITBENCH_REQUIRE_DATA") == "1" and item.get_closest_marker("real_data")
    if required and report.skipped and not item.get_closest_marker("gpu"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"SPLITBENCH_REQUIRE_DATA is set, and a test of real data was skipped: {reason}"
    return report
