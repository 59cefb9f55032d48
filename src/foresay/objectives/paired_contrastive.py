"""Contrastive loss of pairs (InfoNCE in both directions, as in CLIP, arXiv:2103.00020, section 2.3): which audio belongs to which image.

    one (B, D), other (B, D)    cosines / temperature (B, B)    rows: which other is this one's?    columns: which one is this other's?

The positives of multi-modal CPC are futures of the same modality: nothing in it says that a sound and a picture belong together. This does.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Term
from foresay.errors import UserError


class PairedLoss(NamedTuple):
    """The loss, and how often a half finds its own."""

    term: Term
    """Mean of the cross-entropies of both directions, summed over B pairs."""
    accuracy: Tensor
    """Share of halves nearer to their own than to every other, both ways; a tie is an error."""


class PairedContrast(nn.Module):
    """Symmetric InfoNCE among the pairs of each `group`; pairs of one class are contrasted like those of two."""

    def __init__(self, group: int, temperature: float = 0.1) -> None:
        super().__init__()
        if temperature <= 0 or group < 2:  # noqa: PLR2004 - one pair is alone
            msg = f"pairs are contrasted in groups of two or more, at a temperature above 0; not {group=}, {temperature=}"
            raise UserError(msg)
        self.group, self.temperature = group, temperature

    def forward(self, one: Tensor, other: Tensor) -> PairedLoss:
        """Contrast pairs of vectors (B, D), row by row.

        Raises:
            UserError: the batch is not made of groups.
        """
        if len(one) % self.group:
            msg = f"{len(one)} pairs do not fall into groups of {self.group} that are contrasted: set data.batch to a multiple"
            raise UserError(msg)
        with torch.autocast(one.device.type, enabled=False):
            halves = [F.normalize(half if half.dtype == torch.float64 else half.float(), dim=-1) for half in (one, other)]
            first, second = (half.unflatten(0, (-1, self.group)) for half in halves)  # (groups, group, D)
            scores = first @ second.mT / self.temperature  # (groups, group, group)
            own = scores.diagonal(dim1=1, dim2=2)
            losses = (scores.logsumexp(dim=1) + scores.logsumexp(dim=2)) / 2 - own
        with torch.no_grad():
            strangers = scores.masked_fill(torch.eye(self.group, dtype=torch.bool, device=scores.device), -torch.inf)
            won = torch.stack([own > strangers.amax(dim=2), own > strangers.amax(dim=1)])
        return PairedLoss(Term(losses.sum(), float(len(one))), won.float().mean())
