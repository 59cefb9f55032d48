"""Edit distance (Levenshtein): the fewest substitutions, deletions and insertions that turn a reference into a hypothesis, and which."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Edits(NamedTuple):
    """How a hypothesis differs from its reference."""

    substitutions: int
    deletions: int
    """Symbols of the reference that the hypothesis lacks."""
    insertions: int
    """Symbols of the hypothesis that the reference lacks."""
    alignment: tuple[tuple[int | None, int | None], ...]
    """Places in the reference and in the hypothesis that stand for each other; None on the side that lacks the other's symbol."""

    @property
    def distance(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions


def edit_distance(reference: Sequence[object], hypothesis: Sequence[object]) -> int:
    """Count the fewest edits. O(U) memory for a hypothesis of U symbols; a row of the table takes a few operations on arrays."""
    return int(_table(reference, hypothesis, edit=1, substitution=1, keep=False)[-1, -1])


def align(reference: Sequence[object], hypothesis: Sequence[object]) -> Edits:
    """Find the fewest edits and one alignment that has them.

    Of several, the one with most symbols right, so that `to have` and `have or` have `have` in common, as NIST's sclite aligns them; of
    these, from the end, the one that takes a match or a substitution before a deletion, and that before an insertion.
    """
    edit = len(reference) + len(hypothesis) + 1  # more than all substitutions together, each of which costs one more than other edits
    table = _table(reference, hypothesis, edit=edit, substitution=edit + 1, keep=True)
    row, column = len(reference), len(hypothesis)
    pairs: list[tuple[int | None, int | None]] = []
    substitutions = deletions = insertions = 0
    while row or column:
        cost = table[row, column]
        differs = bool(row and column) and reference[row - 1] != hypothesis[column - 1]
        if row and column and cost == table[row - 1, column - 1] + (edit + 1) * differs:
            row, column = row - 1, column - 1
            substitutions += differs
            pairs.append((row, column))
        elif row and cost == table[row - 1, column] + edit:
            row -= 1
            deletions += 1
            pairs.append((row, None))
        else:
            column -= 1
            insertions += 1
            pairs.append((None, column))
    return Edits(substitutions, deletions, insertions, tuple(reversed(pairs)))


def _table(reference: Sequence[object], hypothesis: Sequence[object], *, edit: int, substitution: int, keep: bool) -> NDArray[np.int64]:
    """Cost of turning each beginning of the reference into each beginning of the hypothesis: (R + 1, U + 1), or its last row alone.

    `edit`: the cost of a deletion or an insertion.
    """
    codes = {symbol: number for number, symbol in enumerate(dict.fromkeys([*reference, *hypothesis]))}
    symbols = np.array([codes[symbol] for symbol in hypothesis], dtype=np.int64)
    inserted = edit * np.arange(len(hypothesis) + 1)
    row, rows = inserted, [inserted]  # all of them, or the last
    for count, symbol in enumerate(reference, start=1):
        best = np.concatenate([[edit * count], np.minimum(row[1:] + edit, row[:-1] + substitution * (symbols != codes[symbol]))])
        # Insertions: the cheapest place to the left, plus one for each step from there.
        row = np.minimum.accumulate(best - inserted) + inserted
        if not keep:
            rows.clear()
        rows.append(row)
    return np.stack(rows)
