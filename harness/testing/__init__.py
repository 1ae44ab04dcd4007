"""Conformance suites: what every component of a kind must hold, for the tests of plugins and of this project.

Each check raises AssertionError with a sentence that says what is wrong. Nothing here needs pytest::

    from harness.testing import check_criterion, images_of
    check_criterion(MyCriterion(), Micro(), images_of((1, 8, 8), 10))
"""

from harness.testing.chain import Chain
from harness.testing.checks import Check, Skipped, Verdict
from harness.testing.criteria import check_criterion
from harness.testing.material import counting_flops, images_of, random_architectures, random_mixture, subspaces
from harness.testing.parts import check_edge_rule, check_partitioner
from harness.testing.proxies import check_proxy
from harness.testing.spaces import check_space
from harness.testing.trainers import check_trainer, trained

__all__ = [
    "Chain",
    "Check",
    "Skipped",
    "Verdict",
    "check_criterion",
    "check_edge_rule",
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
