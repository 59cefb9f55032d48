"""Random-projection quantizer of BEST-RQ: labels from a projection and a codebook that are drawn once and never trained.

BEST-RQ (Chiu et al., arXiv:2202.01855, section 3.1); several books are USM's (arXiv:2303.01037), each with its own projection.

    frame (D) -- A, Xavier-uniform --> (16) -- to length 1 --> nearest of V entries, drawn from N(0, 1), to length 1 --> code

A frame and an entry are each brought to length 1 over their own 16 features. Between vectors of length 1 the nearest is that of the largest
product, so that one product of matrices finds it. What a frame's features mean must be alike everywhere (mean 0 and variance 1 in each
utterance): else a few codes take all frames.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay import draws

ROWS = 16_384
"""Frames that are compared at once: half a gigabyte with 8,192 codes."""


class RandomProjectionQuantizer(nn.Module):
    """Turns frames of D = `size` features into codes: G = `codebooks` numbers below V = `codes`.

    Projections and entries are buffers, which a checkpoint keeps, drawn on the CPU: the same on all devices.
    """

    projections: Tensor
    """(G, D, E)."""
    entries: Tensor
    """(G, V, E), each of length 1."""

    def __init__(self, size: int, codes: int = 8192, code_size: int = 16, codebooks: int = 1, seed: int | None = None) -> None:
        """`code_size`: E features in which frames and entries are compared. `seed` None: they are drawn as initial weights are."""
        super().__init__()
        random = None if seed is None else draws.generator("random projection", seed)
        bound = math.sqrt(6 / (size + code_size))
        projections = (2 * torch.rand(codebooks, size, code_size, generator=random, device="cpu") - 1) * bound
        entries = torch.randn(codebooks, codes, code_size, generator=random, device="cpu")
        self.register_buffer("projections", projections)
        self.register_buffer("entries", F.normalize(entries, dim=-1))

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        """(N, D) -> (N, G) int64; in full precision: neighbors in a codebook differ by less than half precision resolves."""
        with torch.autocast(frames.device.type, enabled=False):
            return torch.cat([self._nearest(part) for part in frames.to(self.entries.dtype).split(ROWS)])

    def _nearest(self, frames: Tensor) -> Tensor:
        projected = F.normalize(frames @ self.projections, dim=-1)  # (G, N, E)
        return (projected @ self.entries.mT).argmax(-1).T


def code_use(codes: Tensor, size: int) -> dict[str, Tensor]:
    """Say how many codes (N, G) below `size` are in use, for the log: their perplexity (a geometric mean over the books) and share."""
    counts = torch.zeros(codes.shape[1], size, device=codes.device)
    counts.scatter_add_(1, codes.T, torch.ones_like(codes.T, dtype=counts.dtype))
    shares = counts / len(codes)
    return {
        "code_use": (counts > 0).float().mean(),
        "code_perplexity": torch.exp(torch.special.entr(shares).sum(-1).mean()),
    }
