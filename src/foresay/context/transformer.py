"""Causal Transformer context: each frame attends to the 128 frames (1.28 s) that end with it.

The layer is that of the prediction heads (post-norm, relative positions, inner size 8 D, heads of size 32), as in the reference code,
whose `transformer` context is one such layer over windows of exactly 128 frames. Here the window slides, so audio may be of any length:

    latents  . . . . [ 127 frames of before | chunk of up to 128 ]      a chunk's queries, its and the past's keys
                                       |         |
                     state: what each layer was given last               masked: the future, and what lies 128 or more back
"""

import math

import torch
from torch import Tensor, nn

from foresay.context import Context, State
from foresay.layers.dropout import Dropout

HEAD_SIZE = 32
SEEN = 128
"""Frames that one layer attends to, the current one included; also the length of a chunk."""
DROPOUT = 0.1


class TransformerContext(Context):
    """`layers` causal layers, one chunk after the other: the whole is encoded chunk by chunk, too."""

    def __init__(self, latent_size: int, size: int, layers: int) -> None:
        super().__init__(latent_size, size, layers)
        if latent_size != size or size % HEAD_SIZE:
            msg = f"a Transformer context needs latents and contexts of one size, a multiple of {HEAD_SIZE}: got {latent_size} and {size}"
            raise ValueError(msg)
        self.stack = nn.ModuleList(_Layer(size) for _ in range(layers))

    def forward(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Contexts (B, T, D) of the latents (B, T, D), going on from `state`: the last frames (B, P, D) that each layer was given."""
        past = list(state) if isinstance(state, tuple) else [latents[:, :0]] * self.layers
        outputs = []
        for chunk in latents.split(SEEN, dim=1):
            frames = chunk
            for number, layer in enumerate(self.stack):
                both = torch.cat([past[number], frames], dim=1)
                past[number] = both[:, -(SEEN - 1) :]
                frames = layer(frames, both)
            outputs.append(frames)
        return torch.cat(outputs, dim=1), tuple(past)


class _Layer(nn.Module):
    """Attention over the last frames, then the feed-forward block; each adds and normalizes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.heads = size // HEAD_SIZE
        self.query, self.key, self.value, self.output = (nn.Linear(size, size, bias=False) for _ in range(4))
        self.relative = nn.Parameter(torch.empty(SEEN, HEAD_SIZE).uniform_(-1, 1) / math.sqrt(HEAD_SIZE))
        """A vector for each distance, shared by the heads."""
        self.attention_norm, self.final_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(nn.Linear(size, 8 * size), nn.ReLU(), Dropout(DROPOUT), nn.Linear(8 * size, size))
        self.dropout = Dropout(DROPOUT)

    def forward(self, frames: Tensor, both: Tensor) -> Tensor:
        """`frames` (B, T, D) are the last of `both` (B, P + T, D). -> (B, T, D)."""
        count, total = frames.shape[1], both.shape[1]
        queries = self._split(self.query(frames))  # (B, H, T, 32)
        keys, values = self._split(self.key(both)), self._split(self.value(both))
        distance = torch.arange(total - count, total, device=frames.device)[:, None] - torch.arange(total, device=frames.device)
        by_distance = queries @ self.relative.T  # (B, H, T, SEEN)
        relative = by_distance.gather(-1, distance.clamp(0, SEEN - 1).expand(*by_distance.shape[:2], -1, -1))
        logits = (queries @ keys.transpose(-1, -2) + relative) / math.sqrt(HEAD_SIZE)
        weights = logits.masked_fill((distance < 0) | (distance >= SEEN), -torch.inf).softmax(dim=-1)
        attended = (self.dropout(weights) @ values).transpose(1, 2).flatten(2)  # (B, T, D)
        frames = self.attention_norm(frames + self.output(attended))
        normalized: Tensor = self.final_norm(frames + self.feed_forward(frames))
        return normalized

    def _split(self, packed: Tensor) -> Tensor:
        """(B, T, D) -> (B, H, T, 32)."""
        return packed.unflatten(-1, (self.heads, HEAD_SIZE)).transpose(1, 2)
