"""MCD: 0 of a signal with itself, blind to loudness, and in dB of what one adds."""

import math

import numpy as np
import pytest

from foresay.statistics.mel_cepstral_distortion import COEFFICIENTS, cross_distortions, frame_distortions, mel_cepstra

BANDS = 80


def _frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, BANDS))


def _distortions(reference: np.ndarray, frames: np.ndarray) -> np.ndarray:
    return frame_distortions(mel_cepstra(reference), mel_cepstra(frames))


def test_a_signal_has_none_with_itself_however_loud() -> None:
    frames = _frames(5)
    assert not _distortions(frames, frames).any()
    np.testing.assert_allclose(_distortions(frames, frames + 3.0), 0, atol=1e-12)


def test_cepstra_are_sums_of_cosines() -> None:
    frames = _frames(2)
    angles = np.pi * (np.arange(BANDS) + 0.5) / BANDS
    expected = [[float((frame * np.cos(order * angles)).mean()) for order in range(1, COEFFICIENTS + 1)] for frame in frames]
    np.testing.assert_allclose(mel_cepstra(frames), expected)


@pytest.mark.parametrize("order", [1, COEFFICIENTS])
def test_a_ripple_of_some_decibels_is_its_root_mean_square(order: int) -> None:
    frames = _frames(3)
    decibels = 6.0 * np.cos(order * np.pi * (np.arange(BANDS) + 0.5) / BANDS)
    np.testing.assert_allclose(_distortions(frames, frames + decibels * math.log(10) / 10), 6 / math.sqrt(2))


def test_ripples_too_narrow_for_an_envelope_do_not_count() -> None:
    frames = _frames(3)
    ripple = np.cos((COEFFICIENTS + 1) * np.pi * (np.arange(BANDS) + 0.5) / BANDS)
    np.testing.assert_allclose(_distortions(frames, frames + ripple), 0, atol=1e-12)


def test_it_is_a_distance() -> None:
    one, two, three = _frames(4), _frames(4, 1), _frames(4, 2)
    between = _distortions(one, two)
    np.testing.assert_allclose(between, _distortions(two, one))
    assert (between > 0).all()
    assert (between <= _distortions(one, three) + _distortions(three, two)).all()


def test_each_with_each_has_the_frames_beside_each_other_on_its_diagonal() -> None:
    one, two = _frames(4), _frames(6, 1)
    found = cross_distortions(mel_cepstra(one), mel_cepstra(two))
    assert found.shape == (4, 6)
    np.testing.assert_allclose(np.diagonal(found), _distortions(one, two[:4]))
    np.testing.assert_allclose(found[2], _distortions(two, one[2:3]))
