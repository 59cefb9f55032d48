"""Strided convolutions over the waveform: the encoder of CPC (arXiv:1807.03748, section 3.1; arXiv:2104.11946, section 4).

Each layer is convolution -> norm -> ReLU. CPC's five (kernels 10, 8, 4, 4, 4; strides 5, 4, 2, 2, 2) turn 16 kHz samples into
one latent vector every 10 ms, and frame t covers samples 160 t - 153 ... 160 t + 311.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """Normalise over the channels of every frame, with the unbiased variance of the reference implementation.

    (x - mean) / sqrt(variance + eps) * gain + bias, where the variance divides by D - 1. That is a LayerNorm with
    eps' = eps (D - 1) / D and gain' = gain sqrt((D - 1) / D), so the fused kernel does it. (..., D) -> (..., D).
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, frames: Tensor) -> Tensor:
        """Normalize the last axis: (…, D) -> (…, D)."""
        channels = frames.shape[-1]
        unbiased = (channels - 1) / channels
        return F.layer_norm(frames, (channels,), self.weight * math.sqrt(unbiased), self.bias, self.eps * unbiased)


class BatchNorm(nn.BatchNorm1d):
    """Normalise each channel over all frames of `group` consecutive utterances; in `eval()`, by the average of what training saw.

    The statistics are a group's own, whatever else the batch holds ("ghost" batch norm, arXiv:1705.08741): so the values do not depend
    on the number of devices or micro-batches a batch is spread over. Nor do the averages: they move once an update, over the groups of all.
    (B, T, D) -> (B, T, D).
    """

    sums: Tensor
    """(3, D): means and variances of all groups since the averages moved, and how many groups there were."""

    def __init__(self, channels: int, group: int) -> None:
        super().__init__(channels)
        self.group = group
        self.register_buffer("sums", torch.zeros(3, channels), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Normalize each channel: (…, D) -> (…, D)."""
        if not self.training:
            return super().forward(frames.flatten(0, 1)).view_as(frames)
        return torch.cat([self._by_its_own(part.flatten(0, 1)) for part in frames.split(self.group)]).view_as(frames)

    def _by_its_own(self, frames: Tensor) -> Tensor:
        """Normalise a group's frames (g T, D), and remember their statistics."""
        mean, variance = (torch.zeros_like(self.sums[0]) for _ in range(2))
        # Momentum 1: what are called the running averages become those of this group alone.
        normalized = F.batch_norm(frames, mean, variance, self.weight, self.bias, training=True, momentum=1.0, eps=self.eps)
        self.sums += torch.stack([mean, variance, torch.ones_like(mean)])
        return normalized

    def after_step(self) -> None:
        """Update the running averages with the groups of all devices, as far as so many groups one after the other would."""
        assert self.running_mean is not None  # noqa: S101 - they are kept
        assert self.running_var is not None  # noqa: S101
        assert self.momentum is not None  # noqa: S101
        totals = self.sums.clone()
        self.sums.zero_()
        if dist.is_initialized():
            dist.all_reduce(totals)
        groups = totals[2, :1]
        whole = totals.isfinite().all() & (groups > 0)  # else the update was skipped for it
        moved = torch.where(whole, 1 - (1 - self.momentum) ** groups, 0)
        for average, total in ((self.running_mean, totals[0]), (self.running_var, totals[1])):
            average.lerp_(torch.where(whole, total / groups, average), moved)


def _norm(kind: Literal["channel", "batch", "none"], channels: int, group: int) -> nn.Module:
    if kind == "batch":
        return BatchNorm(channels, group)
    return ChannelNorm(channels) if kind == "channel" else nn.Identity()


class StridedConvolution(nn.Conv1d):
    """A 1-d convolution in (B, T, C) layout, as one matrix product.

    The input falls into blocks of `stride` frames that no window cuts, the kernel being filled up by zeros to a multiple of the stride.
    Each block meets each part of the kernel once, in one product, and an output frame is the sum of what consecutive blocks gave:
    no window is ever copied out. Parameters, initialisation and values are those of `nn.Conv1d`.
    """

    bias: Tensor

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, C) -> (B, T', D)."""
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        count = (frames.shape[1] + 2 * padding - kernel) // stride + 1
        if self.in_channels == 1:  # the waveform: its windows are small enough to copy out
            windows = F.pad(frames[..., 0], (padding, padding)).unfold(1, kernel, stride)  # (B, T', kernel)
            # The weight is transposed by a copy: its gradient is then a product that CPUs do several times faster than F.linear's.
            return torch.addmm(self.bias, windows.flatten(0, 1), self.weight[:, 0].T.contiguous()).unflatten(0, windows.shape[:2])
        parts = -(-kernel // stride)
        blocks = count + parts - 1
        right = blocks * stride - frames.shape[1] - padding  # negative where the last window leaves samples over
        blocked = F.pad(frames, (0, 0, padding, right)).reshape(frames.shape[0], blocks, stride * self.in_channels)
        weight = F.pad(self.weight, (0, parts * stride - kernel)) if kernel % stride else self.weight
        weight = weight.view(self.out_channels, self.in_channels, parts, stride).permute(2, 0, 3, 1)  # (parts, D, stride, C)
        products = F.linear(blocked, weight.reshape(parts * self.out_channels, -1)).unflatten(-1, (parts, self.out_channels))
        summed = products[:, :count, 0] + self.bias
        for part in range(1, parts):
            summed += products[:, part : part + count, part]
        return summed


class StridedConvolutions(nn.Module):
    """A stack of convolution -> norm -> ReLU over the waveform; the last ReLU included, so latents are never negative."""

    def __init__(
        self,
        channels: int,
        kernels: Sequence[int],
        strides: Sequence[int],
        paddings: Sequence[int],
        norm: Literal["channel", "batch", "none"],
        group: int,
    ) -> None:
        """`group`: utterances over which batch norm takes its statistics."""
        super().__init__()
        if not len(kernels) == len(strides) == len(paddings):
            msg = f"{len(kernels)} kernels, {len(strides)} strides and {len(paddings)} paddings: a convolution has one of each"
            raise ValueError(msg)
        self.channels = channels
        sizes = [1, *[channels] * len(kernels)]
        self.convolutions = nn.ModuleList(
            StridedConvolution(d_in, d_out, kernel, stride, padding)
            for (d_in, d_out), kernel, stride, padding in zip(itertools.pairwise(sizes), kernels, strides, paddings, strict=True)
        )
        self.norms = nn.ModuleList(_norm(norm, channels, group) for _ in kernels)
        self.downsampling = math.prod(strides)
        self.receptive_field, first = 1, 0
        for kernel, stride, padding in reversed(list(zip(kernels, strides, paddings, strict=True))):
            self.receptive_field = (self.receptive_field - 1) * stride + kernel
            first = first * stride - padding
        self.first_sample = first
        """The sample where frame 0's view begins; negative: it begins in the zero padding."""

    def frame_count(self, lengths: Tensor) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        for convolution in self.convolutions:
            lengths = _output_length(convolution, lengths)
        return lengths

    def after_step(self) -> None:
        """Move the averages of batch norm, after each update."""
        for norm in self.norms:
            if isinstance(norm, BatchNorm):
                norm.after_step()

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode (B, S) waveforms to (B, T, D).

        With `lengths` (B,), what lies beyond a clip's end is zeroed before and after each layer, as if each clip were encoded alone.
        """
        frames = _silenced(waveforms[..., None], lengths)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            lengths = lengths if lengths is None else _output_length(convolution, lengths)
            frames = _silenced(F.relu_(norm(convolution(frames))), lengths)
        return frames


def _silenced(frames: Tensor, lengths: Tensor | None) -> Tensor:
    """Zero what lies beyond the end of each clip: (B, T, C) -> (B, T, C)."""
    if lengths is None:
        return frames
    return frames * (torch.arange(frames.shape[1], device=frames.device) < lengths[:, None])[..., None]


def _output_length(convolution: nn.Module, lengths: Tensor) -> Tensor:
    assert isinstance(convolution, nn.Conv1d)  # noqa: S101 - ModuleList forgets the type
    total = lengths + 2 * int(convolution.padding[0]) - convolution.kernel_size[0]
    return (torch.div(total, convolution.stride[0], rounding_mode="floor") + 1).clamp(min=0)
