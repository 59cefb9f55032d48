"""Negatives: what a prediction must be told apart from. One way of drawing, one file, one class.

A model never knows how its negatives were drawn. Samplers draw within explicit groups of consecutive utterances, from keys that belong
to the utterances: the draw is the same however a global batch is spread over devices. (The reference drew within whatever one GPU
held, which made results depend on the number of GPUs: arXiv:2104.11946, section 4.)
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.errors import UserError


class Negatives(NamedTuple):
    """Vectors, and which of them each position is to be told apart from."""

    pool: Tensor
    """(B / g, R, D): for each group, its g x T frames utterance by utterance, then whatever else the sampler adds."""
    rows: Tensor
    """(B, W, N) int64: rows of the group's pool."""


class NegativeSampler(ABC):
    """Draws `count` negatives for every position of every utterance, from groups of `group` utterances."""

    def __init__(self, count: int, group: int) -> None:
        self.count = count
        self.group = group

    def __call__(self, latents: Tensor, keys: Tensor | None, positions: int, matched: int) -> Negatives:
        """Draw for positions 0 … W - 1 whose targets are the next `matched` frames.

        `latents` (B, T, D), `keys` (B,) on the CPU; a group's key is that of its first utterance.
        """
        if keys is None:
            msg = "this batch has no keys to draw negatives from: BatchLoader gives them, or set Batch.keys to any (B,) integers"
            raise UserError(msg)
        batch, frames, _ = latents.shape
        if batch % self.group:
            msg = (
                f"{batch} utterances do not fall into negative groups of {self.group}: set data.batch to a multiple of model.negative_group"
            )
            raise UserError(msg)
        drawn = []
        for key in keys[:: self.group].tolist():
            generator = torch.Generator().manual_seed(key)
            drawn.append(self.draw(frames, positions, matched, generator))
        rows = torch.cat(drawn).to(latents.device, non_blocking=True)
        return Negatives(latents.reshape(batch // self.group, self.group * frames, -1), rows)

    @abstractmethod
    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:
        """Draw for one group: (g, W, N) int64, rows u x frames + time of utterance u."""
