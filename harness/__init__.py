"""splitbench: which splitting criterion makes a weight-sharing supernet rank architectures better, at equal compute?"""

from typing import Any

__all__ = ["run"]


def run(*args: Any, **kwargs: Any) -> Any:
    """Run a study; see :func:`harness.study.run`. (Imported on call: torch takes seconds to load.)"""
    from harness.study import run as run_study

    return run_study(*args, **kwargs)
