"""The Conformer's block as the papers write it down, number by number: slow, and on one utterance without padding."""

import math

import torch
from torch import Tensor

from foresay.layers.conformer import ConformerBlock, ConvolutionModule, RelativeAttention


def sinusoid(distance: int, size: int) -> Tensor:
    """Sines of a distance, from fast to slow, then its cosines: (D,)."""
    waves = [function(distance / 10_000 ** (2 * i / size)) for function in (math.sin, math.cos) for i in range(size // 2)]
    return torch.tensor(waves, dtype=torch.float64)


def attention_by_hand(attention: RelativeAttention, frames: Tensor, visible: Tensor) -> Tensor:
    """Transformer-XL's four parts of each logit: (T, D) -> (T, D); `visible` (T, T): which frames attend to which."""
    time, size = frames.shape
    heads, width = attention.heads, size // attention.heads
    queries, keys, values = attention.query_key_value(frames).view(time, 3, heads, width).unbind(1)
    u, v = attention.content_bias[:, 0], attention.distance_bias[:, 0]
    mixed = torch.zeros(time, heads, width, dtype=frames.dtype)
    for h in range(heads):
        weights = attention.distance.weight.view(heads, width, size)[h]
        for i in range(time):
            logits = torch.full((time,), -math.inf, dtype=frames.dtype)
            for j in range(time):
                if visible[i, j]:
                    far = weights @ sinusoid(i - j, size)
                    q, k = queries[i, h], keys[j, h]
                    logits[j] = (q @ k + q @ far + u[h] @ k + v[h] @ far) / math.sqrt(width)
            mixed[i, h] = sum(p * values[j, h] for j, p in enumerate(logits.softmax(0)))
    return attention.output(mixed.flatten(1))


def convolution_by_hand(module: ConvolutionModule, frames: Tensor) -> Tensor:
    """Gate, channel by channel the neighbors, norm, swish: (T, D) -> (T, D)."""
    time = len(frames)
    kernel = module.depthwise.weight.shape[2]
    value, gate = module.gated(module.norm(frames)).chunk(2, dim=-1)
    gated = value * torch.sigmoid(gate)
    convolved = module.depthwise.bias.repeat(time, 1)
    for t in range(time):
        for n in range(kernel):
            at = t + n - module.before
            if 0 <= at < time:
                convolved[t] += module.depthwise.weight[:, 0, n] * gated[at]
    normed = module.depthwise_norm(convolved)
    return module.output(normed * torch.sigmoid(normed))


def block_by_hand(block: ConformerBlock, frames: Tensor, visible: Tensor) -> Tensor:
    """The five lines of the paper's equation 1: (T, D) -> (T, D)."""

    def feed_forward(layers: torch.nn.Sequential, x: Tensor) -> Tensor:
        wide = layers[1](layers[0](x))
        return layers[4](wide * torch.sigmoid(wide))

    x = frames + feed_forward(block.first, frames) / 2
    x = x + attention_by_hand(block.attention, block.attention_norm(x), visible)
    x = x + convolution_by_hand(block.convolution, x)
    return block.norm(x + feed_forward(block.second, x) / 2)
