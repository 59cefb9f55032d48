"""Forced alignment by hidden Markov models: when each state of a known text is passed, batched over utterances, a loop over frames only.

    "the cat"    [sil] -> dh ah | dh iy -> [sil] -> k ae t -> [sil]    each word in all of its pronunciations, silence where there is one

A path begins in the first states, stays or goes on in each frame, and leaves the last state at the end: what it scores is every frame,
every log p of staying, and every one of going on, the last one too. The best path (Viterbi) gives times; the sum over all paths is log p of
the text, and its gradient by a frame's score of a state is the posterior of that state in that frame.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts.recognition import Encoded
from foresay.contracts.states import Topology
from foresay.errors import UserError

SILENCE = 0
IMPOSSIBLE = -1e30
"""Log p of what no path does: finite, for the gradient of a sum of infinities is no number."""


class Step(NamedTuple):
    """A position of a chain."""

    state: int
    before: tuple[int, ...]
    """The positions from which one comes, but itself; -1 is the beginning."""
    symbol: int
    word: int
    """Its place in the text; -1 for silence."""
    place: int
    """Of the symbol in the chain: its states have one in common."""


class StateChain(NamedTuple):
    """All ways to say a text."""

    steps: tuple[Step, ...]
    """N: a position comes after all from which one comes."""
    ends: tuple[int, ...]
    """The positions at which it may end."""

    @classmethod
    def of(cls, words: Iterable[Sequence[Sequence[int]]], topology: Topology) -> Self:
        """Chain the pronunciations of words, in symbols, with silence before, between and behind them, or without."""
        steps, places = list[Step](), itertools.count()

        def said(symbols: Sequence[int], word: int, before: tuple[int, ...]) -> tuple[int, ...]:
            for symbol in symbols:
                place = next(places)
                for state in topology.states[symbol]:
                    steps.append(Step(state, before, symbol, word, place))
                    before = (len(steps) - 1,)
            return before

        ends: tuple[int, ...] = (-1, *said([SILENCE], -1, (-1,)))
        for number, pronunciations in enumerate(words):
            last = tuple(end for symbols in pronunciations for end in said(symbols, number, ends))
            ends = (*last, *said([SILENCE], -1, last))
        return cls(tuple(steps), ends)


class StatePath(NamedTuple):
    """The best path of each utterance."""

    score: Tensor
    """(B,) nats."""
    positions: Tensor
    """(B, T) int64: of the chain, in each frame; -1 beyond an utterance's length."""


@torch.no_grad()
def align_states(likelihoods: Encoded, chains: Sequence[StateChain], topology: Topology) -> StatePath:
    """Find the best path of each utterance through its chain.

    Args:
        likelihoods: (B, T, S) log p of a frame in each state, scaled as they are to count, up to a constant of each frame.
        chains: B of them.
        topology: how long one stays in the states.

    Raises:
        UserError: a chain needs more frames than there are: the message names the utterance.
    """
    lattice = _StateLattice(likelihoods, chains, topology)
    score = lattice.start
    came = []
    for frame, active in lattice.frames():
        best, way = lattice.ways(score).max(0)
        score = torch.where(active, best + frame, score)
        came.append(torch.where(active, way, 0).to(torch.int8))
    total, position = lattice.left(score).max(1)
    _refuse_too_short(total, likelihoods.lengths)
    positions = [position]
    for way in reversed(came):
        chosen = way.gather(1, position[:, None]).long()
        position = torch.cat([position[:, None], lattice.before[torch.arange(len(position)), position]], 1).gather(1, chosen)[:, 0]
        positions.append(position)
    path = torch.stack(positions[::-1], 1)
    real = torch.arange(path.shape[1], device=path.device) < lattice.lengths[:, None]
    return StatePath(total, path.masked_fill(~real, -1))


def text_scores(likelihoods: Encoded, chains: Sequence[StateChain], topology: Topology) -> Tensor:
    """Sum over all paths of each chain: (B,) log p, in nats. Arguments and errors are those of `align_states`."""
    total = _total(_StateLattice(likelihoods, chains, topology))
    _refuse_too_short(total, likelihoods.lengths)
    return total


def state_posteriors(likelihoods: Encoded, chains: Sequence[StateChain], topology: Topology) -> Tensor:
    """Say how probable each position is in each frame, over all paths: gamma, (B, T, N). Arguments and errors are those of `align_states`.

    Each real frame's row sums to 1; beyond an utterance's length and its chain it is 0.
    """
    return state_statistics(likelihoods, chains, topology).gamma


class StateStatistics(NamedTuple):
    """What all paths of some utterances have in common, each by its probability."""

    total: Tensor
    """(B,) log p, in nats."""
    gamma: Tensor
    """(B, T, N): as of `state_posteriors`."""
    stays: Tensor
    """(S,) how often a state is stayed in."""
    goes: Tensor
    """(S,) and left."""


def state_statistics(likelihoods: Encoded, chains: Sequence[StateChain], topology: Topology) -> StateStatistics:
    """Count what the paths do (Baum-Welch): gradients of their sum. Arguments and errors are those of `align_states`."""
    states, stay, go = topology
    with torch.enable_grad():
        stay, go = (one.detach().clone().requires_grad_() for one in (stay, go))
        lattice = _StateLattice(likelihoods, chains, Topology(states, stay, go))
        lattice.cells = lattice.cells.detach().requires_grad_()
        total = _total(lattice)
        _refuse_too_short(total, likelihoods.lengths)
        gamma, stays, goes = torch.autograd.grad(total.sum(), (lattice.cells, stay, go), materialize_grads=True)
    return StateStatistics(total.detach(), gamma[..., :-1].transpose(0, 1), stays, goes)


class _StateLattice:
    """The positions of a batch of chains, and one more, which nothing reaches and from which the missing ways come."""

    def __init__(self, likelihoods: Encoded, chains: Sequence[StateChain], topology: Topology) -> None:
        scores = likelihoods.frames
        device, self.lengths = scores.device, likelihoods.lengths.to(scores.device)
        longest = max(len(chain.steps) for chain in chains)
        widest = max(len(step.before) for chain in chains for step in chain.steps)
        nowhere = torch.full((len(chains), longest + 1, widest), longest)
        before, first, last = (
            nowhere.clone(),
            torch.zeros(nowhere.shape[:2], dtype=torch.bool),
            torch.zeros(nowhere.shape[:2], dtype=torch.bool),
        )
        for row, chain in enumerate(chains):
            ways = [[way if way >= 0 else longest for way in step.before] for step in chain.steps]
            before[row, : len(ways)] = torch.tensor([[*way, *[longest] * (widest - len(way))] for way in ways])
            first[row, : len(ways)] = torch.tensor([-1 in step.before for step in chain.steps])
            last[row, [end for end in chain.ends if end >= 0]] = True
        states = pad_sequence([torch.tensor([step.state for step in chain.steps]) for chain in chains], batch_first=True).to(device)
        states = torch.nn.functional.pad(states, (0, 1))
        self.before, self._last = before.to(device), last.to(device)
        self._stay, self._go = topology.stay.to(device)[states], topology.go.to(device)[states]
        cells = scores.gather(2, states[:, None].expand(-1, scores.shape[1], -1)).transpose(0, 1)
        real = torch.tensor([len(chain.steps) for chain in chains], device=device)[:, None] > torch.arange(longest + 1, device=device)
        self.cells = torch.where(real, cells, torch.full_like(cells, IMPOSSIBLE))
        """(T, B, N + 1)"""
        self._first = first.to(device)

    @property
    def start(self) -> Tensor:
        """Score of the first frame: (B, N + 1)."""
        return torch.where(self._first, self.cells[0], torch.full_like(self.cells[0], IMPOSSIBLE))

    def frames(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each further frame's scores (B, N + 1), and in which utterances (B, 1) it is real."""
        return ((self.cells[t], (self.lengths > t)[:, None]) for t in range(1, len(self.cells)))

    def ways(self, score: Tensor) -> Tensor:
        """Score of staying in each position, and of coming from each of those before: (1 + P, B, N + 1)."""
        left = (score + self._go).gather(1, self.before.flatten(1)).unflatten(1, self.before.shape[1:])
        return torch.cat([(score + self._stay)[None], left.movedim(2, 0)])

    def left(self, score: Tensor) -> Tensor:
        """Score of leaving each position at the end: (B, N + 1)."""
        return torch.where(self._last, score + self._go, torch.full_like(score, IMPOSSIBLE))


def _total(lattice: _StateLattice) -> Tensor:
    score = lattice.start
    for frame, active in lattice.frames():
        score = torch.where(active, lattice.ways(score).logsumexp(0) + frame, score)
    return lattice.left(score).logsumexp(1)


def _refuse_too_short(totals: Tensor, lengths: Tensor) -> None:
    for utterance, total in enumerate(totals.tolist()):
        if total < IMPOSSIBLE / 2:
            msg = (
                f"utterance {utterance} has {int(lengths[utterance])} frames, fewer than its text has states. Usual causes: the text of "
                "another recording, or a recording cut off. Leave it out"
            )
            raise UserError(msg)
