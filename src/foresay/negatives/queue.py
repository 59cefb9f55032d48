"""Negatives from a queue of past latents: of more speakers than a group has, without encoding them again (MoCo, arXiv:1911.05722).

    update n   group --> a few of its latents, detached --> [ .... 4096 of the last updates .... ] --> the oldest are forgotten
    update n + 1                                               | a sample for each group
                       group's own frames + that sample = the pool that its positions draw from

The queue lies in the checkpoint, and all devices hold the same one.
"""

import torch
from torch import Tensor

from foresay.contracts import sent
from foresay.errors import UserError
from foresay.layers.latent_queue import LatentQueue
from foresay.negatives import DrawnNegatives, NegativeSampler, outside_match_window


class QueueNegatives(NegativeSampler):
    """A `share` of the negatives is from the queue, the others are frames of the group outside the match window.

    Until anything is in the queue, all are of the group.
    """

    def __init__(
        self, count: int, group: int, size: int, *, length: int = 4096, share: float = 0.5, per_group: int = 64, sampled: int = 512
    ) -> None:
        """Make an empty queue.

        `length`: latents in the queue (length x D x 4 bytes: 4 MB for 4096 of D = 256); `per_group`: how many of its latents a group adds
        at each update; `sampled`: how many of the queue's a group draws from at each update, all equally likely.
        """
        super().__init__(count, group, size)
        if not 0 <= share <= 1 or min(length, per_group, sampled) < 1:
            msg = f"queue of negatives: share from 0 to 1, the others at least 1; not {share=}, {length=}, {per_group=}, {sampled=}"
            raise UserError(msg)
        self.per_group, self.sampled = per_group, sampled
        self.queued = round(share * count)
        self.queue = LatentQueue(length, size)

    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:
        """Draw for one group: (g, W, N)."""
        rows = outside_match_window(self.group, frames, (positions, self.count), matched, generator)
        if len(self.queue.held()):
            shape = (self.group, positions, self.queued)
            rows[..., : self.queued] = self.group * frames + torch.randint(self.sampled, shape, generator=generator)
        return rows

    def draw_added(self, frames: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw which frames of a group are to be queued, and a sample of the queue (sampled, D), if there is anything in it."""
        chosen = torch.randint(frames, (self.per_group,), generator=generator)
        held = self.queue.held()
        if not len(held):
            return (chosen,)
        sample = torch.randint(len(held), (self.sampled,), generator=generator)
        return chosen, held[sent(sample, held.device)]

    def pool(self, groups: Tensor, drawn: DrawnNegatives) -> Tensor:
        """(G, g T, D) -> (G, g T + sampled, D): the frames, and the sample of the queue."""
        return torch.cat([groups, *(sample.to(groups) for sample in drawn.added[1:])], dim=1)

    def keep(self, latents: Tensor, drawn: DrawnNegatives) -> None:
        """Let some of the latents (B, T, D) wait to be queued."""
        for group, chosen in zip(latents.reshape(-1, self.group * latents.shape[1], latents.shape[2]), drawn.added[0], strict=True):
            self.queue.wait(group[chosen])

    def after_step(self) -> None:
        """Put what the groups gave into the queue."""
        self.queue.after_step()
