"""Mel-cepstral distortion (MCD): how far spectral envelopes lie apart, in dB, whatever the loudness.

Kubichek, "Mel-cepstral distance measure for objective speech quality assessment" (1993).

    log-mel (T, bands) --> cosines --> cepstra (T, 13), the mean of each frame left out --> MCD = 10 / ln 10 sqrt(2 sum of (c - c')^2)

The cepstra are those of the logarithm of power, scaled such that MCD is the root of the mean squared difference of two smoothed spectra
in dB, over the mel scale. How they are made (bands, coefficients, windows) changes the number: it is comparable within this package only.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct

COEFFICIENTS = 13
"""From the first on: the 0th is loudness."""
DECIBELS = 10 / math.log(10)
"""Of a power, whose natural logarithm is 1."""


def mel_cepstra(log_mel: ArrayLike) -> NDArray[np.float64]:
    """Return the cepstra of log-mel frames (T, bands), natural logarithms of energies: (T, 13)."""
    energies = np.asarray(log_mel, dtype=np.float64)
    bands = energies.shape[1]
    found: NDArray[np.float64] = dct(energies, axis=1, norm="ortho")[:, 1 : COEFFICIENTS + 1] / math.sqrt(2 * bands)
    return found


def frame_distortions(reference: ArrayLike, log_mel: ArrayLike) -> NDArray[np.float64]:
    """Return the MCD of each of T frames in dB, of log-mel frames (T, bands) of both sides, or one frame for all: (T,)."""
    return DECIBELS * np.sqrt(2 * np.square(mel_cepstra(reference) - mel_cepstra(log_mel)).sum(1))


def cross_distortions(reference: ArrayLike, log_mel: ArrayLike) -> NDArray[np.float64]:
    """Return the MCD of each frame with each in dB, to align by, of log-mel frames (N, bands) and (M, bands): (N, M)."""
    one, other = mel_cepstra(reference), mel_cepstra(log_mel)
    return DECIBELS * np.sqrt(2 * np.square(one[:, None] - other[None]).sum(2))
