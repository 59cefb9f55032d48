"""Perplexity: how many symbols a language model is as uncertain as, at each symbol of a text.

Four numbers, for papers mean different ones: with and without the ends of sentences, with and without words that the model does not know.
Compare models with the same words only, or `per_word`, which is of words whatever the symbols are.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foresay.contracts import LanguageModel
from foresay.errors import UserError

BATCH = 256


@dataclass(frozen=True)
class Perplexity:
    """Of a text, with what it was computed from."""

    sentences: int
    words: int
    symbols: int
    """Without the ends."""
    unknown: int
    """Symbols that the model does not know."""
    nats: float
    """-log p of the known symbols."""
    nats_unknown: float
    nats_ends: float

    @property
    def unknown_share(self) -> float:
        """OOV rate: unknown symbols of all."""
        return self.unknown / self.symbols

    @property
    def per_word(self) -> float:
        """Of words and ends of sentences, unknown ones too, whatever the symbols are."""
        return _exp(self.nats + self.nats_unknown + self.nats_ends, self.words + self.sentences)

    def of(self, *, ends: bool, unknown: bool) -> float:
        """Of symbols, with or without the ends of sentences and the unknown symbols."""
        nats = self.nats + ends * self.nats_ends + unknown * self.nats_unknown
        return _exp(nats, self.symbols - (not unknown) * self.unknown + ends * self.sentences)


def perplexity(model: LanguageModel, sentences: Sequence[Sequence[str]], words: int) -> Perplexity:
    """Score sentences of symbols, of which each batch is scored at once.

    Args:
        model: any.
        sentences: of symbols, as the model splits them; empty ones are left out.
        words: how many words the sentences have.

    Raises:
        UserError: there are no symbols.
    """
    numbers = {symbol: number for number, symbol in enumerate(model.symbols)}
    rows = sorted(([numbers.get(symbol, -1) for symbol in sentence] for sentence in sentences if sentence), key=len)
    if not rows:
        msg = "the text is empty: there is nothing to compute a perplexity of"
        raise UserError(msg)
    known = unknown = ends = 0.0
    for symbols, scores, end in _scored(model, rows):
        known -= float(scores[symbols >= 0].double().sum())
        unknown -= float(scores[symbols < 0].double().sum())
        ends -= float(end.double().sum())
    return Perplexity(len(rows), words, sum(map(len, rows)), sum(row.count(-1) for row in rows), known, unknown, ends)


@torch.no_grad()
def _scored(model: LanguageModel, rows: Sequence[list[int]]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield the symbols at each place of a batch, their log p, and log p of the ends of sentences that end there: each (n,)."""
    for begin in range(0, len(rows), BATCH):
        batch = rows[begin : begin + BATCH]  # the shortest first
        states = torch.full((len(batch),), model.start)
        done = 0
        for place in range(len(batch[-1]) + 1):
            ended = sum(len(row) == place for row in batch)
            end, states, done = model.end(states[:ended]) if ended else torch.zeros(0), states[ended:], done + ended
            symbols = torch.tensor([row[place] for row in batch[done:]], dtype=torch.int64)
            scores, states = model.advance(states, symbols) if len(symbols) else (torch.zeros(0), states)
            yield symbols, scores, end


def _exp(nats: float, count: int) -> float:
    """Raise e to the mean, infinite where that is too large for a number."""
    return math.exp(nats / count) if count and nats / count < 700 else math.inf  # noqa: PLR2004 - e^709 is the largest double
