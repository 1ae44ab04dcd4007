"""Expected ranges as sheets of words, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from splitbench.results.arms.arms import PRIMARY, TEST
from splitbench.results.expectation.expected import SAME, LengthPlace
from splitbench.results.expectation.expected_folder import Judged
from splitbench.results.expectation.expected_report import ExpectationReport, ExpectationRow, told_apart
from splitbench.results.expectation.unsplit import METRICS, SupernetSetting
from splitbench.results.inference import stats
from splitbench.results.inference.stats import Estimate
from splitbench.results.records.population_names import with_population_names as named
from splitbench.results.words.sheet import NOTHING, Sheet, WordTable, count, interval_words

DIGITS = {PRIMARY: 3, "tau[top50%]": 3, TEST: 2}
COLUMNS = {PRIMARY: PRIMARY, "tau[top50%]": "tau[top50%]", TEST: "honest test %"}


def report_sheet(report: ExpectationReport) -> Sheet:
    """A row for each setting and budget."""
    words = told_apart([row.setting for row in report.rows])
    header = ("setting", "budget", "steps", "seeds", *COLUMNS.values(), "FLOPs alone", "noise ceiling")
    rows = tuple(_report_row(row, name) for row, name in zip(report.rows, words, strict=True))
    if not report.exact:
        header = (*header, "differs in")
        rows = tuple((*cells, "; ".join(row.differs)) for row, cells in zip(report.rows, rows, strict=True))
    return Sheet(
        heading="What an unsplit supernet is expected to reach",
        facts=(_asked_words(report),),
        tables=(WordTable("Published supernets", header, rows, left=("budget", "differs in")),),
        legend=(
            _brackets_words(report.question.runs),
            "Between two tested budgets means are linear in ln steps, and a range is as wide as the wider of theirs; "
            "beyond them nothing is expected. A tau that levels off lies above the straight line.",
            "A seed that several studies ran counts once. Steps are those of training. A setting names what tells it "
            "from others of the table; --json has all of it. FLOPs alone and noise ceiling are of "
            f"{PRIMARY}, on the same architectures.",
        ),
    )


def _asked_words(report: ExpectationReport) -> str:
    question = report.question
    wanted = ", ".join(f"{key} {value}" for key, value in question.wanted.items()) or "everything that is known"
    budget = f", budget {question.budget[0]} {question.budget[1]:g}" if question.budget else ""
    if report.exact:
        return f"Asked for: {wanted}{budget}."
    return f"Asked for: {wanted}{budget}. No published supernet is of that setting; these are the nearest."


def _report_row(row: ExpectationRow, name: str) -> tuple[str, ...]:
    first = row.at.between[0]
    lengths = row.at.between
    return (
        name,
        row.at.budget,
        " to ".join(f"{length.steps:.0f}" for length in lengths),
        " and ".join(str(len(length.seeds)) for length in lengths),
        *(interval_words(row.metrics[metric], DIGITS[metric]) for metric in METRICS),
        _known_words(first.flops.get(PRIMARY)),
        _known_words(first.ceiling.get(PRIMARY)),
    )


def folder_sheet(folder: Path, judgements: Sequence[Judged]) -> Sheet:
    """A row for each arm and metric; an arm without published runs of its setting gets a sentence."""
    facts = [_apart_words(judgement) for judgement in judgements]
    header = ("arm", "metric", "measured", "seeds", "expected", "steps", "published", "its seeds", "is")
    rows = tuple(named(cells, judgement.population) for judgement in judgements for cells in _folder_rows(judgement))
    tables = (WordTable("Beside published runs of the same setting", header, rows, left=("metric", "published", "is")),)
    return Sheet(
        heading=f"Are the unsplit supernets of {folder.name or folder} normal?",
        facts=tuple(fact for fact in facts if fact),
        tables=tables if rows else (),
        legend=(
            f"Expected is the {stats.CONFIDENCE:.0%} prediction interval of a mean over as many other seeds as the arm "
            "has; one sound result in twenty lies outside. For seeds that are among the published ones it is wide.",
            f"Supernets of one setting are told apart by their steps of training, whatever bought them; within "
            f"{SAME:.0%} they count as equally long.",
        )
        if rows
        else (),
    )


def _folder_rows(judgement: Judged) -> list[tuple[str, ...]]:
    at = judgement.at
    if at is None or at.outside:
        return []
    return [
        (
            judgement.arm,
            COLUMNS[metric],
            NOTHING if judgement.measured[metric] is None else f"{judgement.measured[metric]:z.{DIGITS[metric]}f}",
            str(judgement.seeds),
            _range_words((judgement.expected or {}).get(metric), DIGITS[metric]),
            f"{judgement.steps:.0f}",
            at.budget,
            " and ".join(str(len(length.seeds)) for length in at.between),
            judgement.word(metric) or NOTHING,
        )
        for metric in METRICS
    ]


def _apart_words(judgement: Judged) -> str:
    if judgement.supernet is None or judgement.at is None:
        near = f"; the nearest differs in {', '.join(judgement.nearest)}" if judgement.nearest else ""
        return f"{judgement.arm}: no published supernet is of its setting{near}."
    if judgement.at.outside:
        (length,) = judgement.at.between
        return (
            f"{judgement.arm}: its {judgement.steps:.0f} steps of training are {judgement.at.outside} "
            f"({length.steps:.0f}), so nothing "
            "is expected of it."
        )
    if judgement.itself:
        return f"{judgement.arm}: its seeds are published ones, and measured the same to the last digit."
    return (
        named(judgement.sentence, judgement.population) or f"{judgement.arm}: published runs are too few for a range."
    )


def report_json(report: ExpectationReport) -> dict[str, Any]:
    """Plain JSON of every number, unrounded; unknown ones are null."""
    question = report.question
    return {
        "asked": {"setting": question.wanted, "budget": question.budget, "runs": question.runs},
        "exact": report.exact,
        "rows": [
            {
                "setting": _setting_json(row.setting),
                "differs": list(row.differs),
                **_place_json(row.at),
                "expected": {name: _estimate_json(row.metrics[name]) for name in METRICS},
            }
            for row in report.rows
        ],
    }


def folder_json(judgements: Sequence[Judged]) -> list[dict[str, Any]]:
    """Plain JSON, an object for each arm."""
    return [
        {
            "study": judgement.study,
            "arm": judgement.arm,
            "setting": _setting_json(judgement.setting),
            "steps": judgement.steps,
            "seeds": judgement.seeds,
            "published": judgement.itself,
            "nearest": list(judgement.nearest),
            "unlike": list(judgement.unlike),
            **(_place_json(judgement.at) if judgement.at is not None else {"lengths": [], "outside": None}),
            "metrics": {
                name: {
                    "measured": judgement.measured[name],
                    "expected": _estimate_json((judgement.expected or {}).get(name)),
                    "word": judgement.word(name),
                }
                for name in METRICS
            },
        }
        for judgement in judgements
    ]


def _setting_json(setting: SupernetSetting) -> dict[str, Any]:
    return setting.model_dump(mode="json")


def _place_json(at: LengthPlace) -> dict[str, Any]:
    """The tested lengths beside a budget; of each metric number of seeds, mean and standard deviation."""
    return {
        "outside": at.outside or None,
        "lengths": [
            {
                **length.model_dump(mode="json", exclude={"values"}),
                "metrics": {name: _spread(values) for name, values in length.values.items()},
            }
            for length in at.between
        ],
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    n = len(values)
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1) if n > 1 else None
    return {"n": n, "mean": mean, "sd": None if variance is None else math.sqrt(variance)}


def _estimate_json(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)


def _range_words(estimate: Estimate | None, digits: int) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return NOTHING
    return f"{estimate.low:z.{digits}f} to {estimate.high:z.{digits}f}"


def _known_words(value: float | None) -> str:
    return NOTHING if value is None else f"{value:z.3f}"


def _brackets_words(runs: int) -> str:
    of = "one further run (one seed)" if runs == 1 else f"a mean over {count(runs, 'further seed')}"
    return (
        f"Brackets are {stats.CONFIDENCE:.0%} prediction intervals of {of}: where yours should lie if nothing differs. "
        f"Fewer than {stats.FEWEST} published seeds give none."
    )
