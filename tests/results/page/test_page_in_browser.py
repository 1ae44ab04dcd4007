"""The page in a real browser: sort, filter, another baseline, a run; by keyboard, on a phone, in the dark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from crowded_folder import crowded_page
from synthetic_records import ESTIMATES, arm_records, make_measured, make_record

from splitbench.results.boards.leaderboard import Leaderboard, leaderboards
from splitbench.results.inference.stats import EXACT_UP_TO
from splitbench.results.inference.verdicts import p_words
from splitbench.results.page import page
from splitbench.results.records.record import Record
from splitbench.results.records.store import write_run
from splitbench.results.words.render import markdown

NASTY = '</script><script>alert("x")</script> & "quotes"/slash'
LONG = "a_very_long_arm_name_that_no_table_can_break_" + "x" * 60
SEEDS = 8
EDGES = ["0->1", "0->2", "1->2"]
OPERATIONS = ["none", "skip_connect", "conv_3x3", "avg_pool_3x3"]
Shown = Any  # a page of the browser


def tree(split: bool) -> dict[str, Any]:
    whole = [[0, 1, 2, 3]] * 3
    curve = [(step, 2.5 - step / 40) for step in range(1, 41)]
    root: dict[str, Any] = {"allowed": whole, "stage": "a", "steps": 40, "curve": curve}
    if not split:
        return root
    values = [[0.0, 0.0004, 0.0031, 0.002], [0.0004, 0.0, 0.0027, 0.0009], [0.0031, 0.0027, 0.0, 0.0017]]
    values.append([0.002, 0.0009, 0.0017, 0.0])
    score = {
        "operations": [0, 1, 2, 3],
        "dissimilarity": values,
        "standard_error": [[None if i == j else 0.0002 for j in range(4)] for i in range(4)],
        "repetitions": 5,
        "groups": [[0, 1], [2, 3]],
        "cut": 0.0097,
    }
    leaves = [
        {"allowed": [whole[0], group, whole[2]], "stage": "b", "steps": 20, "curve": [(s + 40, 1.5) for s in range(20)]}
        for group in ([0, 1], [2, 3])
    ]
    return root | {"edges": [1], "scores": {"1": score, "2": score}, "children": leaves}


def full(arm: str, taus: list[float | None], split: bool = True, **changes: Any) -> list[Record]:
    leaves = [
        {"allowed": [[0, 1, 2, 3], group, [0, 1, 2, 3]], "architecture": f"0{group[0]}1", "estimate": 20.0}
        | {"loss": 1.5, "population": 1, "test": 60.0 + group[0]}
        for group in ([0, 1], [2, 3])
    ]
    selection = make_record().selection.model_dump()
    selection |= {"leaves": leaves if split else selection["leaves"][:1], "leaf": int(split), "architecture": "021"}
    topology = {"edges": EDGES, "operations": [OPERATIONS] * 3}
    config = {
        "arm": {"schedule": arm},
        "seeds": SEEDS,
    }  # unlike ones: equal trees alone would make the arms one finding
    changes = {"tree": tree(split), "selection": selection, "topology": topology, "config": config, **changes}
    changes = {"expected_runs": SEEDS, **changes}
    return [make_record(arm, repetition, tau, **changes) for repetition, tau in enumerate(taus)]


def folder_of(path: Path) -> Path:
    base = [0.50, 0.52, 0.48, 0.55, 0.51, 0.49, 0.53, 0.52]
    records = [
        *full("none", list(base), split=False),
        *full("gm", [value + 0.1 + 0.01 * i for i, value in enumerate(base)]),
        *full("lid", [value - 0.1 - 0.003 * i for i, value in enumerate(base)]),
        *full("random", [value + 0.002 + 0.02 * (-1) ** i for i, value in enumerate(base)]),
        *full("seer", [value + 0.2 for value in base], reads_truth=True),
        *full("half done", [0.6, 0.61, 0.62]),
        *full(NASTY, [value + 0.004 * i for i, value in enumerate(base)]),
        *full(LONG, [value - 0.02 for value in base]),
    ]
    for record in records:
        write_run(path / "one", record, make_measured(), ESTIMATES)
    for record in [*arm_records("none", [0.3, 0.4]), *arm_records("gm", [0.5, 0.5])]:
        other = record.model_copy(update={"study": "other", "space": "nb201", "dataset": "cifar10"})
        write_run(path / "two", other, make_measured(), ESTIMATES)
    (path / "one" / "records" / "bad.json").write_text("{")
    (path / "one" / "skipped.json").write_text('{"ofa": "it needs kernels"}')
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def several(folder: Path) -> Path:
    """The page of two tables."""
    path = folder / "several.html"
    path.write_bytes(page(folder))
    return path


@pytest.fixture(scope="session")
def single(folder: Path) -> Path:
    """The page of one table."""
    path = folder / "single.html"
    path.write_bytes(page(folder / "one"))
    return path


def names(shown: Shown) -> list[str]:
    found: list[str] = shown.locator("#table tbody tr[data-row] .name").all_text_contents()
    return found


def heading(shown: Shown, column: str) -> Any:
    return shown.locator(f'#table th[data-column="{column}"]')


def cell(shown: Shown, arm: str, column: str) -> Any:
    return shown.locator("tr[data-row]", has=shown.locator(".name").get_by_text(arm, exact=True)).locator(
        f".c-{column}"
    )


def board_of(folder: Path) -> Leaderboard:
    return leaderboards(folder).boards[0]


def test_rows_stand_in_the_order_of_the_leaderboard(opened: Any, single: Path, folder: Path) -> None:
    shown = opened(single).page
    board = board_of(folder / "one")
    whole = sorted((row for row in board.rows if row.complete), key=lambda row: -row.metrics["tau[all]"].mean)  # type: ignore[union-attr]
    assert names(shown) == [*(row.arm for row in whole), "half done"]
    assert heading(shown, "primary").get_attribute("aria-sort") == "descending"
    for row in whole:
        estimate = row.metrics["tau[all]"]
        assert estimate is not None
        assert cell(shown, row.arm, "primary").locator(".value").text_content() == f"{estimate.mean:.3f}"
    assert cell(shown, "half done", "runs").text_content() == "3 of 8 runs"
    assert "† oracle control" in cell(shown, "seer", "arm").text_content()
    assert cell(shown, "gm", "verdict").text_content().startswith("▲ better")
    assert cell(shown, "lid", "verdict").text_content().startswith("▼ worse")
    assert cell(shown, "random", "verdict").text_content().startswith("○ can’t tell")
    assert cell(shown, "none", "verdict").text_content() == "baseline"


def test_sorting_by_click_and_by_key(opened: Any, single: Path) -> None:
    shown = opened(single).page
    start = names(shown)
    heading(shown, "primary").locator("button").click()
    assert heading(shown, "primary").get_attribute("aria-sort") == "ascending"
    assert names(shown)[:-1] == start[:-1][::-1]
    assert names(shown)[-1] == start[-1] == "half done"  # incomplete arms stay at the end
    heading(shown, "arm").locator("button").focus()
    shown.keyboard.press("Enter")
    assert heading(shown, "arm").get_attribute("aria-sort") == "ascending"
    assert heading(shown, "primary").get_attribute("aria-sort") == "none"
    assert names(shown)[:-1] == sorted(start[:-1], key=str.lower)
    assert shown.evaluate("document.activeElement.closest('th').dataset.column") == "arm"
    shown.keyboard.press("Space")
    assert heading(shown, "arm").get_attribute("aria-sort") == "descending"
    heading(shown, "regret").locator("button").click()
    assert heading(shown, "regret").get_attribute("aria-sort") == "ascending"  # the best first


def test_filters(opened: Any, several: Path, single: Path) -> None:
    shown = opened(several).page
    assert len(names(shown)) == 14
    shown.get_by_label("arm", exact=True).fill("  GM ")
    assert names(shown) == ["gm", "gm"]
    assert "2 of 14 rows" in shown.locator("#status").text_content()
    shown.get_by_label("space").select_option("nb201")
    assert names(shown) == ["gm"]
    shown.get_by_label("arm", exact=True).fill("")
    assert set(names(shown)) == {"gm", "none", "flops", "convolutions"}
    shown.get_by_label("sizes and rank-sums").uncheck()
    assert names(shown) == ["gm", "none"]
    shown.get_by_label("space").select_option("")
    shown.get_by_label("oracle controls").uncheck()
    shown.get_by_label("incomplete").uncheck()
    assert {"seer", "half done"} & set(names(shown)) == set()
    shown.get_by_label("arm", exact=True).fill("nothing has this name")
    assert "No arm passes these filters." in shown.locator("#table").text_content()
    # A filter with a single value is not there.
    assert shown.get_by_label("trainer").count() == 0
    assert opened(single).page.get_by_label("space").count() == 0


def test_a_second_metric_is_chosen(opened: Any, single: Path, folder: Path) -> None:
    shown = opened(single).page
    assert heading(shown, "metric").text_content().startswith("tau[top50%]")
    shown.get_by_label("second metric").select_option("metrics regret[all]")
    assert cell(shown, "gm", "metric").text_content().startswith("1.00")
    heading(shown, "metric").locator("button").click()
    assert heading(shown, "metric").get_attribute("aria-sort") == "ascending"
    shown.get_by_label("second metric").select_option(label="tau[all], by validation truth")
    assert cell(shown, "gm", "metric").text_content().startswith("0.450")


@pytest.mark.parametrize("baseline", ["none", "gm", "seer", "lid"])
def test_any_baseline_gets_the_numbers_that_python_gives(
    opened: Any, single: Path, folder: Path, tmp_path: Path, baseline: str
) -> None:
    shown = opened(single).page
    shown.get_by_label("baseline", exact=True).select_option(baseline)
    # The same study with that arm as its baseline.
    for path in sorted((folder / "one" / "records").glob("*.json")):
        if path.name.endswith(".measured.json") or path.name == "bad.json":
            continue
        record = Record.model_validate_json(path.read_bytes())
        write_run(tmp_path, record.model_copy(update={"baseline": record.arm == baseline}), make_measured(), ESTIMATES)
    board = board_of(tmp_path)
    assert board.baseline == baseline
    compared = 0
    for row, prefix, verdict in (
        (one, prefix, verdict)
        for one in board.rows
        for prefix, verdict in (("", one.verdict), ("test-", one.selected_verdict))
        if verdict is not None
    ):
        compared += 1
        difference = verdict.difference
        values = json.loads(cell(shown, row.arm, f"{prefix}difference").get_attribute("data-values"))
        assert values == pytest.approx([difference.mean, difference.low, difference.high], abs=1e-12)
        found = cell(shown, row.arm, f"{prefix}verdict")
        assert float(found.get_attribute("data-p")) == pytest.approx(verdict.p, abs=1e-12)
        assert float(found.get_attribute("data-equal-p")) == pytest.approx(verdict.equal_p, abs=1e-12)
        probability = cell(shown, row.arm, f"{prefix}probability").get_attribute("data-probability")
        assert float(probability) == pytest.approx(verdict.probability, abs=1e-9)
        assert verdict.word.replace("'", "’") in found.text_content()
        assert verdict.reason in found.text_content()
    assert compared == 12
    assert cell(shown, baseline, "verdict").text_content() == "baseline"
    shown.get_by_label("baseline", exact=True).select_option("")
    assert cell(shown, "none", "verdict").text_content() == "baseline"


def page_of(path: Path, **taus: list[float]) -> Path:
    """The page of arms with these values of tau, a seed each."""
    for arm, own in taus.items():
        for record in arm_records(arm, list(own)):
            write_run(path / "out", record, make_measured(), ESTIMATES)
    (path / "page.html").write_bytes(page(path / "out"))
    return path / "page.html"


def test_all_flips_of_many_seeds_are_counted(opened: Any, tmp_path: Path) -> None:
    import itertools

    n = 18
    assert n <= EXACT_UP_TO
    shifts = [0.02 * ((7 * i) % 11 - 4) for i in range(n)]
    shown = opened(page_of(tmp_path, none=[0.5] * n, gm=[0.5 + shift for shift in shifts])).page
    shown.get_by_label("baseline", exact=True).select_option("none")
    units = [(7 * i) % 11 - 4 for i in range(n)]
    counts = {0: 1}  # how many sign flips give each sum
    for unit in units:
        later: dict[int, int] = {}
        for total, sign in itertools.product(counts, (-1, 1)):
            later[total + sign * unit] = later.get(total + sign * unit, 0) + counts[total]
        counts = later
    exact = sum(count for total, count in counts.items() if abs(total) >= abs(sum(units))) / 2**n
    assert float(cell(shown, "gm", "verdict").get_attribute("data-p")) == pytest.approx(exact, abs=1e-15)


def test_beyond_pythons_exact_limit_the_page_computes_no_p(opened: Any, tmp_path: Path) -> None:
    n = EXACT_UP_TO + 1
    shown = opened(page_of(tmp_path, none=[0.5] * n, gm=[0.6] * n)).page
    assert cell(shown, "gm", "verdict").text_content().startswith("▲ better p ")  # Python's, of random flips
    shown.get_by_label("baseline", exact=True).select_option("gm")
    assert cell(shown, "none", "verdict").text_content().strip() == f"not computed, more than {EXACT_UP_TO} seeds"
    assert cell(shown, "none", "verdict").get_attribute("data-p") is None
    assert cell(shown, "none", "difference").text_content().startswith("−0.100")


def test_the_page_rounds_as_the_text_does(opened: Any, tmp_path: Path) -> None:
    """Five of six seeds that agree, and one without a difference, have p = 4 / 2^6, halfway between 0.062 and 0.063, as
    has the mean difference of 0.0625."""
    gm = [0.5625, 0.5625, 0.5625, 0.5625, 0.625, 0.5]
    path = page_of(tmp_path, none=[0.5] * 6, gm=gm)
    text = markdown(leaderboards(tmp_path / "out"))
    assert "can't tell (p = 0.062)" in text
    assert "+0.062 [+0.021, +0.104]" in text
    shown = opened(path).page
    for baseline, other, difference in (("", "gm", "+0.062"), ("none", "gm", "+0.062"), ("gm", "none", "−0.062")):
        shown.get_by_label("baseline", exact=True).select_option(baseline)
        assert cell(shown, other, "verdict").text_content() == "○ can’t tell p 0.062"
        ends = "[+0.021, +0.104]" if other == "gm" else "[−0.104, −0.021]"
        assert cell(shown, other, "difference").text_content() == f"{difference} {ends}"


def test_p_values_are_written_as_python_writes_them(opened: Any, tmp_path: Path) -> None:
    n = 24
    assert n <= EXACT_UP_TO
    shown = opened(page_of(tmp_path, none=[0.5] * n, gm=[0.6] * n)).page
    for baseline in ("", "none"):
        shown.get_by_label("baseline", exact=True).select_option(baseline)
        assert cell(shown, "gm", "verdict").text_content() == f"▲ better p {p_words(2 / 2**n)}" == "▲ better p 1.2e-07"


def test_arms_of_one_partition_stand_together_and_are_judged_as_one(opened: Any, tmp_path: Path) -> None:
    """With the study's baseline, which Python computes, and with another, which the page does."""
    base = [0.50, 0.52, 0.48, 0.55, 0.51, 0.49, 0.53, 0.52]
    alike = {"config": {"arm": {"schedule": "one"}}}
    records = [
        *full("none", list(base), split=False),
        *full("first", [value + 0.1 + 0.01 * i for i, value in enumerate(base)], **alike),
        *full("between", [value + 0.05 + 0.01 * i for i, value in enumerate(base)]),
        *full("twin", [value + 0.01 - 0.04 * (i == 3) for i, value in enumerate(base)], **alike),
    ]
    for record in records:
        write_run(tmp_path / "out", record, make_measured(), ESTIMATES)
    rows = {row.arm: row for row in board_of(tmp_path / "out").rows}
    (tmp_path / "page.html").write_bytes(page(tmp_path / "out"))
    shown = opened(tmp_path / "page.html").page
    assert "= first" in cell(shown, "twin", "arm").text_content()
    for baseline in ("", "none"):
        shown.get_by_label("baseline", exact=True).select_option(baseline)
        assert [name for name in names(shown) if name in ("first", "twin", "between")] == ["first", "twin", "between"]
        ps = [float(cell(shown, arm, "verdict").get_attribute("data-p")) for arm in ("first", "twin", "between")]
        assert ps == pytest.approx([rows[arm].verdict.p for arm in ("first", "twin", "between")])  # type: ignore[union-attr]
        assert ps[0] == ps[1]
        assert ps[2] < ps[0]


def test_a_decomposed_arm_shows_its_parts_and_a_waterfall(opened: Any, tmp_path: Path) -> None:
    """Five bars: four terms, each from where the one before it ended, and their sum from zero."""
    taus = [0.50 + 0.02 * seed for seed in range(SEEDS)]
    terms = {"training_lost": -0.06, "bill": -0.02, "relief": 0.03, "across": 0.01, "calibration": 0.004}
    decomposition = {**terms, "difference": -0.04, "tau_none": 0.6, "tau_free": 0.5, "tau_charged": 0.5, "tau_arm": 0.5}
    for record in [*full("none", list(taus), split=False), *full("gm", list(taus), decomposition=decomposition)]:
        write_run(tmp_path / "out", record, make_measured(), ESTIMATES)
    (tmp_path / "page.html").write_bytes(page(tmp_path / "out"))
    shown = opened(tmp_path / "page.html").page
    assert [cell(shown, "gm", f"part-{i}").text_content() for i in range(5)] == [
        "−0.060", "−0.020", "+0.030", "+0.010", "+0.004"
    ]  # fmt: skip
    assert cell(shown, "none", "part-0").text_content() == "–"
    shown.get_by_role("button", name="gm").first.click()
    bars = shown.locator("svg.waterfall rect")
    left, width = ([float(bar.get_attribute(name)) for bar in bars.all()] for name in ("x", "width"))
    unit = width[0] / 0.06
    assert width == pytest.approx([unit * size for size in (0.06, 0.02, 0.03, 0.01, 0.04)], rel=1e-6)
    zero = left[0] + width[0]
    ends = (-0.06, -0.08, -0.08, -0.05, -0.04)
    assert left == pytest.approx([zero + unit * end for end in ends], rel=1e-6)
    assert [bar.get_attribute("class") for bar in bars.all()] == ["loss", "loss", "gain", "gain", "loss"]
    assert "what scoring took from them" in shown.locator(".parts").text_content()


def test_no_difference_has_no_minus(opened: Any, tmp_path: Path) -> None:
    shown = opened(page_of(tmp_path, none=[0.5] * 3, gm=[0.4999] * 3, same=[0.5] * 3)).page
    assert cell(shown, "gm", "difference").text_content() == "+0.000 [+0.000, +0.000]"
    assert cell(shown, "same", "difference").text_content() == "+0.000 [+0.000, +0.000]"


def open_run(shown: Shown, arm: str, run: str = "seed 0") -> None:
    shown.locator("button.arm", has=shown.get_by_text(arm, exact=True)).click()
    shown.get_by_role("link", name=run, exact=True).first.click()
    shown.locator("#run-title").wait_for()


def test_a_run_shows_all_that_is_known_of_it(opened: Any, single: Path) -> None:
    shown = opened(single).page
    open_run(shown, "gm", "seed 2")
    run = shown.locator("#run")
    assert shown.locator("#run-title").text_content() == "gmseed 2"
    assert shown.evaluate("document.activeElement.id") == "run-title"
    assert shown.title().startswith("gm, seed 2")
    assert not shown.locator("#board").is_visible()
    drawn = run.locator("svg.tree text").all_text_contents()
    assert {"whole space", "0->2", "none, skip_connect", "conv_3x3, avg_pool_3x3", "✓ honest choice"} <= set(drawn)
    assert run.locator("svg.tree rect.kept").count() == run.locator("svg.tree rect.gone").count() == 4
    heat = run.locator("table.heat").first
    assert "split here" in heat.locator("caption").text_content()
    assert "values × 10⁻³" in heat.locator("caption").text_content()
    assert heat.locator("td[title]").first.get_attribute("title") == "none and skip_connect: 0.40 ± 0.20"
    assert heat.locator("tbody tr").first.locator("td").nth(2).text_content() == "3.10±0.20"
    assert run.locator("table.heat").count() == 2
    figures = run.locator("figure")
    assert "tau[all] = 0.600 over 2 architectures" in figures.first.text_content()  # 0.48 + 0.1 + 2 x 0.01
    assert figures.first.locator(".points path").count() == 2  # a series a leaf
    assert figures.nth(1).locator("path.curve").count() == 3
    ledger = run.get_by_role("region", name="Budget").locator("tr").all_text_contents()
    assert ledger[1:] == [
        "warm-up20020.0%2200.5",
        "training80080.0%8801.5",
        "measurement, not charged––––9.0",
        "sum1,000100%101002.0",
    ]
    assert "Spent 1,000 FLOPs of a limit of 1,000 FLOPs (100.0%)." in run.text_content()
    leaves = run.get_by_role("region", name="Leaves").locator("tbody tr").all_text_contents()
    assert leaves[1].startswith("leaf 1✓ honest choice0->2: conv_3x3, avg_pool_3x3021")
    assert "0.450" in run.get_by_role("region", name="Metrics").text_content()
    assert run.locator("section", has_text="Configuration").last.text_content() == "Configurationarmschedulegmseeds8"


def test_series_are_singled_out(opened: Any, single: Path) -> None:
    shown = opened(single, "#run=0/gm/r0-d0").page
    button = shown.locator("figure").first.get_by_role("button", name="leaf 1")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert shown.locator("figure").first.locator(".faded").count() == 1
    button.click()
    assert shown.locator(".faded").count() == 0


def test_a_run_that_does_not_split(opened: Any, single: Path) -> None:
    shown = opened(single, "#run=0/none/r0-d0").page
    text = shown.locator("#run").text_content()
    assert "Not split: one supernet is trained on the whole space." in text
    assert "No criterion scored the operations of this run." in text


def test_ways_through_the_runs(opened: Any, single: Path) -> None:
    shown = opened(single).page
    open_run(shown, "gm")
    shown.get_by_role("link", name="next run").click()
    shown.locator("#run-title", has_text="seed 1").wait_for()
    shown.go_back()
    shown.locator("#run-title", has_text="seed 0").wait_for()
    shown.get_by_role("link", name="← Leaderboard").click()
    shown.locator("#board").wait_for()
    assert not shown.locator("#run").is_visible()
    assert shown.evaluate("document.activeElement.textContent") == "seed 0"  # where the reader was
    shown.goto(single.as_uri() + "#run=0/no such arm/r0-d0")
    assert shown.locator("#run-title").text_content() == "No such run"


def test_strange_names_have_pages_of_their_own(opened: Any, single: Path) -> None:
    shown = opened(single).page
    assert NASTY in names(shown)
    open_run(shown, NASTY)
    assert shown.locator("#run-title").text_content() == f"{NASTY}seed 0"
    address = shown.evaluate("location.hash")
    assert opened(single, address).page.locator("#run-title").text_content() == f"{NASTY}seed 0"


def test_everything_by_keyboard(opened: Any, single: Path) -> None:
    shown = opened(single).page
    active = "document.activeElement"

    def tab_until(condition: str) -> None:
        for _ in range(120):
            shown.keyboard.press("Tab")
            if shown.evaluate(condition):
                return
        raise AssertionError(f"Tab never reached {condition}")

    tab_until(f"{active}.id === 'theme'")
    tab_until(f"{active}.type === 'search'")
    shown.keyboard.type("gm")
    tab_until(f"{active}.id === 'baseline'")
    tab_until(f"{active}.type === 'checkbox'")
    tab_until(f"{active}.id === 'scroll'")
    tab_until(f"{active}.closest('th')?.dataset.column === 'verdict'")
    shown.keyboard.press("Enter")
    assert heading(shown, "verdict").get_attribute("aria-sort") == "descending"
    tab_until(f"{active}.classList.contains('arm')")
    outline = shown.evaluate(f"getComputedStyle({active}).outlineStyle")
    assert outline == "solid"
    shown.keyboard.press("Enter")
    assert shown.evaluate(f"{active}.getAttribute('aria-expanded')") == "true"
    tab_until(f"{active}.matches('a[href^=\"#run=\"]')")
    shown.keyboard.press("Enter")
    shown.locator("#run-title").wait_for()
    assert shown.evaluate(f"{active}.id") == "run-title"
    shown.keyboard.press("Escape")
    shown.locator("#board").wait_for()
    assert shown.evaluate(f"{active}.matches('a[href^=\"#run=\"]')")


def violations(shown: Shown) -> list[str]:
    import axe_playwright_python

    source = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()
    shown.evaluate(source)
    found = shown.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Any, several: Path, scheme: str) -> None:
    shown = opened(several, color_scheme=scheme).page
    assert shown.evaluate("document.documentElement.dataset.theme") == scheme
    shown.locator("button.arm").first.click()
    assert violations(shown) == []
    shown.evaluate("location.hash = '#run=0/gm/r0-d0'")
    shown.locator("#run-title").wait_for()
    assert violations(shown) == []


def test_the_theme_is_switched_and_kept(opened: Any, single: Path) -> None:
    shown = opened(single, color_scheme="light").page
    paper = "getComputedStyle(document.body).backgroundColor"
    light = shown.evaluate(paper)
    shown.get_by_role("button", name="Switch to dark colours").click()
    assert shown.evaluate(paper) != light
    shown.reload()
    assert shown.evaluate("document.documentElement.dataset.theme") == "dark"
    shown.get_by_role("button", name="Switch to light colours").click()
    assert shown.evaluate(paper) == light


def test_paper_is_light_and_holds_the_whole_table(opened: Any, single: Path) -> None:
    """A page that is dark on the screen is printed in the light colours, and the table is not cut off."""
    shown = opened(single, color_scheme="dark", viewport={"width": 1047, "height": 700}).page  # A4 across, at 96 dpi
    base = "getComputedStyle(document.querySelector('tr.base td')).backgroundColor"
    assert shown.evaluate("document.documentElement.dataset.theme") == "dark"
    dark = shown.evaluate(base)
    shown.emulate_media(media="print", color_scheme="dark")
    assert shown.evaluate(base) == "rgb(245, 246, 246)" != dark
    assert shown.evaluate("document.documentElement.scrollWidth") <= 1047
    assert not shown.locator("#controls").is_visible()
    shown.evaluate("location.hash = '#run=0/gm/r0-d0'")
    shown.locator("#run-title").wait_for()
    assert shown.locator(".legend").first.is_visible()  # which colour is which leaf


@pytest.mark.parametrize("address", ["", "#run=0/gm/r0-d0"])
@pytest.mark.parametrize("file", ["single", "several"])
def test_a_phone_never_scrolls_sideways(opened: Any, request: pytest.FixtureRequest, address: str, file: str) -> None:
    path = request.getfixturevalue(file)
    shown = opened(path, address, viewport={"width": 360, "height": 740}, has_touch=True).page
    if not address:
        for button in shown.locator("button.arm").all()[:2]:
            button.click()
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360
    assert shown.locator(".scroll").first.evaluate("box => box.clientWidth") <= 360


def test_warnings_and_skipped_arms_are_named(opened: Any, single: Path) -> None:
    shown = opened(single).page
    text = shown.locator("#board").text_content()
    assert "records/bad.json: left out" in text
    assert "ofa: it needs kernels" in text
    shown.get_by_role("link", name="1 warning about files of this folder").click()
    assert shown.locator("#board").is_visible()


def test_ten_thousand_records_work(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(crowded_page())
    shown = opened(path).page
    assert "2,502 rows" in shown.locator("#status").text_content()
    assert len(names(shown)) == 150
    best = names(shown)[0]
    heading(shown, "primary").locator("button").click()
    assert names(shown)[0] != best
    shown.get_by_role("button", name="Show 300 more rows").click()
    assert len(names(shown)) == 450
    shown.get_by_label("arm", exact=True).fill("criterion 2499")
    assert names(shown) == ["criterion 2499 of a study"]
    shown.get_by_label("baseline", exact=True).select_option("criterion 0001 of a study")
    assert cell(shown, "criterion 2499 of a study", "verdict").get_attribute("data-p") is not None
    open_run(shown, "criterion 2499 of a study", "seed 3")
    text = shown.locator("#run").text_content()
    assert "This page has a limited size" in text
    assert "--arm 'criterion 2499 of a study'" in text
    assert shown.get_by_role("region", name="Budget").count() == 1
