"""Bootstrap intervals: how much a number would change with other test utterances.

Frames of one utterance share a voice, a room and a sentence, so utterances are drawn again, not frames
(Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004).
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foresay.draws import stream
from foresay.results import FEWEST, middle

DRAWS = 1000
AT_ONCE = 1_000_000
"""Utterances that are drawn in one go: all draws of a small test set, one of a very large one."""


class ConfidenceInterval(tuple[float, ...]):  # noqa: SLOT001 - there are few, and the draws are large
    """The two ends of a 95 % interval, the values it was taken from, and what was drawn again for them.

    It is empty (and false) where there were fewer than five things to draw, or where a draw had no value.
    Values of two systems can be subtracted if they were drawn alike (the same things, with the same seed): `foresay compare` does.
    """

    draws: NDArray[np.float64]
    """(n,); nothing where the interval is empty."""
    places: NDArray[np.int64]
    """Which of the utterances (speakers, items) given were drawn again: those in which there was something to count."""

    def __new__(cls, draws: ArrayLike, places: ArrayLike) -> Self:
        """Take the middle 95 % of the (n,) draws of what stands in the (U,) `places`."""
        values, drawn = np.asarray(draws, dtype=np.float64), np.asarray(places, dtype=np.int64)
        known = len(drawn) >= FEWEST and len(values) > 0 and bool(np.isfinite(values).all())
        self = super().__new__(cls, middle(values) if known else ())
        self.draws, self.places = values if known else np.zeros(0), drawn
        return self


def bootstrap(counts: ArrayLike, totals: ArrayLike, *, n: int = 1000, seed: int = 0) -> ConfidenceInterval:
    """Return the 95 % percentile interval of `sum(counts) / sum(totals)`; it is empty where fewer than five utterances count.

    `counts (U,)` and `totals (U,)` are per utterance: correct frames of all frames, errors of all words, …
    """
    places, counted = _columns(counts, totals)
    return ConfidenceInterval(_resampled_ratios(counted, n, seed)[:, 0], places)


def bootstrap_difference(
    counts: ArrayLike, totals: ArrayLike, other_counts: ArrayLike, other_totals: ArrayLike, *, n: int = 1000, seed: int = 0
) -> ConfidenceInterval:
    """Return the interval of one system's ratio minus another's, both on the same utterances in every draw; empty as in `bootstrap`.

    The pairing takes out what is hard for both: the interval is narrower than that of two independent tests.
    All arrays are `(U,)`, utterance u being the same in each.
    """
    places, counted = _columns(counts, totals, other_counts, other_totals)
    ratios = _resampled_ratios(counted, n, seed)
    return ConfidenceInterval(ratios[:, 0] - ratios[:, 1], places)


def _columns(*columns: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Stack (U,) columns count, total, count, total, … and leave out utterances with nothing to count: the places left, and their rows."""
    table = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    places = np.flatnonzero((table[:, 1::2] > 0).all(axis=1))
    return places, table[places]


def _resampled_ratios(table: NDArray[np.float64], n: int, seed: int) -> NDArray[np.float64]:
    """Draw utterances with replacement `n` times: (n, systems) ratios of sums; none where there are too few."""
    if len(table) < FEWEST:
        return np.zeros((0, table.shape[1] // 2))
    random, utterances = stream("ratios", seed), len(table)
    many = max(1, AT_ONCE // utterances)
    parts = [min(many, n - done) for done in range(0, n, many)]
    sums = np.concatenate([table[random.integers(utterances, size=(part, utterances))].sum(axis=1) for part in parts])
    return np.asarray(sums[:, 0::2] / sums[:, 1::2])


def draw_utterances(utterances: int, seed: int, draws: int = DRAWS) -> NDArray[np.float64]:
    """Count how often each utterance is in each draw: (draws, U)."""
    alike = np.full(utterances, 1.0 / utterances)
    return stream("utterances", seed).multinomial(utterances, alike, size=draws).astype(np.float64)


class DrawnSums(NamedTuple):
    """What is drawn again, and the sums of each."""

    what: str
    """`speakers`, or `utterances` where there are too few of them."""
    names: Sequence[str]
    counts: NDArray[np.float64]
    """(U,)."""
    totals: NDArray[np.float64]
    """(U,)."""


def by_speaker(ids: Sequence[str], speakers: Sequence[str], counts: ArrayLike, totals: ArrayLike) -> DrawnSums:
    """Sum counts (N,) and totals (N,) of utterances for each speaker, where there are enough speakers to draw; else each stands by itself.

    Utterances of one speaker are alike: drawn one by one they would make an interval too narrow.
    """
    table = np.stack([np.asarray(column, dtype=np.float64) for column in (counts, totals)])
    names, codes = np.unique(np.asarray(speakers), return_inverse=True)
    if len(names) < FEWEST:
        return DrawnSums("utterances", ids, *table)
    return DrawnSums("speakers", names.tolist(), *(np.bincount(codes, column).astype(np.float64) for column in table))
