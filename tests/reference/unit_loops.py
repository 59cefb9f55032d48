"""Bits and durations of units, run by run: slow, straight from the definitions."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import groupby


def bits(symbols: Iterable[Hashable]) -> float:
    """The entropy of how frequent symbols are, in bits."""
    counts = Counter(symbols)
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values())


def rates(recordings: Sequence[Sequence[int]], clusters: int, frame_rate: float) -> dict[tuple[str, str], float]:
    """All that `rate_units` finds, by what it is of and what it is called."""
    frames = [unit for units in recordings for unit in units]
    runs = [(unit, len(list(group))) for units in recordings for unit, group in groupby(units)]
    seconds = len(frames) / frame_rate
    merged, lasting = [unit for unit, _ in runs], bits(duration for _, duration in runs)
    return {
        ("frames", "bit rate by log2 K"): len(frames) * math.log2(clusters) / seconds,
        ("frames", "bit rate by entropy"): len(frames) * bits(frames) / seconds,
        ("frames", "effective units"): 2 ** bits(frames),
        ("frames", "share of units used"): len(set(frames)) / clusters,
        ("merged", "bit rate by log2 K"): len(runs) * math.log2(clusters) / seconds,
        ("merged", "bit rate by entropy"): len(runs) * bits(merged) / seconds,
        ("merged", "effective units"): 2 ** bits(merged),
        ("merged", "units per second"): len(runs) / seconds,
        ("merged", "mean duration"): 1000 * seconds / len(runs),
        ("merged, with durations", "bit rate by log2 K"): len(runs) * (math.log2(clusters) + lasting) / seconds,
        ("merged, with durations", "bit rate by entropy"): len(runs) * (bits(merged) + lasting) / seconds,
    }
