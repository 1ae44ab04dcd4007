"""Selectors and leaf choices: what they evaluate, what it costs, and that the ground truth is out of their reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_studies import tiny

from splitbench.harness.budget import Allowance, Cost
from splitbench.harness.errors import ConfigError
from splitbench.harness.part import Part
from splitbench.harness.registry import build
from splitbench.harness.running.study import Study
from splitbench.harness.selectors.alpha import ArgmaxAlpha
from splitbench.harness.selectors.base import LeafToSearch, Selected
from splitbench.harness.selectors.leaf import BestEstimate, RandomLeaf
from splitbench.harness.selectors.search import All, RandomBest
from splitbench.harness.stages.base import Result, Scene, run_stage
from splitbench.harness.stages.context import WeightsPlace
from splitbench.harness.stages.facts import FactsStage
from splitbench.harness.stages.measure import Measure, MeasuredLeaf
from splitbench.harness.stages.predict import Predict
from splitbench.harness.stages.score import Score
from splitbench.harness.stages.select import Select
from splitbench.harness.stages.train import Member, Train
from splitbench.harness.stores.folder import StageStore
from splitbench.harness.study.config import parse_study
from splitbench.harness.supernets.estimate import Evaluation, estimate
from splitbench.harness.testing import counting_flops, random_mixture
from splitbench.spaces.architectures.populations import population
from splitbench.spaces.architectures.ranked import RankedFunctions
from splitbench.spaces.base import Architecture, Choice, Mixture, SubSpace
from splitbench.spaces.datasets.digits import Digits
from splitbench.spaces.micro.space import Micro

SPACE = Micro()


def leaf_of(subspace: SubSpace, index: int = 0, count: int = 1, seed: int = 5, sample: int = 200) -> LeafToSearch:
    rows = population(SPACE, sample, 3)
    return LeafToSearch(SPACE, subspace, index, count, rows[subspace.mask(rows)], seed)


class Scores:
    """A search that gives each architecture its number of 3x3 convolutions, and notes what was asked."""

    left = float("inf")

    def __init__(self, leaf: LeafToSearch, weights: torch.Tensor | None = None) -> None:
        self.leaf, self.architecture_weights = leaf, weights
        self.asked: list[Architecture] = []

    def price(self, choice: Choice) -> float:
        return 1.0

    def evaluate(self, choice: Choice) -> tuple[float, float]:
        assert isinstance(choice, tuple)
        self.asked.append(choice)
        return float(sum(op == 3 for op in choice)), float(sum(choice))

    def train(self, steps: int, position: float) -> int:
        raise AssertionError("none of these selectors trains")


class Asked(Scores):
    """A search that gives one number, and notes what was asked, mixtures too."""

    def __init__(self, leaf: LeafToSearch, weights: torch.Tensor) -> None:
        super().__init__(leaf, weights)
        self.choices: list[Choice] = []

    def evaluate(self, choice: Choice) -> tuple[float, float]:
        self.choices.append(choice)
        return 42.0, 1.5


# --- random_best and all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("samples", "groups"), [(20, [(0, 1), (2, 3, 4)]), (10, [(0,), (1,), (2,), (3,), (4,)])])
def test_the_samples_of_random_best_are_shared_by_the_leaves(samples: int, groups: Any) -> None:
    leaves = SPACE.root().split(0, groups)
    plans = [RandomBest(samples).plan(leaf_of(sub, i, len(leaves), i)) for i, sub in enumerate(leaves)]
    assert sum(map(len, plans)) == samples
    assert max(map(len, plans)) - min(map(len, plans)) <= 1
    for sub, plan in zip(leaves, plans, strict=True):
        assert len(set(plan)) == len(plan)
        assert all(sub.contains(a) and SPACE.function(a) == a and SPACE.connected(a) for a in plan)


def test_samples_that_do_not_divide_go_to_the_first_leaves() -> None:
    leaves = SPACE.root().split(0, [(0,), (1,), (2,), (3,), (4,)])
    counts = [len(RandomBest(13).plan(leaf_of(sub, i, 5, i))) for i, sub in enumerate(leaves)]
    assert counts == [3, 3, 3, 2, 2]


def test_every_leaf_gets_one_sample_even_if_there_are_too_few() -> None:
    leaves = SPACE.root().split(0, [(0,), (1,), (2,), (3,), (4,)])
    assert [len(RandomBest(2).plan(leaf_of(sub, i, 5, i))) for i, sub in enumerate(leaves)] == [1] * 5


def test_random_best_takes_no_more_than_there_are() -> None:
    small = SubSpace(((1,), (0,), (0,), (2, 3), (0,), (0,)))
    assert set(RandomBest(50).plan(leaf_of(small))) <= {tuple(row) for row in SPACE.functions(small).tolist()}


def test_random_best_is_the_best_of_its_plan() -> None:
    leaf = leaf_of(SPACE.root())
    scores = Scores(leaf)
    chosen = RandomBest(30).select(scores)
    assert scores.asked == RandomBest(30).plan(leaf)
    best = max(scores.asked, key=lambda a: (sum(op == 3 for op in a), -sum(a)))
    assert chosen == Selected(best, float(sum(op == 3 for op in best)), float(sum(best)))


def test_random_best_is_paired_by_its_seed_and_new_for_another() -> None:
    plan = RandomBest(30).plan(leaf_of(SPACE.root()))
    assert plan == RandomBest(30).plan(leaf_of(SPACE.root(), sample=50))
    assert plan != RandomBest(30).plan(leaf_of(SPACE.root(), seed=6))


def test_all_evaluates_the_population_of_the_leaf() -> None:
    leaf = leaf_of(SPACE.root().only(0, (2, 3)))
    scores = Scores(leaf)
    All().select(scores)
    assert [list(a) for a in scores.asked] == leaf.population.tolist()
    assert 20 < len(scores.asked) < 200


def test_all_takes_one_architecture_where_the_population_has_none() -> None:
    leaf = LeafToSearch(SPACE, SPACE.root().only(0, (2,)), 0, 1, np.zeros((0, 6), dtype=np.int8), 0)
    assert len(All().plan(leaf)) == 1
    assert leaf.subspace.contains(All().plan(leaf)[0])


def test_no_samples_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="selector.samples: at least 1 architecture is needed, not 0"):
        RandomBest(0)


# --- argmax_alpha -----------------------------------------------------------------------------------------------------


def test_argmax_alpha_takes_the_largest_that_is_allowed_and_evaluates_the_mixture() -> None:
    alpha = torch.tensor(np.random.default_rng(0).normal(size=(6, 5)))
    subspace = SPACE.root().only(1, (0, 4)).only(3, (2,))
    search = Asked(leaf_of(subspace), alpha)
    chosen = ArgmaxAlpha().select(search)
    expected = tuple(max(ops, key=lambda op: alpha[e, op].item()) for e, ops in enumerate(subspace.allowed))
    assert chosen == Selected(expected, 42.0, 1.5)
    assert expected != tuple(alpha.argmax(dim=1).tolist())
    (choice,) = search.choices
    assert isinstance(choice, Mixture)
    assert choice.active == subspace
    assert torch.equal(choice.weights, Micro().mixture(alpha, subspace).weights)


@pytest.mark.parametrize("groups", [[(0, 1, 2, 3, 4)], [(0, 1), (2, 4), (3,)]])
def test_the_plan_of_argmax_alpha_costs_what_its_evaluation_costs(groups: Any) -> None:
    """Whatever was learnt, so that its price can be kept back before training."""
    for subspace in SPACE.root().split(2, groups):
        (plan,) = ArgmaxAlpha().plan(leaf_of(subspace))
        trained = Micro().mixture(torch.randn(6, 5, generator=torch.Generator().manual_seed(1)), subspace)
        assert SPACE.flops(plan) == SPACE.flops(trained)


def test_argmax_alpha_needs_a_trainer_with_alpha() -> None:
    with pytest.raises(ConfigError, match="argmax_alpha: this trainer learns no architecture parameters"):
        ArgmaxAlpha().select(Scores(leaf_of(SPACE.root())))
    with pytest.raises(ConfigError, match="the trainer learns none; choose the trainer darts, or the selector"):
        Study.build(parse_study(tiny(selector="argmax_alpha")), "cpu")


# --- leaf choices -----------------------------------------------------------------------------------------------------


def test_the_best_estimate_wins_and_loss_breaks_ties() -> None:
    rows = [Selected((1,), 90.0, 0.5), Selected((2,), 91.0, 0.7), Selected((3,), 91.0, 0.6), Selected((4,), 91.0, 0.6)]
    assert BestEstimate().choose(rows, np.random.default_rng(0)) == 2
    assert BestEstimate().choose(rows[:1], np.random.default_rng(0)) == 0


def test_a_random_leaf_is_uniform_and_blind() -> None:
    rows = [Selected((i,), float(i), 0.0) for i in range(3)]
    rng = np.random.default_rng(0)
    counts = np.bincount([RandomLeaf().choose(rows, rng) for _ in range(600)], minlength=3)
    assert (np.abs(counts - 200) < 5 * (600 * 2 / 9) ** 0.5).all()


@pytest.mark.parametrize("name", ["best_estimate", "random_leaf"])
def test_leaf_choices_are_components(name: str) -> None:
    assert build("leaf_choices", name).choose([Selected((0,), 1.0, 1.0)], np.random.default_rng(0)) == 0


# --- the select stage -------------------------------------------------------------------------------------------------


def scene_of() -> Scene:
    """micro and digits, as a study has them."""
    return Study.build(parse_study(tiny()), "cpu").settings.scene


TRAINER = Part.of("trainers", {"name": "darts", "batch_size": 32})
NARROW = SPACE.root().only(0, (1, 3))
POPULATION = RankedFunctions(20, 1)
EVALUATION = Evaluation(100, 40)


def train_and_select(scene: Scene, store: StageStore, selector: str) -> tuple[Train, Result[Selected]]:
    train = Train(
        scene=scene, trainer=TRAINER, members=(Member(NARROW, None, Allowance("steps", 4)),), window=(0.0, 1.0),
        initial_seed=1, seed=2,
    )  # fmt: skip
    run_stage(train, store)
    select = Select(
        scene=scene, trainer=TRAINER, selector=Part.of("selectors", selector), subspace=NARROW,
        state=WeightsPlace(train.key), evaluation=EVALUATION, population=POPULATION, index=0, count=1, seed=3,
        allowance=Allowance("steps", 10_000),
    )  # fmt: skip
    return train, run_stage(select, store)


@pytest.mark.parametrize("selector", ["all", "argmax_alpha"])
def test_every_evaluation_is_charged_what_torch_counts(tmp_path: Path, selector: str) -> None:
    _, result = train_and_select(scene_of(), StageStore(tmp_path), selector)
    leaf, data = leaf_of(NARROW), Digits().load(torch.device("cpu"))
    rows = population(SPACE, 20, 1)
    planned = [tuple(row) for row in rows[leaf.subspace.mask(rows)].tolist()]
    evaluated: list[Choice] = list(planned) if selector == "all" else [random_mixture(SPACE, leaf.subspace)]
    with counting_flops() as counter:
        for choice in evaluated:
            estimate(SPACE.supernet(0), choice, data, EVALUATION)
    count = len(evaluated)
    assert result.cost == Cost(counter.get_total_flops(), 4 * count, 100 * count)  # 100 images are 4 steps of 32


def test_no_stage_before_measuring_reads_the_ground_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a truth that cannot be read, supernets train, are scored, choose and predict; only measuring fails."""
    scene = scene_of()

    def forbidden(self: Micro, dataset: str) -> None:
        raise AssertionError("the ground truth was read")

    monkeypatch.setattr(Micro, "ground_truth", forbidden)
    store = StageStore(tmp_path)
    for selector in ("random_best", "all", "argmax_alpha"):
        train, result = train_and_select(scene, store, selector)
        assert len(result.output.architecture) == 6
    state = WeightsPlace(train.key)
    criterion = Part.of("criteria", {"name": "gm", "repetitions": 1})
    score = Score(
        scene=scene, trainer=TRAINER, criterion=criterion, subspace=NARROW, state=state, initial_seed=1,
        training_seed=2, edge=1, seed=4, draw=0,
    )  # fmt: skip
    run_stage(score, store)
    predict = Predict(scene=scene, subspace=NARROW, state=state, evaluation=EVALUATION, population=POPULATION)
    assert run_stage(predict, store).output.count > 0
    with pytest.raises(AssertionError, match="the ground truth was read"):
        run_stage(FactsStage(scene=scene, population=POPULATION, truth="sum"), store)
    measure = Measure(
        scene=scene, population=POPULATION, truth="sum", leaf_choice=Part.of("leaf_choices", "best_estimate"), seed=1,
        leaves=(MeasuredLeaf(NARROW, predict.key, result.output),),
    )  # fmt: skip
    with pytest.raises(AssertionError, match="the ground truth was read"):
        run_stage(measure, store)


def test_estimates_are_of_fixed_validation_images_in_equal_batches() -> None:
    """103 images in batches of up to 40 are 35, 34 and 34; accuracy and loss are means over all images."""
    data, supernet, path = Digits().load(torch.device("cpu")), SPACE.supernet(3), (3, 1, 2, 3, 4, 3)
    accuracy, loss = estimate(supernet, path, data, Evaluation(103, 40))
    losses, hits = [], 0
    for rows in (slice(0, 35), slice(35, 69), slice(69, 103)):
        labels = data.labels["validation"][rows]
        with torch.no_grad():
            logits = supernet(data.images["validation"][rows], path)
        losses += torch.nn.functional.cross_entropy(logits, labels, reduction="none").tolist()
        hits += int((logits.argmax(1) == labels).sum())
    assert accuracy == pytest.approx(100 * hits / 103)
    assert loss == pytest.approx(np.mean(losses), rel=1e-6)
    assert Evaluation(None, 40).count(597) == 597
    assert Evaluation(10_000, 40).count(597) == 597
