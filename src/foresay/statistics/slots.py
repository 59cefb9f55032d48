"""Slot filling: which kinds of slots are found (slot-type F1), and how well what stands in them is written (slot-value CER).

    play B-artist the beatles E-artist now        a slot of the type `artist`, whose value is `the beatles`

F1 is that of the set of types in an utterance, averaged over utterances; where there are none and none are found, it is 1. The CER aligns
each value of the reference with one of the hypothesis of the same type: edits of characters over characters, spaces counted.

Protocols differ in what is aligned with what:

    clean     one to one, with the fewest edits. A value that is missing costs its characters, one too many its own.
    superb    as the reference code of SUPERB: each value of the reference with the nearest of the hypothesis, which may serve several;
              values too many cost nothing, whether there are more than in the reference or its type is not there at all. `E-city` also
              ends where `E-city_name` stands, and a value has at least one character: an empty slot ends at the next end of its type.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment

from foresay.statistics.edit_distance import edit_distance

Protocol: TypeAlias = Literal["clean", "superb"]
Slots: TypeAlias = Mapping[str, Sequence[str]]
"""Values of each type, in order."""

SUPERB_SLOT = re.compile(r"B-(\S+) (.+?) E-\1")
SUPERB_BEGIN, SUPERB_END = re.compile(r"B-\S+ "), re.compile(r" E-\S+")


class SlotScores(NamedTuple):
    """Of one utterance. Means of the first are the slot-type F1; sums of the others the slot-value CER."""

    f1: float
    """0 to 1."""
    errors: int
    """Edits of characters."""
    characters: int
    """Of the values of the reference. 0: it has no slots; errors of such an utterance count with those of others."""


def score_slots(reference: str, hypothesis: str, protocol: Protocol) -> SlotScores:
    """Compare an utterance with what was recognized, both with their slots.

    >>> score_slots("play B-artist the beatles E-artist now", "play B-artist the needles E-artist now", "clean")
    SlotScores(f1=1.0, errors=3, characters=11)
    """
    read = slots if protocol == "clean" else _superb_slots
    true, found = read(reference), read(hypothesis)
    return SlotScores(_f1(set(true), set(found)), *(_one_to_one if protocol == "clean" else _nearest)(true, found))


def slots(text: str) -> Slots:
    """Read the slots of a text.

    Marks are words: a slot runs from `B-TYPE` to the next `E-TYPE`, and marks of other types within are not part of its value. A slot that
    does not end is none, and so is one that ends without a beginning.

    >>> slots("play B-song help E-song by B-artist the beatles")
    {'song': ['help']}
    """
    found: dict[str, list[str]] = {}
    words = text.split()
    place = 0
    while place < len(words):
        kind = words[place].removeprefix("B-")
        end = words.index(f"E-{kind}", place) if f"E-{kind}" in words[place:] and words[place] != kind else place
        if end > place:
            found.setdefault(kind, []).append(" ".join(word for word in words[place + 1 : end] if not word.startswith(("B-", "E-"))))
        place = end + 1
    return found


def _superb_slots(text: str) -> Slots:
    found: dict[str, list[str]] = {}
    for kind, value in SUPERB_SLOT.findall(re.sub(" +", " ", text)):
        found.setdefault(kind, []).append(SUPERB_END.sub("", SUPERB_BEGIN.sub("", value)))
    return found


def _f1(true: set[str], found: set[str]) -> float:
    """Twice what both have, over what each has: 1 of nothing and nothing."""
    return 2 * len(true & found) / (len(true) + len(found)) if true or found else 1.0


def _one_to_one(true: Slots, found: Slots) -> tuple[int, int]:
    """Edits with the fewest in sum, and characters."""
    return sum(_fewest(true.get(kind, ()), found.get(kind, ())) for kind in true.keys() | found.keys()), _characters(true)


def _fewest(true: Sequence[str], found: Sequence[str]) -> int:
    """Assign values to each other, the shorter list filled up with empty ones."""
    count = max(len(true), len(found))
    rows, columns = ([*values, *[""] * (count - len(values))] for values in (true, found))
    edits = np.array([[edit_distance(row, column) for column in columns] for row in rows])
    return int(edits[linear_sum_assignment(edits)].sum())


def _nearest(true: Slots, found: Slots) -> tuple[int, int]:
    """Edits to the nearest value of the type, all that is there where there is none, and characters."""
    edits = [min(edit_distance(value, other) for other in found.get(kind, [""])) for kind, values in true.items() for value in values]
    return sum(edits), _characters(true)


def _characters(true: Slots) -> int:
    return sum(len(value) for values in true.values() for value in values)
