"""Language models: what scores words or symbols by those before them, and how a recognizer's search takes one in."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class LanguageModel(ABC):
    """log p of the next symbol given those before it, for many hypotheses at once. A state is a number; all scores are in nats.

    The symbols may be words, letters, phones or units: whose they are, `symbols` says.
    """

    @property
    def normalization(self) -> str | None:
        """The profile by which `split` normalizes a text first (`text/normalization.py`); None: it takes texts as they stand."""
        return None

    @property
    @abstractmethod
    def symbols(self) -> Sequence[str]:
        """The V symbols by their numbers; the sentence's begin and end are none of them."""

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """Split a text into its symbols, known or not."""

    @property
    @abstractmethod
    def start(self) -> int:
        """The state at the beginning of a sentence."""

    @abstractmethod
    def advance(self, states: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """Score a symbol in each state: (N,), (N,) int64 -> log p (N,) and the states after it (N,). -1 stands for an unknown symbol."""

    @abstractmethod
    def advance_all(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Score every symbol in each state: (N,) -> log p (N, V) and the states after it (N, V)."""

    @abstractmethod
    def end(self, states: Tensor) -> Tensor:
        """Score the end of the sentence in each state: (N,) -> log p (N,)."""


class Fusion(Protocol):
    """What a language model adds to a search over a recognizer's symbols: a log p of each, and b where a word begins."""

    start: int
    """The state at the beginning of a sentence."""

    def following(self, last: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score every symbol after the last one, 0 if there is none: (N,), (N,) int64 -> what it adds, log p, states after, (N, V) each."""

    def end(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Score the end of the sentence: (N,) -> what it adds and log p, (N,) each."""
