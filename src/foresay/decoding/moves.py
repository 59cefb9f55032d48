"""What a hypothesis of a lexicon search may do in a frame: the topologies of CTC and of flashlight's decoder.

A hypothesis is at a node of the trie of spellings, and at a *place*: how far it has come in its last symbol. In each frame it stays at its
node, or enters a symbol, which leads to a child.

                its place                stays                                             enters
    CTC         a symbol, or the blank   repeats its symbol, or takes a blank              any symbol but its own
    flashlight  so too, or silence       so too; at the root "silence" (the blank's        any symbol; its own only to complete a word that
                                         symbol), which is taken beside the blank          it has begun

Hidden Markov models have theirs in `hmm_search`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.decoding.emissions import BLANK
from foresay.decoding.history import NOTHING


class Stay(NamedTuple):
    """A way to stay, for each of the hypotheses (B, K)."""

    score: Tensor
    """(B, K) log p, in nats; -inf where it is none."""
    place: Tensor
    """(B, K): where they are then."""
    added: int = NOTHING
    """What they write: a symbol, or nothing."""


class Moves(ABC):
    """A topology: how V symbols fill frames (B, E), each of scores of E symbols or states. Places are numbers (B, K) below `places`."""

    symbols: int
    """V."""
    scores: int
    """E."""
    places: int
    start: int
    """The place before the first frame."""
    open_end: bool = True
    """Whether the last word may go without the boundary that ends each."""
    adds_up_states: bool = False
    """Whether a sum over paths is also one over histories that are one state to the language model."""

    @abstractmethod
    def stays(self, frame: Tensor, place: Tensor, between: Tensor) -> Iterator[Stay]:
        """Stay in a frame (B, E), from places (B, K); `between` (B, K): whether a hypothesis is between words."""

    @abstractmethod
    def enters(self, frame: Tensor, place: Tensor) -> Tensor:
        """Score each symbol that may be entered in a frame (B, E) from places (B, K): (B, K, V)."""

    def entered(self, symbol: Tensor) -> Tensor:
        """Return the places (B, C) at which symbols (B, C) begin."""
        return symbol

    def repeats(self, place: Tensor, symbol: Tensor) -> Tensor:  # noqa: ARG002 - most topologies know none
        """Say which symbols (B, C), entered from places (B, C), do no more than complete a word that was begun: (B, C) bool."""
        return torch.zeros_like(symbol, dtype=torch.bool)

    def ends(self, place: Tensor) -> Tensor | float:  # noqa: ARG002 - most topologies may end anywhere
        """Score an end of the utterance at places (B, K): (B, K), -inf where it may not be."""
        return 0.0

    def to(self, device: torch.device) -> None:
        """Move the tables."""
        for name, table in vars(self).items():
            if isinstance(table, Tensor):
                setattr(self, name, table.to(device))


class CTCMoves(Moves):
    """CTC as it is trained.

    Args:
        symbols: V, the blank counted.
    """

    def __init__(self, symbols: int) -> None:
        self.symbols = self.scores = self.places = symbols
        self.start = BLANK

    def stays(self, frame: Tensor, place: Tensor, between: Tensor) -> Iterator[Stay]:  # noqa: ARG002 - it is all the same
        """Take a blank in a frame (B, V), or repeat the symbol at places (B, K)."""
        yield Stay(frame[:, BLANK, None].expand(place.shape), torch.full_like(place, BLANK))
        yield Stay(frame.gather(1, place).masked_fill(place == BLANK, -torch.inf), place)

    def enters(self, frame: Tensor, place: Tensor) -> Tensor:
        """Score all symbols of a frame (B, V) but the last one (B, K), whose repetition needs a blank before it: (B, K, V)."""
        return frame[:, None].expand(-1, place.shape[1], -1).scatter(2, place[..., None], -torch.inf)


class FlashlightMoves(Moves):
    """As flashlight's LexiconDecoder. Its silence is the place V.

    Args:
        symbols: V, the blank counted.
    """

    open_end = False
    adds_up_states = True

    def __init__(self, symbols: int) -> None:
        self.symbols = self.scores = self.start = symbols
        self.places = symbols + 1

    def stays(self, frame: Tensor, place: Tensor, between: Tensor) -> Iterator[Stay]:
        """Take a blank in a frame (B, V), or repeat the symbol at places (B, K); where it is `between` words (B, K), take a silence too."""
        yield Stay(frame[:, BLANK, None].expand(place.shape), torch.full_like(place, BLANK))
        place = torch.where(between, self.start, place)
        said = frame.gather(1, torch.where(between, BLANK, place))
        yield Stay(said.masked_fill(place == BLANK, -torch.inf), place)

    def enters(self, frame: Tensor, place: Tensor) -> Tensor:
        """Score all symbols of a frame (B, V) for K hypotheses: (B, K, V)."""
        return frame[:, None].expand(-1, place.shape[1], -1)

    def repeats(self, place: Tensor, symbol: Tensor) -> Tensor:
        """Say which symbols (B, C) are the last one (B, C), without a blank between: (B, C) bool."""
        return symbol == place
