"""Log-mel, MFCC and PLP by loops over frames, bands and taps, in float64: slow, and written from the textbooks, not from the source."""

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


def power_at(waveform: Array, frame: int) -> Array:
    """The power spectrum around a frame: (S,) -> (F,)."""
    center = frame * HOP + CENTER
    windows = [
        sample_at(waveform, center + offset) * (0.5 + 0.5 * math.cos(2.0 * math.pi * offset / WINDOW))
        for offset in range(-WINDOW // 2 + 1, WINDOW // 2)
    ]
    power: Array = np.abs(np.fft.rfft(np.array(windows), FFT)) ** 2
    return power


def log_mel(waveform: Array) -> Array:
    """(S,) -> (T, 80)."""
    frames = len(waveform) // HOP
    result = np.zeros((frames, BANDS))
    weights = [[triangle(k * RATE / FFT, band) for k in range(FFT // 2 + 1)] for band in range(BANDS)]
    for t in range(frames):
        power = power_at(waveform, t)
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


def bark(frequency: float) -> float:
    """Equation 3 of Hermansky 1990."""
    ratio = 2.0 * math.pi * frequency / (1200.0 * math.pi)
    return 6.0 * math.log(ratio + math.sqrt(ratio**2 + 1.0))


def masking(away: float) -> float:
    """Equation 4: what a critical band passes of a frequency so many bark above its center."""
    if away < -1.3 or away > 2.5:
        return 0.0
    if away < -0.5:
        return float(10.0 ** (2.5 * (away + 0.5)))
    return 1.0 if away < 0.5 else float(10.0 ** (-1.0 * (away - 0.5)))


def equal_loudness(frequency: float) -> float:
    """Equation 7 times what makes it equation 6 at low frequencies."""
    w = 2.0 * math.pi * frequency
    return 9.58e26 * (w**2 + 56.8e6) * w**4 / ((w**2 + 6.3e6) ** 2 * (w**2 + 0.38e9) * (w**6 + 9.58e26))


def plp(waveform: Array) -> Array:
    """(S,) -> (T, 39). The normal equations are solved, and the cepstrum is that of the model's spectrum at 512 frequencies."""
    frames = len(waveform) // HOP
    result = np.zeros((frames, 13))
    frequencies = [k * RATE / FFT for k in range(FFT // 2 + 1)]
    centers = [bark(RATE / 2) * band / 20 for band in range(21)]
    weights = np.array([[masking(bark(f) - center) for f in frequencies] for center in centers])
    for t in range(frames):
        energies = weights @ power_at(waveform, t)
        loud = [equal_loudness(600.0 * math.sinh(center / 6.0)) * energy for center, energy in zip(centers, energies, strict=True)]
        loud[0], loud[-1] = loud[1], loud[-2]
        roots = [(one + FLOOR) ** (1.0 / 3.0) for one in loud]
        whole = roots + roots[-2:0:-1]  # of both halves of the circle
        r = [sum(x * math.cos(2 * math.pi * k * n / 40) for k, x in enumerate(whole)) / 40 for n in range(13)]
        a = np.linalg.solve([[r[abs(i - j)] for j in range(12)] for i in range(12)], [-x for x in r[1:]])
        error = r[0] + sum(x * y for x, y in zip(a, r[1:], strict=True))
        spectrum = error / np.abs(np.fft.fft([1.0, *a], 512)) ** 2
        cepstrum = np.fft.ifft(np.log(spectrum)).real
        result[t] = cepstrum[:13]
    velocity = slope(result)
    return np.concatenate([result, velocity, slope(velocity)], axis=1)
