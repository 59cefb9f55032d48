"""Masked contrastive loss (wav2vec 2.0): the context of a masked frame is contrasted with the targets of other masked frames.

wav2vec 2.0 (arXiv:2006.11477, section 3.2): of a masked frame, the true target must be nearer to the context than N distractors, targets of
other masked frames of the utterance. Distractors that bear the same code as the target are no distractors.

Every score of an utterance comes from one matrix product of its contexts with its targets, from which the sampled ones are then read: a
hundred times faster than gathering 100 vectors for each frame, with the same values.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from foresay import draws
from foresay.contracts import Term
from foresay.errors import UserError
from foresay.quantizers.gumbel import perplexity


class Pool(NamedTuple):
    """What contexts choose from: the targets of one utterance or, where distractors come from others too, of a group."""

    targets: Tensor
    """(B / g, g M, D): group by group, those of its utterances one after the other, each filled up to M."""
    identities: Tensor | None
    """(B / g, g M) int64: the code of each; None: all differ."""


class MaskedContrastiveLoss(NamedTuple):
    """The loss, and the share of frames that are nearer to their target than to all distractors."""

    term: Term
    accuracy: Tensor


def draw_distractors(own: Tensor, counts: Sequence[int], keys: Tensor | None, *, same: int, others: int = 0, group: int = 1) -> Tensor:
    """Draw the distractors of each frame, with replacement. -> (B, P, `same` + `others`) rows of the group's pool.

    `own` (B, P): which of its utterance's targets is the frame's; `counts`: how many targets each utterance has, the largest is M. All on
    the CPU, where the draw is the same whatever the device.
    `same` distractors are any other target of the utterance, `others` any other of its `group` utterances (Table 13: "from batch").

    Raises:
        UserError: there are no keys, an utterance has only one target, or the batch is not made of whole groups.
    """
    if keys is None:
        msg = "this batch has no keys to draw distractors from: BatchLoader gives them, or set Batch.keys to any (B,) integers"
        raise UserError(msg)
    if min(counts) < 2:  # noqa: PLR2004
        msg = f"an utterance with {min(counts)} masked frames has no distractors: use longer clips, or mask more"
        raise UserError(msg)
    if len(counts) % group:
        msg = f"{len(counts)} utterances do not fall into groups of {group} that share distractors: set data.batch to a multiple of it"
        raise UserError(msg)
    drawn = []
    for utterance, (mine, key) in enumerate(zip(own, keys.tolist(), strict=True)):
        random = draws.generator("distractors", key)
        place = utterance % group
        members = counts[utterance - place : utterance - place + group]
        before = [0, *accumulate(members)]  # targets of the group before each utterance's
        rows = _any_but(mine, members[place], same, random) + place * max(counts)
        if others:
            anyone = _any_but(mine + before[place], before[-1], others, random)
            ends = torch.tensor(before[1:])
            gaps = torch.tensor(
                [u * max(counts) - before[u] for u in range(group)], device=own.device
            )  # what utterances are filled up with
            rows = torch.cat([rows, anyone + gaps[torch.bucketize(anyone, ends, right=True)]], dim=-1)
        drawn.append(rows)
    return torch.stack(drawn)


def masked_contrastive_loss(
    contexts: Tensor, pool: Pool, own: Tensor, distractors: Tensor, real: Tensor, temperature: float
) -> MaskedContrastiveLoss:
    """Sum the cross-entropies of the true targets among their distractors, over frames; scores are cosine / temperature, in float32.

    `contexts` (B, P, D), `own` (B, P) and `distractors` (B, P, N) rows of the pool, `real` (B, P) bool: frames that count.
    """
    groups, size = pool.targets.shape[0], contexts.shape[-1]
    with torch.autocast(contexts.device.type, enabled=False):
        contexts, targets = (F.normalize(v if v.dtype == torch.float64 else v.float(), dim=-1) for v in (contexts, pool.targets))
        scores = contexts.reshape(groups, -1, size) @ targets.mT / temperature  # (B / g, g P, g M)
        picked = scores.view(*own.shape, -1).gather(-1, torch.cat([own[..., None], distractors], dim=-1))
    right, wrong = picked[..., 0], picked[..., 1:]
    if pool.identities is not None:
        identities = pool.identities.repeat_interleave(len(own) // groups, dim=0)[:, None].expand(-1, own.shape[1], -1)
        wrong = wrong.masked_fill(identities.gather(-1, distractors) == identities.gather(-1, own[..., None]), -torch.inf)
    losses = F.softplus(wrong.logsumexp(-1) - right)
    with torch.no_grad():
        hardest = wrong.amax(-1)
        right_ones = (right > hardest) & hardest.isfinite() & real  # where all distractors are the target itself, nothing is counted
        accuracy = right_ones.sum() / real.sum()
    return MaskedContrastiveLoss(Term((losses * real).sum(), real.sum()), accuracy)


def diversity_loss(probabilities: Tensor, real: Tensor, group: int, weight: float) -> Term:
    """Ask that all codes be used: (G V - sum over books of the perplexity) / (G V), once for each frame (section 3.2, equation 4).

    `probabilities` (B, M, G, V), `real` (B, M): the perplexity is that of their mean over `group` consecutive utterances, for over one
    utterance alone few codes are right; the last group may be smaller.
    """
    batch, _, books, codes = probabilities.shape
    groups = torch.arange(batch, device=real.device) // group
    count = -(-batch // group)
    frames = real.new_zeros(count, dtype=probabilities.dtype).index_add_(0, groups, real.sum(1).to(probabilities.dtype))
    sums = torch.einsum("bmgv,bm->bgv", probabilities, real.to(probabilities.dtype))
    means = sums.new_zeros(count, books, codes).index_add_(0, groups, sums) / frames.clamp(min=1)[:, None, None]
    unused = 1 - perplexity(means).mean(-1) / codes  # (groups,)
    return Term((unused * frames).sum(), frames.sum(), weight)


def _any_but(own: Tensor, among: int, count: int, random: torch.Generator) -> Tensor:
    """Draw numbers below `among`, none of them the frame's own (P,): (P, count)."""
    drawn = torch.randint(among - 1, (len(own), count), generator=random)
    return drawn + (drawn >= own[:, None])
