"""Dropout with a mask that is cheap to draw on a CPU (where PyTorch's costs as much as a large matrix product), and LayerDrop."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import checkpoint as checkpointing

from foresay import draws

CHOICES = 2**16
"""Values of the random number that decides for one element; 64 random bits serve four elements."""


class Dropout(nn.Module):
    """Zero each element with probability p in training, scaling the rest by 1 / (1 - p); p is exact to 1/65536. Any shape.

    On a GPU, and where it is compiled, this is `F.dropout`; on a CPU the same law from a quarter of the draws, about three times faster.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Drop elements, if in training; any shape (…, D)."""
        if not self.training or self.p == 0.0:
            return values
        if values.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(values, self.p)
        draws = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        numbers = draws.view(torch.int16)[: values.numel()].view(values.shape)  # -CHOICES/2 ... CHOICES/2 - 1
        kept = numbers.ge_(round(self.p * CHOICES) - CHOICES // 2)  # 1 or 0, as int16: PyTorch is slow with bool
        return values * kept.to(values.dtype).div_(1 - self.p)


def layers_kept(update: tuple[int, int] | None, layers: int, probability: float) -> Tensor | None:
    """Draw the blocks that an update runs: each is left out with the same probability (LayerDrop, arXiv:1909.11556).

    The draw belongs to the `update`, (seed, step): it is the same on all devices and in all micro-batches. -> (L,) bool on the CPU; None:
    no block is left out.
    """
    if probability == 0.0 or update is None:
        return None
    return torch.from_numpy(draws.stream("kept layers", *update).random(layers) >= probability)


def run_if_kept(keep: Tensor | None, block: nn.Module, frames: Tensor, *more: Any, checkpoint: bool) -> Tensor:  # noqa: ANN401 - the block's
    """Run a block on (B, T, D) frames, unless `keep` (), on the CPU, says to leave it out. `checkpoint`: compute it anew for its gradient.

    Compiled, it is computed in either case: a graph for each choice of blocks would be compiled anew in every update.
    """
    compiled = torch.compiler.is_compiling()
    if keep is not None and not compiled and not keep:
        # Its parameters have the gradient zero, so that all devices and micro-batches exchange the same set of gradients.
        return frames + 0 * torch.stack([p.flatten()[0] for p in block.parameters()]).sum()
    if checkpoint and torch.is_grad_enabled():
        found: Tensor = checkpointing.checkpoint(block, frames, *more, use_reentrant=False)
    else:
        found = block(frames, *more)
    return torch.where(keep.to(frames.device, non_blocking=True), found, frames) if compiled and keep is not None else found
