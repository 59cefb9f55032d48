"""Cepstral mean and variance normalization (CMVN): each feature has mean 0 and variance 1 over an utterance.

What is the same in all of its frames, as the channel, the room and much of the voice, is gone (Viikki and Laurila, Speech Communication 25,
1998). Padding counts for nothing.
"""

import torch
from torch import Tensor

SMALLEST = 1e-5
"""Added to the variance: a feature that never changes becomes 0."""


def cmvn(frames: Tensor, counts: Tensor) -> Tensor:
    """Normalize frames (B, T, D), of which `counts` (B,), where the frames are, are real; what is beyond becomes 0."""
    real = (torch.arange(frames.shape[1], device=frames.device) < counts[:, None])[..., None]  # (B, T, 1)
    total = counts.clamp(min=1)[:, None, None]
    centred = (frames - torch.where(real, frames, 0.0).sum(1, keepdim=True) / total) * real
    variance = centred.square().sum(1, keepdim=True) / total
    return centred * (variance + SMALLEST).rsqrt()
