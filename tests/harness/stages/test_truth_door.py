"""The ground truth cannot be read by what trains, scores, selects or predicts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_studies import tiny

import splitbench
from splitbench.criteria.base import Affinity, Probe
from splitbench.harness import registry
from splitbench.harness.errors import SplitbenchError
from splitbench.results.records.loading import load_runs
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.truth import closed


@pytest.fixture
def peeping() -> Iterator[str]:
    """A criterion that looks at the table."""
    name = "peeping"

    @registry.register("criteria", name)
    def peep(probe: Probe, edge: int) -> Affinity:
        probe.space.ground_truth("digits")
        raise AssertionError("the door was open")

    yield name
    registry._registered.pop(("criteria", name))


def test_a_criterion_that_opens_the_truth_is_stopped(peeping: str, tmp_path: Path) -> None:
    splitbench.run(tiny(arms=["none", peeping]), tmp_path, device="cpu")
    (failure,) = load_runs(tmp_path).failed
    assert failure.arm == peeping
    assert "only the measure stage may read it" in failure.reason


def test_the_door_opens_again() -> None:
    with closed(), pytest.raises(SplitbenchError, match="ground truth"):
        Micro().ground_truth("digits")
    assert len(Micro().ground_truth("digits").architectures) == 9_445
