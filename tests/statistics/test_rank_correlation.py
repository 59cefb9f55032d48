"""Rank correlations known by hand, and as SciPy computes them of things that are repeated."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from foresay.statistics.rank_correlation import rank_correlation


def test_by_hand() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 15]).tolist() == pytest.approx([0.5])
    assert rank_correlation([1, 1, 2], [3, 3, 9]).tolist() == pytest.approx([1.0])
    assert rank_correlation([1, 2, 3], [3, 2, 1]).tolist() == pytest.approx([-1.0])
    assert rank_correlation([1, 1, 1], [3, 2, 9]).tolist() == [0.0]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_there_several_times_is_as_if_it_were_repeated(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.integers(6, size=(2, 20)).astype(float)
    counts = random.integers(4, size=(5, 20))
    expected = [spearmanr(np.repeat(one, row), np.repeat(other, row))[0] for row in counts]
    assert rank_correlation(one, other, counts).tolist() == pytest.approx(expected)
    assert rank_correlation(one, other).tolist() == pytest.approx([spearmanr(one, other)[0]])
