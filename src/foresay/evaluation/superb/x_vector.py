"""x-vectors: an utterance becomes one vector, which says who speaks (Snyder et al., ICASSP 2018), learnt by cosines with known speakers.

frames (B, T, D) --> linear --> TDNN, contexts 5, 3, 3, 1, 1 --> mean and deviation over time --> linear, ReLU --> embedding (B, E)
|
in training, cosines with the weights of the known speakers (B, C) <-- linear, ReLU <-------+
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.evaluation.superb.heads import summed
from foresay.evaluation.superb.layer_sum import LayerSum

CONTEXTS, DILATIONS = (5, 3, 3, 1, 1), (1, 2, 3, 1, 1)
"""Frames of each layer, and how far they are from each other."""
LOST = sum((context - 1) * dilation for context, dilation in zip(CONTEXTS, DILATIONS, strict=True))
"""Frames at both ends of an utterance, in all, that are not in the middle of a context."""
LEAST = 1e-10
"""Variance whose root still has a gradient."""


class XVectorHead(nn.Module):
    """Embeds an utterance when it is judged, and compares it with the speakers to learn from when it learns."""

    def __init__(self, added: LayerSum, frames: nn.Module, sizes: tuple[int, int], speakers: int, *, normed: bool) -> None:
        """`frames`: what is computed of each frame, (B, T, D) -> (B, T or fewer, P). `sizes`: P, and E of the embedding."""
        super().__init__()
        pooled, embedded = sizes
        self.sum, self.normed, self.frames = added, normed, frames
        self.embedding, self.output = nn.Linear(2 * pooled, embedded), nn.Linear(embedded, embedded)
        self.speakers = nn.Parameter(nn.init.xavier_normal_(torch.empty(speakers, embedded)))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, L, D) -> cosines with speakers (B, C), or, in `eval()`, embeddings (B, E)."""
        found = self.frames(summed(self.sum, frames, normed=self.normed))
        counts = (lengths.to(found.device) - (frames.shape[1] - found.shape[1])).clamp(min=1)
        embedded = F.relu(self.embedding(mean_and_deviation(found, counts)))
        if not self.training:
            return embedded
        return F.linear(F.normalize(F.relu(self.output(embedded)), dim=-1), F.normalize(self.speakers, dim=-1))


class TDNN(nn.Module):
    """Layers over a frame and some around it, each with ReLU. What is shorter than all contexts together is padded, as in a batch."""

    def __init__(self, size: int, hidden: int, last: int) -> None:
        """`size`: D. `hidden`: of all layers but the `last`."""
        super().__init__()
        self.projector = nn.Linear(size, hidden)
        sizes = [hidden] * len(CONTEXTS) + [last]
        self.layers = nn.ModuleList(
            nn.Linear(context * before, after) for context, before, after in zip(CONTEXTS, sizes[:-1], sizes[1:], strict=True)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, D) -> (B, T - LOST, last)."""
        frames = self.projector(F.pad(frames, (0, 0, 0, max(0, LOST + 1 - frames.shape[1]))))
        for layer, context, dilation in zip(self.layers, CONTEXTS, DILATIONS, strict=True):
            count = frames.shape[1] - (context - 1) * dilation
            around = [frames[:, place * dilation : place * dilation + count] for place in range(context)]
            frames = F.relu(layer(torch.cat(around, -1)))
        return frames


def mean_and_deviation(frames: Tensor, lengths: Tensor) -> Tensor:
    """Pool frames (B, T, D), of which `lengths` (B,) are real, over time: (B, 2D)."""
    real = (torch.arange(frames.shape[1], device=frames.device) < lengths[:, None])[..., None]
    mean = torch.where(real, frames, 0.0).sum(1) / lengths[:, None]
    variance = torch.where(real, frames - mean[:, None], 0.0).square().sum(1) / lengths[:, None]
    return torch.cat([mean, variance.clamp(min=LEAST).sqrt()], -1)
