"""WavLM: masked prediction of k-means labels with utterance mixing and gated relative position bias.

Chen et al., "WavLM: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing" (arXiv:2110.13900).

    utterance, others over it (data.mix) --> convolutions --> spans masked --> Transformer --> as HuBERT: labels of the utterance
                                                                                    |
             attention's logits, from frame i to frame j:  query . key  +  gate(frame i) x bias(j - i)             for each head

To predict the classes of a speaker under another's voice, a model must know who speaks: what HuBERT learns of content, it learns of
speakers too. How far apart two frames are is one table, shared by all blocks; how much it counts, each frame says for itself.
The code that pre-trained the published models was never released: "HuBERT's recipe, mixing and the bias" (unilm issues 526, 675, 901).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foresay.models.representation._masked_prediction import MaskedPrediction, MaskedPredictionSettings

GATE_SIZE = 8
"""Features that the two gates are summed from, four each (released code)."""


@dataclass(frozen=True)
class WavLMSettings(MaskedPredictionSettings):
    """WavLM BASE."""

    buckets: int = 320
    """Buckets of distances: half of them ahead, half behind."""
    farthest: int = 800
    """Frames: what is farther is as far."""


class WavLM(MaskedPrediction):
    """The loss is HuBERT's (`_masked_prediction.py`)."""

    def __init__(self, settings: WavLMSettings) -> None:
        s = settings
        super().__init__(s, GatedRelativePositions(s.size, s.layers, s.heads, s.buckets, s.farthest))


class GatedRelativePositions(nn.Module):
    """How far apart frames are, as much as the frame that looks wants to know: added to the attention's logits.

    What is added takes B x H x T x T numbers of memory in each block, which the attention keeps for the gradient: 15 MB an utterance and
    block with 12 heads, 15.6 s and bf16. HuBERT keeps none of it; where it is too much, `checkpoint` keeps that of one block at a time.
    Without a gradient it is that of one block, too: a minute takes 430 MB in fp32.

    All parameters are one tensor for all blocks, so that each has a gradient in every step, whichever blocks LayerDrop leaves out. (In the
    released code the table belongs to the first block: where that is left out, no block of the step knows any distance.)
    """

    def __init__(self, size: int, layers: int, heads: int, buckets: int, farthest: int) -> None:
        """Of a Transformer with so many blocks; distances fall into `buckets`, up to the `farthest`, in frames."""
        super().__init__()
        if buckets < 4 or buckets % 4 or farthest <= buckets // 4:  # noqa: PLR2004 - ahead and behind, near and far
            msg = f"{buckets} buckets up to a distance of {farthest}: give a multiple of 4, and more than a quarter of it as the distance"
            raise ValueError(msg)
        self.buckets, self.farthest = buckets, farthest
        self.table = nn.Parameter(0.02 * torch.randn(buckets, heads))  # as BERT, as all of the Transformer
        self.gate_weight = nn.Parameter(0.02 * torch.randn(layers, GATE_SIZE, size // heads))
        self.gate_bias = nn.Parameter(torch.zeros(layers, GATE_SIZE))
        self.gate_scale = nn.Parameter(torch.ones(layers, heads))

    def forward(self, frames: Tensor, block: int) -> Tensor:
        """Of what a block's attention is given (B, T, D), and its number -> (B, H, T, T)."""
        gates = self.gates(frames, block)
        return gates[..., None] * self.distances(frames.shape[1]).to(gates.dtype)

    def gates(self, frames: Tensor, block: int) -> Tensor:
        """Return how much distances count for each frame in each head: (B, T, D) -> (B, H, T).

        With the gates u and r, and s learned, a distance d counts as d + (1 - u) d + u s r d.
        """
        split = frames.unflatten(-1, (self.table.shape[1], self.gate_weight.shape[2]))  # (B, T, H, D / H)
        # Each gate is the sum of four features: that of their weights is less work.
        weight, bias = (parameter[block].unflatten(0, (2, -1)).sum(1) for parameter in (self.gate_weight, self.gate_bias))
        outer, inner = nn.functional.linear(split, weight, bias).sigmoid().unbind(-1)
        return (outer * (inner * self.gate_scale[block].to(outer.dtype) - 1) + 2).transpose(1, 2)

    def distances(self, frames: int) -> Tensor:
        """Look up what is added between every two of T frames, ungated: (H, T, T), from frame i (row) to frame j (column)."""
        apart = torch.arange(1 - frames, frames + 1, device=self.table.device)
        values = self.table[distance_buckets(apart, self.buckets, self.farthest)].T  # (H, 2 T), the last one for the round number only
        # Row i of what is wanted begins at T - 1 - i, so rows that are cut one number shorter than they are each begin one further left.
        rows = values[:, None].expand(-1, frames, -1).flatten(1)[:, frames - 1 : -1]
        return rows.unflatten(1, (frames, max(2 * frames - 1, 0)))[..., :frames]


def distance_buckets(apart: Tensor, buckets: int, farthest: int) -> Tensor:
    """Put distances j - i in frames, int64, into buckets of T5 (arXiv:1910.10683): one for each of the near, wider ones for the far.

    Half of the buckets are for what is ahead. Of each half, half are for distances one by one (80 of 320), the others widen with the
    logarithm of the distance up to `farthest`; what is farther is in the last one.

    Examples:
        >>> distance_buckets(torch.tensor([-1, 0, 1, 79, 80, -800, 5000]), 320, 800).tolist()
        [1, 0, 161, 239, 240, 159, 319]
    """
    side, near = buckets // 2, buckets // 4
    distance = apart.abs()
    share = torch.log(distance.clamp(min=1).float() / near) / math.log(farthest / near)
    far = (near + share * (side - near)).long().clamp(max=side - 1)
    return torch.where(distance < near, distance, far) + side * (apart > 0)
