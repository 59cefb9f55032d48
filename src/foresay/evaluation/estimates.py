"""Numbers that come from sums over utterances (of counts, of squared distances), and what they would be with other utterances.

Entropies and what is made of them rise when there are fewer different utterances, and every draw with replacement has fewer. The draws are
therefore moved so that their mean is the number itself: an interval says how far it would move, and holds it.
"""

from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from foresay.evaluation.intervals import DRAWS, draw_utterances
from foresay.metrics import Interval

Floats: TypeAlias = NDArray[np.float64]

CELLS = 2**22
"""Sums of drawn utterances held at once."""


class Estimate(NamedTuple):
    """A number."""

    value: float
    draws: Floats | None = None
    """(draws,): what it is of drawn utterances; None where there are fewer than two to draw from."""

    @property
    def interval(self) -> Interval | None:
        """How far it would move with other utterances, 95 times in 100."""
        return None if self.draws is None else Interval(self.draws - self.draws.mean() + self.value)


def estimate(sums: Floats | csr_array, statistic: Callable[[Floats], Mapping[str, Floats]], seed: int = 0) -> dict[str, Estimate]:
    """Compute statistics of the sum over utterances, and of the sums over drawn ones.

    `sums` (U, X) per utterance; those with nothing but zeros are left out. `statistic` takes n such sums, (n, X) -> (n,) by name.
    """
    counted = sums[np.flatnonzero(abs(sums).sum(axis=1))]
    values = statistic(np.asarray(counted.sum(axis=0), dtype=np.float64)[None])
    utterances, width = counted.shape
    if utterances < 2:  # noqa: PLR2004 - one can be drawn only again and again
        return {name: Estimate(float(value[0])) for name, value in values.items()}
    parts = np.array_split(draw_utterances(utterances, seed), ceil(DRAWS * width / CELLS))
    drawn = [statistic(np.asarray(part @ counted)) for part in parts]
    return {name: Estimate(float(value[0]), np.concatenate([part[name] for part in drawn])) for name, value in values.items()}


def mean(estimates: Iterable[Estimate]) -> Estimate:
    """Take the mean of numbers of the same utterances, draw by draw."""
    values, draws = zip(*estimates, strict=True)
    known = [d for d in draws if d is not None]
    return Estimate(float(np.mean(values)), np.mean(known, axis=0) if len(known) == len(draws) else None)
