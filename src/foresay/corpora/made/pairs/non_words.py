"""Non-words: a word with some phonemes exchanged, as long as it, and made of phonemes and pairs of phonemes that come as often.

Keuleers and Brysbaert, "Wuggy: A multilingual pseudoword generator" (Behavior Research Methods, 2010), has the idea.

    p 'I k tS 3  picture  -->  p 'I s tS 3, b 'E k tS 3, …, p 'E k n 3  -->  the one whose log p by unigrams and bigrams is nearest

A phoneme is exchanged with one of its kind: a consonant, a stressed vowel, another vowel; each pair of phonemes stands in some word. Of
the nearest candidates one is taken that keeps even how often the word is the likelier one, by both: what counts phones cannot find the
words. By chance a non-word may be a word of English that the grammar has not.
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Phonemes: TypeAlias = tuple[str, ...]

STRESS = "'"
MARKS = "',%="
"""Of stress, before a phoneme."""
VOWELS = frozenset("aAeEiIoOuUV03@")
"""What the names of vowels begin with."""
SMOOTHED = 0.1
"""What is added to the count of every pair of phonemes."""
CANDIDATES, NEAREST = 1000, 10

Places: TypeAlias = NDArray[np.int64]


def draw_non_words(
    words: Mapping[str, Phonemes], lexicon: Mapping[str, Phonemes], frequencies: Mapping[str, float], rng: np.random.Generator
) -> dict[str, Phonemes]:
    """Draw a non-word for each word, given its phonemes with their marks of stress.

    `lexicon`: all words of the language, whose phonemes are all that there are; a non-word is none of them, and phonemes are counted in
    them, each as often as it comes.
    """
    sounds = _Sounds(lexicon, frequencies)
    taken = {_plain(phonemes) for phonemes in (*lexicon.values(), *words.values())}
    found: dict[str, Phonemes] = {}
    balance = np.zeros(2)  # how many more words than non-words were the likelier ones, by unigrams and by bigrams
    for word, phonemes in words.items():
        own = np.array([sounds.numbers[phoneme] for phoneme in phonemes])
        drawn = sounds.exchanged(own, rng)  # (C, n)
        (scores, _), (others, attested) = sounds.scores(own[None]), sounds.scores(drawn)
        order = np.lexsort((np.linalg.norm(others - scores, axis=1), ~attested))  # first those all of whose pairs stand in a word
        free = [place for place in order.tolist() if _plain(sounds.named(drawn[place])) not in taken][:NEAREST]
        after = balance + np.sign(scores - others[free])  # (NEAREST, 2)
        best = int(np.argmin((after**2).sum(axis=1)))
        balance, found[word] = after[best], sounds.named(drawn[free[best]])
        taken.add(_plain(found[word]))
    return found


class _Sounds:
    """The phonemes of a language: how likely they are, alone and after one another, and which may stand for one another."""

    numbers: Mapping[str, int]

    def __init__(self, lexicon: Mapping[str, Phonemes], frequencies: Mapping[str, float]) -> None:
        self._names = sorted({phoneme for phonemes in lexicon.values() for phoneme in phonemes})
        self.numbers = {name: number for number, name in enumerate(self._names)}
        plain = sorted({_plain((name,)) for name in self._names})
        self._plain = np.array([plain.index(_plain((name,))) for name in self._names])  # without marks of stress
        self._edge = len(plain)
        one, two = np.zeros(self._edge), np.zeros((self._edge + 1, self._edge + 1))
        for word, phonemes in lexicon.items():
            row = self._within_edges(np.array([self.numbers[phoneme] for phoneme in phonemes])[None])[0]
            np.add.at(one, row[1:-1], frequencies[word])
            np.add.at(two, (row[:-1], row[1:]), frequencies[word])
        self._attested = two > 0
        self._one = np.log((one + SMOOTHED) / (one + SMOOTHED).sum())
        self._two = np.log((two + SMOOTHED) / (two + SMOOTHED).sum(1, keepdims=True))
        kinds = [_kind(name) for name in self._names]
        self._alike = [
            np.array([other for other in range(len(kinds)) if kinds[other] == kind and self._plain[other] != self._plain[number]])
            for number, kind in enumerate(kinds)
        ]

    def exchanged(self, word: Places, rng: np.random.Generator) -> Places:
        """Exchange one phoneme in three of a word (n,), two at least, in many ways: (C, n)."""
        count = max(2, round(len(word) / 3))
        chosen = np.argsort(rng.random((CANDIDATES, len(word))), axis=1) < count
        others = np.stack([rng.choice(self._alike[phoneme], CANDIDATES) for phoneme in word.tolist()], axis=1)
        return np.unique(np.where(chosen, others, word), axis=0)

    def scores(self, words: Places) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the mean log p of words (C, n) by unigrams and by bigrams, (C, 2), and whether all their pairs stand in a word, (C,)."""
        rows = self._within_edges(words)
        pairs = rows[:, :-1], rows[:, 1:]
        return np.stack([self._one[rows[:, 1:-1]].mean(1), self._two[pairs].mean(1)], axis=1), np.asarray(self._attested[pairs].all(axis=1))

    def named(self, word: Places) -> Phonemes:
        """Return the names of the phonemes of a word (n,)."""
        return tuple(self._names[number] for number in word.tolist())

    def _within_edges(self, words: Places) -> Places:
        return np.pad(self._plain[words], ((0, 0), (1, 1)), constant_values=self._edge)


def _kind(phoneme: str) -> tuple[bool, bool]:
    """Say whether it is a vowel, and a stressed one."""
    return phoneme.lstrip(MARKS)[0] in VOWELS, phoneme.startswith(STRESS)


def _plain(phonemes: Phonemes) -> Phonemes:
    """Return phonemes without their stress."""
    return tuple(phoneme.lstrip(MARKS) for phoneme in phonemes)
