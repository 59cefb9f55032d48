"""Gaussian mixtures (GMM) of states: how likely a frame is in each, and what of many frames is to be summed to estimate them (EM).

    log p(x | s) = log of the sum over m of w(s, m) N(x; mean(s, m), variance(s, m)), variances on the diagonal: two matrix products of
    x and of x squared with what means and variances give

A mixture begins as one Gaussian, and grows by splitting the heaviest in two. One that hardly any frame belongs to is dropped: its weight
is 0, and splitting may use its place again.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

NEVER = -1e30
"""Log of the weight of what is dropped."""
APART = 0.2
"""Standard deviations by which the two halves of a Gaussian are moved (HTK)."""


class MixtureSums(NamedTuple):
    """Over frames, each by its probability in each Gaussian; float64."""

    counts: Tensor
    """(S, M)"""
    first: Tensor
    """(S, M, D) of the frames."""
    second: Tensor
    """(S, M, D) of their squares."""

    @classmethod
    def of(cls, parts: Sequence["MixtureSums"]) -> Self:
        """Add up those of several parts."""
        return cls(*(torch.stack(several).sum(0) for several in zip(*parts, strict=True)))


class GaussianMixtures(nn.Module):
    """S mixtures of at most M Gaussians of D features."""

    log_weights: Tensor
    """(S, M)"""
    means: Tensor
    """(S, M, D)"""
    variances: Tensor

    def __init__(self, states: int, gaussians: int, size: int) -> None:
        super().__init__()
        weights = torch.full((states, gaussians), NEVER)
        weights[:, 0] = 0.0
        self.register_buffer("log_weights", weights)
        self.register_buffer("means", torch.zeros(states, gaussians, size))
        self.register_buffer("variances", torch.ones(states, gaussians, size))

    def forward(self, frames: Tensor) -> Tensor:
        """Score frames (…, D): log p (…, S)."""
        return self._each(frames).logsumexp(-1)

    def begin(self, mean: Tensor, variance: Tensor) -> None:
        """Let all be one Gaussian of this mean and variance (D,)."""
        self.log_weights.fill_(NEVER)[:, 0] = 0.0
        self.means.copy_(mean.expand_as(self.means))
        self.variances.copy_(variance.expand_as(self.variances))

    def sums(self, frames: Tensor, states: Tensor, shares: Tensor) -> MixtureSums:
        """Sum frames (N, D), each of which belongs to a state (N,) by its share (N,)."""
        away = frames[:, None] - self.means[states]  # (N, M, D)
        densities = self.log_weights[states] - 0.5 * (away.square() / self.variances[states] + self.variances[states].log()).sum(-1)
        shared = shares[:, None] * densities.softmax(-1)  # (N, M)
        weighted = shared[..., None] * frames[:, None]  # (N, M, D)
        return MixtureSums(*(_added(one, states, len(self.means)) for one in (shared, weighted, weighted * frames[:, None])))

    def update(self, sums: MixtureSums, *, least: float, floor: float) -> int:
        """Estimate all Gaussians anew, none with a variance below `floor`; drop those with fewer than `least` frames.

        A state of so few frames stays as it is. Returns how many Gaussians were dropped.
        """
        counts, first, second = sums
        kept = (counts >= least) & (self.log_weights > NEVER)
        known = kept.any(1, keepdim=True)
        dropped = int(((self.log_weights > NEVER) & ~kept & known).sum())
        mean = first / counts.clamp(min=1e-10)[..., None]
        variance = (second / counts.clamp(min=1e-10)[..., None] - mean.square()).clamp(min=floor)
        weights = torch.where(kept, counts, torch.zeros_like(counts))
        logs = (weights / weights.sum(1, keepdim=True).clamp(min=1e-10)).log().clamp(min=NEVER).to(self.log_weights)
        self.log_weights.copy_(torch.where(known, logs, self.log_weights))
        self.means.copy_(torch.where(kept[..., None], mean.to(self.means), self.means))
        self.variances.copy_(torch.where(kept[..., None], variance.to(self.variances), self.variances))
        return dropped

    def grow(self, most: int) -> None:
        """Split the heaviest Gaussians of each state in two: twice as many as there are, and no more than `most`."""
        for weights, means, variances in zip(self.log_weights, self.means, self.variances, strict=True):
            there = (weights > NEVER).nonzero()[:, 0]
            free = (weights <= NEVER).nonzero()[:, 0]
            heaviest = there[weights[there].argsort(descending=True, stable=True)][: max(most - len(there), 0)]
            for source, target in zip(heaviest.tolist(), free.tolist(), strict=False):
                apart = APART * variances[source].sqrt()
                weights[source] -= torch.tensor(2.0).log()
                weights[target] = weights[source]
                means[target], variances[target] = means[source] - apart, variances[source]
                means[source] += apart

    def _each(self, frames: Tensor) -> Tensor:
        """Score frames (…, D): log of weight and density, (…, S, M)."""
        precision = 1 / self.variances
        constant = self.log_weights - 0.5 * ((2 * torch.pi * self.variances).log() + self.means.square() * precision).sum(-1)
        scores = frames @ (self.means * precision).flatten(0, 1).T - 0.5 * frames.square() @ precision.flatten(0, 1).T
        return scores.unflatten(-1, constant.shape) + constant


def _added(values: Tensor, states: Tensor, count: int) -> Tensor:
    """Add up values (N, …) by their states (N,): (S, …)."""
    return values.new_zeros(count, *values.shape[1:], dtype=torch.float64).index_add_(0, states, values.double())
