"""Proxies as rankers of stand-alone networks: what a score depends on, what survives a kill, what is compared."""

from __future__ import annotations

import copy
import importlib.util
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from splitbench.criteria.base import unfit
from splitbench.criteria.proxies.base import Network, Scores
from splitbench.harness import registry
from splitbench.harness.errors import ConfigError, SplitbenchError, StoreError
from splitbench.harness.part import Part
from splitbench.harness.proxy_ranking import rank
from splitbench.harness.proxy_ranking.rank import (
    fast_spearman,
    functions_of,
    measure_proxies,
    pool,
    pooled_scores,
    rank_correlation,
    stand_alone_accuracies,
)
from splitbench.harness.proxy_ranking.scores import ScoreFile, open_existing
from splitbench.harness.proxy_ranking.scoring import NETWORKS_PER_STAGE, RankingJob, proxy_label, score
from splitbench.harness.registry import register
from splitbench.harness.stages.context import StageContext
from splitbench.harness.stages.score_networks import COLUMNS, NetworkScore, ScoreNetworks, Scorer
from splitbench.harness.stores.folder import StageStore
from splitbench.results.measures import ranking
from splitbench.spaces.base import Architecture, SearchSpace
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb_macro.space import NBMacro

JOB = RankingJob("micro", "digits", seed=3, batch_size=16)
MICRO = Micro().bind((1, 8, 8), 10)
CUT_OFF = (0, 0, 0, 0, 0, 0)


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    """Small proxies, for the length of a test."""
    before = dict(registry._registered)

    @register("proxies", "toy_size")
    def size(network: Network) -> float:
        """Number of weights."""
        return float(sum(w.numel() for w in network.weights()))

    @register("proxies", "toy_gradient")
    def gradient(network: Network, *, batches: int = 1) -> float:
        """Length of the gradient."""
        total = 0.0
        for repetition in range(batches):
            images, labels = network.batch(repetition)
            loss = functional.cross_entropy(network(images), labels)
            total += sum(float(g.norm()) for g in network.gradient(loss, network.weights()))
        return total

    @register("proxies", "toy_vandal")
    @torch.no_grad()
    def vandal(network: Network) -> float:
        """Leaves nothing as it was."""
        for parameter in network.module.parameters():
            parameter.zero_()
        network.module.double()
        return 0.0

    @register("proxies", "toy_noise")
    def noise(network: Network) -> float:
        """Draws from torch's own random state."""
        return float(torch.randn(()))

    @register("proxies", "toy_pair")
    @dataclass(frozen=True)
    class Pair:
        """Two terms, ranked over the pool."""

        sign: float = 1.0

        def __call__(self, network: Network) -> tuple[float, float]:
            choice = network.choice
            assert isinstance(choice, tuple)
            return float(network.space.convolutions(choice)), self.sign * network.space.macs(choice)

        def combine(self, terms: Scores) -> Scores:
            ranks: Scores = terms.argsort(axis=0).argsort(axis=0).sum(axis=1).astype(np.float64)
            return ranks

    @register("proxies", "toy_gaps")
    def gaps(network: Network) -> float:
        """No answer where the network is cut off."""
        assert isinstance(network.choice, tuple)
        if not network.space.connected(network.choice):
            return math.nan
        return float(network.space.macs(network.choice))

    @register("proxies", "toy_broken")
    def broken(network: Network) -> float:
        """Never works."""
        raise RuntimeError("nothing to see here\nand more")

    @register("proxies", "toy_thief")
    def thief(network: Network) -> float:
        """Looks at the answer."""
        assert isinstance(network.choice, tuple)
        return float(network.space.ground_truth("digits").test([network.choice])[0])

    @register("proxies", "toy_unfit")
    @dataclass(frozen=True)
    class Unfit:
        """Serves another space."""

        def __call__(self, network: Network) -> float:
            return 0.0

        def unfit(self, space: SearchSpace) -> str | None:
            return "it counts heads" if space.name == "micro" else None

    yield
    registry._registered.clear()
    registry._registered.update(before)


def scorer_of(job: RankingJob) -> Scorer:
    """What scores the networks of a job, outside any stage."""
    return job.stage([], {}).scorer(StageContext(StageStore(Path()), job.scene))


def initial_weights(name: str) -> int:
    """The seed of a network's initial weights."""
    return scorer_of(JOB).seeds.of(f"initial weights of {name}")


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def untimed(scores: dict[str, NetworkScore]) -> list[tuple[str, tuple[float, ...], float, float]]:
    return [(s.architecture, s.terms, s.forward, s.backward) for s in scores.values()]


# -- which architectures -----------------------------------------------------------------------------------------------


def test_all_strings_are_sampled_alike() -> None:
    drawn = pool(MICRO, "strings", None, 0)
    assert len(drawn) == len(set(drawn)) == 5**6
    assert CUT_OFF in drawn
    assert pool(MICRO, "strings", 40, 0) == drawn[:40]
    assert pool(MICRO, "strings", 40, 1) != drawn[:40]
    assert {operation for a in drawn[:40] for operation in a} == {0, 1, 2, 3, 4}


def test_functions_are_connected_and_distinct() -> None:
    drawn = pool(MICRO, "functions", None, 0)
    assert len(drawn) == len(set(drawn)) == 9444
    assert all(MICRO.connected(a) and MICRO.function(a) == a for a in drawn[:200])


def test_a_space_too_large_to_list_is_sampled_without_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank, "_PERMUTED", 10)
    space = NBMacro()
    drawn = pool(space, "strings", 300, 0)
    assert len(set(drawn)) == 300
    assert all(space.root().contains(a) for a in drawn)
    assert pool(space, "strings", 20, 0) == drawn[:20]


@pytest.mark.parametrize(("population", "count", "says"), [("cells", 5, "strings, functions"), ("strings", 0, "1")])
def test_a_wrong_sample_is_refused(population: str, count: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        pool(MICRO, population, count, 0)


# -- what a score depends on ----------------------------------------------------------------------------------------


def test_a_score_is_a_function_of_seed_and_architecture_alone(tmp_path: Path) -> None:
    first = score(JOB, pool(MICRO, "strings", 6, 0), ["toy_gradient", "toy_noise"], tmp_path / "a")
    last = list(first["toy_gradient"].values())[-1]
    (again,) = score(JOB, [MICRO.decode(last.architecture)], ["toy_gradient"], tmp_path / "b")["toy_gradient"].values()
    assert again.terms == last.terms
    noise = [s.terms for s in first["toy_noise"].values()]
    assert len(set(noise)) == 6
    others = pool(MICRO, "strings", 6, 0)[::-1]
    assert [s.terms for s in score(JOB, others, ["toy_noise"], tmp_path / "c")["toy_noise"].values()] == noise[::-1]
    elsewhere = score(RankingJob("micro", "digits", 4, 16), others, ["toy_noise"], tmp_path / "d")["toy_noise"]
    assert [s.terms for s in elsewhere.values()] != noise[::-1]


def test_a_gradient_is_that_of_the_stand_alone_network_on_the_first_batch() -> None:
    architecture = (3, 1, 2, 3, 0, 4)
    scorer = scorer_of(JOB)
    found = scorer.score(architecture, {"toy": registry.build("proxies", "toy_gradient")})["toy"]
    network = MICRO.stand_alone(architecture, initial_weights("312304"))
    images, labels = scorer.batch(0)
    assert len(labels) == 16
    functional.cross_entropy(network(images, architecture), labels).backward()  # type: ignore[no-untyped-call]
    weights = [p for name, p in network.named_parameters() if name.endswith("weight")]
    assert found.terms[0] == pytest.approx(sum(float(w.grad.norm()) for w in weights if w.grad is not None), rel=1e-6)


def test_all_networks_see_the_same_batches_and_their_own_weights() -> None:
    scorer = scorer_of(JOB)
    assert torch.equal(scorer.batch(1)[0], scorer.batch(1)[0])
    assert not torch.equal(scorer.batch(0)[0], scorer.batch(1)[0])
    stems = [MICRO.stand_alone(CUT_OFF, initial_weights(name)).stem[0].weight for name in "ab"]
    assert not torch.equal(*stems)  # type: ignore[arg-type]


def test_what_a_proxy_does_to_its_network_stays_with_it(tmp_path: Path) -> None:
    architectures = pool(MICRO, "strings", 3, 0)
    alone = score(JOB, architectures, ["toy_gradient"], tmp_path / "alone")["toy_gradient"]
    after = score(JOB, architectures, ["toy_vandal", "toy_gradient"], tmp_path / "after")["toy_gradient"]
    assert untimed(alone) == untimed(after)


def test_passes_are_charged_by_image_and_flops_by_what_they_cost(tmp_path: Path) -> None:
    architectures = [(3, 3, 3, 3, 3, 3), (1, 0, 0, 2, 0, 1)]
    specs: list[registry.Spec] = ["toy_size", {"name": "toy_gradient", "batches": 3}]
    scores = score(JOB, architectures, specs, tmp_path)
    free, paid = measure_proxies(JOB, specs, scores, draws=5)
    assert (free.forward, free.backward, free.flops) == (0, 0, 0)
    assert (paid.proxy, paid.forward, paid.backward) == ("toy_gradient(batches=3)", 3, 3)
    flops = [3 * 16 * (2 * MICRO.macs(a) + MICRO.flops(a).backward) for a in architectures]
    assert paid.flops == np.mean(flops)


# -- the files -------------------------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill leaves no tables, or those of another command: what stages keep is not scored again, seconds included."""
    count = 2 * NETWORKS_PER_STAGE + 1
    architectures = pool(MICRO, "strings", count, 0)
    whole = score(JOB, architectures, ["toy_gradient"], tmp_path)["toy_gradient"]
    stored = sorted((tmp_path / "stages").rglob("result.json"))
    table = tmp_path / "scores" / "toy_gradient.jsonl"
    assert len(stored) == 3
    first = {NetworkScore.of_row(row).architecture for row in json.loads(stored[0].read_text())["output"][0]}
    stored[0].unlink()
    table.unlink()
    worked = executed(monkeypatch)
    reports: list[int] = []
    again = score(JOB, architectures, ["toy_gradient"], tmp_path, progress=_noting(reports))["toy_gradient"]
    assert [set(stage.architectures) for stage in worked] == [first]
    assert untimed(again) == untimed(whole)
    assert all(again[name] == whole[name] for name in whole if name not in first)
    assert [line[0] for line in lines(table)[1:]] == list(whole)
    assert (reports[0], reports[-1]) == (0, count)
    assert reports == sorted(set(reports))


def test_a_torn_table_is_filled_up(tmp_path: Path) -> None:
    architectures = pool(MICRO, "strings", 5, 0)
    whole = score(JOB, architectures, ["toy_gradient"], tmp_path)["toy_gradient"]
    path = tmp_path / "scores" / "toy_gradient.jsonl"
    content = path.read_bytes()
    for kept in (content[:-9], content[: content.index(b"\n") + 1], content[:30], b""):  # torn: a line, the header
        path.write_bytes(kept)
        reports: list[int] = []
        again = score(JOB, architectures, ["toy_gradient"], tmp_path, progress=_noting(reports))
        assert untimed(again["toy_gradient"]) == untimed(whole)
        assert [line[0] for line in lines(path)[1:]] == list(whole)
        assert (reports[0], reports[-1]) == (max(kept.count(b"\n") - 1, 0), 5)


def test_a_failure_keeps_what_was_scored_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @register("proxies", "toy_late")
    def late(network: Network) -> float:
        """Fails on one network."""
        if network.choice == architectures[-1]:
            raise RuntimeError("too late")
        return 1.0

    architectures = pool(MICRO, "strings", NETWORKS_PER_STAGE + 1, 0)
    with pytest.raises(SplitbenchError, match="proxy toy_late fails on architecture"):
        score(JOB, architectures, ["toy_late"], tmp_path)
    assert len(lines(tmp_path / "scores" / "toy_late.jsonl")) == 1 + NETWORKS_PER_STAGE
    worked = executed(monkeypatch)
    both = score(JOB, architectures[:-1], ["toy_late", "toy_size"], tmp_path)
    assert len(both["toy_size"]) == NETWORKS_PER_STAGE
    assert [stage.labels for stage in worked] == [("toy_size",)]


def executed(monkeypatch: pytest.MonkeyPatch) -> list[ScoreNetworks]:
    """The stages that are computed from here on, and not looked up."""
    found: list[ScoreNetworks] = []
    work = ScoreNetworks.work

    def noted(stage: ScoreNetworks, bench: StageContext, folder: Path) -> Any:
        found.append(stage)
        return work(stage, bench, folder)

    monkeypatch.setattr(ScoreNetworks, "work", noted)
    return found


def test_a_stage_is_called_by_what_its_scores_depend_on(tmp_path: Path) -> None:
    parts = {"toy_size": part_of("toy_size")}
    stage = JOB.stage(["000000"], parts)
    assert (
        stage.key
        == RankingJob({"name": "micro"}, "digits", 3, 16).stage(["000000"], {"other words": parts["toy_size"]}).key
    )
    others = [
        JOB.stage(["000001"], parts),
        JOB.stage(["000000"], {"toy_size": part_of("toy_gradient")}),
        RankingJob("micro", "digits", 4, 16).stage(["000000"], parts),
        RankingJob("micro", "digits", 3, 17).stage(["000000"], parts),
        RankingJob("micro", "digits", 3, 16, "cuda").stage(["000000"], parts),
    ]
    assert len({stage.key, *(other.key for other in others)}) == 6
    assert not stage.reads_truth


def part_of(name: str) -> Part:
    return Part.of("proxies", name)


def _noting(reports: list[int]) -> Callable[[int, int], None]:
    return lambda done, total: reports.append(done)


def test_a_larger_sample_and_another_proxy_score_only_what_is_missing(tmp_path: Path) -> None:
    few, more = pool(MICRO, "strings", 3, 0), pool(MICRO, "strings", 5, 0)
    first = score(JOB, few, ["toy_gradient"], tmp_path)["toy_gradient"]
    both = score(JOB, more, ["toy_gradient", "toy_size"], tmp_path)
    assert [both["toy_gradient"][name] for name in first] == list(first.values())  # seconds too: not scored again
    assert list(both["toy_gradient"]) == list(both["toy_size"]) == [MICRO.encode(a) for a in more]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (RankingJob("micro", "digits", seed=4, batch_size=16), "its seed is 3, and 4 is asked for"),
        (RankingJob("micro", "digits", seed=3, batch_size=32), "its batch_size is 16, and 32 is asked for"),
    ],
)
def test_scores_of_another_protocol_are_refused(other: RankingJob, says: str, tmp_path: Path) -> None:
    score(JOB, [CUT_OFF], ["toy_size"], tmp_path)
    with pytest.raises(StoreError, match=says):
        score(other, [CUT_OFF], ["toy_size"], tmp_path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    score(JOB, pool(MICRO, "strings", 2, 0), ["toy_size"], tmp_path)
    path = tmp_path / "scores" / "toy_size.jsonl"
    good = path.read_text().splitlines(keepends=True)
    path.write_text("".join([good[0], good[1][:9] + "\n", good[2]]))
    with pytest.raises(StoreError, match="line 2 is damaged"):
        score(JOB, [CUT_OFF], ["toy_size"], tmp_path)
    path.write_text('{"study": "another file"}\n')
    with pytest.raises(StoreError, match="does not begin with a protocol"):
        score(JOB, [CUT_OFF], ["toy_size"], tmp_path)


def test_lines_keep_every_number(tmp_path: Path) -> None:
    scores = {
        "1": NetworkScore("1", (1 / 3, -math.inf, math.inf, math.nan), 1.23, 64.0, 0.5),
        "0": NetworkScore("0", (1e-300,), 0.0, 0.0, 0.0),
    }
    file = ScoreFile(tmp_path / "x.jsonl", {"seed": 1})
    file.write(scores)
    assert [repr(s) for s in open_existing(file.path).read().values()] == [repr(s) for s in scores.values()]
    assert lines(file.path)[0]["columns"] == list(COLUMNS)
    assert "NaN" not in file.path.read_text()
    assert open_existing(file.path).protocol == {"seed": 1}


def test_two_proxies_do_not_share_a_file(tmp_path: Path) -> None:
    specs: list[registry.Spec] = ["toy_gradient", {"name": "toy_gradient", "batches": 2}]
    score(JOB, [(3,) * 6], specs, tmp_path)
    assert sorted(path.name for path in (tmp_path / "scores").iterdir()) == [
        "toy_gradient-batches=2.jsonl",
        "toy_gradient.jsonl",
    ]
    with pytest.raises(ConfigError, match="named twice"):
        score(JOB, [CUT_OFF], ["toy_size", {"name": "toy_size"}], tmp_path)


# -- what is refused -------------------------------------------------------------------------------------------------


def test_a_proxy_that_fails_is_named_with_its_architecture(tmp_path: Path) -> None:
    with pytest.raises(SplitbenchError, match="proxy toy_broken fails on architecture 000000: RuntimeError: nothing"):
        score(JOB, [CUT_OFF], ["toy_size", "toy_broken"], tmp_path)


def test_a_proxy_cannot_see_the_ground_truth(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only the measure stage"):
        score(JOB, [CUT_OFF], ["toy_thief"], tmp_path)


def test_a_proxy_that_cannot_serve_the_space_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="toy_unfit cannot serve the space micro: it counts heads"):
        score(JOB, [CUT_OFF], ["toy_unfit"], tmp_path)


# -- what scores say ---------------------------------------------------------------------------------------------------


def test_terms_are_combined_over_the_sample(tmp_path: Path) -> None:
    architectures = [(3, 0, 0, 0, 0, 0), (2, 2, 0, 0, 0, 0), (3, 3, 3, 0, 0, 0)]
    spec = {"name": "toy_pair", "sign": -1.0}
    found = score(JOB, architectures, [spec], tmp_path)[proxy_label(spec)]
    assert pooled_scores(spec, found).tolist() == [0 + 1, 1 + 2, 2 + 0]
    two = dict(list(found.items())[:2])
    assert pooled_scores(spec, two).tolist() == [0 + 0, 1 + 1]


def test_correlations_are_with_test_accuracy_and_no_answer_is_the_worst(tmp_path: Path) -> None:
    architectures = [*pool(MICRO, "functions", 30, 0), CUT_OFF]
    scores = score(JOB, architectures, ["toy_gaps"], tmp_path)
    (row,) = measure_proxies(JOB, ["toy_gaps"], scores, draws=50)
    truth = MICRO.ground_truth("digits").test(architectures)
    assert stand_alone_accuracies(JOB, architectures).tolist() == truth.tolist()
    size = np.array([MICRO.macs(a) if a != CUT_OFF else -1.0 for a in architectures])
    assert row.tau is not None
    assert row.rho is not None
    assert (row.architectures, row.unanswered) == (31, 1)
    assert row.tau.value == pytest.approx(ranking.tau_b(size, truth))
    assert row.rho.value == pytest.approx(ranking.spearman(size, truth))
    assert row.tau.low is not None
    assert row.tau.high is not None
    assert row.tau.low < row.tau.value < row.tau.high


def test_the_sampling_error_of_tau_is_that_of_independent_pairs() -> None:
    n, rng = 150, np.random.default_rng(0)
    found = rank_correlation(ranking.tau_b, rng.normal(size=n), rng.normal(size=n), np.arange(n), draws=400)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    exact = math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))  # Kendall 1938, for independent vectors
    assert found.error == pytest.approx(exact, rel=0.15)
    assert found.high - found.low == pytest.approx(2 * 1.96 * exact, rel=0.2)


def test_strings_of_one_function_are_drawn_together() -> None:
    """A sample in which every string is there five times says no more than the sample itself, draw by draw."""
    n, rng = 30, np.random.default_rng(1)
    score, truth = rng.normal(size=n), rng.normal(size=n)
    once = rank_correlation(fast_spearman, score, truth, np.arange(n), draws=200)
    copies = rng.permutation(np.repeat(np.arange(n), 5))
    same = rank_correlation(fast_spearman, score[copies], truth[copies], copies, draws=200)
    assert once is not None
    assert same is not None
    assert [same.value, same.error, same.low, same.high] == pytest.approx([once.value, once.error, once.low, once.high])
    naive = rank_correlation(fast_spearman, score[copies], truth[copies], np.arange(5 * n), draws=200)
    assert naive is not None
    assert naive.error is not None
    assert once.error is not None
    assert naive.error < 0.6 * once.error


def test_a_single_function_has_no_interval() -> None:
    found = rank_correlation(
        fast_spearman, np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]), np.zeros(3, np.int64), draws=9
    )
    assert found is not None
    assert found.value == pytest.approx(0.5)
    assert (found.error, found.low, found.high) == (None, None, None)


@dataclass(frozen=True)
class Apart(Micro):
    """A space that takes every string for a function of its own."""

    def function(self, architecture: Architecture) -> Architecture:
        return architecture


def test_functions_are_numbered_and_all_that_is_cut_off_is_one() -> None:
    whole, dead = (3, 3, 3, 3, 3, 3), (3, 0, 0, 2, 0, 0)  # the second: input to output at once, and an end nobody reads
    alike = MICRO.function(dead)
    assert alike != dead
    cut = (0, 0, 0, 0, 0, 3)
    assert not MICRO.connected(cut)
    assert functions_of(MICRO, [whole, dead, CUT_OFF, alike, cut, whole]).tolist() == [0, 1, 2, 1, 2, 0]
    told_apart = Apart().bind((1, 8, 8), 10)
    assert functions_of(told_apart, [cut, dead, CUT_OFF, alike]).tolist() == [0, 1, 0, 2]


def test_the_interval_of_a_ranking_is_over_functions(tmp_path: Path) -> None:
    architectures = [*pool(MICRO, "strings", 40, 0), CUT_OFF, (0, 0, 0, 0, 0, 3)]
    scores = score(JOB, architectures, ["toy_size"], tmp_path)
    (row,) = measure_proxies(JOB, ["toy_size"], scores, draws=50)
    values, truth = pooled_scores("toy_size", scores["toy_size"]), stand_alone_accuracies(JOB, architectures)
    same = functions_of(MICRO, architectures)
    assert len(set(same.tolist())) < len(architectures)
    assert row.tau == rank_correlation(ranking.tau_b, values, truth, same, draws=50)
    assert row.tau != rank_correlation(ranking.tau_b, values, truth, np.arange(len(truth)), draws=50)


def test_spearman_is_scipys() -> None:
    score, truth = np.array([1.0, 1.0, 5.0, 0.0, 2.0, 2.0]), np.array([1.0, 2.0, 2.0, 0.5, 4.0, 3.0])
    assert fast_spearman(score, truth) == pytest.approx(ranking.spearman(score, truth))


def test_constant_scores_rank_nothing() -> None:
    assert rank_correlation(ranking.tau_b, np.zeros(9), np.arange(9.0), np.arange(9)) is None
    assert rank_correlation(fast_spearman, np.full(9, -np.inf), np.arange(9.0), np.arange(9)) is None


# -- what is said of published scores ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published() -> Any:
    """The program that holds our scores against published ones, as a module."""
    path = Path(__file__).parents[3] / "bench" / "proxies_against_published.py"
    spec = importlib.util.spec_from_file_location("bench_proxies_against_published", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def short_of(proxy: str, **changes: Any) -> dict[str, Any]:
    """A row of a proxy below its threshold."""
    row = {
        "proxy": proxy,
        "rho": {"value": 0.90, "error": 0.01, "low": 0.88, "high": 0.92},
        "gate": 0.95,
        "passes": False,
        "another_seed": 0.91,
        "another_seed_cells": 300,
        "largest_relative_difference": 0.004,
        "rho_with_convolutions": {"ours": 0.8, "theirs": 0.9},
        "milliseconds": 1.0,
    }
    return row | changes


@pytest.mark.parametrize(
    ("row", "explained"),
    [
        (short_of("snip"), True),
        (short_of("snip", another_seed=0.92), True),
        (short_of("snip", another_seed=0.921), False),
        (short_of("snip", another_seed=None), False),
        (short_of("snip", rho=None), False),
        (short_of("l2_norm"), True),
        (short_of("l2_norm", largest_relative_difference=0.011), False),
        (short_of("l2_norm", largest_relative_difference=None), False),
    ],
)
def test_a_threshold_is_explained_only_by_what_was_measured(
    published: Any, row: dict[str, Any], explained: bool
) -> None:
    said = published.reason(row)
    assert ("do not fix the order any better" in said or "two draws that share nothing else" in said) == explained
    assert ("**not explained**" in said) != explained


def test_each_tau_far_from_the_published_one_has_a_line(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tau = {"value": 0.5, "error": 0.01, "low": 0.48, "high": 0.52}
    row = {"tau": tau, "rho": tau, "forward": 1.0, "backward": 0.0, "milliseconds": 1.0}
    near, far, told = (
        row | {"proxy": proxy, "published": 0.5 - d, "difference": d, "within": d <= 0.04}
        for proxy, d in (("flops", 0.04), ("snip", 0.05), ("grasp", 0.06))
    )
    found = {
        "protocol": {"batch_size": 64, "seed": 0},
        "machine": "a machine",
        "torch": "2",
        "population": {"architectures": 1000},
        "rows": [near, far, told, row | {"proxy": "tpc", "published": None, "difference": None, "within": None}],
        "cells": {"architectures": 300, "rows": [short_of("jacov", another_seed=0.99)]},
        "missing": [],
    }
    monkeypatch.setitem(published.DIFFERENCES, "grasp", "another loss")
    page = published.markdown(found)
    table, _, below = page.partition("Further than 0.04 from the published value:")
    assert below.split("## ")[0].split("\n\n")[1].splitlines() == [
        "- snip: **not explained**.",
        "- grasp: another loss.",
    ]
    assert "bootstrap over functions" in " ".join(table.split())
    assert "- jacov: **not explained**; with other initial weights" in below
    found["rows"] = [near]
    assert "Further than" not in published.markdown(found)


# -- the command -----------------------------------------------------------------------------------------------------

Command = Callable[..., tuple[int, str, str]]


def test_the_command_scores_measures_and_writes(splitbench: Command, tmp_path: Path) -> None:
    words = ["rank", "{name: micro}", "digits", "--proxy", "toy_size", "--proxy", "{name: toy_gradient, batches: 2}"]
    words += ["--sample", "12", "--seed", "3", "--batch-size", "16", "--device", "cpu", "--out", str(tmp_path)]
    status, out, err = splitbench(*words, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert [row["proxy"] for row in found["rows"]] == ["toy_size", "toy_gradient(batches=2)"]
    assert (found["population"], found["sample"], found["seed"]) == ("strings", 12, 3)
    assert json.loads((tmp_path / "ranking.json").read_text()) == found
    frame = pd.read_csv(tmp_path / "scores.csv", dtype={"architecture": str})
    architectures = pool(MICRO, "strings", 12, 3)
    assert frame["architecture"].tolist() == [MICRO.encode(a) for a in architectures]
    assert frame["test_accuracy"].tolist() == pytest.approx(stand_alone_accuracies(JOB, architectures).tolist())
    size = frame["toy_size"].to_numpy(np.float64)
    tau = ranking.tau_b(size, frame["test_accuracy"].to_numpy(np.float64))
    assert found["rows"][0]["tau"]["value"] == pytest.approx(tau)
    before = {path: path.read_bytes() for path in (tmp_path / "scores").iterdir()}
    status, out, err = splitbench(*words[:5], *words[7:])  # one of them again, as text
    assert status == 0
    assert out.splitlines()[0] == "# {name: micro} on digits: 12 strings, seed 3; 95%: bootstrap over functions"
    assert out.splitlines()[1].split("\t")[0] == "toy_size"
    assert "12 of 12 networks" in err
    assert {path: path.read_bytes() for path in (tmp_path / "scores").iterdir()} == before


def test_the_architectures_of_a_file_are_scored_in_its_order(splitbench: Command, tmp_path: Path) -> None:
    wanted = ["310423", "000300", "333333"]
    (tmp_path / "cells.txt").write_text("\n".join([*wanted, "", "000300"]) + "\n")
    pd.DataFrame({"seconds": [1, 2, 3], "arch": wanted}).to_csv(tmp_path / "cells.csv", index=False)
    for name in ("cells.txt", "cells.csv"):
        words = [
            "rank",
            "micro",
            "digits",
            "--proxy",
            "toy_size",
            "--cells",
            tmp_path / name,
            "--out",
            tmp_path / "out",
        ]
        status, out, err = splitbench(*words, "--device", "cpu", "--json")
        assert status == 0, err
        assert ("1 rows repeat" in err) == (name == "cells.txt")
        found = json.loads(out)
        assert (found["population"], found["sample"]) == (f"architectures of {name}", 3)
        frame = pd.read_csv(tmp_path / "out" / "scores.csv", dtype={"architecture": str})
        assert frame["architecture"].tolist() == wanted
        truth = MICRO.ground_truth("digits").test([MICRO.decode(text) for text in wanted])
        assert frame["test_accuracy"].tolist() == pytest.approx(truth.tolist())


@pytest.mark.parametrize(
    ("content", "more", "says"),
    [
        ("310423\n310\n", [], "cells.txt, line 2: '310' is not an architecture of micro"),
        ("", [], "is empty"),
        ("name,size\nx,1\n", [], "none does name architectures of micro"),
        (None, [], "cannot be read"),
        ("310423\n", ["--sample", "3"], "--sample would draw them"),
        ("310423\n", ["--population", "functions"], "--population would draw them"),
    ],
)
def test_a_wrong_file_of_architectures_is_refused(
    content: str | None, more: list[str], says: str, splitbench: Command, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "cells.txt").write_text(content)
    words = ["rank", "micro", "digits", "--proxy", "toy_size", "--cells", tmp_path / "cells.txt", "--out", tmp_path]
    status, out, err = splitbench(*words, *more)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_milliseconds_hold_the_making_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making takes 7 s, copying 0.25 s and the proxy 2 s, by a clock that only these move; both proxies pay for all."""
    now = 100.0

    def passing(seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            nonlocal now
            now += seconds
            return function(*args)

        return wrapped

    monkeypatch.setattr(Scorer, "_clock", lambda self: now)
    monkeypatch.setattr(Micro, "stand_alone", passing(7.0, Micro.stand_alone))
    monkeypatch.setattr("splitbench.harness.stages.score_networks.copy.deepcopy", passing(0.25, copy.deepcopy))
    proxy = passing(2.0, lambda network: 1.0)
    found = scorer_of(JOB).score((3, 1, 2, 3, 0, 4), {"a": proxy, "b": proxy})
    assert [scored.milliseconds for scored in found.values()] == [9250.0, 9250.0]


def test_workers_give_what_one_process_gives(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "import torch\n"
        "from splitbench.harness.registry import register\n\n\n"
        '@register("proxies", "filed_proxy")\n'
        "def filed(network):\n"
        '    """Logits of initial weights, and a random number."""\n'
        "    return float(network(network.images).detach().abs().sum()) + float(torch.rand(()))\n"
    )
    registry.load_plugin(plugin)
    architectures = pool(MICRO, "functions", 2 * NETWORKS_PER_STAGE, 0)
    one = score(JOB, architectures, ["filed_proxy"], tmp_path / "1")["filed_proxy"]
    two = score(JOB, architectures, ["filed_proxy"], tmp_path / "2", workers=2, plugins=[plugin])["filed_proxy"]
    assert untimed(one) == untimed(two)
    assert [line[0] for line in lines(tmp_path / "2" / "scores" / "filed_proxy.jsonl")[1:]] == list(one)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["micro", "digits", "--proxy", "toy_siez"], "did you mean 'toy_size'?"),
        (["micro", "digits", "--proxy", "{name: toy_gradient, batch: 1}"], "no parameter 'batch'"),
        (["micro", "digits", "--proxy", "{name: toy_gradient"], "is not a mapping like"),
        (["micro", "digits", "--proxy", "toy_unfit"], "it counts heads"),
        (["micro", "digits", "--proxy", "toy_size", "--population", "cells"], "strings, functions"),
        (["micro", "digits", "--proxy", "toy_size", "--workers", "0"], "at least 1"),
        (["micro", "digits", "--proxy", "toy_size", "--batch-size", "1"], "at least 2 images"),
        (["micro", "digits", "--proxy", "toy_size", "--seed", "-1"], "--seed -1: a seed is 0 or more"),
        (["{batches: 1}", "digits", "--proxy", "toy_size"], "SPACE: a component is a name or a mapping"),
        (["micro", "cifar10", "--proxy", "toy_size"], "choose the dataset digits"),
        (["mikro", "digits"], "did you mean 'micro'?"),
    ],
)
def test_wrong_words_end_with_a_sentence(words: list[str], says: str, splitbench: Command, tmp_path: Path) -> None:
    status, out, err = splitbench("rank", *words, "--out", tmp_path, "--sample", 3)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_all_proxies_is_the_default_and_those_that_cannot_serve_are_told(
    splitbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {key: c for key, c in registry._registered.items() if key[1] in ("toy_size", "toy_unfit")}
    monkeypatch.setattr(registry, "_registered", kept)
    monkeypatch.setattr(
        registry, "_installed", lambda: {k: c for k, c in _INSTALLED.items() if k[0] != "proxies"} | _SOME
    )
    status, out, err = splitbench("rank", "micro", "digits", "--sample", 4, "--out", tmp_path, "--json")
    assert status == 0, err
    assert [row["proxy"] for row in json.loads(out)["rows"]] == [name for _, name in _SOME] + ["toy_size"]
    assert "toy_unfit is left out: it counts heads" in err


_INSTALLED = registry._installed()
_SOME = {key: c for key, c in _INSTALLED.items() if key in (("proxies", "params"), ("proxies", "nwot"))}


def test_every_built_in_proxy_ranks_micro(tmp_path: Path) -> None:
    specs: list[registry.Spec] = [
        name for name, c in registry.components("proxies").items() if c.origin == "splitbench"
    ]
    fit = [spec for spec in specs if unfit(registry.build("proxies", spec), MICRO) is None]
    architectures = [CUT_OFF, (3, 3, 3, 3, 3, 3), (1, 0, 2, 3, 4, 1), (0, 0, 0, 1, 3, 2), (2, 2, 0, 0, 0, 1)]
    scores = score(JOB, architectures, fit, tmp_path)
    for row in measure_proxies(JOB, fit, scores, draws=10):
        assert row.architectures == 5
        assert row.tau is not None, row.proxy
