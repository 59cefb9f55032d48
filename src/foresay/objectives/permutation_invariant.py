"""Permutation-invariant training (PIT, arXiv:1607.00325) with binary cross-entropy, for diarization as in EEND (arXiv:1909.05952).

Who speaks when, whichever output is which speaker: speakers have no order. All S^2 pairs of an output and a speaker are compared once, in
one product of matrices; the loss of an order is a sum of S of them, and the least of the S! sums counts.
"""

from itertools import permutations
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class PermutationInvariantLoss(NamedTuple):
    """Of each utterance."""

    sums: Tensor
    """(…, B): over frames, of the mean over speakers. The reference code divides their sum by all frames of the batch."""
    orders: Tensor
    """(…, B, S): which speaker each output is compared with."""


def permutation_invariant_loss(logits: Tensor, targets: Tensor, lengths: Tensor) -> PermutationInvariantLoss:
    """Binary cross-entropy of the best order: logits (…, B, T, S), targets (B, T, S) from 0 to 1, lengths (B,) in frames.

    What precedes B are heads that learn side by side.
    """
    frames, speakers = targets.shape[1:]
    real = (torch.arange(frames, device=logits.device) < lengths[:, None])[..., None]  # (B, T, 1)
    values = torch.where(real, logits.to(targets.dtype), 0.0)  # what stands in padding may be anything
    with torch.autocast(logits.device.type, enabled=False):
        # -y log p - (1 - y) log(1 - p) = softplus(logit) - y logit
        pairs = (F.softplus(values) * real).sum(dim=-2)[..., None] - values.mT @ (targets * real)  # (…, B, S outputs, S speakers)
    orders = torch.tensor(list(permutations(range(speakers))), device=logits.device)  # (S!, S)
    outputs = torch.arange(speakers, device=logits.device)
    sums, best = pairs[..., outputs, orders].mean(dim=-1).min(dim=-1)
    return PermutationInvariantLoss(sums, orders[best])
