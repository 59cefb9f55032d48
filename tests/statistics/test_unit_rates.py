"""Bits and durations of units, beside those that loops find."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foresay.statistics.intervals import draw_utterances
from foresay.statistics.unit_rates import FRAMES, MERGED, WITH_DURATIONS, merged_runs, rate_units
from reference.unit_loops import rates


def _recordings(seed: int, count: int, clusters: int) -> list[NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    return [np.repeat(random.integers(clusters, size=20), random.integers(1, 6, size=20)) for _ in range(count)]


@pytest.mark.parametrize("clusters, frame_rate", [(4, 50.0), (100, 100.0)])
def test_rates_are_those_of_the_definitions(clusters: int, frame_rate: float) -> None:
    recordings = _recordings(clusters, 8, clusters)
    found = rate_units([units.astype(np.uint16) for units in recordings], clusters, frame_rate)
    expected = rates([units.tolist() for units in recordings], clusters, frame_rate)
    assert {key: number.value for key, number in found.items()} == pytest.approx(expected)
    for (of, metric), number in found.items():
        if (of, metric) in {(FRAMES, "bit rate by log2 K"), (FRAMES, "share of units used")}:
            assert number.interval is None
        else:
            low, high = number.interval or (np.nan, np.nan)
            assert low <= number.value <= high, metric


def test_drawn_rates_are_those_of_the_drawn_recordings() -> None:
    recordings = _recordings(0, 6, 4)
    found = rate_units(recordings, 4, 50.0)
    for draw, times in enumerate(draw_utterances(6, 0)[:3].astype(int).tolist()):
        drawn = [units.tolist() for units, often in zip(recordings, times, strict=True) for _ in range(often)]
        for key, expected in rates(drawn, 4, 50.0).items():
            draws = found[key].draws
            assert draws is None or draws[draw] == pytest.approx(expected), key


def test_alike_units_of_one_frame_take_the_same_bits_merged() -> None:
    """Where no unit lasts more than a frame there is nothing to merge; durations are all 1, and take no bits."""
    found = rate_units([np.arange(16) for _ in range(5)], 16, 50.0)
    every = 50.0 * 4
    for of in (FRAMES, MERGED, WITH_DURATIONS):
        for metric in ("bit rate by entropy", "bit rate by log2 K"):
            assert found[of, metric].value == pytest.approx(every)
    assert found[FRAMES, "effective units"].value == pytest.approx(16)


def test_a_recording_of_one_unit_and_one_of_none() -> None:
    found = rate_units([np.full(10, 3), np.zeros(0, np.int64)], 8, 100.0)
    assert found[FRAMES, "bit rate by entropy"].value == 0
    assert found[MERGED, "units per second"].value == pytest.approx(10.0)
    assert found[MERGED, "mean duration"].value == pytest.approx(100.0)
    assert found[FRAMES, "share of units used"].value == 1 / 8


@given(st.lists(st.integers(0, 3)))
def test_repeating_inverts_merging(units: list[int]) -> None:
    kept, durations = merged_runs(np.array(units, np.int64))
    assert np.repeat(kept, durations).tolist() == units
    assert (np.diff(kept) != 0).all()
    assert (durations > 0).all()
