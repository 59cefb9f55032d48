"""Synthetic hard negatives: latents that are perturbed or mixed, closer to the positive than most that occur.

`perturbed`: z + sigma x spread x noise, near copies of real latents ("hybrid negatives", Z_pert); `mixed`: points on the line between two
latents of the group (MoCHi, arXiv:2010.01028, section 3). A position never meets the copies of the very frames that it is to predict:
as sigma falls, nothing could distinguish the two, and the loss could not fall below log 2.
"""

from typing import Literal

import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.negatives import DrawnNegatives, NegativeSampler, outside_match_window


class SyntheticNegatives(NegativeSampler):
    """A `share` of the negatives is synthetic, the others are frames of the group; none is from the match window."""

    def __init__(
        self,
        count: int,
        group: int,
        size: int,
        *,
        kind: Literal["perturbed", "mixed"] = "mixed",
        share: float = 0.5,
        sigma: float = 0.5,
    ) -> None:
        """`sigma`: size of the perturbation, in standard deviations of each dimension over the group."""
        super().__init__(count, group, size)
        if kind not in {"perturbed", "mixed"} or not 0 <= share <= 1 or sigma <= 0:
            msg = f"synthetic negatives: kind = perturbed or mixed, share from 0 to 1, sigma > 0; not {kind!r}, {share}, {sigma}"
            raise UserError(msg)
        self.kind, self.sigma = kind, sigma
        self.synthetic = round(share * count)

    def draw(self, frames: int, positions: int, matched: int, generator: torch.Generator) -> Tensor:
        """Draw for one group: (g, W, N); the synthetic rows follow the g x T real ones, each in its original's place."""
        rows = outside_match_window(self.group, frames, (positions, self.count), matched, generator)
        rows[..., : self.synthetic] += self.group * frames
        return rows

    def draw_added(self, frames: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw noise (g T, D); or the frame that each one is mixed with (g T,), and its own share in the mixture (g T, 1)."""
        if self.kind == "perturbed":
            return (torch.randn((frames, self.size), generator=generator, dtype=torch.float32),)
        others = torch.randperm(frames, generator=generator)
        return others, 0.5 + 0.5 * torch.rand(frames, 1, generator=generator)  # nearer to its own place's frame

    def pool(self, groups: Tensor, drawn: DrawnNegatives) -> Tensor:
        """(G, g T, D) -> (G, 2 g T, D): the frames, and a synthetic one for each."""
        if self.kind == "perturbed":
            noise = drawn.added[0].to(groups)
            made = groups + self.sigma * groups.detach().std(dim=1, keepdim=True) * noise
        else:
            others, weights = drawn.added[0], drawn.added[1].to(groups)
            made = weights * groups + (1 - weights) * groups.gather(1, others[..., None].expand_as(groups))
        return torch.cat([groups, made], dim=1)
