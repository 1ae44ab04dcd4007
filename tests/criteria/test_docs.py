"""The plugin in docs/criteria.md works as printed, and is as short as promised."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from splitbench.criteria.base import Affinity, Parts, parts_of
from splitbench.harness import registry
from splitbench.spaces.base import SubSpace

PAGE = Path(__file__).parents[2] / "docs" / "criteria.md"


class Outputs:
    """A probe whose operation ``op`` always gives the logits (op, 0)."""

    subspace = SubSpace(((0, 2, 3),))

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def context(self, edge: int, repetition: int) -> tuple[int, ...]:
        return (0,)

    def output(self, edge: int, operation: int, repetition: int, context: Any) -> torch.Tensor:
        return torch.tensor([[float(operation), 0.0]] * 4)


def test_the_plugin_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    monkeypatch.setattr(registry, "_registered", {})
    plugin = tmp_path / "plugin.py"
    plugin.write_text(code)
    registry.load_plugin(plugin)
    criterion = registry.build("criteria", {"name": "probability_gap", "repetitions": 3})
    affinity = criterion(Outputs(), 0)
    assert isinstance(affinity, Affinity)
    assert affinity.operations == (0, 2, 3)
    assert affinity.repetitions == 3
    sigmoid = 1 / (1 + np.exp(-np.array([0.0, 2.0, 3.0])))
    np.testing.assert_allclose(affinity.dissimilarity, np.abs(sigmoid[:, None] - sigmoid), atol=1e-6)
    assert parts_of(criterion) == Parts()
