"""Spearman's rank correlation, of things as they are and of things that are drawn again."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def rank_correlation(one: ArrayLike, other: ArrayLike, counts: ArrayLike | None = None) -> Floats:
    """Return the rank correlation of (N,) and (N,) numbers; equal ones share their rank, and of what is all equal it is 0.

    `counts` (n, N): how often each of the N is there; default: once. Returned is a correlation for each row: (n,).
    """
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    weights = np.ones((1, len(a))) if counts is None else np.asarray(counts, dtype=np.float64)
    first, second = (_ranks(values, weights) - (weights.sum(1, keepdims=True) + 1) / 2 for values in (a, b))
    together, scale = (weights * first * second).sum(1), np.sqrt((weights * first**2).sum(1) * (weights * second**2).sum(1))
    return np.divide(together, scale, out=np.zeros_like(together), where=scale > 0)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Rank (N,) numbers from 1, each as often there as its weight (n, N) says: (n, N)."""
    order = np.argsort(values, kind="stable")
    begins = np.flatnonzero(np.diff(values[order], prepend=-np.inf))  # of equal ones
    sums = np.add.reduceat(weights[:, order], begins, axis=1)
    ranks = sums.cumsum(1) - sums + (sums + 1) / 2
    spread = np.empty_like(weights)
    spread[:, order] = np.repeat(ranks, np.diff(np.append(begins, len(values))), axis=1)
    return spread
