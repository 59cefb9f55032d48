"""Term weighted value of spoken term detection: which documents hold a query, at the price of false alarms.

    TWV(threshold) = 1 - mean over queries of (miss + beta false alarm)        beta = C_fa / C_miss (1 / P_target - 1)

`miss` is the share of a query's documents that score below the threshold, `false alarm` that of all others that score at least as high.
1 is perfect, 0 is what detects nothing gets. MTWV is that of the best threshold, one for all queries; ATWV that of one chosen before.
Queries that no document holds have no value and are left out, as in NIST's plan for spoken term detection of 2006. An interval draws
queries again.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foresay.errors import UserError
from foresay.statistics.estimates import Estimate, Floats, estimate

QUESST14_BETA = 1 / 100 * (1 / 0.0008 - 1)
"""Of MediaEval's QUESST 2014, and so of SUPERB: a target in 1250 trials, and a miss costs as much as 100 false alarms."""
QUESST14_THRESHOLD = 2.0
"""Standard deviations of a query's scores above which the reference code of SUPERB decides that a document holds it."""


def normalize_by_query(scores: ArrayLike) -> Floats:
    """Shift and scale the scores (Q, N) of each query to mean 0 and standard deviation 1 over documents: (Q, N).

    One threshold can then serve all queries. Scores that are all equal become 0.
    """
    values = np.asarray(scores, dtype=np.float64)
    return np.asarray((values - values.mean(axis=1, keepdims=True)) / np.maximum(values.std(axis=1, keepdims=True), 1e-9))


def term_weighted_value(scores: ArrayLike, relevant: ArrayLike, threshold: float, *, beta: float, seed: int = 0) -> dict[str, Estimate]:
    """Estimate `MTWV`, and `ATWV` at a threshold, of the scores (Q, N) of N documents, where `relevant` (Q, N) says which hold the query.

    What is drawn again are the queries that some document holds; there being none is a `UserError`.
    """
    values, held = np.asarray(scores, dtype=np.float64), np.asarray(relevant, dtype=np.bool_)
    asked = np.asarray(held.any(axis=1))
    if not asked.any():
        message = (
            f"No document holds any of the {len(held)} queries, so there is nothing to detect. Usual cause: a list of relevant documents"
            " of another split. Give that of these queries."
        )
        raise UserError(message)
    # The value falls where a document that does not hold its query is accepted: the best threshold is the score of one that does.
    thresholds = np.append(np.unique(values[held]), [np.inf, threshold])
    gains = np.zeros((len(values), len(thresholds)))
    for query in np.flatnonzero(asked):
        gains[query] = _gains(values[query], held[query], thresholds, beta)
    sums = np.concatenate([gains, asked[:, None]], axis=1)
    return estimate(sums, _statistic, seed)


def _statistic(sums: Floats) -> dict[str, Floats]:
    """Best value and that of the last threshold: (n, K + 1) -> (n,)."""
    values = sums[:, :-1] / sums[:, -1:]
    return {"MTWV": values[:, :-1].max(axis=1), "ATWV": values[:, -1]}


def _gains(scores: Floats, held: NDArray[np.bool_], thresholds: Floats, beta: float) -> Floats:
    """What a query adds at each threshold, 1 - miss - beta false alarm: (N,), (N,), (K,) -> (K,)."""
    hits, false_alarms = (_share_from(np.sort(scores[kind]), thresholds) for kind in (held, ~held))
    return hits - beta * false_alarms


def _share_from(values: Floats, thresholds: Floats) -> Floats:
    """Share of sorted values (N,) at or above each threshold (K,), 0 of none: (K,)."""
    return np.asarray((len(values) - np.searchsorted(values, thresholds)) / max(1, len(values)))
