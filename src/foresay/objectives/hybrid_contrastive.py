"""Hybrid negatives: a prediction is told apart from all there is, of the batch, of the past, made up, and of another modality.

"Contrastive Predictive Coding for Audio & Images", Garg and Chandra, IIT Bombay 2025, Algorithm 2. For one modality:

    predictions (B, K, W, D) of latents t + 1 … t + K   x   candidates (R, D), each of them scored against every prediction:

      in batch    all latents of the group but the first of each utterance, which nothing predicts        one of them is right
      queue       latents of past updates, without a gradient
      perturbed   the in-batch latents + sigma x noise: near copies
      shuffled    the in-batch latents in another order
      others      latents of another modality

Its negatives are not drawn row by row, so it is no `NegativeSampler`: every candidate is scored, in one matrix product, with no index of
(B, W, N) to gather by; what a prediction must not meet is a place in the scores; and a pool may come from another modality.

Taken literally the algorithm has a flaw: among the shuffled latents stands an exact copy of each prediction's own target, which nothing can
tell from the target, so that no loss falls below log 2 and both push the same way in opposite directions. Here that copy is left out;
`as_published` puts it back. And since a softmax sums over a set, the order of the shuffled latents (over the time of an utterance, or over
all rows) makes no difference: they are the in-batch negatives once more, and so they are counted twice instead of computed twice.
"""

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Term
from foresay.errors import UserError
from foresay.layers.latent_queue import LatentQueue


class HybridLoss(NamedTuple):
    """The loss, and what it was made of."""

    term: Term
    """Sum over k of the cross-entropies, summed over B x W positions."""
    accuracy: Tensor
    """Share of predictions nearer to their target than to every negative; a tie is an error."""
    shares: dict[str, Tensor]
    """Kind of negative -> its share of what pushes predictions away (of the softmax over negatives, a mean over predictions)."""


class HybridContrast(nn.Module):
    """Algorithm 2 for one modality, with latents of D = `size`.

    Candidates are those of a `group` of consecutive utterances, so that results do not depend on the number of devices; the published group
    is the batch. With `normalize` scores are cosine / temperature, and sigma is relative to latents of length 1; the deck does not say.
    """

    def __init__(
        self,
        size: int,
        group: int,
        *,
        temperature: float = 0.1,
        normalize: bool = True,
        queue: int = 4096,
        sigma: float = 0.1,
        perturbed: bool = True,
        perturbed_self: Literal["keep", "mask"] = "keep",
        shuffled: bool = True,
        detach_others: bool = True,
        as_published: bool = False,
    ) -> None:
        """Choose the kinds of negatives.

        Args:
            size: D.
            group: utterances that share candidates.
            temperature: tau, which scores are divided by.
            normalize: whether scores are cosines (then tau is about 0.1) or dot products (about 1).
            queue: how many past latents are kept; 0: none.
            sigma: standard deviation of the noise in each dimension.
            perturbed: whether there are perturbed latents.
            perturbed_self: whether a prediction meets the perturbed copy of its own target, the hardest negative that there is.
            shuffled: whether the in-batch negatives count twice.
            detach_others: whether another modality's latents are left alone by the gradient of this one.
            as_published: whether a prediction meets every copy of its own target, as in the deck: the floor of the loss is log 2.
        """
        super().__init__()
        if temperature <= 0 or queue < 0 or group < 1:
            msg = f"hybrid negatives: temperature above 0, queue from 0, group from 1; not {temperature=}, {queue=}, {group=}"
            raise UserError(msg)
        if perturbed and sigma <= 0:
            msg = (
                f"sigma = {sigma} makes perturbed negatives that are the latents themselves, which nothing can tell from the right ones: "
                f"take sigma > 0 (such as 0.1), or perturbed = false for none"
            )
            raise UserError(msg)
        self.group, self.temperature, self.normalize = group, temperature, normalize
        self.sigma = sigma if perturbed else 0.0
        self.meets_perturbed_self = as_published or perturbed_self == "keep"
        self.shuffled, self.meets_shuffled_self = shuffled, shuffled and as_published
        self.detach_others = detach_others
        self.queue = LatentQueue(queue, size) if queue else None

    def forward(self, predictions: Tensor, latents: Tensor, keys: Tensor | None, others: Tensor | None = None) -> HybridLoss:
        """Score predictions (B, K, W, D), k of position t for latent t + k of (B, T, D), W = T - K.

        `keys` (B,) on the CPU give the noise; `others` (B, T', D) are latents of another modality, of the same groups.

        Raises:
            UserError: there are no keys, the batch is not made of groups, or there is nothing to tell a latent from.
        """
        batch, count, positions, size = predictions.shape
        self._check(latents, keys, count + positions)
        groups, per_group = batch // self.group, self.group * (latents.shape[1] - 1)
        with torch.autocast(predictions.device.type, enabled=False):  # losses are computed in float32 at least
            right = self._directions(latents[:, 1:]).reshape(groups, per_group, size)
            parts = self._candidates(right, keys, others)
            heard = self._directions(predictions).reshape(groups, -1, size) / self.temperature  # (G, g K W, D)
            scores = heard @ torch.cat(list(parts.values()), dim=1).mT  # (G, g K W, R)
            own = _own_rows(self.group, count, positions, latents.shape[1] - 1).to(scores.device).expand(groups, -1)[..., None]
            positives = (heard * right.gather(1, own.expand(-1, -1, size))).sum(dim=-1)
        left_out = [own] if self.meets_perturbed_self or "perturbed" not in parts else [own, own + _start(parts, "perturbed")]
        scores.scatter_(-1, torch.cat(left_out, dim=-1), -torch.inf)
        if self.queue is not None:
            for group in right:
                self.queue.wait(group)
        by_kind = dict(zip(parts, scores.split([part.shape[1] for part in parts.values()], dim=-1), strict=True))
        return self._loss(positives, by_kind, float(batch * positions))

    def after_step(self) -> None:
        """Let the queue move on, after each update."""
        if self.queue is not None:
            self.queue.after_step()

    def _check(self, latents: Tensor, keys: Tensor | None, frames: int) -> None:
        if keys is None:
            msg = "this batch has no keys to draw noise from: BatchLoader gives them, or set Batch.keys to any (B,) integers"
            raise UserError(msg)
        if latents.shape[1] != frames:
            msg = f"{latents.shape[1]} latents do not fit predictions of {frames}: there must be W = T - K positions"
            raise ValueError(msg)
        if len(latents) % self.group:
            msg = f"{len(latents)} utterances do not fall into groups of {self.group} that share negatives: set data.batch to a multiple"
            raise UserError(msg)
        if self.group * (frames - 1) < 2:  # noqa: PLR2004
            msg = "one utterance of two latents has only one to predict, and none to tell it from: use longer clips, or more in a group"
            raise UserError(msg)

    def _directions(self, vectors: Tensor) -> Tensor:
        vectors = vectors if vectors.dtype == torch.float64 else vectors.float()
        return F.normalize(vectors, dim=-1) if self.normalize else vectors

    def _candidates(self, right: Tensor, keys: Tensor | None, others: Tensor | None) -> dict[str, Tensor]:
        """All that groups (G, n, D) of right ones are told apart from: kind -> (G, rows, D), what is in the batch first."""
        parts = {"in batch": right}
        if self.queue is not None and len(past := self.queue.held()):
            parts["queue"] = past.to(right).expand(len(right), -1, -1)
        if self.sigma:
            assert keys is not None  # noqa: S101 - checked
            parts["perturbed"] = self._directions(right + self.sigma * _noise(right, keys[:: self.group]))
        if others is not None:
            apart = others.detach() if self.detach_others else others
            parts["others"] = self._directions(apart).reshape(len(right), -1, right.shape[-1])
        return parts

    def _loss(self, positives: Tensor, scores: dict[str, Tensor], positions: float) -> HybridLoss:
        """Cross-entropies from positives (G, g K W) and scores of each kind of negative (G, g K W, rows)."""
        sums = {kind: negatives.logsumexp(dim=-1) for kind, negatives in scores.items()}
        if self.shuffled:
            sums["in batch"] = sums["in batch"] + math.log(2)
        if self.meets_shuffled_self:
            sums["own copy"] = positives
        stacked = torch.stack(list(sums.values()))  # (kinds, G, g K W)
        losses = F.softplus(stacked.logsumexp(dim=0) - positives)
        with torch.no_grad():
            hardest = torch.stack([negatives.amax(dim=-1) for negatives in scores.values()]).amax(dim=0)
            accuracy = ((positives > hardest) & (not self.meets_shuffled_self)).float().mean()
            shares = stacked.softmax(dim=0).flatten(1).mean(dim=1)
        return HybridLoss(Term(losses.sum(), positions), accuracy, dict(zip(sums, shares, strict=True)))


def _own_rows(group: int, count: int, positions: int, targets: int) -> Tensor:
    """Which of the group's g x (T - 1) targets each prediction is for: (g K W,)."""
    utterances = torch.arange(group)[:, None, None] * targets
    steps = torch.arange(count)[:, None] + torch.arange(positions)  # latent t + k is target t + k - 1; k counts from 1
    return (utterances + steps).flatten()


def _start(parts: dict[str, Tensor], kind: str) -> int:
    """Row at which a kind of candidates begins."""
    kinds = list(parts)
    return sum(parts[before].shape[1] for before in kinds[: kinds.index(kind)])


def _noise(like: Tensor, keys: Tensor) -> Tensor:
    """Draw (G, n, D) from the keys (G,) of the groups."""
    random = torch.Generator()
    drawn = [torch.randn(like.shape[1:], generator=random.manual_seed(key)) for key in keys.tolist()]
    return torch.stack(drawn).to(like, non_blocking=True)
