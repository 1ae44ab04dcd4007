"""Affinity and Partition: means and errors over repetitions, sums over pairs, and what is refused."""

import numpy as np
import pytest

from splitbench.criteria.base import Affinity, Partition, Parts, parts_of, splits


def test_mean_and_standard_error_leave_out_what_was_not_measured() -> None:
    samples = np.zeros((3, 3, 3))
    samples[:, 0, 1] = samples[:, 1, 0] = [0.1, 0.4, 0.7]
    samples[:, 0, 2] = samples[:, 2, 0] = [np.nan, 0.2, np.nan]
    samples[:, 1, 2] = samples[:, 2, 1] = np.nan
    affinity = Affinity.of((1, 2, 4), samples)
    assert affinity.dissimilarity[0, 1] == pytest.approx(0.4)
    assert affinity.standard_error[0, 1] == pytest.approx(0.3 / np.sqrt(3))
    assert affinity.dissimilarity[0, 2] == pytest.approx(0.2)
    assert np.isnan(affinity.standard_error[0, 2])
    assert affinity.dissimilarity[1, 2] == pytest.approx((0.4 + 0.2) / 2)  # never measured: the mean of what was
    assert np.isnan(affinity.standard_error[1, 2])
    assert affinity.repetitions == 3
    assert Affinity.of((1, 2, 4), samples, undefined=1.0).dissimilarity[1, 2] == 1.0
    nothing = Affinity.of((1, 2), np.full((3, 2, 2), np.nan))
    assert not nothing.dissimilarity.any()


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0.0, 1.0], [0.5, 0.0]], "symmetric"),
        ([[0.1, 1.0], [1.0, 0.0]], "diagonal"),
        ([[0.0, np.nan], [np.nan, 0.0]], "finite"),
        ([[0.0]], "2 x 2"),
    ],
)
def test_a_matrix_that_is_no_dissimilarity_is_refused(matrix: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Affinity.assumed((0, 1), np.array(matrix))


def test_partition_sums_its_pairs() -> None:
    d = np.array([[0, 1, 2, 4], [1, 0, 8, 16], [2, 8, 0, 32], [4, 16, 32, 0]], dtype=float)
    partition = Partition.of(Affinity.assumed((0, 2, 3, 5), d), [[5, 2], [3, 0]])
    assert partition.groups == ((0, 3), (2, 5))
    assert partition.raw_cut == 1 + 4 + 8 + 32
    assert partition.cut == 45 / 4
    assert partition.intra == 2 + 16


def test_one_group_cuts_nothing() -> None:
    partition = Partition.of(Affinity.assumed((0, 1), 1 - np.eye(2)), [[0, 1]])
    assert (partition.cut, partition.raw_cut, partition.intra) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("groups", [[[0], [1]], [[0, 1], [1, 2]], [[0, 1, 2], []], [[0, 1], [2, 3]]])
def test_groups_that_are_no_partition_are_refused(groups: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="not a partition"):
        Partition.of(Affinity.assumed((0, 1, 2), 1 - np.eye(3)), groups)


def test_a_plain_function_has_the_default_parts_and_splits() -> None:
    def criterion(probe: object, edge: int) -> Affinity:
        raise NotImplementedError

    assert parts_of(criterion) == Parts("balanced", "normalised_max_cut", {}, False)
    assert splits(criterion)
