"""Joint network of a transducer (RNN-T), and its prediction network: what comes next, by the frame and by the symbols so far.

Graves (arXiv:1211.3711), and the additive joint of Graves et al. (arXiv:1303.5778); stateless prediction: Ghodsi et al., "RNN-Transducer
with Stateless Prediction Network" (ICASSP 2020).

    symbols (B, U) --> prediction network --> linear --> (B, U + 1, J) -|
                                                                        +--> tanh of the sum --> linear --> logits (B, T, U + 1, V)
    frames (B, T, J) ---------------------------------------------------|
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.layers.dropout import Dropout
from foresay.layers.recurrence import recur


class PredictionNetwork(nn.Module, ABC):
    """What is known by the symbols so far, for all prefixes of a text at once or symbol by symbol. Symbol 0 stands before the first."""

    @abstractmethod
    def forward(self, symbols: Tensor) -> Tensor:
        """Read texts (B, U): what is known after each prefix, the empty one first, (B, U + 1, P)."""

    @abstractmethod
    def start(self, count: int) -> Tensor:
        """Return the state of the empty prefix, N times: (N, S)."""

    @abstractmethod
    def advance(self, states: Tensor, symbols: Tensor) -> Tensor:
        """Read a symbol: (N, S), (N,) -> (N, S)."""

    @abstractmethod
    def known(self, states: Tensor) -> Tensor:
        """Return what is known in states (…, S): (…, P)."""


class StatelessPrediction(PredictionNetwork):
    """The last symbols alone, each weighted by its place: two prefixes that end alike are one."""

    def __init__(self, symbols: int, size: int, context: int) -> None:
        """`symbols`: V. `size`: P. `context`: how many symbols are known, S."""
        super().__init__()
        self.embedding = nn.Embedding(symbols, size)
        self.places = nn.Parameter(torch.randn(context, size) / context**0.5)

    def forward(self, symbols: Tensor) -> Tensor:
        """Read texts (B, U): (B, U + 1, P)."""
        context = len(self.places)
        return self.known(F.pad(symbols, (context, 0)).unfold(1, context, 1))

    def start(self, count: int) -> Tensor:
        """Return N states without symbols: (N, S)."""
        return torch.zeros(count, len(self.places), dtype=torch.int64, device=self.places.device)

    def advance(self, states: Tensor, symbols: Tensor) -> Tensor:
        """Forget the first symbol, and append one: (N, S), (N,) -> (N, S)."""
        return torch.cat([states[:, 1:], symbols[:, None]], 1)

    def known(self, states: Tensor) -> Tensor:
        """Sum over the symbols of states (…, S): (…, P)."""
        return F.relu((self.embedding(states) * self.places).sum(-2))


class LSTMPrediction(PredictionNetwork):
    """All symbols, read by an LSTM; its state and its memory, side by side, are a state."""

    def __init__(self, symbols: int, size: int) -> None:
        """`symbols`: V. `size`: P; S is twice as many."""
        super().__init__()
        self.embedding = nn.Embedding(symbols, size)
        self.lstm = nn.LSTM(size, size, batch_first=True)

    def forward(self, symbols: Tensor) -> Tensor:
        """Read texts (B, U): (B, U + 1, P)."""
        known, _ = recur(self.lstm, self.embedding(F.pad(symbols, (1, 0))))
        return known

    def start(self, count: int) -> Tensor:
        """Return N states that have read symbol 0 alone: (N, S)."""
        nothing = torch.zeros(count, 2 * self.lstm.hidden_size, device=self.embedding.weight.device)
        return self.advance(nothing, torch.zeros(count, dtype=torch.int64, device=nothing.device))

    def advance(self, states: Tensor, symbols: Tensor) -> Tensor:
        """Read a symbol: (N, S), (N,) -> (N, S)."""
        state, memory = (part[None].contiguous() for part in states.chunk(2, 1))
        _, after = recur(self.lstm, self.embedding(symbols)[:, None], (state, memory))
        return torch.cat(after, 2)[0]

    def known(self, states: Tensor) -> Tensor:
        """Leave out the memory: (…, S) -> (…, P)."""
        return states[..., : self.lstm.hidden_size]


class JointNetwork(nn.Module):
    """Scores symbols in a frame after a prefix."""

    def __init__(self, prediction: PredictionNetwork, size: int, symbols: int, joint: int, dropout: float = 0.0) -> None:
        """`size`: P of the prediction network. `symbols`: V. `joint`: J. `dropout`: on what the prediction network knows."""
        super().__init__()
        self.prediction, self.dropout = prediction, Dropout(dropout)
        self.projection, self.output = nn.Linear(size, joint), nn.Linear(joint, symbols)

    def predicted(self, symbols: Tensor) -> Tensor:
        """Read texts (B, U): (B, U + 1, J)."""
        known: Tensor = self.projection(self.dropout(self.prediction(symbols)))
        return known

    def forward(self, frames: Tensor, predicted: Tensor) -> Tensor:
        """Score symbols in each frame (B, T, J) after each prefix (B, U + 1, J): (B, T, U + 1, V), not normalized."""
        logits: Tensor = self.output(torch.tanh(frames[:, :, None] + predicted[:, None]))
        return logits

    def start(self, count: int) -> Tensor:
        """Return the state of the empty prefix, N times: (N, S)."""
        return self.prediction.start(count)

    def advance(self, states: Tensor, symbols: Tensor) -> Tensor:
        """Write a symbol after each prefix: (N, S), (N,) -> (N, S)."""
        return self.prediction.advance(states, symbols)

    def scores(self, frames: Tensor, states: Tensor) -> Tensor:
        """Score what comes next, each in a frame of its own: (N, J), (N, S) -> log p (N, V)."""
        logits: Tensor = self.output(torch.tanh(frames + self.projection(self.prediction.known(states))))
        return logits.float().log_softmax(-1)
