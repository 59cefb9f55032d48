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


class TransformerPredictor(nn.Module):
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
        packed = packed.view(batch, positions, predictions, 3, self.attention_heads, HEAD_SIZE).permute(3, 2, 0, 4, 1, 5)
        queries, keys, values = packed.contiguous().flatten(2, 3)  # each (K, B H, W, 32)
        outputs = self._attend(queries, keys, values).unflatten(1, (batch, -1))  # (K, B, H, W, 32)
        outputs = outputs.transpose(2, 3).reshape(predictions, batch * positions, size) @ self.output
        # Post-norm, in (K, B W, D) layout.
        frames = self.attention_norm(contexts.reshape(1, batch * positions, size) + outputs)
        # ReLU comes after dropout, whose factors are not negative: the value is the same, and it needs no memory of its own.
        hidden = F.relu_(self.dropout(torch.baddbmm(self.inner_bias, frames, self.inner)))
        frames = self.final_norm(frames + torch.baddbmm(self.outer_bias, hidden, self.outer))
        return frames.view(predictions, batch, positions, size).transpose(0, 1)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Causal attention with logits (q_i . k_j + q_i . r_{i-j}) / sqrt(32); all (K, B H, W, 32)."""
        positions = queries.shape[2]
        queries = queries / math.sqrt(HEAD_SIZE)
        # Furthest distance first: then one shift of the rows puts r_{i-j} at column j.
        distances = torch.arange(positions - 1, -1, -1, device=queries.device).clamp(max=MAX_DISTANCE - 1)
        relative = F.pad(self.relative[:, distances], (0, 0, 1, 0))  # (K, 1 + W, 32), zeros in front
        by_distance = (queries.flatten(1, 2) @ relative.transpose(1, 2)).view(*queries.shape[:3], 1 + positions)
        future = torch.full((positions, positions), -torch.inf, dtype=by_distance.dtype, device=queries.device).triu(1)
        logits = (_shift_rows(by_distance) + future).flatten(0, 1).baddbmm_(queries.flatten(0, 1), keys.flatten(0, 1).transpose(1, 2))
        weights = logits.softmax(dim=-1)
        return (self.dropout(weights) @ values.flatten(0, 1)).view_as(values)


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
    """Move row i left by W - i, so that column j of row i holds distance i - j (valid for j <= i). (..., W, 1 + W) -> (..., W, W)."""
    rows, columns = by_distance.shape[-2:]
    return by_distance.view(*by_distance.shape[:-2], columns, rows)[..., 1:, :]  # read W at a time, every row starts one further on


def _uniform(shape: tuple[int, ...], fan_in: int) -> nn.Parameter:
    """U(+-1/sqrt(fan_in)): what `nn.Linear` draws."""
    return nn.Parameter(torch.empty(shape).uniform_(-1, 1) / math.sqrt(fan_in))
