"""BLEU and its kin by their definitions: loops over places, nothing counted twice as fast."""

import math
from collections.abc import Sequence


def grams(text: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(text[place : place + n]) for place in range(len(text) - n + 1)]


def precision(text: Sequence[str], references: Sequence[Sequence[str]], n: int) -> tuple[int, int]:
    """How many n-grams of a text are matched, each as often as one reference has it at most, and how many there are."""
    own = grams(text, n)
    matched = 0
    for gram in set(own):
        matched += min(own.count(gram), max((grams(reference, n).count(gram) for reference in references), default=0))
    return matched, len(own)


def corpus_bleu(texts: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]], order: int) -> float:
    product = 1.0
    for n in range(1, order + 1):
        counted = [precision(text, known, n) for text, known in zip(texts, references, strict=True)]
        total = sum(count for _, count in counted)
        product *= (sum(matched for matched, _ in counted) / total if total else 0.0) ** (1 / order)
    length = sum(map(len, texts))
    closest = 0
    for text, known in zip(texts, references, strict=True):
        best = known[0]
        for reference in known:
            if (abs(len(reference) - len(text)), len(reference)) < (abs(len(best) - len(text)), len(best)):
                best = reference
        closest += len(best)
    return product * min(1.0, math.exp(1 - closest / length)) if length else 0.0


def self_bleu(samples: Sequence[Sequence[str]], order: int, *, geometric: bool) -> list[float]:
    found = []
    for place, sample in enumerate(samples):
        others = [*samples[:place], *samples[place + 1 :]]
        counted = [precision(sample, others, n) for n in range(1, order + 1)]
        found.append(_average([matched / count if count else 0.0 for matched, count in counted], geometric=geometric))
    return found


def auto_bleu(sample: Sequence[str], order: int, *, geometric: bool) -> float:
    shares = []
    for n in range(1, order + 1):
        own = grams(sample, n)
        again = 0
        for place, gram in enumerate(own):
            again += gram in grams(sample[:place], n) + grams(sample[place + n :], n)
        shares.append(again / len(own) if own else 0.0)
    return _average(shares, geometric=geometric)


def _average(shares: list[float], *, geometric: bool) -> float:
    return math.prod(shares) ** (1 / len(shares)) if geometric else sum(shares) / len(shares)
