"""Hot words: phrases that a search is to prefer, by a boost for each of their symbols, which is taken back where a phrase is not completed.

An automaton (Aho and Corasick 1975) whose state is the longest beginning of a phrase that the symbols so far end with. Its edges carry what
is given and taken back, so that of a whole text

    bonus = boost x sum over all occurrences of phrases of their symbols

holds exactly, however the search came there. With a word boundary a phrase occurs as whole words: "cat" is not in "concatenate".
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from foresay.decoding.trie import Trie
from foresay.decoding.weights import LARGEST_WORD
from foresay.errors import UserError


class HotWords:
    """Phrases in symbols, compiled for V symbols.

    Args:
        phrases: each its symbols, with boundaries between its words where the recognizer has them.
        boost: nats for each symbol of a phrase, boundaries not counted.
        symbols: V.
        boundary: the symbol between words, if there is one.
        sizes: how often each symbol counts, if not once; V of them.

    Raises:
        UserError: a phrase is empty or holds what is no symbol, or the boost is negative or none.
    """

    def __init__(
        self,
        phrases: Sequence[Sequence[int]],
        boost: float,
        symbols: int,
        boundary: int | None = None,
        *,
        sizes: Sequence[float] | None = None,
    ) -> None:
        if not 0 < boost <= LARGEST_WORD:
            msg = f"the boost of hot words is in nats a symbol, above 0 and up to {LARGEST_WORD:g}, not {boost:g}; usual are 1 to 5"
            raise UserError(msg)
        edge = () if boundary is None else (boundary,)
        trie = Trie([(*edge, *phrase, *edge) for phrase in _checked(phrases, symbols, boundary)], symbols)
        fail, self.next = _automaton(trie)
        counted = torch.ones(symbols) if sizes is None else torch.tensor(sizes, dtype=torch.float32)
        if boundary is not None:
            counted[boundary] = 0
        counted = counted[trie.symbol]
        length, pending = torch.zeros(trie.size), torch.zeros(trie.size)
        ends = torch.zeros(trie.size, dtype=torch.bool)
        ends[trie.ends] = True
        paid = torch.zeros(trie.size)
        for node in range(1, trie.size):  # parents, and what failures lead to, come first
            parent = trie.parent[node]
            length[node] = length[parent] + counted[node]
            pending[node] = 0.0 if ends[node] else pending[parent] + counted[node]
            paid[node] = paid[fail[node]] + (length[node] if ends[node] else 0.0)
        self.gain = boost * (paid[self.next] + pending[self.next] - pending[:, None])
        """(states, V): what a symbol adds in a state."""
        after = torch.zeros(trie.size, dtype=torch.int64) if boundary is None else self.next[:, boundary]
        self.final = boost * ((0.0 if boundary is None else paid[after]) - pending)
        """(states,): what the end of the text adds."""
        self.start = 0 if boundary is None else int(self.next[0, boundary])

    def to(self, device: torch.device) -> "HotWords":
        """Move the tables."""
        self.next, self.gain, self.final = (table.to(device) for table in (self.next, self.gain, self.final))
        return self


class HotPhrases:
    """Hot words of a search over words: a state and a bonus for each word instead of each symbol.

    Args:
        phrases: words with spaces between them.
        boost: nats for each symbol of their words.
        sizes: of each word of the search how many symbols spell it.

    Raises:
        UserError: a word of a phrase is none of the search's, or as of `HotWords`.
    """

    def __init__(self, phrases: Sequence[str], boost: float, sizes: Mapping[str, int]) -> None:
        words = list(dict.fromkeys(word for phrase in phrases for word in phrase.split()))
        if unknown := [word for word in words if word not in sizes]:
            msg = f"the hot word {unknown[0]!r} is not in the lexicon, and without a spelling cannot come out: add it there"
            raise UserError(msg)
        numbers = {word: number for number, word in enumerate(words, 1)}
        other = len(words) + 1  # any word of no phrase
        own = [0, *(sizes[word] for word in words), 0]
        self.table = HotWords([[numbers[word] for word in phrase.split()] for phrase in phrases], boost, other + 1, sizes=own)
        self.kinds = torch.tensor([*(numbers.get(word, other) for word in sizes), other])  # the last: words that the search lacks
        self.states = len(self.table.final)

    def advance(self, states: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Say what words (N,) add in states (N,), and the states after them."""
        kinds = self.kinds[words]
        return self.table.gain[states, kinds], self.table.next[states, kinds]

    def total(self, words: Sequence[int]) -> float:
        """Say what words add in all."""
        state, bonus = torch.tensor([self.table.start]), 0.0
        for word in words:
            added, state = self.advance(state, torch.tensor([word], device=self.kinds.device))
            bonus += added.item()
        return bonus + self.table.final[state].item()

    def to(self, device: torch.device) -> "HotPhrases":
        """Move the tables."""
        self.table.to(device)
        self.kinds = self.kinds.to(device)
        return self


def _automaton(trie: Trie) -> tuple[Tensor, Tensor]:
    """For each state the one with the longest proper ending (N,), and the one after each symbol (N, V)."""
    fail = torch.zeros(trie.size, dtype=torch.int64)
    after = trie.children.long()
    for node in range(1, trie.size):  # by depth: a failure leads to a shallower one
        if trie.depth[node] > 1:
            fail[node] = after[fail[trie.parent[node]], trie.symbol[node]]
        after[node] = torch.where(after[node] > 0, after[node], after[fail[node]])
    return fail, after


def _checked(phrases: Sequence[Sequence[int]], symbols: int, boundary: int | None) -> list[tuple[int, ...]]:
    unique = list(dict.fromkeys(tuple(phrase) for phrase in phrases))
    for phrase in unique:
        outside = [symbol for symbol in phrase if not 0 < symbol < symbols]
        if not phrase or outside or boundary in (phrase[0], phrase[-1]):
            what = f"symbol {outside[0]}" if outside else "no symbol" if not phrase else "a boundary at its edge"
            msg = f"a hot phrase holds {what}; it is one or more symbols of 1 to {symbols - 1}, with boundaries only between words"
            raise UserError(msg)
    if not unique:
        msg = "there are no hot words: give one or more, or none of their settings"
        raise UserError(msg)
    return unique
