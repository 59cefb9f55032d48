"""What the words of a search add to a hypothesis: log p by a language model, a weight each, and what hot phrases are worth.

A state is one number for all of them: that of the language model x the states of the hot words + theirs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from foresay.contracts.language_models import LanguageModel
from foresay.decoding.emissions import IMPOSSIBLE
from foresay.decoding.hot_words import HotPhrases
from foresay.errors import UserError


class WordScores:
    """Scores of words by their places in a search's vocabulary.

    Args:
        words: W of them.
        weight: what each adds, b.
        model: a language model of words; those that it lacks are unknown to it. None: all words are certain.
        hot: hot phrases of the same words.
        unknown: what a word that is none of them adds, beside b; its number is W.

    Raises:
        UserError: the language model is of other words.
    """

    def __init__(
        self,
        words: Sequence[str],
        weight: float,
        model: LanguageModel | None = None,
        hot: HotPhrases | None = None,
        unknown: float = 0.0,
    ) -> None:
        self.model, self.hot = model, hot
        self.weights = torch.tensor([weight] * len(words) + [weight + unknown])
        """(W + 1,) what each word adds."""
        self.numbers = torch.zeros(len(words) + 1, dtype=torch.int64) if model is None else _numbers(words, model)
        """(W + 1,) the words as the language model numbers them; -1 where it lacks one."""

    @property
    def start(self) -> int:
        """The state at the beginning."""
        own = 0 if self.model is None else self.model.start
        return own if self.hot is None else own * self.hot.states + self.hot.table.start

    def advance(self, states: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score words (N,) in states (N,): log p_LM (N,), what they add beside it, and the states after them (N,)."""
        if self.hot is None:
            said, after = self._said(states, words)
            return said, self.weights[words], after
        said, after = self._said(states // self.hot.states, words)
        bonus, hot = self.hot.advance(states % self.hot.states, words)
        return said, self.weights[words] + bonus, after * self.hot.states + hot

    def end(self, states: Tensor) -> tuple[Tensor, Tensor | float]:
        """Score the end of the sentence in states (B, C): log p_LM, and what it adds beside it."""
        own = states if self.hot is None else states // self.hot.states
        said = torch.zeros_like(states, dtype=torch.float32)
        if self.model is not None:
            said = self.model.end(own.flatten()).view_as(states).clamp(min=IMPOSSIBLE)
        return said, 0.0 if self.hot is None else self.hot.table.final[states % self.hot.states]

    def added(self, words: Sequence[int]) -> float:
        """Say what words add in all, but for log p_LM."""
        return float(self.weights[list(words)].sum()) + (0.0 if self.hot is None else self.hot.total(words))

    def to(self, device: torch.device) -> None:
        """Move the tables."""
        self.numbers, self.weights = self.numbers.to(device), self.weights.to(device)
        if self.hot is not None:
            self.hot.to(device)

    def _said(self, states: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        if self.model is None:
            return torch.zeros_like(words, dtype=torch.float32), states
        said, after = self.model.advance(states, self.numbers[words])
        return said.clamp(min=IMPOSSIBLE), after


def _numbers(words: Sequence[str], model: LanguageModel) -> Tensor:
    known = {word: number for number, word in enumerate(model.symbols)}
    lacking = [word for word in words if word not in known]
    if 2 * len(lacking) > len(words):
        msg = (
            f"the language model lacks {len(lacking)} of the lexicon's {len(words)} words, such as {lacking[0]!r}; it has "
            f"{', '.join(map(repr, model.symbols[:5]))}, … Usual causes: capital against small letters, or a model of letters"
        )
        raise UserError(msg)
    return torch.tensor([known.get(word, -1) for word in words] + [-1])
