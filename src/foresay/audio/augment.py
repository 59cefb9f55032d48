"""Waveform augmentation: the same speech by another voice, in another room, in noise, or with a gap.

    pitch          up or down by up to three semitones; formants move along
    noise          recorded or drawn, in the band of the human pitch, 15 dB below the speech
    reverb         a room, from a small one to a hall
    band-reject    a band of frequencies is missing
    time-dropout   a stretch of up to a tenth of a second is missing
    gain           louder or softer by up to 15 dB, as by another microphone, or farther from it

All but `gain` are the effects of CPC2 and its library WavAugment, with their strengths where the two are alike: Kharitonov et al., "Data
augmenting contrastive learning of speech representations in the time domain" (arXiv:2007.00991). Pitch, noise and reverb together helped
most, and of the past alone: the input of CPC, not its targets.
Nothing moves a sound in time, and everything is drawn from a generator that the caller gives.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from foresay.audio.pitch import shift_pitch
from foresay.audio.read import Waveform
from foresay.audio.room import NOISES, add_noise, draw_noise, fast_length, reverberate, room_response
from foresay.errors import UserError, nearest

Effect: TypeAlias = Literal["pitch", "noise", "reverb", "band-reject", "time-dropout", "gain"]
NoiseSource: TypeAlias = Callable[[int, int, np.random.Generator], Waveform]
"""Draws so many samples of noise at a sample rate, as loud as they happen to be."""

_CENTS = 300.0
_NOISE_BAND = (80.0, 240.0)  # Hz: the paper's, where the human pitch lies
_SNR = 15.0  # dB of power; the authors' code takes it for a ratio of amplitudes, and scales the noise to peaks of 1 first
_RT60 = (0.1, 0.8)  # s
_DIRECT_TO_ECHO = (0.0, 12.0)  # dB
_WIDEST_BAND = 27 / 256  # of all frequencies in mel, as SpecAugment's widest mask (arXiv:1904.08779)
_LONGEST_GAP = 0.1  # s
_GAIN = 15.0  # dB; recordings of one corpus are often within 3 dB of each other, those of another microphone are not
_EDGE = 20.0  # Hz over which a band begins and ends: a steeper one would ring


def vary_pitch(waveform: Waveform, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Shift the pitch of (S,) samples; each number of cents is as likely."""
    return shift_pitch(waveform, rng.uniform(-_CENTS, _CENTS), sample_rate)


def generated_noise(count: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Draw (count,) samples of a noise of any kind."""
    return draw_noise(NOISES[rng.integers(len(NOISES))], count, sample_rate, rng)


def disturb(noise: NoiseSource, waveform: Waveform, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Lay noise, as far as it lies in the band of the human pitch, under (S,) samples."""
    output = keep_band(noise(len(waveform), sample_rate, rng), *_NOISE_BAND, sample_rate)
    return add_noise(waveform, output, _SNR) if output.any() else waveform


def move_to_a_room(waveform: Waveform, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Play (S,) samples in a room; the direct sound stays as it is."""
    return reverberate(waveform, room_response(rng.uniform(*_RT60), rng.uniform(*_DIRECT_TO_ECHO), sample_rate, rng))


def drop_band(waveform: Waveform, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Take a band of frequencies out of (S,) samples; its width and place are uniform in mel."""
    highest = 2595 * np.log10(1 + sample_rate / 2 / 700)
    width = rng.uniform(0, highest * _WIDEST_BAND)
    mel = rng.uniform(0, highest - width)
    low, high = (700 * (10 ** (edge / 2595) - 1) for edge in (mel, mel + width))
    return waveform - keep_band(waveform, low, high, sample_rate)


def keep_band(waveform: Waveform, low: float, high: float, sample_rate: int) -> Waveform:
    """Return what (S,) samples hold from `low` to `high` Hz, without a shift in phase; beyond, it fades within 20 Hz."""
    size = fast_length(len(waveform) + round(2 / _EDGE * sample_rate))  # what rings beyond the end must not come round to the beginning
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    gains = np.interp(frequencies, [low - _EDGE, low, high, high + _EDGE], [0, 1, 1, 0]).astype(np.float32)
    kept: Waveform = np.fft.irfft(np.fft.rfft(waveform, size) * gains, size).astype(np.float32)
    return kept[: len(waveform)]


def drop_time(waveform: Waveform, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Silence one stretch of (S,) samples; its length and place are uniform."""
    length = rng.integers(min(round(_LONGEST_GAP * sample_rate), len(waveform)) + 1)
    start = rng.integers(len(waveform) - length + 1)
    dropped = waveform.copy()
    dropped[start : start + length] = 0
    return dropped


def vary_gain(waveform: Waveform, sample_rate: int, rng: np.random.Generator) -> Waveform:  # noqa: ARG001 - of any rate
    """Multiply (S,) samples by a factor; each number of decibels is as likely."""
    return waveform * np.float32(10 ** (rng.uniform(-_GAIN, _GAIN) / 20))


class Augmentation:
    """Effects, one after the other, each drawn anew for each waveform. Without effects a waveform stays itself."""

    def __init__(self, effects: Sequence[str], sample_rate: int, noise: NoiseSource = generated_noise) -> None:
        """Choose the effects; `noise` is where the effect of that name takes its noise from.

        Raises:
            UserError: there is no such effect.
        """
        known: dict[str, Callable[[Waveform, int, np.random.Generator], Waveform]] = {
            "pitch": vary_pitch,
            "noise": partial(disturb, noise),
            "reverb": move_to_a_room,
            "band-reject": drop_band,
            "time-dropout": drop_time,
            "gain": vary_gain,
        }
        for name in effects:
            if name not in known:
                msg = f"there is no effect {name!r}: {nearest(name, known)}"
                raise UserError(msg)
        self._effects = [known[name] for name in effects]
        self._sample_rate = sample_rate

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Return another version of (S,) samples."""
        for effect in self._effects:
            waveform = effect(waveform, self._sample_rate, rng)
        return waveform
