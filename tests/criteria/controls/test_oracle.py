"""The oracle against analysis of variance written out, and against known facts of NAS-Bench-201."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from scipy.stats import kruskal, rankdata

from splitbench.criteria.base import Affinity, Groups, Parts, Probe, reads_truth, unfit
from splitbench.criteria.controls.oracle import Oracle, rank_eta_squared
from splitbench.criteria.partitioners.graphs import BestWorth
from splitbench.harness.errors import ConfigError
from splitbench.spaces.base import SubSpace
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb201.space import NB201
from splitbench.spaces.nb_macro.space import NBMacro
from splitbench.spaces.truth import GroundTruth, TableTruth

RNG = np.random.default_rng(0)
NUMBER_OF_PARTITIONS = {1: 0, 2: 1, 3: 4, 4: 14, 5: 51, 6: 202, 7: 876, 8: 4139}  # Bell numbers less one


class Opened:
    """A probe of an oracle: the space, the subspace, the truth, and nothing that costs."""

    def __init__(self, space: Any, subspace: SubSpace, truth: GroundTruth) -> None:
        self.space, self.subspace, self._truth = space, subspace, truth

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]

    def truth(self) -> GroundTruth:
        return self._truth


def probe(space: Any, subspace: SubSpace, truth: GroundTruth) -> Probe:
    return cast(Probe, Opened(space, subspace, truth))


class OneEdge:
    """A space of one edge after a free digit, every architecture a function of its own."""

    def functions(self, subspace: SubSpace) -> np.ndarray:
        return np.array(list(itertools.product(*subspace.allowed)), dtype=np.int8).reshape(-1, 2)


def one_edge(accuracy: dict[int, list[float]], allowed: tuple[int, ...] | None = None) -> Probe:
    """Edge 1 has the operations that are named; each has as many architectures as it has accuracies, all as many."""
    operations = tuple(sorted(accuracy))
    copies = len(accuracy[operations[0]])
    rows = [(i, op) for i in range(copies) for op in operations]
    values = np.array([[accuracy[op][i]] for i, op in rows])
    truth = TableTruth(np.array(rows, dtype=np.int8), None, values, lambda a: a, "made up")
    return probe(OneEdge(), SubSpace((tuple(range(copies)), allowed or operations)), truth)


@pytest.fixture(scope="module")
def micro_truth() -> GroundTruth:
    return Micro().ground_truth("digits")


def anova(values: np.ndarray, labels: np.ndarray) -> float:
    """Between-group sum of squares of the ranks over their total, written out."""
    ranks = rankdata(values)
    groups = [ranks[labels == label] for label in np.unique(labels)]
    between = sum(len(group) * (group.mean() - ranks.mean()) ** 2 for group in groups)
    within = sum(((group - group.mean()) ** 2).sum() for group in groups)
    return float(between / (between + within))


# -- eta squared ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("groups", [2, 3, 5])
def test_eta_squared_is_that_of_an_analysis_of_variance(groups: int, ties: bool) -> None:
    rng = np.random.default_rng(groups)
    labels = rng.integers(0, groups, 200)
    values = rng.normal(size=200) + labels
    values = np.round(values) if ties else values
    found = rank_eta_squared(values, labels)
    assert found == pytest.approx(anova(values, labels), abs=1e-12)
    samples = [values[labels == g] for g in range(groups)]
    assert found == pytest.approx(kruskal(*samples).statistic / 199, abs=1e-12)
    assert rank_eta_squared(np.exp(values), np.array(list("abcde"))[labels]) == found  # ranks and groups alone matter


def test_eta_squared_by_hand() -> None:
    assert rank_eta_squared([1.0, 2.0, 30.0, 40.0], [0, 0, 1, 1]) == pytest.approx(4 / 5)  # ranks -1.5 -.5 .5 1.5
    assert rank_eta_squared([1.0, 1.0, 2.0], [0, 1, 1]) == pytest.approx(0.25)  # ranks 1.5 1.5 3: .375 of 1.5
    assert rank_eta_squared([7.0, 8.0], [3, 5]) == 1.0
    assert rank_eta_squared([7.0, 8.0], [3, 3]) == 0.0
    assert rank_eta_squared([7.0, 7.0], [3, 5]) == 0.0
    assert rank_eta_squared([], []) == 0.0


@pytest.mark.parametrize(("values", "labels"), [([1.0, 2.0], [1]), ([1.0, np.nan], [0, 1]), ([[1.0], [2.0]], [0, 1])])
def test_eta_squared_refuses_what_it_cannot_rank(values: Any, labels: Any) -> None:
    with pytest.raises(ValueError, match="finite values"):
        rank_eta_squared(values, labels)


# -- the criterion ----------------------------------------------------------------------------------------------------


def labelled(groups: Groups, operations: np.ndarray) -> np.ndarray:
    number = np.full(operations.max() + 1, -1)
    for i, group in enumerate(groups):
        number[list(group)] = i
    return number[operations]


def concentration(accuracy: np.ndarray, labels: np.ndarray) -> float:
    """Share of the top 1 % in a group less its share of all, the largest over groups."""
    top = rankdata(-accuracy, method="min") <= np.ceil(len(accuracy) / 100)
    return max(float((labels[top] == g).mean() - (labels == g).mean()) for g in np.unique(labels))


@pytest.mark.parametrize("edge", range(6))
def test_worths_on_micro_are_those_of_every_partition(micro_truth: GroundTruth, edge: int) -> None:
    subspace = Micro().root() if edge % 2 == 0 else Micro().root().only(2, [0, 3]).only(edge, [0, 1, 3, 4])
    opened = probe(Micro(), subspace, micro_truth)
    functions = Micro().functions(subspace)
    accuracy, tested = np.array([row.mean() for row in micro_truth.per_seed(functions)]), micro_truth.test(functions)
    variance, top = Oracle()(opened, edge), Oracle("top")(opened, edge)
    operations = subspace.allowed[edge]
    for affinity in (variance, top):
        assert affinity.operations == operations
        assert len({groups for groups, _ in affinity.worth}) == NUMBER_OF_PARTITIONS[len(operations)]
        assert len(affinity.worth) == NUMBER_OF_PARTITIONS[len(operations)]
        assert affinity.repetitions == 0
        assert np.isnan(affinity.standard_error[np.triu_indices(len(operations), 1)]).all()
    for groups, worth in variance.worth:
        labels = labelled(groups, functions[:, edge])
        assert worth == pytest.approx(anova(accuracy, labels), abs=1e-12)
        assert worth == rank_eta_squared(tested, labels)
    for groups, worth in top.worth:
        assert worth == pytest.approx(concentration(accuracy, labelled(groups, functions[:, edge])), abs=1e-12)
    for (i, a), (j, b) in itertools.product(enumerate(operations), repeat=2):
        difference = accuracy[functions[:, edge] == a].mean() - accuracy[functions[:, edge] == b].mean()
        assert variance.dissimilarity[i, j] == pytest.approx(abs(difference), abs=1e-9)


def test_finer_partitions_explain_no_less(micro_truth: GroundTruth) -> None:
    worth = dict(Oracle()(probe(Micro(), Micro().root(), micro_truth), 3).worth)
    for groups, value in worth.items():
        for group, part in itertools.product(groups, range(1, 4)):
            if part < len(group):
                finer = tuple(sorted([*(g for g in groups if g != group), group[:part], group[part:]]))
                assert worth[finer] >= value - 1e-12


def test_the_best_partition_beats_all_others_of_its_number(micro_truth: GroundTruth) -> None:
    affinity = Oracle()(probe(Micro(), Micro().root(), micro_truth), 0)
    for k in (2, 3):
        best = BestWorth()(affinity, k, RNG)
        assert best.cut == max(worth for groups, worth in affinity.worth if len(groups) == k) > 0
        assert dict(affinity.worth)[best.groups] == best.cut


def test_by_hand() -> None:
    opened = one_edge({1: [10.0, 20.0], 4: [30.0, 40.0], 6: [15.0, 35.0]})  # ranks 1 3, 4 6, 2 5: sums -3 3 0
    affinity = Oracle()(opened, 1)
    assert dict(affinity.worth) == pytest.approx(
        {
            ((1,), (4, 6)): (9 / 2 + 9 / 4) / 17.5,
            ((1, 4), (6,)): 0.0,
            ((1, 6), (4,)): (9 / 4 + 9 / 2) / 17.5,
            ((1,), (4,), (6,)): 9 / 17.5,
        }
    )
    np.testing.assert_allclose(affinity.dissimilarity, [[0, 20, 10], [20, 0, 10], [10, 10, 0]])
    assert BestWorth()(affinity, 2, RNG).groups == ((1,), (4, 6))  # of equally good ones the first
    assert dict(Oracle("top")(opened, 1).worth) == pytest.approx(  # the best of six is one of operation 4's
        {((1,), (4, 6)): 1 / 3, ((1, 4), (6,)): 1 / 3, ((1, 6), (4,)): 2 / 3, ((1,), (4,), (6,)): 2 / 3}
    )


def test_functions_that_tie_with_the_last_of_the_top_belong_to_it() -> None:
    worth = dict(Oracle("top")(one_edge({0: [9.0, 1.0], 1: [9.0, 2.0], 2: [3.0, 4.0]}), 1).worth)
    assert worth[(0, 1), (2,)] == pytest.approx(1 - 2 / 3)
    assert worth[(0,), (1, 2)] == pytest.approx(1 / 2 - 1 / 3)


@pytest.mark.parametrize("n", range(1, 9))
def test_two_to_eight_operations(n: int) -> None:
    rng = np.random.default_rng(n)
    operations = tuple(range(3, 3 + n))
    opened = one_edge({op: list(rng.normal(80, 5, size=4)) for op in operations})
    for objective in ("variance", "top"):
        affinity = Oracle(objective)(opened, 1)
        assert len(affinity.worth) == NUMBER_OF_PARTITIONS[n]
        assert BestWorth()(affinity, 2, RNG).groups[0][0] == 3


def test_equal_accuracies_tell_no_partition_from_another() -> None:
    for objective in ("variance", "top"):
        affinity = Oracle(objective)(one_edge({op: [50.0, 50.0] for op in range(4)}), 1)
        assert not affinity.dissimilarity.any()
        assert {worth for _, worth in affinity.worth} == {0.0}


def test_an_operation_without_functions_takes_the_mean_of_all_and_adds_nothing(micro_truth: GroundTruth) -> None:
    """Nothing reaches node 1, so the only functions left have none on its outgoing edge 2."""
    cut_off = Micro().root().only(0, [0])
    affinity = Oracle()(probe(Micro(), cut_off, micro_truth), 2)
    assert set(Micro().functions(cut_off)[:, 2]) == {0}
    assert not affinity.dissimilarity.any()
    assert {worth for _, worth in affinity.worth} == {0.0}
    lacking = Micro().root().only(0, [0]).only(2, [1, 3])
    empty = Oracle("top")(probe(Micro(), lacking, micro_truth), 2)  # no function at all
    assert (empty.dissimilarity.max(), empty.worth) == (0.0, ((((1,), (3,)), 0.0),))


def test_it_declares_itself_and_its_parts() -> None:
    assert reads_truth(Oracle())
    assert Oracle("top").parts() == Parts("best_worth", "normalised_max_cut")


def test_it_refuses_what_it_cannot_enumerate() -> None:
    class Wide:
        can_list = True
        allowed: tuple[tuple[int, ...], ...] = ((0, 1), tuple(range(9)))

        def root(self) -> SubSpace:
            return SubSpace(self.allowed)

    class Deep(Wide):
        allowed = ((0, 1, 2),) * 20

    assert unfit(Oracle(), Micro()) is None
    assert unfit(Oracle(), NBMacro()) is None
    assert (
        unfit(Oracle(), cast(Any, Wide())) == "an edge has 9 operations, and the oracle judges all partitions of "
        "8 at most"
    )
    assert unfit(Oracle(), cast(Any, Deep())) == "it has 3.5e+09 strings, and the oracle looks up 2,000,000 at most"
    with pytest.raises(ConfigError, match="edge 1 allows 9 operations, and all partitions of at most 8"):
        Oracle()(one_edge({op: [1.0] for op in range(9)}), 1)


# -- NAS-Bench-201 ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strings() -> np.ndarray:
    """All 15,625 architectures as written, not only distinct functions."""
    return np.array(list(itertools.product(range(5), repeat=6)), dtype=np.int8)


@pytest.mark.real_data
def test_exhaustive_splits_of_nas_bench_201(real_data: Path, strings: np.ndarray) -> None:
    """Published means of CIFAR-10 test accuracy, over strings."""
    accuracy = NB201().ground_truth("cifar10").test(strings)
    found = [rank_eta_squared(accuracy, strings[:, edge]) for edge in range(6)]
    assert [round(value, 3) for value in found] == [0.198, 0.080, 0.022, 0.199, 0.063, 0.153]
    assert found == pytest.approx([anova(accuracy, strings[:, edge]) for edge in range(6)], abs=1e-12)


@pytest.mark.real_data
def test_means_of_the_single_trainings_give_slightly_other_shares(real_data: Path, strings: np.ndarray) -> None:
    """Edge 5 then has .152, and the best two-way splits of edges 0 and 3 set both convolutions apart."""
    accuracy = np.nanmean(NB201().ground_truth("cifar10").per_seed(strings), axis=1)
    found = [rank_eta_squared(accuracy, strings[:, edge]) for edge in range(6)]
    assert [round(value, 3) for value in found] == [0.198, 0.080, 0.022, 0.199, 0.063, 0.152]
    for edge, expected in ((0, 0.160), (3, 0.151)):
        worth = {
            apart: rank_eta_squared(accuracy, np.isin(strings[:, edge], apart))
            for size in (1, 2)
            for apart in itertools.combinations(range(5), size)
        }
        best = max(worth, key=lambda apart: worth[apart])
        assert best == (2, 3)
        assert round(worth[best], 3) == expected


@pytest.mark.real_data
def test_the_oracle_of_nas_bench_201_looks_at_functions(real_data: Path) -> None:
    space = NB201()
    truth, functions = space.ground_truth("cifar10"), space.functions(space.root())
    worth = dict(Oracle()(probe(space, space.root(), truth), 0).worth)
    singletons = worth[(0,), (1,), (2,), (3,), (4,)]
    assert singletons == rank_eta_squared(truth.test(functions), functions[:, 0])
    assert isinstance(Oracle()(probe(space, space.root(), truth), 0), Affinity)
