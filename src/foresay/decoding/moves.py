"""What a hypothesis of a lexicon search may do in a frame: the topologies of CTC, of flashlight's decoder, and of hidden Markov models.

A hypothesis is at a node of the trie of spellings, and at a *place*: how far it has come in its last symbol. In each frame it stays at its
node, or enters a symbol, which leads to a child.

                its place                stays                                             enters
    CTC         a symbol, or the blank   repeats its symbol, or takes a blank              any symbol but its own
    flashlight  so too, or silence       so too; at the root "silence" (the blank's        any symbol; its own only to complete a word that
                                         symbol), which is taken beside the blank          it has begun
    HMM         a state of a symbol          in its state, or goes on to the symbol's next;    from the last state, any symbol
                                         at the root, from the last one, to silence
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.decoding.emissions import BLANK
from foresay.decoding.history import NOTHING

SILENCE = 0
"""The symbol that stands between words, or does not, in a hidden Markov model."""


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


class StateMoves(Moves):
    """A hidden Markov model of each symbol, its states from left to right; between words, and at both ends, there may be silence.

    A place is a state of a symbol, and one more the start. Frames (B, S) are scores of states, which several symbols may share. All that a
    path passes through counts: each frame, each log p of staying, and each of going on, the last one too.

    Args:
        states: of each symbol its states, in order; symbol 0 is the silence.
        stay: (S,) log p of staying in each state, in nats.
        go: (S,) log p of going on.
    """

    def __init__(self, states: Sequence[Sequence[int]], stay: Tensor, go: Tensor) -> None:
        sizes = torch.tensor([len(chain) for chain in states])
        self.symbols, self.scores, self.start = len(states), len(stay), int(sizes.sum())
        self.places = self.start + 1
        self._first = sizes.cumsum(0) - sizes
        """(V,) the place of each symbol's first state."""
        self._state = torch.tensor([state for chain in states for state in chain] + [0])
        """(P,) the state of each place."""
        last = torch.zeros(self.places, dtype=torch.bool)
        last[sizes.cumsum(0) - 1] = True
        last[self.start] = True
        go = go[self._state]
        go[self.start] = 0
        self._stay = stay[self._state].index_fill(0, torch.tensor([self.start]), -torch.inf)
        self._onward, self._leave = go.masked_fill(last, -torch.inf), go.masked_fill(~last, -torch.inf)
        """(P,) log p of going on to the symbol's next state, and of leaving its last one."""
        self._silences = len(states[SILENCE])

    def stays(self, frame: Tensor, place: Tensor, between: Tensor) -> Iterator[Stay]:
        """Stay in places (B, K) in a frame (B, S), go on to the next ones, or, where it is `between` words (B, K), to silence."""
        yield Stay(frame.gather(1, self._state[place]) + self._stay[place], place)
        onward = (place + 1).clamp(max=self.start)
        yield Stay(frame.gather(1, self._state[onward]) + self._onward[place], onward)
        silent = self._leave[place] + frame[:, self._state[SILENCE], None]
        may = between & (place >= self._silences)
        yield Stay(silent.masked_fill(~may, -torch.inf), torch.zeros_like(place), SILENCE)

    def enters(self, frame: Tensor, place: Tensor) -> Tensor:
        """Leave places (B, K), and score the first state of each symbol in a frame (B, S): (B, K, V)."""
        return self._leave[place][..., None] + frame[:, self._state[self._first]][:, None]

    def entered(self, symbol: Tensor) -> Tensor:
        """Return the places of the first states of symbols (B, C): (B, C)."""
        return self._first[symbol]

    def ends(self, place: Tensor) -> Tensor:
        """Leave places (B, K), of which an utterance may end in the last state of a symbol: (B, K)."""
        return self._leave[place]
