"""HiFi-GAN generator: frames upsampled to a waveform by transposed convolutions and residual blocks of several receptive fields.

Kong et al., "HiFi-GAN" (arXiv:2010.05646, section 2.2); of units: Polyak et al. (arXiv:2104.00355, section 3.2), whose rates and kernels
stand in `recipes/unit-vocoder/unit-hifigan.toml`.

    frames (B, T, D) --> convolution --> [transposed convolution --> mean of residual blocks, kernels 3, 7, 11] x ... --> tanh --> (B, S)

Every convolution is weight-normalized. Channels are halved at each rate.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from foresay.decoders import Generator

SLOPE = 0.1
"""Of the leaky ReLU below 0."""
KERNELS, DILATIONS = (3, 7, 11), (1, 3, 5)


class HiFiGAN(Generator):
    """From frames alone to a waveform; the sizes are those of Polyak et al."""

    def __init__(
        self,
        inputs: int,
        sample_rate: int,  # noqa: ARG002 - it learns what a second is
        *,
        channels: int = 512,
        rates: tuple[int, ...] = (5, 4, 4, 2, 2),
        kernels: tuple[int, ...] = (11, 8, 8, 4, 4),
    ) -> None:
        """`inputs`: D; `channels`: before the first rate; `kernels`: of transposed convolutions, longer than the rates by even numbers.

        Raises:
            ValueError: they are not, or the channels cannot be halved so often.
        """
        super().__init__()
        if len(rates) != len(kernels) or any(kernel < rate or (kernel - rate) % 2 for rate, kernel in zip(rates, kernels, strict=False)):
            msg = f"rates {list(rates)} need kernels that are longer by an even number of samples, not {list(kernels)}"
            raise ValueError(msg)
        if channels % 2 ** len(rates):
            msg = f"channels = {channels} cannot be halved at each of {len(rates)} rates"
            raise ValueError(msg)
        self.rates, self.hop = tuple(rates), math.prod(rates)
        widths = [channels >> level for level in range(len(rates) + 1)]
        self.first = weight_norm(nn.Conv1d(inputs, channels, 7, padding=3))
        self.upsampling = nn.ModuleList(
            weight_norm(nn.ConvTranspose1d(width, width // 2, kernel, rate, padding=(kernel - rate) // 2))
            for width, rate, kernel in zip(widths[:-1], rates, kernels, strict=True)
        )
        self.residual = nn.ModuleList(nn.ModuleList(ResidualBlock(width, kernel) for kernel in KERNELS) for width in widths[1:])
        self.last = weight_norm(nn.Conv1d(widths[-1], 1, 7, padding=3))
        for module in (*self.upsampling, *self.residual.modules(), self.last):
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                nn.init.normal_(module.weight, std=0.01)

    def forward(self, frames: Tensor, real: Tensor, hertz: Tensor, noise: Tensor) -> Tensor:  # noqa: ARG002 - it makes its own harmonics
        """(B, T, D), (B, T, 1), two that are left alone -> (B, T hop)."""
        inside = real.transpose(1, 2)
        states = self.first(frames.transpose(1, 2) * inside)
        for rate, upsampling, blocks in zip(self.rates, self.upsampling, self.residual, strict=True):
            states = upsampling(F.leaky_relu(states, SLOPE) * inside)
            inside = inside.repeat_interleave(rate, dim=2)
            assert isinstance(blocks, nn.ModuleList)  # noqa: S101 - all are
            states = torch.stack([block(states, inside) for block in blocks]).mean(0)
        waveforms: Tensor = torch.tanh(self.last(F.leaky_relu(states, SLOPE) * inside))[:, 0]
        return waveforms


class ResidualBlock(nn.Module):
    """Pairs of convolutions, the first of each dilated, each pair around a residual connection."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, channels, kernel, dilation=step, padding=step * (kernel // 2))) for step in DILATIONS
        )
        self.plain = nn.ModuleList(weight_norm(nn.Conv1d(channels, channels, kernel, padding=kernel // 2)) for _ in DILATIONS)

    def forward(self, states: Tensor, inside: Tensor) -> Tensor:
        """(B, D, S), (B, 1, S) -> (B, D, S)."""
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            changed = dilated(F.leaky_relu(states, SLOPE) * inside)
            states = states + plain(F.leaky_relu(changed, SLOPE) * inside)
        return states
