"""Transduction: what writes symbols, or none, in each frame by those before, and a recognizer that is made of it (transducer, RNN-T)."""

from abc import ABC
from typing import Protocol

from torch import Tensor

from foresay.contracts.recognition import Recognizer


class Joint(Protocol):
    """Scores symbols in a frame after a prefix; what it keeps of a prefix is a row of numbers, its state."""

    def start(self, count: int) -> Tensor:
        """Return the state of the empty prefix, N times: (N, S)."""

    def advance(self, states: Tensor, symbols: Tensor) -> Tensor:
        """Write a symbol after each prefix: (N, S), (N,) -> (N, S)."""

    def scores(self, frames: Tensor, states: Tensor) -> Tensor:
        """Score what comes next, the blank first: (N, D), (N, S) -> log p (N, V)."""


class TransducingRecognizer(Recognizer, ABC):
    """A recognizer that writes symbols frame by frame, each by those before: its layer is encoded audio (B, T, D), the joint's frames."""

    layer_names: tuple[str, ...] = ("encoded",)
    joint: Joint
    symbols_a_frame: int = 1
    """A search writes no more."""
