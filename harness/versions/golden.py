"""Golden sequences: what tiny networks have always computed, to four digits, on any CPU.

They are the evidence that code changed and nothing that is computed did. A sequence names the units that it is a
function of: its component, the components that it works with, the stage kinds.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from splitbench.criteria.base import splits, unfit
from splitbench.harness.device import one_thread
from splitbench.harness.errors import SplitbenchError
from splitbench.harness.plugins.component import BUILT_IN
from splitbench.harness.registry import build, components, get, nested_specs, split_spec
from splitbench.harness.seeds import Seeds
from splitbench.harness.stages.score_networks import Scorer
from splitbench.harness.supernets.estimate import Evaluation, estimate
from splitbench.harness.supernets.normalisation import RECALIBRATED, RUNNING, RunningStatistics
from splitbench.harness.testing.affinities import affinities
from splitbench.harness.testing.checks import SkippedCheck
from splitbench.harness.testing.material import images_of, random_mixture
from splitbench.harness.testing.small_spaces.chain import Chain
from splitbench.harness.testing.small_spaces.elastic import Elastic
from splitbench.harness.testing.suites import criterion_trials, parts, proxies
from splitbench.harness.testing.suites.by_kind import shape_of, shrunk
from splitbench.harness.versions.golden_studies import of_studies
from splitbench.harness.versions.sequences import Golden, Part, numbers
from splitbench.results.measures import metrics
from splitbench.results.payoff.decomposition import EstimateSet, decompose
from splitbench.spaces.base import Choice, SearchSpace
from splitbench.spaces.micro.space import Micro

UNSEEN = {
    "criteria/none": "it is never called",
    "datasets/cifar10": "its images have to be imported",
    "datasets/cifar100": "its images have to be imported",
}
"""Units without a sequence of their own, and why."""


def compute() -> dict[str, Golden]:
    """All sequences, by name; takes some seconds on one CPU core."""
    makers: list[Callable[[], Iterator[Golden]]] = [
        of_criteria, of_proxies, of_partitioners, of_edge_rules, of_spaces, of_datasets, of_estimates, of_studies,
        of_metrics,
    ]  # fmt: skip
    with one_thread(), double_precision():
        sequences = [golden for make in makers for golden in make()]
    return {golden.name: golden for golden in sequences}


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Fresh weights and random images in float64 inside.

    In float32 two CPUs differ by more than four digits in what is ill-conditioned (``zico`` by 2%), and a changed
    formula would hide behind that.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def built_in(kind: str) -> list[str]:
    """Names of the built-in components of a kind."""
    return [name for name, component in components(kind).items() if component.origin == BUILT_IN]


def quick_component(kind: str, name: str) -> Any:
    """A component with the parameters that make it quick."""
    return build(kind, {"name": name, **shrunk(get(kind, name), NEEDED.get(f"{kind}/{name}", {}))})


def made_of(kind: str, name: str, thing: Any) -> tuple[str, ...]:
    """The units of a component and of those that are nested in it."""
    units: tuple[str, ...] = (f"{kind}/{name}",)
    for key, inner in nested_specs(thing).items():
        other, given = split_spec(getattr(thing, key), key)
        units += made_of(inner, other, build(inner, {"name": other, **given}))
    return units


NEEDED: Mapping[str, dict[str, Any]] = {
    "criteria/given": {"edge": 0, "groups": [[1], [0, 2], [3, 4]]},
    "edge_rules/fixed": {"edges": [2, 1]},
}
"""Parameters without a default."""


SCORING = ("stages/score", "spaces/micro", "trainers/rsps", "trainers/darts")


def of_criteria() -> Iterator[Golden]:
    """Affinities on fresh weights: paths and mixtures as contexts, two spaces, whole and narrowed."""
    data, (paths, mixtures) = images_of((1, 8, 8), 10), criterion_trials.TRAINERS
    micro, chain = Micro(), Chain(4)
    settings = [
        criterion_trials.CriterionSetting(micro, data, micro.root(), paths, 0),
        criterion_trials.CriterionSetting(micro, data, micro.root().only(0, (1, 2, 3)), mixtures, 5),
        criterion_trials.CriterionSetting(chain, data, chain.root(), paths, 1),
    ]
    for name in built_in("criteria"):
        criterion = quick_component("criteria", name)
        if not splits(criterion):
            continue
        sequence: list[Part] = []
        for setting in settings:
            if unfit(criterion, setting.space) is not None:
                sequence.append("unfit")
                continue
            trial = criterion_trials.trial(criterion, setting)
            if trial.error is not None or trial.affinity is None:
                sequence.append(type(trial.error).__name__)
                continue
            sequence += [numbers(trial.affinity.dissimilarity), numbers(trial.affinity.standard_error)]
            sequence += [numbers([value for _, value in trial.affinity.worth]), numbers([trial.cost.flops])]
        yield Golden(f"criterion {name}", (*made_of("criteria", name, criterion), *SCORING), sequence)


def of_proxies() -> Iterator[Golden]:
    """Scores of a path, of a mixture of another space, and of a stand-alone network, on fresh weights."""
    data = images_of((1, 8, 8), 10)
    micro, chain = Micro(), Chain(4)
    _, _, path, *_ = proxies.choices(micro).items()  # with four convolutions
    *_, mixture = proxies.choices(chain).items()
    for name in built_in("proxies"):
        proxy, sequence = quick_component("proxies", name), list[Part]()
        for space, (title, choice) in ((micro, path), (chain, mixture)):
            if unfit(proxy, space) is not None:
                sequence.append("unfit")
                continue
            scored = proxies.score_through_probe(proxy, space, data, title, choice)
            sequence.append(type(scored.error).__name__ if scored.error else numbers(scored.terms[0]))
        yield Golden(f"proxy {name}", (f"proxies/{name}", "stages/score", "spaces/micro"), sequence)
    asked = {name: build("proxies", name) for name in ("params", "synflow", "grad_norm")}
    scorer = Scorer(micro, lambda: data, Seeds(0, "micro", "digits", 0), 8, torch.device("cpu"))
    values: list[Part] = [
        numbers([*s.terms, s.forward, s.backward]) for s in scorer.score((3, 1, 2, 3, 0, 4), asked).values()
    ]
    units = ("stages/score_networks", "spaces/micro", *(f"proxies/{name}" for name in asked))
    yield Golden("stand-alone network", units, values)


def of_partitioners() -> Iterator[Golden]:
    """Groups and cuts of a random affinity, and of one with two clear groups."""
    for name in built_in("partitioners"):
        partitioner, sequence = quick_component("partitioners", name), list[Part]()
        for affinity, branching in itertools.product(affinities((1, 3, 4, 6, 7, 9, 10))[::3], (2, 3)):
            try:
                grouping = parts.grouped(partitioner, affinity, branching)
                sequence += [str(grouping.groups), numbers([grouping.cut, grouping.raw_cut, grouping.intra])]
            except SplitbenchError as error:
                sequence.append(type(error).__name__)
        yield Golden(f"partitioner {name}", (*made_of("partitioners", name, partitioner), "stages/run"), sequence)


def of_edge_rules() -> Iterator[Golden]:
    """The edges that are scored, and the chosen one, of each space."""
    for name in built_in("edge_rules"):
        rule, sequence = quick_component("edge_rules", name), list[Part]()
        for space in (Micro(), Chain()):
            try:
                edges = parts.shortlisted(rule, space, name)
                sequence += [f"{edges} {parts.chosen_by(rule, parts.candidates_on(space, edges, 0), name)}"]
            except (SplitbenchError, SkippedCheck) as error:
                sequence.append(type(error).__name__)
        yield Golden(f"edge rule {name}", (f"edge_rules/{name}", "partitioners/balanced", "stages/run"), sequence)


def of_spaces() -> Iterator[Golden]:
    """Logits and FLOPs of two paths and a mixture, and some of the truth that is embedded."""
    for name in built_in("spaces"):
        space: SearchSpace = quick_component("spaces", name)
        shape = shape_of(space)
        images = images_of(shape, 10, 4, 2).images["validation"]
        rng = np.random.default_rng(3)
        paths: list[Choice] = [space.sample(rng) for _ in range(2)]
        supernet, sequence = space.supernet(0), list[Part]([str(paths)])
        for choice in (*paths, random_mixture(space, space.root())):
            with torch.no_grad():
                sequence.append(numbers(supernet(images, choice)))
            sequence.append(numbers([space.flops(choice).forward, space.flops(choice).backward]))
        with contextlib.suppress(SplitbenchError):  # its table has to be imported
            if name == "micro":
                sequence.append(numbers(space.ground_truth("digits").validation([space.sample(rng) for _ in range(3)])))
        yield Golden(f"space {name}", (f"spaces/{name}",), sequence)


def of_datasets() -> Iterator[Golden]:
    """Batches of the images that need no import."""
    data = build("datasets", "digits").load(torch.device("cpu"))
    images, labels = data.batch("train", 0, 3, 8)
    order = [numbers(data.images[part][:4].double().sum((1, 2, 3))) for part in ("train", "validation")]
    sequence: list[Part] = [numbers(images.double().square().mean((1, 2, 3))), str(labels.tolist()), *order]
    yield Golden("dataset digits", ("datasets/digits",), sequence)


def of_estimates() -> Iterator[Golden]:
    """Losses of a path and of a mixture on fresh weights, by each kind of statistics: whole layers, and slices."""
    data, modes = images_of((1, 8, 8), 10), (Evaluation(40, 25, RECALIBRATED, 50, 1), Evaluation(40, 25, RUNNING))
    spaces: tuple[SearchSpace, ...] = (Micro(), Elastic())
    for space in spaces:
        rng = np.random.default_rng(3)
        supernet, sequence = space.supernet(0), list[Part]()
        running = RunningStatistics(supernet)
        for step in range(3):
            supernet(data.batch("train", 0, step, 16)[0], space.sample(rng))
        for choice in (space.sample(rng), random_mixture(space, space.root())):
            sequence += [
                numbers(estimate(supernet, choice, data, evaluation, running))
                for evaluation in (Evaluation(40, 25), *modes)
            ]
        own = ("spaces/micro",) if isinstance(space, Micro) else ()
        units = ("stages/train", "stages/predict", "stages/select", *own)
        yield Golden(f"estimates in {space.name}", units, sequence)


def of_metrics() -> Iterator[Golden]:
    """Metrics of made-up estimates."""
    rng = np.random.default_rng(0)
    accuracy, loss, truth, macs = rng.integers(0, 20, 60), rng.random(60), rng.random(60) * 100, rng.integers(1, 9, 60)
    ranking = metrics.ranking_metrics(accuracy, loss, truth, macs, np.arange(60) % 3, 100.0)
    ceiling = metrics.ceiling(truth[:, None] + rng.normal(size=(60, 3)), macs)
    values: list[Part] = [numbers([value if value is not None else np.nan]) for _, value in sorted(ranking.items())]
    values += [" ".join(sorted(ranking)), numbers([value for _, value in sorted(ceiling.items())])]
    yield Golden("metrics", ("stages/measure", "stages/facts"), values)
    none, free, charged, arm = (EstimateSet(rng.integers(0, 20, 60).astype(float), rng.random(60)) for _ in range(4))
    terms = decompose(none, free, charged, arm, truth, np.arange(60) % 3) or {}
    yield Golden("decomposition", ("stages/decompose",), [numbers([terms[name] for name in sorted(terms)])])
