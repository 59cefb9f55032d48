"""The power spectrogram and the log-mel spectrogram, without learned parameters.

      window (25 ms)
    |-----^-----|               frame 0, centered on sample `first_center`
        |-----^-----|           frame 1, one hop (10 ms) later
waveform (B, S) -> power spectrum (B, T, F) -> triangles on the mel scale (B, T, bands) -> log
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class PowerSpectrogram(nn.Module):
    """The power of each frequency in a window around each frame.

    The window is a periodic Hann window. Its first tap is zero, so a frame covers `window - 1` samples, symmetric about its center.
    """

    window_shape: Tensor

    def __init__(self, window: int, hop: int, fft: int) -> None:
        super().__init__()
        if fft < window:
            msg = f"a transform of {fft} samples does not hold a window of {window}: the samples beyond would be ignored"
            raise ValueError(msg)
        self.window, self.hop, self.fft = window, hop, fft
        self.receptive_field = window - 1
        self.first_center = hop // 2 - 1
        # Copied, for it is a view of a longer window, which torch.export.save warns of.
        self.register_buffer("window_shape", torch.hann_window(window, periodic=True).clone(), persistent=False)

    def frame_count(self, lengths: Tensor) -> Tensor:
        """Whole hops: (B,) samples -> (B,) frames."""
        return lengths // self.hop

    def forward(self, waveforms: Tensor, lengths: Tensor, frames: int | None = None) -> Tensor:
        """(B, S) waveforms of which `lengths` (B,) samples are real -> (B, T, fft // 2 + 1). There is silence around each utterance.

        `frames`: T, the first ones only; None: all that S samples give.
        """
        samples = waveforms.shape[1]
        count = samples // self.hop if frames is None else frames
        inside = torch.arange(samples, device=waveforms.device) < lengths[:, None]
        left = self.window // 2 - self.first_center
        needed = max(count - 1, 0) * self.hop + self.window
        padded = functional.pad(torch.where(inside, waveforms, 0.0), (left, needed - left - samples))
        spectrum = torch.fft.rfft(padded.unfold(1, self.window, self.hop) * self.window_shape, self.fft)
        return (spectrum.real.square() + spectrum.imag.square())[:, :count]


class LogMelSpectrogram(nn.Module):
    """Log energies in `bands` triangular filters, equally wide in mel, from 0 Hz to half the sample rate.

    `floor` is added to the energy before the (natural) logarithm: silence gives log(floor), and the gradient is finite everywhere.
    """

    filters: Tensor

    def __init__(
        self, sample_rate: int = 16000, window: int = 400, hop: int = 160, fft: int = 1024, bands: int = 80, floor: float = 1e-6
    ) -> None:
        super().__init__()
        self.power = PowerSpectrogram(window, hop, fft)
        self.hop, self.floor = hop, floor
        self.receptive_field, self.first_center = self.power.receptive_field, self.power.first_center
        filters = torch.from_numpy(mel_filters(bands, fft, sample_rate)).float()
        self.register_buffer("filters", filters, persistent=False)

    def frame_count(self, lengths: Tensor) -> Tensor:
        """Whole hops: (B,) samples -> (B,) frames."""
        return self.power.frame_count(lengths)

    def forward(self, waveforms: Tensor, lengths: Tensor, frames: int | None = None) -> Tensor:
        """(B, S) waveforms of which `lengths` (B,) samples are real -> (B, T, bands). There is silence around each utterance.

        `frames`: T, the first ones only; None: all that S samples give.
        """
        return torch.log(self.power(waveforms, lengths, frames) @ self.filters + self.floor)


@lru_cache
def mel_filters(bands: int, fft: int, sample_rate: int) -> NDArray[np.float64]:
    """Triangles of height 1: (fft // 2 + 1, bands). Each rises from its lower neighbor's center and falls to its upper neighbor's.

    The mel scale is 2595 log10(1 + f / 700) (O'Shaughnessy 1987). A transform too short for the lowest, narrowest bands is an error:
    such a band would always be empty.
    """
    highest = 2595.0 * np.log10(1.0 + sample_rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, highest, bands + 2) / 2595.0) - 1.0)
    frequencies = np.arange(fft // 2 + 1)[:, None] * sample_rate / fft
    low, center, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((frequencies - low) / (center - low), (high - frequencies) / (high - center)).clip(min=0.0)
    if not triangles.any(axis=0).all():
        msg = f"{bands} mel bands need a transform longer than {fft} samples at {sample_rate} Hz: the lowest bands hold no frequency"
        raise ValueError(msg)
    return np.asarray(triangles)
