"""Options of samplers and pruners: those that Optuna's own classes take, checked before anything is tried."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, create_model

from splitbench.harness.errors import ConfigError
from splitbench.harness.registry import Spec, split_spec, suggestion

T = TypeVar("T")
# The sweep itself sets the seed, the seeds and the warnings; the rest is deprecated in Optuna 5.
_OWN = frozenset({"seed", "seeds", "warn_independent_sampling"})
_DEPRECATED = frozenset({"consider_prior", "consider_magic_clip", "consider_endpoints", "inc_popsize"})
_LEAST = {
    "n_ei_candidates": 1,
    "popsize": 2,
    "interval_steps": 1,
    "n_min_trials": 1,
    "min_seeds": 1,
    "min_resource": 1,
    "max_resource": 1,
    "reduction_factor": 2,
}  # all other whole numbers may be 0
_quiet = threading.Lock()


def name_and_options(spec: Spec, known: Mapping[str, Any], what: str, where: str) -> tuple[str, dict[str, Any]]:
    """Name and options that a spec gives, the name being one of ``known``.

    Args:
        spec: a bare name, or ``{name: ..., **options}``.
        known: what there is, by name.
        what: ``sampler`` or ``pruner``, for messages.
        where: path of the spec in the study file, for messages.

    Raises:
        ConfigError: if the name is unknown.
    """
    name, given = split_spec(spec, where)
    if name not in known:
        raise ConfigError(
            f"{where}: unknown {what} {name!r}{suggestion(name, list(known))}; there are: {', '.join(known)}"
        )
    return name, given


def allowed(maker: Callable[..., Any] | None) -> dict[str, Any]:
    """The options that a study file may give to ``maker``, and the type of each.

    These are its parameters that are numbers, words or switches. Parameters that only a program can give (functions,
    other samplers), deprecated ones, and those that the sweep sets itself (the seed) are left out.
    """
    if maker is None:
        return {}
    accepted: dict[str, Any] = {}
    for name, parameter in inspect.signature(maker).parameters.items():
        whole = Annotated[int, Field(ge=_LEAST.get(name, 0))]
        accepted_types: dict[str, Any] = {
            "int": whole,
            "int | None": whole | None,
            "str | int": whole | Literal["auto"],
            "float": float,
            "bool": bool,
            "bool | None": bool | None,
        }
        written = parameter.annotation
        written = written if isinstance(written, str) else inspect.formatannotation(written)
        if name not in _OWN | _DEPRECATED and written in accepted_types:
            accepted[name] = accepted_types[written]
    return accepted


def checked(maker: Callable[..., Any] | None, name: str, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The given options, each of the type its parameter asks for.

    Raises:
        ConfigError: an unknown option, one that is missing, or a value of the wrong type.
    """
    accepted = allowed(maker)
    for key in given:
        if key not in accepted:
            raise ConfigError(
                f"{where}: {name} has no option {key!r}{suggestion(key, list(accepted))}; "
                f"it takes: {', '.join(accepted) or 'none'}"
            )
    for key in accepted:
        if maker and key not in given and inspect.signature(maker).parameters[key].default is inspect.Parameter.empty:
            raise ConfigError(f"{where}: {name} needs the option {key!r}; it takes: {', '.join(accepted)}")
    fields: dict[str, Any] = {key: (accepted[key], ...) for key in given}
    try:
        return dict(create_model("Options", **fields)(**given))
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise ConfigError(f"{where}.{first['loc'][0]}: {message}, not {first['input']!r}") from error


def made_of_options(maker: Callable[..., T], where: str, options: Mapping[str, Any]) -> T:
    """Call ``maker`` with its options, without Optuna's warnings that some of them are experimental.

    Raises:
        ConfigError: if Optuna refuses a value, or two options that do not go together.
    """
    with _quiet, warnings.catch_warnings():  # filters are the whole process's: one thread at a time
        warnings.simplefilter("ignore")
        try:
            return maker(**options)
        except (ConfigError, ValueError, TypeError) as error:
            raise ConfigError(f"{where}: {str(error).rstrip('.')}") from error
