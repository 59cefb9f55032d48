"""Diarization error rate against a grid of milliseconds on which every mapping is tried, by hand, and by its laws."""

import numpy as np
import pytest
from scipy.signal import medfilt

from foresay.statistics.diarization_error import (
    DiarizationErrors,
    Turn,
    active_speakers,
    errors_of_frames,
    errors_of_turns,
    turns_of_frames,
)
from reference.diarization_grid import all_counts


def draw(random: np.random.Generator, speakers: str, most: int = 5) -> list[tuple[int, int, str]]:
    """Turns of some milliseconds, which may overlap, also those of one speaker."""
    starts = random.integers(0, 60, size=random.integers(0, most + 1))
    return [(int(start), int(start + random.integers(1, 25)), str(random.choice(list(speakers)))) for start in starts]


def seconds(turns: list[tuple[int, int, str]]) -> list[Turn]:
    return [(start / 1000, end / 1000, speaker) for start, end, speaker in turns]


@pytest.mark.parametrize("collar, overlaps", [(0, True), (0, False), (4, True), (4, False)])
def test_equals_every_mapping_tried_on_a_grid(collar: int, *, overlaps: bool) -> None:
    random = np.random.default_rng(collar)
    for _ in range(40):
        reference, hypothesis = draw(random, "ab"), draw(random, random.choice(["xy", "xyz"]))
        found = errors_of_turns(seconds(reference), seconds(hypothesis), collar=collar / 1000, overlaps=overlaps)
        possible = all_counts(reference, hypothesis, collar, overlaps=overlaps)
        assert any(np.allclose(np.array(found) * 1000, one, atol=1e-6) for one in possible)


def test_by_hand() -> None:
    reference = [(0.0, 4.0, "Ann"), (3.0, 6.0, "Bob")]
    hypothesis = [(0.0, 2.0, "x"), (2.0, 7.0, "y")]
    # y is Bob: of 0 to 2 all is right; from 2 to 3 Ann is taken for Bob; from 3 to 4 Ann is missed; from 6 to 7 nobody speaks.
    found = errors_of_turns(reference, hypothesis, collar=0.0, overlaps=True)
    assert found == DiarizationErrors(missed=1.0, false_alarm=1.0, confused=1.0, speech=7.0)
    assert found.errors / found.speech == 3 / 7
    # Half a second around 0, 3, 4 and 6 is not scored: nothing is left of the overlap.
    assert errors_of_turns(reference, hypothesis, collar=0.5, overlaps=True) == (0.0, 0.5, 0.5, 3.0)
    assert errors_of_turns(reference, hypothesis, collar=0.0, overlaps=False) == (0.0, 1.0, 1.0, 5.0)


def test_the_mapping_is_that_of_the_whole_recording() -> None:
    """As md-eval: x has more in common with Ann, though all of that lies in the collar."""
    reference = [(0.0, 3.0, "Ann"), (3.0, 4.0, "Ann"), (10.0, 14.0, "Bob")]
    hypothesis = [(1.5, 4.0, "x"), (11.0, 13.0, "x")]
    assert errors_of_turns(reference, hypothesis, collar=1.0, overlaps=True).confused == 2.0


def test_names_change_nothing_and_a_perfect_hypothesis_has_no_errors() -> None:
    random = np.random.default_rng(1)
    reference, hypothesis = seconds(draw(random, "abc", 8)), seconds(draw(random, "xyz", 8))
    names = dict(zip("abcxyz", "zqyabc", strict=True))
    renamed = [[(start, end, names[speaker]) for start, end, speaker in turns] for turns in (reference, hypothesis)]
    for collar in (0.0, 0.003):
        found = errors_of_turns(reference, hypothesis, collar=collar, overlaps=True)
        assert found == pytest.approx(errors_of_turns(*renamed, collar=collar, overlaps=True))
        assert errors_of_turns(reference, renamed[0], collar=collar, overlaps=True).errors == 0


def test_nothing_said_misses_everything_and_nothing_there_is_false_alarm() -> None:
    turns = [(0.0, 4.0, "Ann"), (3.0, 6.0, "Bob")]
    assert errors_of_turns(turns, [], collar=0.0, overlaps=True) == (7.0, 0.0, 0.0, 7.0)
    assert errors_of_turns([], turns, collar=0.0, overlaps=True) == (0.0, 7.0, 0.0, 0.0)
    assert errors_of_turns([], [], collar=0.0, overlaps=True) == (0.0, 0.0, 0.0, 0.0)


def test_one_speaker_who_overlaps_himself_speaks_once() -> None:
    assert errors_of_turns([(0.0, 2.0, "Ann"), (1.0, 3.0, "Ann")], [], collar=0.0, overlaps=True).speech == 3.0


def test_frames_are_turns_of_one_frame() -> None:
    random = np.random.default_rng(2)
    for speakers in (1, 2, 3):
        reference, hypothesis = random.random((50, 2)) < 0.4, random.random((50, speakers)) < 0.4
        by_turns = errors_of_turns(turns_of_frames(reference, 0.5), turns_of_frames(hypothesis, 0.5), collar=0.0, overlaps=True)
        assert 0.5 * np.array(errors_of_frames(reference, hypothesis)) == pytest.approx(np.array(by_turns))


def test_frames_by_hand() -> None:
    reference, hypothesis = np.array([[1, 0], [1, 1], [0, 1], [0, 0]]), np.array([[0, 1], [0, 1], [0, 1], [1, 1]])
    assert errors_of_frames(reference == 1, hypothesis == 1) == (1.0, 2.0, 1.0, 4.0)


def test_turns_of_frames() -> None:
    active = np.array([[1, 0], [1, 0], [0, 1], [1, 1]]) == 1
    assert turns_of_frames(active, 0.02) == [(0.0, 0.04, "1"), (0.06, 0.08, "1"), (0.04, 0.08, "2")]


@pytest.mark.parametrize("median", [1, 3, 11])
def test_the_filter_is_that_of_the_reference_code(median: int) -> None:
    posteriors = np.random.default_rng(3).random((2, 40, 3))
    found = active_speakers(posteriors, threshold=0.4, median=median)
    for one, expected in zip(found, posteriors, strict=True):
        np.testing.assert_array_equal(one, medfilt(np.where(expected > 0.4, 1.0, 0.0), (median, 1)) > 0)


def test_a_probability_equal_to_the_threshold_is_not_above_it() -> None:
    assert active_speakers(np.array([[0.5, 0.6]]), threshold=0.5, median=1).tolist() == [[False, True]]
