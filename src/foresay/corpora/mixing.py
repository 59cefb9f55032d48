"""Mixing: over part of some utterances lies another utterance of their batch, or noise. What a model must tell of them stays the same.

    utterance   |==============================|     one in five (`data.mix`)
    another          |##########|                    up to half as long; from 5 dB louder to 5 dB softer (noise: to 20 dB)
    heard       |====|#=#=#=#=#=|==============|

The denoising of WavLM (arXiv:2110.13900), as the code of its sister UniSpeech-SAT does it, which was released. There each device mixes what
it happens to hold; here a partner is drawn from the whole batch by the utterance's key, and mixing is the same on any number of devices.
Noise is a stretch of a recording as long as the utterance, repeated if need be; there it is a whole recording.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from foresay import draws
from foresay.audio.augment import NoiseSource
from foresay.audio.read import Waveform

Listener: TypeAlias = Callable[[int], Waveform]
"""Hears what stands at a place of a batch: (S,) samples."""

SPEECH_SNR = (-5.0, 5.0)
NOISE_SNR = (-5.0, 20.0)
"""dB, between the mean powers of both as wholes; each is as likely."""


class Mixer:
    """Lays other sounds over utterances."""

    def __init__(self, share: float, noise_share: float, sample_rate: int, noise: NoiseSource) -> None:
        """`share` of the utterances are mixed, and `noise_share` of these with noise instead of with another utterance."""
        self._share, self._noise_share, self._sample_rate, self._noise = share, noise_share, sample_rate, noise

    def listener(self, keys: npt.NDArray[np.int64], clean: Listener) -> Listener:
        """Make what hears a batch mixed, place by place; `keys` (B,) are those of the whole batch, and `clean` hears it as it is.

        As in the released code the utterances are mixed one after the other: a later one is given an earlier one as that is by then,
        mixed or not. It may be given itself.
        """
        done: dict[int, Waveform] = {}

        def heard(place: int) -> Waveform:
            if place not in done:
                done[place] = mix(place)
            return done[place]

        def mix(place: int) -> Waveform:
            rng = draws.stream("mixture", int(keys[place]))
            waveform = clean(place)
            if rng.random() >= self._share:
                return waveform
            if rng.random() < self._noise_share:
                return lay_over(waveform, self._noise(len(waveform), self._sample_rate, rng), NOISE_SNR, rng)
            partner = int(rng.integers(len(keys)))
            return lay_over(waveform, heard(partner) if partner < place else clean(partner), SPEECH_SNR, rng)

        return heard


def lay_over(waveform: Waveform, other: Waveform, snr: tuple[float, float], rng: np.random.Generator) -> Waveform:
    """Lay a stretch of `other` (N,) over (S,) samples: up to half of them, from anywhere to anywhere. Silence is laid over nothing."""
    length = min(int(rng.integers(len(waveform) // 2 + 1)), len(other))
    source, target = int(rng.integers(len(other) - length + 1)), int(rng.integers(len(waveform) - length + 1))
    decibels = rng.uniform(*snr)
    power = _power(other)
    if power == 0:
        return waveform
    gain = np.sqrt(_power(waveform) / power) * 10 ** (-decibels / 20)
    mixed = waveform.copy()
    mixed[target : target + length] += np.float32(gain) * other[source : source + length]
    return mixed


def _power(waveform: Waveform) -> float:
    return float(np.mean(np.square(waveform, dtype=np.float64)))
