"""Two arms side by side."""

import json

import numpy as np
import pytest
from synthetic_records import Writer, arm_records

from splitbench.harness.errors import ConfigError
from splitbench.results.arms.arms import JUDGED
from splitbench.results.boards.compare import compare, comparison_json
from splitbench.results.inference import paired, stats
from splitbench.results.inference.verdicts import verdict_sentence
from splitbench.results.records.record import Record
from splitbench.results.words import render
from splitbench.results.words.sheet import ORACLE, interval_words, limits_words

NONE = [0.50, 0.52, 0.51, 0.49, 0.50, 0.53]
GM = [0.55, 0.56, 0.58, 0.52, 0.57, 0.56]


def test_differences_are_paired_and_directed(write: Writer) -> None:
    gm = arm_records("gm", GM)
    less_regret = [
        record.model_copy(update={"metrics": {**record.metrics, "regret[all]": 0.5 - 0.01 * record.repetition}})
        for record in gm
    ]
    (pair,) = compare(write(*arm_records("none", NONE), *less_regret), "gm", "none").pairs
    others = sum(d.metric not in JUDGED and d.same_as is None for d in pair.differences)
    found = {difference.metric: difference for difference in pair.differences}
    tau = found["tau[all]"]
    assert tau.difference.mean == pytest.approx(sum(GM) / 6 - sum(NONE) / 6)
    assert (tau.p, tau.word) == (2 / 2**6, "better")
    assert (tau.p_adjusted, tau.wilcoxon_p) == (2 / 2**6, 2 / 2**6)
    regret = found["regret[all]"]
    assert regret.difference.mean < 0
    assert (regret.p, regret.p_adjusted) == (2 / 2**6, others * 2 / 2**6), "Holm over the metrics not named beforehand"
    assert (regret.word, regret.reason) == ("no verdict", "6 seeds, and it takes 7")
    assert (found["rho[all]"].p, found["rho[all]"].word) == (1.0, "practically equal")
    assert found["selected test %"].first.mean == pytest.approx(62.5)
    assert (pair.seeds, pair.undefined) == (6, ())


def test_the_other_way_round_is_the_opposite(write: Writer) -> None:
    folder = write(*arm_records("none", NONE), *arm_records("gm", GM))
    (there,), (back,) = compare(folder, "gm", "none").pairs, compare(folder, "none", "gm").pairs
    for a, b in zip(there.differences, back.differences, strict=True):
        assert a.difference.mean == pytest.approx(-b.difference.mean, abs=1e-15)
        assert a.p == b.p
    assert {b.metric: b.word for b in back.differences}["tau[all]"] == "worse"


def long_arms(n: int) -> list[Record]:
    """gm has .05 more tau in every seed, give or take, and less regret."""
    rng = np.random.default_rng(0)
    none = rng.normal(0.5, 0.05, n)
    gm = none + rng.normal(0.05, 0.01, n)
    less = [
        record.model_copy(update={"metrics": {**record.metrics, "regret[all]": 0.5 - 0.01 * record.repetition}})
        for record in arm_records("gm", gm.tolist())
    ]
    return [*arm_records("none", none.tolist()), *less]


def test_less_regret_is_better(write: Writer) -> None:
    (pair,) = compare(write(*long_arms(12)), "gm", "none").pairs
    regret = next(d for d in pair.differences if d.metric == "regret[all]")
    assert regret.word == "better"
    assert regret.sentence.startswith("gm is better than none by 0.56 in regret[all] (less of it) (95% 0.53 to 0.58, ")


def test_bca_over_seeds_is_not_shown(write: Writer) -> None:
    """No measured number of seeds has it within two points of 95% (docs/statistics.md)."""
    found = compare(write(*long_arms(40)), "gm", "none")
    (tau,) = [d for d in found.pairs[0].differences if d.metric == "tau[all]"]
    assert tau.detectable is not None
    assert 0 < tau.detectable < 0.05
    assert "BCa" not in render.markdown(found)
    assert "bca" not in json.dumps(comparison_json(found))


def with_test(arm: str, taus: list[float], tests: list[float], best: float | None = 90.0) -> list[Record]:
    """The regret of each choice is ``best`` less its test accuracy, or unrelated to it if None."""
    found = []
    for record, test in zip(arm_records(arm, list(taus)), tests, strict=True):
        changes = {"test": test, "regret": 3.0 if best is None else best - test}
        found.append(record.model_copy(update={"selection": record.selection.model_copy(update=changes)}))
    return found


def test_the_regret_of_a_choice_and_its_accuracy_are_one_hypothesis(write: Writer) -> None:
    more = [60.1, 61.3, 60.7, 62.9, 61.1, 60.2]
    less = [59.0, 60.9, 60.6, 61.8, 60.3, 60.1]
    found = compare(write(*with_test("none", NONE, less), *with_test("gm", GM, more)), "gm", "none")
    by_name = {d.metric: d for d in found.pairs[0].differences}
    test, regret = by_name["selected test %"], by_name["selected regret"]
    assert regret.difference.mean == pytest.approx(-test.difference.mean)
    assert set(by_name) - {"tau[all]", "selected regret"} == {
        "rho[all]", "tau[top50%]", "regret[all]", "selected test %",
    }  # fmt: skip
    assert (test.p, test.p_adjusted, test.word) == (2 / 2**6, 2 / 2**6, "better"), "named beforehand, as tau[all] is"
    assert by_name["rho[all]"].equal_p == 3 / 2**6, "three others, and not four"
    assert (regret.p, regret.p_adjusted, regret.word) == (test.p, test.p_adjusted, test.word)
    assert (regret.same_as, test.same_as) == ("selected test %", None)
    assert regret.seeds_needed == test.seeds_needed
    text = render.markdown(found)
    assert "tau[all] and selected test % each for itself, the 3 others adjusted after Holm for their number." in text
    assert "Selected regret is a constant less selected test %: they are one hypothesis" in text


def test_a_regret_that_is_not_that_of_the_accuracy_is_its_own_hypothesis(write: Writer) -> None:
    tests = [60.0 + i for i in range(6)]
    records = [*with_test("none", NONE, tests, None), *with_test("gm", GM, [one + 1 for one in tests], None)]
    found = compare(write(*records), "gm", "none")
    by_name = {d.metric: d for d in found.pairs[0].differences}
    assert (by_name["selected regret"].p, by_name["selected regret"].same_as) == (1.0, None)
    assert by_name["selected test %"].p_adjusted == 2 / 2**6
    assert by_name["rho[all]"].reason == "6 seeds, and it takes 8", "four others"
    assert "one hypothesis" not in render.markdown(found)


def test_verdicts_are_sentences(write: Writer) -> None:
    folder = write(*arm_records("none", NONE), *arm_records("gm", GM))
    (tau,) = [d for d in compare(folder, "gm", "none").pairs[0].differences if d.metric == "tau[all]"]
    assert (
        tau.sentence
        == "gm is better than none by 0.048 in tau[all] (95% 0.029 to 0.068, 6 seeds, p = 0.031, P(better) = 0.999)"
    )
    assert f"\n{tau.sentence}.\n" in render.markdown(compare(folder, "gm", "none"))
    (back,) = [d for d in compare(folder, "none", "gm").pairs[0].differences if d.metric == "tau[all]"]
    assert (
        back.sentence
        == "none is worse than gm by 0.048 in tau[all] (95% 0.029 to 0.068, 6 seeds, p = 0.031, P(better) = 0.001)"
    )


def test_words_where_nothing_can_be_told() -> None:
    unclear = paired.Comparison(stats.Estimate(-0.0123, -0.05, 0.03, 5), 0.4, 1.0, 0.25)
    common = ("gm", "none", "tau[all]", paired.CANNOT_TELL, "", unclear, 0.4)
    start = (
        "can't tell: gm less none is -0.012 in tau[all] (95% -0.050 to +0.030, 5 seeds, p = 0.400, P(better) = 0.250); "
    )
    assert (
        verdict_sentence(*common, 1234) == start + "about 1,234 seeds would be needed to tell a difference this large"
    )
    assert verdict_sentence(*common, None) == start + "no number of seeds is known to tell a difference this small"
    assert (
        verdict_sentence(*common, 5)
        == start + "5 seeds tell a difference this large four times in five, and these did not"
    )
    one = paired.Comparison(stats.Estimate(2.5, None, None, 1), 1.0, 1.0, None)
    assert verdict_sentence("a", "b", "selected regret", paired.CANNOT_TELL, "", one, 1.0, None) == (
        "can't tell: a less b is +2.50 in selected regret % (1 seed, p = 1.000); "
        "one seed says nothing about how far another would land"
    )


def test_what_rounds_to_zero_has_one_sign() -> None:
    nothing = stats.Estimate(-0.0001, -0.05, -0.0004, 5)
    one = paired.Comparison(nothing, 0.4, 1.0, None)
    words = verdict_sentence("gm", "none", "tau[all]", paired.CANNOT_TELL, "", one, 0.4, None)
    assert words.startswith("can't tell: gm less none is +0.000 in tau[all] (95% -0.050 to +0.000, 5 seeds, ")
    assert interval_words(nothing, 3, sign=True) == "+0.000 [-0.050, +0.000]"
    assert interval_words(nothing, 3) == "0.000 [-0.050, 0.000]"
    assert limits_words(nothing, "tau[all]") == "[-0.050, +0.000]"
    assert limits_words(nothing, "regret[all]") == "[-0.05, +0.00]"


def test_undefined_metrics_are_named(write: Writer) -> None:
    folder = write(*arm_records("none", NONE), *arm_records("gm", [None, *GM[1:]]))
    (pair,) = compare(folder, "gm", "none").pairs
    assert pair.undefined == ("tau[all]",)
    assert "Undefined in some run, so not compared: tau[all]." in render.markdown(compare(folder, "gm", "none"))


@pytest.mark.parametrize(
    ("arms", "sentence"),
    [
        (("gn", "none"), "there is no arm 'gn' (did you mean 'gm'?); the arms there are gm, none, partial"),
        (("gm", "xyz"), "there is no arm 'xyz'; the arms there are gm, none, partial"),
        (("gm", "gm"), "arm 'gm' was named twice; name two of gm, none, partial"),
        (("gm", "partial"), "arm 'partial' has 1 of 6 runs, and incomplete arms are never averaged"),
    ],
)
def test_wrong_arms_are_one_sentence(write: Writer, arms: tuple[str, str], sentence: str) -> None:
    folder = write(*arm_records("none", NONE), *arm_records("gm", GM), *arm_records("partial", [0.9], expected_runs=6))
    with pytest.raises(ConfigError) as caught:
        compare(folder, *arms)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"{folder}: ")


def test_arms_of_different_studies_are_not_compared(write: Writer) -> None:
    write(*arm_records("none", NONE), folder="all/a")
    folder = write(*arm_records("gm", GM, study="other"), folder="all/b").parent
    with pytest.raises(ConfigError, match="share no study, space, dataset, budget and population"):
        compare(folder, "gm", "none")


def test_each_table_that_has_both_is_compared(write: Writer) -> None:
    for name in ("a", "b"):
        folder = write(*arm_records("none", NONE, study=name), *arm_records("gm", GM, study=name), folder=f"all/{name}")
    write(*arm_records("none", NONE, study="c"), *arm_records("gm", [0.5], study="c", expected_runs=6), folder="all/c")
    found = compare(folder.parent, "gm", "none")
    assert [pair.study for pair in found.pairs] == ["a", "b"]
    assert found.warnings == ("both arms are also in other tables (1), but with missing runs: left out",)


def test_markdown_and_json(write: Writer) -> None:
    found = compare(write(*arm_records("none", NONE), *arm_records("gm", GM)), "gm", "none")
    text = render.markdown(found)
    assert text.startswith("# toy: gm against none, micro on digits\n")
    assert "0.031" in text
    assert "With 6 seeds the least p is 0.031; the fewest that can give a verdict are 6." in text
    data = json.loads(json.dumps(comparison_json(found), allow_nan=False))
    assert data["pairs"][0]["budget"] == {"kind": "flops", "limit": 1000.0}
    old = {"metric", "first", "second", "difference", "p", "word"}
    new = {"p_adjusted", "wilcoxon_p", "seeds_and_functions", "seeds_needed", "detectable", "sentence", "same_as"}
    new |= {"reason", "equal_p", "region", "probability"}
    assert old | new == set(data["pairs"][0]["differences"][0])


def test_an_oracle_is_marked_with_its_legend(write: Writer) -> None:
    folder = write(
        *arm_records("none", NONE), *arm_records("gm", GM), *arm_records("seer", GM, reads_truth=True, baseline=False)
    )
    found = compare(folder, "seer", "none")
    assert found.pairs[0].reads_truth == ("seer",)
    text = render.markdown(found)
    assert text.startswith("# toy: seer † against none, ")
    header = next(line for line in text.splitlines() if line.startswith("| metric"))
    assert [cell.strip() for cell in header.split("|")][2:4] == ["seer †", "none"]
    assert f"- {ORACLE}\n" in text
    assert comparison_json(found)["pairs"][0]["reads_truth"] == ("seer",)
    assert "†" not in render.markdown(compare(folder, "gm", "none"))


def test_a_skipped_arm_is_not_called_unknown(write: Writer) -> None:
    folder = write(*arm_records("none", NONE), *arm_records("gm", GM), folder="all/a")
    (folder / "skipped.json").write_text('{"ofa": "it needs kernels"}')
    with pytest.raises(ConfigError) as caught:
        compare(folder, "ofa", "none")
    assert str(caught.value) == f"{folder}: arm 'ofa' was skipped (it needs kernels); the arms that ran are gm, none"
    with pytest.raises(ConfigError, match=r"arm 'ofa' was skipped \(a: it needs kernels\);"):
        compare(folder.parent, "none", "ofa")
    with pytest.raises(ConfigError, match="there is no arm 'of'"):
        compare(folder, "of", "none")
