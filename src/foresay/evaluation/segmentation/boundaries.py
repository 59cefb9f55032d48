"""Phone boundaries: where they are, how many were found, and what that is worth.

    hits = pairs of a found and a true boundary at most `tolerance` apart, each in one pair       P = hits / found     R = hits / true
    F1 = 2 hits / (found + true)        over-segmentation OS = found / true - 1
    R-value = 1 - (|r1| + |r2|) / 2     r1 = sqrt((1 - R)^2 + OS^2)     r2 = (R - 1 - OS) / sqrt(2)

Many boundaries find many true ones by chance, and F1 hardly minds; the R-value does (Räsänen, Laine and Altosaar 2009, "An improved speech
segmentation quality measure: the R-value", Interspeech). It is 1 for what is perfect and falls below 0 for far too many.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foresay.corpora.manifest import Interval

TOGETHER = 0.005
"""Seconds: what is no further apart touches. Half a frame."""
ROUNDING = 1e-6
"""Seconds: times in files have four decimals or so, and 0.32 - 0.3 is more than 0.02 to a computer."""

R_VALUE, F1, PRECISION, RECALL, OVER = "R-value", "F1", "precision", "recall", "over-segmentation"


def true_boundaries(phones: Sequence[Interval], duration: float) -> NDArray[np.float64]:
    """Return the times (N,) at which the label changes, in seconds and in order, within a recording: its own start and end are none.

    Two phones of one label that touch have no audible boundary. Where a gap is between phones, it begins and ends at one.
    """
    times, end, label = [], 0.0, None
    for phone in sorted(phones):
        if phone.start > end + TOGETHER:
            times += [end, phone.start]
        elif phone.label != label:
            times.append(phone.start)
        end, label = max(end, phone.end), phone.label
    times.append(end)
    return np.unique([time for time in times if TOGETHER < time < duration - TOGETHER])


def count_hits(found: ArrayLike, true: ArrayLike, tolerance: float) -> int:
    """Count the boundaries that can be paired, each with one of the others that is at most `tolerance` seconds away.

    Both in order. The earliest of both are paired where they are near enough: no other pairing has more.
    """
    a, b = np.asarray(found).tolist(), np.asarray(true).tolist()
    i = j = hits = 0
    while i < len(a) and j < len(b):
        apart = a[i] - b[j]
        near = abs(apart) <= tolerance + ROUNDING
        hits += near
        i, j = i + (near or apart < 0), j + (near or apart > 0)
    return hits


def scores(counts: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Rate counts (..., 3) of hits, found and true boundaries: each (...). Where nothing was found, precision is 0."""
    hits, found, true = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, over = hits / true, found / true - 1.0
        precision, f1 = np.where(found > 0, hits / found, 0.0), 2.0 * hits / (found + true)
    r1, r2 = np.hypot(1.0 - recall, over), (recall - 1.0 - over) / np.sqrt(2.0)
    return {R_VALUE: 1.0 - (np.abs(r1) + np.abs(r2)) / 2.0, F1: f1, PRECISION: precision, RECALL: recall, OVER: over}
