"""Edit distance, and intervals: how far a number would move if other utterances had been tested.

Frames of one utterance share a voice, a room and a sentence, so utterances are drawn again, not frames
(Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004).
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foresay.draws import stream

COVERAGE = 95.0


class Interval(tuple[float, float]):  # noqa: SLOT001 - there are few, and the draws are large
    """The two ends of a 95 % interval, and the values it was taken from.

    Values of two systems in the same draws (as many utterances, the same seed) can be subtracted: `foresay compare` does.
    """

    draws: NDArray[np.float64]

    def __new__(cls, draws: ArrayLike) -> Self:
        """Take the middle 95 % of the (n,) draws."""
        values = np.asarray(draws, dtype=np.float64)
        tail = (100.0 - COVERAGE) / 2.0
        low, high = np.percentile(values, [tail, 100.0 - tail])
        self = super().__new__(cls, (float(low), float(high)))
        self.draws = values
        return self


def bootstrap(counts: ArrayLike, totals: ArrayLike, *, n: int = 1000, seed: int = 0) -> Interval | None:
    """Return the 95 % percentile interval of `sum(counts) / sum(totals)`, or None where fewer than two utterances count.

    `counts (U,)` and `totals (U,)` are per utterance: correct frames of all frames, errors of all words, …
    """
    counted = _columns(counts, totals)
    return None if counted is None else Interval(_resampled_ratios(counted, n, seed)[:, 0])


def bootstrap_difference(
    counts: ArrayLike, totals: ArrayLike, other_counts: ArrayLike, other_totals: ArrayLike, *, n: int = 1000, seed: int = 0
) -> Interval | None:
    """Return the interval of one system's ratio minus another's, both on the same utterances in every draw.

    The pairing takes out what is hard for both: the interval is narrower than that of two independent tests.
    All arrays are `(U,)`, utterance u being the same in each.
    """
    counted = _columns(counts, totals, other_counts, other_totals)
    if counted is None:
        return None
    ratios = _resampled_ratios(counted, n, seed)
    return Interval(ratios[:, 0] - ratios[:, 1])


def _columns(*columns: ArrayLike) -> NDArray[np.float64] | None:
    """Stack (U,) columns count, total, count, total, … and leave out utterances in which there was nothing to count."""
    table = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    table = table[(table[:, 1::2] > 0).all(axis=1)]
    return table if len(table) > 1 else None


def _resampled_ratios(table: NDArray[np.float64], n: int, seed: int) -> NDArray[np.float64]:
    """Draw utterances with replacement `n` times: (n, systems) ratios of sums."""
    random = stream("ratios", seed)
    sums = np.stack([table[random.integers(len(table), size=len(table))].sum(axis=0) for _ in range(n)])
    return np.asarray(sums[:, 0::2] / sums[:, 1::2])


def edit_distance(reference: Sequence[object], heard: Sequence[object]) -> int:
    """Count the fewest insertions, deletions and substitutions that turn `reference` into `heard` (Levenshtein)."""
    row = np.arange(len(heard) + 1)
    codes = {symbol: number for number, symbol in enumerate(dict.fromkeys([*reference, *heard]))}
    heard_codes = np.array([codes[symbol] for symbol in heard], dtype=np.int64)
    places = np.arange(len(heard) + 1)
    for count, symbol in enumerate(reference, start=1):
        best = np.concatenate([[count], np.minimum(row[1:] + 1, row[:-1] + (heard_codes != codes[symbol]))])
        # Insertions: the cheapest place to the left, plus one for each step from there.
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])
