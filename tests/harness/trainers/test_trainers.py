"""What a training step costs, which data it touches, and the numbers that it gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exact import exact_images, exact_weights
from torch import Tensor

from splitbench.harness.budget import Cost, Meter, training_pass
from splitbench.harness.errors import ConfigError
from splitbench.harness.testing import counting_flops, images_of, random_mixture, subspaces, trained
from splitbench.harness.trainers.base import Job, Session, Trainer
from splitbench.harness.trainers.darts import Darts
from splitbench.harness.trainers.rsps import Rsps
from splitbench.spaces.base import SearchSpace, SubSpace, Supernet
from splitbench.spaces.datasets.base import ImageData
from splitbench.spaces.datasets.digits import Digits
from splitbench.spaces.micro.space import Micro
from splitbench.spaces.nb201.space import NB201
from splitbench.spaces.nb_macro.space import NBMacro

BATCH = 4
TRAINERS: dict[str, Trainer] = {"rsps": Rsps(batch_size=BATCH), "darts": Darts(batch_size=BATCH)}
SPACES: dict[str, tuple[SearchSpace, ImageData]] = {
    "micro": (Micro(), images_of((1, 8, 8), 10)),
    "nb201": (NB201(channels=4, cells=1, image_size=8), images_of((3, 8, 8), 10)),
    "nb_macro": (NBMacro(channels=4, image_size=8), images_of((3, 8, 8), 10)),
}


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return Digits().load(torch.device("cpu"))


@pytest.mark.parametrize("trainer", list(TRAINERS))
@pytest.mark.parametrize("space", list(SPACES))
def test_a_step_is_charged_what_torch_counts(space: str, trainer: str) -> None:
    """Steps of a whole session, forward and backward of everything that runs, on the root and on a part of it."""
    (searched, data), component = SPACES[space], TRAINERS[trainer]
    steps = 20 if trainer == "rsps" else 3  # every step of darts runs the same; torch's counter is slow on mixtures
    for subspace in subspaces(searched)[:2]:
        meter = Meter()
        session = component.open(Job(searched, subspace, searched.supernet(0), data, 5, meter))
        for step in range(steps):
            foretold, meter.cost = session.seam.next_cost(step), Cost()
            with counting_flops() as counter:
                session.step(step, 0.0)
            assert meter.cost.flops == counter.get_total_flops() == foretold.flops
            assert (meter.cost.steps, meter.cost.examples) == (foretold.steps, foretold.examples)
            passes = 2 if trainer == "darts" else 1
            assert foretold.steps == passes
            assert foretold.examples == passes * BATCH


@pytest.mark.parametrize("trainer", list(TRAINERS))
def test_a_leaf_is_not_dearer_than_its_parent(trainer: str) -> None:
    """Over many steps: of the mixture in each step, of single paths on average in each part of a partition."""
    space, component = Micro(), TRAINERS[trainer]

    def price(subspace: SubSpace, count: int) -> float:
        session = component.open(Job(space, subspace, space.supernet(0), SPACES["micro"][1], 3, Meter()))
        return sum(session.seam.next_cost(step).flops for step in range(count)) / count

    root = space.root()
    whole = price(root, 200)
    parts = [price(leaf, 200) for leaf in root.split(0, [(0, 1), (2,), (3, 4)])]
    if trainer == "darts":
        assert max(parts) < whole
    assert min(parts) < whole < 2 * max(parts)


def test_training_steps_go_on_where_the_parent_stopped() -> None:
    """The step counts from the root: a leaf neither repeats its parent's batches nor its parent's architectures."""
    trainer, space = Rsps(batch_size=BATCH), Micro()
    session = trainer.open(Job(space, space.root(), space.supernet(0), SPACES["micro"][1], 9, Meter()))
    sampled = [session.choices(step) for step in range(30)]
    assert len({path for (path,) in sampled}) > 25
    later = trainer.open(Job(space, space.root(), space.supernet(0), SPACES["micro"][1], 9, Meter()))
    assert [later.choices(step) for step in range(10, 30)] == sampled[10:]


def test_rsps_trains_what_it_sampled_and_nothing_else(digits: ImageData) -> None:
    """Weight decay and momentum leave alone what did not run in this step."""
    space, trainer = Micro(), Rsps(batch_size=BATCH)
    supernet = space.supernet(1)
    session = trainer.open(Job(space, space.root(), supernet, digits, 4, Meter()))
    for step in range(8):
        before = {name: tensor.clone() for name, tensor in supernet.named_parameters()}
        session.step(step, 0.1)
        (drawn,) = session.choices(step)
        assert isinstance(drawn, tuple)
        path = space.function(drawn)
        for edge, operation in enumerate(path):
            for name, parameter in supernet.edge_parameters(edge):
                runs = f".edges.{edge}.{operation}." in name
                assert torch.equal(parameter, before[name]) is not runs, (step, name)


# --- darts ------------------------------------------------------------------------------------------------------------


class Watched(ImageData):
    """Images that note which part each batch was taken from."""

    parts: list[str]

    def batch(self, part: str, seed: int, step: int, size: int, augment: bool = True) -> tuple[Tensor, Tensor]:
        self.parts.append(part)
        return super().batch(part, seed, step, size, augment)


def watched(data: ImageData) -> Watched:
    copy = Watched(dict(data.images), dict(data.labels), data.classes)
    copy.parts = []
    return copy


def test_darts_takes_one_batch_of_each_half_a_step(digits: ImageData) -> None:
    data = watched(digits)
    trained(Darts(batch_size=BATCH), Micro(), Micro().root(), data, 0, 5)
    assert data.parts == ["validation", "train"] * 5


def test_rsps_never_sees_validation_images(digits: ImageData) -> None:
    data = watched(digits)
    trained(Rsps(batch_size=BATCH), Micro(), Micro().root(), data, 0, 5)
    assert data.parts == ["train"] * 5


@pytest.mark.parametrize("part", ["train", "validation"])
def test_alpha_moves_through_the_validation_half_alone(digits: ImageData, part: str) -> None:
    """After one step from the same weights, other training images give another supernet but the same alpha."""
    other = ImageData(dict(digits.images), dict(digits.labels), digits.classes)
    other.labels[part] = (other.labels[part] + 3) % 10
    trainer, space = Darts(batch_size=BATCH), Micro()
    start, _, _ = trained(trainer, space, space.root(), digits, 0, 0)
    (weights, tensors), _, _ = trained(trainer, space, space.root(), digits, 0, 1)
    (changed, changed_tensors), _, _ = trained(trainer, space, space.root(), other, 0, 1)
    assert not torch.equal(tensors["alpha"], start[1]["alpha"])
    assert torch.equal(tensors["alpha"], changed_tensors["alpha"]) is (part == "train")
    name = "stem.0.weight"
    if part == "train":
        assert not torch.equal(weights[name], changed[name])


def test_the_first_alpha_step_is_adam_on_the_validation_loss(digits: ImageData) -> None:
    """By hand: the first step of Adam is the learning rate times the sign of the gradient (with weight decay)."""
    trainer, space = Darts(batch_size=16), Micro()
    start, _, _ = trained(trainer, space, space.root(), digits, 0, 0)
    end, _, _ = trained(trainer, space, space.root(), digits, 0, 1)
    data = watched(digits)
    session = trainer.open(Job(space, space.root(), space.supernet(0), data, 7, Meter()))
    batch, (choice,) = data.batch("validation", 7 ^ 0x5EED, 0, 16), session.choices(0)
    loss = session.loss(batch, choice, session.job.supernet(batch[0], choice))
    (gradient,) = torch.autograd.grad(loss, session.alpha)
    decayed = gradient + trainer.architecture_weight_decay * start[1]["alpha"]
    assert decayed.abs().min() > 1e-7  # far above Adam's constant, so that the step is a sign
    moved = end[1]["alpha"] - start[1]["alpha"]
    torch.testing.assert_close(moved, -trainer.architecture_learning_rate * decayed.sign(), rtol=1e-2, atol=1e-6)


def test_the_mixture_is_a_softmax_over_what_is_allowed() -> None:
    space = Micro()
    subspace = space.root().only(2, (1, 3)).only(4, (2,))
    alpha = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    weights = Micro().mixture(alpha, subspace).weights
    assert weights.sum(dim=1).numpy() == pytest.approx(np.ones(6))
    first = float((alpha[2, 1] - alpha[2, 3]).sigmoid())
    assert weights[2].tolist() == pytest.approx([0, first, 0, 1 - first, 0])
    assert weights[4].tolist() == [0, 0, 1, 0, 0]


def test_the_mixture_charges_every_operation_that_runs() -> None:
    """An edge's operations add up; a network of single operations costs what the path costs."""
    space, trainer = Micro(), Darts(batch_size=BATCH)
    single = tuple((op,) for op in (3, 1, 2, 4, 3, 2))
    narrow = type(space.root())(single)

    def price(subspace: SubSpace) -> Cost:
        job = Job(space, subspace, space.supernet(0), SPACES["micro"][1], 3, Meter())
        return trainer.open(job).seam.next_cost(0)

    path = training_pass(space, (3, 1, 2, 4, 3, 2), BATCH)
    assert price(narrow) == path + path  # for the architecture parameters, and for the weights
    both = price(narrow.only(0, (2, 3))).flops
    one, other = (price(narrow.only(0, (op,))).flops for op in (2, 3))
    skip = price(narrow.only(0, (1,))).flops
    assert both - skip == (one - skip) + (other - skip) > 0


def test_alpha_of_what_is_not_allowed_gets_no_gradient(digits: ImageData) -> None:
    """After a split, the parameters of operations in other leaves only decay (weight decay alone moves them)."""
    trainer, space = Darts(batch_size=BATCH, architecture_weight_decay=0.0), Micro()
    leaf = space.root().only(1, (2, 3))
    parent, _, _ = trained(trainer, space, leaf, digits, 0, 0)
    child, _, _ = trained(trainer, space, leaf, digits, 0, 3)
    moved = child[1]["alpha"] != parent[1]["alpha"]
    assert not moved[1, [0, 1, 4]].any()
    assert moved[1, [2, 3]].all()
    assert moved[[0, 2, 3, 4, 5]].all()


# --- golden sequences: a change of sampling, data order, initial weights, optimizer or schedule shows here ------

RSPS_LOSSES = [
    2.4436289,
    2.5702775,
    2.3792196,
    2.3781063,
    2.5461275,
    2.6111824,
    2.4555773,
    2.4275572,
    2.3585735,
    2.2853754,
]
DARTS_LOSSES = [2.5598131, 2.4041338, 2.2046799, 2.1069022, 2.2385351]
DARTS_ALPHA = [-0.00054671, -0.00065812, 0.00189769, -0.00007807, -0.00135115]  # of the first edge
INITIAL = [7.036065, 244.421696]


def golden(trainer: Trainer, data: ImageData) -> tuple[Session, Supernet]:
    """A session in float64, and its supernet, that are the same on every machine (exact.py says why; in float32 losses
    differ by up to 1e-2 after ten steps)."""
    space, supernet = Micro(), exact_weights(Micro().supernet(0))
    return trainer.open(Job(space, space.root(), supernet, exact_images(data), 7, Meter())), supernet


@pytest.mark.portable
def test_golden_rsps(digits: ImageData) -> None:
    session, _ = golden(Rsps(batch_size=64, learning_rate=0.1), digits)
    assert [session.step(step, step / 100) for step in range(10)] == pytest.approx(RSPS_LOSSES, abs=1e-6)


@pytest.mark.portable
def test_golden_darts(digits: ImageData) -> None:
    session, _ = golden(Darts(batch_size=64), digits)
    assert [session.step(step, step / 100) for step in range(5)] == pytest.approx(DARTS_LOSSES, abs=1e-6)
    assert session.tensors()["alpha"][0].tolist() == pytest.approx(DARTS_ALPHA, abs=1e-8)


@pytest.mark.portable
def test_golden_initial_weights() -> None:
    """Their draws, whose last digits are the machine's: the sum of each layer's numbers, and of their squares."""
    weights = [p.detach().double() for p in Micro().supernet(0).parameters()]
    found = [float(sum(p.sum() for p in weights)), float(sum((p * p).sum() for p in weights))]
    assert found == pytest.approx(INITIAL, rel=1e-5)


@pytest.mark.portable
@pytest.mark.parametrize("trainer", [Rsps(batch_size=64, learning_rate=0.1), Darts(batch_size=64)])
def test_float32_follows_float64(digits: ImageData, trainer: Trainer) -> None:
    """Step by step from the weights that float64 has reached: errors of single steps, before they grow."""
    images = exact_images(digits)
    space, (double, weights) = Micro(), golden(trainer, digits)
    single = ImageData({part: x.float() for part, x in images.images.items()}, images.labels, images.classes)
    for step in range(5):
        supernet = space.supernet(0)
        supernet.load_state_dict(weights.state_dict())  # casts
        session = trainer.open(Job(space, space.root(), supernet, single, 7, Meter()))
        session.load({name: tensor.float() for name, tensor in double.tensors().items()})
        assert session.step(step, step / 100) == pytest.approx(double.step(step, step / 100), abs=1e-5)


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"batch_size": 1}, "trainer.batch_size: .* at least 2 images, not 1"),
        ({"learning_rate": 0.0}, "trainer.learning_rate: a positive number is expected, not 0.0"),
        ({"learning_rate": float("inf")}, "trainer.learning_rate: a positive number is expected, not inf"),
        ({"momentum": -0.1}, "trainer.momentum: a number of at least 0 is expected, not -0.1"),
        ({"clip": 0.0}, "trainer.clip: a positive gradient norm is expected, not 0.0"),
    ],
)
@pytest.mark.parametrize("trainer", [Rsps, Darts])
def test_wrong_parameters_are_a_sentence(trainer: type[Rsps], wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        trainer(**wrong)  # type: ignore[arg-type]


def test_the_learning_rate_is_a_half_cosine() -> None:
    trainer = Darts(learning_rate=0.4, final_learning_rate=0.1)
    optimizer = trainer.optimizer([torch.nn.Parameter(torch.zeros(1))])
    rates = []
    for progress in (0.0, 0.5, 1.0):
        trainer.anneal(optimizer, progress)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.4, 0.25, 0.1])


@pytest.mark.portable
def test_bfloat16_runs_the_forward_pass_in_half_precision(digits: ImageData) -> None:
    space, trainer = Micro(), Rsps(batch_size=16)
    losses = {}
    for precision in ("float32", "bfloat16"):
        job = Job(space, space.root(), space.supernet(0), digits, 1, Meter(), precision)
        session = trainer.open(job)
        losses[precision] = [session.step(step, 0.0) for step in range(3)]
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


def test_random_mixtures_are_always_the_same() -> None:
    assert torch.equal(random_mixture(Micro(), Micro().root()).weights, random_mixture(Micro(), Micro().root()).weights)
