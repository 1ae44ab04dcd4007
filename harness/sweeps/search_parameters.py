"""The parameters of arms that a sweep searches: which arm has which, and over what.

A path names a part of an arm and a parameter of it: ``trainer.learning_rate``, ``schedule.levels``,
``criterion.repetitions``; a part alone (``partitioner``) is searched as a whole, and a parameter that names a component
goes on (``criterion.proxy.batches``). What all arms share (space, dataset, budget, population, evaluation) is what they
are compared on, so it is not searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from splitbench.harness.errors import ConfigError
from splitbench.harness.part import Part
from splitbench.harness.registry import get, nested_specs, parameters, suggestion
from splitbench.harness.study.arm import Arm
from splitbench.harness.study.config import ArmConfig, ScheduleConfig, StudyConfig, short
from splitbench.harness.study.search import Range
from splitbench.harness.sweeps.accepted_numbers import (
    Declared,
    Number,
    Value,
    called,
    declared,
    is_number,
    number_like,
    number_type,
    of_schedule,
)

DIGITS = 4  # of what runs: enough for any hyper-parameter, and a configuration keeps one short name
SHARES = (0.5, 0.381966, 0.0123457, 0.000123457)  # of a range's length: places inside it, not all of them whole

KINDS = {
    "criterion": "criteria",
    "partitioner": "partitioners",
    "edge_rule": "edge_rules",
    "trainer": "trainers",
    "selector": "selectors",
    "leaf_choice": "leaf_choices",
}
OF_SPLITS = ("criterion", "partitioner", "edge_rule", "leaf_choice", "schedule")
SHARED = ("space", "dataset", "budget", "seeds", "seed", "population", "evaluation", "precision", "baseline")


@dataclass(frozen=True)
class Parameter:
    """One searched parameter of one arm.

    Attributes:
        path: its place in the arm.
        over: a range, or name -> choice.
        integer: whether it takes whole numbers.
        own: the study file's own value; None if the file gives none that is searched.
    """

    path: str
    over: Range | Mapping[Value, Any]
    integer: bool
    own: Value | None

    @property
    def distribution(self) -> BaseDistribution:
        """The same as an Optuna distribution."""
        if not isinstance(self.over, Range):
            return CategoricalDistribution(list(self.over))
        if self.integer:
            step = 1 if self.over.step is None else int(self.over.step)
            return IntDistribution(int(self.over.low), int(self.over.high), log=self.over.log, step=step)
        return FloatDistribution(self.over.low, self.over.high, log=self.over.log, step=self.over.step)

    def shown(self, suggested: Value) -> Value:
        """The value that runs, and that reports show: a float to four significant digits, inside its range."""
        if isinstance(self.over, Range) and not self.integer:
            return min(max(float(f"{suggested:.{DIGITS}g}"), self.over.low), self.over.high)
        return suggested

    def given(self, shown: Value) -> Any:
        """The value for the arm's configuration: of a choice, what its name stands for."""
        return shown if isinstance(self.over, Range) else self.over[shown]

    def samples(self) -> list[Value]:
        """Values to check before the sweep starts: every choice, or both ends of a range and a value inside it that is
        not a whole number, if there is one."""
        if not isinstance(self.over, Range):
            return list(self.over)
        low, length = self.over.low, self.over.high - self.over.low
        step = self.over.step or (1 if self.integer else None)
        if step is not None:
            inside = [low + step * index for index in (round(length / step) // 2, 1)]
        else:
            inside = [float(self.shown(low + share * length)) for share in SHARES]
        middle = next((value for value in inside if not value.is_integer()), inside[0])
        return list(dict.fromkeys(int(x) if self.integer else x for x in (low, middle, self.over.high)))


def searched_by_arm(config: StudyConfig, arms: Sequence[tuple[ArmConfig, Arm]]) -> list[tuple[Parameter, ...]]:
    """The searched parameters of each arm, in the study file's order; empty for an arm that has none of them.

    Raises:
        ConfigError: if no arm has a parameter, or the parameter does not take what it is searched over.
    """
    search = config.search or {}
    searched: list[list[Parameter]] = [[] for _ in arms]
    for path, over in search.items():
        takers = [index for index, (_, arm) in enumerate(arms) if takes(arm, path, search)]
        if not takers:
            raise unknown(path, [arm for _, arm in arms], search)
        for index in takers:
            searched[index].append(parameter(path, over, arms[index][1], search))
    return [tuple(own) for own in searched]


def takes(arm: Arm, path: str, search: Mapping[str, Range | list[Any]]) -> bool:
    """Whether an arm has the parameter. Of an arm that does not split, only trainer and selector have any effect."""
    part, *rest = path.split(".")
    if part in OF_SPLITS and not arm.splits:
        return False
    if not rest:
        return part in KINDS and part != "criterion"
    return next(declarations(arm, path, search), None) is not None


def declarations(arm: Arm, path: str, search: Mapping[str, Range | list[Any]]) -> Iterator[Declared]:
    """The declarations of a parameter in the arm's own component, and in each that the search may put in its place."""
    part, *rest = path.split(".")
    if part == "schedule" and len(rest) == 1:
        yield from of_schedule(rest[0])
    elif part in KINDS and rest:
        yield from declared(KINDS[part], arm.parts[KINDS[part]].described(), part, rest, search)


def unknown(path: str, arms: Sequence[Arm], search: Mapping[str, Any]) -> ConfigError:
    """The error for a path that no arm has."""
    part = path.partition(".")[0]
    if part in SHARED:
        return ConfigError(
            f"search.{path}: {part} is what all arms are compared on, so it is not searched; parts that are: "
            f"{', '.join([*KINDS, 'schedule'])}"
        )
    if path == "criterion":
        return ConfigError("search.criterion: an arm is its criterion; list several arms, and search their parameters")
    if part in OF_SPLITS and not any(arm.splits for arm in arms):
        return ConfigError(f"search.{path}: no arm of the study splits the supernet, so {part} has no effect")
    known = list(dict.fromkeys(name for arm in arms for name in known_paths(arm)))
    beside = [name for name in known if name.startswith(f"{part}.")] or [*KINDS, "schedule"]
    return ConfigError(
        f"search.{path}: no arm has this parameter{suggestion(path, known)}; there are: {', '.join(beside)}"
    )


def known_paths(arm: Arm) -> Iterator[str]:
    for part, kind in KINDS.items():
        if arm.splits or part not in OF_SPLITS:
            yield from (f"{part}.{name}" for name in parameters(get(kind, arm.parts[kind].name)))
    if arm.splits:
        yield from (f"schedule.{name}" for name in ScheduleConfig.model_fields)


def parameter(path: str, over: Range | list[Any], arm: Arm, search: Mapping[str, Range | list[Any]]) -> Parameter:
    """A parameter that the arm has.

    Raises:
        ConfigError: if it takes no numbers and has a range, or a range of whole numbers has ends that are not whole.
    """
    own = value_at(arm, path)
    takers = {declaration.component: number_type(declaration, own) for declaration in declarations(arm, path, search)}
    if isinstance(over, Range):
        integer = whole_numbers_only(path, over, takers, own)
        return Parameter(path, over, integer, own if is_number(own) else None)
    type_ = next(iter(takers.values()), None)
    choices = {called(value, type_): number_like(value, type_) for value in over}
    if len(choices) < len(over):
        raise ConfigError(f"search.{path}: two of the choices are the same; choices: {', '.join(map(str, choices))}")
    kind = component_kind(arm, path)
    if kind is not None:
        same = [name for name, spec in choices.items() if Part.of(kind, spec, f"search.{path}").described() == own]
        return Parameter(path, choices, False, same[0] if same else None)
    mine = called(own, type_)
    return Parameter(path, choices, False, mine if mine in choices else None)


def whole_numbers_only(path: str, over: Range, takers: Mapping[str, Number | None], own: Any) -> bool:
    """Whether a range has whole numbers only. What takes its values: component -> type of its numbers.

    Raises:
        ConfigError: if a component takes no numbers, if two take different ones, or if the range needs whole numbers
            and has others.
    """
    remedy = "list its choices instead of a range"
    names = {type_: name for name, type_ in takers.items()}
    if None in names or not names:
        plain = own is None or is_number(own)
        what = f"{names[None]} takes no number" if plain else f"it is {short(own)} and no number"
        raise ConfigError(f"search.{path}: {what}; {remedy}")
    if len(names) > 1:
        raise ConfigError(f"search.{path}: {names[int]} takes whole numbers only, and {names[float]} any; {remedy}")
    numbers = [over.low, over.high, *([] if over.step is None else [over.step])]
    if int in names and not all(number.is_integer() for number in numbers):
        raise ConfigError(f"search.{path}: whole numbers are expected, not {', '.join(f'{n:g}' for n in numbers)}")
    return int in names


def component_kind(arm: Arm, path: str) -> str | None:
    """The registry of what a path names, if that is a component."""
    part, *rest = path.split(".")
    kind, own = KINDS.get(part), arm.parts.get(KINDS.get(part, ""))
    spec = None if own is None else own.described()
    for key in rest:
        if kind is None or not isinstance(spec, Mapping):
            return None
        kind, spec = nested_specs(get(kind, str(spec["name"])).load()).get(key), spec.get(key)
    return kind


def value_at(arm: Arm, path: str) -> Any:
    """The arm's value at a path, from the study file or by default."""
    part, *rest = path.split(".")
    value: Any = arm.schedule.model_dump() if part == "schedule" else arm.parts[KINDS[part]].described()
    for key in rest:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
