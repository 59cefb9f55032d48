"""Rooms and noise: laws of what they are asked to be."""

import numpy as np
import pytest
from scipy.fft import next_fast_len
from scipy.signal import welch

from foresay.audio.room import NOISES, Noise, add_noise, draw_noise, fast_length, reverberate, room_response

RATE = 16000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def decibels(power: float) -> float:
    return 10 * np.log10(power)


@pytest.mark.parametrize("rt60", [0.1, 0.25, 0.4])
def test_the_echo_decays_as_asked(rt60: float) -> None:
    """Schroeder's backward integration: the slope from -5 to -25 dB, as in ISO 3382, gives back the RT60."""
    measured = []
    for seed in range(20):
        echo = room_response(rt60, 6.0, RATE, rng(seed))[1:].astype(np.float64)
        left = np.cumsum(echo[::-1] ** 2)[::-1]
        curve = 10 * np.log10(left / left[0])
        span = np.flatnonzero((curve < -5) & (curve > -25))
        slope = np.polyfit(span / RATE, curve[span], 1)[0]
        measured.append(-60 / slope)
    assert np.mean(measured) == pytest.approx(rt60, rel=0.05)


@pytest.mark.parametrize("direct_to_echo", [3.0, 12.0])
def test_the_direct_sound_comes_first_and_is_as_strong_as_asked(direct_to_echo: float) -> None:
    response = room_response(0.3, direct_to_echo, RATE, rng())
    assert response.shape == (4800,)
    assert response[0] == 1
    assert not response[1:32].any()
    assert -decibels(np.square(response[1:], dtype=np.float64).sum()) == pytest.approx(direct_to_echo, abs=1e-3)


def test_a_room_does_not_shift_the_sound() -> None:
    speech = rng().standard_normal(RATE).astype(np.float32)
    wet = reverberate(speech, room_response(0.4, 3.0, RATE, rng(1)))
    assert wet.shape == speech.shape
    correlation = np.correlate(wet, speech[200:-200], mode="valid")  # shifts -200 … 200
    assert np.argmax(np.abs(correlation)) == 200


def test_reverberation_is_a_convolution() -> None:
    speech, response = np.array([1, 2, 0, -1], dtype=np.float32), np.array([1, 0, 0.5], dtype=np.float32)
    assert reverberate(speech, response) == pytest.approx([1, 2, 0.5, 0], abs=1e-6)


@pytest.mark.parametrize("snr", [15.0, 30.0])
@pytest.mark.parametrize("kind", NOISES)
def test_the_signal_to_noise_ratio_is_as_asked(kind: Noise, snr: float) -> None:
    speech = 0.1 * rng().standard_normal(RATE).astype(np.float32)
    noise = add_noise(speech, draw_noise(kind, RATE, RATE, rng(1)), snr).astype(np.float64) - speech
    assert decibels(np.square(speech.astype(np.float64)).mean() / np.square(noise).mean()) == pytest.approx(snr, abs=0.01)


def test_the_signal_to_noise_ratio_of_a_known_case() -> None:
    noisy = add_noise(np.array([2, -2], dtype=np.float32), np.array([1, 1], dtype=np.float32), 20.0)
    assert noisy == pytest.approx([2.2, -1.8])


@pytest.mark.parametrize("kind, slope, low, high", [("white", 0, 50, 7000), ("pink", -3, 50, 7000), ("babble", -9, 1000, 7000)])
def test_the_spectrum_falls_as_asked(kind: Noise, slope: float, low: float, high: float) -> None:
    noise = draw_noise(kind, 20 * RATE, RATE, rng())
    assert np.square(noise, dtype=np.float64).mean() == pytest.approx(1, abs=1e-4)
    frequencies, power = welch(noise, RATE, nperseg=4096)
    band = (frequencies > low) & (frequencies < high)
    fitted = np.polyfit(np.log2(frequencies[band]), 10 * np.log10(power[band]), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.3)


def test_babble_swells_and_ebbs() -> None:
    swells = {}
    for kind in NOISES:
        power = np.square(draw_noise(kind, 20 * RATE, RATE, rng())).reshape(-1, RATE // 10).mean(axis=1)
        swells[kind] = power.std() / power.mean()
    assert swells["babble"] > 2 * swells["white"]


def test_the_same_seed_gives_the_same_room() -> None:
    assert np.array_equal(room_response(0.2, 6.0, RATE, rng(3)), room_response(0.2, 6.0, RATE, rng(3)))
    assert np.array_equal(draw_noise("babble", 1001, RATE, rng(3)), draw_noise("babble", 1001, RATE, rng(3)))


def test_fast_lengths_are_scipys() -> None:
    counts = [*range(1, 500), 20_480, 33_281, 1_234_567]
    assert [fast_length(count) for count in counts] == [next_fast_len(count, real=True) for count in counts]
