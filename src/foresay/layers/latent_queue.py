"""A queue of past latents, first in, first out (MoCo, arXiv:1911.05722, section 3.1): many negatives, at no cost of hearing them again.

    update n   groups --> some latents, detached, wait --> after the update: [ .... the last `length` .... ] --> the oldest are forgotten

What a group gives waits until the update is done, so that no group of it meets another's. The queue is a buffer: it lies in the checkpoint,
and all devices hold the same one.
"""

from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn


class LatentQueue(nn.Module):
    """The last `length` latents of D = `size`: `length` x D x 4 bytes, 1 MB for 4096 of D = 64."""

    latents: Tensor
    """(length, D); latent number n of all that ever came lies in row n modulo the length."""
    arrived: Tensor
    """() int64: how many ever came."""

    def __init__(self, length: int, size: int) -> None:
        super().__init__()
        self.register_buffer("latents", torch.zeros(length, size))
        self.register_buffer("arrived", torch.zeros((), dtype=torch.int64))
        self._waiting: list[Tensor] = []

    def held(self) -> Tensor:
        """Return what is in the queue, in no order that matters: (up to `length`, D)."""
        return self.latents[: int(self.arrived)]

    def wait(self, latents: Tensor) -> None:
        """Let a group's (n, D) latents wait for the end of the update; not in evaluation, which leaves no trace."""
        if self.training:
            self._waiting.append(latents.detach().to(self.latents))

    def after_step(self) -> None:
        """Take in what the groups of all devices gave, in the order of the global batch; nothing of an update that was not finite."""
        groups, self._waiting = self._waiting, []
        if dist.is_initialized():
            groups = _gathered(groups)
        new = torch.cat(groups) if groups else self.latents[:0]
        if not new.isfinite().all():  # the update was skipped for it
            return
        length, skipped = len(self.latents), max(len(new) - len(self.latents), 0)
        numbers = self.arrived + torch.arange(skipped, len(new), device=new.device)
        self.latents[numbers % length] = new[skipped:]
        self.arrived += len(new)


def _gathered(groups: list[Tensor]) -> list[Tensor]:
    """Groups of all devices; device r of w has groups r, r + w, … of the global batch."""
    everyones = cast("list[list[Tensor]]", [[]] * dist.get_world_size())
    dist.all_gather_object(everyones, [group.cpu() for group in groups])
    most = max(map(len, everyones))
    return [own[place].to(groups[0]) for place in range(most) for own in everyones if place < len(own)]
