"""Diarization error rate on a grid of milliseconds, by trying every way to map speakers."""

from collections.abc import Sequence
from itertools import permutations

Turn = tuple[int, int, str]
"""Start and end in milliseconds."""


def spoken(turns: Sequence[Turn], time: int) -> set[str]:
    return {speaker for start, end, speaker in turns if start <= time < end}


def speakers(turns: Sequence[Turn]) -> list[str]:
    return sorted({speaker for *_, speaker in turns})


def mappings(reference: Sequence[str], hypothesis: Sequence[str]) -> list[dict[str, str]]:
    """All one-to-one maps of speakers of the hypothesis, of which some may stand for nobody."""
    padded = [*reference, *("" for _ in hypothesis)]
    return [{h: r for h, r in zip(hypothesis, way, strict=True) if r} for way in set(permutations(padded, len(hypothesis)))]


def counts(reference: Sequence[Turn], hypothesis: Sequence[Turn], mapping: dict[str, str], times: Sequence[int]) -> tuple[int, ...]:
    """Milliseconds missed, of false alarm, confused and spoken."""
    missed = false_alarm = confused = speech = 0
    for time in times:
        true, found = spoken(reference, time), spoken(hypothesis, time)
        right = sum(mapping.get(one) in true for one in found)
        missed += max(0, len(true) - len(found))
        false_alarm += max(0, len(found) - len(true))
        confused += min(len(true), len(found)) - right
        speech += len(true)
    return missed, false_alarm, confused, speech


def all_counts(reference: Sequence[Turn], hypothesis: Sequence[Turn], collar: int, *, overlaps: bool) -> list[tuple[int, ...]]:
    """Counts of what is scored for each mapping that is best on the whole recording (several may be)."""
    everything = range(max([0, *(end for _, end, _ in [*reference, *hypothesis])]))
    boundaries = [time for start, end, _ in reference for time in (start, end)]
    scored = [
        time
        for time in everything
        if not any(boundary - collar <= time < boundary + collar for boundary in boundaries)
        and (overlaps or len(spoken(reference, time)) < 2)
    ]
    ways = mappings(speakers(reference), speakers(hypothesis))
    wrong = [sum(counts(reference, hypothesis, way, everything)[:3]) for way in ways]
    return [counts(reference, hypothesis, way, scored) for way, errors in zip(ways, wrong, strict=True) if errors == min(wrong)]
