"""Intervals of any statistic over utterances, not only of a ratio (`foresay.metrics.bootstrap`): utterances are drawn again.

A draw with replacement is told by how often it holds each utterance; a statistic of all draws at once is then a product of matrices.
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foresay.draws import stream
from foresay.metrics import Interval

DRAWS = 1000


class Finding(NamedTuple):
    """A number found of some frames."""

    metric: str
    value: float
    interval: Interval | None
    """None where it has none by nature: a count, a map."""
    details: Mapping[str, Any]
    """What it was found on, and what a report draws."""


def draw_utterances(utterances: int, seed: int, draws: int = DRAWS) -> NDArray[np.float64]:
    """Tell how often each utterance is in each draw: (draws, U)."""
    alike = np.full(utterances, 1.0 / utterances)
    return stream("utterances", seed).multinomial(utterances, alike, size=draws).astype(np.float64)
