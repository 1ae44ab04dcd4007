"""Every kind of stage."""

from __future__ import annotations

from typing import Any

from splitbench.harness.stages.base import Stage
from splitbench.harness.stages.decompose import Decompose
from splitbench.harness.stages.facts import FactsStage
from splitbench.harness.stages.measure import Measure
from splitbench.harness.stages.predict import Predict
from splitbench.harness.stages.score import Score
from splitbench.harness.stages.score_networks import ScoreNetworks
from splitbench.harness.stages.select import Select
from splitbench.harness.stages.train import Train

KINDS: tuple[type[Stage[Any]], ...] = (Train, Score, Select, Predict, FactsStage, Measure, Decompose)
"""Every kind of stage of a run, in the order in which a run asks for them; records name their versions."""
OUTSIDE_RUNS: tuple[type[Stage[Any]], ...] = (ScoreNetworks,)
"""Kinds that no run asks for, so that no record names them."""
