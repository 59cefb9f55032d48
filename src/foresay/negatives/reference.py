"""The reference implementation's negatives, exactly (CPC_audio `criterion.py`).

Any utterance of the group, the own one included; any time but that of the position itself. The match window is not excluded:
with a group of 8 a positive meets itself among its 128 negatives 0.1 times on average.
"""

import torch
from torch import Tensor

from foresay.negatives import NegativeSampler


class ReferenceNegatives(NegativeSampler):
    """Utterance U{0 … g-1}, time (t + U{1 … T-1}) mod T, with replacement."""

    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Draw for one group: (g, W, N)."""
        shape = (self.group, positions, self.count)
        utterances = torch.randint(self.group, shape, generator=generator)
        shifts = torch.randint(1, frames, shape, generator=generator)
        times = (torch.arange(positions)[:, None] + shifts) % frames
        return utterances * frames + times
