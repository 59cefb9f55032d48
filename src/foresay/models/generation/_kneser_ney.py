"""Interpolated modified Kneser-Ney estimates of n-gram probabilities (Chen and Goodman 1998; Heafield et al. 2013, section 3).

    p(w | h) = (c(hw) - D(c(hw))) / S(h) + gamma(h) p(w | h without its first word),        p(w | nothing) ends in 1 / V

c is how often an n-gram of the highest order came; of shorter ones, how many different words it followed, save for those that begin a
sentence. S(h) is the sum of c(hw) over w, D one of three discounts of each order, and gamma(h) what they leave over, and what was pruned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from foresay.text.ngram_tables import NEVER, SPECIAL, NGrams

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts of what came once, twice, and more often, where the counts of counts give none (KenLM's)."""

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KneserNeyEstimate:
    """N-grams, and how they were discounted."""

    grams: NGrams
    discounts: tuple[tuple[float, float, float], ...]
    """Of each order."""
    fallen_back: tuple[int, ...]
    """Orders whose discounts are `FALLBACK` and matter, because some n-grams come once, twice or three times."""


class _Order(NamedTuple):
    """The different n-grams of an order, sorted by their keys (`NGrams`), pruned ones too."""

    keys: Counts
    raw: Counts
    """How often each came."""
    suffixes: Counts
    """The place, among the n-grams that are a word shorter, of each without its first word."""
    begins: NDArray[np.bool_]
    """Whether it begins a sentence."""


def estimate(stream: NDArray[np.integer], words: tuple[str, ...], order: int, prune: Sequence[int] = ()) -> KneserNeyEstimate:
    """KneserNeyEstimate the probabilities of all n-grams up to an order.

    Args:
        stream: (tokens,) one sentence after the other, each from its beginning, W + 2, to its end, W + 1; words are below W.
        words: the W words.
        order: N.
        prune: of each order from 1, n-grams that came so often or more rarely are left out. The last one holds for higher orders too.
    """
    size = len(words) + len(SPECIAL)
    orders = _count(stream.astype(np.int64), size, order)
    adjusted = [_adjusted(one, above) for one, above in zip(orders, [*orders[1:], None], strict=True)]
    adjusted[0][size - 1] = 0  # the beginning of a sentence is given, not predicted
    discounts = [_discounts(counts) for counts in adjusted]
    limits = [*prune, *[prune[-1] if prune else 0] * order][:order]
    kept = [one.raw > limit if limit else np.ones(len(one.keys), dtype=bool) for one, limit in zip(orders, limits, strict=True)]
    below = np.full(1, 1 / (size - 1))  # uniform: the words, the unknown one, and the end
    probabilities: list[Floats] = []
    weights: list[Floats] = []
    for one, counts, (found, _), keeps in zip(orders, adjusted, discounts, kept, strict=True):
        below, gamma = _interpolated(one, counts, np.array([0.0, *found]), keeps, below, size)
        if not probabilities:
            below[size - 1] = 1.0
        probabilities.append(below)
        weights.append(gamma)
    return KneserNeyEstimate(
        NGrams(
            words,
            tuple(_kept_keys(orders, kept, size)),
            tuple(_logs(p[keeps]) for p, keeps in zip(probabilities, kept, strict=True)),
            tuple(_logs(gamma[keeps]) for gamma, keeps in zip(weights[1:], kept, strict=False)),
        ),
        tuple(found for found, _ in discounts),
        tuple(number for number, (_, fell) in enumerate(discounts, 1) if fell),
    )


def _count(stream: Counts, size: int, order: int) -> list[_Order]:
    """Count the n-grams of all orders that lie within a sentence."""
    ends = np.flatnonzero(stream == size - 2)
    left = np.repeat(ends, np.diff(ends, prepend=-1)) + 1 - np.arange(len(stream))  # tokens to the end, this one included
    raw = np.bincount(stream, minlength=size)
    nothing = np.zeros(size, dtype=np.int64)
    orders = [_Order(np.arange(size), raw, nothing, np.arange(size) == size - 1)]
    shorter, starts = stream, np.arange(len(stream))
    for length in range(2, order + 1):
        starts = starts[left[starts] >= length]
        keys = shorter[starts] * size + stream[starts + length - 1]
        keys, ordered = (found.numpy() for found in torch.sort(torch.from_numpy(keys)))  # several times as fast as NumPy's
        new = np.ones(len(keys), dtype=bool)
        np.not_equal(keys[1:], keys[:-1], out=new[1:])
        heads = np.flatnonzero(new)
        some = starts[ordered[heads]]  # a place where each came
        counted = np.diff(heads, append=len(keys))
        orders.append(_Order(keys[heads], counted, shorter[some + 1], stream[some] == size - 1))
        if length < order:
            shorter = np.zeros_like(stream)
            shorter[starts[ordered]] = np.cumsum(new) - 1
    return orders


def _adjusted(one: _Order, above: _Order | None) -> Counts:
    """Count different left neighbors, but for the highest order and for what begins a sentence."""
    if above is None:
        return one.raw.copy()
    return np.where(one.begins, one.raw, np.bincount(above.suffixes, minlength=len(one.keys)))


def _discounts(counts: Counts) -> tuple[tuple[float, float, float], bool]:
    """Find the discounts of counts 1, 2, and 3 or more (Chen and Goodman, equation 26), and whether they are a fallback that matters."""
    once, twice, thrice, four = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if min(once, twice, thrice) == 0:
        return FALLBACK, max(once, twice, thrice) > 0
    share = once / (once + 2 * twice)
    found = (1 - 2 * share * twice / once, 2 - 3 * share * thrice / twice, 3 - 4 * share * four / thrice)
    if not all(0 <= discount <= count for count, discount in enumerate(found, 1)):
        return FALLBACK, True
    return found, False


def _interpolated(
    one: _Order, counts: Counts, discounts: Floats, keeps: NDArray[np.bool_], below: Floats, size: int
) -> tuple[Floats, Floats]:
    """Return p of each n-gram, and gamma of each that is a word shorter; `below` is p of these."""
    contexts = one.keys // size if len(below) > 1 else np.zeros(len(counts), dtype=np.int64)
    taken = discounts[np.minimum(counts, 3)]
    sums = np.bincount(contexts, weights=counts, minlength=len(below))
    left_over = np.bincount(contexts, weights=np.where(keeps, taken, counts), minlength=len(below))
    gamma = np.divide(left_over, sums, out=np.ones(len(below)), where=sums > 0)
    return (counts - taken) / sums[contexts] + gamma[contexts] * below[one.suffixes], gamma


def _kept_keys(orders: Sequence[_Order], kept: Sequence[NDArray[np.bool_]], size: int) -> list[Counts]:
    """Number the contexts anew after pruning, which leaves no n-gram without those within it."""
    keys = [orders[0].keys]
    for one, keeps, shorter in zip(orders[1:], kept[1:], kept, strict=False):
        places = np.cumsum(shorter) - 1
        contexts, lasts = np.divmod(one.keys[keeps], size)
        keys.append(places[contexts] * size + lasts)
    return keys


def _logs(probabilities: Floats) -> NDArray[np.float32]:
    return np.log(np.maximum(probabilities, 10**NEVER)).astype(np.float32)
