"""Bits and durations of units: how many there are a second, how long they last, and in how many bits they can be written.

    frames                   r H(u)                  r frames a second, each a unit u
    merged                   r' H(u')                runs of equal units merged: r' a second, of another distribution
    merged, with durations   r' (H(u') + H(d))       each with the number d of frames that it lasts: no time is lost

H is the entropy of how frequent they are in the very recordings, in bits: a code that knows the frequencies takes so much, and nothing that
predicts. Beside it stands log2 K in the place of H(u), where all K are written alike, as papers count (Lakhotia et al., arXiv:2102.01192;
Polyak et al., arXiv:2104.00355: 350 bit/s are 50 frames of 7 bits). Intervals are over utterances; log2 K of frames has none.
"""

from collections.abc import Sequence
from math import log, log2
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from foresay.statistics.cluster_scores import entropy
from foresay.statistics.estimates import Estimate, Floats, estimate

FRAMES, MERGED, WITH_DURATIONS = "frames", "merged", "merged, with durations"
BY_ENTROPY, BY_COUNT = "bit rate by entropy", "bit rate by log2 K"
RATE, DURATION = "units per second", "mean duration"
EFFECTIVE, USED = "effective units", "share of units used"


class Rated(NamedTuple):
    """A number of units: of what, and which."""

    of: str
    """`FRAMES`, `MERGED`, `WITH_DURATIONS`."""
    metric: str


def merged_runs(units: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Merge runs of equal units (T,): the unit of each run, and how many frames it lasts, both (U,).

    >>> [part.tolist() for part in merged_runs(np.array([5, 5, 5, 2, 5]))]
    [[5, 2, 5], [3, 1, 1]]
    """
    begins = np.flatnonzero(np.diff(units, prepend=-1) != 0) if len(units) else np.zeros(0, np.int64)
    return units[begins], np.diff(begins, append=len(units))


def rate_units(recordings: Sequence[NDArray[np.integer]], clusters: int, frame_rate: float, seed: int = 0) -> dict[Rated, Estimate]:
    """Rate the units (T,) of each of some recordings, from 0 to below K = `clusters`, so many frames a second.

    Returns bits per second, units per second, their mean duration in ms, the exponential of their entropy, and the share of those used.
    """
    runs = [merged_runs(units.astype(np.int64)) for units in recordings]
    longest = max(durations.max(initial=0) for _, durations in runs)
    rows = [
        [np.bincount(units, minlength=clusters), np.bincount(kept, minlength=clusters), np.bincount(durations, minlength=longest + 1)]
        for units, (kept, durations) in zip(recordings, runs, strict=True)
    ]
    sums = csr_array(np.stack([np.concatenate(row) for row in rows]).astype(np.float64))

    def statistic(sums: Floats) -> dict[str, Floats]:
        frames, merged, durations = np.split(sums, [clusters, 2 * clusters], axis=1)
        return {": ".join(rated): value for rated, value in _rates(frames, merged, durations, frame_rate).items()}

    numbers = {Rated(*name.split(": ")): number for name, number in estimate(sums, statistic, seed).items()}
    used = sum((np.bincount(units, minlength=clusters) for units in recordings), np.zeros(clusters, np.int64))
    fixed = {Rated(FRAMES, BY_COUNT): frame_rate * log2(clusters), Rated(FRAMES, USED): float((used > 0).mean())}
    return numbers | {rated: Estimate(value) for rated, value in fixed.items()}


def _rates(frames: Floats, merged: Floats, durations: Floats, frame_rate: float) -> dict[Rated, Floats]:
    """From n sums of counts: of units in frames (n, K), of merged units (n, K), and of durations (n, longest + 1)."""
    of_frames, of_merged, of_durations = (entropy(counts) / log(2.0) for counts in (frames, merged, durations))
    lasts = frames.sum(axis=1) / merged.sum(axis=1)
    rate, every = frame_rate / lasts, log2(frames.shape[1])
    return {
        Rated(FRAMES, BY_ENTROPY): frame_rate * of_frames,
        Rated(FRAMES, EFFECTIVE): np.exp2(of_frames),
        Rated(MERGED, BY_COUNT): rate * every,
        Rated(MERGED, BY_ENTROPY): rate * of_merged,
        Rated(MERGED, RATE): rate,
        Rated(MERGED, DURATION): 1000.0 * lasts / frame_rate,
        Rated(MERGED, EFFECTIVE): np.exp2(of_merged),
        Rated(WITH_DURATIONS, BY_COUNT): rate * (every + of_durations),
        Rated(WITH_DURATIONS, BY_ENTROPY): rate * (of_merged + of_durations),
    }
