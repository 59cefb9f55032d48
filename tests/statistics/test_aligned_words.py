"""How well aligned words fit: by hand, and millisecond by millisecond."""

import numpy as np
import pytest

from foresay.statistics.aligned_words import fit, uniform


def test_by_hand() -> None:
    true = np.array([[0.0, 1.0], [1.5, 2.0]])
    for found, error, inside in [(true, 0, 1), (true + 5, 5, 0), (np.array([[0.0, 1.6], [1.6, 2.0]]), 0.175, 1.4 / 1.5)]:
        compared = fit(found, true)
        assert (compared.error, compared.inside) == pytest.approx((error, inside))
        np.testing.assert_allclose(compared.errors, np.abs(found - true))


def test_the_share_is_that_of_all_milliseconds() -> None:
    random = np.random.default_rng(0)
    true, found = (np.sort(random.integers(0, 1000, 12)).reshape(6, 2) / 1000 for _ in range(2))
    ticks = np.arange(1000)[:, None] / 1000 + 0.0005
    inside = ((true[:, 0] < ticks) & (ticks < true[:, 1])), ((found[:, 0] < ticks) & (ticks < found[:, 1]))
    assert fit(found, true).inside == pytest.approx((inside[0] & inside[1]).sum() / inside[0].sum())
    assert fit(found, true).error == pytest.approx(np.abs(found - true).mean())


def test_uniform_words_are_as_long_as_their_letters() -> None:
    np.testing.assert_allclose(uniform(["a", "cat", "sat"], 14.0), [[0, 2], [2, 8], [8, 14]])
