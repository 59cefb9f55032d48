"""N-gram language model: interpolated modified Kneser-Ney smoothing, read and written as ARPA, queried for a whole beam at once.

Chen and Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling" (1998); Heafield et al., "Scalable Modified Kneser-Ney
Language Model Estimation" (2013), whose program lmplz estimates the same numbers.

    the cat sat --> state "cat sat" --> p(on | cat sat), or else gamma(cat sat) p(on | sat), or else …

A state is the longest context that the model knows. The n-grams are one sorted array of numbers, context x M + word, in which a whole
beam is looked up at once, at most N - 1 times. A context that nothing longer begins with is the same state as its end.
"""

import itertools
from array import array
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay import progress
from foresay.contracts import Estimator, FitData, LanguageModel
from foresay.errors import UserError
from foresay.models.generation._kneser_ney import FALLBACK, estimate
from foresay.text.ngram_tables import SPECIAL, NGrams
from foresay.text.normalization import Normalizer, Outside
from foresay.text.vocabulary import BOUNDARY, Unit, split_text

HIGHEST = 6
_BUFFERS = {
    "names": torch.uint8,
    "keys": torch.int64,
    "log_probabilities": torch.float32,
    "following": torch.int32,
    "backoffs": torch.float32,
    "shorter": torch.int32,
}


@dataclass(frozen=True)
class NGramSettings:
    """Which n-grams are counted."""

    order: int = 4
    """N: words of the longest n-gram."""
    unit: Unit = "words"
    """What is predicted: whatever stands between spaces (words, phones, units), or letters, with | between words."""
    normalization: str | None = None
    """Profile by which texts are normalized first (`text/normalization.py`); None: they are taken as they stand."""
    outside: Outside = "refuse"
    """What becomes of digits, signs and letters that the profile has not."""
    prune: tuple[int, ...] = ()
    """Of each order from 1, n-grams that came so often or more rarely are left out: 0, 0, 1; the last holds for higher orders too."""

    def __post_init__(self) -> None:
        if self.unit == "bpe":
            msg = 'unit = "bpe": an n-gram model learns no subwords: write text as the recognizer splits it, with spaces, and count words'
            raise ValueError(msg)
        if not 1 <= self.order <= HIGHEST:
            msg = f"order = {self.order}: n-grams have from 1 to {HIGHEST} words"
            raise ValueError(msg)
        if self.prune and (self.prune[0] != 0 or sorted(self.prune) != list(self.prune) or len(self.prune) > self.order):
            msg = f"prune = {list(self.prune)}: one number for each order, 0 for single words, and none smaller than the one before"
            raise ValueError(msg)


class NGram(Estimator, LanguageModel):
    """Probabilities of n-grams, and weights to back off with. Numbers of words are those of `symbols`."""

    names: Tensor
    """The W words in UTF-8, a line each."""
    keys: Tensor
    """(E,) of all n-grams: the state of the context x M + the last word, ascending."""
    log_probabilities: Tensor
    """(E,) nats."""
    following: Tensor
    """(E,) the state after each."""
    backoffs: Tensor
    """Of each state, in nats: state 0 is no context, and 1 + i is n-gram i."""
    shorter: Tensor
    """The state that each backs off to."""

    def __init__(self, settings: NGramSettings) -> None:
        super().__init__()
        self.settings = settings
        self._symbols: tuple[str, ...] | None = None
        for name, kind in _BUFFERS.items():  # how many there are is known after the fit
            self.register_buffer(name, torch.zeros(0, dtype=kind))

    @classmethod
    def of(cls, grams: NGrams) -> Self:
        """Make a model of tables, such as `read_arpa` gives. Its unit is letters if the boundary and single letters are all its words."""
        letters = BOUNDARY in grams.words and all(len(word) == 1 for word in grams.words)
        model = cls(NGramSettings(len(grams.keys), "letters" if letters else "words"))
        model.take(grams)
        return model.eval()

    def fit(self, data: FitData) -> None:
        """Estimate the n-grams of a corpus's texts.

        Raises:
            UserError: it has no texts, or `<s>`, `</s>` or `<unk>` stands in one.
        """
        self.learn(data.texts())

    def learn(self, texts: Iterable[str]) -> None:
        """Estimate the n-grams of texts.

        Raises:
            UserError: there are none, or `<s>`, `</s>` or `<unk>` stands in one.
        """
        stream, words = _read(map(self.split, texts))
        found = estimate(stream, words, self.settings.order, self.settings.prune)
        if found.fallen_back:
            orders = ", ".join(map(str, found.fallen_back))
            progress.say(
                f"n-grams of order {orders}: too few that come once, twice or three times (a small or closed vocabulary, or little text) "
                f"to estimate the discounts, which are {', '.join(map(str, FALLBACK))} instead"
            )
        self.take(found.grams)

    def split(self, text: str) -> list[str]:
        """Split a text into the symbols that are predicted."""
        s = self.settings
        if s.normalization is not None:
            text = Normalizer(s.normalization, s.outside)(text, repr(text[:60]))
        return split_text(text, s.unit)

    @property
    def normalization(self) -> str | None:
        """The profile of its texts."""
        return self.settings.normalization

    @property
    def symbols(self) -> tuple[str, ...]:
        """The W words, sorted."""
        if self._symbols is None:
            text = self.names.cpu().numpy().tobytes().decode()
            self._symbols = tuple(text.split("\n")) if text else ()
        return self._symbols

    @property
    def start(self) -> int:
        """The state at the beginning of a sentence."""
        return int(self.following[self._size - 1])

    def advance(self, states: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """Score a word in each state: (N,), (N,) int64 -> log p (N,) and the states after it (N,). -1 stands for an unknown word."""
        words = torch.where(symbols < 0, self._size - len(SPECIAL), symbols)
        if self.settings.order == 1:
            return self.log_probabilities[words], self.following[words].long()
        chain = [states]  # from the longest context to that of one word
        for _ in range(self.settings.order - 2):
            chain.append(self.shorter[chain[-1]].long())
        contexts = torch.stack(chain)  # (N - 1, n): all are looked up at once
        wanted = contexts * self._size + words
        places = torch.searchsorted(self.keys, wanted).clamp_(max=len(self.keys) - 1)
        missed = self.keys[places] != wanted
        without = missed.cumprod(0, dtype=torch.int8).bool()  # neither this context nor a longer one has the word
        longest = missed.to(torch.int8).argmin(0, keepdim=True)
        places = torch.where(without[-1], words, places.gather(0, longest)[0])
        owed = torch.where(without, self.backoffs[contexts], 0.0).sum(0)
        return owed + self.log_probabilities[places], self.following[places].long()

    def advance_all(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Score every word in each state: (N,) -> log p (N, W) and the states after it (N, W)."""
        chain = [states]  # from the longest context to none
        for _ in range(self.settings.order - 1):
            chain.append(self.shorter[chain[-1]].long())
        owed = torch.zeros(len(states), device=states.device)
        weights = []
        for contexts in chain:
            weights.append(owed)
            owed = owed + self.backoffs[contexts]
        scores = self.log_probabilities[: self._size] + weights[-1][:, None]
        after = self.following[: self._size].long().repeat(len(states), 1)
        for contexts, weight in zip(reversed(chain[:-1]), reversed(weights[:-1]), strict=True):
            begin, end = (torch.searchsorted(self.keys, (contexts + step) * self._size) for step in (0, 1))
            count = torch.where(contexts > 0, end - begin, 0)  # of none, all are there already
            rows = torch.repeat_interleave(torch.arange(len(states), device=states.device), count)
            places = torch.arange(len(rows), device=states.device) + (begin - count.cumsum(0) + count)[rows]
            words = self.keys[places] % self._size
            scores[rows, words] = self.log_probabilities[places] + weight[rows]
            after[rows, words] = self.following[places].long()
        known = self._size - len(SPECIAL)
        return scores[:, :known], after[:, :known]

    def end(self, states: Tensor) -> Tensor:
        """Score the end of the sentence in each state: (N,) -> log p (N,)."""
        return self.advance(states, torch.full_like(states, self._size - 2))[0]

    def take(self, grams: NGrams) -> None:
        """Take over the n-grams of tables."""
        size = len(grams.names)
        counts = [len(keys) for keys in grams.keys]
        first = np.cumsum([0, *counts])  # n-gram i of an order is the first of them + i, and its state one more
        contexts = [np.zeros(size, dtype=np.int64), *(1 + first[n] + keys // size for n, keys in enumerate(grams.keys[1:]))]
        keys = np.concatenate([state * size + key % size for state, key in zip(contexts, grams.keys, strict=True)])
        backoffs = np.concatenate([np.zeros(1, dtype=np.float32), *grams.backoffs])
        useful = (np.bincount(np.concatenate(contexts), minlength=len(backoffs))[: len(backoffs)] > 0) | (backoffs != 0)
        shorter, same, following = _link(keys, contexts, useful, size)
        self._symbols = None
        tables = {
            "names": np.frombuffer("\n".join(grams.words).encode(), dtype=np.uint8).copy(),
            "keys": keys,
            "log_probabilities": np.concatenate(grams.log_probabilities),
            "following": following.astype(np.int32),
            "backoffs": backoffs,
            "shorter": same[shorter].astype(np.int32),
        }
        for name, table in tables.items():
            setattr(self, name, torch.from_numpy(table).to(self.keys.device))

    def tables(self) -> NGrams:
        """Give the n-grams as tables, for `write_arpa`."""
        size, keys = self._size, self.keys.cpu().numpy()
        ends = [0, size]  # of each order
        for _ in range(self.settings.order - 1):  # the contexts of an order are the n-grams of the one before
            ends.append(int(np.searchsorted(keys, (1 + ends[-1]) * size)))
        parts = [slice(begin, end) for begin, end in itertools.pairwise(ends)]
        offsets = [0, *(size * (1 + begin) for begin in ends)]
        return NGrams(
            self.symbols,
            tuple(keys[part] - offset for part, offset in zip(parts, offsets, strict=False)),
            tuple(self.log_probabilities.cpu().numpy()[part] for part in parts),
            tuple(self.backoffs.cpu().numpy()[1:][part] for part in parts[:-1]),
        )

    @property
    def _size(self) -> int:
        """M: the words, and the unknown one, the end and the beginning of a sentence."""
        return len(self.symbols) + len(SPECIAL)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:  # noqa: ANN401 - torch's own arguments
        """Take tensors of whatever size there are."""
        for name in _BUFFERS.keys() & {key.removeprefix(prefix) for key in state_dict}:
            setattr(self, name, getattr(self, name).new_empty(state_dict[prefix + name].shape))
        self._symbols = None
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _link(
    keys: NDArray[np.int64], contexts: list[NDArray[np.int64]], useful: NDArray[np.bool_], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find what each state is without its first word, which state it is the same as, and the state after each n-gram."""
    shorter, same = np.zeros(len(useful), dtype=np.int64), np.zeros(len(useful), dtype=np.int64)
    following, state = [], 1
    for order, firsts in enumerate(contexts, 1):
        words = keys[state - 1 : state - 1 + len(firsts)] % size
        tails, open_ = np.zeros(len(firsts), dtype=np.int64), np.full(len(firsts), order > 1)
        parents = firsts
        while open_.any():  # the longest ending that is a state
            parents = shorter[parents]
            wanted = parents * size + words
            at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            hit = open_ & (keys[at] == wanted)
            tails[hit] = at[hit] + 1
            open_ &= ~hit
        if order < len(contexts):
            own = np.arange(state, state + len(firsts))
            shorter[own] = tails
            same[own] = np.where(useful[own], own, same[tails])
            following.append(same[own])
        else:
            following.append(same[tails])
        state += len(firsts)
    return shorter, same, np.concatenate(following)


def _read(sentences: Iterable[list[str]]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Number the words of sentences: the stream that `estimate` takes, and the words. Sentences without words are left out."""
    numbers: defaultdict[str, int] = defaultdict(int)
    numbers.default_factory = numbers.__len__
    begin, end = -1, -2
    tokens = array("q")
    for sentence in sentences:
        if sentence:
            tokens.append(begin)
            tokens.extend(map(numbers.__getitem__, sentence))
            tokens.append(end)
    if not tokens:
        msg = "there is no text to count n-grams in: the corpus has no texts, or they are empty (`foresay corpus stats` counts them)"
        raise UserError(msg)
    for special in SPECIAL:
        if special in numbers:
            msg = f"{special} stands in the text, and has a meaning of its own for a language model: take it out, a sentence is a line"
            raise UserError(msg)
    words = tuple(sorted(numbers))
    sorted_numbers = np.empty(len(words) + 2, dtype=np.int64)
    sorted_numbers[[numbers[word] for word in words]] = np.arange(len(words))
    sorted_numbers[[begin, end]] = len(words) + 2, len(words) + 1
    return sorted_numbers[np.frombuffer(tokens, dtype=np.int64)], words
