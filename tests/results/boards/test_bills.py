"""Whether differences to chance follow what scoring took: by scipy, by permutation, and in simulated tables."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats as scipy_stats

from splitbench.results.arms.controls import Chance
from splitbench.results.boards.bills import FREE, OWN, UNPAID, BillCorrelation, bill_correlations, places
from splitbench.results.boards.rows import BoardRow
from splitbench.results.inference.stats import Estimate
from splitbench.results.words.legend import bill_words


def row(
    arm: str, share: float, difference: float, bill: float | None = None, free: bool = False, **more: object
) -> BoardRow:
    about = None if bill is None else Estimate(bill, None, None, 5)
    chance = Chance("2|3", ("random",), Estimate(difference, None, None, 5), 1.0, 0.0 if free else share, share, about)
    return BoardRow(arm, "micro", "digits", "rsps", 5, 1, 5, 5, True, False, chance=chance, **more)  # type: ignore[arg-type]


def rows(shares: Sequence[float], differences: Sequence[float]) -> list[BoardRow]:
    return [row(f"arm {i}", x, y) for i, (x, y) in enumerate(zip(shares, differences, strict=True))]


def only(found: tuple[BillCorrelation, ...]) -> BillCorrelation:
    (one,) = found
    return one


@pytest.mark.parametrize("seed", range(5))
def test_the_numbers_are_scipys(seed: int) -> None:
    """With ties, as arms that pay nothing tie."""
    rng = np.random.default_rng(seed)
    shares = np.round(rng.uniform(0, 0.3, 20), 1)
    differences = rng.normal(0, 0.02, 20) - 0.1 * shares
    found = only(bill_correlations(rows(shares.tolist(), differences.tolist())))
    expected = scipy_stats.spearmanr(shares, differences)
    assert (found.rho, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert places(shares.tolist()) == scipy_stats.rankdata(shares).tolist()
    assert found.slope == pytest.approx(scipy_stats.linregress(shares, differences).slope)
    assert found.chance == UNPAID


def test_the_null_is_that_of_permutations() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=30)
    found = only(bill_correlations(rows((x - x.min()).tolist(), rng.normal(size=30).tolist())))
    permuted = [scipy_stats.spearmanr(x, rng.permutation(30)).statistic for _ in range(4_000)]
    assert np.mean(np.abs(permuted) <= found.null) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(("rho", "n"), [(-0.9, 40), (-0.5, 20), (0.0, 12)])
def test_the_interval_covers(rho: float, n: int) -> None:
    """Bivariate normal: Spearman's correlation of the population is 6 / pi arcsin(rho / 2)."""
    rng = np.random.default_rng(n)
    truth = 6 / np.pi * np.arcsin(rho / 2)
    held = 0
    for _ in range(2_000):
        x, noise = rng.normal(size=(2, n))
        y = rho * x + np.sqrt(1 - rho**2) * noise
        found = only(bill_correlations(rows((x - x.min()).tolist(), y.tolist())))
        held += found.low <= truth <= found.high
    assert held / 2_000 == pytest.approx(0.95, abs=0.02)


def test_own_bills_free_scoring_oracles_and_findings() -> None:
    paying = [row(f"paying {i}", i / 50, -i / 500, -i / 400 if i else None) for i in range(10)]
    free = [row(f"free {i}", i / 50 + 0.01, i / 500, free=True) for i in range(9)]
    oracle = row("oracle", 0.0, 5.0, reads_truth=True)
    twin = row("twin", 0.18, -9 / 500, -9 / 400, finding="paying 9")
    found = {one.chance: one for one in bill_correlations([*paying, *free, oracle, twin])}
    assert {name: one.findings for name, one in found.items()} == {UNPAID: 10, OWN: 10, FREE: 9}
    assert found[UNPAID].slope == pytest.approx(-(1 / 500 + 1 / 400) * 50), "what the bill costs is added again"
    assert found[OWN].slope == pytest.approx(-50 / 500)
    assert found[FREE].rho == pytest.approx(1.0)
    assert found[FREE].high <= 1
    assert "Over 9 findings, with scoring free, the difference" in bill_words(found[FREE])


@pytest.mark.parametrize(
    ("shares", "differences"),
    [
        ([i / 10 for i in range(7)], [i / 10 for i in range(7)]),
        ([0.0] * 9, [i / 10 for i in range(9)]),
        ([i / 10 for i in range(9)], [0.1] * 9),
    ],
)
def test_too_few_or_all_alike_is_left_out(shares: list[float], differences: list[float]) -> None:
    assert bill_correlations(rows(shares, differences)) == ()
