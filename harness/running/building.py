"""Builds from a checked study file the settings of all runs, and the arms: every part once, without training."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator

from splitbench.harness.budget import Budget
from splitbench.harness.device import choose
from splitbench.harness.errors import ConfigError, SplitbenchError
from splitbench.harness.part import Part
from splitbench.harness.registry import build, split_spec
from splitbench.harness.running.failing import one_line
from splitbench.harness.runs.arm_stages import Settings
from splitbench.harness.runs.step_prices import supernet_of
from splitbench.harness.stages.base import Scene
from splitbench.harness.study.arm import Arm, build_arm
from splitbench.harness.study.config import EvaluationConfig, StudyConfig
from splitbench.harness.supernets.estimate import Evaluation
from splitbench.harness.supernets.normalisation import BATCH, RUNNING, normalisations
from splitbench.spaces.base import SearchSpace, Supernet
from splitbench.spaces.datasets.base import Dataset
from splitbench.spaces.supernet import refuse_running_statistics
from splitbench.spaces.truth import closed, open_truth


def settings_of(config: StudyConfig, device: str) -> Settings:
    """What all runs of a study share.

    Raises:
        ConfigError: wrong parts; DataError: missing or damaged data.
    """
    dataset: Dataset = build("datasets", config.dataset, "dataset")
    unbound: SearchSpace = build("spaces", config.space, "space")
    space = unbound.bind(dataset.shape, dataset.classes)
    truth = open_truth(space, dataset.name)  # fail now, not after the training
    check_bound(config, unbound, space)
    network = supernet_of(space)
    if config.evaluation.batch_norm != RUNNING:
        refuse_running_statistics(space, network)
    scene = Scene(
        space=Part.of("spaces", config.space, "space", bound=space),
        dataset=Part.of("datasets", config.dataset, "dataset"),
        images=dataset.identity(),
        precision=config.precision,
        device=choose(device),
    )
    evaluation = evaluation_of(config.evaluation, dataset, space, network)
    ((kind, limit),) = config.budget.given.items()
    images = evaluation.count(dataset.sizes["validation"])
    return Settings(
        space,
        dataset.name,
        scene,
        Budget(kind, limit),
        evaluation,
        images,
        config.population.sample,
        truth.identity,
        config.sampling,
        config.population.of,
    )


def arms_of(config: StudyConfig, space: SearchSpace) -> list[Arm]:
    """Every arm of the file with its parts built, those that the space does not suit included.

    Raises:
        ConfigError: naming the arm.
    """
    arms = []
    for index, arm_config in enumerate(config.arms):
        with closed(), naming(arm_config.label):
            arms.append(build_arm(config, arm_config, index, space))
    return arms


@contextlib.contextmanager
def naming(arm: str) -> Iterator[None]:
    """Turn any error that a component raises before the runs start into a sentence with its arm and place.

    Raises:
        ConfigError: instead of an error of another class than splitbench's own.
    """
    try:
        yield
    except SplitbenchError:
        raise
    except (Exception, SystemExit) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"arm {arm}: {one_line(f'{type(error).__name__}: {error}')} ({where.filename}, line {where.lineno}); mend "
            "that component, or take the arm out"
        ) from error


def check_bound(config: StudyConfig, unbound: SearchSpace, space: SearchSpace) -> None:
    """Refuse a study file that contradicts the dataset (image size, classes).

    Raises:
        ConfigError: naming the key.
    """
    for key in split_spec(config.space, "space")[1]:
        if getattr(unbound, key) != getattr(space, key):
            raise ConfigError(
                f"space.{key} is {getattr(unbound, key)}, but the dataset makes it {getattr(space, key)}: leave it out"
            )


def evaluation_of(config: EvaluationConfig, dataset: Dataset, space: SearchSpace, network: Supernet) -> Evaluation:
    """The evaluation of a study: how its estimates are measured.

    Raises:
        ConfigError: for statistics of normalisations that the space's networks do not have.
    """
    if config.batch_norm != BATCH and not normalisations(network):
        raise ConfigError(
            f"evaluation.batch_norm: networks of the space {space.name} have no batch normalisation, so "
            f"{config.batch_norm} would be the same as {BATCH}; leave it out"
        )
    calibration = min(config.calibration or 0, dataset.sizes["train"])
    return Evaluation(config.images, config.batch_size, config.batch_norm, calibration)
