"""The one door to every ground truth, and who may not pass it.

Training, scoring, selection and prediction run behind :func:`closed`: a component that asks its space for the truth
there gets an error instead of a leak. The state belongs to the context (thread or task) that closed the door, so that
a measurement beside it goes on.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from splitbench.harness.errors import ConfigError

_closed: ContextVar[bool] = ContextVar("splitbench ground truth closed", default=False)

F = TypeVar("F", bound=Callable[..., object])


@contextlib.contextmanager
def closed() -> Iterator[None]:
    """No ground truth can be opened inside."""
    token = _closed.set(True)
    try:
        yield
    finally:
        _closed.reset(token)


def require_open() -> None:
    """Called by whatever reads a ground truth, before it reads.

    Raises:
        ConfigError: inside :func:`closed`.
    """
    if _closed.get():
        raise ConfigError(
            "a component asked for the ground truth while it was training, scoring or selecting; only the measure "
            "stage may read it: use validation images instead"
        )


def guarded(read: F) -> F:
    """``read``, which raises ConfigError inside :func:`closed`."""

    @functools.wraps(read)
    def checked(*args: object, **keywords: object) -> object:
        require_open()
        return read(*args, **keywords)

    return checked  # type: ignore[return-value]
