"""Decoding of hidden Markov models: every sentence, pronunciation, silence and path, enumerated; and token passing in plain Python."""

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from reference.toy_language import ToyLanguageModel

SILENCE = 0


class States(NamedTuple):
    """The states of a few symbols, and how long one stays in them."""

    chains: list[list[int]]
    stay: list[float]
    go: list[float]


class Path(NamedTuple):
    """The best path of a sentence."""

    score: float
    symbols: tuple[int, ...]
    begins: tuple[int, ...]
    """The frame at which each symbol begins."""


def durations(frames: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Cut frames into parts of one or more."""
    for cuts in itertools.combinations(range(1, frames), parts - 1):
        yield tuple(after - before for before, after in itertools.pairwise((0, *cuts, frames)))


def best_path(rows: Sequence[Sequence[float]], states: States, symbols: Sequence[int]) -> Path:
    """Go through the states of symbols by every path; -inf where there are too few frames."""
    chain = [(n, state) for n, symbol in enumerate(symbols) for state in states.chains[symbol]]
    best = Path(-math.inf, tuple(symbols), ())
    for cut in durations(len(rows), len(chain)) if 0 < len(chain) <= len(rows) else ():
        score, t = 0.0, 0
        begins: dict[int, int] = {}
        for (n, state), frames in zip(chain, cut, strict=True):
            begins.setdefault(n, t)
            score += sum(rows[u][state] for u in range(t, t + frames)) + (frames - 1) * states.stay[state] + states.go[state]
            t += frames
        if score > best.score:
            best = Path(score, tuple(symbols), tuple(begins.values()))
    return best


def every_sentence(
    rows: Sequence[Sequence[float]], states: States, spellings: Mapping[str, Sequence[tuple[int, ...]]]
) -> dict[tuple[str, ...], Path]:
    """Find the best path of every sentence that the frames have room for."""
    found: dict[tuple[str, ...], Path] = {}
    shortest = min(sum(len(states.chains[s]) for s in one) for several in spellings.values() for one in several)
    for count in range(len(rows) // shortest + 1):
        for words in itertools.product(spellings, repeat=count):
            for spelled in itertools.product(*(spellings[word] for word in words)):
                for silences in itertools.product([(), (SILENCE,)], repeat=count + 1):
                    symbols = [*silences[0], *(s for one, silence in zip(spelled, silences[1:], strict=True) for s in (*one, *silence))]
                    path = best_path(rows, states, symbols)
                    if path.score > found.get(words, path).score or (words not in found and path.score > -math.inf):
                        found[words] = path
    return found


def language(words: Sequence[str], model: ToyLanguageModel | None) -> float:
    """Score a sentence."""
    return 0.0 if model is None else model.sentence([model.symbols.index(word) for word in words])


def drawn(seed: int, symbols: Sequence[int]) -> States:
    """Draw how long one stays in the states of symbols, of which each has so many; the last two symbols share a state."""
    numbers = itertools.count()
    chains = [[next(numbers) for _ in range(size)] for size in symbols]
    chains[-1][-1] = chains[-2][-1]
    stay = torch.rand(1 + max(max(chain) for chain in chains), generator=torch.Generator().manual_seed(seed)).double()
    return States(chains, stay.log().tolist(), (1 - stay).log().tolist())


class Token(NamedTuple):
    """All that matters of what was decoded so far, but for its score."""

    begun: tuple[int, ...]
    """Symbols of the word that is not complete."""
    symbol: int
    state: int
    """The place in the states of its last symbol."""
    language: int
    """The language model's state."""


class TokenLoops:
    """Token passing in plain Python, one token after another."""

    def __init__(
        self,
        spellings: Mapping[str, Sequence[tuple[int, ...]]],
        states: States,
        model: ToyLanguageModel | None,
        a: float,
        b: float,
    ) -> None:
        self.words: dict[tuple[int, ...], list[str]] = {}
        for word, several in spellings.items():
            for spelling in several:
                self.words.setdefault(spelling, []).append(word)
        self.following: dict[tuple[int, ...], set[int]] = {}
        for spelling in self.words:
            for n, symbol in enumerate(spelling):
                self.following.setdefault(spelling[:n], set()).add(symbol)
        self.begun = {spelling[:n] for spelling in self.words for n in range(len(spelling))}
        self.states, self.model, self.a, self.b = states, model, a, b
        self.numbers = {} if model is None else {word: n for n, word in enumerate(model.symbols)}

    def search(self, rows: Sequence[Sequence[float]], beam: int | None = None) -> tuple[float, tuple[str, ...]]:
        """Find the best words: their score, and what they are."""
        start = Token((), -1, 0, 0 if self.model is None else self.model.start)
        tokens: dict[Token, tuple[float, tuple[str, ...]]] = {start: (0.0, ())}
        for row in rows:
            after: dict[Token, tuple[float, tuple[str, ...]]] = {}
            for token, (score, words) in tokens.items():
                for reached, added, state, word in self._steps(token):
                    total = score + added + row[state]
                    if total > after.get(reached, (-math.inf, ()))[0]:
                        after[reached] = (total, words if word is None else (*words, word))
            best = sorted(after.items(), key=lambda one: -one[1][0])
            tokens = dict(best[:beam])
        ended = [
            (score + self.states.go[chain[token.state]] + self.a * self._end(token.language), words)
            for token, (score, words) in tokens.items()
            for chain in [self.states.chains[token.symbol]]
            if not token.begun and token.state == len(chain) - 1
        ]
        return max(ended, default=(-math.inf, ()))

    def _steps(self, token: Token) -> Iterator[tuple[Token, float, int, str | None]]:
        """Yield where a token may go in a frame, what the way adds, the state whose frame it is, and a word that is completed."""
        leave = 0.0
        if token.symbol >= 0:
            chain = self.states.chains[token.symbol]
            state = chain[token.state]
            yield token, self.states.stay[state], state, None
            leave = self.states.go[state]
            if token.state < len(chain) - 1:
                yield token._replace(state=token.state + 1), leave, chain[token.state + 1], None
                return
        if not token.begun and token.symbol != SILENCE:
            yield token._replace(symbol=SILENCE, state=0), leave, self.states.chains[SILENCE][0], None
        for symbol in self.following[token.begun]:
            spelling, state = (*token.begun, symbol), self.states.chains[symbol][0]
            if spelling in self.begun:
                yield Token(spelling, symbol, 0, token.language), leave, state, None
            for word in self.words.get(spelling, []):
                said, language = self._said(token.language, word)
                yield Token((), symbol, 0, language), leave + self.a * said + self.b, state, word

    @functools.cache  # noqa: B019 - a search lives no longer than its test
    def _said(self, state: int, word: str) -> tuple[float, int]:
        if self.model is None:
            return 0.0, 0
        score, after = self.model.advance(torch.tensor([state]), torch.tensor([self.numbers[word]]))
        return float(score), int(after)

    @functools.cache  # noqa: B019 - as above
    def _end(self, state: int) -> float:
        return 0.0 if self.model is None else float(self.model.end(torch.tensor([state])))
