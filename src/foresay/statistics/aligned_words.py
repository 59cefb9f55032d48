"""How well aligned words fit those that are spoken: the error of their boundaries, and how much of each word is in its own place."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Fit(NamedTuple):
    """Of N words, N above 0."""

    errors: NDArray[np.float64]
    """(N, 2) seconds: distance of each begin and end from the true one."""
    shared: float
    """Seconds of the words that are in the right one."""
    spoken: float
    """Seconds of the words."""

    @property
    def error(self) -> float:
        """Mean distance of a boundary, in seconds."""
        return float(self.errors.mean())

    @property
    def inside(self) -> float:
        """Share of the words' time that is in the right word, 0 to 1."""
        return self.shared / self.spoken


def fit(found: NDArray[np.float64], true: NDArray[np.float64]) -> Fit:
    """Compare begins and ends (N, 2) of the same words, in seconds.

    >>> compared = fit(np.array([[0.0, 0.5], [0.5, 2.0]]), np.array([[0.0, 1.0], [1.0, 2.0]]))
    >>> compared.error, compared.inside
    (0.25, 0.75)
    """
    shared = np.minimum(found[:, 1], true[:, 1]) - np.maximum(found[:, 0], true[:, 0])
    return Fit(np.abs(found - true), float(shared.clip(0).sum()), float((true[:, 1] - true[:, 0]).sum()))


def uniform(words: Sequence[str], duration: float) -> NDArray[np.float64]:
    """Cut a recording into words as long as they have letters, whatever is in it, a control: (N, 2) seconds."""
    cuts = np.cumsum([0, *map(len, words)]) / sum(map(len, words)) * duration
    return np.stack([cuts[:-1], cuts[1:]], axis=1)
