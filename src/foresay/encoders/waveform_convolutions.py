"""The convolutional front end of wav2vec 2.0, HuBERT and WavLM (arXiv:2006.11477, sections 2 and 4.2).

Seven layers, convolution -> norm -> GELU, without padding: one latent vector every 20 ms of 16 kHz audio, each of which covers 25 ms.

    norm = "group"    after the first convolution each channel is normalized over the time of its utterance; no other norm (BASE)
    norm = "layer"    after every convolution each frame is normalized over its channels (LARGE on Libri-Light, XLS-R)

It is a third of the arithmetic of BASE, and bound by memory. So all is (B, T, C), where a strided convolution is one or two matrix products
that read their input in place; and the norm over time needs no pass over what it normalizes, which is linear in ten samples at a time.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Count = TypeVar("Count", int, Tensor)


class WaveformConvolutions(nn.Module):
    """Strided convolutions without padding over the waveform, each followed by its norm and GELU."""

    def __init__(
        self,
        channels: int,
        kernels: Sequence[int],
        strides: Sequence[int],
        norm: Literal["group", "layer"],
        *,
        bias: bool,
        padded: bool = False,
    ) -> None:
        """`bias`: of the convolutions. `padded`: the norm over time takes in the padding, as in the published implementations."""
        super().__init__()
        if any(kernel < stride for kernel, stride in zip(kernels, strides, strict=True)):
            msg = f"kernels {tuple(kernels)} must be at least as long as strides {tuple(strides)}, or samples between them are ignored"
            raise ValueError(msg)
        self.channels, self.kernels, self.strides, self.padded = channels, tuple(kernels), tuple(strides), padded
        sizes = [1, *[channels] * len(kernels)]
        self.convolutions = nn.ModuleList(
            _Convolution(d_in, d_out, kernel, stride, bias=bias)
            for (d_in, d_out), kernel, stride in zip(itertools.pairwise(sizes), kernels, strides, strict=True)
        )
        by_time = [TimeNorm(channels), *(nn.Identity() for _ in kernels[1:])]
        self.norms = nn.ModuleList(by_time if norm == "group" else [nn.LayerNorm(channels) for _ in kernels])
        self.downsampling = math.prod(strides)
        self.receptive_field = 1
        for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
            self.receptive_field = (self.receptive_field - 1) * stride + kernel
        self.first_center = self.receptive_field // 2

    def frame_count(self, lengths: Tensor) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        return self._frames_of(lengths).clamp(min=0)

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode (B, S) waveforms to (B, T, C).

        With `lengths` (B,), in samples, a clip's frames are what they would be were it alone; those beyond its end mean nothing.
        """
        batch, samples = waveforms.shape
        real = torch.full((batch,), samples, device=waveforms.device) if lengths is None or self.padded else lengths
        # Whole frames only: then each layer has exactly its stride times the frames of the next one, in all utterances, and one matrix
        # product serves the batch. The windows that reach over an utterance's end are cut off below.
        whole = max(-(-samples // self.downsampling), 1) * self.downsampling
        frames = self._first(F.pad(waveforms, (0, whole - samples)), real)
        for convolution, norm in zip(self.convolutions[1:], self.norms[1:], strict=True):
            frames = F.gelu(norm(convolution(frames)))
        return frames[:, : max(self._frames_of(samples), 0)]

    def _first(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """The first layer on the waveform: convolution, its norm and GELU. (B, S) -> (B, S / stride, C)."""
        convolution, norm = cast("_Convolution", self.convolutions[0]), self.norms[0]
        kernel, stride = self.kernels[0], self.strides[0]
        weight = convolution.weight[:, 0]  # (C, kernel)
        windows = F.pad(waveforms.flatten(), (0, kernel - stride)).unfold(0, kernel, stride).unflatten(0, (len(waveforms), -1))
        if isinstance(norm, TimeNorm):
            counts = ((lengths - kernel) // stride + 1).clamp(min=0)
            return F.gelu(norm(windows, counts, weight, convolution.bias))
        return F.gelu(norm(F.linear(windows, weight, convolution.bias)))

    def _frames_of(self, length: Count) -> Count:
        """Count the frames of so many samples; zero or less where there is none."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            length = (length - kernel) // stride + 1
        return length


class TimeNorm(nn.Module):
    """Normalize each channel of a convolution over its utterance's frames: a group norm with one channel a group.

    What is normalized is linear in the window, y = w x + b. So its mean over time is w mean(x) + b and its variance w' cov(x) w, where
    cov(x) is that of the ten samples of a window: it is normalized before it is computed, by another w for each utterance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, windows: Tensor, counts: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve `windows` (B, T, k), of which `counts` (B,) are an utterance's own, by `weight` (C, k), and normalize. -> (B, T, C)."""
        own = (torch.arange(windows.shape[1], device=windows.device) < counts[:, None])[..., None]
        counts = counts.clamp(min=1)[:, None, None]
        mean = (windows * own).sum(1, keepdim=True) / counts
        centered = (windows - mean) * own
        # In double precision, for speech is smooth: a channel of fine details only is a small difference of large numbers.
        covariance = centered.double().transpose(1, 2) @ centered.double() / counts  # (B, k, k)
        variance = ((weight.double() @ covariance) * weight.double()).sum(-1).to(weight.dtype)  # (B, C)
        gain = self.weight * torch.rsqrt(variance + self.eps)
        # The convolution's bias is taken away with the mean; it stays in the graph, with the gradient zero that it has.
        shift = self.bias if bias is None else self.bias + (bias - bias)
        # The shift is the weight of an eleventh sample, which is 1: no further pass adds it.
        weights = torch.cat([gain[..., None] * weight, shift.expand_as(gain)[..., None]], dim=-1)  # (B, C, k + 1)
        return torch.cat([centered, own.expand(len(windows), -1, -1)], dim=-1) @ weights.transpose(1, 2)


class _Convolution(nn.Conv1d):
    """A strided convolution without padding of (B, T, C), T a multiple of the stride, to (B, T / stride, D).

    Parameters, initialization and values are those of `nn.Conv1d`, but for its weight's, which is that of He et al. (arXiv:1502.01852).
    Windows that reach over the end of an utterance go on in the next one: the caller leaves them out.
    """

    def __init__(self, d_in: int, d_out: int, kernel: int, stride: int, *, bias: bool) -> None:
        super().__init__(d_in, d_out, kernel, stride, bias=bias)
        nn.init.kaiming_normal_(self.weight)

    def forward(self, frames: Tensor) -> Tensor:
        device = frames.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else frames.dtype
        weight = self.weight.to(dtype).permute(2, 1, 0).flatten(0, 1)  # (kernel C, D)
        bias = None if self.bias is None else self.bias.to(dtype)
        return _StridedProduct.apply(frames.to(dtype), weight, bias, self.stride[0])


class _StridedProduct(torch.autograd.Function):
    """The matrix products of a strided convolution.

    The frames fall into blocks of `stride`. A window is a block and more of the next ones; each such part, taken for all windows, is a
    matrix whose rows lie in memory at equal distances: no window is copied out, and each product adds to the last.
    """

    @staticmethod
    def forward(ctx: Any, frames: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:  # noqa: ANN401 - of autograd
        """`frames` (B, T, C), `weight` (kernel C, D), `bias` (D,) -> (B, T / stride, D)."""
        ctx.stride = stride
        ctx.save_for_backward(frames, weight)
        blocks = frames.reshape(-1, stride * frames.shape[2])
        (rows, columns), *later = _parts(blocks, weight)
        output = rows @ columns if bias is None else torch.addmm(bias, rows, columns)
        for number, (rows, columns) in enumerate(later, start=1):
            output[:-number].addmm_(rows, columns)
        return output.view(len(frames), -1, weight.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:  # noqa: ANN401 - of autograd
        """The same products, the other way."""
        frames, weight = ctx.saved_tensors
        blocks = frames.reshape(-1, ctx.stride * frames.shape[2])
        flat = gradient.reshape(len(blocks), -1)
        by_weight = torch.cat([rows.T @ flat[: len(rows)] for rows, _ in _parts(blocks, weight)])
        (_, columns), *later = _parts(blocks, weight)
        by_blocks = flat @ columns.T
        for number, (rows, columns) in enumerate(later, start=1):
            by_blocks[number:, : rows.shape[1]].addmm_(flat[:-number], columns.T)
        return by_blocks.view_as(frames), by_weight, flat.sum(0) if ctx.needs_input_grad[2] else None, None


def _parts(blocks: Tensor, weight: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Cut windows into what they take of each block: (blocks from the n-th on (N - n, c), weight (c, D)) for n = 0, 1, …"""
    cut = weight.split(blocks.shape[1])
    return [(blocks[number:, : len(columns)], columns) for number, columns in enumerate(cut)]
