"""The sections of a study file that hold plain values: budget, schedule, population, evaluation. No torch here."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from splitbench.harness.study.yaml_text import EXPONENT


def _whole(value: Any) -> Any:
    """A whole number that is written as text with an exponent, as ``4e1``; anything else is left to be checked."""
    if isinstance(value, str) and EXPONENT.fullmatch(value.strip()):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_whole)]
CALIBRATION = 2000
"""Training images that statistics are measured on: as many as Once-for-All's code takes."""
BUDGETS = ("flops", "steps", "examples", "seconds")


class StrictModel(BaseModel):
    """A frozen mapping of a study file, in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BudgetConfig(StrictModel):
    """The total compute of one arm; exactly one unit. (``seconds`` cannot be matched exactly; prefer ``flops``.)"""

    flops: Positive | None = None
    steps: Positive | None = None
    examples: Positive | None = None
    seconds: Positive | None = None

    @model_validator(mode="after")
    def _one(self) -> BudgetConfig:
        if len(self.given) != 1:
            raise ValueError(f"give exactly one of {', '.join(BUDGETS)}")
        return self

    @property
    def given(self) -> dict[str, float]:
        """The units that the file names -> their amounts; exactly one once it is checked."""
        return {kind: value for kind in BUDGETS if (value := getattr(self, kind)) is not None}


class ScheduleConfig(StrictModel):
    """When and how the supernet is split."""

    levels: Annotated[Whole, Field(ge=1, le=8)] = Field(1, description="splits from the root to a leaf")
    branching: Annotated[Whole, Field(ge=2, le=8)] = Field(2, description="groups a split")
    warmup: Annotated[float, Field(ge=0, lt=1)] | list[Annotated[float, Field(ge=0, lt=1)]] = Field(
        0.2, description="share of the budget trained before the splits: in all (equal parts a level), or one a level"
    )
    weights: Literal["inherit", "restart"] = Field(
        "inherit", description="whether leaves go on from their parent's weights or start afresh"
    )
    keep: Literal["all", "best"] = Field(
        "all", description="which children are split further: all, or the one with the best estimate on validation data"
    )
    share: Literal["sampler", "functions", "steps", "flops"] = Field(
        "sampler",
        description="how what is left is divided among leaves: as often as the unsplit supernet's sampler trains what "
        "each owns, by functions owned, in equal steps, or in equal parts of the budget",
    )
    selection: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="share of the budget kept back for selection; if absent, what the selector's plan costs"
    )

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, data: Any) -> Any:
        if isinstance(data, dict) and "splits" in data:
            raise ValueError(
                "splits is no key any more: instead of splits: momentum, write modifiers: [momentum_groups] in the "
                "study or the arm; splits: weights is what happens without it"
            )
        return data

    @model_validator(mode="after")
    def _shares(self) -> ScheduleConfig:
        if isinstance(self.warmup, list) and len(self.warmup) != self.levels:
            raise ValueError(f"warmup lists {len(self.warmup)} shares for {self.levels} levels; give one a level")
        if sum(self.shares) + (self.selection or 0.0) >= 1:
            raise ValueError(
                "the shares of warmup and selection leave nothing for the leaves; their sum must be below 1"
            )
        if self.keep == "best" and self.weights != "inherit":
            raise ValueError("keep: best goes with weights: inherit only")
        if self.keep == "best" and self.levels > 1 and not all(self.shares[1:]):
            raise ValueError("keep: best compares children that have been trained; give every level a share of warmup")
        return self

    @property
    def shares(self) -> list[float]:
        """The share of the budget that is trained at each level before its split."""
        return self.warmup if isinstance(self.warmup, list) else [self.warmup / self.levels] * self.levels

    @property
    def windows(self) -> list[tuple[float, float]]:
        """Where on the learning-rate schedule each level's training begins and ends. The schedule of learning rates has
        no key of its own: warm-up cuts it here, and leaves train what is left of it."""
        # Stages are hashed by these, and sum() rounds otherwise from Python 3.12 on; accumulate() is plain addition.
        return list(itertools.pairwise(itertools.accumulate(self.shares, initial=0.0)))


class PopulationConfig(StrictModel):
    """Which architectures the metrics are computed on: distinct connected functions, or connected strings."""

    sample: Annotated[Whole, Field(ge=10)] | None = Field(None, description="how many, drawn uniformly; all if absent")
    of: Literal["functions", "strings"] = Field(
        "functions", description="strings: each spelling of a function is a member, ranked by the leaf that contains it"
    )


class EvaluationConfig(StrictModel):
    """How an architecture's estimate is measured: on fixed, unaugmented validation images."""

    images: Annotated[Whole, Field(ge=10)] | None = Field(None, description="how many validation images; all if absent")
    batch_size: Annotated[Whole, Field(ge=10)] = 1000
    batch_norm: Literal["batch", "recalibrated", "running"] = Field(
        "batch",
        description="statistics that normalise these images: the batch's own, those of each architecture on training "
        "images, or those that layers kept in training, which mix the paths",
    )
    calibration: Annotated[Whole, Field(ge=10)] | None = Field(
        None, description="on how many training images batch_norm: recalibrated measures statistics; 2000 if absent"
    )

    @model_validator(mode="before")
    @classmethod
    def _calibrated(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("batch_norm") == "recalibrated":
            return {**data, "calibration": CALIBRATION if (given := data.get("calibration")) is None else given}
        return data

    @model_validator(mode="after")
    def _for_recalibration(self) -> EvaluationConfig:
        if self.calibration is not None and self.batch_norm != "recalibrated":
            raise ValueError("calibration is for batch_norm: recalibrated; leave it out, or say that as well")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without batch_norm where it is the default, as all studies were written before there was a choice."""
        unsaid = ("batch_norm", "calibration") if self.batch_norm == "batch" else ()
        return {key: value for key, value in handler(self).items() if key not in unsaid}
