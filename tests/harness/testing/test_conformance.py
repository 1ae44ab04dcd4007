"""The built-in criteria and trainers pass the conformance suites that plugins use, and broken ones do not.

(The spaces' suite runs in tests/spaces/test_base.py.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from splitbench.criteria.base import Affinity, Criterion, EdgeRule, Partition, Partitioner, Parts, Probe
from splitbench.criteria.controls.unmeasured import Exhaustive, NoSplit, Random
from splitbench.criteria.edge_rules import Fixed, NormalisedMaxCut, RandomEdge, ShippedMaxCut, ShippedMinIntra
from splitbench.criteria.gm import GradientMatching
from splitbench.criteria.partitioners.cuts import Balanced, MaxCut, RandomGroups, Shuffled, Singletons
from splitbench.criteria.proxies.base import Network, Proxy
from splitbench.harness.budget import Cost
from splitbench.harness.testing import (
    Chain,
    SkippedCheck,
    check_criterion,
    check_edge_rule,
    check_partitioner,
    check_proxy,
    check_space,
    check_trainer,
    images_of,
)
from splitbench.harness.testing.checks import enforce
from splitbench.harness.testing.small_spaces.chain import EDGES
from splitbench.harness.testing.suites.criteria import criterion_checks
from splitbench.harness.testing.suites.parts import edge_rule_checks
from splitbench.harness.trainers.base import Session, Trainer
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps, RspsSession
from splitbench.spaces.base import Architecture, Choice, Flops, Mixture, SearchSpace, SubSpace
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb201.space import NB201
from splitbench.spaces.nb_macro.space import NBMacro

MICRO, DIGITS = Micro(), images_of((1, 8, 8), 10)
SPACES = {
    "micro": (MICRO, DIGITS),
    "nb201": (NB201(channels=2, cells=1, image_size=8), images_of((3, 8, 8), 10)),
    "nb_macro": (NBMacro(channels=2, image_size=8), images_of((3, 8, 8), 10)),
}


@pytest.mark.parametrize("trainer", [Rsps(batch_size=8), Darts(batch_size=8)], ids=["rsps", "darts"])
@pytest.mark.parametrize("space", list(SPACES))
def test_trainers(trainer: Trainer, space: str) -> None:
    same_every_step = isinstance(trainer, Darts) and space != "micro"
    check_trainer(trainer, *SPACES[space], steps=6 if same_every_step else 20)


@pytest.mark.parametrize(
    "criterion",
    [NoSplit(), Random(), Exhaustive(), GradientMatching(repetitions=2), GradientMatching("as_shipped", 1)],
    ids=["none", "random", "exhaustive", "gm", "gm_as_shipped"],
)
@pytest.mark.parametrize("space", list(SPACES))
def test_criteria(criterion: Criterion, space: str) -> None:
    """The part of the suite that runs on the synthetic space is the same for all three, and once for gm."""
    whole = space == "micro" and criterion != GradientMatching("as_shipped", 1)
    enforce(c for c in criterion_checks(criterion, *SPACES[space]) if whole or c.name.startswith(space))


@pytest.mark.parametrize(
    "partitioner",
    [Singletons(), Balanced(), MaxCut(), RandomGroups(), RandomGroups(sizes=(1, 4)), Shuffled()],
    ids=repr,
)
def test_partitioners(partitioner: Partitioner) -> None:
    check_partitioner(partitioner)


@pytest.mark.parametrize(
    "rule", [NormalisedMaxCut(), ShippedMaxCut(), ShippedMinIntra(), Fixed(), RandomEdge()], ids=repr
)
def test_edge_rules(rule: EdgeRule) -> None:
    check_edge_rule(rule)


@pytest.mark.parametrize("count", [2, 5, 8])
def test_the_synthetic_space_is_a_space(count: int) -> None:
    check_space(Chain(count), (1, 8, 8))


def test_the_synthetic_space_by_hand() -> None:
    """Its functions, depth and hierarchies; three operations are skip, 3x3 convolution and none."""
    space = Chain(3)
    skip, conv, none = range(3)
    assert [space.operations(0)[op] for op in (skip, conv, none)] == ["skip_connect", "nor_conv_3x3", "none"]
    assert not space.connected((conv, none, none))
    assert not space.connected((none, none, conv))
    assert space.function((none, skip, conv)) == (none, skip, none)
    # both ways live: 2 * 2 * 2 strings; one alone: 2 * 2 and 2, the dead edges being none
    assert len(space.functions(space.root())) == 8 + 4 + 2
    assert space.nonlinear_depth((conv, skip, conv)) == 2
    assert space.nonlinear_depth((conv, conv, none)) == 1
    assert [EDGES[edge][1] for edges in space.hierarchies() for edge in edges] == [1, 2, 2]


def test_a_criterion_that_cannot_serve_a_space_is_skipped_with_its_reason() -> None:
    verdicts = {check.name: check.verdict() for check in criterion_checks(OnlyWide(), MICRO, DIGITS)}
    assert verdicts["micro: every pass is paid for"].state == "ok"
    assert verdicts["chain: every pass is paid for"].state == "skipped"
    assert "cannot serve chain: it needs six edges" in verdicts["chain: every pass is paid for"].says
    assert verdicts["2 to 8 operations on an edge"].state == "skipped"
    assert not [verdict for verdict in verdicts.values() if verdict.state == "failed"]


def test_an_oracle_reads_the_truth_that_the_suite_makes_up() -> None:
    check_criterion(Oracle(), MICRO, DIGITS)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_criteria_run_on_cuda() -> None:
    ends = {
        check.name: check.verdict()
        for check in criterion_checks(GradientMatching(repetitions=2), MICRO, DIGITS)
        if "CUDA" in check.name
    }
    assert {verdict.state for verdict in ends.values()} == {"ok"}, ends


# --- broken components are found --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unpaid(Rsps):
    """Says that steps are cheaper than they are."""

    def open(self, job: Any) -> Session:  # type: ignore[override]
        class Half(RspsSession):
            def next_cost(self, step: int) -> Cost:
                cost = super().next_cost(step)
                return replace(cost, flops=cost.flops // 2)

        return Half(self, job)


@dataclass(frozen=True)
class Undecided(Rsps):
    """Runs another architecture each time it is asked."""

    def open(self, job: Any) -> Session:  # type: ignore[override]
        class Drawing(RspsSession):
            asked = 0

            def choices(self, step: int) -> Sequence[Choice]:
                self.asked += 1
                return [self.job.space.sample(np.random.default_rng(self.asked), self.job.subspace)]

        return Drawing(self, job)


@dataclass(frozen=True)
class Forgetful(Rsps):
    """Loses its momentum when it is stopped."""

    def open(self, job: Any) -> Session:  # type: ignore[override]
        class Lost(RspsSession):
            def load(self, tensors: Mapping[str, Tensor]) -> None:
                pass

        return Lost(self, job)


@dataclass(frozen=True)
class Wandering(Rsps):
    """Draws contexts from the whole space."""

    def context(self, space: SearchSpace, subspace: SubSpace, state: Mapping[str, Tensor], rng: Any) -> Choice:
        return tuple(0 for _ in space.edges)


@dataclass(frozen=True)
class Sprawling(Darts):
    """Mixes the whole space in its contexts."""

    def context(self, space: SearchSpace, subspace: SubSpace, state: Mapping[str, Tensor], rng: Any) -> Mixture:
        return space.mixture(state["alpha"], space.root())


@pytest.mark.parametrize(
    ("trainer", "complaint"),
    [
        (Unpaid(batch_size=8), r"next_cost\(0\) says .*, and the session is charged"),
        (Undecided(batch_size=8), r"next_cost\(0\) changes when asked"),
        (Forgetful(batch_size=8), r"after load\(tensors\(\)\) the"),
        (Wandering(batch_size=8), r"context\(\) gives .* which is not of"),
        (Sprawling(batch_size=8), r"context\(\) gives Mixture(.|\n)* which is not of"),
    ],
)
def test_broken_trainers_are_found(trainer: Trainer, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_trainer(trainer, MICRO, DIGITS, steps=6)


def of_matrix(probe: Probe, edge: int, matrix: Any) -> Affinity:
    return Affinity.assumed(probe.operations(edge), matrix)


def unseeded(probe: Probe, edge: int) -> Affinity:
    n = len(probe.operations(edge))
    upper = np.triu(np.random.default_rng().random((n, n)), 1)
    return of_matrix(probe, edge, upper + upper.T)


def all_operations(probe: Probe, edge: int) -> Affinity:
    n = len(probe.space.operations(edge))
    return Affinity.assumed(tuple(range(n)), 1.0 - np.eye(n))


def trains(probe: Probe, edge: int) -> Affinity:
    with torch.no_grad():
        next(iter(probe._supernet.parameters())).add_(1.0)  # type: ignore[attr-defined]
    return all_operations(probe, edge)


def a_matrix(probe: Probe, edge: int) -> Any:
    return np.eye(5)


@dataclass(frozen=True)
class Each:
    """A criterion whose operations are all equally far apart, with an offence."""

    def matrix(self, probe: Probe, edge: int) -> Any:
        return 1.0 - np.eye(len(probe.operations(edge)))

    def offend(self, probe: Any, edge: int) -> None:
        pass

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        self.offend(probe, edge)
        return of_matrix(probe, edge, self.matrix(probe, edge))


class OnlyWide(Each):
    def unfit(self, space: SearchSpace) -> str | None:
        return None if len(space.edges) == 6 else "it needs six edges"


class Oracle(Each):
    reads_truth = True

    def offend(self, probe: Any, edge: int) -> None:
        rows = probe.space.functions(probe.subspace)
        if len(rows):
            assert np.isfinite(probe.truth().test(rows)).all()


class Asymmetric(Each):
    def matrix(self, probe: Probe, edge: int) -> Any:
        return np.triu(super().matrix(probe, edge))


class Diagonal(Each):
    def matrix(self, probe: Probe, edge: int) -> Any:
        return np.ones_like(super().matrix(probe, edge))


class NotANumber(Each):
    def matrix(self, probe: Probe, edge: int) -> Any:
        return super().matrix(probe, edge) * np.nan


class Afterwards(Each):
    """Writes to its affinity when that has been looked at."""

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        affinity = super().__call__(probe, edge)
        affinity.dissimilarity[0, -1] += 1
        return affinity


class NegativeError(Each):
    def __call__(self, probe: Probe, edge: int) -> Affinity:
        matrix = self.matrix(probe, edge)
        return Affinity(probe.operations(edge), matrix, -matrix, 2)


class Unordered(Each):
    def __call__(self, probe: Probe, edge: int) -> Affinity:
        return replace(super().__call__(probe, edge), operations=probe.operations(edge)[::-1])


class Unbidden(Each):
    """Runs the supernet behind the probe's back."""

    def offend(self, probe: Any, edge: int) -> None:
        context = probe.context(edge, 0)
        with torch.no_grad():
            probe._supernet(probe.batch(0)[0], context)


class UnbiddenMixtures(Each):
    """Does so where the trainer runs mixtures alone."""

    def offend(self, probe: Any, edge: int) -> None:
        if isinstance(probe.context(edge, 0), Mixture):
            Unbidden().offend(probe, edge)


class HalfPaid(Each):
    """Pays for one of two passes."""

    def offend(self, probe: Any, edge: int) -> None:
        Unbidden().offend(probe, edge)
        probe.output(edge, probe.operations(edge)[0], 0, probe.context(edge, 0))


class GlobalRandom(Each):
    def matrix(self, probe: Probe, edge: int) -> Any:
        return super().matrix(probe, edge) * float(torch.rand(()))


class Seeding(Each):
    def offend(self, probe: Any, edge: int) -> None:
        torch.manual_seed(0)


class InPlace(Each):
    def offend(self, probe: Any, edge: int) -> None:
        with torch.no_grad():
            next(iter(probe._supernet.parameters())).mul_(1.01)


class Mode(Each):
    def offend(self, probe: Any, edge: int) -> None:
        probe._supernet.eval()


class Hooked(Each):
    def offend(self, probe: Any, edge: int) -> None:
        probe._supernet.classifier.register_forward_hook(lambda *_: None)


class Blackened(Each):
    def offend(self, probe: Any, edge: int) -> None:
        probe._data.images["train"].zero_()


class TestImages(Each):
    __test__ = False

    def offend(self, probe: Any, edge: int) -> None:
        probe._data.images.get("test")


class Undeclared(Each):
    def offend(self, probe: Any, edge: int) -> None:
        probe.truth()


class BackDoor(Each):
    def offend(self, probe: Any, edge: int) -> None:
        probe.space.ground_truth("digits")


class FiveOnly(Each):
    def matrix(self, probe: Probe, edge: int) -> Any:
        assert len(probe.space.operations(edge)) < 6, "a table of five operations"
        return super().matrix(probe, edge)


class NeedsTwo(Each):
    def offend(self, probe: Any, edge: int) -> None:
        _, _, *_ = probe.operations(edge)


class NeedsGradients(Each):
    """Forgets that an operation may have no gradient."""

    def offend(self, probe: Any, edge: int) -> None:
        operations = probe.operations(edge)
        if probe.space.name == "chain" and probe.subspace != probe.space.root() and len(operations) > 1:
            probe.gradient(edge, operations[0], 0, probe.context(edge, 0)).norm()


class DrawsAffinity(Each):
    """Another affinity in another draw, and does not say so."""

    def matrix(self, probe: Probe, edge: int) -> Any:
        return super().matrix(probe, edge) * (1 + probe.rng("scale").random())


class SaysThatItDraws(DrawsAffinity):
    draws = True


class Silent(Each):
    def unfit(self, space: SearchSpace) -> str | None:
        return ""


@dataclass(frozen=True)
class NoSuchPart:
    def __call__(self, probe: Probe, edge: int) -> Affinity:
        return all_operations(probe, edge)

    def parts(self) -> Parts:
        return Parts(partitioner="balancd")


@pytest.mark.parametrize(
    ("criterion", "complaint"),
    [
        (unseeded, r"two calls differ; take random numbers from probe.rng"),
        (all_operations, r"compares operations \(0, 1, 2, 3, 4\), and the edge allows \(1, 2, 3, 4\)"),
        (trains, "it changes the supernet's"),
        (a_matrix, "gives ndarray, not an Affinity"),
        (Asymmetric(), "micro, edge 0 with Rsps: ValueError: a dissimilarity must be finite, symmetric and zero on"),
        (Diagonal(), "ValueError: a dissimilarity must be finite, symmetric and zero on its diagonal"),
        (NotANumber(), "ValueError: a dissimilarity must be finite"),
        (Afterwards(), "the dissimilarity is not symmetric"),
        (NegativeError(), "a standard error is negative"),
        (Unordered(), r"compares operations \(4, 3, 2, 1, 0\), and the edge allows \(0, 1, 2, 3, 4\)"),
        (Unbidden(), "charged 0 FLOPs, and torch counts [0-9,]+ in convolutions and linear layers; run the supernet "),
        (
            UnbiddenMixtures(),
            "charged 0 FLOPs, and torch counts [0-9,]+ in convolutions and linear layers; run the supernet ",
        ),
        (HalfPaid(), "charged [1-9][0-9,]+ FLOPs, and torch counts [0-9,]+ in convolutions and linear layers"),
        (GlobalRandom(), "draws or seeds global random numbers; take them from probe.rng"),
        (Seeding(), "draws or seeds global random numbers"),
        (InPlace(), "it changes the supernet's stem.0.weight"),
        (Mode(), "it changes the supernet's training mode of the whole"),
        (Hooked(), "it leaves a hook on the supernet; remove each"),
        (Blackened(), "it writes to the images or labels"),
        (TestImages(), r"it asks for the images \['test'\]; a probe has training images"),
        (Undeclared(), "it asks for the ground truth; only an oracle control may, which declares reads_truth"),
        (BackDoor(), "it asks for the ground truth; only an oracle control may"),
        (FiveOnly(), "on chain, edge 0 with Rsps: AssertionError: a table of five operations"),
        (NeedsTwo(), "ValueError: not enough values to unpack"),
        (NeedsGradients(), "'NoneType' .*; give a valid affinity, or raise a SplitbenchError with a sentence"),
        (DrawsAffinity(), "micro, edge 0 with Rsps: another draw gives another affinity; declare draws = True"),
        (Silent(), r"unfit\(micro\) gives '', neither None nor a reason in words"),
    ],
)
def test_broken_criteria_are_found(criterion: Any, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_criterion(criterion, MICRO, DIGITS)


def test_a_criterion_that_declares_its_draws_may_differ_between_them() -> None:
    ends = {c.name: c.verdict() for c in criterion_checks(SaysThatItDraws(), MICRO, DIGITS) if "draws differ" in c.name}
    assert {(end.state, end.says) for end in ends.values()} == {("skipped", "it declares draws = True")}
    ends = {c.name: c.verdict() for c in criterion_checks(Each(), MICRO, DIGITS) if "draws differ" in c.name}
    assert [end.state for end in ends.values()] == ["ok", "ok"]


def test_a_criterion_with_an_unknown_part_is_found() -> None:
    with pytest.raises(Exception, match="unknown partitioners component 'balancd' .did you mean 'balanced'"):
        check_criterion(NoSuchPart(), MICRO, DIGITS)


@dataclass(frozen=True)
class FreeBackward(Micro):
    def flops(self, choice: Choice) -> Flops:
        return Flops(super().flops(choice).forward, 0)


@dataclass(frozen=True)
class AllStrings(Micro):
    def function(self, architecture: Architecture) -> Architecture:
        return architecture


@pytest.mark.parametrize(
    ("space", "complaint"), [(FreeBackward(), "torch counts"), (AllStrings(), r"functions\(\) of .* are not its 15284")]
)
def test_broken_spaces_are_found(space: SearchSpace, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_space(space, (1, 8, 8))


def size(network: Network) -> float:
    """A proxy without an offence."""
    return float(network.space.flops(network.choice).forward)


def offending(offend: Callable[[Any], Any]) -> Proxy:
    """A proxy that does something besides, and gives what that gives if it is a number."""

    def proxy(network: Network) -> float:
        value = offend(network)
        return value if isinstance(value, float | str | tuple) else size(network)  # type: ignore[return-value]

    return proxy


def with_hook(network: Any) -> None:
    network.module.classifier.register_forward_hook(lambda *_: None)


def infinite_where_cut(network: Network) -> float:
    cut = not isinstance(network.choice, Mixture) and not network.space.connected(network.choice)
    return -math.inf if cut else 0.0


def counts_its_calls(network: Any) -> float:
    """Parameters are put back afterwards; what else it keeps on the network is not."""
    network.module.calls = getattr(network.module, "calls", 0) + 1
    return float(network.module.calls)


def test_a_proxy_without_an_offence() -> None:
    check_proxy(size, MICRO, DIGITS)


@pytest.mark.parametrize(
    ("offend", "complaint"),
    [
        (lambda network: "much", "ValueError: could not convert string to float"),
        (lambda network: float("nan"), "gives nan, which is not finite"),
        (infinite_where_cut, r"on micro, path .*\(cut\): gives -inf, which is not finite"),
        (lambda network: (1.0, 2.0), "gives 2 terms and has no method combine"),
        (lambda network: float(torch.rand(())), "draws or seeds global random numbers; take them from network.gen"),
        (lambda network: network.module(network.images, network.choice), "charged 0 FLOPs, and torch counts"),
        (lambda network: network(network.images).sum().backward(), "charged [1-9][0-9,]+ FLOPs, and torch counts"),
        (with_hook, "it leaves a hook on the network"),
        (counts_its_calls, r"two calls give \[1.0\] and \[2.0\]"),
    ],
)
def test_broken_proxies_are_found(offend: Callable[[Any], Any], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_proxy(offending(offend), MICRO, DIGITS)


def loses_one(affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
    return replace(Singletons()(affinity, branching, rng), groups=(affinity.operations[:1],))


def by_chance(affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
    return RandomGroups()(affinity, branching, np.random.default_rng())


def unordered(affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
    found = Singletons()(affinity, branching, rng)
    return replace(found, groups=found.groups[::-1])


def up_to_five(affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
    if len(affinity.operations) > 5:
        raise ValueError("five at most")
    return Singletons()(affinity, branching, rng)


def asks_for_truth(affinity: Affinity, branching: int, rng: np.random.Generator) -> Partition:
    MICRO.ground_truth("digits")
    return Singletons()(affinity, branching, rng)


@pytest.mark.parametrize(
    ("partitioner", "complaint"),
    [
        (loses_one, r"gives \(\(1,\),\), which does not hold each of \(1, 3\) once"),
        (by_chance, "two calls with equal generators give"),
        (unordered, "out of order"),
        (asks_for_truth, "with 2 operations and branching 2: it asks for the ground truth"),
    ],
)
def test_broken_partitioners_are_found(partitioner: Partitioner, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_partitioner(partitioner)


def test_a_partitioner_for_few_operations_is_found() -> None:
    with pytest.raises(AssertionError, match="ValueError: five at most"):
        check_partitioner(up_to_five)


@dataclass(frozen=True)
class Elsewhere:
    """Chooses an edge that cannot be split, or wants scores of it."""

    shortlisted: bool

    def __call__(self, candidates: Any, rng: np.random.Generator, level: int) -> int:
        return int(max(candidates)) + 1

    def shortlist(self, edges: Any, rng: np.random.Generator, level: int, space: SearchSpace) -> list[int]:
        return [max(edges) + 1] if self.shortlisted else list(edges)


@dataclass(frozen=True)
class Curious:
    """Looks up the answer, before scores or with them."""

    early: bool

    def __call__(self, candidates: Any, rng: np.random.Generator, level: int) -> int:
        MICRO.ground_truth("digits")
        return int(min(candidates))

    def shortlist(self, edges: Any, rng: np.random.Generator, level: int, space: SearchSpace) -> list[int]:
        if self.early:
            space.ground_truth("digits")
        return list(edges)


@dataclass(frozen=True)
class InAWord:
    """Shortlists the digits of a text."""

    def __call__(self, candidates: Any, rng: np.random.Generator, level: int) -> int:
        return int(min(candidates))

    def shortlist(self, edges: Any, rng: np.random.Generator, level: int, space: SearchSpace) -> Any:
        return "01"


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (Elsewhere(False), r"chooses \(6,\) from the candidates \[0, 1, 2, 3, 4, 5\]"),
        (Elsewhere(True), r"shortlist\(\) gives \[6\] from the edges"),
        (Curious(False), "on micro: it asks for the ground truth, which only the measure stage may read"),
        (Curious(True), "on micro: it asks for the ground truth"),
        (InAWord(), r"shortlist\(\) names an edge by '01', which is neither an int nor several"),
        (lambda candidates, rng, level: float(min(candidates)), "it names an edge by 0.0, which is neither an int nor"),
        (lambda candidates, rng, level: [min(candidates), 1.5], r"it names an edge by \[0, 1.5\], which is neither"),
        (lambda candidates, rng, level: None, "it names an edge by None"),
        (lambda candidates, rng, level: True, "it names an edge by True"),
        (lambda candidates, rng, level: [], r"chooses \(\) from the candidates"),
        (lambda candidates, rng, level: int(np.random.default_rng().choice(list(candidates))), "equal generators give"),
    ],
)
def test_broken_edge_rules_are_found(rule: EdgeRule, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_edge_rule(rule)


@pytest.mark.parametrize("kind", [int, np.int64, np.int8])
def test_an_edge_is_an_integer_of_python_or_numpy(kind: Callable[[int], Any]) -> None:
    def one(candidates: Any, rng: np.random.Generator, level: int) -> Any:
        return kind(min(candidates))

    def several(candidates: Any, rng: np.random.Generator, level: int) -> Any:
        return [kind(min(candidates))]

    check_edge_rule(one)
    check_edge_rule(several)


def test_an_edge_rule_that_refuses_is_skipped_with_its_reason() -> None:
    ends = [check.verdict() for check in edge_rule_checks(Fixed(edges=(5,)))]
    assert [end.state for end in ends[:2]] == ["ok", "skipped"]
    assert "edge 5 cannot be split at level 0" in ends[1].says
    with pytest.raises(SkippedCheck):
        list(edge_rule_checks(Fixed(edges=(5,))))[1].run()
