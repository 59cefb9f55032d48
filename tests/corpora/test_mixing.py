"""Mixing against a loop that changes a batch in place, what is drawn how often, and at which SNR."""

import numpy as np
import numpy.typing as npt
import pytest

from foresay import draws
from foresay.corpora.mixing import NOISE_SNR, SPEECH_SNR, Mixer, add_at_random

RATE = 1000
Waves = npt.NDArray[np.float32]


def hiss(count: int, sample_rate: int, rng: np.random.Generator) -> Waves:
    """Noise that is distinguished from speech by its sign."""
    assert sample_rate == RATE
    return -np.abs(rng.standard_normal(count)).astype(np.float32)


def speech(utterances: int, samples: int, seed: int = 0) -> Waves:
    """Positive numbers, each of which occurs once."""
    rng = np.random.default_rng(seed)
    return (0.1 + rng.random((utterances, samples)) * rng.uniform(0.1, 2, (utterances, 1))).astype(np.float32)


def in_place(batch: Waves, keys: npt.NDArray[np.int64], share: float, noise_share: float) -> Waves:
    """Mix row after row in place, as the published code does; random numbers are drawn in the order of ours."""
    mixed = batch.copy()
    total, samples = batch.shape
    for i in range(total):
        rng = draws.stream("mixture", int(keys[i]))
        if rng.random() >= share:
            continue
        noisy = rng.random() < noise_share
        other = hiss(samples, RATE, rng) if noisy else mixed[rng.integers(total)].copy()
        count = rng.integers(samples // 2 + 1)
        begin, at = rng.integers(samples - count + 1), rng.integers(samples - count + 1)
        snr = rng.uniform(-5, 20) if noisy else rng.uniform(-5, 5)
        reference = sum(float(x) ** 2 for x in mixed[i]) / samples
        power = sum(float(x) ** 2 for x in other) / samples
        scale = (reference / (power * 10 ** (snr / 10))) ** 0.5
        for t in range(count):
            mixed[i, at + t] += scale * other[begin + t]
    return mixed


def mixed(batch: Waves, keys: npt.NDArray[np.int64], share: float, noise_share: float, order: list[int] | None = None) -> Waves:
    mixed = Mixer(share, noise_share, RATE, hiss).reader(keys, lambda place: batch[place])
    rows = {place: mixed(place) for place in order or range(len(batch))}
    return np.stack([rows[place] for place in range(len(batch))])


@pytest.mark.parametrize("share, noise_share", [(0.2, 0.1), (1.0, 0.0), (1.0, 1.0), (0.7, 0.5), (0.0, 0.5)])
def test_a_batch_is_mixed_as_by_a_loop_in_place(share: float, noise_share: float) -> None:
    for seed in range(5):
        batch, keys = speech(12, 60, seed), np.random.default_rng(seed).integers(2**62, size=12)
        np.testing.assert_allclose(mixed(batch, keys, share, noise_share), in_place(batch, keys, share, noise_share), rtol=2e-5)


def test_it_does_not_matter_which_place_is_read_first_or_alone() -> None:
    batch, keys = speech(12, 60), np.arange(12)
    before = batch.copy()
    whole = mixed(batch, keys, 0.8, 0.3)
    assert np.array_equal(mixed(batch, keys, 0.8, 0.3, order=list(reversed(range(12)))), whole)
    for place in range(12):
        alone = Mixer(0.8, 0.3, RATE, hiss).reader(keys, lambda other: batch[other])(place)
        assert np.array_equal(alone, whole[place])
    assert np.array_equal(batch, before)


def test_other_keys_mix_otherwise() -> None:
    batch = speech(20, 60)
    assert not np.array_equal(mixed(batch, np.arange(20), 0.5, 0.1), mixed(batch, np.arange(20) + 100, 0.5, 0.1))


def test_as_many_are_mixed_as_the_paper_says() -> None:
    """One in five, of these one in ten with noise, up to half of each; but for stretches of no samples, one in 51."""
    count = 4000
    batch = speech(count, 100)
    added = mixed(batch, np.arange(count), 0.2, 0.1) - batch
    spoken, noisy = (added > 0).any(1), (added < 0).any(1)
    assert not (spoken & noisy & (np.abs(added) > 0).all(1)).any()
    changed = (spoken | noisy).sum() / count
    assert changed == pytest.approx(0.2 * 50 / 51, abs=0.02)  # three standard deviations
    assert noisy.sum() / count == pytest.approx(0.02 * 50 / 51, abs=0.0075)
    lengths = (added != 0).sum(1)[spoken | noisy]
    assert 48 <= lengths.max() <= 50
    assert lengths.mean() == pytest.approx(25.5, abs=1.7)
    begins = (added != 0).argmax(1)[spoken | noisy]
    assert begins.min() < 3
    assert (begins + lengths).max() > 97


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
def test_the_snr_is_that_of_the_wholes(snr: float) -> None:
    rng = np.random.default_rng(0)
    waveform, other = (rng.standard_normal(1000).astype(np.float32) * loud for loud in (0.2, 3.0))
    found = add_at_random(waveform, other, (snr, snr), rng)
    stretch = np.flatnonzero(found != waveform)
    added = (found - waveform)[stretch[0] : stretch[-1] + 1]
    fits = [np.dot(added, other[at : at + len(added)]) for at in range(1000 - len(added) + 1)]
    source = other[int(np.argmax(fits)) :][: len(added)]
    gain = np.dot(added, source) / np.dot(source, source)
    np.testing.assert_allclose(added, gain * source, atol=1e-5)
    assert 10 * np.log10(np.mean(waveform**2) / np.mean((gain * other) ** 2)) == pytest.approx(snr, abs=1e-3)


def test_golden_ranges() -> None:
    assert (SPEECH_SNR, NOISE_SNR) == ((-5.0, 5.0), (-5.0, 20.0))


def test_silence_is_not_added_and_nothing_is_added_to_silence() -> None:
    rng = np.random.default_rng(0)
    sound, silence = np.ones(50, np.float32), np.zeros(50, np.float32)
    for _ in range(10):
        assert np.array_equal(add_at_random(sound, silence, SPEECH_SNR, rng), sound)
        assert np.array_equal(add_at_random(silence, sound, SPEECH_SNR, rng), silence)
    assert len(add_at_random(sound[:1], sound, SPEECH_SNR, rng)) == 1


def test_a_short_other_is_added_as_far_as_it_goes() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = add_at_random(np.zeros(100, np.float32) + 1, np.ones(3, np.float32), SPEECH_SNR, rng)
        assert (found != 1).sum() <= 3
