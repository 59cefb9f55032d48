"""Utterance mixing (WavLM): another utterance of the batch, or noise, is added to a part of some utterances. Their targets stay the same.

    utterance   |==============================|     one in five (`data.mix`)
    another          |##########|                    up to half as long; from 5 dB louder to 5 dB softer (noise: to 20 dB)
    mixed       |====|#=#=#=#=#=|==============|

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

Reader: TypeAlias = Callable[[int], Waveform]
"""Reads the utterance at a place of a batch: (S,) samples."""

SPEECH_SNR = (-5.0, 5.0)
NOISE_SNR = (-5.0, 20.0)
"""dB, between the mean powers of both as wholes; each is as likely."""


class Mixer:
    """Mixes utterances with others of the batch, or with noise."""

    def __init__(self, share: float, noise_share: float, sample_rate: int, noise: NoiseSource) -> None:
        """`share` of the utterances are mixed, and `noise_share` of these with noise instead of with another utterance."""
        self._share, self._noise_share, self._sample_rate, self._noise = share, noise_share, sample_rate, noise

    def reader(self, keys: npt.NDArray[np.int64], clean: Reader) -> Reader:
        """Make a reader of the mixed batch, place by place; `keys` (B,) are those of the whole batch, and `clean` reads it unmixed.

        As in the released code the utterances are mixed one after the other: a later one is given an earlier one as that is by then,
        mixed or not. It may be given itself.
        """
        done: dict[int, Waveform] = {}

        def read(place: int) -> Waveform:
            if place not in done:
                done[place] = mix(place)
            return done[place]

        def mix(place: int) -> Waveform:
            rng = draws.stream("mixture", int(keys[place]))
            waveform = clean(place)
            if rng.random() >= self._share:
                return waveform
            if rng.random() < self._noise_share:
                return add_at_random(waveform, self._noise(len(waveform), self._sample_rate, rng), NOISE_SNR, rng)
            partner = int(rng.integers(len(keys)))
            return add_at_random(waveform, read(partner) if partner < place else clean(partner), SPEECH_SNR, rng)

        return read


def add_at_random(waveform: Waveform, other: Waveform, snr: tuple[float, float], rng: np.random.Generator) -> Waveform:
    """Add a segment of `other` (N,) to (S,) samples: at most half of them, at a random place. Silence is not mixed."""
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
