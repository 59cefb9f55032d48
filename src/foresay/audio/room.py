"""A room and its noise: what stands between a mouth and a microphone.

Everything is drawn from a random generator that the caller gives. Nothing shifts the signal: the direct sound stays where it was.
"""

from functools import cache
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Noise: TypeAlias = Literal["white", "pink", "babble"]
NOISES: tuple[Noise, ...] = get_args(Noise)

_FIRST_ECHO = 0.002  # s after the direct sound: a wall or a table 70 cm of detour away
_TALKERS = 6
_SYLLABLES = 4.0  # per second: where the modulation spectrum of speech has its peak


def room_response(rt60: float, direct_to_echo: float, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the impulse response of a small room: (rt60 * sample_rate,) samples, the direct sound, 1, at sample 0.

    The echo is Gaussian noise under an exponential decay (Polack's model of the late reverberation).

    Args:
        rt60: seconds in which the echo falls by 60 dB.
        direct_to_echo: energy of the direct sound over that of the whole echo, dB.
        sample_rate: Hz.
        rng: where the echo is drawn from.
    """
    times = np.arange(round(rt60 * sample_rate)) / sample_rate
    echo = rng.standard_normal(len(times)) * 10 ** (-3 * times / rt60)  # amplitude: 60 dB are a factor of 1000
    echo[times < _FIRST_ECHO] = 0
    echo *= 10 ** (-direct_to_echo / 20) / np.sqrt((echo**2).sum())
    echo[0] = 1
    return echo.astype(np.float32)


def reverberate(samples: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Play (S,) samples in a room; what sounds on after the end is cut off."""
    size = fast_length(len(samples) + len(response))
    output: NDArray[np.float32] = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size).astype(np.float32)
    return output[: len(samples)]


def draw_noise(kind: Noise, count: int, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw (count,) samples of noise, of mean power 1.

    `white`: equal power at every frequency; `pink`: 3 dB less per octave; `babble`: the murmur of a few talkers, each noise with the
    long-term spectrum of speech (flat to 500 Hz, then 9 dB less per octave) that swells and ebbs with the rate of syllables.
    """
    if kind == "babble":
        noise = sum(_shaped(kind, count, sample_rate, rng) * _swell(count, sample_rate, rng) for _ in range(_TALKERS))
    else:
        noise = _shaped(kind, count, sample_rate, rng)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)


def add_noise(samples: NDArray[np.float32], noise: NDArray[np.float32], snr: float) -> NDArray[np.float32]:
    """Lay (S,) noise under (S,) samples; `snr` is the ratio of their mean powers over the whole, dB."""
    gain = np.sqrt(np.mean(samples.astype(np.float64) ** 2) / np.mean(noise.astype(np.float64) ** 2)) * 10 ** (-snr / 20)
    return (samples + gain * noise).astype(np.float32)


@cache
def fast_length(count: int) -> int:
    """Return the smallest product of twos, threes and fives that is not below `count`: a length whose Fourier transform is fast.

    SciPy knows it too, but takes half a second to import, which every start would pay.
    """
    odd = (3**threes * 5**fives for threes in range(20) for fives in range(14))
    return min(size << (-(-count // size) - 1).bit_length() for size in odd)


def _shaped(kind: Noise, count: int, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian noise with the spectrum of its kind."""
    white = rng.standard_normal(fast_length(count))
    if kind == "white":
        return white[:count]
    frequencies = np.maximum(np.fft.rfftfreq(len(white), 1 / sample_rate), 20.0)  # Hz; below that nothing is audible
    amplitude = frequencies**-0.5 if kind == "pink" else np.minimum((frequencies / 500) ** -1.5, 1)
    shaped: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(white) * amplitude, len(white))
    return shaped[:count]


def _swell(count: int, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A talker's loudness: a slow random curve without negative values."""
    knots = rng.random(int(count / sample_rate * 2 * _SYLLABLES) + 2)  # two a syllable: loud and soft
    return np.interp(np.linspace(0, len(knots) - 1, count), np.arange(len(knots)), knots)
