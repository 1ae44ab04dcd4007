"""A gate's report as markdown for pull requests, as plain text, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from splitbench.results.gating.checks import METRIC, NOT_MEASURED, REGRESSION, GateCheck, GateReport
from splitbench.results.inference import noninferiority as tests
from splitbench.results.inference.noninferiority import Test
from splitbench.results.words.render import markdown_text

MARKS = {tests.REGRESSION: "**regression**", tests.CHANGED: "**changed**"}


def headline(report: GateReport) -> str:
    """The outcome in one line."""
    metrics = [check for check in report.checks if check.kind == METRIC and check.verdict != tests.UNTESTED]
    count = {word: sum(check.verdict == word for check in metrics) for word in (tests.NON_INFERIOR, tests.INCONCLUSIVE)}
    compared = f"{len(metrics)} metrics compared, {count[tests.NON_INFERIOR]} non-inferior"
    if count[tests.INCONCLUSIVE]:
        compared += f", {count[tests.INCONCLUSIVE]} inconclusive"
    if report.status == REGRESSION:
        kinds = {
            kind: sum(check.kind == kind for check in report.failures) for kind in ("metric", "invariant", "ledger")
        }
        failed = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in kinds.items() if n)
        return f"regression: {failed} failed; {compared}"
    if report.status == NOT_MEASURED:
        return f"not measured: the folder lacks something that the baseline guards; {compared}"
    return f"no regression: {compared}"


def check_words(check: GateCheck) -> str:
    """A check's numbers in a line."""
    test = check.test
    if test is None:
        return check.says
    how = f"paired over {test.n_after} seeds" if test.paired else f"{test.n_before} against {test.n_after} seeds"
    p = "" if test.p is None else f", adjusted p {test.p:.2g}"
    line = (
        f"{check.verdict}: {_number(test.before)} -> {_number(test.after)}, difference {_difference(test)}, "
        f"margin {_number(test.margin)}{p}, {how}"
    )
    return f"{line}; {check.says}" if check.says and check.kind != METRIC else line


def gate_markdown(report: GateReport) -> str:
    """A line on top, the metrics in a table, and whatever else failed or changed."""
    lines = [f"### splitbench gate: {headline(report)}", ""]
    shown = [check for check in report.checks if check.kind == METRIC or check.failed]
    for table in dict.fromkeys(check.table for check in shown):
        lines += [markdown_text(table), "", "| arm | metric | before | after | difference [90%] | margin | verdict |"]
        lines += ["|---|---|---|---|---|---|---|"]
        lines += [_row(check) for check in shown if check.table == table]
        lines += [""]
    lines += _section("Failed", [_failure(check) for check in report.failures])
    lines += _section("Not measured", report.missing)
    lines += _section("Configuration and environment", report.changed)
    lines += _section("Notes", [*report.notes, *_told(report), *report.warnings])
    return "\n".join(lines).rstrip() + "\n"


def text(report: GateReport) -> str:
    """The same for a log, line by line."""
    lines = [headline(report)]
    for check in report.checks:
        if check.kind == METRIC or check.failed:
            lines.append(f"  {check.arm or check.table}: {check.name}: {check_words(check)}")
    parts = {
        "not measured": report.missing,
        "changed": report.changed,
        "note": (*report.notes, *_told(report)),
        "warning": report.warnings,
    }
    lines += [f"{word}: {sentence}" for word, sentences in parts.items() for sentence in sentences]
    return "\n".join(lines) + "\n"


def gate_json(report: GateReport) -> dict[str, Any]:
    """The whole report as plain data; ``status`` is the exit status."""
    return {
        "status": report.status,
        "headline": headline(report),
        "checks": [asdict(check) for check in report.checks],
        "missing": list(report.missing),
        "changed": list(report.changed),
        "notes": list(report.notes),
        "warnings": list(report.warnings),
    }


def _told(report: GateReport) -> list[str]:
    """What an inconclusive outcome means: the size of a drop that these seeds could have shown."""
    unsure = [
        check for check in report.checks if check.kind == METRIC and check.verdict == tests.INCONCLUSIVE and check.test
    ]
    sentences = []
    for name in dict.fromkeys(check.name for check in unsure):
        reach = [
            check.test.fails_beyond for check in unsure if check.name == name and check.test and check.test.fails_beyond
        ]
        if reach:
            sentences.append(
                f"{name}: where inconclusive, only a measured drop above {_number(min(reach))} to "
                f"{_number(max(reach))} would have failed; the same seeds as the baseline's, or more, tell smaller ones"
            )
    return sentences


def _row(check: GateCheck) -> str:
    test = check.test
    cells = [check.arm or "(all)", check.name]
    if test is None:
        cells += ["", "", "", ""]
    else:
        cells += [_number(test.before), _number(test.after), _difference(test), _number(test.margin)]
    cells.append(MARKS.get(check.verdict, f"**{check.verdict}**" if check.failed else check.verdict))
    return "| " + " | ".join(map(markdown_text, cells)) + " |"


def _failure(check: GateCheck) -> str:
    return f"{check.arm or check.table}: {check.name} {check.says}"


def _difference(test: Test) -> str:
    mean = f"{test.difference:+.3f}"
    return mean if test.low is None or test.high is None else f"{mean} [{test.low:+.3f}, {test.high:+.3f}]"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.4g}"


def _section(name: str, sentences: Sequence[str]) -> list[str]:
    return [f"**{name}**", "", *(f"- {markdown_text(sentence)}" for sentence in sentences), ""] if sentences else []
