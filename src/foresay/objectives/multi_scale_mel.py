"""Multi-scale mel loss: how far log-mel spectrograms of two waveforms are apart, with windows of several lengths.

    recorded (B, S)    --> log-mel, windows of several lengths --+
    synthesized (B, S) --> log-mel, the same --------------------+--> mean absolute difference of each, a term of its own

One scale: HiFi-GAN (arXiv:2010.05646, eq. 5). Several: Parallel WaveGAN (arXiv:1910.11480) of spectra, DAC (arXiv:2306.06546, section 3.4)
of mel. Short windows show when something is, long ones its harmonics: what of a sound is periodic, and what is noise.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from foresay.audio.spectrogram import LogMelSpectrogram
from foresay.contracts import Term, sent

FLOOR = 1e-4
"""Added to energies: what lies below cannot be noticed, and counts little."""


class MultiScaleMel(nn.Module):
    """Log-mel spectrograms of several windows, each with a hop of a quarter of it."""

    def __init__(self, sample_rate: int, windows: Sequence[int], bands: Sequence[int], weight: float) -> None:
        """`windows`: samples; `bands`: of each. `weight`: of the mean over windows."""
        super().__init__()
        self.weight = weight / len(windows)
        self.scales = nn.ModuleList(
            LogMelSpectrogram(sample_rate, window, window // 4, window, count, FLOOR) for window, count in zip(windows, bands, strict=True)
        )

    def forward(self, synthesized: Tensor, recorded: Tensor, lengths: Tensor) -> dict[str, Term]:
        """(B, S), (B, S) of which `lengths` (B,) samples are real, on the host -> a term for each window, means over frames and bands."""
        terms = {}
        there = sent(lengths, recorded.device)
        for scale in self.scales:
            assert isinstance(scale, LogMelSpectrogram)  # noqa: S101 - all are
            counts = scale.frame_count(lengths)
            with torch.autocast(recorded.device.type, enabled=False):  # energies are beyond the range of fp16
                distance = (scale(synthesized.float(), there) - scale(recorded.float(), there)).abs().mean(-1)  # (B, T)
            inside = torch.arange(distance.shape[1]) < counts[:, None]
            terms[f"mel {4 * scale.hop}"] = Term((distance * sent(inside, distance.device)).sum(), float(counts.sum()), self.weight)
        return terms
