"""What normalises estimates: the batch's own statistics, recalibrated ones, or those kept in training."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from elastic_networks import PATHS, trained_like
from elastic_networks import SPACE as ELASTIC
from tiny_studies import Notes, run_tiny, tiny
from torch import Tensor, nn
from torch.nn import functional
from train_stages import SPACE, Steps, StoppedError, stage_of
from typer.testing import CliRunner

import splitbench
from splitbench.harness.budget import Cost, Meter
from splitbench.harness.cli.app import app
from splitbench.harness.errors import ConfigError
from splitbench.harness.hashing import hashed
from splitbench.harness.part import Part
from splitbench.harness.running.study import Study
from splitbench.harness.stages.base import Scene, run_stage
from splitbench.harness.stages.context import WeightsPlace
from splitbench.harness.stages.predict import ESTIMATES, Predict
from splitbench.harness.stages.select import Select
from splitbench.harness.stages.train import Train
from splitbench.harness.stores.folder import StageStore, load_tensors
from splitbench.harness.study.config import StudyConfig, parse_study
from splitbench.harness.supernets.estimate import CALIBRATION_BATCH, Evaluation, estimate
from splitbench.harness.supernets.normalisation import (
    MOMENTUM,
    RECALIBRATED,
    RUNNING,
    RunningStatistics,
    calibrated,
    fixed_by_call,
    moments,
    normalisations,
)
from splitbench.harness.testing.material import counting_flops, random_mixture
from splitbench.harness.testing.small_spaces.elastic_alone import extracted
from splitbench.harness.trainers.base import Job
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps, RspsSession
from splitbench.spaces.architectures.ranked import RankedFunctions
from splitbench.spaces.base import Architecture, Choice, Supernet
from splitbench.spaces.datasets.digits import Digits

DATA = Digits().load(torch.device("cpu"))
PATH = (3, 1, 2, 3, 4, 3)
DISTINCT = 1e-4
"""More than rounding moves a loss."""


def keeping(network: nn.Module) -> nn.Module:
    """A copy whose normalisations are torch's own, with the mean over all batches as their running statistics."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                own = nn.BatchNorm2d(child.num_features, momentum=None, affine=child.affine)
                own.load_state_dict(child.state_dict(), strict=False)
                setattr(parent, name, own)
    return network


def halves(images: Tensor) -> list[Tensor]:
    return list(images.tensor_split(2))


# --- recalibrated -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", [None, *PATHS])
def test_recalibrated_statistics_are_those_of_the_path_alone(architecture: Architecture | None) -> None:
    """By torch's own running statistics, in a copy of the path: with and without scales, whole layers and slices."""
    supernet: Supernet = SPACE.supernet(3) if architecture is None else trained_like()
    path = architecture or PATH
    network = keeping(SPACE.supernet(3) if architecture is None else extracted(trained_like(), path))
    images, others = DATA.images["train"][:120], DATA.images["validation"][:50]
    expected: list[nn.Module] = []  # in the order in which they run
    layers = normalisations(network).values()
    handles = [layer.register_forward_pre_hook(lambda m, given: expected.append(m)) for layer in layers]
    with torch.no_grad():
        network(images[:2], path)
        for handle, layer in zip(handles, layers, strict=True):
            handle.remove()
            layer.reset_running_stats()
        for batch in halves(images):
            network(batch, path)
        found = calibrated(supernet, path, halves(images))
        alone = network.eval()(others, path)
        with fixed_by_call(supernet, found):
            torch.testing.assert_close(supernet(others, path), alone, rtol=1e-4, atol=1e-5)
    assert len(found) == len(expected) > 3
    for (mean, variance), layer in zip(found, expected, strict=True):
        torch.testing.assert_close(mean, layer.running_mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(variance, layer.running_var, rtol=1e-4, atol=1e-5)


def test_moments_are_mean_and_unbiased_variance() -> None:
    x = 3 + 2 * torch.randn(6, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    for given in (x, x.contiguous(memory_format=torch.channels_last), x.double(), x.requires_grad_()):
        mean, variance = moments(given)
        flat = given.detach().transpose(0, 1).flatten(1)
        torch.testing.assert_close(mean, flat.mean(1))
        torch.testing.assert_close(variance, flat.var(1))
    assert moments(x.bfloat16())[0].dtype == torch.float32


def test_a_mixture_of_slices_has_statistics_for_each_run_of_a_layer() -> None:
    """Recalibrated on a batch, that batch comes out as by its own statistics, but for the unbiased variance."""
    supernet, mixture = trained_like(), random_mixture(ELASTIC, ELASTIC.root())
    images = DATA.images["train"]
    with torch.no_grad():
        found, expected = calibrated(supernet, mixture, [images]), supernet(images, mixture)
        with fixed_by_call(supernet, found):
            torch.testing.assert_close(supernet(images, mixture), expected, rtol=1e-2, atol=1e-3)
            few = supernet(images[:7], mixture)
            torch.testing.assert_close(few, supernet(images, mixture)[:7], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(supernet(images[:7], mixture), few, atol=1e-3)
    assert len(found) > len(normalisations(supernet))


def test_calibration_images_are_drawn_from_the_training_images_without_change(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Digits().load(torch.device("cpu"))
    data.augment = lambda images, generator: images + 1
    data.images["validation"] = torch.full_like(data.images["validation"], torch.nan)
    evaluation = Evaluation(50, 50, RECALIBRATED, 150, 5)
    batches = evaluation.calibrating(data)
    assert [len(batch) for batch in batches] == [75, 75]
    assert max(map(len, batches)) <= CALIBRATION_BATCH
    rows = {tuple(image.flatten().tolist()) for batch in batches for image in batch}
    assert rows <= {tuple(image.flatten().tolist()) for image in data.images["train"]}
    assert len(rows) > 140  # none is drawn twice; some digits are alike
    again, other = evaluation.calibrating(data), replace(evaluation, seed=6).calibrating(data)
    assert torch.equal(torch.cat(again), torch.cat(batches))
    assert not torch.equal(torch.cat(other), torch.cat(batches))


# --- estimates --------------------------------------------------------------------------------------------------------


def trained_a_little(steps: int = 12) -> tuple[Supernet, RunningStatistics]:
    supernet = SPACE.supernet(0)
    running = RunningStatistics(supernet)
    session = Rsps(batch_size=16, learning_rate=0.05).open(Job(SPACE, SPACE.root(), supernet, DATA, 7, Meter()))
    for step in range(steps):
        session.step(step, 0.0)
    return supernet, running


@pytest.mark.parametrize("choice", [PATH, random_mixture(SPACE, SPACE.root())])
def test_batches_matter_under_batch_alone(choice: Choice) -> None:
    supernet, running = trained_a_little()
    for mode, calibration in (("batch", 0), (RECALIBRATED, 150), (RUNNING, 0)):
        losses = [
            estimate(supernet, choice, DATA, Evaluation(200, size, mode, calibration), running)[1]
            for size in (10, 33, 200)
        ]
        spread = max(losses) - min(losses)
        assert spread > DISTINCT if mode == "batch" else spread < 1e-5 * losses[0]


def test_an_estimate_leaves_the_supernet_as_it_was() -> None:
    supernet, running = trained_a_little()
    evaluation = Evaluation(100, 40)
    before = estimate(supernet, PATH, DATA, evaluation)
    weights = {name: tensor.clone() for name, tensor in (supernet.state_dict() | running.tensors).items()}
    for mode, calibration in ((RECALIBRATED, 60), (RUNNING, 0)):
        found = estimate(supernet, PATH, DATA, Evaluation(100, 40, mode, calibration), running)
        assert abs(found[1] - before[1]) > DISTINCT
        assert found == estimate(supernet, PATH, DATA, Evaluation(100, 40, mode, calibration), running)
    assert estimate(supernet, PATH, DATA, evaluation) == before
    assert all(torch.equal(weights[name], tensor) for name, tensor in (supernet.state_dict() | running.tensors).items())


def test_each_estimate_is_charged_what_torch_counts(scene: Scene, tmp_path: Path) -> None:
    """100 validation images are 7 steps of 16, and 50 training images 4."""
    store, evaluation = StageStore(tmp_path), Evaluation(100, 40, RECALIBRATED, 50, 3)
    train = stage_of(scene, steps=5)
    run_stage(train, store)
    stage = Select(
        scene=scene, trainer=Part.of("trainers", {"name": "rsps", "batch_size": 16}), subspace=SPACE.root(),
        selector=Part.of("selectors", {"name": "random_best", "samples": 3}), state=WeightsPlace(train.key),
        evaluation=evaluation, population=RankedFunctions(20, 1), index=0, count=1, seed=3, allowance=None,
    )  # fmt: skip
    result = run_stage(stage, store)
    with counting_flops() as counter:
        for architecture in stage.leaf(SPACE).sample(3):
            estimate(SPACE.supernet(0), architecture, DATA, evaluation)
    assert result.cost == Cost(counter.get_total_flops(), 3 * (7 + 4), 3 * 150)


# --- running ----------------------------------------------------------------------------------------------------------


def by_hand(start: dict[str, tuple[Tensor, Tensor]], inputs: list[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Exponential means of what layers saw, in order, in float64."""
    found = {name: (mean.double(), variance.double()) for name, (mean, variance) in start.items()}
    for name, x in inputs:
        flat = x.double().transpose(0, 1).flatten(1)
        count = len(flat)
        for value, new in zip(found[name], (flat.mean(1), flat.var(1)), strict=True):
            value[:count] = (1 - MOMENTUM) * value[:count] + MOMENTUM * new
    return {f"{name}.{key}": pair[at] for name, pair in found.items() for at, key in enumerate(("mean", "variance"))}


@pytest.mark.parametrize("where", ["micro", "elastic"])
@pytest.mark.parametrize("trainer", [Rsps(batch_size=16), Darts(batch_size=16)])
def test_running_statistics_are_an_exponential_mean_over_the_passes_that_train(where: str, trainer: Any) -> None:
    """The inputs of layers are taken from a second training without them; a layer that does not run stays."""
    space = SPACE if where == "micro" else ELASTIC
    supernets, inputs = [space.supernet(0), space.supernet(0)], list[tuple[str, Tensor]]()
    running = RunningStatistics(supernets[0])
    for name, layer in normalisations(supernets[1]).items():
        layer.register_forward_pre_hook(lambda m, given, name=name: inputs.append((name, given[0].detach().clone())))
    sessions = [trainer.open(Job(space, space.root(), supernet, DATA, 7, Meter())) for supernet in supernets]
    for step in range(3):
        losses = [session.step(step, 0.0) for session in sessions]
        assert losses[0] == losses[1]
    with torch.no_grad():
        supernets[0](DATA.images["validation"][:20], space.sample(np.random.default_rng(0)))  # trains nothing
    first, second = (supernet.state_dict() for supernet in supernets)
    assert all(torch.equal(first[name], second[name]) for name in first)
    layers = normalisations(supernets[0])
    start = {name: (torch.zeros(m.num_features), torch.ones(m.num_features)) for name, m in layers.items()}
    expected = by_hand(start, inputs)
    assert set(running.tensors) == set(expected)
    for name, value in running.tensors.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-5)
    if isinstance(trainer, Rsps) and where == "micro":
        ran = {name for name, _ in inputs}
        assert 0 < len(ran) < len(layers)
        assert all(not running.tensors[f"{name}.mean"].any() for name in set(layers) - ran)


def test_running_statistics_are_what_torch_keeps() -> None:
    """A network of torch's own layers that keep theirs, trained on the same batches, then evaluated by them."""
    architecture = PATHS[0]
    supernet = extracted(trained_like(), architecture)
    network = keeping(supernet)
    for layer in normalisations(network).values():
        layer.momentum = MOMENTUM
    running = RunningStatistics(supernet)
    for step in range(3):
        images, labels = DATA.batch("train", 0, step, 24)
        for one in (supernet, network):
            functional.cross_entropy(one(images, architecture), labels).backward()  # type: ignore[no-untyped-call]
    for name, layer in normalisations(network).items():
        assert layer.running_mean is not None
        assert layer.running_var is not None
        torch.testing.assert_close(running.tensors[f"{name}.mean"], layer.running_mean)
        torch.testing.assert_close(running.tensors[f"{name}.variance"], layer.running_var)
    images = DATA.images["validation"][:30]
    with torch.no_grad(), running.fixed():
        torch.testing.assert_close(supernet(images, architecture), network.eval()(images, architecture))


@pytest.mark.parametrize("trainer", ["rsps", "darts"])
def test_weights_are_the_same_with_and_without(scene: Scene, tmp_path: Path, trainer: str) -> None:
    store = StageStore(tmp_path)
    plain = stage_of(scene, trainer)
    keeps = replace(plain, statistics=True)
    first, second = run_stage(plain, store), run_stage(keeps, store)
    assert plain.key != keeps.key
    assert (first.output, first.cost) == (second.output, second.cost)
    without, notes = load_tensors(store.folder(plain.key) / WeightsPlace.file(0))
    found, others = load_tensors(store.folder(keeps.key) / WeightsPlace.file(0))
    kept = {name for name in found if name.startswith("statistics.")}
    assert notes == others
    assert set(found) - kept == set(without)
    assert len(kept) == 2 * len(normalisations(SPACE.supernet(0)))
    assert all(torch.equal(found[name], tensor) for name, tensor in without.items())


def statistics(store: StageStore, key: str) -> dict[str, Tensor]:
    tensors, _ = load_tensors(store.folder(key) / WeightsPlace.file(0))
    return {name: tensor for name, tensor in tensors.items() if name.startswith("statistics.")}


def test_a_leaf_inherits_them(scene: Scene, tmp_path: Path) -> None:
    """Two trainings one after the other are one training, and a layer that the leaf does not run stays as it was."""
    store, narrow = StageStore(tmp_path), SPACE.root().only(0, (1,))
    parent = replace(stage_of(scene, steps=6), statistics=True)
    run_stage(parent, store)
    leaf = replace(stage_of(scene, steps=6, parent=WeightsPlace(parent.key)), statistics=True)
    (member,) = leaf.members
    leaf = replace(leaf, members=(replace(member, subspace=narrow),))
    run_stage(leaf, store)
    before, after = statistics(store, parent.key), statistics(store, leaf.key)
    gone = [op for op in range(5) if op != 1]
    supernet = SPACE.supernet(0)
    idle = {id(m) for op in gone for top in supernet.operation_modules(0).get(op, ()) for m in top.modules()}
    moved = {name: not torch.equal(before[name], tensor) for name, tensor in after.items()}
    own = {name for name, module in normalisations(supernet).items() if id(module) in idle}
    assert own
    assert not any(moved[f"statistics.{name}.{key}"] for name in own for key in ("mean", "variance"))
    assert any(before[f"statistics.{name}.mean"].any() for name in own)
    assert sum(moved.values()) > len(own)


def test_a_training_that_was_stopped_goes_on_with_them(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = replace(stage_of(scene), statistics=True)
    whole, part = StageStore(tmp_path / "whole"), StageStore(tmp_path / "part")
    run_stage(stage, whole)
    monkeypatch.setenv("SPLITBENCH_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        Steps(patch, RspsSession, 3)
        with pytest.raises(StoppedError):
            run_stage(stage, part)
    run_stage(stage, part)
    expected, found = statistics(whole, stage.key), statistics(part, stage.key)
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_estimates_are_by_the_statistics_that_training_left(scene: Scene, tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    train = replace(stage_of(scene), statistics=True)
    run_stage(train, store)
    evaluation = Evaluation(60, 25, RUNNING)
    predict = Predict(
        scene=scene,
        subspace=SPACE.root(),
        state=WeightsPlace(train.key),
        evaluation=evaluation,
        population=RankedFunctions(10, 1),
    )
    run_stage(predict, store)
    table, _ = load_tensors(store.folder(predict.key) / ESTIMATES)
    weights, _ = load_tensors(store.folder(train.key) / WeightsPlace.file(0))
    supernet = SPACE.supernet(0)
    supernet.load_state_dict({n.removeprefix("weights."): t for n, t in weights.items() if n.startswith("weights.")})
    kept = {n.removeprefix("statistics."): t for n, t in weights.items() if n.startswith("statistics.")}
    running = RunningStatistics(supernet, kept)
    for row, accuracy, loss in zip(table["rows"].tolist(), table["accuracy"], table["loss"], strict=True):
        assert estimate(supernet, tuple(row), DATA, evaluation, running) == (float(accuracy), float(loss))


# --- studies ----------------------------------------------------------------------------------------------------------

MODES: tuple[dict[str, Any], ...] = ({}, {"batch_norm": "recalibrated", "calibration": 60}, {"batch_norm": "running"})


def test_the_default_is_left_out_of_every_hash_and_record() -> None:
    assert hashed(Evaluation(100, 40)) == {"images": 100, "batch_size": 40}
    plain, said = (parse_study(tiny(evaluation={"images": 100, **more})) for more in ({}, {"batch_norm": "batch"}))
    assert plain == said
    assert plain.model_dump(mode="json")["evaluation"] == {"images": 100, "batch_size": 1000}
    for mode in MODES[1:]:
        config = parse_study(tiny(evaluation={"images": 100, **mode}))
        assert config.model_dump(mode="json", exclude_none=True)["evaluation"].items() >= mode.items()
        assert StudyConfig.model_validate(config.model_dump(mode="json")) == config
        assert set(hashed(Study.build(config, "cpu").settings.evaluation)) >= {"batch_norm"}


def test_a_written_default_of_calibration_is_the_same_study() -> None:
    first, second = (
        parse_study(tiny(budget={"steps": 500}, evaluation={"batch_norm": "recalibrated", **more}))
        for more in ({}, {"calibration": 2000})
    )
    assert first == second
    assert Study.build(first, "cpu").settings.evaluation.calibration == len(DATA.labels["train"]) == 200


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Notes]]:
    """A folder a mode, and what the study told: ``none`` and four leaves, one selector that trains on nothing."""
    found = {}
    arms = ["none", {"criterion": "random", "schedule": {"levels": 2}}]
    for mode in MODES:
        name = mode.get("batch_norm", "batch")
        folder = tmp_path_factory.mktemp(name)
        evaluation = {"images": 100, **mode}
        found[name] = folder, run_tiny(folder, arms=arms, budget={"steps": 90}, evaluation=evaluation)
    return found


def test_records_of_modes_stand_in_tables_apart(studies: dict[str, tuple[Path, Notes]]) -> None:
    protocols = {record.protocol for _, notes in studies.values() for record in notes.records}
    assert len(protocols) == len(MODES)
    for name, (folder, _) in studies.items():
        text = CliRunner().invoke(app, ["leaderboard", str(folder)]).output
        data = json.loads(CliRunner().invoke(app, ["leaderboard", str(folder), "--json"]).output)
        assert data.get("batch_norm", "batch") == name
        heading = next(line for line in text.splitlines() if "micro on digits" in line)
        assert (f"normalised by {name} statistics" in heading) == (name != "batch")


def test_calibration_is_paid_for_where_selection_is(studies: dict[str, tuple[Path, Notes]]) -> None:
    """4 estimates are 100 validation images each, and 60 training images where these are looked at."""
    phases = {name: [record.cost["selection"] for record in notes.records] for name, (_, notes) in studies.items()}
    assert [cost.examples for cost in phases["batch"]] == [400, 400]
    assert [cost.examples for cost in phases["running"]] == [400, 400]
    assert [cost.examples for cost in phases["recalibrated"]] == [640, 640]
    assert [cost.steps for cost in phases["recalibrated"]] == [4 * (4 + 2)] * 2  # in steps of 32 images
    for name, (_, notes) in studies.items():
        config = parse_study(
            tiny(arms=["none"], budget={"steps": 90}, evaluation={"images": 100, **MODES_BY_NAME[name]})
        )
        study = Study.build(config, "cpu")
        rehearsal = study.rehearser.rehearse(study.arms[0], study.seeds(0))
        record = next(record for record in notes.records if record.arm == "none")
        planned = rehearsal.account.phases["selection"]
        assert planned.as_dict() == record.cost["selection"].model_dump()
        assert rehearsal.measurement.examples == 20 * (160 if name == "recalibrated" else 100)
        for one in notes.records:
            assert one.budget.spent <= one.budget.limit


MODES_BY_NAME = {mode.get("batch_norm", "batch"): mode for mode in MODES}


def test_all_paths_and_arms_of_a_repetition_are_calibrated_on_the_same_images() -> None:
    evaluation = {"batch_norm": "recalibrated"}
    config = parse_study(tiny(arms=["none", "random"], seeds=2, budget={"steps": 500}, evaluation=evaluation))
    study = Study.build(config, "cpu")
    seeds = defaultdict(set)
    for arm, repetition, draw in study.runs():
        for stage in study.rehearser.rehearse(arm, study.seeds(repetition), draw).stages:
            if isinstance(stage, Select | Predict):
                seeds[repetition].add(stage.evaluation.seed)
    assert [len(found) for found in seeds.values()] == [1, 1]
    assert len(set.union(*seeds.values())) == 2


def test_trainings_are_shared_with_the_default_by_recalibration_alone(
    studies: dict[str, tuple[Path, Notes]],
) -> None:
    """None is charged for calibration before it selects, so its trainings begin alike."""
    keys = {name: {stage.key for stage, _ in notes.of("train")} for name, (_, notes) in studies.items()}
    assert keys["batch"] & keys["recalibrated"]  # the warm-up; leaves have less left
    assert not keys["batch"] & keys["running"]
    curves = {name: [record.tree.curve for record in notes.records] for name, (_, notes) in studies.items()}
    assert curves["batch"] == curves["running"]


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_mixture_can_be_trained_and_evaluated(tmp_path: Path, mode: dict[str, Any]) -> None:
    """Its selection is one estimate of the mixture itself."""
    trainer = {"name": "darts", "batch_size": 16, "learning_rate": 0.05}
    evaluation = {"images": 50, **mode}
    notes = run_tiny(
        tmp_path, trainer=trainer, selector="argmax_alpha", budget={"steps": 40}, population={"sample": 10},
        evaluation=evaluation,
    )  # fmt: skip
    (record,) = notes.records
    assert record.cost["selection"].examples == 50 + mode.get("calibration", 0)


@pytest.mark.parametrize("mode", MODES[1:])
def test_leaves_that_share_weights_and_shams_serve_each_mode(tmp_path: Path, mode: dict[str, Any]) -> None:
    """One set of weights with a momentum a leaf; and every sham keeps statistics where the arm does."""
    evaluation = {"images": 50, **mode}
    study = tiny(arms=["random"], population={"sample": 10}, evaluation=evaluation, modifiers=["momentum_groups"])
    splitbench.run({**study, "baseline": "random"}, tmp_path, "cpu")
    assert len(splitbench.load(tmp_path).estimates()) == 10

    shams = Study.build(parse_study(tiny(arms=["none", "random"], decompose=True, evaluation=evaluation)), "cpu")
    stages = shams.rehearser.rehearse(shams.arms[1], shams.seeds(0)).stages
    trainings = [stage for stage in stages if isinstance(stage, Train)]
    assert len(trainings) > 4
    assert {stage.statistics for stage in trainings} == {mode["batch_norm"] == RUNNING}


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_space_without_normalisation_is_a_sentence(monkeypatch: pytest.MonkeyPatch, mode: dict[str, Any]) -> None:
    monkeypatch.setattr("splitbench.harness.running.building.normalisations", lambda network: {})
    with pytest.raises(ConfigError, match=r"evaluation.batch_norm: networks of the space micro have no batch"):
        Study.build(parse_study(tiny(evaluation=mode)), "cpu")
    Study.build(parse_study(tiny()), "cpu")


@pytest.mark.parametrize("mode", ["batch", "running"])
def test_calibration_without_recalibration_is_a_sentence(mode: str) -> None:
    with pytest.raises(ConfigError, match=r"evaluation.*calibration is for batch_norm: recalibrated"):
        parse_study(tiny(evaluation={"batch_norm": mode, "calibration": 100}))
    with pytest.raises(ConfigError, match="evaluation.batch_norm"):
        parse_study(tiny(evaluation={"batch_norm": "fixed"}))
