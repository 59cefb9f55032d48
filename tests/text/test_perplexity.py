"""Perplexity by hand, of a model whose probabilities are known."""

import math

import pytest
import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.text.perplexity import perplexity


class Halves:
    """p(a) is 1/2, of b 1/4, of the unknown 1/16, of the end 1/8; the state counts symbols, and each after the third is half as likely."""

    symbols = ("a", "b")
    start = 0

    def advance(self, states: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """Score symbols."""
        base = torch.tensor([0.5, 0.25, 1 / 16]).log()[symbols]
        return base + torch.where(states >= 3, math.log(0.5), 0.0), states + 1

    def advance_all(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Nobody asks."""
        raise NotImplementedError

    def end(self, states: Tensor) -> Tensor:
        """Score the end."""
        return torch.full((len(states),), math.log(1 / 8))


def test_the_four_numbers_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    for batch in (256, 2):
        monkeypatch.setattr("foresay.text.perplexity.BATCH", batch)
        found = perplexity(Halves(), [["a", "b", "x", "b"], [], ["a"], ["b", "a"]], 5)
        assert (found.sentences, found.words, found.symbols, found.unknown) == (3, 5, 7, 1)
        bits = 1 + 2 + 4 + 3 + 1 + 2 + 1  # of the symbols, x first with 4
        assert found.of(ends=False, unknown=True) == pytest.approx(2 ** (bits / 7))
        assert found.of(ends=False, unknown=False) == pytest.approx(2 ** ((bits - 4) / 6))
        assert found.of(ends=True, unknown=True) == pytest.approx(2 ** ((bits + 9) / 10))
        assert found.of(ends=True, unknown=False) == pytest.approx(2 ** ((bits + 5) / 9))
        assert found.per_word == pytest.approx(2 ** ((bits + 9) / 8))
        assert found.unknown_share == pytest.approx(1 / 7)


def test_nothing_but_unknown_words_and_nothing_at_all() -> None:
    assert perplexity(Halves(), [["x"]], 1).of(ends=False, unknown=False) == math.inf
    with pytest.raises(UserError, match="the text is empty"):
        perplexity(Halves(), [[], []], 0)
