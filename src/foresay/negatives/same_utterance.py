"""Negatives from the same utterance: any of its frames but those that are predicted (wav2vec, arXiv:1904.05862, section 2.2).

Speaker, room and microphone are the same in all of them, so that only what is said can tell them apart.
"""

import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.negatives import NegativeSampler


class SameUtterance(NegativeSampler):
    """Draws from all frames of the position's own utterance but the `matched` ones after it, each as likely."""

    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:
        """Draw for one group: (g, W, N) int64."""
        if frames <= matched:
            msg = f"{frames} frames leave no negatives beside the {matched} that are predicted: train on longer windows (data.window)"
            raise UserError(msg)
        times = torch.randint(frames - matched, (self.group, positions, self.count), generator=generator)
        times += matched * (times > torch.arange(positions)[:, None])  # those after the position move beyond the predicted ones
        return times + frames * torch.arange(self.group)[:, None, None]
