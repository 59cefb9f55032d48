"""Estimates from sums over utterances (of counts, of squared distances), with bootstrap intervals over utterances.

Entropies fall, and mutual information rises, when there are fewer different utterances, and every draw with replacement has fewer. The
draws are therefore moved so that their mean is the number itself: an interval says how far it would move, and holds it.
"""

from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from foresay.results import FEWEST
from foresay.statistics.intervals import DRAWS, ConfidenceInterval, draw_utterances

Floats: TypeAlias = NDArray[np.float64]

CELLS = 2**22
"""Sums of drawn utterances held at once."""


class Statistic(NamedTuple):
    """A number found of some frames."""

    metric: str
    value: float
    interval: ConfidenceInterval | None
    """None where it has none by nature: a count, a map."""
    details: Mapping[str, Any]
    """What it was found on, and what a report draws."""


class Estimate(NamedTuple):
    """A number."""

    value: float
    draws: Floats | None = None
    """(draws,): what it is of drawn utterances, none where those are too few; None where it has no interval by nature (a count)."""
    places: NDArray[np.int64] | None = None
    """(U,): which utterances were drawn."""

    @property
    def interval(self) -> ConfidenceInterval | None:
        """How far it would move with other utterances, 95 times in 100."""
        if self.draws is None or self.places is None:
            return None
        return ConfidenceInterval(self.draws - self.draws.mean() + self.value if len(self.draws) else self.draws, self.places)


def estimate(sums: Floats | csr_array, statistic: Callable[[Floats], Mapping[str, Floats]], seed: int = 0) -> dict[str, Estimate]:
    """Compute statistics of the sum over utterances, and of the sums over drawn ones.

    `sums` (U, X) per utterance; those with nothing but zeros are left out. `statistic` takes n such sums, (n, X) -> (n,) by name.
    """
    places = np.flatnonzero(abs(sums).sum(axis=1))
    counted = sums[places]
    values = statistic(np.asarray(counted.sum(axis=0), dtype=np.float64)[None])
    utterances, width = counted.shape
    if utterances < FEWEST:
        return {name: Estimate(float(value[0]), np.zeros(0), places) for name, value in values.items()}
    parts = np.array_split(draw_utterances(utterances, seed), ceil(DRAWS * width / CELLS))
    drawn = [statistic(np.asarray(part @ counted)) for part in parts]
    return {name: Estimate(float(value[0]), np.concatenate([part[name] for part in drawn]), places) for name, value in values.items()}


def mean(estimates: Iterable[Estimate]) -> Estimate:
    """Take the mean of numbers of the same utterances, draw by draw."""
    values, draws, places = zip(*estimates, strict=True)
    known = [d for d in draws if d is not None]
    return Estimate(float(np.mean(values)), np.mean(known, axis=0) if len(known) == len(draws) else None, places[0])
