"""What a training step returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Term:
    """One part of the loss: a sum over `count` things (positions, frames, …) and its weight in the total.

    Where there is nothing to count, the count is 0 and the sum is 0: then the term contributes nothing.
    """

    sum: Tensor
    count: Tensor | float
    weight: float = 1.0


@dataclass(frozen=True)
class Losses:
    """What a training step returns.

    The trainer minimizes the sum over terms of weight x sum / count, each count summed over all devices and accumulated micro-batches:
    the gradient does not depend on how a global batch was cut up, also where terms count different things. A model returns the same terms
    for every batch. `scalars` are means, for the log only.
    """

    terms: Mapping[str, Term]
    scalars: Mapping[str, Tensor]
    means_of: Mapping[str, str] = field(default_factory=dict)
    """Scalar -> the term over whose count it is a mean, where terms count different things."""

    def total(self) -> Tensor:
        """The loss of this batch alone, a scalar."""
        counts = [torch.as_tensor(term.count, dtype=term.sum.dtype, device=term.sum.device) for term in self.terms.values()]
        parts = [term.weight * term.sum / torch.where(n > 0, n, torch.inf) for term, n in zip(self.terms.values(), counts, strict=True)]
        return torch.stack(parts).sum()
