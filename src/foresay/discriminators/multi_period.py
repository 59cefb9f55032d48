"""Multi-period discriminator: every p-th sample of a waveform, for several p, as the columns of a picture.

Kong et al., "HiFi-GAN" (arXiv:2010.05646, section 2.3).

    waveform (B, S) --> (B, 1, S / p, p) --> convolutions along each column, strided --> scores (B, 1, T, p)      for p = 2, 3, 5, 7, 11
"""

import itertools

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from foresay.discriminators import Discriminator, share_of

PERIODS = (2, 3, 5, 7, 11)
WIDTHS = (1, 4, 16, 32, 32)
"""Channels of each layer, in those of the first."""
CHANNELS = 32
"""Of each first layer, at width 1."""
SLOPE = 0.1


class MultiPeriod(Discriminator):
    """A discriminator for each period."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = share_of(CHANNELS, width, "multi-period")
        self.of_periods = nn.ModuleList(_Period(period, channels) for period in PERIODS)

    def forward(self, waveforms: Tensor) -> list[list[Tensor]]:
        """(B, S) -> of each discriminator what its layers give, (B, …) each, the scores last."""
        return [discriminator(waveforms) for discriminator in self.of_periods]


class _Period(nn.Module):
    def __init__(self, period: int, channels: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, *(channels * width for width in WIDTHS)]
        self.convolutions = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (5, 1), (3 if number < len(WIDTHS) - 1 else 1, 1), padding=(2, 0)))
            for number, (before, after) in enumerate(itertools.pairwise(widths))
        )
        self.score = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, waveforms: Tensor) -> list[Tensor]:
        """(B, S) -> what the layers give, the scores last."""
        missing = -waveforms.shape[1] % self.period
        states = F.pad(waveforms[:, None], (0, missing), mode="reflect").unflatten(2, (-1, self.period))  # (B, 1, S / p, p)
        given = []
        for convolution in self.convolutions:
            states = F.leaky_relu(convolution(states), SLOPE)
            given.append(states)
        return [*given, self.score(states)]
