"""What every partitioner and every edge rule must hold."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from splitbench.criteria.base import Affinity, EdgeRule, Partition, Partitioner, shortlist
from splitbench.criteria.partitioners.cuts import Balanced
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.registry import build
from splitbench.harness.testing.affinities import affinities, same_affinity
from splitbench.harness.testing.checks import ComponentCheck, SkippedCheck, enforce
from splitbench.harness.testing.material import require
from splitbench.harness.testing.small_spaces.chain import Chain
from splitbench.harness.testing.watching import random_state, scrambled
from splitbench.spaces.base import SearchSpace
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.truth import closed

MOST = 8
BRANCHINGS = (2, 3)


@contextlib.contextmanager
def blind(where: str) -> Iterator[None]:
    """No ground truth inside, as in a study. Asking for it is a failure, though the error that it raises is of the kind
    that components refuse with."""
    try:
        with closed():
            yield
    except SplitbenchError as error:
        if "asked for the ground truth" not in str(error):
            raise
        raise AssertionError(f"{where}: it asks for the ground truth, which only the measure stage may read") from error


def grouped(partitioner: Partitioner, affinity: Affinity, branching: int) -> Partition:
    """Its answer, required to be a partition, to depend on the generator alone and to leave the affinity as it was."""
    where = f"{partitioner} with {len(affinity.operations)} operations and branching {branching}"
    before, answers = copy.deepcopy(affinity), []
    for number in range(2):
        with scrambled(number) as start, blind(where):
            answers.append(partitioner(affinity, branching, np.random.default_rng(0)))
            moved = random_state() != start
        require(not moved, f"{where}: it draws or seeds global random numbers; take them from its rng alone")
    first, second = answers
    require(isinstance(first, Partition), f"{where}: gives {type(first).__name__}, not a Partition")
    require(
        sorted(op for group in first.groups for op in group) == list(affinity.operations) and all(first.groups),
        f"{where}: gives {first.groups}, which does not hold each of {affinity.operations} once",
    )
    ordered = tuple(sorted(tuple(sorted(group)) for group in first.groups))
    require(first.groups == ordered, f"{where}: gives {first.groups} out of order; Partition.of puts groups in order")
    require(bool(np.isfinite([first.cut, first.raw_cut, first.intra]).all()), f"{where}: a cut is not finite: {first}")
    require(first == second, f"{where}: two calls with equal generators give {first.groups} and {second.groups}")
    require(same_affinity(before, affinity), f"{where}: it writes to the affinity that it is given")
    return first


def refusing(partitioner: Partitioner, affinity: Affinity, branching: int) -> Partition | None:
    """None where it refuses with a sentence."""
    try:
        return grouped(partitioner, affinity, branching)
    except SplitbenchError:
        return None


def check_partitions(partitioner: Partitioner) -> None:
    """Two to eight operations, not numbered from 0 on, with several affinities and branchings."""
    for n in range(2, MOST + 1):
        for affinity in affinities(tuple(range(1, 2 * n, 2))):
            for branching in BRANCHINGS:
                try:
                    grouped(partitioner, affinity, branching)
                except SplitbenchError as error:
                    sentence = f"{partitioner} with {n} operations and branching {branching}: {error}"
                    raise AssertionError(sentence) from error


def check_few(partitioner: Partitioner) -> None:
    """No more groups than operations where the branching asks for more; one operation is one group."""
    for operations, branching in (((2,), 2), ((1, 4), 3), ((0, 2, 3), 8)):
        for affinity in affinities(operations):
            partition = refusing(partitioner, affinity, branching)
            require(
                partition is None or len(partition.groups) <= len(operations),
                f"{partitioner}: {len(operations)} operations and branching {branching} give {partition}",
            )


def partitioner_checks(partitioner: Partitioner) -> Iterator[ComponentCheck]:
    """The suite of a partitioner."""
    yield ComponentCheck(
        "2 to 8 operations: a partition of them all, by its generator alone", lambda: check_partitions(partitioner)
    )
    yield ComponentCheck("fewer operations than groups", lambda: check_few(partitioner))


def check_partitioner(partitioner: Partitioner) -> None:
    """All of :func:`partitioner_checks`; AssertionError with the sentence of the first that fails."""
    enforce(partitioner_checks(partitioner))


Candidates = dict[int, tuple[Affinity, Partition]]


def candidates_on(space: SearchSpace, edges: Sequence[int], kind: int) -> Candidates:
    """An affinity of one kind, its own on each edge, with its balanced halves."""
    candidates: Candidates = {}
    for edge in edges:
        affinity = affinities(space.root().allowed[edge], seed=edge)[kind]
        candidates[edge] = affinity, Balanced()(affinity, 2, np.random.default_rng(0))
    return candidates


def chosen_by(rule: EdgeRule, candidates: Candidates, where: str) -> tuple[int, ...]:
    """Its answer, required to name candidates only, and to depend on the generator alone."""
    answers = []
    for number in range(2):
        with scrambled(number) as start, blind(where):
            answer = rule(candidates, np.random.default_rng(0), 0)
            moved = random_state() != start
        require(not moved, f"{where}: it draws or seeds global random numbers; take them from its rng alone")
        answers.append(whole_numbers(answer, f"{where}: it"))
    first, second = answers
    require(first == second, f"{where}: two calls with equal generators give {first} and {second}")
    require(
        bool(first) and len(set(first)) == len(first) and set(first) <= set(candidates),
        f"{where}: chooses {first} from the candidates {sorted(candidates)}",
    )
    return first


def whole_numbers(answer: object, who: str) -> tuple[int, ...]:
    """One edge or several, required to be plain or numpy integers: a study takes ``int()`` of them, which would round
    2.5 and read a text."""
    several = tuple(answer) if isinstance(answer, Iterable) else (answer,)
    require(
        all(isinstance(edge, int | np.integer) and not isinstance(edge, bool) for edge in several),
        f"{who} names an edge by {answer!r}, which is neither an int nor several",
    )
    return tuple(int(edge) for edge in several)


def shortlisted(rule: EdgeRule, space: SearchSpace, where: str) -> list[int]:
    """The edges that it wants scores of, required to be some of those that can be split."""
    edges = list(range(len(space.edges)))
    try:
        with blind(where):
            answers = [shortlist(rule, edges, np.random.default_rng(0), 0, space) for _ in range(2)]
    except SplitbenchError as refusal:
        raise SkippedCheck(f"it refuses: {refusal}") from refusal
    first, second = (list(whole_numbers(answer, f"{where}: shortlist()")) for answer in answers)
    require(first == second, f"{where}: shortlist() with equal generators gives {first} and {second}")
    require(
        bool(first) and set(first) <= set(edges) and len(set(first)) == len(first),
        f"{where}: shortlist() gives {first} from the edges {edges}",
    )
    return first


def check_choice(rule: EdgeRule, space: SearchSpace) -> None:
    """It chooses among what it shortlists, whatever the affinities, also where a single edge is left."""
    where = f"{rule} on {space.name}"
    edges = shortlisted(rule, space, where)
    for kind, left in ((kind, left) for kind in range(4) for left in (edges, edges[:1])):
        try:
            chosen_by(rule, candidates_on(space, left, kind), where)
        except SplitbenchError as refusal:
            raise SkippedCheck(f"it refuses: {refusal}") from refusal


def check_consulted(rule: EdgeRule) -> None:
    """The criterion that it consults, if any, exists."""
    spec = getattr(rule, "consults", None)
    if spec is None:
        raise SkippedCheck("it consults no criterion of its own")
    build("criteria", spec, f"{rule}.consults")


def edge_rule_checks(rule: EdgeRule) -> Iterator[ComponentCheck]:
    """The suite of an edge rule."""
    for space in (Micro(), Chain()):
        name = f"{space.name}: shortlists some of the edges and chooses among them, by its generator alone"
        yield ComponentCheck(name, functools.partial(check_choice, rule, space))
    yield ComponentCheck("the criterion that it consults exists", lambda: check_consulted(rule))


def check_edge_rule(rule: EdgeRule) -> None:
    """All of :func:`edge_rule_checks`; AssertionError with the sentence of the first that fails."""
    enforce(edge_rule_checks(rule))
