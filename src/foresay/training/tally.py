"""The loss of one update: the sum over terms of weight x sum / count, each count over all devices and micro-batches.

So the gradient does not depend on how a global batch was cut up (design, section 3).
"""

from collections import defaultdict

import torch
from torch import Tensor

from foresay.contracts import Losses
from foresay.errors import UserError
from foresay.training.devices import Place


class Tally:
    """Collects the terms of an update's micro-batches on all devices."""

    def __init__(self, place: Place, micro_batches: int) -> None:
        self._place = place
        self._micro_batches = micro_batches
        self._expected: dict[str, float] = {}
        self._counts: dict[str, float] = defaultdict(float)
        self._weighted_sums: dict[str, float] = defaultdict(float)
        self._scalars: dict[str, float] = defaultdict(float)

    def add(self, losses: Losses) -> Tensor:
        """Take a micro-batch; return what its gradient is to be computed of.

        The later micro-batches are expected to count as much as the first one: `correction` puts right what turns out otherwise.
        """
        terms = losses.terms
        size = sum(float(term.count) for term in terms.values())  # by which the scalars of unequal micro-batches weigh
        own = [
            *(float(term.count) for term in terms.values()),
            *(float(term.sum.detach()) for term in terms.values()),
            *(size * float(value) for value in losses.scalars.values()),
        ]
        everywhere = iter(self._place.summed(own))
        counts, sums = ({name: next(everywhere) for name in terms} for _ in range(2))
        self._expected = self._expected or {name: count * self._micro_batches for name, count in counts.items()}
        for name, term in terms.items():
            self._counts[name] += counts[name]
            self._weighted_sums[name] += term.weight * sums[name]
        for name in losses.scalars:
            self._scalars[name] += next(everywhere)
        parts = [term.weight * term.sum / self._expected[name] for name, term in terms.items()]
        return torch.stack(parts).sum() * self._place.world  # which averaging over devices takes out again

    def correction(self) -> float:
        """Factor that the gradient is to be multiplied by.

        Raises:
            UserError: micro-batches were unequal, and differently so for different terms.
        """
        factors = [self._expected[name] / count for name, count in self._counts.items()]
        if max(factors) - min(factors) > 1e-9:  # noqa: PLR2004 - equal, but for rounding
            names = ", ".join(self._counts)
            msg = f"the terms of this loss count different things ({names}), which trainer.accumulate cannot weigh exactly: set it to 1"
            raise UserError(msg)
        return factors[0]

    def scalars(self) -> dict[str, float]:
        """The loss, and the means of what else the model reports, over the whole update."""
        loss = sum(self._weighted_sums[name] / count for name, count in self._counts.items())
        size = sum(self._counts.values())
        return {"loss": loss, **{name: total / size for name, total in self._scalars.items()}}
