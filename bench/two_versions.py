"""By how much the records of one study differ between two versions of splitbench, paired by arm and seed.

    git worktree add ../before COMMIT
    (cd ../before && PYTHONPATH=. python -m harness.cli.app run .../studies/allowances.yaml --out OLD)   # 0.1's name
    splitbench run studies/allowances.yaml --out NEW
    python bench/two_versions.py OLD NEW --out results/published/allowances

Writes OUT.json and OUT.md: for each arm and metric the mean difference (new less old) with a 95% Student-t interval
over seeds, and what share of the budget each version left unspent.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

METRICS = ("tau[all]", "tau[top50%]", "rho[all]")


def runs(folder: Path) -> dict[tuple[str, int, int], dict[str, Any]]:
    """Arm, repetition, draw -> record, of either version."""
    found = {}
    for path in folder.glob("records/*.json"):
        if path.name.endswith((".measured.json", ".failed.json")):
            continue
        record = json.loads(path.read_text())
        found[record["arm"], record["repetition"], record["draw"]] = record
    return found


def interval(values: list[float]) -> dict[str, float]:
    """Mean and 95% Student-t limits."""
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return {"mean": mean, "low": mean - half, "high": mean + half, "seeds": len(values)}


def compared(old: Path, new: Path) -> dict[str, Any]:
    """Everything that the page shows."""
    before, after = runs(old), runs(new)
    shared = sorted(before.keys() & after.keys())
    arms: dict[str, Any] = {}
    for arm in dict.fromkeys(key[0] for key in shared):
        pairs = [(before[key], after[key]) for key in shared if key[0] == arm]
        entry: dict[str, Any] = {
            metric: interval([b["metrics"][metric] - a["metrics"][metric] for a, b in pairs]) for metric in METRICS
        }
        entry["selected"] = interval([b["selection"]["test"] - a["selection"]["test"] for a, b in pairs])
        for word, side in (("old", 0), ("new", 1)):
            left = [1 - pair[side]["budget"]["spent"] / pair[side]["budget"]["limit"] for pair in pairs]
            entry[f"unspent_{word}"] = {"mean": float(np.mean(left)), "most": float(np.max(left))}
            entry[f"steps_{word}"] = float(
                np.mean([sum(p[side]["cost"][x]["steps"] for x in ("warm_up", "training")) for p in pairs])
            )
        arms[arm] = entry
    return {"arms": arms, "runs": len(shared)}


def page(found: dict[str, Any], title: str) -> str:
    """The comparison as markdown."""
    lines = [f"# {title}", ""]
    lines += [
        "| arm | tau[all] | tau[top50%] | rho[all] | selected, points | steps old, new | unspent old, new (most) |"
    ]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for arm, entry in found["arms"].items():
        cells = [shown(entry[metric], 3) for metric in METRICS] + [shown(entry["selected"], 2)]
        cells += [f"{entry['steps_old']:.0f}, {entry['steps_new']:.0f}"]
        left = [entry[f"unspent_{word}"] for word in ("old", "new")]
        cells += [", ".join(f"{each['mean']:.2%} ({each['most']:.2%})" for each in left)]
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    lines += ["", "Differences are new less old, paired by seed, with 95% Student-t intervals over seeds.", ""]
    return "\n".join(lines)


def shown(value: dict[str, float], digits: int) -> str:
    return f"{value['mean']:+.{digits}f} [{value['low']:+.{digits}f}, {value['high']:+.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--title", default="Records before and after training by allowance")
    arguments = parser.parse_args()
    found = compared(arguments.old, arguments.new)
    arguments.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(page(found, arguments.title))
    print(page(found, arguments.title))


if __name__ == "__main__":
    main()
