"""Scores of a clustering of frames: agreement with phones (NMI, PNMI, purities), clusters in use, and distances to the centers.

From n(k, p), the frames of cluster k and phone p, N together, with entropies H in nats:

    NMI              2 I(k; p) / (H(k) + H(p))       mutual information as a share of the mean of both entropies
    PNMI             I(k; p) / H(p)                  share of the phones' entropy that clusters explain (HuBERT, arXiv:2106.07447)
    phone purity     sum_k max_p n(k, p) / N         frames right if each cluster is named after its most frequent phone
    cluster purity   sum_p max_k n(k, p) / N         frames in their phone's most frequent cluster: it falls as phones are split

NMI divides by the arithmetic mean, as scikit-learn does; where nothing is to know, both are 0. PNMI and phone purity rise with more
clusters, cluster purity falls: they compare only at the same K.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import xlogy

from foresay.statistics.estimates import Estimate, Floats, estimate


def agreement(counts: ArrayLike) -> dict[str, Floats]:
    """NMI, PNMI and purities of tables n(k, p): (…, K, C) -> (…)."""
    tables = np.asarray(counts, dtype=np.float64)
    clusters, phones = tables.sum(axis=-1), tables.sum(axis=-2)
    frames = phones.sum(axis=-1)
    of_clusters, of_phones, of_both = (entropy(part) for part in (clusters, phones, tables.reshape(*tables.shape[:-2], -1)))
    shared = np.maximum(of_clusters + of_phones - of_both, 0.0)
    return {
        "NMI": _share(2.0 * shared, of_clusters + of_phones),
        "PNMI": _share(shared, of_phones),
        "phone purity": _share(tables.max(axis=-1).sum(axis=-1), frames),
        "cluster purity": _share(tables.max(axis=-2).sum(axis=-1), frames),
    }


def contingency(codes: ArrayLike, labels: ArrayLike, clusters: int, phones: int) -> NDArray[np.int64]:
    """Count how often frames have each code (N,) and each phone (N,), of which -1 is none: n(k, p), (K, C)."""
    code, label = (np.asarray(column, dtype=np.int64) for column in (codes, labels))
    known = label >= 0
    return np.bincount(code[known] * phones + label[known], minlength=clusters * phones).reshape(clusters, phones)


def entropy(counts: Floats) -> Floats:
    """Entropy of shares, in nats: (…, K) -> (…); 0 of nothing."""
    total = counts.sum(axis=-1)
    return np.maximum(np.log(np.maximum(total, 1.0)) - _share(xlogy(counts, counts).sum(axis=-1), total), 0.0)


def rate_agreement(codes: ArrayLike, labels: ArrayLike, utterances: ArrayLike, clusters: int, seed: int = 0) -> dict[str, Estimate]:
    """Rate the codes (N,) of frames by their phones (N,) from 0, -1 where there is none; `utterances` (N,). Empty without phones."""
    code, label, utterance = (np.asarray(column, dtype=np.int64) for column in (codes, labels, utterances))
    known = label >= 0
    if not known.any():
        return {}
    phones = int(label.max()) + 1
    tables = _count(code[known] * phones + label[known], utterance[known], clusters * phones)
    return estimate(tables, lambda sums: agreement(sums.reshape(-1, clusters, phones)), seed)


def rate_use(codes: ArrayLike, utterances: ArrayLike, clusters: int, seed: int = 0) -> dict[str, Estimate]:
    """Of K clusters, how many are in use: the exponential of the entropy of codes (N,), and the share of those ever used, a count."""
    code, utterance = (np.asarray(column, dtype=np.int64) for column in (codes, utterances))
    used = Estimate(len(np.unique(code)) / clusters)
    effective = estimate(_count(code, utterance, clusters), lambda sums: {"effective clusters": np.exp(entropy(sums))}, seed)
    return {**effective, "share of clusters used": used}


def rate_distances(nearest: ArrayLike, single: ArrayLike, utterances: ArrayLike, seed: int = 0) -> dict[str, Estimate]:
    """Inertia, the mean of squared distances (N,) to the nearest center, and relative to those of K = 1, (N,), to the one center of all."""
    utterance = np.asarray(utterances, dtype=np.int64)
    columns = (np.asarray(nearest), np.asarray(single), np.ones(len(utterance)))
    sums = np.stack([np.bincount(utterance, weights=column) for column in columns], axis=1)
    return estimate(sums, lambda s: {"inertia": s[:, 0] / s[:, 2], "relative inertia": _share(s[:, 0], s[:, 1])}, seed)


def _count(cells: NDArray[np.int64], utterances: NDArray[np.int64], width: int) -> csr_array:
    """Count how often each utterance has each cell: (N,), (N,) -> (U, width)."""
    ones = np.ones(len(cells))
    return csr_array((ones, (utterances, cells)), shape=(int(utterances.max(initial=0)) + 1, width))


def _share(part: Floats, whole: Floats) -> Floats:
    """Divide, nothing by nothing being nothing."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
