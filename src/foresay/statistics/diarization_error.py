"""Diarization error rate (DER): of the time that people speak, how much is missed, made up, or given to somebody else.

    DER = (missed + false alarm + confused) / speech        each of two who speak at once is counted

Speakers of the hypothesis have no names of their own: each stands for at most one of the reference, and which for which is what has most
time in common over the whole recording, as NIST's md-eval maps them, also where a collar or overlaps are then not scored.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Turn: TypeAlias = tuple[float, float, str]
"""Start and end in seconds, and who speaks."""

THRESHOLDS, MEDIANS = (0.3, 0.4, 0.5, 0.6, 0.7), (1, 11)
"""What the reference code of SUPERB tries on the test set, of which it reports the best."""


class DiarizationErrors(NamedTuple):
    """Of one recording, in seconds or frames. Sums of recordings are those of a corpus."""

    missed: float
    false_alarm: float
    confused: float
    speech: float
    """What can be missed: the time of all speakers of the reference, each by himself."""

    @property
    def errors(self) -> float:
        """Numerator of the rate, `speech` being the denominator."""
        return self.missed + self.false_alarm + self.confused


def errors_of_turns(reference: Sequence[Turn], hypothesis: Sequence[Turn], *, collar: float, overlaps: bool) -> DiarizationErrors:
    """Score turns, in seconds.

    `collar`: seconds on each side of a boundary of the reference that do not count. `overlaps`: whether time counts in which two of the
    reference speak at once. SUPERB has a collar of 0 and counts overlaps.

    >>> errors_of_turns([(0.0, 4.0, "Ann"), (3.0, 6.0, "Bob")], [(0.0, 3.5, "1"), (3.5, 7.0, "2")], collar=0.0, overlaps=True)
    DiarizationErrors(missed=1.0, false_alarm=1.0, confused=0.0, speech=7.0)
    """
    ends = np.array([time for start, end, _ in reference for time in (start, end)])
    others = [time for start, end, _ in hypothesis for time in (start, end)]
    cuts = np.unique(np.concatenate([ends, others, ends - collar, ends + collar]))
    middles = (cuts[1:] + cuts[:-1]) / 2  # (N,): of stretches in which nothing changes
    true, found = _active(reference, middles), _active(hypothesis, middles)
    scored = np.abs(middles[:, None] - ends).min(axis=1, initial=np.inf) > collar
    if not overlaps:
        scored &= true.sum(axis=1) <= 1
    return _errors(true, found, np.diff(cuts), scored)


def errors_of_frames(reference: NDArray[np.bool_], hypothesis: NDArray[np.bool_]) -> DiarizationErrors:
    """Score who speaks in which frame, (T, R) and (T, H), in frames. No collar; overlaps count."""
    everywhere = np.ones(len(reference), dtype=np.bool_)
    return _errors(reference.astype(np.bool_), hypothesis.astype(np.bool_), everywhere.astype(np.float64), everywhere)


def active_speakers(posteriors: NDArray[np.floating], *, threshold: float, median: int) -> NDArray[np.bool_]:
    """Decide from probabilities (…, T, S) who speaks in which frame: (…, T, S).

    Above the threshold, then a median filter of an odd number of frames, 1 for none; before the first and after the last nobody speaks.
    """
    half = median // 2
    sums = np.cumsum(np.pad(posteriors > threshold, [(0, 0)] * (posteriors.ndim - 2) + [(half + 1, half), (0, 0)]), axis=-2)
    frames = posteriors.shape[-2]
    return np.asarray(sums[..., median:, :] - sums[..., :frames, :] > half)


def turns_of_frames(active: NDArray[np.bool_], seconds: float) -> list[Turn]:
    """Join frames (T, S) of so many seconds each into turns of speakers `1`, `2`, …"""
    steps = np.diff(np.pad(active.astype(np.int8), [(1, 1), (0, 0)]), axis=0)
    return [
        (float(start * seconds), float(end * seconds), str(speaker + 1))
        for speaker, changes in enumerate(steps.T)
        for start, end in zip(np.flatnonzero(changes > 0), np.flatnonzero(changes < 0), strict=True)
    ]


def _active(turns: Sequence[Turn], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Who speaks when: (N, S)."""
    active = np.zeros((len(times), len({speaker for *_, speaker in turns})), dtype=np.bool_)
    columns = {speaker: column for column, speaker in enumerate(dict.fromkeys(speaker for *_, speaker in turns))}
    for start, end, speaker in turns:
        active[:, columns[speaker]] |= (start < times) & (times < end)
    return active


def _errors(
    true: NDArray[np.bool_], found: NDArray[np.bool_], durations: NDArray[np.float64], scored: NDArray[np.bool_]
) -> DiarizationErrors:
    """Map the speakers, and add up the durations (N,) of what is scored: (N, R) and (N, H)."""
    rows, columns = linear_sum_assignment((true * durations[:, None]).T @ found, maximize=True)
    right = (true[:, rows] & found[:, columns]).sum(axis=1)
    speaking, claimed = true.sum(axis=1), found.sum(axis=1)
    counts = [np.maximum(speaking - claimed, 0), np.maximum(claimed - speaking, 0), np.minimum(speaking, claimed) - right, speaking]
    return DiarizationErrors(*(float(count @ (durations * scored)) for count in counts))
