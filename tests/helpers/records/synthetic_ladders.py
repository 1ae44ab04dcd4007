"""Records of one study at several budgets, made without training."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from synthetic_records import arm_records

from splitbench.results.records.files import encode
from splitbench.results.records.listing import record_path
from splitbench.results.records.record import Record

Taus = list[float | None]
NONE: dict[float, Taus] = {1e10: [0.50, 0.52, 0.54], 4e10: [0.60, 0.62, 0.64]}


def at(limit: float, arm: str, taus: Taus, **changes: Any) -> list[Record]:
    config = {"arm": {"name": arm}, "study": {"seeds": len(taus), "trainer": {"learning_rate": 0.1}}}
    kept: dict[str, Any] = {
        "budget": {"kind": "flops", "limit": limit, "spent": limit},
        "protocol": f"p{limit:.0f}",
        "config": config,
    }
    return arm_records(arm, taus, **(kept | changes))


def budgeted(arm: str, budget: float, taus: list[float | None], **changes: Any) -> list[Record]:
    kept: dict[str, Any] = {
        "budget": {"kind": "flops", "limit": budget, "spent": budget},
        "cost": {"training": {"flops": int(budget)}},
        "protocol": f"p{budget:.0f}",
        "config": {"arm": {"name": arm}},
    }
    return arm_records(arm, taus, **(kept | changes))


def many(folder: Path, arms: int, budgets: tuple[float, ...] = (1e10, 5e10), seeds: int = 3) -> Path:
    """A folder of results folders, one a budget, written without the care that real records get."""
    rng = random.Random(0)
    names = ["none", *(f"a criterion with a name {index}" for index in range(arms - 2)), "x" * 90]
    for budget in budgets:
        (folder / f"{budget:g}" / "records").mkdir(parents=True)
        for name in names:
            mean = rng.uniform(0.3, 0.6)
            taus: list[float | None] = [mean + rng.gauss(0, 0.02) for _ in range(seeds)]
            for record in budgeted(name, budget, taus, study=f"study {budget:g}"):
                record_path(folder / f"{budget:g}", record).write_bytes(encode(record))
    return folder
