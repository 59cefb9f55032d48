"""Augmentation: each effect does what its name says, and nothing else."""

from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import welch

from foresay.audio.augment import (
    Augmentation,
    Effect,
    disturb,
    drop_band,
    drop_time,
    generated_noise,
    keep_band,
    move_to_a_room,
    vary_gain,
    vary_pitch,
)
from foresay.errors import UserError

RATE = 16_000
EFFECTS: tuple[Effect, ...] = get_args(Effect)
Samples = npt.NDArray[np.float32]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def murmur(seconds: float = 1.28, seed: int = 99) -> Samples:
    """Noise that swells and ebbs, with power at all frequencies."""
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.1 * rng(seed).standard_normal(len(times)) * (1.2 + np.sin(2 * np.pi * 3 * times))).astype(np.float32)


def power(samples: Samples) -> float:
    return float(np.square(samples, dtype=np.float64).mean())


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("rate, length", [(16_000, 20_480), (8000, 10_240), (16_000, 3000), (16_000, 7)])
def test_the_length_stays_and_the_same_seed_gives_the_same(effect: Effect, rate: int, length: int) -> None:
    speech = murmur()[:length]
    given = speech.copy()
    augment = Augmentation([effect], rate)
    versions = [augment(speech, rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(speech, given)
    assert all(v.shape == (length,) and v.dtype == np.float32 and np.isfinite(v).all() for v in versions)
    assert np.array_equal(versions[0], versions[1])
    if length > 3000:
        assert not np.array_equal(versions[0], versions[2])
        assert not np.array_equal(versions[0], speech)


@pytest.mark.parametrize("effect", EFFECTS)
def test_silence_stays_silent(effect: Effect) -> None:
    assert not Augmentation([effect], RATE)(np.zeros(5000, dtype=np.float32), rng()).any()


@pytest.mark.parametrize("effect", [effect for effect in EFFECTS if effect != "pitch"])  # whose times test_pitch.py measures
def test_nothing_moves_in_time(effect: Effect) -> None:
    """The augmented speech correlates most with the original at a shift of 0 samples."""
    for seed in range(10):
        said = murmur(seed=seed)
        augmented = Augmentation([effect], RATE)(said, rng(seed))
        assert np.argmax(np.abs(np.correlate(augmented, said[500:-500], mode="valid"))) == 500


def test_a_room_lets_the_sound_begin_when_it_began() -> None:
    for seed in range(10):
        said = murmur(seed=seed)
        said[:5000] = 0
        augmented = move_to_a_room(said, RATE, rng(seed))
        assert np.abs(augmented[:5000]).max() < 1e-6
        assert augmented[5000:5030] == pytest.approx(said[5000:5030], abs=1e-6)  # the direct sound, before any echo
        assert not np.allclose(augmented[6000:], said[6000:], atol=1e-3)


def test_the_pitch_moves_by_up_to_three_semitones_both_ways() -> None:
    times = np.arange(20_480) / RATE
    tone = np.sin(2 * np.pi * 500 * times).astype(np.float32)
    found = []
    for seed in range(200):
        spectrum = np.abs(np.fft.rfft(vary_pitch(tone, RATE, rng(seed))[2000:-2000] * np.hanning(16_480), 2**17))
        found.append(1200 * np.log2(np.argmax(spectrum) * RATE / 2**17 / 500))
    assert -301 < min(found) < -280
    assert 280 < max(found) < 301
    assert np.mean(found) == pytest.approx(0, abs=4 * 173 / np.sqrt(200))


def test_noise_is_as_loud_as_asked_and_lies_where_the_pitch_lies() -> None:
    for seed in range(6):
        speech = murmur(seed=seed)
        noise = disturb(generated_noise, speech, RATE, rng(seed)) - speech
        assert 10 * np.log10(power(speech) / power(noise)) == pytest.approx(15, abs=0.01)
        frequencies, density = welch(noise, RATE, nperseg=4096)
        outside = density[(frequencies < 50) | (frequencies > 270)].sum()
        assert outside < 0.02 * density.sum()


def test_noise_comes_from_the_source_that_is_given() -> None:
    asked = []

    def hum(count: int, sample_rate: int, draws: np.random.Generator) -> Samples:
        asked.append((count, sample_rate))
        return np.sin(2 * np.pi * 100 * np.arange(count) / sample_rate + draws.uniform(0, 6)).astype(np.float32)

    speech = murmur()
    noise = Augmentation(["noise"], RATE, hum)(speech, rng()) - speech
    assert asked == [(20_480, RATE)]
    spectrum = np.abs(np.fft.rfft(noise[:16_000]))
    assert np.argmax(spectrum) == 100


def test_noise_without_any_sound_changes_nothing() -> None:
    speech = murmur()
    silent = Augmentation(["noise"], RATE, lambda count, _rate, _draws: np.zeros(count, dtype=np.float32))
    assert np.array_equal(silent(speech, rng()), speech)


def test_a_band_and_the_rest_make_the_whole() -> None:
    """What lies in the band is kept to a thousandth; 20 Hz beyond nothing is left, nor is a tone shifted."""
    times = np.arange(20_480) / RATE
    for frequency, kept in [(1000, 1), (1100, 1), (1500, 1), (960, 0), (1540, 0), (100, 0), (7900, 0)]:
        tone = (np.hanning(20_480) * np.sin(2 * np.pi * frequency * times)).astype(np.float32)
        assert keep_band(tone, 990, 1510, RATE) == pytest.approx(kept * tone, abs=1e-3)


def test_a_rejected_band_is_gone_and_no_wider_than_specaugments() -> None:
    """On white noise: what is missing is one band, of at most 27 of 256 parts of the mel scale, and the rest is as it was."""
    places = []
    for seed in range(40):
        noise = (0.1 * rng(seed).standard_normal(4 * RATE)).astype(np.float32)
        before, after = (np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2 for x in (noise, drop_band(noise, RATE, rng(seed))))
        before, after = (x[:-1].reshape(-1, 40).sum(axis=1) for x in (before, after))  # bands of 10 Hz
        gone = np.flatnonzero(after < 0.5 * before) * 10 + 5.0
        touched = np.abs(after / before - 1) > 0.01
        if len(gone):
            assert np.ptp(gone) == 10 * (len(gone) - 1)  # one band, without holes
            low, high = gone[0] - 50, gone[-1] + 50
            centers = np.arange(len(touched)) * 10 + 5.0
            assert not touched[(centers < low) | (centers > high)].any()
            widths = 2595 * np.log10(1 + np.array([max(gone[0], 25), gone[-1]]) / 700)
            assert np.diff(widths)[0] < 27 / 256 * 2840 + 45
            places.append(np.mean(gone))
    assert min(places) < 1000
    assert max(places) > 4000


def test_one_stretch_is_dropped_and_no_more() -> None:
    speech = np.ones(20_480, dtype=np.float32)
    lengths, starts = [], []
    for seed in range(500):
        silent = np.flatnonzero(drop_time(speech, RATE, rng(seed)) == 0)
        lengths.append(len(silent))
        if len(silent):
            assert np.ptp(silent) == len(silent) - 1
            starts.append(silent[0])
    assert max(lengths) <= 1600
    assert np.mean(lengths) == pytest.approx(800, abs=4 * 462 / np.sqrt(500))
    assert min(starts) < 500
    assert max(starts) > 18_000


def test_the_gain_is_a_factor_of_up_to_15_decibels_both_ways() -> None:
    said, decibels = murmur(), []
    for seed in range(200):
        factors = vary_gain(said, RATE, rng(seed)) / said
        assert factors.min() == pytest.approx(factors.max(), rel=1e-5)
        decibels.append(20 * np.log10(factors.mean()))
    assert -15 <= min(decibels) < -14.5
    assert 14.5 < max(decibels) <= 15
    assert np.mean(decibels) == pytest.approx(0, abs=4 * 8.7 / np.sqrt(200))


def test_effects_follow_one_another() -> None:
    speech = murmur()
    one, draws = speech, rng(3)
    for effect in (vary_pitch, drop_time):
        one = effect(one, RATE, draws)
    assert np.array_equal(Augmentation(["pitch", "time-dropout"], RATE)(speech, rng(3)), one)
    assert not np.array_equal(Augmentation(["time-dropout", "pitch"], RATE)(speech, rng(3)), one)


def test_without_effects_a_waveform_stays_itself() -> None:
    speech = murmur()
    assert Augmentation([], RATE)(speech, rng()) is speech


def test_an_unknown_effect_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="no effect 'bandreject': did you mean \"band-reject\""):
        Augmentation(["pitch", "bandreject"], RATE)
