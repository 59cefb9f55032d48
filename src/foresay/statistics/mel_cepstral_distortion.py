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


def frame_distortions(reference: ArrayLike, cepstra: ArrayLike) -> NDArray[np.float64]:
    """Return the MCD of each frame in dB, of cepstra (T, 13) of both sides, or of one frame (1, 13) for all: (T,)."""
    return _decibels(np.asarray(reference) - np.asarray(cepstra))


def cross_distortions(reference: ArrayLike, cepstra: ArrayLike) -> NDArray[np.float64]:
    """Return the MCD of each frame with each in dB, to align by, of cepstra (N, 13) and (M, 13): (N, M)."""
    return _decibels(np.asarray(reference)[:, None] - np.asarray(cepstra)[None])


def _decibels(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = DECIBELS * np.sqrt(2 * np.square(differences).sum(-1))
    return found
