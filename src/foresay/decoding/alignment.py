"""When each symbol of a known text is spoken: CTC forced alignment (Graves et al. 2006), batched over utterances, a loop over frames only.

States of a text of U symbols: blank, 1, blank, 2, …, U, blank: 2 U + 1 of them. A path begins at one of the first two and ends at one
of the last two; it stays, goes to the next state, or passes over a blank between two symbols that differ.

    blank  . . . . . . . x
    T      . . . . . x x .        frames run to the right, states upwards
    blank  . . . . x . . .
    A      . . x x . . . .
    blank  x x . . . . . .

The best path gives times; the sum over all paths is log p of the text; sums from both ends give the posterior of each state in each frame.
CTC spikes: a symbol's frames are where the network emits it, which may be 0 to 100 ms beside where it is spoken.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.contracts.recognition import Emissions
from foresay.decoding.emissions import BLANK, checked, padded_labels, required_frames
from foresay.errors import UserError


@dataclass(frozen=True)
class Span:
    """A symbol or a word in time."""

    symbols: tuple[int, ...]
    begin: int
    """The first frame."""
    end: int
    """The frame after the last."""
    confidence: float
    """0 to 1: of a symbol, its largest probability in its frames; of a word, the geometric mean over its symbols."""


class LabelAlignment(NamedTuple):
    """The best path of each utterance."""

    score: Tensor
    """(B,) log p of the path, in nats."""
    places: Tensor
    """(B, T) int64: the place in the text of each frame's symbol, from 0; -1 for a blank, and beyond the utterance's length."""


def align(emissions: Emissions, labels: Sequence[Sequence[int]]) -> LabelAlignment:
    """Find the best path of each utterance through the symbols of its text.

    Args:
        emissions: (B, T, V).
        labels: B texts, in symbols.

    Raises:
        UserError: a text holds what is no symbol, or needs more frames than there are: the message names the utterance.
    """
    lattice = _Lattice(emissions, labels)
    score = lattice.start
    arrivals = []
    for frame, active in lattice.frames(1):
        near = torch.stack(lattice.predecessors(score))  # (3, B, 2 U + 1): stay, one up, two up
        best, step = near.max(0)
        score = torch.where(active, best + frame, score)
        arrivals.append(torch.where(active, step, 0).to(torch.int8))  # an eighth of the memory
    total, state = score.masked_fill(~lattice.final, -torch.inf).max(1)
    states = [state]
    for step in reversed(arrivals):
        state = state - step.gather(1, state[:, None])[:, 0]
        states.append(state)
    path = torch.stack(states[::-1], dim=1)  # (B, T)
    spoken = (path % 2 == 1) & lattice.real
    return LabelAlignment(torch.where(lattice.empty, 0.0, total), torch.where(spoken, path // 2, -1)[:, : lattice.real.shape[1]])


def text_scores(emissions: Emissions, labels: Sequence[Sequence[int]]) -> Tensor:
    """Sum over all paths of each text: (B,) log p, in nats. Raises UserError as `align` does."""
    lattice = _Lattice(emissions, labels)
    return _total(lattice, _forward(lattice)[-1])


def posteriors(emissions: Emissions, labels: Sequence[Sequence[int]]) -> Tensor:
    """Say how probable each state is in each frame, over all paths of the text: gamma, (B, T, 2 U + 1), 0 beyond an utterance's length.

    The odd states are the symbols, the even ones the blanks around them; each real frame's row sums to 1. Raises UserError as `align` does.
    """
    lattice = _Lattice(emissions, labels)
    forward = _forward(lattice)
    backward = torch.where(lattice.final, 0.0, -torch.inf).to(lattice.start)
    both = [forward[-1] + backward]
    for t, (frame, active) in zip(range(len(forward) - 2, -1, -1), reversed(list(lattice.frames(1))), strict=True):
        before = torch.logsumexp(torch.stack(lattice.successors(backward + frame)), 0)
        backward = torch.where(active, before, backward)
        both.append(forward[t] + backward)
    gamma = (torch.stack(both[::-1], dim=1) - _total(lattice, forward[-1])[:, None, None]).exp()
    return gamma[:, : lattice.real.shape[1]] * lattice.real[..., None]


def without_prior(emissions: Emissions, log_prior: Tensor, share: float) -> Emissions:
    """Subtract a share of log p of each symbol in general (V,) from emissions: for alignments with fewer blanks (arXiv:2406.02560).

    A CTC network is sure of a symbol in a frame or two, and of blanks around; the blank is the symbol that is likely in general.
    """
    return Emissions(emissions.log_probabilities - share * log_prior.to(emissions.log_probabilities), emissions.lengths)


def spans(alignment: LabelAlignment, emissions: Emissions, labels: Sequence[Sequence[int]]) -> list[list[Span]]:
    """Give each symbol of each text its frames, first to last, and a confidence."""
    scores = emissions.log_probabilities
    rows, _ = padded_labels(labels)
    places, rows = alignment.places.cpu(), rows.to(scores.device)
    width = rows.shape[1]
    if not width:
        return [[] for _ in labels]
    spoken = alignment.places >= 0
    symbols = rows.gather(1, alignment.places.clamp(min=0))
    said = scores.gather(2, symbols[..., None])[..., 0].exp().masked_fill(~spoken, 0.0).cpu()  # (B, T)
    slots = torch.where(places < 0, width, places)  # blanks go to a slot of their own
    times = torch.arange(places.shape[1]).expand_as(places)
    first = torch.full((len(labels), width + 1), places.shape[1]).scatter_reduce_(1, slots, times, "amin")
    last = torch.full((len(labels), width + 1), -1).scatter_reduce_(1, slots, times, "amax")
    peak = torch.zeros(len(labels), width + 1).scatter_reduce_(1, slots, said.float(), "amax")
    return [
        [Span((symbol,), begin, end + 1, confidence) for symbol, begin, end, confidence in zip(text, *columns, strict=False)]
        for text, *columns in zip(labels, first.tolist(), last.tolist(), peak.tolist(), strict=True)
    ]


def word_spans(symbols: Sequence[Span], boundary: int) -> list[Span]:
    """Join the symbols between boundaries to words: from the first symbol's begin to the last one's end."""
    words = []
    for between, group in itertools.groupby(symbols, key=lambda span: span.symbols == (boundary,)):
        if not between:
            words.append(joined(list(group)))
    return words


def joined(parts: Sequence[Span]) -> Span:
    """Join neighbouring spans to one."""
    confidence = torch.tensor([part.confidence for part in parts], dtype=torch.float64).log().mean().exp().item()
    return Span(tuple(symbol for part in parts for symbol in part.symbols), parts[0].begin, parts[-1].end, confidence)


class _Lattice:
    """The states of a batch of texts, J = 2 U + 1 of the longest, and what may follow what."""

    def __init__(self, emissions: Emissions, labels: Sequence[Sequence[int]]) -> None:
        checked(emissions)
        scores, lengths = emissions
        _refuse_what_cannot_be_aligned(labels, lengths.tolist(), scores.shape[2])
        rows, counts = (tensor.to(scores.device) for tensor in padded_labels(labels))
        self.states = torch.full((rows.shape[0], 2 * rows.shape[1] + 1), BLANK, dtype=torch.int64, device=scores.device)
        self.states[:, 1::2] = rows
        self.lengths = lengths.to(scores.device)
        self.real = torch.arange(scores.shape[1], device=scores.device) < self.lengths[:, None]
        self.empty = self.lengths == 0
        self.scores = scores.transpose(0, 1)  # (T, B, V)
        place = torch.arange(self.states.shape[1], device=scores.device)
        # A text's last state, and the one before it if it has symbols; a state may be reached over a blank if its symbol is another one.
        self.final = (place == 2 * counts[:, None]) | (place == 2 * counts[:, None] - 1)
        leap = (place % 2 == 1) & (self.states != self.states.roll(2, 1))
        leap[:, :2] = False
        self.leap = torch.where(leap, 0.0, -torch.inf).to(scores)
        first = self._cells(0) if len(self.scores) else torch.zeros_like(self.leap)
        first = torch.where(self.empty[:, None], torch.zeros_like(first), first)
        self.start = torch.where(place < 2, first, -torch.inf)  # noqa: PLR2004 - a blank or the first symbol

    def _cells(self, t: int) -> Tensor:
        """Score each state in a frame: (B, J)."""
        return self.scores[t].gather(1, self.states)

    def frames(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each frame's scores (B, J), and in which utterances (B, 1) it is real."""
        return ((self._cells(t), self.real[:, t : t + 1]) for t in range(start, len(self.scores)))

    def predecessors(self, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score of the states from which each may be reached: itself, the one below, the one below the blank."""
        below = torch.nn.functional.pad(score, (2, 0), value=-torch.inf)
        return score, below[:, 1:-1], below[:, :-2] + self.leap

    def successors(self, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score of the states that may be reached from each."""
        above = torch.nn.functional.pad(score, (0, 2), value=-torch.inf)
        return score, above[:, 1:-1], torch.nn.functional.pad(score + self.leap, (0, 2), value=-torch.inf)[:, 2:]


def _forward(lattice: _Lattice) -> list[Tensor]:
    """Sum over the paths from the start to each state, the frame included: T tensors (B, J); beyond a length nothing changes."""
    score = lattice.start
    scores = [score]
    for frame, active in lattice.frames(1):
        score = torch.where(active, torch.logsumexp(torch.stack(lattice.predecessors(score)), 0) + frame, score)
        scores.append(score)
    return scores


def _total(lattice: _Lattice, last: Tensor) -> Tensor:
    """Sum over the states at which a path may end: (B,)."""
    total = last.masked_fill(~lattice.final, -torch.inf).logsumexp(1)
    return torch.where(lattice.empty, 0.0, total)


def _refuse_what_cannot_be_aligned(labels: Sequence[Sequence[int]], lengths: Sequence[int], symbols: int) -> None:
    if len(labels) != len(lengths):
        msg = f"{len(labels)} texts for {len(lengths)} utterances: each utterance has one"
        raise UserError(msg)
    for utterance, (text, frames) in enumerate(zip(labels, lengths, strict=True)):
        strange = [symbol for symbol in text if not BLANK < symbol < symbols]
        if strange:
            msg = f"the text of utterance {utterance} holds {strange[0]}, but symbols are 1 to {symbols - 1}; {BLANK} is the blank"
            raise UserError(msg)
        if (needed := required_frames(text)) > frames:
            msg = (
                f"utterance {utterance} has {frames} frames and its text needs {needed}: one a symbol, and a blank between equal "
                "neighbours. Usual causes: the text of another recording, or a recording cut off. Leave it out, or use more "
                "frames a second"
            )
            raise UserError(msg)
