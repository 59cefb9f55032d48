"""A training step of CPC and of ACPC written plainly from the specification of the reference code: what ours is measured against.

The same network and the same losses, written as in the authors' code: convolutions over (B, C, T), the channel norm spelled out,
K separate heads in a list, every negative gathered as a vector. Two ways from there:

* CPC: for each k the positive beside its negatives (B, 1 + N, W, D), times the prediction, mean over D, cross-entropy;
* ACPC: the scores of all K predictions as one product for each position, aligned by CTC whose blank is all but forbidden.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.models.representation.acpc import ACPC
from foresay.models.representation.cpc import CPC
from foresay.predictors import transformer
from reference.alignments import align_by_ctc

HEAD_SIZE, WIDENING = 32, 8


class _ChannelNorm(nn.Module):
    """Over the channels of every frame, with the unbiased variance: (B, C, T) -> (B, C, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, frames: Tensor) -> Tensor:
        mean = frames.mean(dim=1, keepdim=True)
        variance = frames.var(dim=1, keepdim=True)
        return (frames - mean) * torch.rsqrt(variance + 1e-5) * self.weight + self.bias


class _Attention(nn.Module):
    """Causal attention with relative positions: logits (q_i . k_j + q_i . r_{i-j}) / sqrt(d)."""

    def __init__(self, size: int, positions: int, dropout: float) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(size, size, bias=False) for _ in range(4))
        self.dropout = nn.Dropout(dropout)
        self.relative = nn.Parameter(torch.empty(HEAD_SIZE, positions).uniform_(-1, 1) / math.sqrt(HEAD_SIZE))
        """Column W - 1 - d is for distance d; one table for all attention heads."""
        self.register_buffer("future", torch.ones(positions, positions, dtype=torch.bool).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        batch, positions, size = x.shape
        heads = size // HEAD_SIZE
        queries, keys, values = (
            layer(x).view(batch, positions, heads, HEAD_SIZE).transpose(1, 2).reshape(batch * heads, positions, HEAD_SIZE)
            for layer in (self.query, self.key, self.value)
        )
        by_distance = queries @ self.relative  # (B H, W, W), distance W - 1 first
        # A zero before each row, read W at a time: row i has moved left by W - 1 - i.
        by_position = F.pad(by_distance, (1, 0)).reshape(-1, positions + 1, positions)[:, 1:]
        logits = (queries @ keys.transpose(1, 2) + by_position) / math.sqrt(HEAD_SIZE)
        weights = self.dropout(logits.masked_fill(self.future, -torch.inf).softmax(dim=-1))
        mixed = (weights @ values).view(batch, heads, positions, HEAD_SIZE).transpose(1, 2)
        return self.output(mixed.reshape(batch, positions, size))


class _Head(nn.Module):
    """One prediction: a causal Transformer layer, post-norm. (B, W, D) -> (B, W, D)."""

    def __init__(self, size: int, positions: int, dropout: float) -> None:
        super().__init__()
        self.attention = _Attention(size, positions, dropout)
        self.inner, self.outer = nn.Linear(size, WIDENING * size), nn.Linear(WIDENING * size, size)
        self.first_norm, self.second_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first_norm(x + self.attention(x))
        return self.second_norm(y + self.outer(self.dropout(F.relu(self.inner(y)))))


class PlainNetwork(nn.Module):
    """Encoder, two-layer LSTM and K heads for a fixed number of positions: the paper's network."""

    def __init__(self, predictions: int, positions: int, dropout: float = 0.1, size: int = 256) -> None:
        super().__init__()
        shapes = [(1, 10, 5, 3), (size, 8, 4, 2), *[(size, 4, 2, 1)] * 3]
        layers = [
            (nn.Conv1d(d_in, size, kernel, stride, padding), _ChannelNorm(size), nn.ReLU()) for d_in, kernel, stride, padding in shapes
        ]
        self.encoder = nn.Sequential(*(module for layer in layers for module in layer))
        self.context = nn.LSTM(size, size, num_layers=2, batch_first=True)
        self.heads = nn.ModuleList(_Head(size, positions, dropout) for _ in range(predictions))
        self.positions = positions

    def forward(self, waveforms: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, S) -> latents (B, T, D) and K predictions (B, W, D)."""
        latents = self.encoder(waveforms[:, None]).transpose(1, 2)
        contexts, _ = self.context(latents)
        return latents, [head(contexts[:, : self.positions]) for head in self.heads]


def draw_negatives(batch: int, frames: int, positions: int, count: int, group: int) -> Tensor:
    """Draw rows u x T + time of a group's frames, any but the position's own time: (B, W, N) int64."""
    utterances = torch.randint(group, (batch, positions, count))
    times = (torch.arange(positions)[:, None] + torch.randint(1, frames, (batch, positions, count))) % frames
    return utterances * frames + times


def gather_negatives(latents: Tensor, rows: Tensor, group: int) -> Tensor:
    """Copy out every negative of every position: latents (B, T, D), rows (B, W, N) -> (B, N, W, D)."""
    batch, frames, size = latents.shape
    first = torch.arange(batch, device=rows.device) // group * (group * frames)
    return latents.reshape(-1, size)[(first[:, None, None] + rows).transpose(1, 2)]


def elementwise_cpc_loss(predictions: Sequence[Tensor], latents: Tensor, negatives: Tensor) -> Tensor:
    """Sum over k of the cross-entropy of z_{t+k} among the negatives, a mean over positions; scores are means of products over D."""
    positions = predictions[0].shape[1]
    total = latents.new_zeros(())
    for k, prediction in enumerate(predictions, start=1):
        candidates = torch.cat([latents[:, None, k : k + positions], negatives], dim=1)  # (B, 1 + N, W, D)
        logits = (prediction[:, None] * candidates).mean(dim=-1)
        total = total + F.cross_entropy(logits, torch.zeros_like(logits[:, 0], dtype=torch.int64))
    return total


def ctc_acpc_loss(predictions: Sequence[Tensor], latents: Tensor, negatives: Tensor, matched: int) -> Tensor:
    """Cost of aligning the K predictions to the next M frames, a mean over positions; each cell contrasts its frame with the negatives."""
    heads = torch.stack(list(predictions), dim=-1)  # (B, W, D, K)
    positions, size = heads.shape[1:3]
    ahead = latents[:, 1:].unfold(1, matched, 1)[:, :positions].transpose(2, 3)  # (B, W, M, D)
    positives = ahead @ heads / size  # (B, W, M, K)
    rivals = torch.einsum("bnwd,bwdk->bwnk", negatives, heads) / size
    against = rivals.logsumexp(dim=2, keepdim=True).expand_as(positives)
    cells = torch.stack([positives, against]).log_softmax(dim=0)[0]
    return align_by_ctc(cells.flatten(0, 1)).mean()


def plain_copy(model: CPC | ACPC, positions: int) -> PlainNetwork:
    """Build the plain network with the weights of one of ours."""
    heads = model.predictor
    assert isinstance(heads, transformer.TransformerPredictor)
    count, size = model.settings.predictions, model.settings.channels
    plain = PlainNetwork(count, positions, model.settings.dropout, size)
    with torch.no_grad():
        for theirs, ours in zip(plain.encoder.parameters(), _encoder_parameters(model), strict=True):
            theirs.copy_(ours.view_as(theirs))
        for theirs, ours in zip(plain.context.parameters(), model.context.parameters(), strict=True):
            theirs.copy_(ours)
        for k, head in enumerate(plain.heads):
            for theirs, ours in zip(head.parameters(), _head_parameters(heads, k, positions), strict=True):
                theirs.copy_(ours)
    return plain


def _encoder_parameters(model: CPC | ACPC) -> list[Tensor]:
    """Of each layer: the convolution's weight and bias, the norm's."""
    return [
        parameter
        for convolution, norm in zip(model.encoder.convolutions, model.encoder.norms, strict=True)
        for parameter in (*convolution.parameters(), *norm.parameters())
    ]


def _head_parameters(heads: transformer.TransformerPredictor, k: int, positions: int) -> list[Tensor]:
    """Of head k, in the order of `_Head.parameters()`; ours multiply from the right but for queries, keys and values."""
    return [
        heads.relative[k, :positions].flip(0).T,
        *heads.query_key_value[k].chunk(3),
        heads.output[k].T,
        heads.inner[k].T,
        heads.inner_bias[k, 0],
        heads.outer[k].T,
        heads.outer_bias[k, 0],
        *(norm[k, 0] for norms in (heads.attention_norm, heads.final_norm) for norm in (norms.weight, norms.bias)),
    ]
