"""Negatives as the ACPC paper's text has them: "from other utterances in the same minibatch" (arXiv:2104.11946, section 4)."""

import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.negatives import NegativeSampler


class OtherUtterancesNegatives(NegativeSampler):
    """Another utterance of the group, any time, with replacement."""

    def __init__(self, count: int, group: int, size: int) -> None:
        if group == 1:
            msg = "negatives from other utterances need a group of at least 2: set model.negative_group, or model.negatives=reference"
            raise UserError(msg)
        super().__init__(count, group, size)

    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Draw for one group: (g, W, N)."""
        shape = (self.group, positions, self.count)
        others = torch.randint(1, self.group, shape, generator=generator)
        utterances = (torch.arange(self.group)[:, None, None] + others) % self.group
        return utterances * frames + torch.randint(frames, shape, generator=generator)
