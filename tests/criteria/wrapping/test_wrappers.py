"""Wrappers around toy criteria whose affinities are known, and the metric-driven preset."""

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from splitbench.criteria.base import Affinity, Criterion, Parts, Probe, parts_of, reads_truth, splits, unfit
from splitbench.criteria.wrapping.wrappers import Inverted, MetricDriven, Wrapper
from splitbench.harness import registry
from splitbench.harness.budget import Meter
from splitbench.harness.errors import ConfigError
from splitbench.harness.part import Part
from splitbench.harness.study.config import ScheduleConfig
from splitbench.harness.supernets.probe import SupernetProbe
from splitbench.harness.testing import check_criterion, images_of
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import SearchSpace, SubSpace
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb_macro.space import NBMacro

SPACE = Micro()
TABLE = np.array([[0.0, 1.0, 4.0], [1.0, 0.0, 2.5], [4.0, 2.5, 0.0]])
ERROR = np.array([[0.0, 0.1, 0.2], [0.1, 0.0, np.nan], [0.2, np.nan, 0.0]])
WORTH = ((((0, 1), (2,)), 5.0), (((0,), (1, 2)), 2.0))


@dataclass(frozen=True)
class Known:
    """Always the same affinity; draws, reads the truth, has parts of its own, and serves micro alone."""

    factor: float = 1.0

    draws: ClassVar[bool] = True
    reads_truth: ClassVar[bool] = True
    built: ClassVar[list[int]] = []

    def __post_init__(self) -> None:
        self.built.append(1)

    def parts(self) -> Parts:
        return Parts("singletons", "shipped_max_cut", {"levels": 2}, only_whole_edges=True)

    def unfit(self, space: SearchSpace) -> str | None:
        return None if space.name == "micro" else "it knows micro alone"

    def __call__(self, probe: Probe, edge: int) -> Affinity:
        return Affinity((0, 2, 3), TABLE * self.factor, ERROR, 7, WORTH)


def plain(probe: Probe, edge: int) -> Affinity:
    """A plain function as a criterion: the distance of operation indices."""
    operations = probe.operations(edge)
    return Affinity.assumed(operations, np.abs(np.subtract.outer(operations, operations)).astype(float))


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    registry.register("criteria", "known")(Known)
    registry.register("criteria", "plain")(plain)
    Known.built.clear()


def test_inverted_turns_dissimilarities_around_and_keeps_errors() -> None:
    affinity = Inverted({"name": "known", "factor": 2.0})(cast(Probe, None), 0)
    np.testing.assert_allclose(affinity.dissimilarity, [[0, 6, 0], [6, 0, 3], [0, 3, 0]])
    np.testing.assert_array_equal(affinity.standard_error, ERROR)
    assert (affinity.operations, affinity.repetitions) == ((0, 2, 3), 7)
    assert affinity.worth == ((((0, 1), (2,)), 0.0), (((0,), (1, 2)), 3.0))


class Allowing:
    """A probe of an edge that allows some operations."""

    def __init__(self, operations: tuple[int, ...]) -> None:
        self.subspace = SubSpace((operations,))

    def operations(self, edge: int) -> tuple[int, ...]:
        return self.subspace.allowed[edge]


@pytest.mark.parametrize(("operations", "expected"), [((3,), [[0.0]]), ((1, 4), [[0.0, 0.0], [0.0, 0.0]])])
def test_inverted_of_one_or_two_operations_is_zero(operations: tuple[int, ...], expected: list[list[float]]) -> None:
    affinity = Inverted("plain")(cast(Probe, Allowing(operations)), 0)
    assert affinity.dissimilarity.tolist() == expected


def test_inverted_twice_keeps_the_order_of_pairs() -> None:
    twice = Inverted({"name": "inverted", "of": "plain"})(cast(Probe, Allowing((0, 1, 4))), 0)
    np.testing.assert_allclose(twice.dissimilarity, [[0, 0, 3], [0, 0, 2], [3, 2, 0]])  # less the smallest


@pytest.mark.parametrize("kind", [Inverted, MetricDriven])
def test_wrappers_pass_on_what_the_criterion_inside_is(kind: type[Wrapper]) -> None:
    wrapper = kind("known")
    assert wrapper.draws is True
    assert reads_truth(wrapper)
    assert splits(cast(Criterion, wrapper))
    assert unfit(wrapper, SPACE) is None
    assert unfit(wrapper, NBMacro()) == "it knows micro alone"


@pytest.mark.parametrize("kind", [Inverted, MetricDriven])
def test_a_plain_function_inside_draws_nothing_and_serves_all(kind: type[Wrapper]) -> None:
    wrapper = kind("plain")
    assert wrapper.draws is False
    assert not reads_truth(wrapper)
    assert unfit(wrapper, SPACE) is None


def test_the_criterion_inside_is_built_once() -> None:
    built = registry.build("criteria", {"name": "inverted", "of": "known"})
    for _ in range(3):
        built(cast(Probe, None), 0)
        parts_of(built)
        unfit(built, SPACE)
    assert len(Known.built) == 1


@pytest.mark.parametrize("name", ["inverted", "metric_driven"])
def test_a_criterion_that_never_splits_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"criterion {name}.of: 'none' never splits"):
        registry.build("criteria", {"name": name, "of": "none"}, "arms[0]")
    with pytest.raises(ConfigError, match=f"criterion {name}.of: unknown criteria component 'nope'"):
        registry.build("criteria", {"name": name, "of": "nope"}, "arms[0]")


@pytest.mark.parametrize("name", ["inverted", "metric_driven"])
def test_the_fingerprint_of_the_criterion_inside_is_hashed(name: str) -> None:
    part = Part.of("criteria", {"name": name, "of": {"name": "known", "factor": 3}})
    spec = part.described()
    assert spec["of"]["factor"] == 3.0
    assert str(spec["of"]["fingerprint"]).startswith("known-")
    assert part.build().inner == Known(3.0)


def test_parts() -> None:
    assert parts_of(Inverted("known")) == Known().parts()
    assert parts_of(Inverted("plain")) == Parts()
    parts = MetricDriven("known").parts()
    assert parts == Parts(
        "max_cut",
        {"name": "fixed", "edges": (0, 1, 2)},
        {"levels": 3, "branching": 2, "warmup": 0.0, "weights": "restart", "share": "steps"},
    )
    assert ScheduleConfig.model_validate(parts.schedule).shares == [0, 0, 0]
    assert registry.build("edge_rules", parts.edge_rule).edges == (0, 1, 2)
    assert MetricDriven("known", edges=(4,)).parts().schedule["levels"] == 1


@pytest.mark.parametrize("edges", [(), (1, 1), (-1, 0)])
def test_edges_are_checked(edges: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="edges must be a list of different edge indices from 0"):
        MetricDriven("known", edges=edges)


def count(network: Any) -> float:
    """The number of weight tensors that take part."""
    return float(len(network.weights()))


def test_metric_driven_by_default_is_the_relative_difference_of_masked_initial_supernets() -> None:
    registry.register("proxies", "count")(count)
    default = MetricDriven().of
    assert isinstance(default, dict)
    assert default["proxy"] == {"name": "synflow", "log": False}
    data = images_of((1, 8, 8), 10)
    probe = SupernetProbe(
        SPACE, SPACE.root(), SPACE.supernet(1), data, Rsps(batch_size=8), {}, 3, 0, Meter(), lambda: SPACE.supernet(2)
    )
    affinity = MetricDriven({**default, "proxy": "count"})(probe, 1)
    # stem, two reductions, classifier; 3 cells x 6 edges x 2 convolutions; on the masked edge 3 x (0 or 1)
    whole = 4 + 36
    masked = np.array([34, 34, 37, 37, 34])
    np.testing.assert_allclose(affinity.dissimilarity, np.abs(np.subtract.outer(masked, masked)) / whole)
    assert affinity.repetitions == 1


@pytest.mark.parametrize("kind", [Inverted, MetricDriven])
def test_conforms(kind: Any) -> None:
    check_criterion(kind({"name": "gm", "repetitions": 1}), SPACE, images_of((1, 8, 8), 10))
