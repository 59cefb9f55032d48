"""Convolutions normalized over a whole utterance: the encoder and the aggregator of wav2vec (arXiv:1904.05862, section 2).

Each layer is convolution -> norm over all channels and frames of the utterance -> ReLU (in vq-wav2vec GELU). The norm makes features
independent of how loud a recording is, and of nothing else. A frame depends on the rest of the utterance
through its mean and variance only.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.errors import UserError

Activation: TypeAlias = Callable[[Tensor], Tensor]


class UtteranceNorm(nn.Module):
    """Mean 0 and variance 1 over the D channels and T frames of an utterance, then a gain and a bias for each channel.

    (B, T, D) -> (B, T, D). With several `groups`, consecutive channels have statistics of their own. With `lengths` (B,), statistics are of
    an utterance's own frames: torch's group norm would count padding.
    """

    def __init__(self, channels: int, groups: int = 1, eps: float = 1e-5) -> None:
        super().__init__()
        if channels % groups:
            msg = f"{channels} channels do not fall into {groups} groups of one size: choose a divisor of {channels}"
            raise UserError(msg)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.groups, self.eps = groups, eps

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Normalize each utterance: (B, T, D), lengths (B,) -> (B, T, D)."""
        grouped = frames.unflatten(2, (self.groups, -1))  # (B, T, groups, D / groups)
        if lengths is None:
            variance, mean = torch.var_mean(grouped, dim=(1, 3), correction=0, keepdim=True)
        else:
            inside = _inside(frames, lengths)[..., None]
            count = (lengths * grouped.shape[3]).clamp(min=1)[:, None, None, None]
            mean = (grouped * inside).sum(dim=(1, 3), keepdim=True) / count
            variance = ((grouped - mean).square() * inside).sum(dim=(1, 3), keepdim=True) / count
        return ((grouped - mean) * torch.rsqrt(variance + self.eps)).flatten(2) * self.weight + self.bias


class UtteranceNormedEncoder(nn.Module):
    """Strided convolutions over the waveform, without padding; compressed: log(|x| + 1), as in the released code.

    Kernels 10, 8, 4, 4, 4, 1, 1 and strides 5, 4, 2, 2, 2, 1, 1 make a frame of 30 ms every 10 ms of 16 kHz audio. `groups`: of channels,
    for the norms.
    """

    def __init__(
        self, channels: int, kernels: Sequence[int], strides: Sequence[int], *, groups: int = 1, activation: Activation = F.relu
    ) -> None:
        super().__init__()
        self.channels, self.first_sample = channels, 0
        sizes = itertools.pairwise([1, *[channels] * len(kernels)])
        self.convolutions = nn.ModuleList(
            nn.Conv1d(d_in, d_out, kernel, stride, bias=False)
            for (d_in, d_out), kernel, stride in zip(sizes, kernels, strides, strict=True)
        )
        self.norms = nn.ModuleList(UtteranceNorm(channels, groups) for _ in kernels)
        self.activation = activation
        self.kernels, self.strides = tuple(kernels), tuple(strides)
        self.downsampling = math.prod(strides)
        self.receptive_field = 1
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            self.receptive_field = (self.receptive_field - 1) * stride + kernel

    def frame_count(self, lengths: Tensor) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            lengths = _shorter(lengths, kernel, stride)
        return lengths

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode (B, S) waveforms to (B, T, D)."""
        if waveforms.shape[1] < self.receptive_field:
            return waveforms.new_zeros(len(waveforms), 0, self.channels)
        frames = waveforms[:, None]
        for convolution, norm, kernel, stride in zip(self.convolutions, self.norms, self.kernels, self.strides, strict=True):
            lengths = None if lengths is None else _shorter(lengths, kernel, stride)
            frames = self.activation(norm(convolution(frames).transpose(1, 2), lengths)).transpose(1, 2)
        return frames.transpose(1, 2).abs().log1p()

    def after_step(self) -> None:
        """Nothing moves: statistics are always an utterance's own."""


class CausalAggregator(nn.Module):
    """Causal convolutions of growing kernels (2 … 13), each added to its input and scaled by sqrt(1/2): (B, T, D) -> (B, T, D).

    Before the first frame stand copies of it.
    """

    def __init__(self, size_in: int, size: int, kernels: Sequence[int], *, activation: Activation = F.relu) -> None:
        super().__init__()
        sizes = list(itertools.pairwise([size_in, *[size] * len(kernels)]))
        self.convolutions = nn.ModuleList(nn.Conv1d(d_in, d_out, kernel) for (d_in, d_out), kernel in zip(sizes, kernels, strict=True))
        self.shortcuts = nn.ModuleList(nn.Identity() if a == b else nn.Linear(a, b, bias=False) for a, b in sizes)
        self.norms = nn.ModuleList(UtteranceNorm(size) for _ in kernels)
        self.activation = activation
        self.size, self.kernels = size, tuple(kernels)
        self.receptive_field = sum(kernels) - len(kernels) + 1
        """Frames."""

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Aggregate (B, T, D) latents, of which `lengths` (B,) frames are real."""
        if frames.shape[1] == 0:  # no first frame to copy
            return frames.new_zeros(len(frames), 0, self.size)
        for convolution, shortcut, norm, kernel in zip(self.convolutions, self.shortcuts, self.norms, self.kernels, strict=True):
            before = F.pad(frames.transpose(1, 2), (kernel - 1, 0), mode="replicate")
            output = self.activation(norm(convolution(before).transpose(1, 2), lengths))
            frames = (output + shortcut(frames)) * math.sqrt(0.5)
        return frames


def _inside(frames: Tensor, lengths: Tensor) -> Tensor:
    """Which frames are real: (B, T, 1)."""
    return (torch.arange(frames.shape[1], device=frames.device) < lengths[:, None])[..., None]


def _shorter(lengths: Tensor, kernel: int, stride: int) -> Tensor:
    return (torch.div(lengths - kernel, stride, rounding_mode="floor") + 1).clamp(min=0)
