"""A conformance suite is a list of named checks; each passes, fails with a sentence, or is skipped with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from splitbench.harness.device import one_thread


class SkippedCheck(Exception):  # noqa: N818 - it is no error
    """A check that does not apply; its words say why."""


@dataclass(frozen=True)
class CheckVerdict:
    """How a check ended.

    Attributes:
        name: of the check.
        state: ``ok``, ``failed`` or ``skipped``.
        says: what is wrong, or why it was skipped; empty if it passed.
    """

    name: str
    state: Literal["ok", "failed", "skipped"]
    says: str = ""


@dataclass(frozen=True)
class ComponentCheck:
    """One thing that a component must hold.

    Attributes:
        name: what it is, in a few words.
        run: returns nothing if it holds. Raises AssertionError with a sentence if not, and :class:`SkippedCheck`.
    """

    name: str
    run: Callable[[], None]

    def verdict(self) -> CheckVerdict:
        """Run it. A component that raises anything else fails as well."""
        try:
            self.run()
        except SkippedCheck as reason:
            return CheckVerdict(self.name, "skipped", _line(reason))
        except AssertionError as complaint:
            return CheckVerdict(self.name, "failed", _line(complaint))
        except Exception as error:  # a stranger's component may raise anything
            return CheckVerdict(self.name, "failed", f"{type(error).__name__}: {_line(error)}")
        return CheckVerdict(self.name, "ok")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def enforce(checks: Iterable[ComponentCheck]) -> None:
    """Run checks until one fails.

    Raises:
        AssertionError: with the sentence of the first that fails.
    """
    with one_thread():
        for check in checks:
            try:
                check.run()
            except SkippedCheck:
                continue
            except AssertionError:
                raise
            except Exception as error:  # a stranger's component may raise anything
                raise AssertionError(f"{check.name}: {type(error).__name__}: {error}") from error
