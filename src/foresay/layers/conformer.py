"""Conformer: blocks of self-attention and convolution between two half feed-forward layers (Gulati et al., arXiv:2005.08100, section 2).

    x = x + 1/2 mlp(norm(x))
    x = x + attention(norm(x))         by what is there, and by how far away it is
    x = x + convolution(norm(x))       linear -> GLU -> depthwise convolution -> norm -> swish -> linear
    x = x + 1/2 mlp(norm(x))
    x = norm(x)                        each block

The norm of the convolution is a layer norm, where the paper has a batch norm: in training, too, the features of an utterance must not
depend on its batch mates, nor on how many devices share a batch. After an utterance's end the input of the depthwise convolution is zero.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.errors import UserError
from foresay.layers.dropout import Dropout, layers_kept, run_if_kept


class Conformer(nn.Module):
    """A stack of blocks, with the hidden states between them; it is called as `layers/transformer.py`'s Transformer is."""

    def __init__(
        self,
        size: int,
        layers: int,
        heads: int,
        inner: int,
        *,
        kernel: int = 31,
        causal: bool = False,
        left_context: int | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        layer_drop: float = 0.0,
        checkpoint: bool = False,
    ) -> None:
        """Of `layers` blocks with D = `size` features; the convolution covers `kernel` frames.

        `causal`: a frame attends to itself and the past only, for streams. `left_context`: frames before it that it attends to; None: all.
        `layer_drop`: probability that a block is left out of a step. `checkpoint`: compute blocks anew for their gradient: memory.
        """
        super().__init__()
        _check(size, heads, kernel, causal=causal)
        self.causal, self.left_context, self.layer_drop, self.checkpoint = causal, left_context, layer_drop, checkpoint
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(ConformerBlock(size, heads, inner, kernel, causal, dropout, attention_dropout) for _ in range(layers))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def draw(self, update: tuple[int, int] | None) -> Tensor | None:
        """Draw which blocks are run in training in an update, (seed, step): (L,) bool on the CPU; None: all."""
        return layers_kept(update, len(self.blocks), self.layer_drop if self.training else 0.0)

    def forward(
        self, frames: Tensor, lengths: Tensor | None = None, *, kept: Tensor | None = None, depth: int | None = None
    ) -> list[Tensor]:
        """Encode (B, T, D) frames, of which `lengths` (B,) are real; None: all.

        `kept` (L,): which blocks are run, as `draw` draws it; None: all. `depth`: stop after so many blocks.

        Returns:
            What block 1 is given, what it gives, … what the last one gives: each (B, T, D).
        """
        frames = self.dropout(frames)
        real = None if lengths is None else (torch.arange(frames.shape[1], device=frames.device) < lengths[:, None])[..., None]
        seen = self._visible(frames.shape[1], real)
        positions = sinusoids(frames.shape[1], frames.shape[2], frames.device)
        states = [frames]
        for number, block in enumerate(self.blocks[:depth]):
            keep = None if kept is None else kept[number]
            frames = run_if_kept(keep, block, frames, positions, seen, real, checkpoint=self.checkpoint)
            states.append(frames)
        return states

    def _visible(self, time: int, real: Tensor | None) -> Tensor | None:
        """Return which frames (columns) each frame (row) may attend to: (B or 1, 1, T, T); None: all of them."""
        if real is None and not self.causal and self.left_context is None:
            return None
        device = None if real is None else real.device
        at = torch.arange(time, device=device)
        apart = at[:, None] - at
        seen = (apart >= 0) if self.causal else torch.ones_like(apart, dtype=torch.bool)
        if self.left_context is not None:
            seen = seen & (apart <= self.left_context)
        if real is not None:
            seen = seen & real.mT
        return (seen | (apart == 0)).view(-1, 1, time, time)  # padding attends to itself: a softmax over nothing is not a number


class ConformerBlock(nn.Module):
    """Two halves of a feed-forward network, and attention and convolution between them."""

    def __init__(
        self,
        size: int,
        heads: int,
        inner: int,
        kernel: int,
        causal: bool,  # noqa: FBT001
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.first = _feed_forward(size, inner, dropout)
        self.attention_norm = nn.LayerNorm(size)
        self.attention = RelativeAttention(size, heads, attention_dropout)
        self.dropout = Dropout(dropout)
        self.convolution = ConvolutionModule(size, kernel, dropout, causal=causal)
        self.second = _feed_forward(size, inner, dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, frames: Tensor, positions: Tensor, seen: Tensor | None, real: Tensor | None) -> Tensor:
        """(B, T, D) -> (B, T, D); `positions`: `sinusoids`; `seen` (B or 1, 1, T, T): the attention mask; `real` (B, T, 1): not padding."""
        frames = frames + 0.5 * self.first(frames)
        frames = frames + self.dropout(self.attention(self.attention_norm(frames), positions, seen))
        frames = frames + self.convolution(frames, real)
        return self.norm(frames + 0.5 * self.second(frames))


class RelativeAttention(nn.Module):
    """Every frame looks at every frame, for what it is and for how far away it is, in `heads` ways (Transformer-XL, arXiv:1901.02860, 3.3).

    From frame i to frame j:  (q_i + u) . k_j  +  (q_i + v) . W r(i - j), all by sqrt(D / H): r a sinusoid, u and v learned for each head.
    The second part is B x H x T x T numbers that the gradient needs: at 25 Hz 2.4 MB an utterance and block, with 8 heads, 15.6 s and bf16.
    """

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(size, 3 * size)
        self.distance = nn.Linear(size, size, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(heads, 1, size // heads))
        self.distance_bias = nn.Parameter(torch.zeros(heads, 1, size // heads))
        self.output = nn.Linear(size, size)
        self.dropout = dropout

    def forward(self, frames: Tensor, positions: Tensor, seen: Tensor | None) -> Tensor:
        """(B, T, D) and the sinusoids (2 T, D) -> (B, T, D); `seen` (B or 1, 1, T, T): which columns a row may look at."""
        packed = self.query_key_value(frames).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = packed.permute(2, 0, 3, 1, 4)  # each (B, H, T, D / H)
        distances = (
            self.distance(positions.to(self.distance.weight.dtype)).unflatten(-1, (self.heads, -1)).transpose(0, 1)
        )  # (H, 2 T, D / H)
        logits = by_distance((queries + self.distance_bias.to(queries.dtype)) @ distances.mT.to(queries.dtype))
        logits = logits / math.sqrt(queries.shape[-1])
        if seen is not None:
            logits = logits.masked_fill(~seen, -torch.inf)
        p = self.dropout if self.training else 0.0
        content = queries + self.content_bias.to(queries.dtype)
        outputs = F.scaled_dot_product_attention(content, keys, values, attn_mask=logits, dropout_p=p)
        return self.output(outputs.transpose(1, 2).flatten(2))


class ConvolutionModule(nn.Module):
    """What a frame's neighbors say, channel by channel (section 2.2)."""

    def __init__(self, size: int, kernel: int, dropout: float, *, causal: bool) -> None:
        super().__init__()
        self.before, self.after = (kernel - 1, 0) if causal else (kernel // 2, kernel // 2)
        self.norm = nn.LayerNorm(size)
        self.gated = nn.Linear(size, 2 * size)
        self.depthwise = nn.Conv1d(size, size, kernel, groups=size)
        self.depthwise_norm = nn.LayerNorm(size)
        self.output = nn.Linear(size, size)
        self.dropout = Dropout(dropout)

    def forward(self, frames: Tensor, real: Tensor | None) -> Tensor:
        """(B, T, D) -> (B, T, D), what is to be added; `real` (B, T, 1): not padding, which is silence."""
        outputs = F.glu(self.gated(self.norm(frames)))
        if real is not None:
            outputs = outputs * real
        outputs = self.depthwise(F.pad(outputs.mT, (self.before, self.after))).mT
        return self.dropout(self.output(F.silu(self.depthwise_norm(outputs))))


def sinusoids(time: int, size: int, device: torch.device) -> Tensor:
    """Write down the distances T, T - 1, … 1 - T as sines and cosines (arXiv:1706.03762, section 3.5) -> (2 T, D)."""
    distances = torch.arange(time, -time, -1, device=device, dtype=torch.float32)
    rates = torch.exp(torch.arange(0, size, 2, device=device) * (-math.log(10_000) / size))
    angles = distances[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def by_distance(scores: Tensor) -> Tensor:
    """Read scores (B, H, T, 2 T) of the distances T … 1 - T at i - j: (B, H, T, T), from frame i (row) to frame j (column).

    Row i of what is wanted begins at T - i, so rows that are cut one number shorter than they are each begin one further left.
    """
    time = scores.shape[-2]
    return scores.flatten(-2)[..., time:].unflatten(-1, (time, 2 * time - 1))[..., :time]


def _feed_forward(size: int, inner: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(size), nn.Linear(size, inner), nn.SiLU(), Dropout(dropout), nn.Linear(inner, size), Dropout(dropout))


def _check(size: int, heads: int, kernel: int, *, causal: bool) -> None:
    if size % 2 or size % heads:
        msg = f"{size} features do not divide into {heads} heads, or not into sines and cosines: choose an even multiple of the heads"
        raise UserError(msg)
    if kernel < 1 or (not causal and kernel % 2 == 0):
        msg = f"a convolution of {kernel} frames has no middle frame: choose an odd kernel (Conformer: 31), or a causal one, which has none"
        raise UserError(msg)
