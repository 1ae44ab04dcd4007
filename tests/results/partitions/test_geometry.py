"""Geometry of partitions: every number against brute force or a value worked out by hand."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from inspect import signature

import numpy as np
import pytest

from splitbench.criteria.controls.oracle import rank_eta_squared as oracle_rank_eta_squared
from splitbench.results.partitions import geometry as g
from splitbench.results.partitions.geometry_figure import geometry_svg
from splitbench.results.partitions.geometry_report import geometry_json, geometry_sheet
from splitbench.results.records.files import readable_json
from splitbench.results.words.render import sheet_markdown

RNG = np.random.default_rng(5)
TRUTH = np.round(RNG.normal(80, 5, 250), 0)  # with ties


def pairs_ari(a: list[int], b: list[int]) -> float:
    """Hubert and Arabie's index by counting pairs."""
    both = one = other = 0
    pairs = list(itertools.combinations(range(len(a)), 2))
    for i, j in pairs:
        both += a[i] == a[j] and b[i] == b[j]
        one += a[i] == a[j]
        other += b[i] == b[j]
    expected = one * other / len(pairs)
    return (both - expected) / ((one + other) / 2 - expected)


def measured(d: list[list[float]], error: list[list[float]] | None = None) -> g.MeasuredAffinity:
    return g.MeasuredAffinity(
        np.array(d, float), np.full((len(d), len(d)), np.nan) if error is None else np.array(error, float)
    )


def probing(edge: int, groups: list[int], labels: list[int], **affinities: g.MeasuredAffinity) -> g.Probing:
    return g.Probing((edge,), {edge: np.array(groups)}, np.array(labels), affinities)


def split(arm: str, repetition: int, labels: np.ndarray, draw: int = 0, **more: object) -> g.Split:
    leaves = tuple({"0-1": (f"op{leaf}",)} for leaf in np.unique(labels))
    words = ({"path": "root", "edge": "0-1", "groups": [[f"op{leaf}"] for leaf in np.unique(labels)]},)
    return g.Split(arm, repetition, draw, np.asarray(labels), leaves, words, **more)  # type: ignore[arg-type]


# --- two partitions ---------------------------------------------------------------------------------------------------


def test_ari_counts_pairs() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        a, b = rng.integers(3, size=40).tolist(), rng.integers(4, size=40).tolist()
        assert g.ari(a, b) == pytest.approx(pairs_ari(a, b), abs=1e-12)
    assert g.ari([0, 0, 1, 1], [5, 5, 2, 2]) == 1.0


def test_same_looks_through_names() -> None:
    assert g.same_partition([0, 0, 1, 2], [7, 7, 3, 0])
    assert not g.same_partition([0, 0, 1, 2], [7, 7, 3, 3])
    assert not g.same_partition([0, 0, 1, 1], [0, 0, 1, 2])
    assert not g.same_partition([0, 0, 1, 1], [0, 1, 1, 0])


# --- the ground truth -------------------------------------------------------------------------------------------------


def test_eta_squared_is_the_between_share_of_squares() -> None:
    labels = RNG.integers(4, size=len(TRUTH))
    overall = TRUTH.mean()
    between = sum((labels == k).sum() * (TRUTH[labels == k].mean() - overall) ** 2 for k in range(4))
    assert g.eta_squared(TRUTH, labels) == pytest.approx(between / ((TRUTH - overall) ** 2).sum(), rel=1e-12)
    assert g.eta_squared([1.0, 3.0, 5.0, 7.0], [0, 0, 1, 1]) == pytest.approx(16 / 20)
    assert g.eta_squared([1.0, 1.0, 7.0, 7.0], [3, 3, 9, 9]) == pytest.approx(1.0)
    assert g.eta_squared([2.0, 2.0, 2.0, 2.0], [0, 1, 0, 1]) == 0.0


def test_rank_eta_squared_is_the_oracles() -> None:
    labels = RNG.integers(4, size=len(TRUTH))
    assert g.share_of_rank_variance(TRUTH, labels) == pytest.approx(oracle_rank_eta_squared(TRUTH, labels), rel=1e-12)
    # ranks 1, 2.5, 2.5, 4: group means 1.75 and 3.25, deviations -0.75 and 0.75; 4 * 0.5625 / 4.5
    assert g.share_of_rank_variance([10.0, 20.0, 20.0, 1000.0], [0, 0, 1, 1]) == pytest.approx(0.5)
    # ranks 1 to 4: group means 1.5 and 3.5, so 4 * 1 / 5; the other way round each is a group of its own
    assert g.share_of_rank_variance([10.0, 20.0, 30.0, 1000.0], [0, 0, 1, 1]) == pytest.approx(0.8)
    assert g.share_of_rank_variance([0, 0, 1, 1], [10.0, 20.0, 30.0, 1000.0]) == pytest.approx(1.0)


@pytest.mark.parametrize("function", [g.eta_squared, g.share_of_rank_variance, g.concentration, g.against_truth])
def test_arguments_stand_in_the_oracles_order(function: Callable[..., object]) -> None:
    assert [*signature(oracle_rank_eta_squared).parameters] == ["values", "labels"]
    first, second, *_ = signature(function).parameters
    assert (first.replace("truth", "values"), second) == ("values", "labels")


def test_concentration_counts_the_best_and_those_tied_with_the_last() -> None:
    truth = np.arange(300.0)
    labels = np.zeros(300, dtype=int)
    labels[[299, 297]] = 4
    assert g.concentration(truth, labels) == 2 / 3  # the best three of 300
    truth[296] = 297.0
    assert g.concentration(truth, labels) == 2 / 4  # a fourth is tied with the third
    assert g.concentration(truth, labels, percent=100) == 298 / 300


def test_floors_are_expectations_over_all_draws() -> None:
    truth, labels = np.array([1.0, 4.0, 2.0, 2.0, 9.0]), np.array([0, 0, 1, 1, 2])
    found = g.against_truth(truth, labels)
    draws = list(itertools.product(truth[:2], truth[2:4], truth[4:]))
    assert found["leaf_floor[all]"] == pytest.approx(sum(max(d) for d in draws) / len(draws))
    free = list(itertools.product(truth, repeat=3))
    assert found["best_of_k[all]"] == pytest.approx(sum(max(d) for d in free) / len(free))
    assert found["leaves"] == 3


# --- affinities -------------------------------------------------------------------------------------------------------


def test_separation_is_spread_over_root_mean_square_error() -> None:
    d = [[0, 1, 3], [1, 0, 8], [3, 8, 0]]
    error = [[0, 1, 2], [1, 0, 2], [2, 2, 0]]
    assert measured(d, error).separation == pytest.approx(math.sqrt(13) / math.sqrt(3))  # variance of 1, 3, 8 is 13
    unknown = [[0, 1, math.nan], [1, 0, 2], [math.nan, 2, 0]]
    assert measured(d, unknown).separation == pytest.approx(math.sqrt(24.5) / math.sqrt(2.5)), "1 and 8 count"
    assert measured(d).separation is None
    assert measured(d, [[0.0] * 3] * 3).separation is None
    assert measured([[0, 1], [1, 0]], [[0, 1], [1, 0]]).separation is None, "one pair has no spread"


def test_separation_of_noise_is_about_one() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        upper = np.triu(rng.normal(0.5, 0.1, (5, 5)), 1)
        found.append(measured((upper + upper.T).tolist(), np.full((5, 5), 0.1).tolist()).separation)
    assert np.mean([f**2 for f in found if f is not None]) == pytest.approx(1.0, abs=0.1)


def test_agreement_of_two_scorings() -> None:
    first = probing(1, [0, 0, 1], [0, 0, 1, 1], a=measured([[0, 1, 2], [1, 0, 3], [2, 3, 0]]))
    other = measured([[0, 2, 1], [2, 0, 5], [1, 5, 0]])
    second = probing(1, [0, 1, 1], [0, 1, 1, 1], a=other, b=other)
    found = g.Agreement.of(first, second)
    assert found.same_edge == 1.0
    assert found.groups_ari == pytest.approx(pairs_ari([0, 0, 1], [0, 1, 1]))
    assert found.functions_ari == pytest.approx(pairs_ari([0, 0, 1, 1], [0, 1, 1, 1]))
    assert found.affinity_rho == pytest.approx(0.5), "1, 2, 3 against 2, 1, 5; edge b was scored once"


def test_agreement_where_the_edge_differs() -> None:
    one = measured([[0, 1], [1, 0]])
    found = g.Agreement.of(probing(0, [0, 1], [0, 0, 1, 1], a=one), probing(2, [0, 1], [0, 1, 0, 1], c=one))
    assert (found.same_edge, found.groups_ari, found.affinity_rho) == (0.0, None, None)
    assert found.functions_ari == pytest.approx(pairs_ari([0, 0, 1, 1], [0, 1, 0, 1]))


# --- a study ----------------------------------------------------------------------------------------------------------


def test_means_are_of_repetitions_and_not_of_draws() -> None:
    found = g.Averaged.of([(0, 1.0), (0, 0.0), (1, 2.0), (1, None), (2, None)])
    assert found.by == {0: 0.5, 1: 2.0, 2: None}
    assert found.mean == 1.25
    assert g.Averaged.of([]).mean is None


def labelings(n: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(np.arange(len(TRUTH)) % 3) for _ in range(n)]


def study() -> dict[str, list[g.Split]]:
    """Two repetitions: ``one`` and ``twin`` are the same partitions; ``lots`` and ``pair`` have draws."""
    a, b = labelings(2, 1)
    drawn = labelings(4, 2)
    affinity = measured([[0, 1, 2], [1, 0, 4], [2, 4, 0]], np.full((3, 3), 0.5).tolist())
    own = [probing(0, [0, 1, 2], labels.tolist(), e=affinity) for labels in (a, b)]
    return {
        "one": [split("one", r, labels, probings=(own[r], own[1 - r])) for r, labels in enumerate((a, b))],
        "twin": [split("twin", r, 2 - labels) for r, labels in enumerate((a, b))],
        "lots": [split("lots", i // 2, labels, draw=i % 2) for i, labels in enumerate(drawn)],
        "pair": [split("pair", i // 2, labels[::-1], draw=i % 2) for i, labels in enumerate(drawn)],
    }


def test_matrix_pairs_repetitions_and_draws() -> None:
    arms = study()
    found = g.matrix(list(arms.values()))
    one, lots, pair = arms["one"], arms["lots"], arms["pair"]
    assert [found[i][i].mean for i in range(4)] == [1.0] * 4
    assert found[0][1].mean == pytest.approx(1.0)
    each = [np.mean([g.ari(one[r].labels, lots[2 * r + d].labels) for d in (0, 1)]) for r in (0, 1)]
    assert found[0][2].by == pytest.approx({0: each[0], 1: each[1]})
    assert found[0][2].mean == found[2][0].mean == pytest.approx(np.mean(each))
    by_draw = [np.mean([g.ari(lots[2 * r + d].labels, pair[2 * r + d].labels) for d in (0, 1)]) for r in (0, 1)]
    assert found[2][3].by == pytest.approx({0: by_draw[0], 1: by_draw[1]})


def test_identical_arms_are_found() -> None:
    arms = study()
    assert g.identical(list(arms.values())) == [["one", "twin"]]
    first_alone = [arms["twin"][0], arms["lots"][2]]
    assert g.identical([arms["one"], first_alone]) == [], "once is not in every repetition"


def test_stability_pairs_what_it_says() -> None:
    found = g.scoring_stability(study()["one"])
    assert [key for key, _ in found["batches"]] == [0, 1]
    assert [key for key, _ in found["seeds"]] == [(0, 1)]
    assert found["initial"] == []
    assert all(one.same_edge == one.affinity_rho == 1.0 for _, one in found["batches"])
    assert g.scoring_stability(study()["twin"]) == {"batches": [], "seeds": [], "initial": []}


ABOUT = {
    "study": "made up",
    "space": "micro",
    "dataset": "digits",
    "truth": "a table",
    "seeds": 2,
    "probes": 2,
    "reads_truth": ["pair"],
    "not_splitting": ["none"],
    "skipped": {"odd": "no reason"},
}


def test_report_holds_every_number() -> None:
    arms = study()
    found = geometry_json(ABOUT, arms, TRUTH)
    assert json.loads(readable_json(found)) == json.loads(json.dumps(found))
    assert found["population"] == "all 250 distinct connected functions"
    one, _, lots, _ = found["arms"]
    etas = [g.share_of_rank_variance(TRUTH, s.labels) for s in arms["lots"]]
    assert lots["metrics"]["rank_eta2[all]"]["by_repetition"] == pytest.approx(
        {"0": (etas[0] + etas[1]) / 2, "1": (etas[2] + etas[3]) / 2}
    )
    assert lots["metrics"]["rank_eta2[all]"]["mean"] == pytest.approx(np.mean(etas))
    assert [p["metrics"]["rank_eta2[all]"] for p in lots["partitions"]] == etas
    assert lots["partitions"][0]["sizes"] == [84, 83, 83]
    assert lots["stability"] == {"batches": None, "seeds": None, "initial": None}
    assert lots["separation"] == {"mean": None, "by_repetition": {}, "by_edge": {}}
    expected = float(np.std([1, 2, 4], ddof=1)) / 0.5
    assert one["separation"]["by_edge"] == pytest.approx({"e": expected})
    assert one["separation"]["mean"] == pytest.approx(expected)
    assert one["stability"]["seeds"]["same_edge"] == {"mean": 1.0, "by_repetition": {"0-1": 1.0}}
    assert one["stability"]["initial"] is None


def test_sheet_and_picture_name_population_and_oracles() -> None:
    found = geometry_json(ABOUT, study(), TRUTH)
    text = sheet_markdown(geometry_sheet(found))
    assert "one, twin choose one and the same partition in every repetition." in text
    assert "| pair † " in text
    assert "lots" in text
    assert "all 250 distinct connected functions" in text
    assert "skipped arm: odd: no reason" in text
    assert "-0.00" not in text
    svg = geometry_svg(found)
    assert svg == geometry_svg(found)
    assert b"rank_eta2 [all]" in svg
    assert b"ARI of partitions [all]" in svg
    assert "pair †".encode() in svg
