"""Contrastive loss with hybrid negatives: of the batch, of a queue, synthetic, and of another modality.

"Contrastive Predictive Coding for Audio & Images", Garg and Chandra, IIT Bombay 2025, Algorithm 2. For one modality:

    predictions (B, K, W, D) of latents t + 1 … t + K   x   candidates (R, D), each of them scored against every prediction:

      in batch    all latents of the group but the first of each utterance, which nothing predicts        one of them is right
      queue       latents of past updates, without a gradient
      perturbed   the in-batch latents + sigma x noise: near copies
      shuffled    the in-batch latents in another order
      others      latents of another modality

Its negatives are not drawn row by row, so it is no `NegativeSampler`: every candidate is scored, in one matrix product for each kind (of
which the queue's needs no gradient), with no (B, W, N) rows to gather by; what a prediction must not meet is a place in the scores; and a
pool may come from another modality.

Taken literally the shuffled latents teach nothing. A softmax sums over a set, so that their order, over the time of an utterance or over
all rows, makes no difference: every in-batch candidate is there twice, the target too. The loss is log 2 higher than without them and
cannot fall below it, its gradient is the same (queue, perturbed and others count half). `as_published` is that. Otherwise a target's own
copy is left out of its negatives, and shuffled means: in-batch negatives count twice. Nothing is computed twice.
"""

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay import draws
from foresay.contracts import Term, sent
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
    candidates: Tensor
    """(G, n, D): the in-batch ones, without a gradient, for the queue."""


class DrawnContrasts(NamedTuple):
    """What is drawn for a batch before there are latents."""

    noise: Tensor | None
    """(G, n, D): of the perturbed negatives."""
    past: Tensor | None
    """(rows, D): what is in the queue."""


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
                f"sigma = {sigma} makes perturbed negatives equal to the latents themselves, that is, to the positives: "
                f"take sigma > 0 (such as 0.1), or perturbed = false for none"
            )
            raise UserError(msg)
        self.size, self.group, self.temperature, self.normalize = size, group, temperature, normalize
        self.sigma = sigma if perturbed else 0.0
        self.meets_perturbed_self = as_published or perturbed_self == "keep"
        self.shuffled, self.meets_shuffled_self = shuffled, shuffled and as_published
        self.detach_others = detach_others
        self.queue = LatentQueue(queue, size) if queue else None

    def draw(
        self,
        frames: int,
        keys: Tensor | None,
        purpose: draws.LearningPurpose = "perturbed audio",
        device: torch.device | str = "cpu",
    ) -> DrawnContrasts:
        """Draw for utterances of so many latents, by their keys (B,), for a purpose; what is drawn is sent to the `device`.

        Raises:
            UserError: there are no keys, the batch is not made of groups, or a latent has no negative.
        """
        groups = self._groups(keys, frames)
        shape = (self.group * (frames - 1), self.size)
        noise = [torch.randn(shape, generator=draws.generator(purpose, key)) for key in groups] if self.sigma else None
        past = None if self.queue is None else self.queue.held()
        return DrawnContrasts(None if noise is None else sent(torch.stack(noise), device), past if past is not None and len(past) else None)

    def forward(self, predictions: Tensor, latents: Tensor, drawn: DrawnContrasts, others: Tensor | None = None) -> HybridLoss:
        """Score predictions (B, K, W, D), k of position t for latent t + k of (B, T, D), W = T - K.

        `others` (B, T', D) are latents of another modality, of the same groups.
        """
        batch, count, positions, size = predictions.shape
        if latents.shape[1] != count + positions:
            msg = f"{latents.shape[1]} latents do not fit predictions of {count + positions}: there must be W = T - K positions"
            raise ValueError(msg)
        groups, per_group = batch // self.group, self.group * (latents.shape[1] - 1)
        with torch.autocast(predictions.device.type, enabled=False):  # losses are computed in float32 at least
            right = self._directions(latents[:, 1:]).reshape(groups, per_group, size)
            parts = self._candidates(right, drawn, others)
            queries = self._directions(predictions).reshape(groups, -1, size) / self.temperature  # (G, g K W, D)
            scores = {kind: queries @ part.mT for kind, part in parts.items()}
            own = _own_rows(self.group, count, positions, latents.shape[1] - 1).to(queries.device).expand(groups, -1)[..., None]
            positives = (queries * right.gather(1, own.expand(-1, -1, size))).sum(dim=-1)
        scores["in batch"].scatter_(-1, own, -torch.inf)
        if "perturbed" in scores and not self.meets_perturbed_self:
            scores["perturbed"].scatter_(-1, own, -torch.inf)
        loss, accuracy, shares = self._loss(positives, scores)
        return HybridLoss(Term(loss, float(batch * positions)), accuracy, shares, right.detach())

    def keep(self, candidates: Tensor) -> None:
        """Let the in-batch candidates (G, n, D) of a batch wait to be queued, once its loss is computed."""
        if self.queue is not None:
            for group in candidates:
                self.queue.wait(group)

    def after_step(self) -> None:
        """Let the queue move on, after each update."""
        if self.queue is not None:
            self.queue.after_step()

    def _groups(self, keys: Tensor | None, frames: int) -> list[int]:
        """Check a batch; return the keys of its groups, which are those of their first utterances."""
        if keys is None:
            msg = "this batch has no keys to draw noise from: BatchLoader gives them, or set Batch.keys to any (B,) integers"
            raise UserError(msg)
        if len(keys) % self.group:
            msg = f"{len(keys)} utterances do not fall into groups of {self.group} that share negatives: set data.batch to a multiple"
            raise UserError(msg)
        if self.group * (frames - 1) < 2:  # noqa: PLR2004
            msg = "one utterance of two latents has only one to predict, and no negative: use longer clips, or more in a group"
            raise UserError(msg)
        drawn: list[int] = keys[:: self.group].tolist()
        return drawn

    def _directions(self, vectors: Tensor) -> Tensor:
        vectors = vectors if vectors.dtype == torch.float64 else vectors.float()
        return F.normalize(vectors, dim=-1) if self.normalize else vectors

    def _candidates(self, right: Tensor, drawn: DrawnContrasts, others: Tensor | None) -> dict[str, Tensor]:
        """All negatives of groups (G, n, D) of positives: kind -> (G, rows, D), what is in the batch first."""
        parts = {"in batch": right}
        if drawn.past is not None:
            parts["queue"] = drawn.past.to(right).expand(len(right), -1, -1)
        if drawn.noise is not None:
            parts["perturbed"] = self._directions(right + self.sigma * drawn.noise.to(right))
        if others is not None:
            apart = others.detach() if self.detach_others else others
            parts["others"] = self._directions(apart).reshape(len(right), -1, right.shape[-1])
        return parts

    def _loss(self, positives: Tensor, scores: dict[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Sum of cross-entropies, accuracy and shares, of positives (G, g K W) and scores of each kind of negative (G, g K W, rows)."""
        sums, hardest = {}, []
        for kind, negatives in scores.items():
            most, sums[kind] = _log_sum_exp_(negatives)
            hardest.append(most)
        if self.shuffled:
            sums["in batch"] = sums["in batch"] + math.log(2)
        if self.meets_shuffled_self:
            sums["own copy"] = positives
        stacked = torch.stack(list(sums.values()))  # (kinds, G, g K W)
        losses = F.softplus(stacked.logsumexp(dim=0) - positives)
        with torch.no_grad():
            beaten = positives > torch.stack(hardest).amax(dim=0)
            accuracy = (beaten & (not self.meets_shuffled_self)).float().mean()
            shares = stacked.softmax(dim=0).flatten(1).mean(dim=1)
        return losses.sum(), accuracy, dict(zip(sums, shares, strict=True))


def _own_rows(group: int, count: int, positions: int, targets: int) -> Tensor:
    """Which of the group's g x (T - 1) targets each prediction is for: (g K W,)."""
    utterances = torch.arange(group)[:, None, None] * targets
    steps = torch.arange(count)[:, None] + torch.arange(positions)  # latent t + k is target t + k - 1; k counts from 1
    return (utterances + steps).flatten()


def _log_sum_exp_(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Largest and logsumexp of scores (..., rows), which are overwritten: what is large here is passed over as seldom as can be."""
    largest = scores.detach().amax(dim=-1, keepdim=True)
    total = scores.sub_(largest).exp_().sum(dim=-1)
    return largest[..., 0], largest[..., 0] + total.log()
