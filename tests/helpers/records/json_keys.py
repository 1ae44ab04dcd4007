"""The keys that a page of the documentation gives for JSON."""

from __future__ import annotations

OPEN = {
    "METRIC": ("metrics", "validation_metrics", "ceiling"),
    "PHASE": ("by_phase",),
    "ARM": ("without_chance",),
    "TERM": ("decomposition",),
}
ESTIMATE = {"mean", "low", "high", "n"}


def written_keys(value: object, path: str = "") -> set[str]:
    """Every path of a JSON object down to its plain values and estimates, as the page writes it."""
    if isinstance(value, list):
        return {f"{path}[]"} if not value else set().union(*(written_keys(one, f"{path}[]") for one in value))
    if not isinstance(value, dict) or set(value) == ESTIMATE:
        return {path}
    name = next((name for name, parents in OPEN.items() if path.split(".")[-1] in parents), None)
    return set().union(*(written_keys(one, f"{path}.{name or key}".lstrip(".")) for key, one in value.items()))
