"""Errors of pitch: against counting by hand, and the laws between them."""

import math

import numpy as np
import pytest

from foresay.statistics.pitch_errors import PitchErrors, count_pitch_errors


def test_every_kind_of_frame_is_counted_as_it_is() -> None:
    reference = [0.0, 0.0, 100.0, 200.0, 200.0, 200.0, 200.0]
    pitch = [0.0, 150.0, 0.0, 200.0, 241.0, 159.0, 239.0]
    found = count_pitch_errors(reference, pitch)
    assert (found.frames, found.voiced, found.voicing, found.gross) == (7, 4, 2, 2)
    assert (found.vde, found.gpe, found.ffe) == (2 / 7, 0.5, 4 / 7)
    cents = [1200 * math.log2(other / 200) for other in (200, 241, 159, 239)]
    assert found.rmse == pytest.approx(math.sqrt(sum(one**2 for one in cents) / 4))


def test_an_octave_is_1200_cents_either_way() -> None:
    for ratio in (0.5, 2.0):
        found = count_pitch_errors([100.0], [100.0 * ratio])
        assert found.rmse == pytest.approx(1200)
        assert found.gpe == 1


def test_pitch_has_no_errors_against_itself_and_one_limit_is_not_gross() -> None:
    pitch = np.array([0.0, 80.0, 400.0])
    assert count_pitch_errors(pitch, pitch) == PitchErrors(3, 2, 0, 0, 0.0)
    assert count_pitch_errors([100.0], [119.9]).gross == 0


def test_where_nothing_is_voiced_there_is_no_error_of_pitch() -> None:
    found = count_pitch_errors([0.0, 100.0], [0.0, 0.0])
    assert (found.vde, found.ffe) == (0.5, 0.5)
    assert math.isnan(found.gpe)
    assert math.isnan(found.rmse)


def test_the_reference_is_what_shares_are_of() -> None:
    assert count_pitch_errors([100.0], [121.0]).gross == 1
    assert count_pitch_errors([121.0], [100.0]).gross == 0


def test_frames_must_stand_beside_each_other() -> None:
    with pytest.raises(ValueError, match=r"have \(3,\) and \(2,\) frames"):
        count_pitch_errors([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="frame by frame"):
        count_pitch_errors([[1.0]], [[1.0]])
