"""PLP: perceptual linear prediction, 13 cepstral coefficients with their first and second derivatives, 100 frames per second.

Hermansky, "Perceptual linear predictive (PLP) analysis of speech", 1990. A smooth spectrum with few peaks, of loudness as it is perceived:

    power spectrum (B, T, F) -> 21 critical bands, one a bark -> equally loud at 40 dB -> cube root: loudness (B, T, 21)
    -> autocorrelation (B, T, 13) -> linear prediction of order 12 -> cepstra (B, T, 13)

Derivatives are those of `mfcc`.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foresay.audio.spectrogram import PowerSpectrogram
from foresay.baselines.mfcc import REACH, with_derivatives
from foresay.contracts import FeatureExtractor, Frames

ORDER = 12
BANDS = 21
"""From 0 Hz to half the sample rate, 0.98 bark apart."""
WEAKEST = -2.0
"""Base-10 logarithm of the least that a critical band passes."""
FLOOR = 1e-6
"""Added to the energies of bands: digital silence has a spectrum, too."""


@final
class PLP(nn.Module, FeatureExtractor):
    """One layer, `plp (B, T, 39)`: coefficients, derivatives, second derivatives; frames are centered where CPC's are."""

    sample_rate = 16000
    layer_names = ("plp",)
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.power = PowerSpectrogram(window=400, hop=160, fft=1024)
        filters = torch.from_numpy(critical_bands(self.power.fft, self.sample_rate)).float()
        self.register_buffer("filters", filters, persistent=False)
        self.receptive_field = self.power.receptive_field + 2 * (2 * REACH) * self.power.hop
        self.first_center = self.power.first_center
        self.frame_rate = self.sample_rate / self.power.hop

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - there is one layer
        """Whole hops of 10 ms: (B,) -> (B,)."""
        return self.power.frame_count(lengths)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002
        """(B, S) -> `plp` (B, T, 39); no liftering, no normalization over time."""
        counts = self.power.frame_count(lengths)
        inner = self.power(waveforms, lengths) @ self.filters + FLOOR
        # The outermost bands, half of which lie beyond what there is, are as loud as their neighbors (section II of the paper).
        loudness = torch.cat([inner[..., :1], inner, inner[..., -1:]], dim=-1) ** (1 / 3)
        correlations = torch.fft.irfft(loudness)[..., : ORDER + 1]
        values = with_derivatives(cepstra(*linear_prediction(correlations)), counts)
        return Frames({"plp": values}, {"plp": counts}, {"plp": self.frame_rate})


def critical_bands(fft: int, sample_rate: int) -> NDArray[np.float64]:
    """Return what the power spectrum is multiplied by: (fft // 2 + 1, BANDS - 2), critical bands made equally loud, without the outermost.

    A band passes all within half a bark of its center, and falls by 25 dB a bark below, by 10 dB a bark above, to -20 dB.
    """
    frequencies = np.arange(fft // 2 + 1) * sample_rate / fft
    barks = 6 * np.arcsinh(frequencies / 600)
    centers = np.linspace(0, barks[-1], BANDS)[1:-1]
    away = barks[:, None] - centers
    exponents = np.minimum(2.5 * (away + 0.5), 0.5 - away).clip(max=0.0)
    masking = np.where(exponents < WEAKEST, 0.0, 10**exponents)
    squared = (2 * np.pi * 600 * np.sinh(centers / 6)) ** 2
    loudness = (squared + 56.8e6) * squared**2 / ((squared + 6.3e6) ** 2 * (squared + 0.38e9) * (1 + squared**3 / 9.58e26))
    return np.asarray(masking * loudness)


def linear_prediction(correlations: Tensor) -> tuple[Tensor, Tensor]:
    """Predict from autocorrelations (…, P + 1), by the recursion of Levinson and Durbin.

    Returns the coefficients a (…, P) of the filter 1 + a_1 z^-1 + …, whose output is the error of prediction, and its power (…,).
    """
    error = correlations[..., 0]
    found = correlations[..., :0]
    for order in range(1, correlations.shape[-1]):
        missed = correlations[..., order] + (found * correlations[..., 1:order].flip(-1)).sum(-1)
        reflection = (-missed / error)[..., None]
        found = torch.cat([found + reflection * found.flip(-1), reflection], dim=-1)
        error = error * (1 - reflection[..., 0].square())
    return found, error


def cepstra(coefficients: Tensor, error: Tensor) -> Tensor:
    """Return the cepstrum (…, P + 1) of the spectrum error / |1 + a_1 z^-1 + …|² of linear prediction; its first is log error."""
    found = coefficients[..., :0]
    for n in range(1, coefficients.shape[-1] + 1):
        weights = torch.arange(1, n, device=error.device) / n
        earlier = (weights * found * coefficients[..., : n - 1].flip(-1)).sum(-1)
        found = torch.cat([found, -(coefficients[..., n - 1] + earlier)[..., None]], dim=-1)
    return torch.cat([error.log()[..., None], found], dim=-1)
