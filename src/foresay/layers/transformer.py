"""Transformer encoder of wav2vec 2.0, HuBERT and WavLM: blocks of bidirectional self-attention (arXiv:1706.03762, arXiv:2006.11477).

    post-norm (BASE)             pre-norm ("stable": LARGE on Libri-Light, XLS-R)

    x = norm(x)
    x = norm(x + attention(x))   x = x + attention(norm(x))    each block
    x = norm(x + mlp(x))         x = x + mlp(norm(x))
                                 x = norm(x)

Where they stand is said before (`PositionalConvolution`), or by what is added to the attention's logits.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Packing
from foresay.layers.dropout import Dropout, layers_kept, run_if_kept

PositionBias: TypeAlias = Callable[[Tensor, int], Tensor]
"""(what a block's attention is given (B, T, D), the block's number from 0) -> (B or 1, H, T, T), added to the attention's logits."""


class Transformer(nn.Module):
    """A stack of blocks, with the hidden states between them."""

    def __init__(
        self,
        size: int,
        layers: int,
        heads: int,
        inner: int,
        *,
        pre_norm: bool = False,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
        layer_drop: float = 0.0,
        checkpoint: bool = False,
    ) -> None:
        """`layer_drop`: probability that a block is left out of a step. `checkpoint`: compute blocks anew for their gradient: memory."""
        super().__init__()
        self.pre_norm, self.layer_drop, self.checkpoint = pre_norm, layer_drop, checkpoint
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(size)
        self.blocks = nn.ModuleList(
            TransformerBlock(size, heads, inner, number, pre_norm, dropout, attention_dropout, activation_dropout)
            for number in range(layers)
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):  # as BERT (arXiv:1810.04805)
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def set_dropout(self, *, dropout: float, activation_dropout: float, layer_drop: float) -> None:
        """Drop otherwise; `dropout`: all but the activations and whole blocks."""
        inner = {module.feed_forward[2] for module in self.modules() if isinstance(module, TransformerBlock)}
        for module in self.modules():
            if isinstance(module, Dropout):
                module.p = activation_dropout if module in inner else dropout
        self.layer_drop = layer_drop

    def draw(self, update: tuple[int, int] | None) -> Tensor | None:
        """Draw which blocks are run in training in an update, (seed, step): (L,) bool on the CPU; None: all."""
        return layers_kept(update, len(self.blocks), self.layer_drop if self.training else 0.0)

    def forward(
        self,
        frames: Tensor,
        lengths: Tensor | None = None,
        *,
        kept: Tensor | None = None,
        position_bias: PositionBias | None = None,
        depth: int | None = None,
        rows: Tensor | None = None,
    ) -> list[Tensor]:
        """Encode (B, T, D) frames, of which `lengths` (B,) are real; None: all, which is faster.

        `kept` (L,): which blocks are run, as `draw` draws it; None: all. `rows` (N,): the real frames among all B x T: with them nothing
        but the attention computes padding.
        `depth`: stop after so many blocks.

        Returns:
            What block 1 is given, what it gives, … what the last one gives, which is normalized in the pre-norm kind: each (B, T, D).
        """
        frames = self.dropout(frames if self.pre_norm else self.norm(frames))
        attended = None if lengths is None else _attended(frames, lengths)
        packing = None if rows is None else Packing(rows, (frames.shape[0], frames.shape[1]))
        frames = packing.packed(frames) if packing else frames
        states = [frames]
        for number, block in enumerate(self.blocks[:depth]):
            keep = None if kept is None else kept[number]
            frames = run_if_kept(keep, block, frames, attended, position_bias, packing, checkpoint=self.checkpoint)
            states.append(frames)
        if self.pre_norm and len(states) > len(self.blocks):
            states[-1] = self.norm(frames)
        return [packing.padded(state) for state in states] if packing else states


class TransformerBlock(nn.Module):
    """Attention and a feed-forward network, each added to what it read."""

    def __init__(
        self,
        size: int,
        heads: int,
        inner: int,
        number: int,
        pre_norm: bool,  # noqa: FBT001
        dropout: float,
        attention_dropout: float,
        activation_dropout: float,
    ) -> None:
        super().__init__()
        self.number, self.pre_norm = number, pre_norm
        self.attention = Attention(size, heads, attention_dropout)
        self.attention_norm = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(nn.Linear(size, inner), nn.GELU(), Dropout(activation_dropout), nn.Linear(inner, size))
        self.feed_forward_norm = nn.LayerNorm(size)
        self.dropout = Dropout(dropout)

    def forward(
        self, frames: Tensor, attended: Tensor | None, position_bias: PositionBias | None, packing: Packing | None = None
    ) -> Tensor:
        """(B, T, D) -> (B, T, D), or with `packing` (N, D) -> (N, D); `attended` (B, 1, 1, T): which frames are real."""
        if self.pre_norm:
            frames = frames + self.dropout(self._attend(self.attention_norm(frames), attended, position_bias, packing))
            return frames + self.dropout(self.feed_forward(self.feed_forward_norm(frames)))
        frames = self.attention_norm(frames + self.dropout(self._attend(frames, attended, position_bias, packing)))
        return self.feed_forward_norm(frames + self.dropout(self.feed_forward(frames)))

    def _attend(self, frames: Tensor, attended: Tensor | None, position_bias: PositionBias | None, packing: Packing | None) -> Tensor:
        bias = None
        if position_bias is not None:
            bias = position_bias(packing.padded(frames) if packing else frames, self.number)
        return self.attention(frames, _mask(attended, bias), packing)


class Attention(nn.Module):
    """Every frame looks at every frame, in `heads` ways."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(size, 3 * size)
        self.output = nn.Linear(size, size)
        self.dropout = Dropout(dropout)

    def forward(self, frames: Tensor, mask: Tensor | None, packing: Packing | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D), or with `packing` (N, D) -> (N, D).

        `mask`, (B, 1, 1, T) or (B or 1, H, T, T), says which frames are attended, or is added to the logits.
        """
        together = self.query_key_value(frames)
        together = (packing.padded(together) if packing else together).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = together.permute(2, 0, 3, 1, 4)  # each (B, H, T, D / H)
        outputs = self._attend(queries, keys, values, mask).transpose(1, 2).flatten(2)
        return self.output(packing.packed(outputs) if packing else outputs)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        p = self.dropout.p if self.training else 0.0
        if p == 0.0 or queries.device.type != "cpu":
            return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, dropout_p=p)
        # PyTorch has no fused attention with dropout for CPUs; its own way would draw the dropout mask slowly.
        logits = (queries / math.sqrt(queries.shape[-1])) @ keys.transpose(-1, -2)
        if mask is not None:
            logits = logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
        return self.dropout(logits.softmax(-1)) @ values


def _attended(frames: Tensor, lengths: Tensor) -> Tensor:
    """Return the mask of real frames: (B, 1, 1, T). One of no frames attends to one, as a softmax over nothing is not a number."""
    return (torch.arange(frames.shape[1], device=frames.device) < lengths.clamp(min=1)[:, None])[:, None, None]


def _mask(attended: Tensor | None, bias: Tensor | None) -> Tensor | None:
    """Put together which frames are real and what is added to the logits."""
    if attended is None or bias is None:
        return attended if bias is None else bias
    return bias.masked_fill(~attended, -torch.inf)


class PositionalConvolution(nn.Module):
    """GELU of a wide grouped convolution over time, to be added to the frames it read: it says where they stand (wav2vec 2.0, section 2).

    The weight is normalized (arXiv:1602.07868) at each of its `kernel` time steps: gain_k direction_k / |direction_k|.
    """

    def __init__(self, size: int, kernel: int = 128, groups: int = 16) -> None:
        """`size` D features in `groups`, each of which is convolved with itself only."""
        super().__init__()
        self.groups = groups
        self.direction = nn.Parameter(torch.randn(size, size // groups, kernel) * math.sqrt(4 / (kernel * size)))
        self.gain = nn.Parameter(_norms(self.direction.detach()))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D); with `lengths` (B,), in frames, what lies beyond an utterance's end is silence."""
        if lengths is not None:
            frames = frames * (torch.arange(frames.shape[1], device=frames.device) < lengths[:, None])[..., None]
        with torch.autocast(frames.device.type, enabled=False):  # there is no Fourier transform in bf16
            exact = torch.promote_types(frames.dtype, torch.float32)
            direction = self.direction.to(exact)
            outputs = slide(frames.to(exact), direction * (self.gain.to(exact) / _norms(direction)), self.groups)
        return F.gelu(outputs.to(frames.dtype) + self.bias)


def slide(frames: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Slide `weight` (D, D / groups, kernel) over `frames` (B, T, D), centered and padded with zeros: what a grouped convolution does.

    An even kernel covers one frame more of the past than of the future. -> (B, T, D).

    So wide a kernel is worth a Fourier transform: blocks of two kernels' length, in each of which all but the last kernel - 1 results are
    free of the block's wrapping around ("overlap-save"). For 128 frames that is a thirtieth of the arithmetic.
    """
    kernel, time = weight.shape[2], frames.shape[1]
    length, hop = 2 * kernel, kernel + 1
    count = time // hop + 1  # one too many where the time is a multiple: what is cut off below is then never nothing, for the compiler
    before = kernel // 2
    blocks = F.pad(frames, (0, 0, before, count * hop + kernel - 1 - before - time)).unfold(1, length, hop)  # (B, count, D, length)
    outputs = torch.fft.rfft(blocks).unflatten(2, (groups, -1)).permute(4, 2, 0, 1, 3)  # (kernel + 1, groups, B, count, D / groups)
    filters = torch.fft.rfft(weight, n=length).unflatten(0, (groups, -1)).permute(3, 0, 2, 1)  # (kernel + 1, groups, in, out)
    answers = (outputs.flatten(2, 3) @ filters.conj()).unflatten(2, outputs.shape[2:4]).permute(2, 3, 1, 4, 0)
    answered = torch.fft.irfft(answers.flatten(2, 3), n=length)[..., :hop]  # (B, count, D, hop)
    return answered.transpose(2, 3).flatten(1, 2)[:, :time]


def _norms(weight: Tensor) -> Tensor:
    """Length of the weight at each time step: (D, D / groups, kernel) -> (1, 1, kernel)."""
    return weight.square().sum((0, 1), keepdim=True).sqrt()
