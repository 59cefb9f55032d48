"""Joint decoding of CTC and attention, by enumeration: every path of CTC, every text that can be spelled, one after the other."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from reference.toy_language import ToyLanguageModel


def collapsed(path: Sequence[int]) -> tuple[int, ...]:
    """Leave out repetitions, then blanks."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def ctc_paths(scores: Tensor) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield the text of every path through (T, V), and its probability."""
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        yield collapsed(path), math.exp(sum(float(scores[t, symbol]) for t, symbol in enumerate(path)))


def ctc_prefix(scores: Tensor, prefix: tuple[int, ...]) -> float:
    """Log p that a text begins with a prefix."""
    return _log(sum(p for text, p in ctc_paths(scores) if text[: len(prefix)] == prefix))


def ctc_whole(scores: Tensor, text: tuple[int, ...]) -> float:
    """Log p of a text."""
    return _log(sum(p for other, p in ctc_paths(scores) if other == text))


def _log(p: float) -> float:
    return math.log(p) if p else -math.inf


class ToySpeller:
    """Log p and attention that are drawn anew for each utterance and text, whatever the beam. A state is a text, as a number."""

    def __init__(self, lengths: Sequence[int], symbols: int) -> None:
        self.lengths, self.symbols = list(lengths), symbols

    def begin(self, beam: int) -> tuple[Tensor, ...]:
        return (torch.zeros(len(self.lengths), beam, 1, dtype=torch.int64),)

    def step(self, state: tuple[Tensor, ...], last: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        texts = state[0][..., 0] * self.symbols + last
        found = [[self.drawn(row, int(text)) for text in texts[row]] for row in range(len(texts))]
        scores = torch.stack([torch.stack([one[0] for one in row]) for row in found])
        attention = torch.stack([torch.stack([one[1] for one in row]) for row in found])
        return scores, attention, (texts[..., None],)

    def drawn(self, row: int, text: int) -> tuple[Tensor, Tensor]:
        """Return log p of the next symbol (V,), and attention (T,), after a text."""
        generator = torch.Generator().manual_seed(1000 * row + text)
        scores = torch.randn(self.symbols, generator=generator).log_softmax(-1)
        attention = (3 * torch.randn(self.lengths[row], generator=generator)).softmax(-1)
        return scores, torch.nn.functional.pad(attention, (0, max(self.lengths) - len(attention)))


@dataclass(frozen=True)
class Weighed:
    """Weights of the search."""

    ctc: float
    length: float
    coverage: float
    language: float
    words: float
    """Nats for each symbol."""


def every_text(
    speller: ToySpeller, row: int, emissions: Tensor, model: ToyLanguageModel, weights: Weighed
) -> list[tuple[float, tuple[int, ...], float, float]]:
    """Score each text that an utterance has frames for, for CTC too: rank, symbols, acoustic and language score, the best first."""
    found = []
    for count in range(speller.lengths[row] + 1):
        for text in itertools.product(range(1, speller.symbols), repeat=count):
            said, state, attended = 0.0, 0, torch.zeros(max(speller.lengths))
            for last, symbol in zip((0, *text), (*text, 0), strict=True):
                state = state * speller.symbols + last
                scores, attention = speller.drawn(row, state)
                said, attended = said + float(scores[symbol]), attended + attention
            acoustic = (1 - weights.ctc) * said + (weights.ctc * ctc_whole(emissions, text) if weights.ctc else 0.0)
            language = model.sentence([symbol - 1 for symbol in text])
            rank = acoustic + weights.language * language + (weights.length + weights.words) * count
            found.append((rank + weights.coverage * int((attended > 0.5).sum()), text, acoustic, language))
    return sorted((one for one in found if one[0] > -math.inf), reverse=True)
