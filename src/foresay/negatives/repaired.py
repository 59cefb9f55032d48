"""The reference's negatives, repaired: never the positive, never anything from the match window.

What a position is to predict cannot at once be what it is to be told apart from.
"""

import torch
from torch import Tensor

from foresay.negatives import NegativeSampler


class RepairedNegatives(NegativeSampler):
    """Any frame of the group, each as likely, but the position itself and the `matched` frames after it; with replacement."""

    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:
        """Draw for one group: (g, W, N)."""
        forbidden = matched + 1
        rows = torch.randint(self.group * frames - forbidden, (self.group, positions, self.count), generator=generator)
        start = torch.arange(self.group)[:, None, None] * frames + torch.arange(positions)[:, None]
        return rows + forbidden * (rows >= start)
