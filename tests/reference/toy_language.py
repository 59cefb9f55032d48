"""A language model by hand: log-probabilities in a table, of each symbol after the last one or two, looked up one by one."""

from collections.abc import Sequence

import torch
from torch import Tensor

UNKNOWN = -7.0
"""Log p of a symbol outside the vocabulary, in any state; after it, the sentence goes on as from its beginning."""


class ToyLanguageModel:
    """A state is the last `order - 1` symbols, as a number in base V + 1, in which V is the begin of the sentence."""

    def __init__(self, symbols: Sequence[str], seed: int = 0, order: int = 2) -> None:
        self.symbols = tuple(symbols)
        count = len(symbols)
        self._states = (count + 1) ** (order - 1)
        scores = torch.randn(self._states, count + 1, generator=torch.Generator().manual_seed(seed))
        self.table = scores.log_softmax(-1)  # the last column is the end
        self.start = self._states - 1
        self.calls = 0

    def advance(self, states: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += len(states)
        known = symbols >= 0
        scores = torch.where(known, self.table[states, symbols.clamp(min=0)], UNKNOWN)
        return scores, torch.where(known, self._after(states, symbols), self.start)

    def advance_all(self, states: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += len(states)
        everything = torch.arange(len(self.symbols))
        return self.table[states, :-1], self._after(states[:, None], everything)

    def end(self, states: Tensor) -> Tensor:
        return self.table[states, -1]

    def sentence(self, symbols: Sequence[int], *, ended: bool = True) -> float:
        """Score a sentence symbol by symbol."""
        total, state = 0.0, self.start
        for symbol in symbols:
            score, after = self.advance(torch.tensor([state]), torch.tensor([symbol]))
            total, state = total + score.item(), int(after)
        return total + (self.end(torch.tensor([state])).item() if ended else 0.0)

    def _after(self, states: Tensor, symbols: Tensor) -> Tensor:
        return (states * (len(self.symbols) + 1) + symbols) % self._states


class UnigramModel(ToyLanguageModel):
    """Of order 1: one state."""

    def __init__(self, symbols: Sequence[str], seed: int = 0) -> None:
        super().__init__(symbols, seed, order=1)
