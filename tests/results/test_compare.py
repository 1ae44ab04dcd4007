"""Two arms side by side."""

import json

import pytest
from synthetic_records import Writer, arm_records

from harness.errors import ConfigError
from results import render
from results.compare import compare, to_json
from results.sheets import ORACLE

NONE = [0.50, 0.52, 0.51, 0.49, 0.50, 0.53]
GM = [0.55, 0.56, 0.58, 0.52, 0.57, 0.56]


def test_differences_are_paired_and_directed(write: Writer) -> None:
    gm = arm_records("gm", GM)
    less_regret = [
        record.model_copy(update={"metrics": {**record.metrics, "regret[all]": 0.5 - 0.01 * record.repetition}})
        for record in gm
    ]
    (pair,) = compare(write(*arm_records("none", NONE), *less_regret), "gm", "none").pairs
    found = {difference.metric: difference for difference in pair.differences}
    tau = found["tau[all]"]
    assert tau.difference.mean == pytest.approx(sum(GM) / 6 - sum(NONE) / 6)
    assert (tau.p, tau.word) == (2 / 2**6, "better")
    assert found["regret[all]"].difference.mean < 0
    assert found["regret[all]"].word == "better", "less regret is better"
    assert (found["rho[all]"].p, found["rho[all]"].word) == (1.0, "can't tell")
    assert found["selected test %"].first.mean == pytest.approx(62.5)
    assert (pair.seeds, pair.undefined) == (6, ())


def test_the_other_way_round_is_the_opposite(write: Writer) -> None:
    folder = write(*arm_records("none", NONE), *arm_records("gm", GM))
    (there,), (back,) = compare(folder, "gm", "none").pairs, compare(folder, "none", "gm").pairs
    for a, b in zip(there.differences, back.differences, strict=True):
        assert a.difference.mean == pytest.approx(-b.difference.mean, abs=1e-15)
        assert a.p == b.p
    assert {b.metric: b.word for b in back.differences}["tau[all]"] == "worse"


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
    data = json.loads(json.dumps(to_json(found), allow_nan=False))
    assert data["pairs"][0]["budget"] == {"kind": "flops", "limit": 1000.0}
    assert {"metric", "first", "second", "difference", "p", "word"} == set(data["pairs"][0]["differences"][0])


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
    assert to_json(found)["pairs"][0]["reads_truth"] == ("seer",)
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
