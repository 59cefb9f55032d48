"""Dropout, whose mask is cheap to draw on a CPU, where drawing it costs as much as a large matrix product; and that of whole blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay import draws

CHOICES = 2**16
"""Values of the random number that decides for one element; 64 random bits serve four elements."""


class Dropout(nn.Module):
    """Zero each element with probability p in training, scaling the rest by 1 / (1 - p); p is exact to 1/65536. Any shape.

    On a GPU this is `F.dropout`; on a CPU the same law from a quarter of the draws, about three times faster.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Drop elements, if in training; any shape (…, D)."""
        if not self.training or self.p == 0.0:
            return values
        if values.device.type != "cpu":
            return F.dropout(values, self.p)
        draws = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        numbers = draws.view(torch.int16)[: values.numel()].view(values.shape)  # -CHOICES/2 ... CHOICES/2 - 1
        kept = numbers.ge_(round(self.p * CHOICES) - CHOICES // 2)  # 1 or 0, as int16: PyTorch is slow with bool
        return values * kept.to(values.dtype).div_(1 - self.p)


def layers_kept(update: tuple[int, int] | None, layers: int, probability: float) -> list[bool]:
    """Draw the blocks that an update runs: each is left out with the same probability (LayerDrop, arXiv:1909.11556).

    The draw belongs to the `update`, (seed, step): it is the same on all devices and in all micro-batches. None: no block is left out.
    """
    if probability == 0.0 or update is None:
        return [True] * layers
    return [bool(kept) for kept in draws.stream("kept layers", *update).random(layers) >= probability]
