"""Pairs of frames of different utterances: any two, two of one phone, two of different phones.

Two frames of one utterance share a voice, a room and often a phone. Among the pairs of a large corpus there are hardly any such, in a small
one many: without them, numbers of corpora of different sizes compare.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional

from foresay import draws
from foresay.encoding.labelled_frames import UNLABELLED
from foresay.statistics.intervals import DRAWS, draw_utterances

Kind = Literal["any", "any phone", "same phone", "other phone"]
Indices = NDArray[np.int64]

AT_ONCE = 10_000
"""Pairs whose features are gathered at once: some ten megabytes."""


class Pairs(NamedTuple):
    """P pairs of N frames."""

    first: Indices
    """(P,)"""
    second: Indices
    """(P,)"""


def draw_pairs(labels: ArrayLike, utterances: ArrayLike, kind: Kind, count: int, seed: int = 0) -> Pairs | None:
    """Draw pairs of N frames with replacement; None where no two frames make such a pair.

    The first frame is uniform over all frames that have a partner, its partner uniform over all frames that fit it: phones weigh as much as
    they are frequent. `labels` (N,): -1 has no phone, and is only in pairs of `any` kind, not in those of `any phone`. `utterances` (N,).
    """
    codes, spoken = np.asarray(labels, dtype=np.int64), np.asarray(utterances, dtype=np.int64)
    used = np.arange(len(codes)) if kind == "any" else np.flatnonzero(codes != UNLABELLED)
    if len(used) == 0:
        return None
    phone, utterance = (np.unique(column[used], return_inverse=True)[1].reshape(-1) for column in (codes, spoken))
    of_phone, of_utterance, of_both = (np.bincount(c)[c] for c in (phone, utterance, phone * (utterance.max() + 1) + utterance))
    partners = {
        "any": len(used) - of_utterance,
        "any phone": len(used) - of_utterance,
        "same phone": of_phone - of_both,
        "other phone": len(used) - of_utterance - of_phone + of_both,
    }[kind]
    candidates = np.flatnonzero(partners > 0)
    if len(candidates) == 0:
        return None
    random = draws.stream("pairs", seed)
    by_phone = np.argsort(phone, kind="stable")
    begins = np.searchsorted(phone[by_phone], phone)
    first = random.choice(candidates, size=count)
    second = np.empty_like(first)
    pending = np.arange(count)
    while len(pending):  # what does not fit is drawn again
        a = first[pending]
        b = by_phone[begins[a] + random.integers(of_phone[a])] if kind == "same phone" else random.integers(len(used), size=len(a))
        second[pending] = b
        unfit = (utterance[a] == utterance[b]) | ((phone[a] == phone[b]) & (kind == "other phone"))
        pending = pending[unfit]
    return Pairs(used[first], used[second])


def cosines(features: Tensor, pairs: Pairs) -> NDArray[np.float64]:
    """Cosines of pairs of frames (N, D): (P,). A frame of zeros is unlike every other: 0."""
    units = functional.normalize(features.float(), dim=-1)
    parts = np.array_split(np.stack(pairs), max(1, len(pairs.first) // AT_ONCE), axis=1)
    found = [(units[torch.from_numpy(a)] * units[torch.from_numpy(b)]).sum(dim=-1) for a, b in parts]
    return np.clip(torch.cat(found).double().numpy(), -1.0, 1.0)


def paired(utterances: ArrayLike, *pairs: Pairs) -> Indices:
    """Return the (U,) utterances of which a frame is in a pair."""
    return np.unique(np.asarray(utterances)[np.concatenate([frames for some in pairs for frames in some])])


def redrawn_means(
    values: NDArray[np.float64], pairs: Pairs, utterances: ArrayLike, seed: int, among: Indices | None = None
) -> NDArray[np.float64]:
    """Mean of values (P,) of pairs in each draw of utterances: (draws,); NaN where a draw holds none of the pairs.

    Both utterances of a pair are drawn: it counts as often as the one times as often as the other is in the draw.
    `among`: the utterances that are drawn, where they are more than those of the pairs.
    """
    names = paired(utterances, pairs) if among is None else among
    places = tuple(np.searchsorted(names, np.asarray(utterances)[np.stack(pairs)]))
    drawn = draw_utterances(len(names), seed, DRAWS)  # (draws, U)

    def totals(of_pairs: NDArray[np.float64]) -> NDArray[np.float64]:
        table = csr_array((of_pairs, places), shape=(len(names), len(names)))
        return np.asarray(((table @ drawn.T).T * drawn).sum(axis=1))

    with np.errstate(invalid="ignore"):
        return totals(values) / totals(np.ones_like(values))
