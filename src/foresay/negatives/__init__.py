"""Negatives: what a prediction is contrasted with. One way of drawing, one file, one class.

A model never knows how its negatives were drawn. Samplers draw within explicit groups of consecutive utterances, from keys that belong
to the utterances: the draw is the same however a global batch is spread over devices. (The reference drew within whatever one GPU
held, which made results depend on the number of GPUs: arXiv:2104.11946, section 4.)
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from foresay import draws
from foresay.contracts import on_host, sent
from foresay.errors import UserError
from foresay.settings import find_class, options_of

RENAMED = {"heard": "sampled"}
"""Options as the recipes and model folders of version 0.1 name them, and their names today."""


class DrawnNegatives(NamedTuple):
    """A draw of negatives, made before there are latents to draw from."""

    rows: Tensor
    """(B, W, N) int64: rows of the group's pool."""
    added: tuple[Tensor, ...] = ()
    """Draws, or vectors, from which a sampler makes the rows that it adds to the pools, each (G, …)."""


class Negatives(NamedTuple):
    """Vectors, and which of them are the negatives of each position."""

    pool: Tensor
    """(G, R, D): for each group, its g x T frames utterance by utterance, then whatever else the sampler adds."""
    rows: Tensor
    """(B, W, N) int64: rows of the group's pool."""


class NegativeSampler(nn.Module, ABC):
    """Draws `count` negatives for every position of every utterance, from groups of `group` utterances of D = `size` latents."""

    def __init__(self, count: int, group: int, size: int) -> None:
        super().__init__()
        self.count, self.group, self.size = count, group, size

    @on_host
    def drawn(
        self,
        frames: int,
        keys: Tensor | None,
        positions: int,
        matched: int,
        *,
        purpose: draws.LearningPurpose = "negatives",
        device: torch.device | str = "cpu",
    ) -> DrawnNegatives:
        """Draw for positions 0 … W - 1 of utterances of so many `frames`, whose targets are the next `matched` ones.

        `keys` (B,) on the CPU; a group's key is that of its first utterance, and draws for the `purpose`. What is drawn is sent to the
        `device`.
        """
        if keys is None:
            msg = "this batch has no keys to draw negatives from: BatchLoader gives them, or set Batch.keys to any (B,) integers"
            raise UserError(msg)
        if len(keys) % self.group:
            msg = (
                f"{len(keys)} utterances do not fall into negative groups of {self.group}: set data.batch to a multiple of "
                "model.negative_group"
            )
            raise UserError(msg)
        rows, added = [], []
        for key in keys[:: self.group].tolist():
            generator = draws.generator(purpose, key)
            rows.append(self.draw(frames, positions, matched, generator))
            added.append(self.draw_added(self.group * frames, generator))
        together = [torch.stack(parts) for parts in zip(*added, strict=True)]
        return DrawnNegatives(sent(torch.cat(rows), device), tuple(sent(part, device) for part in together))

    def forward(self, latents: Tensor, drawn: DrawnNegatives) -> Negatives:
        """Collect the negatives that were drawn, from latents (B, T, D)."""
        groups = latents.reshape(-1, self.group * latents.shape[1], latents.shape[2])
        return Negatives(self.pool(groups, drawn), drawn.rows)

    @abstractmethod
    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:
        """Draw for one group: (g, W, N) int64, rows u x frames + time of utterance u, or of what `pool` adds."""

    def draw_added(self, frames: int, generator: torch.Generator) -> tuple[Tensor, ...]:  # noqa: ARG002
        """Draw what is added to the pool of one group of so many frames in all, such as vectors (N, D)."""
        return ()

    def pool(self, groups: Tensor, drawn: DrawnNegatives) -> Tensor:  # noqa: ARG002
        """Vectors that groups draw from: their own frames (G, g T, D) and, in some samplers, more rows after them."""
        return groups

    def keep(self, latents: Tensor, drawn: DrawnNegatives) -> None:
        """Keep latents of a batch (B, T, D), once its loss is computed."""

    def after_step(self) -> None:
        """Update the sampler's state, after each update of the model."""


def build_sampler(name: str, count: int, group: int, size: int, options: Mapping[str, float | str]) -> NegativeSampler:
    """Build the sampler of a name with its own options (keyword arguments).

    Raises:
        UserError: there is no such sampler, or it has no such option.
    """
    cls = find_class("foresay.negatives", name, NegativeSampler)
    own = options_of(cls, {RENAMED.get(key, key): value for key, value in options.items()}, "model.negative_options")
    sampler: NegativeSampler = cls(count, group, size, **own)
    return sampler


def outside_match_window(group: int, frames: int, shape: tuple[int, int], matched: int, generator: torch.Generator) -> Tensor:
    """Draw any frame of the group but the position itself and the `matched` frames after it, each as likely: (g, *shape), shape (W, N)."""
    forbidden = matched + 1
    rows = torch.randint(group * frames - forbidden, (group, *shape), generator=generator)
    start = torch.arange(group)[:, None, None] * frames + torch.arange(shape[0])[:, None]
    return rows + forbidden * (rows >= start)
