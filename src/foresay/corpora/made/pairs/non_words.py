"""Non-words: a word with some phonemes exchanged, as long as it, and made of phonemes and pairs of phonemes that come as often.

Keuleers and Brysbaert, "Wuggy: A multilingual pseudoword generator" (Behavior Research Methods, 2010), has the idea.

    p 'I k tS 3  picture  -->  p 'I s tS 3, b 'E k tS 3, …, p 'E k n 3  -->  the one whose log p by unigrams and bigrams is nearest

A phoneme is exchanged with one of its kind: a consonant, a stressed vowel, another vowel; each pair of phonemes stands in some word. Of
the nearest candidates one is taken that keeps even how often the word is the likelier one by bigrams: what counts phones cannot find the
words. By chance a non-word may be a word of English that the grammar has not.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

Phonemes: TypeAlias = tuple[str, ...]

STRESS = "'"
EDGE = "#"
MARKS = "',%="
"""Of stress, before a phoneme."""
VOWELS = frozenset("aAeEiIoOuUV03@")
"""What the names of vowels begin with."""
SMOOTHED = 0.1
"""What is added to the count of every pair of phonemes."""
CANDIDATES, NEAREST = 1000, 10


def draw_non_words(
    words: Mapping[str, Phonemes], lexicon: Mapping[str, Phonemes], frequencies: Mapping[str, float], rng: np.random.Generator
) -> dict[str, Phonemes]:
    """Draw a non-word for each word, given its phonemes with their marks of stress.

    `lexicon`: all words of the language; a non-word is none of them, and phonemes are counted in them, each as often as it comes.
    """
    counts = _Counts((phonemes, frequencies[word]) for word, phonemes in lexicon.items())
    kinds = _Kinds(lexicon.values())
    taken = {_plain(phonemes) for phonemes in (*lexicon.values(), *words.values())}
    found: dict[str, Phonemes] = {}
    balance = 0  # how many more words than non-words were the likelier ones
    for word, phonemes in words.items():
        own = counts.scores(phonemes)
        drawn = {other for other in itertools.islice(kinds.exchanged(phonemes, rng), CANDIDATES) if _plain(other) not in taken}
        legal = {other for other in drawn if counts.attested(other)} or drawn
        nearest = [other for _, other in sorted((math.dist(own, counts.scores(other)), other) for other in legal)[:NEAREST]]
        chosen = next((other for other in nearest if (own[1] - counts.scores(other)[1]) * balance <= 0), nearest[0])
        balance += 1 if own[1] > counts.scores(chosen)[1] else -1
        taken.add(_plain(chosen))
        found[word] = chosen
    return found


class _Counts:
    """How likely phonemes are, alone and after one another."""

    def __init__(self, words: Iterable[tuple[Phonemes, float]]) -> None:
        self._one: defaultdict[str, float] = defaultdict(float)
        self._two: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._before: defaultdict[str, float] = defaultdict(float)
        for phonemes, frequency in words:
            plain = _plain(phonemes)
            for phoneme in plain:
                self._one[phoneme] += frequency
            for before, after in itertools.pairwise((EDGE, *plain, EDGE)):
                self._two[before, after] += frequency
                self._before[before] += frequency

    def attested(self, phonemes: Phonemes) -> bool:
        """Whether each phoneme comes after the one before it in some word."""
        return all(pair in self._two for pair in itertools.pairwise((EDGE, *_plain(phonemes), EDGE)))

    def scores(self, phonemes: Phonemes) -> tuple[float, float]:
        """Return the mean log p of phonemes, by unigrams and by bigrams."""
        plain, size = _plain(phonemes), len(self._one)
        total = sum(self._one.values()) + SMOOTHED * size
        one = [math.log((self._one[phoneme] + SMOOTHED) / total) for phoneme in plain]
        two = [
            math.log((self._two.get((before, after), 0.0) + SMOOTHED) / (self._before[before] + SMOOTHED * (size + 1)))
            for before, after in itertools.pairwise((EDGE, *plain, EDGE))
        ]
        return sum(one) / len(one), sum(two) / len(two)


class _Kinds:
    """Which phonemes may stand for one another."""

    def __init__(self, words: Iterable[Phonemes]) -> None:
        self._members: dict[tuple[bool, bool], list[str]] = {}
        for phoneme in sorted({phoneme for phonemes in words for phoneme in phonemes}):
            self._members.setdefault(_kind(phoneme), []).append(phoneme)

    def exchanged(self, phonemes: Phonemes, rng: np.random.Generator) -> Iterator[Phonemes]:
        """Draw others without end: one phoneme in three is exchanged, two at least."""
        while True:
            others = list(phonemes)
            for place in rng.permutation(len(phonemes))[: max(2, round(len(phonemes) / 3))].tolist():
                members = [one for one in self._members[_kind(phonemes[place])] if _plain([one]) != _plain([phonemes[place]])]
                others[place] = members[rng.integers(len(members))]
            yield tuple(others)


def _kind(phoneme: str) -> tuple[bool, bool]:
    """Say whether it is a vowel, and a stressed one."""
    return phoneme.lstrip(MARKS)[0] in VOWELS, phoneme.startswith(STRESS)


def _plain(phonemes: Sequence[str]) -> Phonemes:
    """Return phonemes without their stress."""
    return tuple(phoneme.lstrip(MARKS) for phoneme in phonemes)
