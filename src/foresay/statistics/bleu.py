"""BLEU, and what it says of samples of a language model: self-BLEU (how alike they are), auto-BLEU (how much each repeats itself), VERT.

BLEU: Papineni et al. (ACL 2002). Self-BLEU: Zhu et al., "Texygen" (arXiv:1802.01886). Auto-BLEU, and VERT, the geometric mean of both:
Lakhotia et al., "On Generative Spoken Language Modeling from Raw Audio" (arXiv:2102.01192), section 3.2.

    sample    the cat the cat sat          auto-BLEU, bigrams: "the cat" twice of 4: 50 %
    others    a cat sat | the dog sat      self-BLEU, bigrams, each counted as often as one other sample has it: "cat sat", 25 %

Orders from 1 to N are averaged, by a geometric or an arithmetic mean. Too short a text for an n-gram has a precision of 0 there.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foresay.errors import UserError

Averaging: TypeAlias = Literal["geometric", "arithmetic"]
Text: TypeAlias = Sequence[Hashable]
Gram: TypeAlias = tuple[Hashable, ...]


class _Most(NamedTuple):
    """The two texts that have an n-gram most often."""

    text: int
    times: int
    second: int
    """How often the other has it."""


def bleu(hypotheses: Sequence[Text], references: Sequence[Sequence[Text]], *, order: int = 4) -> float:
    """Return the BLEU of hypotheses, with references for each of them: from 0 to 1, over all of them together, and not smoothed.

    Raises:
        UserError: there are none, or as many references as hypotheses are not given.
    """
    if len(hypotheses) != len(references) or not all(references) or not hypotheses:
        msg = (
            f"BLEU compares each hypothesis with one reference or several, and there are {len(hypotheses)} hypotheses and references for "
            f"{sum(map(bool, references))}: give as many of both, and one at least"
        )
        raise UserError(msg)
    matched, total = np.zeros(order), np.zeros(order)
    for hypothesis, known in zip(hypotheses, references, strict=True):
        for n in range(1, order + 1):
            found = _grams(hypothesis, n)
            most: Counter[Gram] = Counter()
            for reference in known:
                most |= _grams(reference, n)
            matched[n - 1] += (found & most).total()
            total[n - 1] += found.total()
    length = sum(map(len, hypotheses))
    closest = sum(
        min(map(len, known), key=lambda size: (abs(size - len(hypothesis)), size))
        for hypothesis, known in zip(hypotheses, references, strict=True)
    )
    brevity = math.exp(min(0.0, 1 - closest / max(1, length)))
    return brevity * float(_averaged((matched / np.maximum(total, 1))[None], "geometric")[0])


def self_bleu(samples: Sequence[Text], order: int, averaging: Averaging) -> NDArray[np.float64]:
    """Return how much of each of N samples stands in the others: (N,) from 0, nothing, to 1. Its length does not count.

    Raises:
        UserError: there are fewer than two.
    """
    if len(samples) < 2:  # noqa: PLR2004 - one has no others
        msg = f"self-BLEU compares each sample with the others, and there is {len(samples)}: draw two or more"
        raise UserError(msg)
    precisions = np.zeros((len(samples), order))
    for n in range(1, order + 1):
        counts = [_grams(sample, n) for sample in samples]
        most = _most(counts)
        for place, own in enumerate(counts):
            others = {gram: most[gram].second if most[gram].text == place else most[gram].times for gram in own}
            precisions[place, n - 1] = sum(min(count, others[gram]) for gram, count in own.items()) / max(1, own.total())
    return _averaged(precisions, averaging)


def auto_bleu(samples: Iterable[Text], order: int, averaging: Averaging) -> NDArray[np.float64]:
    """Return the share of the n-grams of each of N samples that come again in it: (N,) from 0, nothing, to 1.

    An n-gram comes again where it stands once more without a common place: in `a a a` no bigram does, though there are two.
    """
    shares = [[_repeated(sample, n) for n in range(1, order + 1)] for sample in samples]
    return _averaged(np.array(shares).reshape(-1, order), averaging)


def vert(self_bleus: NDArray[np.float64], auto_bleus: NDArray[np.float64]) -> float:
    """Return VERT, the geometric mean of the mean self-BLEU and the mean auto-BLEU of samples: (N,), (N,)."""
    return float(np.sqrt(self_bleus.mean() * auto_bleus.mean()))


def _grams(text: Text, n: int) -> Counter[Gram]:
    return Counter(tuple(text[place : place + n]) for place in range(len(text) - n + 1))


def _most(counts: Sequence[Counter[Gram]]) -> Mapping[Gram, _Most]:
    """Find who has each n-gram most often, and how often anybody else has it."""
    most: dict[Gram, _Most] = {}
    for place, own in enumerate(counts):
        for gram, count in own.items():
            known = most.get(gram, _Most(-1, 0, 0))
            if count > known.times:
                most[gram] = _Most(place, count, known.times)
            else:
                most[gram] = known._replace(second=max(known.second, count))
    return most


def _repeated(sample: Text, n: int) -> float:
    """Return the share of the n-grams of a sample that come again n places later or more, or earlier."""
    places: dict[Gram, list[int]] = {}
    for place in range(len(sample) - n + 1):
        places.setdefault(tuple(sample[place : place + n]), []).append(place)
    again = sum(place - found[0] >= n or found[-1] - place >= n for found in places.values() for place in found)
    return again / max(1, len(sample) - n + 1)


def _averaged(shares: NDArray[np.float64], averaging: Averaging) -> NDArray[np.float64]:
    """Average over orders: (N, orders) -> (N,)."""
    if averaging == "arithmetic":
        return np.asarray(shares.mean(axis=1))
    return np.asarray(np.prod(shares, axis=1) ** (1 / shares.shape[1]))
