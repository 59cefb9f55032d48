"""Errors of slot values by trying every way to align them, and as the reference code of SUPERB goes over them."""

from collections.abc import Mapping, Sequence
from itertools import permutations

Slots = Mapping[str, Sequence[str]]


def edits(one: str, other: str) -> int:
    """Levenshtein distance."""
    if not one or not other:
        return len(one) + len(other)
    return min(edits(one[1:], other) + 1, edits(one, other[1:]) + 1, edits(one[1:], other[1:]) + (one[0] != other[0]))


def one_to_one(true: Slots, found: Slots) -> int:
    total = 0
    for kind in {*true, *found}:
        values, others = list(true.get(kind, [])), list(found.get(kind, []))
        size = max(len(values), len(others))
        values, others = values + [""] * (size - len(values)), others + [""] * (size - len(others))
        total += min(sum(edits(value, other) for value, other in zip(values, way, strict=True)) for way in permutations(others))
    return total


def nearest(true: Slots, found: Slots) -> int:
    total = 0
    for kind, values in true.items():
        for value in values:
            best = len(value)
            if kind in found:
                best = 10**9
                for other in found[kind]:
                    best = min(best, edits(value, other))
            total += best
    return total


def type_f1(true: Slots, found: Slots) -> float:
    both = sum(kind in found for kind in true)
    if not true and not found:
        return 1.0
    if not both:
        return 0.0
    precision, recall = both / len(found), both / len(true)
    return 2 * precision * recall / (precision + recall)
