"""The reference's negatives, repaired: never the positive, never anything from the match window.

What a position is to predict cannot at once be what it is to be told apart from.
"""

import torch
from torch import Tensor

from foresay.negatives import NegativeSampler, outside_match_window


class RepairedNegatives(NegativeSampler):
    """Any frame of the group, each as likely, but the position itself and the `matched` frames after it; with replacement."""

    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:
        """Draw for one group: (g, W, N)."""
        return outside_match_window(self.group, frames, (positions, self.count), matched, generator)
