"""What marks a boundary: frames that differ from those before them, and predictions that take over from one another. And its peaks."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import find_peaks
from torch import Tensor
from torch.nn import functional

Curve = NDArray[np.float64]


class Peaks(NamedTuple):
    """Where a curve is higher than around it."""

    times: NDArray[np.float64]
    """(n,) seconds, in order."""
    prominences: NDArray[np.float64]
    """(n,): how far one must come down before it goes higher."""


def dissimilarity(features: Tensor, span: int) -> Curve:
    """1 - cosine of the mean of `span` frames before a boundary and of as many after it: (T, D) -> (T - 1,), for each two neighbors.

    Of frames less their mean over the recording: features are often all on one side of the origin, where cosines say little.
    At the ends there are fewer frames.
    """
    count = len(features)
    centered = features.double() - features.double().mean(dim=0)
    until = functional.pad(centered.cumsum(dim=0), (0, 0, 1, 0))  # (T + 1, D): sum of the frames before t
    here = torch.arange(1, count, device=features.device)
    begin, end = (here - span).clamp(min=0), (here + span).clamp(max=count)
    before, after = until[here] - until[begin], until[end] - until[here]  # a cosine is the same of sums as of means
    return np.asarray((1.0 - functional.cosine_similarity(before, after, dim=-1)).cpu().numpy())


def taking_over(posterior: Tensor) -> Tensor:
    """Probability that frame m + 1 is aligned to another prediction than frame m: (..., M, K) -> (..., M - 1).

    An alignment stays at a prediction or climbs to the next, so this is how much the mean prediction grows. To enter a learned blank, which
    stands last, counts as a change; to leave it does not.
    """
    places = torch.arange(posterior.shape[-1], dtype=posterior.dtype, device=posterior.device)
    return (posterior @ places).diff(dim=-1).clamp(0.0, 1.0)


def add_at_frames(changes: NDArray[np.float64], sums: Curve, counts: Curve) -> None:
    """Add what W positions said of the next M frames, (W, M - 1), to the neighbors it was said of, (n,): pair j is frames j and j + 1.

    Position t predicts frames t + 1 ... t + M. What was said of frames that are not there is left out.
    """
    for m, said in enumerate(changes.T):
        there = slice(m + 1, m + 1 + len(said))
        width = len(sums[there])
        sums[there] += said[:width]
        counts[there] += 1.0


def peaks(curve: Curve, times: NDArray[np.float64]) -> Peaks:
    """Find the peaks of a curve (n,) over times (n,) seconds. Its ends are none; of a plateau, the middle is one."""
    places, found = find_peaks(curve, prominence=0.0)
    return Peaks(times[places], found["prominences"])
