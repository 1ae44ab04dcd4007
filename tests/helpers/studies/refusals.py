"""What the command says where it refuses."""

from __future__ import annotations

from collections.abc import Callable

Command = Callable[..., tuple[int, str, str]]


def refused(ended: tuple[int, str, str], *fragments: str) -> None:
    """Status 2, nothing on standard output, and one sentence on standard error that holds the fragments."""
    status, out, err = ended
    assert status == 2, ended
    assert out == ""
    assert err.startswith("splitbench: ")
    assert err.count("\n") == 1, err
    for fragment in fragments:
        assert fragment in err
