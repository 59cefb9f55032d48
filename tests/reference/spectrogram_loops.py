"""Log-mel and MFCC by loops over frames, bands and taps, in float64: slow, and written from the textbook rather than from the source."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RATE, WINDOW, HOP, FFT, BANDS, FLOOR, CENTER = 16000, 400, 160, 1024, 80, 1e-6, 79


def sample_at(waveform: Array, index: int) -> float:
    """Silence before and after the utterance."""
    return float(waveform[index]) if 0 <= index < len(waveform) else 0.0


def mel(frequency: float) -> float:
    return 2595.0 * math.log10(1.0 + frequency / 700.0)


def hertz(mels: float) -> float:
    return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)


def triangle(frequency: float, band: int) -> float:
    """Weight of a frequency in a band: corners are equally far apart in mel."""
    step = mel(RATE / 2) / (BANDS + 1)
    low, center, high = (hertz(step * (band + i)) for i in range(3))
    if low < frequency <= center:
        return (frequency - low) / (center - low)
    if center < frequency < high:
        return (high - frequency) / (high - center)
    return 0.0


def log_mel(waveform: Array) -> Array:
    """(S,) -> (T, 80)."""
    frames = len(waveform) // HOP
    result = np.zeros((frames, BANDS))
    weights = [[triangle(k * RATE / FFT, band) for k in range(FFT // 2 + 1)] for band in range(BANDS)]
    for t in range(frames):
        center = t * HOP + CENTER
        windows = [
            sample_at(waveform, center + offset) * (0.5 + 0.5 * math.cos(2.0 * math.pi * offset / WINDOW))
            for offset in range(-WINDOW // 2 + 1, WINDOW // 2)
        ]
        power = np.abs(np.fft.rfft(np.array(windows), FFT)) ** 2
        for band in range(BANDS):
            result[t, band] = math.log(sum(w * p for w, p in zip(weights[band], power, strict=True)) + FLOOR)
    return result


def slope(track: Array) -> Array:
    """Least-squares slope of five frames around each; the first and last frame go on for ever. (T, D) -> (T, D)."""
    frames = len(track)
    result = np.zeros_like(track)
    times = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    for t in range(frames):
        around = np.array([track[min(max(t + int(offset), 0), frames - 1)] for offset in times])
        result[t] = np.polynomial.polynomial.polyfit(times, around, 1)[1]
    return result


def mfcc(waveform: Array) -> Array:
    """(S,) -> (T, 39)."""
    spectrum = log_mel(waveform)
    cepstra = np.zeros((len(spectrum), 13))
    for t in range(len(spectrum)):
        for q in range(13):
            scale = math.sqrt((1.0 if q == 0 else 2.0) / BANDS)
            cepstra[t, q] = scale * sum(spectrum[t, b] * math.cos(math.pi * q * (b + 0.5) / BANDS) for b in range(BANDS))
    velocity = slope(cepstra)
    return np.concatenate([cepstra, velocity, slope(velocity)], axis=1)
