"""A space in DARTS' shape against brute force: what is listed, sampled, owned and split; a study runs on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_studies import run_tiny

from splitbench.criteria.base import unfit
from splitbench.criteria.controls.oracle import Oracle
from splitbench.criteria.gm import GradientMatching
from splitbench.criteria.lid import Lid
from splitbench.criteria.structure import ConvSize, Nonlinearity
from splitbench.harness import registry
from splitbench.harness.errors import ConfigError
from splitbench.harness.proxy_ranking.rank import pool
from splitbench.harness.testing import check_space
from splitbench.harness.testing.small_spaces.two_cells import TwoCells, enumerated_truth
from splitbench.harness.testing.small_spaces.two_cells_supernet import NONE
from splitbench.results.measures.metrics import leaf_floor
from splitbench.spaces.architectures.populations import by_leaf, everything, population, reference
from splitbench.spaces.architectures.subspaces import overlapping, owner
from splitbench.spaces.base import Architecture, SubSpace
from splitbench.spaces.truth import SurrogateTruth, closed

SMALL = TwoCells(3)
HIDDEN = TwoCells(3, listable=False)
ROOT = SMALL.root()
# The second kind of edge loses ``none`` and must be taken; the third is cut off from everything but ``none``.
NARROW = ROOT.only(2, (2,)).only(9, (NONE,)).only(0, (0, NONE))
IMPOSSIBLE = ROOT.only(2, (0,)).only(3, (0,)).only(4, (2,))
SPLIT = SMALL.divide(ROOT, 2, [(0,), (2,)])
SUBSPACES = (ROOT, NARROW, IMPOSSIBLE, *SPLIT, *SMALL.divide(SPLIT[1], 9, [(0,), (2,)]))


def is_architecture(a: Architecture) -> bool:
    """Two inputs a node, said again by hand: nodes of both cells and the edges that lead into them."""
    return all(sum(a[e] != 1 for e in edges) == 2 for edges in ((0, 1), (2, 3, 4), (5, 6), (7, 8, 9)))


def strings(subspace: SubSpace) -> Iterator[Architecture]:
    return (a for a in itertools.product(*subspace.allowed) if is_architecture(a))


def by_hand(subspace: SubSpace) -> list[Architecture]:
    """Of all architectures that compute the same logits (a node that nobody takes may hold anything), the first."""
    seen: dict[Any, Architecture] = {}
    for a in strings(ROOT):
        key = tuple(cell if cell[4] != 1 else cell[2:] for cell in (a[:5], a[5:]))
        seen.setdefault(key, a)
    return sorted(a for a in seen.values() if subspace.contains(a))


@pytest.fixture(scope="module")
def hand() -> dict[SubSpace, list[Architecture]]:
    return {subspace: by_hand(subspace) for subspace in SUBSPACES}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    registry.register("spaces", "two_cells")(TwoCells)


@pytest.mark.parametrize("space", [TwoCells(), HIDDEN], ids=["listed", "hidden"])
def test_it_holds_what_every_space_must(space: TwoCells) -> None:
    check_space(space, (1, 8, 8))


def test_functions_counts_and_emptiness_are_those_of_brute_force(hand: dict[SubSpace, list[Architecture]]) -> None:
    assert len(hand[ROOT]) == 36**2
    for subspace, expected in hand.items():
        assert [tuple(row) for row in SMALL.functions(subspace).tolist()] == expected
        assert SMALL.count(subspace) == len(expected)
        assert HIDDEN.count(subspace) == sum(1 for _ in strings(subspace))
        for space in (SMALL, HIDDEN):
            assert space.is_empty(subspace) == (not expected)
    assert hand[NARROW]
    assert not hand[IMPOSSIBLE]


def test_dead_nodes_change_no_logit_and_equal_functions_are_equal() -> None:
    supernet, images = SMALL.supernet(0), torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    dead = [(0, 2, 2, 0, 1, 2, 2, 0, 2, 1), (2, 2, 2, 0, 1, 0, 2, 0, 2, 1)]
    with torch.no_grad():
        first, second = (supernet(images, a) for a in dead)
        other = supernet(images, (0, 2, 2, 1, 0, 2, 2, 0, 2, 1))
    assert SMALL.function(dead[0]) == SMALL.function(dead[1])
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.allclose(first, other)


def test_what_cannot_be_listed_is_sampled_from_the_same_functions(hand: dict[SubSpace, list[Architecture]]) -> None:
    """Every draw is one of the enumerated functions; with enough draws a small subspace is found whole."""
    for subspace, expected in hand.items():
        drawn = [tuple(row) for row in HIDDEN.sample_functions(30, np.random.default_rng(1), subspace).tolist()]
        assert set(drawn) <= set(expected)
        assert len(drawn) == min(30, len(expected))
        assert drawn == sorted(drawn)
    whole = HIDDEN.sample_functions(10_000, np.random.default_rng(1), NARROW)
    assert [tuple(row) for row in whole.tolist()] == hand[NARROW]


def test_samples_of_a_listed_space_are_uniform_over_functions() -> None:
    """Counts of 4,000 single draws from 162 functions: chi-square with 161 degrees of freedom, false alarm 1e-6."""
    sub = NARROW.only(7, (0,))
    rows = SMALL.functions(sub)
    rng = np.random.default_rng(2)
    counts = {tuple(row): 0 for row in rows.tolist()}
    for _ in range(4000):
        counts[tuple(SMALL.sample_functions(1, rng, sub)[0].tolist())] += 1
    expected, freedom = 4000 / len(rows), len(rows) - 1
    chi = sum((n - expected) ** 2 / expected for n in counts.values())
    assert chi < freedom + 4.75 * np.sqrt(2 * freedom) + 4.75**2


def test_sample_is_uniform_over_architectures() -> None:
    sub = ROOT.only(0, (0, 1)).only(1, (2,)).only(5, (0,)).only(6, (0,)).only(7, (0,)).only(8, (0, 1)).only(9, (1,))
    space, rng = SMALL, np.random.default_rng(3)
    every = list(strings(sub))
    counts = dict.fromkeys(every, 0)
    for _ in range(3000):
        counts[space.sample(rng, sub)] += 1
    expected, freedom = 3000 / len(every), len(every) - 1
    assert len(every) == 12
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < freedom + 4.75 * (2 * freedom) ** 0.5 + 22.6


def test_none_stays_in_every_child_and_the_first_leaf_owns_what_it_shares() -> None:
    first, second = SPLIT
    assert (first.allowed[2], second.allowed[2]) == ((0, NONE), (NONE, 2))
    rows = everything(SMALL)
    owners = owner(SPLIT, rows)
    by_row = [next(i for i, leaf in enumerate(SPLIT) if leaf.contains(tuple(row))) for row in rows.tolist()]
    assert owners.tolist() == by_row
    shared = rows[:, 2] == NONE
    assert shared.any()
    assert (owners[shared] == 0).all()
    assert (rows[owners == 1][:, 2] == 2).all()
    assert overlapping(second, [first]) == (first,)
    assert owner([second], rows[rows[:, 2] == 0]).tolist() == [-1] * int((rows[:, 2] == 0).sum())


def test_groups_that_name_what_stays_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"a criterion compares those that probe\.operations\(edge\) names"):
        SMALL.divide(ROOT, 2, [(0, NONE), (2,)])


@pytest.mark.parametrize("space", [SMALL, HIDDEN], ids=["listed", "hidden"])
def test_populations_of_leaves_partition_the_population(space: TwoCells) -> None:
    leaves = [*SMALL.divide(SPLIT[0], 8, [(0,), (2,)]), SPLIT[1]]
    whole = population(space, 200, 5)
    parts = [population(space, 200, 5, leaf, leaves[:index]) for index, leaf in enumerate(leaves)]
    assert len(whole) == 200
    assert sorted(map(tuple, np.concatenate(parts).tolist())) == sorted(map(tuple, whole.tolist()))
    assert all(len(part) for part in parts)


def test_a_population_of_all_needs_a_list() -> None:
    assert len(population(SMALL, None, 0)) == 36**2
    with pytest.raises(ConfigError, match="cannot be listed, so all of them cannot be ranked; name a sample"):
        population(HIDDEN, None, 0)
    with pytest.raises(ConfigError, match="take --population functions"):
        pool(SMALL, "strings", 5, 0)
    with pytest.raises(ConfigError, match="name a number with --sample"):
        pool(HIDDEN, "functions", None, 0)
    assert pool(HIDDEN, "functions", 20, 0) == pool(HIDDEN, "functions", 40, 0)[:20]


def test_the_leaf_floor_of_owned_functions_is_that_of_brute_force_and_estimated_where_nothing_is_listed() -> None:
    """The estimate comes from all functions of these leaves: 2,000 draws find each of them."""
    truth = enumerated_truth(3)
    rows, owners = by_leaf(SMALL, SPLIT)
    floor = leaf_floor(truth.test(rows), [owners == 0, owners == 1])
    a, b = (truth.test(rows[owners == i]) for i in (0, 1))
    assert floor == pytest.approx(np.maximum(a[:, None], b).mean())
    drawn, of = by_leaf(HIDDEN, SPLIT)
    assert sorted(map(tuple, drawn.tolist())) == sorted(map(tuple, rows.tolist()))
    assert leaf_floor(truth.test(drawn), [of == 0, of == 1]) == pytest.approx(floor)
    missed = set(map(tuple, reference(SMALL).tolist())) - set(map(tuple, reference(HIDDEN).tolist()))
    assert len(reference(SMALL)) == 36**2
    assert len(missed) < 10  # a thousand draws in vain end the search


def test_weights_are_read_as_the_two_strongest_inputs_of_each_node() -> None:
    alpha = torch.zeros(SMALL.weights_shape)
    alpha[:, NONE] = 9.0  # the strongest everywhere, and never an answer
    for edge, op, value in ((2, 0, 1.0), (3, 2, 3.0), (4, 2, 2.0), (7, 0, 5.0), (8, 2, 1.0), (9, 0, 2.0), (0, 2, 1.0)):
        alpha[edge, op] = value
    assert SMALL.discretise(alpha, ROOT) == (2, 0, 1, 2, 2, 0, 0, 0, 1, 0)
    must = ROOT.only(2, (0, 2))  # without ``none`` the edge must be taken
    assert SMALL.discretise(alpha, must)[2:5] == (0, 2, 1)
    for subspace in SUBSPACES:
        drawn = torch.randn(SMALL.weights_shape, generator=torch.Generator().manual_seed(4))
        if SMALL.is_empty(subspace):
            continue
        strength = SMALL.mixture(drawn, subspace).weights
        best = max(
            (a for a in strings(subspace)),
            key=lambda a: sum(float(strength[e, op]) for e, op in enumerate(a) if op != NONE),
        )
        assert SMALL.discretise(drawn, subspace) == best


def test_the_surrogate_says_what_the_table_says() -> None:
    table, surrogate = SMALL.ground_truth("any"), HIDDEN.ground_truth("any")
    assert isinstance(surrogate, SurrogateTruth)
    rows = everything(SMALL)[::50]
    np.testing.assert_allclose(surrogate.test(rows), table.test(rows))
    assert surrogate.per_seed(rows).shape == (len(rows), 3)
    np.testing.assert_array_equal(surrogate.per_seed(rows[:4]), surrogate.per_seed(rows)[:4])
    assert surrogate.best() is None
    assert table.best() == table.test(everything(SMALL)).max()
    assert not surrogate.has_validation
    with closed(), pytest.raises(ConfigError, match="only the measure stage may read it"):
        HIDDEN.ground_truth("any")


def test_a_space_that_overrides_the_old_method_is_guarded_and_works() -> None:
    class Old(TwoCells):
        def ground_truth(self, dataset: str) -> Any:
            return super().ground_truth(dataset)

    assert Old(3).ground_truth("any").best() == enumerated_truth(3).best()
    with closed(), pytest.raises(ConfigError, match="only the measure stage may read it"):
        Old(3).ground_truth("any")


def test_what_cannot_serve_it_says_why() -> None:
    assert "as_shipped draws contexts that may not use" in str(unfit(GradientMatching("as_shipped"), SMALL))
    assert "as_shipped draws contexts that may not use" in str(unfit(Lid("as_shipped"), SMALL))
    assert "a cell that repeats" in str(unfit(Nonlinearity(), SMALL))
    assert "cannot be listed" in str(unfit(Oracle(), HIDDEN))
    assert unfit(Oracle(), SMALL) is unfit(ConvSize(), SMALL) is unfit(GradientMatching(), SMALL) is None


ARMS: list[Any] = [
    "none",
    "random",
    {"criterion": "exhaustive", "edges": [2]},
    {"criterion": "gm", "repetitions": 1},
    {"criterion": "gm", "repetitions": 1, "variant": "as_shipped"},
    {"criterion": "output_distance", "repetitions": 1},
    {"criterion": "lid", "repetitions": 1},
    {"criterion": "zero_cost", "repetitions": 1},
    {"criterion": "gradient_contribution", "repetitions": 1},
    {"criterion": "perturbation", "repetitions": 1, "images": 8},
    "conv_size",
    "oracle",
    {"name": "two levels", "criterion": "random", "schedule": {"levels": 2}},
    {"name": "momentum", "criterion": "random", "modifiers": ["momentum_groups"]},
    {"name": "all", "criterion": "random", "selector": "all"},
    {
        "name": "darts",
        "criterion": "gm",
        "repetitions": 1,
        "trainer": {"name": "darts", "batch_size": 8},
        "selector": "argmax_alpha",
    },
]


FEWER = [ARMS[i] for i in (0, 1, 3, 11, 12, 13, 15)]


@pytest.mark.parametrize("listable", [True, False], ids=["listed", "hidden"])
def test_a_study_of_many_arms_runs_on_it(listable: bool, tmp_path: Path) -> None:
    space = {"name": "two_cells", "choices": 3, "listable": listable}
    trainer = {"name": "rsps", "batch_size": 8}
    notes = run_tiny(
        tmp_path,
        space=space,
        trainer=trainer,
        budget={"steps": 150},
        population={"sample": 15},
        arms=ARMS if listable else FEWER,
        evaluation={"images": 20},
    )
    ran = {record.arm: record for record in notes.records}
    assert len(ran) == (len(ARMS) if listable else len(FEWER)) - 1  # gm as_shipped is skipped, or the oracle
    for record in notes.records:
        decoded = TwoCells(3).decode(record.selection.architecture)
        assert TwoCells(3).connected(decoded)
        leaves = record.selection.leaves
        assert sum(leaf.population for leaf in leaves) == 15
        for leaf in leaves:
            for allowed in leaf.allowed:
                assert NONE in allowed
