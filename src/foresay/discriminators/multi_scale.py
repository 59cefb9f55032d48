"""Multi-scale discriminator: a waveform, and the same averaged to a half and a quarter of its rate.

Kumar et al., "MelGAN" (arXiv:1910.06711, section 2.2), as in HiFi-GAN (arXiv:2010.05646, section 2.3): the first with spectral norm, the
others, which read averages, with weight norm.

    waveform (B, S) --> [mean of 4, every 2nd] x 0, 1, 2 --> convolutions, strided and in groups --> scores (B, 1, T)
"""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from foresay.discriminators import Discriminator, share_of

SCALES = 3
LAYERS = ((1, 15, 1, 1), (1, 41, 2, 4), (2, 41, 2, 16), (4, 41, 4, 16), (8, 41, 4, 16), (8, 41, 1, 16), (8, 5, 1, 1))
"""Of each layer: channels, in those of the first; kernel; stride; groups."""
GROUPS = 16
"""The most of them: the channels of the first layer are a multiple of it."""
CHANNELS = 128
"""Of each first layer, at width 1."""
SLOPE = 0.1


class MultiScale(Discriminator):
    """A discriminator for each scale."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = share_of(CHANNELS, width, "multi-scale", GROUPS)
        self.of_scales = nn.ModuleList(_Scale(channels, spectral=scale == 0) for scale in range(SCALES))

    def forward(self, waveforms: Tensor) -> list[list[Tensor]]:
        """(B, S) -> of each discriminator what its layers give, (B, …) each, the scores last."""
        states, given = waveforms[:, None], []
        for number, discriminator in enumerate(self.of_scales):
            states = F.avg_pool1d(states, 4, 2, padding=2) if number else states
            given.append(discriminator(states))
        return given


class _Scale(nn.Module):
    def __init__(self, channels: int, *, spectral: bool) -> None:
        super().__init__()
        norm = spectral_norm if spectral else weight_norm
        widths = [1, *(channels * width for width, *_ in LAYERS)]
        self.convolutions = nn.ModuleList(
            norm(nn.Conv1d(before, after, kernel, stride, padding=kernel // 2, groups=groups))
            for before, after, (_, kernel, stride, groups) in zip(widths[:-1], widths[1:], LAYERS, strict=True)
        )
        self.score = norm(nn.Conv1d(widths[-1], 1, 3, padding=1))

    def forward(self, states: Tensor) -> list[Tensor]:
        """(B, 1, S) -> what the layers give, the scores last."""
        given = []
        for convolution in self.convolutions:
            states = F.leaky_relu(convolution(states), SLOPE)
            given.append(states)
        return [*given, self.score(states)]
