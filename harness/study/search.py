"""What a study file says of a sweep: which parameters are searched, over what, and how.

Whether an arm has such a parameter is known only to the components (harness/sweeps/search_parameters.py); what stands
here is what the file alone can tell. Nothing here imports torch or Optuna.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer

from splitbench.harness.registry import Spec, suggestion

EXAMPLE = "search: {trainer.learning_rate: {log: [0.01, 0.3]}, schedule.levels: [1, 2]}"
SCALES = ("log", "range")


class Range(BaseModel):
    """From a lowest to a highest value, both included; whole numbers where the parameter is one.

    Attributes:
        low, high: the ends.
        log: whether orders of magnitude are equally likely, or values.
        step: values are low, low + step, ...; None for all of them. Not with ``log``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @model_serializer
    def written(self) -> dict[str, Any]:
        """As a study file has it."""
        return {SCALES[not self.log]: [self.low, self.high]} | ({} if self.step is None else {"step": self.step})


class SweepConfig(BaseModel):
    """How parameters are searched. Every arm gets the same number of trials, each of at most the study's seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: Annotated[int, Field(ge=1, le=100_000)] = Field(30, description="configurations of each arm")
    sampler: Spec = Field("tpe", description="what proposes configurations: tpe, random, grid or cmaes")
    pruner: Spec = Field("interval", description="what ends a trial before its last seed")
    metric: str = Field("tau[all]", description="what is made better, against the validation truth")


def parse_search(data: Any) -> dict[str, Range | list[Any]]:
    """The key ``search`` of a study file: path of a parameter -> choices, or a range.

    Raises:
        ValueError: naming the path, what is wrong with it, and what is allowed.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"paths of parameters and what they are searched over are expected, as in {EXAMPLE}")
    if not data:
        raise ValueError(f"no parameter is named; name some, as in {EXAMPLE}")
    searched: dict[str, Range | list[Any]] = {}
    for path, over in data.items():
        if not isinstance(path, str) or not all(path.split(".")):
            raise ValueError(f"{path!r} is no path of a parameter; one looks like trainer.learning_rate")
        if isinstance(over, Range):
            searched[path] = over
        elif isinstance(over, Mapping):
            searched[path] = _range(path, over)
        elif isinstance(over, list):
            searched[path] = _choices(path, over)
        else:
            raise ValueError(
                f"{path}: a list of choices, {{log: [low, high]}} or {{range: [low, high]}} is expected, not {over!r}"
            )
    return searched


def _choices(path: str, over: list[Any]) -> list[Any]:
    if not over:
        raise ValueError(f"{path}: the list of choices is empty; name at least one value")
    for index, value in enumerate(over):
        if value in over[:index]:
            raise ValueError(f"{path}: the choice {value!r} stands there twice")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{path}: finite numbers are expected, not {value!r}")
    return over


def _range(path: str, over: Mapping[Any, Any]) -> Range:
    for key in over:
        if key not in (*SCALES, "step"):
            near = suggestion(str(key), [*SCALES, "step"])
            raise ValueError(f"{path}: unknown key {key!r}{near}; allowed keys: {', '.join(SCALES)}, step")
    given = [scale for scale in SCALES if scale in over]
    if len(given) != 1:
        raise ValueError(f"{path}: give either log: [low, high] or range: [low, high]")
    ends = over[given[0]]
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise ValueError(f"{path}: {given[0]} takes the two ends [low, high], not {ends!r}")
    low, high = (_number(path, end) for end in ends)
    step = _number(path, over["step"]) if over.get("step") is not None else None
    if not low < high:
        raise ValueError(f"{path}: the range from {low:g} to {high:g} is empty; the first end is the lower one")
    if given[0] == "log" and low <= 0:
        raise ValueError(f"{path}: a logarithmic range begins above 0, not at {low:g}; use range, or raise the low end")
    if step is not None and given[0] == "log":
        raise ValueError(f"{path}: a logarithmic range has no step; list the choices instead")
    if step is not None and not 0 < step <= high - low:
        raise ValueError(f"{path}: a step from {low:g} to {high:g} lies between 0 and {high - low:g}, not {step:g}")
    if step is not None:
        count = (high - low) / step
        if abs(count - round(count)) > 1e-9 * count:
            below, above = (low + step * end for end in (math.floor(count), math.ceil(count)))
            raise ValueError(
                f"{path}: a range from {low:g} in steps of {step:g} does not end at {high:g}; end it at {below:g} or "
                f"{above:g}"
            )
    return Range(low=low, high=high, log=given[0] == "log", step=step)


def _number(path: str, value: Any) -> float:
    """A number, also where YAML 1.1 reads ``1e-5`` as text."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{path}: finite numbers are expected, not {value!r}")
    return number
