"""Conformance suites: what every component of a kind must hold, for the tests of plugins and of this project.

Each check raises AssertionError with a sentence that says what is wrong. Nothing here needs pytest::

    from splitbench.harness.testing import check_criterion, images_of
    check_criterion(MyCriterion(), Micro(), images_of((1, 8, 8), 10))
"""

from splitbench.harness.testing.checks import CheckVerdict, ComponentCheck, SkippedCheck
from splitbench.harness.testing.material import (
    counting_flops,
    images_of,
    random_architectures,
    random_mixture,
    subspaces,
)
from splitbench.harness.testing.small_spaces.chain import Chain
from splitbench.harness.testing.suites.criteria import check_criterion
from splitbench.harness.testing.suites.engines import check_engine
from splitbench.harness.testing.suites.modifiers import check_modifier
from splitbench.harness.testing.suites.parts import check_edge_rule, check_partitioner
from splitbench.harness.testing.suites.proxies import check_proxy
from splitbench.harness.testing.suites.spaces import check_space
from splitbench.harness.testing.suites.trainers import check_trainer, trained

__all__ = [
    "Chain",
    "CheckVerdict",
    "ComponentCheck",
    "SkippedCheck",
    "check_criterion",
    "check_edge_rule",
    "check_engine",
    "check_modifier",
    "check_partitioner",
    "check_proxy",
    "check_space",
    "check_trainer",
    "counting_flops",
    "images_of",
    "random_architectures",
    "random_mixture",
    "subspaces",
    "trained",
]
