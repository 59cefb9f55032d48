"""Negatives from the frames of a group of utterances: four ways of drawing that papers and their code disagree on."""

import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.negatives import NegativeSampler, outside_match_window

__all__ = ["OtherUtterances", "Reference", "Repaired", "SameUtterance"]


class Reference(NegativeSampler):
    """The reference implementation's, exactly (CPC_audio `criterion.py`): utterance U{0 … g-1}, time (t + U{1 … T-1}) mod T.

    With replacement. Any utterance of the group, the own one included; any time but that of the position itself. The match window
    is not excluded: with a group of 8 a positive meets itself among its 128 negatives 0.1 times on average.
    """

    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Draw for one group: (g, W, N)."""
        shape = (self.group, positions, self.count)
        utterances = torch.randint(self.group, shape, generator=generator)
        shifts = torch.randint(1, frames, shape, generator=generator)
        times = (torch.arange(positions)[:, None] + shifts) % frames
        return utterances * frames + times


class Repaired(NegativeSampler):
    """The reference's, repaired: never the positive, never anything from the match window.

    Any frame of the group, each as likely, but the position itself and the `matched` frames after it; with replacement.
    """

    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:
        """Draw for one group: (g, W, N)."""
        return outside_match_window(self.group, frames, (positions, self.count), matched, generator)


class SameUtterance(NegativeSampler):
    """All frames of the position's own utterance but the `matched` ones after it, each as likely (wav2vec, arXiv:1904.05862, section 2.2).

    Speaker, room and microphone are the same in all of them: only what is said can contrast them.
    """

    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:
        """Draw for one group: (g, W, N) int64."""
        if frames <= matched:
            msg = f"{frames} frames leave no negatives beside the {matched} that are predicted: train on longer windows (data.window)"
            raise UserError(msg)
        times = torch.randint(frames - matched, (self.group, positions, self.count), generator=generator)
        times += matched * (times > torch.arange(positions)[:, None])  # those after the position move beyond the predicted ones
        return times + frames * torch.arange(self.group)[:, None, None]


class OtherUtterances(NegativeSampler):
    """Another utterance of the group, any time, with replacement.

    As the ACPC paper's text has them: "from other utterances in the same minibatch" (arXiv:2104.11946, section 4).
    """

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
