"""The gate's statistics against scipy and simulations, and its reports on synthetic results folders."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats
from synthetic_records import make_measured, make_record

from splitbench.harness.errors import ConfigError, StoreError
from splitbench.results.gating import baseline, gate, gate_report, junit
from splitbench.results.gating.checks import GateReport
from splitbench.results.inference import noninferiority
from splitbench.results.inference.noninferiority import (
    ALPHA,
    INCONCLUSIVE,
    NON_INFERIOR,
    REGRESSION,
    UNTESTED,
    compare_repetitions,
    judge_family,
)
from splitbench.results.inference.stats import holm
from splitbench.results.measures.metrics import ranking_metrics
from splitbench.results.records.files import digest, encode_estimates
from splitbench.results.records.record import Record, TopologyRecord
from splitbench.results.records.store import write_run

ARMS = ("none", "gm")
SIZE = 60
TRAINER = {"name": "rsps", "weight_decay": 0.0005, "fingerprint": "rsps-1"}


def of(values: Any) -> dict[int, float]:
    return {index: float(value) for index, value in enumerate(values)}


# -- tests of a drop ------------------------------------------------------------------------------------------------


def test_paired_and_welch_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.normal(0.5, 0.05, 8), rng.normal(0.45, 0.08, 8)
    paired, other = (
        compare_repetitions(of(before), of(after), paired=True),
        compare_repetitions(of(before), of(after[:5]), paired=False),
    )
    assert paired.p == pytest.approx(scipy_stats.ttest_rel(before, after, alternative="greater").pvalue)
    welch = scipy_stats.ttest_ind(before, after[:5], equal_var=False, alternative="greater")
    assert other.p == pytest.approx(welch.pvalue)
    assert other.freedom == pytest.approx(welch.df)
    reference = scipy_stats.ttest_ind(after[:5], before, equal_var=False).confidence_interval(0.9)
    assert (other.low, other.high) == pytest.approx((reference.low, reference.high))
    two = compare_repetitions(of(before), of(after[:5]), paired=False, two_sided=True)
    assert two.p == pytest.approx(scipy_stats.ttest_ind(before, after[:5], equal_var=False).pvalue)


def test_paired_uses_the_shared_repetitions_and_the_margin_all_of_the_baseline() -> None:
    before = {0: 0.5, 1: 0.6, 2: 0.7, 9: 0.9}
    test = compare_repetitions(before, {0: 0.4, 1: 0.45, 2: 0.6, 4: 0.0}, paired=True)
    assert (test.n_before, test.n_after) == (3, 3)
    assert test.difference == pytest.approx(-0.35 / 3)
    assert test.margin == pytest.approx(np.std([0.5, 0.6, 0.7, 0.9], ddof=1))


def test_a_metric_in_which_less_is_better_falls_by_rising() -> None:
    before, worse = of([3.0, 3.1, 2.9, 3.0, 3.05, 2.95]), of([4.0, 4.1, 3.9, 4.0, 4.05, 3.95])
    assert judge_family([compare_repetitions(before, worse, True, less_is_better=True)])[0].verdict == REGRESSION
    assert judge_family([compare_repetitions(worse, before, True, less_is_better=True)])[0].verdict == NON_INFERIOR
    assert judge_family([compare_repetitions(before, worse, True)])[0].verdict == NON_INFERIOR


def test_equal_values_pass_at_any_number_of_seeds_and_take_no_power() -> None:
    same = of([0.5, 0.6, 0.7])
    drop = compare_repetitions(of([0.5, 0.6, 0.7]), of([0.3, 0.39, 0.51]), paired=True)
    alone, beside = (
        judge_family([drop])[0],
        judge_family([drop, *(compare_repetitions(same, same, paired=True) for _ in range(20))]),
    )
    assert beside[0] == alone
    assert {test.verdict for test in beside[1:]} == {NON_INFERIOR}


def test_a_regression_needs_significance_and_size() -> None:
    noise = np.array([-1.2, -0.8, -0.4, 0.0, 0.0, 0.4, 0.8, 1.2]) * 0.05
    base = of(0.5 + noise)
    sd = np.std(list(base.values()), ddof=1)
    sure_but_small = compare_repetitions(base, of(0.5 + noise - 0.5 * sd + 0.001 * np.cos(np.arange(8))), paired=True)
    large_but_unsure = compare_repetitions(base, of(0.5 + noise - 2 * sd * (np.arange(8) > 5) * 4), paired=True)
    both = compare_repetitions(base, of(0.5 + noise - 1.5 * sd + 0.001 * np.cos(np.arange(8))), paired=True)
    small, unsure, large = judge_family([sure_but_small, large_but_unsure, both])
    assert (small.p < ALPHA, small.verdict) == (True, NON_INFERIOR)
    assert (unsure.drop > unsure.margin, unsure.verdict) == (True, INCONCLUSIVE)
    assert large.verdict == REGRESSION


def test_what_fails_beyond_is_where_failing_begins() -> None:
    rng = np.random.default_rng(4)
    before, after = of(rng.normal(0.5, 0.05, 8)), of(rng.normal(0.5, 0.05, 8))
    beyond = judge_family([compare_repetitions(before, after, paired=False)])[0].fails_beyond
    assert beyond is not None
    offset = np.mean(list(after.values())) - np.mean(list(before.values()))
    for drop, verdict in ((beyond * 1.001, REGRESSION), (beyond * 0.999, INCONCLUSIVE)):
        moved = {key: value - offset - drop for key, value in after.items()}
        assert judge_family([compare_repetitions(before, moved, paired=False)])[0].verdict == verdict


def test_degenerate_noise_and_single_repetitions() -> None:
    flat = of([0.5] * 4)
    assert judge_family([compare_repetitions(flat, of([0.5] * 4), paired=False)])[0].verdict == NON_INFERIOR
    assert (
        judge_family([compare_repetitions(flat, of([0.5 - 1e-5] * 4), paired=False)])[0].verdict == NON_INFERIOR
    )  # below the floor
    assert judge_family([compare_repetitions(flat, of([0.4] * 4), paired=False)])[0].verdict == REGRESSION
    assert judge_family([compare_repetitions(flat, of([0.4] * 4), paired=True)])[0].verdict == REGRESSION
    assert judge_family([compare_repetitions(of([0.5]), of([0.1]), paired=False)])[0].verdict == UNTESTED
    assert judge_family([compare_repetitions(of([0.5]), of([0.1]), paired=True)])[0].verdict == UNTESTED


def test_adjusted_p_is_holms() -> None:
    rng = np.random.default_rng(2)
    tests = [compare_repetitions(of(rng.normal(0, 1, 6)), of(rng.normal(0, 1, 6)), paired=False) for _ in range(7)]
    assert [test.p for test in judge_family(tests)] == pytest.approx(
        holm([test.p for test in tests if test.p is not None])
    )


@pytest.mark.parametrize(("n", "m"), [(3, 3), (8, 8), (16, 8)])
def test_unchanged_code_with_other_seeds_rarely_fails(n: int, m: int) -> None:
    """1,000 pairs of baseline and re-run, six tests each, arms correlated as they are when they share seeds."""
    rng = np.random.default_rng(n)

    def measured(count: int) -> Any:
        shared = rng.normal(0, 1, (2, 1, count))
        return 0.5 + 0.06 * (0.7 * shared + math.sqrt(1 - 0.49) * rng.normal(0, 1, (2, 3, count)))

    alarms = 0
    for _ in range(1000):
        old, new = measured(n).reshape(6, n), measured(m).reshape(6, m)
        alarms += any(
            t.failed
            for t in judge_family([compare_repetitions(of(a), of(b), False) for a, b in zip(old, new, strict=True)])
        )
    assert alarms / 1000 <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 1000)  # three standard errors of the rate


@pytest.mark.parametrize(("paired", "shift", "least"), [(True, 1.5, 0.85), (False, 2.5, 0.8), (False, 3.0, 0.95)])
def test_planted_drops_are_caught(paired: bool, shift: float, least: float) -> None:
    """One of six numbers drops by ``shift`` standard deviations; paired differences vary half as much."""
    rng = np.random.default_rng(3)
    caught = 0
    for _ in range(300):
        old = rng.normal(0.5, 0.06, (6, 8))
        new = old + rng.normal(0, 0.03, (6, 8)) if paired else rng.normal(0.5, 0.06, (6, 8))
        new[0] -= shift * 0.06
        caught += judge_family([compare_repetitions(of(a), of(b), paired) for a, b in zip(old, new, strict=True)])[
            0
        ].failed
    assert caught / 300 >= least


# -- results folders ------------------------------------------------------------------------------------------------

Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Writes a results folder whose records follow from their estimates: truth plus noise, ranked by real metrics."""

    def make(
        name: str,
        noise: float = 1.0,
        seed: int = 0,
        seeds: int = 6,
        arms: tuple[str, ...] = ARMS,
        shift: float = 0.0,
        edit: Callable[[Record], Record] = lambda record: record,
        **changes: Any,
    ) -> Path:
        for index, arm in enumerate(arms):
            for repetition in range(seeds):
                truth = np.random.default_rng((seed, repetition)).uniform(60, 90, SIZE)
                draw = np.random.default_rng((seed, repetition, index))
                accuracy = (truth - 60 + noise * draw.normal(0, 10, SIZE)).clip(0, 100) - shift
                write(tmp_path / name, arm, repetition, seed, seeds, truth, accuracy, edit, changes)
        return tmp_path / name

    return make


def write(
    path: Path,
    arm: str,
    repetition: int,
    seed: int,
    seeds: int,
    truth: Any,
    accuracy: Any,
    edit: Callable[[Record], Record],
    changes: dict[str, Any],
) -> None:
    rows = np.arange(SIZE)
    found = ranking_metrics(accuracy, -accuracy, truth, rows, np.zeros(SIZE), 95.0)
    columns = {
        "architecture": [f"{row:02}" for row in rows],
        "leaf": rows * 0,
        "accuracy": accuracy,
        "loss": -accuracy,
        "truth_test": truth,
    }
    sizes = {"flops": {"tau[all]": 0.6 + float(truth[0]) / 1000}}
    record = make_record(
        arm,
        repetition,
        expected_runs=seeds,
        metrics=found,
        trivial=sizes,
        ceiling={"tau[all]": 0.8 + float(truth[1]) / 1000},
        population=f"a uniform sample of {SIZE}",
        population_size=SIZE,
        estimates_sha256=digest(encode_estimates(columns)),
        config={
            "study": {"seed": seed, "evaluation": {"images": 100}},
            "arm": {"trainers": TRAINER},
            "common": {"space": {"name": "micro", "fingerprint": "micro-1"}, "dataset": {"name": "digits"}},
        },
        **changes,
    )
    selection = record.selection.model_copy(update={"regret": 95.0 - record.selection.test})
    record = record.model_copy(
        update={"selection": selection, "topology": TopologyRecord(edges=["a"], operations=[["x"]])}
    )
    write_run(path, edit(record), make_measured(), encode_estimates(columns))


@pytest.fixture
def guarded(folder: Folder, tmp_path: Path) -> Path:
    path = tmp_path / "baseline.json"
    gate.update(folder("old"), path, (), "splitbench gate old --baseline baseline.json --update")
    return path


def names(report: GateReport) -> set[tuple[str, str]]:
    return {(check.arm, check.name) for check in report.failures}


def test_the_same_results_pass(folder: Folder, guarded: Path) -> None:
    report = gate.hold_against_baseline(folder("new"), guarded)
    assert report.status == 0
    assert {check.verdict for check in report.checks} == {NON_INFERIOR, noninferiority.EQUAL}
    assert {check.kind for check in report.checks} == {"metric", "invariant", "ledger"}
    assert not report.changed
    assert not report.missing


def test_other_seeds_are_compared_as_two_samples(folder: Folder, guarded: Path) -> None:
    report = gate.hold_against_baseline(folder("new", seed=1), guarded)
    assert report.status == 0
    assert all(not check.test.paired for check in report.checks if check.test)
    assert "two samples" in report.notes[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_worse_estimates_are_a_regression(folder: Folder, guarded: Path, seed: int) -> None:
    report = gate.hold_against_baseline(folder("new", noise=4.0, seed=seed), guarded)
    assert report.status == 1
    assert {("none", "tau[all]"), ("gm", "tau[all]")} <= names(report)


def test_lower_estimates_are_a_regression_though_they_rank_alike(folder: Folder, guarded: Path) -> None:
    assert names(gate.hold_against_baseline(folder("new", shift=5.0), guarded)) == {
        (arm, "mean estimate %") for arm in ARMS
    }


def test_fewer_seeds_than_the_baseline_are_paired(folder: Folder, guarded: Path) -> None:
    report = gate.hold_against_baseline(folder("new", seeds=4), guarded)
    assert (report.status, report.checks[0].test.n_after) == (0, 4)  # type: ignore[union-attr]


def test_a_changed_configuration_is_compared_and_named(folder: Folder, guarded: Path) -> None:
    def heavier(record: Record) -> Record:
        trainer = {**TRAINER, "weight_decay": 0.05, "fingerprint": "rsps-2"}
        return record.model_copy(update={"config": {**record.config, "arm": {"trainers": trainer}}})

    report = gate.hold_against_baseline(folder("new", edit=heavier), guarded)
    assert report.status == 0
    assert "toy / micro / digits: arm gm: trainers.weight_decay 0.0005 -> 0.05" in report.changed
    assert "toy / micro / digits: arm gm: trainers: its source changed" in report.changed


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"budget": {"kind": "flops", "limit": 2000.0, "spent": 2000.0}}, "budget.flops 1000.0 -> 2000.0"),
        ({"study": "other"}, "was not measured"),
        ({"dataset": "cifar10"}, ""),
    ],
)
def test_other_conditions_are_not_comparable(folder: Folder, guarded: Path, changes: dict[str, Any], says: str) -> None:
    def moved(record: Record) -> Record:
        common = {**record.config["common"], "dataset": {"name": record.dataset}}
        return record.model_copy(update={"config": {**record.config, "common": common}})

    report = gate.hold_against_baseline(folder("new", edit=moved, **changes), guarded)
    assert report.status == 3
    assert says in report.missing[0]
    assert not report.checks


def test_a_missing_or_incomplete_arm_is_not_measured(folder: Folder, guarded: Path) -> None:
    report = gate.hold_against_baseline(folder("few", arms=("none",)), guarded)
    assert (report.status, report.missing) == (3, ("toy / micro / digits: arm gm has no run",))
    short = folder("short")
    (short / "records" / "gm--r0-d0.json").unlink()
    report = gate.hold_against_baseline(short, guarded)
    assert (report.status, report.missing) == (3, ("toy / micro / digits: arm gm has 5 of 6 runs",))
    assert (
        gate.hold_against_baseline(folder("bad", arms=("none",), noise=4.0), guarded).status == 1
    )  # a regression comes first
    report = gate.hold_against_baseline(folder("more", arms=(*ARMS, "new")), guarded)
    assert (report.status, report.notes) == (
        0,
        ("toy / micro / digits: not in the baseline, and so not compared: new",),
    )


def test_one_seed_each_is_not_measured(folder: Folder, tmp_path: Path) -> None:
    gate.update(folder("one", seeds=1), tmp_path / "one.json", (), "")
    assert (
        gate.hold_against_baseline(folder("again", seeds=1), tmp_path / "one.json").status == 0
    )  # equal, whatever their number
    report = gate.hold_against_baseline(folder("other", seeds=1, seed=1), tmp_path / "one.json")
    assert (report.status, "at least 2" in report.missing[0]) == (3, True)


def test_collapsed_estimates_are_a_regression(folder: Folder, guarded: Path) -> None:
    report = gate.hold_against_baseline(folder("new", noise=0.0, shift=1000.0, edit=_collapse), guarded, ["tau[all]"])
    assert report.status == 1
    assert "collapsed" in report.failures[0].says


def _collapse(record: Record) -> Record:
    metrics = {**record.metrics, "tau[all]": None} if record.repetition == 1 else record.metrics
    return record.model_copy(update={"metrics": metrics})


def test_another_population_at_the_same_seeds_is_told(folder: Folder, guarded: Path) -> None:
    def other(record: Record) -> Record:
        tau = record.trivial["flops"]["tau[all]"]
        return record.model_copy(update={"trivial": {"flops": {"tau[all]": (tau or 0) + 1e-4}}})

    report = gate.hold_against_baseline(folder("new", edit=other), guarded)
    assert names(report) == {("", "(flops) tau[all]")}
    assert "population or the truth changed" in report.failures[0].says


def test_another_population_at_other_seeds_is_told_if_far_off(folder: Folder, guarded: Path) -> None:
    def other(record: Record) -> Record:
        return record.model_copy(update={"ceiling": {"tau[all]": 0.7 + record.repetition / 1000}})

    assert names(gate.hold_against_baseline(folder("new", edit=other, seed=1), guarded)) == {("", "ceiling tau[all]")}


def test_another_truth_is_told_at_any_seeds(folder: Folder, guarded: Path) -> None:
    def other(record: Record) -> Record:
        selection = record.selection.model_copy(update={"regret": record.selection.regret + 1})
        return record.model_copy(update={"selection": selection})

    assert names(gate.hold_against_baseline(folder("new", edit=other, seed=1), guarded)) == {
        ("", "best test % of the space")
    }


def test_a_tau_that_is_not_of_its_estimates_is_told(folder: Folder, guarded: Path) -> None:
    def other(record: Record) -> Record:
        metrics = {**record.metrics, "tau[all]": (record.metrics["tau[all]"] or 0) + 1e-6}
        return record.model_copy(update={"metrics": metrics}) if record.repetition == 2 else record

    report = gate.hold_against_baseline(folder("new", edit=other), guarded)
    assert names(report) == {(arm, "tau[all] of its estimates") for arm in ARMS}
    assert "repetition 2" in report.failures[0].says


def test_arms_that_ranked_different_architectures_are_told(folder: Folder, guarded: Path) -> None:
    def other(record: Record) -> Record:
        return record.model_copy(update={"ceiling": {"tau[all]": 0.5}}) if record.arm == "none" else record

    new = folder("new", edit=other)
    assert ("", "one population") in names(gate.hold_against_baseline(new, guarded))
    with pytest.raises(ConfigError, match="arms of one table differ"):
        gate.update(new, guarded, (), "")


COST = {
    "warm_up": {"flops": 200, "steps": 20, "examples": 20},
    "training": {"flops": 800, "steps": 80, "examples": 80},
}


def test_the_ledger_tells_lost_budget_and_other_phases(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    gate.update(folder("old", cost=COST), path, (), "")
    assert gate.hold_against_baseline(folder("same", cost=COST, seed=1), path).status == 0
    fifth = {phase: {key: value // 5 for key, value in cost.items()} for phase, cost in COST.items()}
    budget = {"kind": "flops", "limit": 1000.0, "spent": 200.0}
    lost = gate.hold_against_baseline(folder("lost", cost=fifth, budget=budget, seed=1), path)
    assert {(arm, "budget spent") for arm in ARMS} <= names(lost)
    assert "80.0 steps of its budget are unspent" in lost.failures[0].says
    dearer = {**COST, "training": {"flops": 800, "steps": 16, "examples": 80}}  # costs() says five times too much
    assert {(arm, "trained steps") for arm in ARMS} <= names(
        gate.hold_against_baseline(folder("dear", cost=dearer, seed=1), path)
    )
    moved = {"warm_up": COST["training"], "training": COST["warm_up"]}
    assert {("gm", "share of training"), ("gm", "share of warm_up")} <= names(
        gate.hold_against_baseline(folder("m", cost=moved), path)
    )


def test_an_explained_change_of_the_ledger_fails_nothing(folder: Folder, guarded: Path) -> None:
    def wide(record: Record) -> Record:
        return record.model_copy(update={"config": {**record.config, "arm": {"trainers": {**TRAINER, "batch": 9}}}})

    report = gate.hold_against_baseline(folder("new", edit=wide, cost={**COST, "scoring": {"flops": 0}}), guarded)
    assert report.status == 0
    assert any("trained steps 10 -> 100" in note for note in report.notes)


# -- the baseline ---------------------------------------------------------------------------------------------------


def test_the_baseline_is_canonical_and_says_where_it_comes_from(folder: Folder, guarded: Path) -> None:
    found = json.loads(guarded.read_text())
    assert found["provenance"]["command"] == "splitbench gate old --baseline baseline.json --update"
    assert found["provenance"]["torch"] == ["2.13.0"]
    assert found["metrics"] == ["tau[all]", "mean estimate %"]
    arm = found["tables"][0]["arms"]["gm"]
    assert [len(values) for values in arm["metrics"].values()] == [6, 6]
    assert (arm["config"]["trainers"]["weight_decay"], len(arm["records"])) == (0.0005, 64)
    before = guarded.read_bytes()
    said = gate.update(folder("again"), guarded, (), "splitbench gate old --baseline baseline.json --update")
    assert guarded.read_bytes() == before
    assert said == ["nothing changed but, perhaps, the provenance"]


def test_update_says_what_changes(folder: Folder, guarded: Path) -> None:
    said = gate.update(folder("new", noise=4.0, arms=("none", "random")), guarded, ["tau[all]"], "")
    assert "toy / micro / digits: arm gm is no longer guarded" in said
    assert "toy / micro / digits: arm random is new" in said
    assert any(line.startswith("toy / micro / digits: arm none: tau[all] 0.") and "->" in line for line in said)
    assert baseline.read_baseline(guarded).metrics == ["tau[all]"]
    assert gate.hold_against_baseline(folder("new"), guarded).status == 0


def test_no_baseline_is_written_of_incomplete_arms_or_unknown_metrics(folder: Folder, guarded: Path) -> None:
    before = guarded.read_bytes()
    short = folder("short")
    (short / "records" / "gm--r0-d0.json").unlink()
    with pytest.raises(ConfigError, match="'gm' has 5 of 6 runs"):
        gate.update(short, guarded, (), "")
    with pytest.raises(ConfigError, match=r"has no 'tau'; there are: .*tau\[all\].*selected test %"):
        gate.update(folder("old"), guarded, ["tau"], "")
    assert guarded.read_bytes() == before


def test_bad_baselines_are_told(folder: Folder, guarded: Path, tmp_path: Path) -> None:
    old = folder("old")
    with pytest.raises(StoreError, match="cannot be read"):
        gate.hold_against_baseline(old, tmp_path / "none.json")
    with pytest.raises(ConfigError, match=r"does not hold 'rho\[all\]', but tau\[all\]"):
        gate.hold_against_baseline(old, guarded, ["rho[all]"])
    guarded.write_text(guarded.read_text()[:500])
    with pytest.raises(StoreError, match="not a baseline, or damaged"):
        gate.hold_against_baseline(old, guarded)
    assert "replaced unread" in gate.update(old, guarded, (), "")[0]
    short = json.loads(guarded.read_text())
    short["tables"][0]["arms"]["gm"]["metrics"]["tau[all]"].pop()
    guarded.write_text(json.dumps(short))
    with pytest.raises(StoreError, match="'gm' does not have one value a repetition"):
        gate.hold_against_baseline(old, guarded)


def test_mixed_tables_are_refused(folder: Folder, guarded: Path, tmp_path: Path) -> None:
    folder("both/a")
    folder("both/b", protocol="another")
    with pytest.raises(ConfigError, match="2 tables match"):
        gate.hold_against_baseline(tmp_path / "both", guarded)


# -- reports --------------------------------------------------------------------------------------------------------

REQUIRED = {"testsuite": ("name", "tests", "failures", "errors", "time"), "testcase": ("name", "classname", "time")}
"""Attributes without which Jenkins' schema or GitLab's reader refuse a file."""


@pytest.fixture
def mixed(folder: Folder, guarded: Path) -> GateReport:
    """A report with something of every kind: failures, inconclusive metrics and a missing arm."""
    report = gate.hold_against_baseline(folder("new", noise=4.0, seed=1, arms=("none",)), guarded)
    unsure = next(check for check in report.checks if not check.failed)
    checks = tuple(replace(one, verdict=INCONCLUSIVE) if one is unsure else one for one in report.checks)
    return replace(report, checks=checks)


def test_junit_counts_what_it_holds(mixed: GateReport) -> None:
    root = ET.fromstring(junit.junit(mixed))
    assert root.tag == "testsuites"
    for tag, attributes in REQUIRED.items():
        for element in root.iter(tag):
            assert all(element.get(name) not in (None, "") for name in attributes)
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("errors", "")) == len(suite.findall("testcase/error"))
    assert len(root.findall(".//failure")) == len(mixed.failures) > 0
    assert len(root.findall(".//error")) == len(mixed.missing) == 1
    assert "inconclusive" in (root.findtext(".//system-out") or "")
    failure = root.find(".//testcase[@name='tau[all]']/failure")
    assert failure is not None
    assert "margin" in (failure.text or "")


def test_junit_holds_any_name(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    arm = "gm(a<b>\"&'\x01)"
    gate.update(folder("odd", arms=(arm,)), path, (), "")
    case = ET.fromstring(junit.junit(gate.hold_against_baseline(folder("odd"), path))).find(".//testcase")
    assert case is not None
    assert case.get("classname") == "toy / micro / digits.gm(a<b>\"&'?)"


def test_markdown_has_a_line_on_top_and_a_row_a_metric(mixed: GateReport) -> None:
    lines = gate_report.gate_markdown(mixed).splitlines()
    assert lines[0].startswith("### splitbench gate: regression: ")
    rows = [line for line in lines if line.startswith("| none | tau[all] ")]
    assert len(rows) == 1
    assert rows[0].endswith("| **regression** |")
    assert rows[0].count("|") == 8
    assert "- toy / micro / digits: arm gm has no run" in lines


def test_text_and_json_say_the_same(mixed: GateReport) -> None:
    found = json.loads(json.dumps(gate_report.gate_json(mixed)))
    assert (found["status"], found["headline"]) == (1, gate_report.headline(mixed))
    assert gate_report.text(mixed).splitlines()[0] == found["headline"]
    assert len(found["checks"]) == len(mixed.checks)
