"""Shallow fusion: what a language model of a recognizer's own symbols adds to a search, a log p + b for each word, in nats."""

from collections.abc import Sequence

import torch
from torch import Tensor

from foresay.contracts.language_models import LanguageModel
from foresay.decoding.emissions import BLANK, IMPOSSIBLE
from foresay.decoding.weights import Weights
from foresay.errors import UserError


class SymbolModel:
    """A language model asked by the numbers of a recognizer's symbols.

    Raises:
        UserError: it lacks most of them. `left_out`: those that it need not know.
    """

    def __init__(self, model: LanguageModel, symbols: Sequence[str], left_out: set[int]) -> None:
        known = {symbol: number for number, symbol in enumerate(model.symbols)}
        self.numbers = torch.tensor([known.get(symbol, -1) for symbol in symbols])
        wanted = [symbol for number, symbol in enumerate(symbols) if number not in left_out]
        lacking = [symbol for symbol in wanted if symbol not in known]
        if 2 * len(lacking) > len(wanted):
            msg = (
                f"the language model lacks {len(lacking)} of the recognizer's {len(wanted)} symbols, such as {lacking[0]!r}; it has "
                f"{', '.join(map(repr, model.symbols[:5]))}, … Usual causes: capital against small letters, or a model of words"
            )
            raise UserError(msg)
        self.model = model

    def following(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Score each symbol of the recognizer: (N,) -> log p (N, V) and the states after it (N, V)."""
        scores, after = self.model.advance_all(states)
        numbers = self.numbers.to(states.device)
        if len(states) and (numbers < 0).any():
            score, state = self.model.advance(states, torch.full_like(states, -1))
            scores, after = torch.cat([scores, score[:, None]], 1), torch.cat([after, state[:, None]], 1)
        return scores[:, numbers].clamp(min=IMPOSSIBLE), after[:, numbers]  # number -1 is the last column

    def end(self, states: Tensor) -> Tensor:
        """Score the end of the sentence: (N,) -> (N,)."""
        return self.model.end(states).clamp(min=IMPOSSIBLE)


def word_begins(symbols: int, boundary: int | None) -> Tensor:
    """Say by the last symbol (the blank: there is none) and the next where a word begins: (V, V), 1 or 0; without a boundary, all."""
    begins = torch.ones(symbols, symbols)
    if boundary is not None:
        begins[:] = 0
        begins[[BLANK, boundary]] = 1
        begins[:, boundary] = 0
    return begins


class ShallowFusion:
    """A language model (none: words alone are counted) with its weights, for a recognizer that searches itself (`Fusion`).

    Args:
        symbols: V of the recognizer, the blank first.
        model: over the same symbols, by their names.
        weights: a and b.
        boundary: the symbol between words, if there is one; without it, b is for each symbol.
        left_out: symbols that are never written.
    """

    def __init__(
        self, symbols: Sequence[str], model: LanguageModel | None, weights: Weights, boundary: int | None, left_out: set[int]
    ) -> None:
        self._model = None if model is None else SymbolModel(model, symbols, left_out)
        self.start = model.start if model else 0
        self._weight, self._words = weights.language, weights.words * word_begins(len(symbols), boundary)

    def following(self, last: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score every symbol: (N,), (N,) -> what it adds, log p, states after it, (N, V) each."""
        words = self._words.to(last.device)[last]
        if self._model is None:
            return words, torch.zeros_like(words), torch.zeros_like(words, dtype=torch.int64)
        said, after = self._model.following(states)
        return self._weight * said + words, said, after

    def end(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Score the end of the sentence: (N,) -> what it adds and log p, (N,) each."""
        said = self._model.end(states) if self._model else torch.zeros(len(states), device=states.device)
        return self._weight * said, said
