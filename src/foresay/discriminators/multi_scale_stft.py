"""Multi-scale STFT discriminator: complex spectrograms of several windows, as pictures of two channels.

Defossez et al., "EnCodec" (arXiv:2210.13438, section 3.4).

    waveform (B, S) --> STFT, windows of 128 to 2048 --> real and imaginary parts (B, 2, T, F) --> convolutions, in time dilated, in
    frequency strided --> scores (B, 1, T, F')
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from foresay.discriminators import Discriminator, share_of

WINDOWS = (128, 256, 512, 1024, 2048)
DILATIONS = (1, 2, 4)
CHANNELS = 32
"""Of each first layer, at width 1."""
SLOPE = 0.2


class MultiScaleSTFT(Discriminator):
    """A discriminator for each window, with a hop of a quarter of it."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = share_of(CHANNELS, width, "multi-scale-stft")
        self.of_windows = nn.ModuleList(_Spectrogram(window, channels) for window in WINDOWS)

    def forward(self, waveforms: Tensor) -> list[list[Tensor]]:
        """(B, S) -> of each discriminator what its layers give, (B, …) each, the scores last. S is above half the longest window."""
        return [discriminator(waveforms) for discriminator in self.of_windows]


class _Spectrogram(nn.Module):
    window: Tensor

    def __init__(self, window: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        self.convolutions = nn.ModuleList(
            [
                weight_norm(nn.Conv2d(2, channels, (3, 9), padding=(1, 4))),
                *(weight_norm(nn.Conv2d(channels, channels, (3, 9), (1, 2), dilation=(step, 1), padding=(step, 4))) for step in DILATIONS),
                weight_norm(nn.Conv2d(channels, channels, (3, 3), padding=(1, 1))),
            ]
        )
        self.score = weight_norm(nn.Conv2d(channels, 1, (3, 3), padding=(1, 1)))

    def forward(self, waveforms: Tensor) -> list[Tensor]:
        """(B, S) -> what the layers give, the scores last."""
        size = len(self.window)
        with torch.autocast(waveforms.device.type, enabled=False):
            spectrum = torch.stft(waveforms.float(), size, size // 4, size, self.window, normalized=True, return_complex=True)
        states = torch.view_as_real(spectrum).permute(0, 3, 2, 1)  # (B, 2, T, F)
        given = []
        for convolution in self.convolutions:
            states = F.leaky_relu(convolution(states), SLOPE)
            given.append(states)
        return [*given, self.score(states)]
