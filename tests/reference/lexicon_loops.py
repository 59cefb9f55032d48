"""Lexicon beam search hypothesis by hypothesis, in plain Python; and what it is to find, from every text of a small lattice.

All candidates of a frame are merged before any is dropped. With a beam that holds everything, the search on tensors equals it.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from reference.ctc_loops import log_sum
from reference.toy_language import ToyLanguageModel

SILENCE = -1
Found = dict[tuple[str, ...], float]


class Hypothesis(NamedTuple):
    """What makes a hypothesis: all but its score."""

    words: tuple[str, ...]
    begun: tuple[int, ...]
    """Symbols of the word that is not complete."""
    last: int


class LexiconLoops:
    """Spellings include their boundaries."""

    def __init__(self, spellings: Mapping[str, Sequence[tuple[int, ...]]], model: ToyLanguageModel | None, a: float, b: float) -> None:
        self.words: dict[tuple[int, ...], list[str]] = {}
        for word, several in spellings.items():
            for spelling in several:
                self.words.setdefault(spelling, []).append(word)
        self.begun = {spelling[:n] for spelling in self.words for n in range(len(spelling))}
        self.model, self.a, self.b = model, a, b

    def language(self, words: Sequence[str], *, ended: bool) -> float:
        if self.model is None:
            return 0.0
        return self.model.sentence([self.model.symbols.index(word) for word in words], ended=ended)

    def added(self, words: Sequence[str], *, ended: bool = True) -> float:
        return self.a * self.language(words, ended=ended) + self.b * len(words)

    def search(
        self,
        rows: Sequence[Sequence[float]],
        *,
        flashlight: bool = False,
        paths: str = "sum",
        boundary: int | None = None,
        beam_size: int | None = None,
    ) -> Found:
        """Log p_AM of each sequence of complete words, over all hypotheses that the convention has, or the best of each frame."""
        combine: Callable[[Sequence[float]], float] = log_sum if paths == "sum" else max
        beam = {Hypothesis((), (), SILENCE if flashlight else 0): 0.0}
        for row in rows:
            candidates: dict[Hypothesis, list[float]] = {}
            for hypothesis, score in beam.items():
                for after, symbol in self._steps(hypothesis, len(row), flashlight=flashlight):
                    candidates.setdefault(after, []).append(score + row[symbol])
            beam = {hypothesis: combine(scores) for hypothesis, scores in candidates.items()}
            if beam_size is not None:
                best = sorted(beam, key=lambda hypothesis: beam[hypothesis] + self._so_far(hypothesis.words), reverse=True)
                beam = {hypothesis: beam[hypothesis] for hypothesis in best[:beam_size]}
        ended: dict[tuple[str, ...], list[float]] = {}
        for (words, begun, _), score in beam.items():
            if not begun:
                ended.setdefault(words, []).append(score)
            elif boundary is not None:
                for word in self.words.get((*begun, boundary), []):
                    ended.setdefault((*words, word), []).append(score)
        return {words: combine(scores) for words, scores in ended.items() if combine(scores) > -math.inf}

    @functools.cache  # noqa: B019 - a search lives no longer than its test
    def _so_far(self, words: tuple[str, ...]) -> float:
        return self.added(words, ended=False)

    def _steps(self, hypothesis: Hypothesis, symbols: int, *, flashlight: bool) -> list[tuple[Hypothesis, int]]:
        words, begun, last = hypothesis
        steps = [(hypothesis._replace(last=0), 0)]
        if flashlight and not begun:
            steps.append((hypothesis._replace(last=SILENCE), 0))
        elif last > 0:
            steps.append((hypothesis, last))
        for symbol in range(1, symbols):
            spelling = (*begun, symbol)
            repeats = symbol == last
            if spelling in self.begun and not repeats:
                steps.append((Hypothesis(words, spelling, symbol), symbol))
            if not repeats or (flashlight and begun):
                steps += [(Hypothesis((*words, word), (), symbol), symbol) for word in self.words.get(spelling, [])]
        return steps


def segmented(text: tuple[int, ...], words: Mapping[tuple[int, ...], Sequence[str]]) -> list[tuple[str, ...]]:
    """All sequences of words whose spellings, one after another, are a text."""
    if not text:
        return [()]
    return [
        (word, *rest)
        for spelling, several in words.items()
        if text[: len(spelling)] == spelling
        for rest in segmented(text[len(spelling) :], words)
        for word in several
    ]


def ranked(found: Found, loops: LexiconLoops) -> list[tuple[float, tuple[str, ...]]]:
    """Best first, by log p_AM and what is added to it."""
    return sorted(((score + loops.added(words), words) for words, score in found.items()), reverse=True)


def peaky(seed: int, frames: int, symbols: int) -> torch.Tensor:
    """Emissions as a trained network gives them: mostly blanks, and most frames sure."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(1, frames, symbols, generator=generator)
    favourite = torch.randint(symbols, (1, frames, 1), generator=generator) * (torch.rand(1, frames, 1, generator=generator) < 0.5)
    return scores.scatter_add(2, favourite, torch.full((1, frames, 1), 4.0)).log_softmax(-1)
