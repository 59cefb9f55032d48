"""Attention decoder, a speller: an LSTM that attends to encoded audio and predicts the next symbol of a text from those before it.

Additive attention (Bahdanau et al., arXiv:1409.0473) with filters over where it attended to before (Chorowski et al., arXiv:1506.07503), in
the decoder of "Listen, Attend and Spell" (arXiv:1508.01211).

    y(u-1), c(u-1) --> LSTM --> s(u) --> energy of each frame = v tanh(W s(u) + V h(t) + F * a(u-1))
                                  |      a(u) = softmax over the real frames, c(u) = sum over t of a(u, t) h(t)
                                  +----> linear on s(u), c(u) --> scores of the next symbol
"""

from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from foresay.layers.dropout import Dropout

State: TypeAlias = tuple[Tensor, ...]
"""Hidden, cell, context and attention, (B, K, …) each."""


class Spelling(NamedTuple):
    """The decoder before K texts of each of B utterances (`contracts/spelling.py`)."""

    decoder: "AttentionDecoder"
    frames: Tensor
    """(B, T, D)"""
    keys: Tensor
    """(B, T, A): what the energies take of the frames."""
    real: Tensor
    """(B, T) bool."""

    def begin(self, beam: int) -> State:
        """Return the state of empty texts."""
        rows, frames, size = self.frames.shape
        widths = (self.decoder.cell.hidden_size, self.decoder.cell.hidden_size, size, frames)
        return tuple(self.frames.new_zeros(rows, beam, width) for width in widths)

    def step(self, state: State, last: Tensor) -> tuple[Tensor, Tensor, State]:
        """Go on by the last symbols (B, K), 0 at the beginning -> log p of the next (B, K, V), attention (B, K, T), and the new state."""
        logits, state = self.decoder(self, state, last)
        return logits.float().log_softmax(-1), state[3], state


class AttentionDecoder(nn.Module):
    """An LSTM that attends to frames and predicts the next symbol."""

    def __init__(
        self, size: int, symbols: int, *, hidden: int, embedding: int, energies: int, filters: int, width: int, dropout: float
    ) -> None:
        """Build it.

        Args:
            size: D of the frames.
            symbols: V.
            hidden: units of the LSTM.
            embedding: size of what a symbol is to it.
            energies: A, width of the layer that the energies of frames come from.
            filters: over the previous attention, so that it knows where it attended to before; 0: it goes by content alone.
            width: frames that a filter spans, an odd number.
            dropout: on what it is given, and predicts from.
        """
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedding)
        self.cell = nn.LSTMCell(embedding + size, hidden)
        self.query, self.key = nn.Linear(hidden, energies, bias=False), nn.Linear(size, energies)
        self.filters = nn.Conv1d(1, filters, width, padding=width // 2, bias=False) if filters else None
        self.location = nn.Linear(filters, energies, bias=False) if filters else None
        self.energy = nn.Linear(energies, 1, bias=False)
        self.output = nn.Linear(hidden + size, symbols)
        self.dropout = Dropout(dropout)

    def attend(self, frames: Tensor, counts: Tensor) -> Spelling:
        """Look at frames (B, T, D), of which `counts` (B,), where the frames are, are real."""
        real = torch.arange(frames.shape[1], device=frames.device) < counts[:, None]
        return Spelling(self, frames, self.key(frames), real)

    def forward(self, spelling: Spelling, state: State, last: Tensor) -> tuple[Tensor, State]:
        """Go on by the last symbols (B, K): scores of the next, not normalized, (B, K, V), and the new state."""
        hidden, cell, context, attention = (one.flatten(0, 1) for one in state)
        given = torch.cat([self.dropout(self.embedding(last.flatten())), context], -1)
        hidden, cell = self.cell(given, (hidden, cell))
        layer = spelling.keys[:, None] + self.query(hidden).unflatten(0, last.shape)[:, :, None]  # (B, K, T, A)
        if self.filters is not None and self.location is not None:
            layer = layer + self.location(self.filters(attention[:, None]).transpose(1, 2)).unflatten(0, last.shape)
        energies = self.energy(layer.tanh())[..., 0]
        attention = energies.masked_fill(~spelling.real[:, None], -torch.inf).softmax(-1)  # (B, K, T)
        context = attention @ spelling.frames  # (B, K, D)
        hidden, cell = (one.unflatten(0, last.shape) for one in (hidden, cell))
        logits = self.output(self.dropout(torch.cat([hidden, context], -1)))
        return logits, (hidden, cell, context, attention)

    def spell(self, spelling: Spelling, given: Tensor, drawn: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Predict each symbol of known texts from those before it.

        Args:
            spelling: what is attended to.
            given: (B, U + 1), 0 and the symbols.
            drawn: (B, U + 1, 2): where the first is 1, the second, from 0 to 1, draws the symbol that is given from what was predicted.

        Returns:
            Scores of the symbols, not normalized, (B, U + 1, V), and attention (B, U + 1, T).
        """
        state, scores, attention = spelling.begin(1), list[Tensor](), list[Tensor]()
        for place, column in enumerate(given.unbind(1)):
            last = column
            if place and drawn is not None:
                ends = scores[-1].detach().float().softmax(-1).cumsum(-1)
                own = (ends < drawn[:, place, 1:]).sum(-1).clamp(max=ends.shape[-1] - 1)
                last = torch.where(drawn[:, place, 0] > 0, own, column)
            logits, state = self(spelling, state, last[:, None])
            scores.append(logits[:, 0])
            attention.append(state[3][:, 0])
        return torch.stack(scores, 1), torch.stack(attention, 1)
