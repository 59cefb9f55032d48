"""Queue of past latents, first in, first out (MoCo, arXiv:1911.05722, section 3.1): many negatives, without encoding them again.

    update n   groups --> some latents, detached, wait --> after the update: [ .... the last `length` .... ] --> the oldest are forgotten

What a group gives waits until the update is done, so that no group of it meets another's. The queue is a buffer: it lies in the checkpoint,
and all devices hold the same one.
"""

from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from foresay.contracts import on_host


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
        self._held = 0
        self.register_load_state_dict_post_hook(_forget)

    def held(self) -> Tensor:
        """Return what is in the queue, in no order that matters: (N, D), N up to `length`."""
        return self.latents if self._full else self.latents[: self._held]

    @on_host
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
        finite, rows = new.isfinite().all(), self._rows(new)  # where it is not, the update was skipped for it
        if not self._full and not finite:
            return
        self.latents[rows] = torch.where(finite, new[len(new) - len(rows) :], self.latents[rows])
        self.arrived += finite * len(new)

    @property
    def _full(self) -> bool:
        """Whether all rows are latents: until then the CPU asks the device, afterwards it knows."""
        if self._held < len(self.latents):
            self._held = min(int(self.arrived), len(self.latents))
        return self._held == len(self.latents)

    def _rows(self, new: Tensor) -> Tensor:
        """Where (n, D) new latents will lie, those that are not forgotten at once."""
        first = max(len(new) - len(self.latents), 0)
        return (self.arrived + torch.arange(first, len(new), device=new.device)) % len(self.latents)


def _forget(queue: nn.Module, _keys: object) -> None:
    """Let the CPU ask again how many have come, after loading."""
    cast("LatentQueue", queue)._held = 0  # noqa: SLF001 - its own


def _gathered(groups: list[Tensor]) -> list[Tensor]:
    """Groups of all devices; device r of w has groups r, r + w, … of the global batch."""
    everyones = cast("list[list[Tensor]]", [[]] * dist.get_world_size())
    dist.all_gather_object(everyones, [group.cpu() for group in groups])
    most = max(map(len, everyones))
    return [own[place].to(groups[0]) for place in range(most) for own in everyones if place < len(own)]
