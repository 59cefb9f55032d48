"""MFCC: 13 mel-frequency cepstral coefficients with their first and second derivatives, 100 frames per second.

Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition", 1980;
derivatives by linear regression (Furui 1986) over two frames on either side, as HTK does.
"""

from collections.abc import Sequence
from typing import final

import torch
from scipy.fft import dct
from torch import Tensor, nn

from foresay.audio.spectrogram import LogMelSpectrogram
from foresay.contracts import FeatureExtractor, Frames

COEFFICIENTS = 13
REACH = 2
"""Frames on either side that a derivative looks at."""


@final
class MFCC(nn.Module, FeatureExtractor):
    """One layer, `mfcc (B, T, 39)`: coefficients, derivatives, second derivatives; frames are centered where CPC's are."""

    sample_rate = 16000
    layer_names = ("mfcc",)
    cosines: Tensor

    def __init__(self) -> None:
        super().__init__()
        bands = 80
        self.spectrogram = LogMelSpectrogram(self.sample_rate, bands=bands)
        cosines = dct(torch.eye(bands).numpy(), norm="ortho")[:, :COEFFICIENTS]
        self.register_buffer("cosines", torch.from_numpy(cosines), persistent=False)
        self.receptive_field = self.spectrogram.receptive_field + 2 * (2 * REACH) * self.spectrogram.hop
        self.first_center = self.spectrogram.first_center
        self.frame_rate = self.sample_rate / self.spectrogram.hop

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - there is one layer
        """Whole hops of 10 ms: (B,) -> (B,)."""
        return self.spectrogram.frame_count(lengths)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002
        """(B, S) -> `mfcc` (B, T, 39); no liftering, no normalization over time."""
        counts = self.spectrogram.frame_count(lengths)
        values = with_derivatives(self.spectrogram(waveforms, lengths) @ self.cosines, counts)
        return Frames({"mfcc": values}, {"mfcc": counts}, {"mfcc": self.frame_rate})


def with_derivatives(cepstra: Tensor, lengths: Tensor) -> Tensor:
    """Put first and second derivatives behind coefficients: (B, T, D) -> (B, T, 3 D)."""
    velocity = derivative(cepstra, lengths)
    return torch.cat([cepstra, velocity, derivative(velocity, lengths)], dim=-1)


def derivative(values: Tensor, lengths: Tensor) -> Tensor:
    """Slope of the regression line through 2 REACH + 1 frames: (B, T, D) -> (B, T, D).

    Each utterance's own first and last frames stand for what lies beyond them, so padding changes nothing.
    """
    times = torch.arange(values.shape[1], device=values.device)
    last = (lengths[:, None] - 1).clamp(min=0)

    def at(offset: int) -> Tensor:
        index = torch.minimum((times + offset).clamp(min=0).expand(len(values), -1), last)
        return values.gather(1, index[:, :, None].expand_as(values))

    slope = sum((n * (at(n) - at(-n)) for n in range(1, REACH + 1)), start=torch.zeros_like(values))
    return slope / (2 * sum(n * n for n in range(1, REACH + 1)))
