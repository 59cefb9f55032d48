"""Gumbel-softmax product quantizer: each latent becomes one of V^G codes, learnt jointly with the model.

vq-wav2vec (arXiv:1910.05453, section 3.1) and wav2vec 2.0 (arXiv:2006.11477, section 2): G codebooks choose one of their V entries each.

    latent (C) --> logits (G, V) --+--> softmax ------------------------------> probabilities, for the diversity loss
                                   |
                                   +--> (+ Gumbel noise) / temperature --> softmax --> gradient
                                                                   |                      :
                                                                   +--> largest: one entry of each codebook --> value (W)

Forward the choice is hard; backward it is the softmax (straight through): every entry learns whether it would have been the better one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay import draws
from foresay.errors import UserError


class Quantized(NamedTuple):
    """Quantized latents."""

    values: Tensor
    """(B, M, W): the chosen entries of the codebooks, side by side."""
    codes: Tensor
    """(B, M, G) int64: their indices."""
    probabilities: Tensor
    """(B, M, G, V): softmax of the logits, without noise and temperature."""


class GumbelQuantizer(nn.Module):
    """Turns latents of C = `size` features into entries of G = `codebooks` books of V = `codes`, W = `width` features all together."""

    def __init__(
        self, size: int, codebooks: int, codes: int, width: int, *, noise: bool = True, shared: bool = False, hidden: int = 0
    ) -> None:
        """Choose the books.

        Args:
            size: C.
            codebooks: G.
            codes: V.
            width: W.
            noise: whether codes are drawn by their probabilities in training; without it the most probable is chosen.
            shared: whether all G choose from one book (vq-wav2vec).
            hidden: features of a layer before the choice (vq-wav2vec); 0: none (wav2vec 2.0).
        """
        super().__init__()
        if width % codebooks:
            msg = f"entries of {codebooks} codebooks side by side cannot have {width} features: choose a multiple of {codebooks}"
            raise UserError(msg)
        self.noise, self.codebooks = noise, codebooks
        self.hidden = nn.Sequential(nn.Linear(size, hidden), nn.GELU()) if hidden else nn.Identity()
        self.projection = nn.Linear(hidden or size, codebooks * codes)
        nn.init.normal_(self.projection.weight)  # as the released code of wav2vec 2.0: sharp choices from the start
        nn.init.zeros_(self.projection.bias)
        self.entries = nn.Parameter(torch.rand(1 if shared else codebooks, codes, width // codebooks))

    def draw(self, places: int, keys: Tensor | None, purpose: draws.LearningPurpose = "codes") -> Tensor | None:
        """Draw the noise of so many latents an utterance, from their keys (B,), for a purpose: (B, M, G, V); None: there is none.

        Raises:
            UserError: there are no keys.
        """
        if not (self.training and self.noise):
            return None
        return gumbel_noise((places, self.codebooks, self.entries.shape[1]), keys, self.entries, purpose)

    def forward(self, latents: Tensor, temperature: float | Tensor, noise: Tensor | None = None) -> Quantized:
        """Quantize (B, M, C) latents; in training with the noise that was drawn.

        All in float32: neighbors in a codebook differ by less than half precision resolves.
        """
        with torch.autocast(latents.device.type, enabled=False):
            logits = self.projection(self.hidden(latents.to(self.entries.dtype)))
            logits = logits.unflatten(-1, (self.codebooks, -1))  # (B, M, G, V)
            noisy = logits if noise is None else logits + noise
            soft = (noisy / temperature).softmax(-1)
            codes = noisy.argmax(-1)
            hard = F.one_hot(codes, soft.shape[-1]).to(soft.dtype)
            chosen = hard + (soft - soft.detach())  # the bracket is exactly zero: equal codes have equal values
            values = torch.einsum("bmgv,gvd->bmgd", chosen, self.entries.expand(self.codebooks, -1, -1)).flatten(2)
        return Quantized(values, codes, logits.softmax(-1))


def gumbel_noise(shape: Sequence[int], keys: Tensor | None, like: Tensor, purpose: draws.LearningPurpose = "codes") -> Tensor:
    """Draw (B, *shape) numbers, each utterance's from its key: -log(-log(u)), u uniform.

    Raises:
        UserError: there are no keys.
    """
    if keys is None:
        msg = "this batch has no keys to draw codes from: BatchLoader gives them, or set Batch.keys to any (B,) integers"
        raise UserError(msg)
    noise = torch.empty(len(keys), *shape, dtype=like.dtype, device=like.device)
    for row, key in zip(noise, keys.tolist(), strict=True):
        row.exponential_(generator=draws.generator(purpose, key, device=like.device))
    return -noise.clamp_(min=1e-8).log_()  # an exact zero, one draw in 16 million, would be infinite


def perplexity(probabilities: Tensor) -> Tensor:
    """Return the perplexity of (…, V) probabilities: exp of their entropy, from 1 (always the same) to V (all alike). -> (…)."""
    return torch.exp(-torch.special.xlogy(probabilities, probabilities.clamp(min=1e-7)).sum(-1))


def code_use(codes: Tensor, real: Tensor, size: int) -> dict[str, Tensor]:
    """Say how many codes (B, M, G) below `size` are in use, for the log; `real` (B, M) are to be counted.

    Their perplexity for each codebook, a geometric mean, since books multiply: a few books in use do not hide that the others collapsed.
    And the share that occurs.
    """
    counts = (F.one_hot(codes, size) * real[..., None, None]).sum((0, 1)).float()  # (G, V)
    return {
        "code_perplexity": perplexity(counts / counts.sum(-1, keepdim=True)).log().mean().exp(),
        "code_use": (counts > 0).float().mean(),
    }


def falling_temperature(step: int, falling: float, start: float, floor: float) -> float:
    """Temperature at an update: from `start` it falls exponentially, for `falling` updates, to `floor`, and stays there."""
    return start * (floor / start) ** min(step / falling, 1.0)
