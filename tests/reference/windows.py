"""Where windows lie, the slow way: lay out every single sample, cut, and look what is in the pieces."""

from collections.abc import Sequence
from itertools import groupby

Recording = tuple[str, str, int]
"""Speaker, id, samples."""


def windows(recordings: Sequence[Recording], window: int, offset: int, *, join: bool) -> list[list[tuple[str, int, int]]]:
    """Return the windows of an epoch, each a list of (id, start, stop), as CPC's reference implementation cuts them."""
    timelines: dict[str, list[tuple[str, int]]] = {}
    for speaker, name, samples in sorted(recordings):
        timelines.setdefault(speaker if join else name, []).extend((name, sample) for sample in range(samples))
    found = []
    for timeline in timelines.values():
        start = offset
        while start + window <= len(timeline):
            pieces = groupby(timeline[start : start + window], key=lambda sample: sample[0])
            found.append([(name, samples[0][1], samples[-1][1] + 1) for name, samples in ((n, list(s)) for n, s in pieces)])
            start += window
    return found
