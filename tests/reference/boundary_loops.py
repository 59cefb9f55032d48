"""Boundaries matched by trying everything, and what a model's posteriors say of each two frames, position by position."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def most_hits(found: Sequence[float], true: Sequence[float], tolerance: float) -> int:
    """The most pairs that can be made: augmenting paths (Berge 1957)."""
    partner: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j, time in enumerate(true):
            if abs(found[i] - time) <= tolerance + 1e-6 and j not in tried:
                tried.add(j)
                if j not in partner or place(partner[j], tried):
                    partner[j] = i
                    return True
        return False

    return sum(place(i, set()) for i in range(len(found)))


def change_probability(posterior: NDArray[np.float64], frames: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and count of what is said of frames j and j + 1, over the positions of one window: (W, M, K) -> (frames - 1,) twice."""
    sums, counts = np.zeros((2, frames - 1))
    positions, matched, predictions = posterior.shape
    for t in range(positions):
        for m in range(matched - 1):
            growth = sum(k * (posterior[t, m + 1, k] - posterior[t, m, k]) for k in range(predictions))
            j = t + 1 + m
            if j < frames - 1:
                sums[j] += growth
                counts[j] += 1
    return sums, counts
