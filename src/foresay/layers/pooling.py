"""Pooling over time: one vector of the frames of an utterance."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

Pooling: TypeAlias = Literal["mean", "last"]


def pooled(values: Tensor, lengths: Tensor, how: Pooling) -> Tensor:
    """Make one vector of the frames of each: (B, T, D) of which `lengths` (B,) are real -> (B, D)."""
    lengths = lengths.to(values.device)
    if how == "last":
        return values[torch.arange(len(values), device=values.device), lengths - 1]
    real = torch.arange(values.shape[1], device=values.device) < lengths[:, None]
    return (values * real[..., None]).sum(dim=1) / lengths[:, None]
