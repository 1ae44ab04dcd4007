"""Options that many verbs have, each with one name, one metavar and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Plugin = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE", help="A file whose components register themselves.")
]
