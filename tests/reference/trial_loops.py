"""Equal error rate and detection cost by a loop over thresholds and trials, and what is in a draw of speakers, trial by trial."""

from collections.abc import Sequence
from itertools import pairwise

Trial = tuple[float, str, str]
"""Score, and the two speakers."""


def rates(trials: Sequence[Trial], threshold: float) -> tuple[float, float]:
    """Misses and false alarms of what accepts trials from a score on."""
    targets = [score for score, one, other in trials if one == other]
    others = [score for score, one, other in trials if one != other]
    return sum(score < threshold for score in targets) / len(targets), sum(score >= threshold for score in others) / len(others)


def curve(trials: Sequence[Trial]) -> list[tuple[float, float]]:
    thresholds = sorted({score for score, *_ in trials}, reverse=True)
    return [rates(trials, threshold) for threshold in [float("inf"), *thresholds]]


def equal_error_rate(trials: Sequence[Trial]) -> float:
    """Halve the segment that crosses the diagonal until it is a point."""
    points = curve(trials)
    for before, after in pairwise(points):
        if before[1] <= before[0] and after[1] >= after[0]:
            low, high = 0.0, 1.0
            for _ in range(60):
                middle = (low + high) / 2
                miss, false_alarm = (a + middle * (b - a) for a, b in zip(before, after, strict=True))
                low, high = (low, middle) if false_alarm >= miss else (middle, high)
            return before[1] + high * (after[1] - before[1])
    message = "a curve from (1, 0) to (0, 1) crosses the diagonal"
    raise AssertionError(message)


def detection_cost(trials: Sequence[Trial], prior: float) -> float:
    return min(prior * miss + (1 - prior) * false_alarm for miss, false_alarm in curve(trials)) / min(prior, 1 - prior)


def drawn_trials(trials: Sequence[Trial], drawn: Sequence[str]) -> list[Trial]:
    """All trials of drawn speakers, each copy of whom is somebody; of two copies of one there is no trial."""
    found = []
    for place, one in enumerate(drawn):
        for other_place, other in enumerate(drawn):
            same_copy = place == other_place
            found += [(score, a, b) for score, a, b in trials if (a, b) == (one, other) and (same_copy or one != other)]
    return found
