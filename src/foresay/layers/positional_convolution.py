"""A convolution that tells frames where they stand: what wav2vec 2.0 has in place of position embeddings (arXiv:2006.11477, section 2)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PositionalConvolution(nn.Module):
    """GELU of a wide grouped convolution over time, to be added to the frames it read.

    The weight is normalized (arXiv:1602.07868) at each of its `kernel` time steps: gain_k direction_k / |direction_k|.
    """

    def __init__(self, size: int, kernel: int = 128, groups: int = 16) -> None:
        """`size` D features in `groups`, each of which hears only itself."""
        super().__init__()
        self.groups = groups
        self.direction = nn.Parameter(torch.randn(size, size // groups, kernel) * math.sqrt(4 / (kernel * size)))
        self.gain = nn.Parameter(_norms(self.direction.detach()))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D); with `lengths` (B,), in frames, what lies beyond an utterance's end is silence."""
        if lengths is not None:
            frames = frames * (torch.arange(frames.shape[1], device=frames.device) < lengths[:, None])[..., None]
        with torch.autocast(frames.device.type, enabled=False):  # there is no Fourier transform in bf16
            exact = torch.promote_types(frames.dtype, torch.float32)
            direction = self.direction.to(exact)
            heard = slide(frames.to(exact), direction * (self.gain.to(exact) / _norms(direction)), self.groups)
        return F.gelu(heard.to(frames.dtype) + self.bias)


def slide(frames: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Slide `weight` (D, D / groups, kernel) over `frames` (B, T, D), centered and padded with zeros: what a grouped convolution does.

    An even kernel sees one frame more of the past than of the future. -> (B, T, D).

    So wide a kernel is worth a Fourier transform: blocks of two kernels' length, in each of which all but the last kernel - 1 results are
    free of the block's wrapping around ("overlap-save"). For 128 frames that is a thirtieth of the arithmetic.
    """
    kernel, time = weight.shape[2], frames.shape[1]
    length, hop = 2 * kernel, kernel + 1
    count = max(-(-time // hop), 1)
    before = kernel // 2
    blocks = F.pad(frames, (0, 0, before, count * hop + kernel - 1 - before - time)).unfold(1, length, hop)  # (B, count, D, length)
    heard = torch.fft.rfft(blocks).unflatten(2, (groups, -1)).permute(4, 2, 0, 1, 3)  # (kernel + 1, groups, B, count, D / groups)
    filters = torch.fft.rfft(weight, n=length).unflatten(0, (groups, -1)).permute(3, 0, 2, 1)  # (kernel + 1, groups, in, out)
    answers = (heard.flatten(2, 3) @ filters.conj()).unflatten(2, heard.shape[2:4]).permute(2, 3, 1, 4, 0)
    answered = torch.fft.irfft(answers.flatten(2, 3), n=length)[..., :hop]  # (B, count, D, hop)
    return answered.transpose(2, 3).flatten(1, 2)[:, :time]


def _norms(weight: Tensor) -> Tensor:
    """Length of the weight at each time step: (D, D / groups, kernel) -> (1, 1, kernel)."""
    return weight.square().sum((0, 1), keepdim=True).sqrt()
