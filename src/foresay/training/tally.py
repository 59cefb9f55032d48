"""The loss of one update: the sum over terms of weight x sum / count, each count over all devices and micro-batches.

    micro-batch   device 1                 device 2
        1         a: 3.0 / 2   b: 1.0 / 5   a: 1.0 / 1   b: 0.0 / 0
        2         a: 2.0 / 1   b: 2.0 / 3   a: 0.0 / 0   b: 1.0 / 2       loss = weight_a 6.0 / 4 + weight_b 4.0 / 10

So the gradient does not depend on how a global batch was cut up, whatever its terms count (design, section 3). A term that counts nothing
contributes nothing. All sums stay on the device: nothing here waits for it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.contracts import Losses
from foresay.training.devices import Process


class Totals(NamedTuple):
    """What an update's micro-batches on all devices amount to; each number is a tensor () on the device."""

    counts: dict[str, Tensor]
    """Of each term."""
    loss: Tensor
    scalars: dict[str, Tensor]
    """Means of what else the model reports, not a number where there was nothing to take them over. Micro-batches weigh by the count of the
    term that a scalar is a mean of, or by what their terms count together."""

    @property
    def nothing(self) -> Tensor:
        """Whether the counts of all terms are 0: bool ()."""
        return torch.stack([count <= 0 for count in self.counts.values()]).all()


class Tally:
    """Sums up the terms and scalars of micro-batches."""

    def __init__(self, place: Process) -> None:
        self._place = place
        self._weights: dict[str, float] = {}
        self._means_of: dict[str, str] = {}
        self._sums: dict[str, Tensor] = {}
        """By kind and name, so that one exchange between devices does for all."""

    def add(self, losses: Losses, share: float = 1.0) -> None:
        """Take a micro-batch; 0 as its share is for one that is another device's."""
        counts = {name: self._place.number(term.count) for name, term in losses.terms.items()}
        everything = torch.stack(list(counts.values())).sum()
        sizes = {name: counts[losses.means_of[name]] if name in losses.means_of else everything for name in losses.scalars}
        own = {
            **{f"count {name}": count for name, count in counts.items()},
            **{f"sum {name}": self._place.number(term.sum) for name, term in losses.terms.items()},
            # The mean of no values is not a number, and is not used.
            **{f"mean {name}": torch.where(n > 0, n * self._place.number(losses.scalars[name]), 0) for name, n in sizes.items()},
        }
        self._means_of |= losses.means_of
        self._weights |= {name: term.weight for name, term in losses.terms.items()}
        for name, value in own.items():
            taken = value * share if share else torch.zeros_like(value)
            self._sums[name] = self._sums[name] + taken if name in self._sums else taken

    def together(self) -> Totals:
        """Add up what all devices have. All must ask, and all have been given the same terms."""
        everywhere = self._place.added(torch.stack(list(self._sums.values()))).unbind()
        sums = dict(zip(self._sums, everywhere, strict=True))
        kinds: dict[str, dict[str, Tensor]] = {"count": {}, "sum": {}, "mean": {}}
        for label, value in sums.items():
            kind, _, name = label.partition(" ")
            kinds[kind][name] = value
        counts = kinds["count"]
        everything = torch.stack(list(counts.values())).sum()
        loss = torch.stack([self._weights[name] * kinds["sum"][name] / divisor(count) for name, count in counts.items()]).sum()
        sizes = {name: counts[self._means_of[name]] if name in self._means_of else everything for name in kinds["mean"]}
        return Totals(counts, loss, {name: value / sizes[name] for name, value in kinds["mean"].items()})


def divisor(count: Tensor) -> Tensor:
    """Return a count () as the divisor of a sum; with a count of 0 there is no mean and no gradient."""
    return torch.where(count > 0, count, torch.inf)


def weighed(losses: Losses, counts: Mapping[str, Tensor]) -> Tensor:
    """Return a micro-batch's part of the loss (), given what each term counts in the whole update; in fp32 at least."""
    sums = {name: term.weight * term.sum.to(torch.promote_types(term.sum.dtype, torch.float32)) for name, term in losses.terms.items()}
    return torch.stack([total / divisor(counts[name]).to(total) for name, total in sums.items()]).sum()
