"""What several test files of the harness share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tiny_studies import tiny

from splitbench.harness.cli.app import main
from splitbench.harness.running.study import Study
from splitbench.harness.stages.base import Scene
from splitbench.harness.study.config import parse_study


@pytest.fixture
def splitbench(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: (status, standard output, standard error)."""

    def call(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = 0
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capfd.readouterr()
        return status, out, err

    return call


@pytest.fixture(scope="module")
def scene() -> Scene:
    """What stages of a tiny study share."""
    return Study.build(parse_study(tiny()), "cpu").settings.scene
