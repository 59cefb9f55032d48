"""Vector quantization (VQ): the nearest of V codewords, which follow moving averages of what is quantized to them.

van den Oord et al., "Neural discrete representation learning" (arXiv:1711.00937), section 3 and appendix A.1: the gradient of a codeword
goes on to the vector in whose place it stands, and codewords have none. Dead ones are restarted at vectors of the batch, as in Dhariwal et
al., "Jukebox" (arXiv:2005.00341), section 3.

    vector (D) --> nearest of V codewords --> codeword (D)                backward: as if it were the vector
                                  after the update: codeword = moving sum of its vectors / moving count of them
"""

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from foresay import draws
from foresay.contracts import on_host, sent

DEAD = 0.05
"""A codeword that is used less often than this share of their mean use is restarted."""


class VectorQuantized(NamedTuple):
    """Vectors quantized."""

    values: Tensor
    """(B, M, D): codewords, whose gradient is that of the vectors."""
    codes: Tensor
    """(B, M) int64."""
    distances: Tensor
    """(B, M): squared, from the vectors to their codewords: what the vectors are to make small (commitment)."""


class MovingCodebook(nn.Module):
    """V = `codes` codewords of D = `size` features."""

    codewords: Tensor
    """(V, D)."""
    counts: Tensor
    """(V,): vectors of each that an update has, in the mean of the last ones."""
    sums: Tensor
    """(V, D): of these vectors."""

    def __init__(self, codes: int, size: int, *, decay: float = 0.99) -> None:
        """`decay`: of the moving averages, from an update to the next."""
        super().__init__()
        self.decay = decay
        self.register_buffer("codewords", torch.zeros(codes, size))
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, size))
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, vectors: Tensor) -> VectorQuantized:
        """Quantize vectors (B, M, D), in float32: half precision does not resolve neighbors."""
        with torch.autocast(vectors.device.type, enabled=False):
            vectors = vectors.float()
            distances = (vectors[..., None, :] - self.codewords).square().sum(-1)  # (B, M, V)
            codes = distances.argmin(-1)
            chosen = self.codewords[codes]
            return VectorQuantized(vectors + (chosen - vectors).detach(), codes, (vectors - chosen).square().sum(-1))

    @on_host
    def wait(self, vectors: Tensor, codes: Tensor, lengths: Tensor) -> None:
        """Let vectors (B, M, D) with their codes (B, M), of which `lengths` (B,), on the CPU, are real, wait for the end of the update."""
        if self.training:
            real = sent(torch.arange(codes.shape[1]) < lengths[:, None], codes.device)
            self._waiting.append((vectors.detach().float().flatten(0, 1), codes.flatten(), real.flatten().float()))

    @torch.no_grad()
    def after_step(self, *numbers: int) -> None:
        """Move the codewords to what all devices quantized in an update, unless something of it was not finite.

        `numbers`: what is drawn for those that are restarted comes from them, a seed and an update.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        vectors, codes, real = (torch.cat(parts) for parts in zip(*waiting, strict=True))
        member = real[:, None] * (codes[:, None] == torch.arange(len(self.counts), device=codes.device))  # (N, V)
        counts, sums = member.sum(0), member.T @ vectors
        drawn = self._drawn(vectors, real, numbers)
        if dist.is_initialized():
            dist.all_reduce(counts)
            dist.all_reduce(sums)
            dist.broadcast(drawn, 0)
        unborn = self.counts == 0  # before the first update
        counts = self.counts.lerp(counts, 1 - self.decay)
        sums = self.sums.lerp(sums, 1 - self.decay)
        dead = (counts < DEAD * counts.mean()) | unborn
        counts = torch.where(dead, counts.mean(), counts)
        sums = torch.where(dead[:, None], counts[:, None] * drawn, sums)
        moved = sums / counts[:, None]
        finite = moved.isfinite().all()
        for buffer, new in ((self.codewords, moved), (self.counts, counts), (self.sums, sums)):
            buffer.copy_(torch.where(finite, new, buffer))

    def _drawn(self, vectors: Tensor, real: Tensor, numbers: tuple[int, ...]) -> Tensor:
        """Draw V of the real ones among vectors (N, D), the same one several times only if there are fewer: (V, D)."""
        order = torch.rand(len(vectors), generator=draws.generator("restarted codewords", *numbers))
        best = (sent(order, vectors.device) + real).argsort(descending=True)  # the real ones first
        places = torch.arange(len(self.counts), device=vectors.device) % real.sum().clamp(min=1).long()
        return vectors[best[places]]
