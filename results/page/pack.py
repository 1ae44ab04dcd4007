"""Numbers in few characters, and JSON that is safe inside an HTML page.

A scatter plot needs no more levels than a screen has pixels: 4,096 of them, two characters each.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
LEVELS = len(PAIRS)
# Characters that could end the element or be read as markup, and line ends that older scripts cannot hold.
UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def rounded(value: float | None, digits: int = 5) -> float | None:
    """``value`` to so many significant digits; None where it is undefined."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}") + 0.0  # no negative zero


def all_rounded(values: Iterable[float | None], digits: int = 5) -> list[float | None]:
    return [rounded(value, digits) for value in values]


def decimal(value: float | None, digits: int) -> float | None:
    """``value`` to so many decimals; None where it is undefined."""
    return None if value is None or not math.isfinite(value) else round(value, digits) + 0.0  # no negative zero


def rounded_for_page(values: Iterable[float | None], digits: int) -> list[float | None]:
    """``values`` to as many decimals as the page shows: rounded once, so that the page and the text agree."""
    return [decimal(value, digits) for value in values]


def pack_levels(levels: Iterable[int]) -> str:
    """Whole numbers from 0 to 4,095 in two characters each.

    Raises:
        ValueError: if one lies outside.
    """
    listed = list(levels)
    for end in (min(listed), max(listed)) if listed else ():
        if not 0 <= end < LEVELS:
            raise ValueError(f"{end} is none of the {LEVELS} levels")
    return "".join([PAIRS[level] for level in listed])


def quantised(values: Sequence[float]) -> tuple[str, float, float]:
    """(packed, low, high): each value as one of 4,096 levels from the smallest to the largest.

    A value that is not finite counts as the smallest.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    step = (high - low) / (LEVELS - 1)
    levels = (round((value - low) / step) if step and math.isfinite(value) else 0 for value in values)
    return pack_levels(levels), low, high


def embedded_json(value: Any) -> str:
    """JSON for a ``<script type="application/json">``: keys sorted, no blanks, nothing that HTML could read as markup.

    Raises:
        ValueError: for a number that is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.translate(UNSAFE)
