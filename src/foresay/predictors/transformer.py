"""Transformer prediction heads: each of the K predictions reads all past contexts through one causal layer of its own.

The heads of Rivière et al. (arXiv:2002.02848) and of ACPC (arXiv:2104.11946, section 4): post-norm, relative positions, inner size
8 D, heads of size 32, dropout on the attention weights and inside the feed-forward block.

    c (B, W, D) --> Q, K, V of all K networks in one product --> causal attention + relative positions --> + c --> LayerNorm
                --> feed-forward 8 D --> + --> LayerNorm --> p (B, K, W, D)

All K networks read the same contexts, so their products are batched; the values are those of K separate networks.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.layers.dropout import Dropout

HEAD_SIZE = 32
MAX_DISTANCE = 128
"""Relative positions have a learned vector each up to here (1.28 s of 10 ms frames); beyond it they share the last one."""


class Predictor(nn.Module):
    """K causal Transformer layers over the same contexts, for sequences of any length."""

    def __init__(self, context_size: int, latent_size: int, predictions: int, dropout: float) -> None:
        super().__init__()
        if context_size != latent_size or latent_size % HEAD_SIZE:
            msg = (
                f"Transformer heads need contexts and latents of one size, a multiple of {HEAD_SIZE}: got {context_size} and {latent_size}"
            )
            raise ValueError(msg)
        size, inner = latent_size, 8 * latent_size
        self.attention_heads = size // HEAD_SIZE
        self.dropout = Dropout(dropout)
        self.query_key_value = _uniform((predictions, 3 * size, size), size)
        self.relative = _uniform((predictions, MAX_DISTANCE, HEAD_SIZE), HEAD_SIZE)
        self.output = _uniform((predictions, size, size), size)
        self.inner = _uniform((predictions, size, inner), size)
        self.inner_bias = _uniform((predictions, 1, inner), size)
        self.outer = _uniform((predictions, inner, size), inner)
        self.outer_bias = _uniform((predictions, 1, size), inner)
        self.attention_norm = _Norms(predictions, size)
        self.final_norm = _Norms(predictions, size)

    def forward(self, contexts: Tensor) -> Tensor:
        """(B, W, D) -> (B, K, W, D)."""
        batch, positions, size = contexts.shape
        predictions = self.output.shape[0]
        packed = F.linear(contexts, self.query_key_value.flatten(0, 1))  # (B, W, K 3 D)
        # (3, K, B, H, W, 32)
        queries, keys, values = packed.view(batch, positions, predictions, 3, self.attention_heads, HEAD_SIZE).permute(3, 2, 0, 4, 1, 5)
        heard = self._attend(queries, keys, values)  # (K, B, H, W, 32)
        heard = heard.transpose(2, 3).reshape(predictions, batch * positions, size) @ self.output
        # Post-norm, in (K, B W, D) layout.
        frames = self.attention_norm(contexts.reshape(1, batch * positions, size) + heard)
        hidden = self.dropout(F.relu(torch.baddbmm(self.inner_bias, frames, self.inner)))
        frames = self.final_norm(frames + torch.baddbmm(self.outer_bias, hidden, self.outer))
        return frames.view(predictions, batch, positions, size).transpose(0, 1)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Causal attention with logits (q_i . k_j + q_i . r_{i-j}) / sqrt(32); all (K, B, H, W, 32)."""
        predictions, _batch, _heads, positions, _ = queries.shape
        # Furthest distance first: then one shift of the rows puts r_{i-j} at column j.
        distances = torch.arange(positions - 1, -1, -1, device=queries.device).clamp(max=MAX_DISTANCE - 1)
        relative = self.relative[:, distances]  # (K, W, 32)
        by_distance = (queries.reshape(predictions, -1, HEAD_SIZE) @ relative.transpose(1, 2)).view(*queries.shape[:4], positions)
        logits = (queries @ keys.transpose(-1, -2) + _shift_rows(by_distance)) / math.sqrt(HEAD_SIZE)
        future = torch.ones(positions, positions, dtype=torch.bool, device=queries.device).triu(1)
        weights = logits.masked_fill(future, -torch.inf).softmax(dim=-1)
        return self.dropout(weights) @ values


class _Norms(nn.Module):
    """K layer norms, each over its own (B W, D) frames."""

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(count, 1, size))
        self.bias = nn.Parameter(torch.zeros(count, 1, size))

    def forward(self, frames: Tensor) -> Tensor:
        """(K, B W, D) -> (K, B W, D)."""
        return F.layer_norm(frames, frames.shape[-1:]) * self.weight + self.bias


def _shift_rows(by_distance: Tensor) -> Tensor:
    """Move row i left by W - 1 - i, so that column j of row i holds distance i - j (valid for j <= i). (..., W, W) -> (..., W, W)."""
    rows, columns = by_distance.shape[-2:]
    padded = F.pad(by_distance, (1, 0))  # one zero before each row: read W at a time, every row starts one further on
    return padded.view(*by_distance.shape[:-2], columns + 1, rows)[..., 1:, :]


def _uniform(shape: tuple[int, ...], fan_in: int) -> nn.Parameter:
    """U(+-1/sqrt(fan_in)): what `nn.Linear` draws."""
    return nn.Parameter(torch.empty(shape).uniform_(-1, 1) / math.sqrt(fan_in))
