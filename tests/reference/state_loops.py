"""Decoding of hidden Markov models by enumeration: every sentence, every pronunciation of its words, silences or none, every path."""

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
        score, t, begins = 0.0, 0, {}
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
