"""The checks of a gate, each a number compared with the baseline's, and the report that they make.

Each kind of check is a family of tests of its own: a failed ledger must not cost the metrics any power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from splitbench.results.inference import noninferiority as tests
from splitbench.results.inference.noninferiority import Test

OK, REGRESSION, NOT_MEASURED = 0, 1, 3
METRIC, INVARIANT, LEDGER = "metric", "invariant", "ledger"
UNDEFINED, OVER = "undefined", "off its limit"


@dataclass(frozen=True)
class GateCheck:
    """One number compared with the baseline's; ``says`` explains a failure, or why there is no verdict."""

    table: str
    arm: str
    name: str
    kind: str
    verdict: str
    failed: bool
    says: str = ""
    test: Test | None = None


@dataclass(frozen=True)
class GateReport:
    """The outcome of a gate.

    Attributes:
        checks: in the order of tables and arms; metrics first.
        changed: differences of configuration or environment, in words.
        missing: a sentence for everything that the baseline guards and the folder lacks, or has under other conditions.
        notes: remarks that make nothing fail.
        warnings: files of the folder that were left out.
    """

    checks: tuple[GateCheck, ...]
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[GateCheck, ...]:
        return tuple(check for check in self.checks if check.failed)

    @property
    def status(self) -> int:
        """The exit status: of a regression if there is one, else of missing measurements if there are any."""
        if self.failures:
            return REGRESSION
        return NOT_MEASURED if self.missing else OK


def judged_checks(checks: Sequence[GateCheck]) -> list[GateCheck]:
    """The checks with their verdicts, metrics first: each kind is a family of its own, over all tables and arms."""
    judged = list(checks)
    for kind in (METRIC, INVARIANT, LEDGER):
        places = [
            place
            for place, check in enumerate(checks)
            if check.kind == kind and check.test and check.verdict == tests.UNTESTED
        ]
        family = tests.judge_family([test for place in places if (test := checks[place].test) is not None])
        for place, test in zip(places, family, strict=True):
            check = checks[place]
            says = _says(check, test)
            judged[place] = replace(check, verdict=test.verdict, failed=test.failed, says=says, test=test)
    order = {METRIC: 0, INVARIANT: 1, LEDGER: 2}
    return sorted(judged, key=lambda check: order[check.kind])


def _says(check: GateCheck, test: Test) -> str:
    if test.verdict == tests.UNTESTED:
        return f"{test.n_before} and {test.n_after} repetitions are too few for any test; at least 2 each are needed"
    if not test.failed:
        return ""
    if check.kind == INVARIANT:
        return gate_population_words(test)
    if check.kind == LEDGER:
        return (
            f"{check.name} went from {test.before:.4g} to {test.after:.4g}, though the arm's configuration is the same"
        )
    way = "rose" if test.less_is_better else "fell"
    return (
        f"{way} by {test.drop:.4g}, more than the margin of {test.margin:.4g} and more than chance "
        f"(adjusted p {test.p:.2g}, {'paired over' if test.paired else 'other seeds,'} {test.n_after} repetitions)"
    )


def gate_population_words(test: Test) -> str:
    """Why a changed invariant fails the gate."""
    return (
        f"went from {test.before:.6g} to {test.after:.6g}: no trainer and no criterion can change it, so the "
        "population or the truth changed, and every tau is computed on something else than the baseline's"
    )
