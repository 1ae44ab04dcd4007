"""A gate's report as JUnit XML: a suite a table, a case a check, so that CI services show it beside other tests.

The elements and attributes are those that Jenkins' schema and GitLab's reader share: ``testsuites``, ``testsuite`` with
``name``, ``tests``, ``failures``, ``errors``, ``skipped`` and ``time``, ``testcase`` with ``name``, ``classname`` and
``time``. What was not measured is an ``error`` of its case, since a missing arm must not look like a pass.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from splitbench.results.gating.checks import GateCheck, GateReport
from splitbench.results.gating.gate_report import check_words
from splitbench.results.inference import noninferiority as tests

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not."""


def junit(report: GateReport) -> str:
    """The XML of a report; the same report gives the same text."""
    root = ET.Element("testsuites", name="splitbench gate")
    tables = list(dict.fromkeys(check.table for check in report.checks))
    for table in tables:
        checks = [check for check in report.checks if check.table == table]
        suite = _suite(root, table, len(checks), failures=sum(check.failed for check in checks))
        for check in checks:
            _case(suite, check)
    if report.missing:
        suite = _suite(root, "not measured", len(report.missing), errors=len(report.missing))
        for sentence in report.missing:
            case = ET.SubElement(suite, "testcase", name=_text(sentence), classname="not measured", time="0")
            ET.SubElement(case, "error", message=_text(sentence), type="not measured").text = _text(sentence)
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    root.set("time", "0")
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, name: str, count: int, failures: int = 0, errors: int = 0) -> ET.Element:
    counts = {"tests": count, "failures": failures, "errors": errors, "skipped": 0}
    attributes = {"name": _text(name), **{key: str(value) for key, value in counts.items()}, "time": "0"}
    return ET.SubElement(root, "testsuite", attributes)


def _case(suite: ET.Element, check: GateCheck) -> None:
    owner = f"{check.table}.{check.arm}" if check.arm else check.table
    name = check.name if check.kind == "metric" else f"{check.kind}: {check.name}"
    case = ET.SubElement(suite, "testcase", name=_text(name), classname=_text(owner), time="0")
    words = _text(check_words(check))
    if check.failed:
        ET.SubElement(case, "failure", message=_text(check.says), type=_text(check.verdict)).text = words
    elif check.verdict in (tests.INCONCLUSIVE, tests.UNTESTED):
        ET.SubElement(case, "system-out").text = words


def _text(text: str) -> str:
    return FORBIDDEN.sub("?", text)
