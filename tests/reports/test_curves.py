"""Learning curves: long ones are averaged, gaps and all."""

import numpy as np

from foresay.reports.curves import POINTS, thinned


def test_a_short_curve_is_drawn_as_it_is() -> None:
    steps, values = np.arange(POINTS), np.random.default_rng(0).standard_normal(POINTS)
    thin_steps, means, ranges = thinned(steps, values)
    np.testing.assert_array_equal(thin_steps, steps)
    np.testing.assert_array_equal(means, values)
    np.testing.assert_array_equal(ranges, [values, values])


def test_a_long_curve_is_averaged_and_keeps_its_range() -> None:
    steps = np.arange(10 * POINTS, dtype=np.float64)
    values = np.random.default_rng(0).standard_normal(10 * POINTS)
    thin_steps, means, (low, high) = thinned(steps, values)
    blocks = values.reshape(POINTS, 10)
    np.testing.assert_allclose(thin_steps, steps.reshape(POINTS, 10).mean(axis=1))
    np.testing.assert_allclose(means, blocks.mean(axis=1))
    np.testing.assert_array_equal(low, blocks.min(axis=1))
    np.testing.assert_array_equal(high, blocks.max(axis=1))


def test_gaps_of_a_long_curve_are_passed_over() -> None:
    values = np.ones(2 * POINTS)
    values[100:150] = np.nan
    _, means, ranges = thinned(np.arange(2.0 * POINTS), values)
    np.testing.assert_array_equal(means, np.ones(POINTS))
    np.testing.assert_array_equal(ranges, np.ones((2, POINTS)))
