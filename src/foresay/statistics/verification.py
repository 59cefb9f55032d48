"""Equal error rate (EER) and minimum detection cost (minDCF) of trials, each of which asks whether two utterances are of one speaker.

A threshold misses trials of one speaker that score below it, and gives false alarms for those of two that score at least as high.

    EER           the rate at which both are equal, on straight lines between the points of the ROC (not on its convex hull),
                  as most toolkits take it, SUPERB's among them
    minDCF(p)     the least over all thresholds of  miss p + false alarm (1 - p),  divided by what the better of two systems costs that
                  accept nothing and everything; both costs are 1 (evaluation plan of NIST SRE 2016, section 3)

An interval draws speakers again: trials of one speaker are alike. A pair of different speakers is as often in a draw as the product of how
often each is; a speaker's trials with himself as often as he is, for two copies of him are nobody's trial.
"""

from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foresay.errors import UserError
from foresay.results import FEWEST
from foresay.statistics.estimates import CELLS, Estimate, Floats
from foresay.statistics.intervals import DRAWS, draw_utterances

PRIORS = (0.01, 0.05)
"""Shares of trials of one speaker that costs are reported for."""


def equal_error_rate(scores: ArrayLike, same: ArrayLike) -> float:
    """Return the EER of trials with scores (N,), high where the speaker is the `same` (N,).

    >>> equal_error_rate([0.9, 0.8, 0.7, 0.3, 0.2, 0.1], [True, True, False, True, False, False])
    0.3333333333333333
    """
    return float(_equal(*_error_rates(scores, same))[0])


def detection_cost(scores: ArrayLike, same: ArrayLike, prior: float) -> float:
    """Return the minDCF of trials with scores (N,), high where the speaker is the `same` (N,), which are so with that prior."""
    return float(_least_cost(*_error_rates(scores, same), prior)[0])


def verification(scores: ArrayLike, speakers: ArrayLike, seed: int = 0) -> dict[str, Estimate]:
    """Estimate `EER`, `minDCF(0.01)` and `minDCF(0.05)` of trials with scores (N,) of pairs of speakers (N, 2), by name or number.

    What is drawn again are the speakers in order of their names, as `np.unique` sorts them. Draws with trials of one kind only have no
    value and are left out. Such trials themselves are a `UserError`.
    """
    names, pairs = np.unique(np.asarray(speakers), return_inverse=True)
    first, second = pairs.reshape(-1, 2).T
    values, same = np.asarray(scores, dtype=np.float64), first == second
    if same.all() or not same.any():
        kind = "one speaker" if same.any() else "two different speakers"
        message = (
            f"All {len(same)} trials are of {kind}, and verification needs both kinds. Usual cause: a list of trials that was cut, or"
            " speakers that have several names. Give a list with both."
        )
        raise UserError(message)
    parts = [np.ones((1, len(names)))]  # everyone once: the numbers themselves
    if len(names) >= FEWEST:
        parts += np.array_split(draw_utterances(len(names), seed), ceil(DRAWS * len(values) / CELLS))
    rows = []
    for part in parts:
        weights = np.where(same, part[:, first], part[:, first] * part[:, second])
        known = (weights[:, same].any(axis=1)) & (weights[:, ~same].any(axis=1))
        miss, false_alarm = _error_rates(values, same, weights[known])
        rows.append(np.stack([_equal(miss, false_alarm), *(_least_cost(miss, false_alarm, prior) for prior in PRIORS)]))
    table = np.concatenate(rows, axis=1)
    titles = ("EER", *(f"minDCF({prior})" for prior in PRIORS))
    places = np.arange(len(names))
    return {title: Estimate(float(row[0]), row[1:], places) for title, row in zip(titles, table, strict=True)}


def _error_rates(scores: ArrayLike, same: ArrayLike, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """Rates of misses and false alarms at all thresholds, falling, from that which accepts nothing: (n, K) each, of weights (n, N)."""
    values, target = np.asarray(scores, dtype=np.float64), np.asarray(same, dtype=np.bool_)
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=-np.inf))  # equal scores are accepted together
    counted = (np.ones((1, len(values))) if weights is None else weights)[:, order]
    hits, false_alarms = (_shares(np.where(kind, counted, 0.0), ends) for kind in (target[order], ~target[order]))
    return 1.0 - hits, false_alarms


def _shares(counted: Floats, ends: NDArray[np.int64]) -> Floats:
    """Share of weights (n, N) up to each of the K - 1 ends, and up to none: (n, K)."""
    sums = np.cumsum(counted, axis=1)
    return np.asarray(np.pad(sums[:, ends] / sums[:, -1:], [(0, 0), (1, 0)]))


def _equal(miss: Floats, false_alarm: Floats) -> Floats:
    """Where lines between thresholds cross the diagonal: (n,)."""
    gap = false_alarm - miss  # rises from -1 to 1
    after = np.argmax(gap >= 0, axis=1)
    row = np.arange(len(gap))
    below, above = gap[row, after - 1], gap[row, after]
    start, stop = false_alarm[row, after - 1], false_alarm[row, after]
    return np.asarray(start - below / (above - below) * (stop - start))


def _least_cost(miss: Floats, false_alarm: Floats, prior: float) -> Floats:
    """Least cost of any threshold: (n,)."""
    return np.asarray((miss * prior + false_alarm * (1.0 - prior)).min(axis=1) / min(prior, 1.0 - prior))
