"""Audio encoder of multi-modal CPC: two-dimensional convolutions over the log-mel spectrogram.

"Contrastive Predictive Coding for Audio & Images", Garg and Chandra, IIT Bombay 2025: "Mel-spectrogram + 2D CNN -> sequence of 64-dim
latents". It says no more, so that sizes are our own:

    waveform (B, S) -> log-mel (B, 1, T', 64), 10 ms -> 3 convolutions, 3 x 3 -> (B, 64, T, 8) -> all bands at once -> z (B, T, 64), 20 ms

The second axis of the picture, which is pitch, is not averaged over: the frequency of a sound is what distinguishes it from others.
"""

import itertools
import math

import torch
from torch import Tensor, nn

from foresay.audio.spectrogram import LogMelSpectrogram
from foresay.layers.grid_convolution import GridConvolution

STRIDES = ((2, 2), (1, 2), (1, 2))
"""Of each convolution, in time and in frequency."""
LOUDNESS = 4.0
"""What log energies above the floor are divided by: speech comes out at about 1."""


class MelCNN(nn.Module):
    """Log-mel spectrogram, convolutions, and a linear layer over all channels and bands of a frame.

    Frame t covers `receptive_field` samples, `first_sample` + t x `downsampling` being the first: 125 ms of 16 kHz audio, 46 ms of it still
    to come.
    """

    def __init__(
        self, channels: int = 64, width: int = 64, bands: int = 64, sample_rate: int = 16_000, norm: nn.Module | None = None
    ) -> None:
        """`channels`: D of the latents; `width`: channels of the convolutions, half as many in the first; `bands`: of the spectrogram.

        `norm`: of the latents.
        """
        super().__init__()
        hop, window = sample_rate // 100, sample_rate // 40
        fft = 2 ** math.ceil(math.log2(2 * window))  # as fine as the narrowest of the bands
        self.spectrogram = LogMelSpectrogram(sample_rate, window, hop, fft, bands)
        widths = (1, width // 2, width, width)
        self.convolutions = nn.ModuleList(
            GridConvolution(a, b, stride) for (a, b), stride in zip(itertools.pairwise(widths), STRIDES, strict=True)
        )
        for _, stride in STRIDES:
            bands = -(-bands // stride)
        self.output = nn.Linear(width * bands, channels)
        self.norm = norm
        self.channels = channels
        self.downsampling = hop * math.prod(stride for stride, _ in STRIDES)
        reach, before, step = 1, 0, 1  # in frames of the spectrogram
        for stride, _ in STRIDES:
            reach, before, step = reach + 2 * step, before + step, step * stride
        self.receptive_field = (reach - 1) * hop + self.spectrogram.receptive_field
        self.first_sample = self.spectrogram.first_center - self.spectrogram.receptive_field // 2 - before * hop

    def frame_count(self, lengths: Tensor) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        frames = self.spectrogram.frame_count(lengths)
        for stride, _ in STRIDES:
            frames = _strided(frames, stride)
        return frames

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode (B, S) waveforms to (B, T, D); with `lengths` (B,), as if each clip were encoded alone."""
        samples = torch.full((len(waveforms),), waveforms.shape[1], device=waveforms.device) if lengths is None else lengths
        energies = self.spectrogram(waveforms, samples)  # (B, T', bands)
        frames = self.spectrogram.frame_count(samples)
        cells = _silenced(((energies - math.log(self.spectrogram.floor)) / LOUDNESS)[:, None], frames)
        for convolution, (stride, _) in zip(self.convolutions, STRIDES, strict=True):
            frames = _strided(frames, stride)
            cells = _silenced(convolution(cells), frames)
        latents: Tensor = self.output(cells.transpose(1, 2).flatten(2))
        return latents if self.norm is None else self.norm(latents)

    def after_step(self) -> None:
        """Nothing moves: statistics are always a cell's own. Those of a norm that was passed in are moved by who passed it in."""


def _strided(frames: Tensor, stride: int) -> Tensor:
    return torch.div(frames + stride - 1, stride, rounding_mode="floor")


def _silenced(cells: Tensor, frames: Tensor) -> Tensor:
    """Put silence, which is zero, after the end of each clip: (B, D, T, bands), `frames` (B,)."""
    inside = torch.arange(cells.shape[2], device=cells.device) < frames[:, None]
    return cells * inside[:, None, :, None]
