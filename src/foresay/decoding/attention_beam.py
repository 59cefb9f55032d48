"""Beam search of a recognizer that spells: each symbol depends on all before it, and the end is a symbol, number 0.

    rank = (1 - w) log p_attention + w log p_CTC + a log p_LM + b words + length x symbols + coverage x frames attended to       (nats)

Attention alone prefers short texts, and may turn back and spell a word again. CTC, in order and complete, allows neither (Watanabe et al.
2017, `ctc_prefix.py`). `length` pays for each symbol; `coverage` for each frame whose attention, summed over symbols, passes one half, so
that what is skipped costs (Chorowski and Jaitly, arXiv:1612.02695, section 2.3). A text ends at the latest when it has so many symbols a
frame, or when `PATIENCE` symbols have attended to no new frame: a loop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.contracts.language_models import Fusion
from foresay.contracts.recognition import Emissions, Hypothesis
from foresay.contracts.spelling import Speller, SpellingWeights, State
from foresay.decoding.ctc_prefix import PrefixScores
from foresay.decoding.history import NOTHING, History
from foresay.errors import at_least

END = 0
HALF = 0.5
PATIENCE = 24
"""Symbols; a word that is longer than this is spoken in more than one frame."""
_LEAST = 1e-6
"""Attention, for its logarithm."""
CONSIDERED = 40
"""Symbols that CTC scores for each hypothesis, the best by the other scores."""


class _Beam(NamedTuple):
    """K texts of B utterances, (B, K) each unless said otherwise."""

    rank: Tensor
    acoustic: Tensor
    language: Tensor
    last: Tensor
    ended: Tensor
    fused: Tensor
    """State of the language model."""
    prefix: Tensor
    """Log p_CTC of all texts that begin so."""
    attended: Tensor
    """(B, K, T): attention to each frame, summed."""
    idle: Tensor
    """Symbols since a new frame was attended to."""

    @property
    def covered(self) -> Tensor:
        """Frames attended to."""
        return (self.attended > HALF).sum(-1)


@dataclass(frozen=True)
class AttentionBeam:
    """The search."""

    beam: int
    """K."""
    weights: SpellingWeights
    """w, and nats for length and coverage."""
    rate: float = 1.0
    """Symbols a frame, at most."""
    fusion: Fusion | None = None

    @torch.no_grad()
    def __call__(
        self,
        speller: Speller,
        lengths: Tensor,
        emissions: Emissions | None,
        text_of: Callable[[Sequence[int]], str],
        best: int = 1,
    ) -> list[list[Hypothesis]]:
        """Search a batch of utterances of `lengths` (B,) frames: B lists of at most `best` hypotheses, the best first.

        `emissions`: (B, T, V) of CTC, on the same frames; needed if w is above 0.

        `frames` of a hypothesis are those of the rising path with the most attention; `confidences` are p by attention.
        """
        at_least(1, beam=self.beam, best=best)
        scorer = PrefixScores(emissions) if self.weights.ctc and emissions else None
        state = speller.begin(self.beam)
        most = (self.rate * lengths).ceil().to(state[0].device)
        history, attended = History(), list[Tensor]()
        beam, prefixes = self._begin(state[0], int(lengths.max())), scorer.begin(self.beam) if scorer else None
        for count in range(int(most.max()) + 1):
            beam, state, prefixes, attention = self._step(speller, (scorer, prefixes), (beam, state), (most <= count)[:, None], history)
            attended.append(attention)
            if bool((beam.ended | beam.rank.isinf()).all()):
                break
        return _found(beam, history, torch.stack(attended, 2).cpu(), text_of, min(best, self.beam))

    def _begin(self, like: Tensor, frames: int) -> _Beam:
        rank = torch.full(like.shape[:2], -torch.inf, device=like.device, dtype=torch.float64)
        rank[:, 0] = 0
        zero, none = torch.zeros_like(rank), torch.zeros_like(rank, dtype=torch.int64)
        start = none + (self.fusion.start if self.fusion else 0)
        attended = torch.zeros(*rank.shape, frames, device=like.device)
        return _Beam(rank, zero, zero, none, none.bool(), start, zero, attended, none)

    def _step(
        self,
        speller: Speller,
        ctc: tuple[PrefixScores | None, Tensor | None],
        now: tuple[_Beam, State],
        late: Tensor,
        history: History,
    ) -> tuple[_Beam, State, Tensor | None, Tensor]:
        """Grow every text by a symbol, or end it, and return what it attended to, too. `late` (B, 1): it is time to end."""
        beam, state = now
        scores, attention, state = speller.step(state, beam.last)
        scores = scores.double()
        attended = beam.attended + attention
        idle = torch.where((attended > HALF).sum(-1) > beam.covered, 0, beam.idle + 1)
        added, said, fused = self._fused(beam, scores)
        spelled = (1 - self.weights.ctc) * scores
        ranked = spelled + added
        ranked[..., END] = -torch.inf
        symbols = ranked.topk(min(CONSIDERED, ranked.shape[-1] - 1)).indices  # (B, K, M)
        columns = torch.cat([symbols, torch.full_like(symbols[..., :1], END)], -1)  # the last one ends the text
        acoustic = spelled.gather(2, columns)
        scorer, prefixes = ctc
        grown, prefix = prefixes, torch.zeros_like(acoustic)
        if scorer and prefixes is not None:
            longer, grown = scorer.grow(prefixes, beam.last, symbols)
            prefix = torch.cat([longer, scorer.whole(prefixes)[..., None]], -1)
            acoustic = acoustic + self.weights.ctc * (prefix - beam.prefix[..., None])
        gain = acoustic + added.gather(2, columns) + self.weights.coverage * ((attended > HALF).sum(-1) - beam.covered)[..., None]
        gain[..., :-1] += self.weights.length
        gain[..., :-1].masked_fill_((late | (idle >= PATIENCE) | beam.ended)[..., None], -torch.inf)
        gain[..., -1].masked_fill_(beam.ended, 0.0)

        rank, places = (beam.rank[..., None] + gain).flatten(1).topk(self.beam)
        width = columns.shape[-1]
        parents, column = places // width, places % width
        was = beam.ended.gather(1, parents)
        chosen = columns.flatten(1).gather(1, places)
        history.append(
            parents,
            torch.where(chosen == END, NOTHING, chosen),
            parents,
            scores.gather(2, columns).flatten(1).gather(1, places).exp(),
        )
        kept = _taken((beam.acoustic, beam.language, attended, idle), parents)
        beam = _Beam(
            rank,
            kept[0] + acoustic.flatten(1).gather(1, places).masked_fill(was, 0.0),
            kept[1] + said.gather(2, columns).flatten(1).gather(1, places).masked_fill(was, 0.0),
            chosen,
            chosen == END,
            fused.gather(2, columns).flatten(1).gather(1, places),
            prefix.flatten(1).gather(1, places),
            kept[2],
            kept[3],
        )
        if grown is not None:  # of what ended, any will do
            grown = grown.flatten(1, 2)
            grown = _taken((grown,), parents * (width - 1) + column.clamp(max=width - 2))[0]
        return beam, _taken(state, parents), grown, attention

    def _fused(self, beam: _Beam, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Ask the language model: what each symbol adds, its log p, and the state after it, (B, K, V) each; the end is symbol 0."""
        if self.fusion is None:
            nothing = torch.zeros_like(scores)
            return nothing, nothing, nothing.long()
        last, states = beam.last.flatten(), beam.fused.flatten()
        added, said, after = (one.clone() for one in self.fusion.following(last, states))
        added[:, END], said[:, END] = self.fusion.end(states)
        return added.view_as(scores).double(), said.view_as(scores).double(), after.view(scores.shape)


def _taken(state: Sequence[Tensor], places: Tensor) -> State:
    """Take the rows `places` (B, K) of tensors (B, N, …)."""
    rows = torch.arange(len(places), device=places.device)[:, None]
    return tuple(one[rows, places] for one in state)


def _found(beam: _Beam, history: History, attention: Tensor, text_of: Callable[[Sequence[int]], str], best: int) -> list[list[Hypothesis]]:
    """Write the hypotheses. `attention` (B, K, U, T): of the texts in each place of the beam, at each symbol."""
    ranks, places = beam.rank.topk(best)
    symbols, parents, confidences = history.trace(places)
    acoustic, language = (one.gather(1, places).tolist() for one in (beam.acoustic, beam.language))
    found: list[list[Hypothesis]] = []
    for b, ranking in enumerate(ranks.tolist()):
        found.append([])
        for n, rank in enumerate(ranking):
            if rank == -torch.inf:
                continue
            spelled = (symbols[b, n] != NOTHING).nonzero()[:, 0]
            tokens = tuple(symbols[b, n, spelled].tolist())
            begins = rising_path(attention[b, parents[b, n, spelled], spelled])
            found[-1].append(
                Hypothesis(
                    text_of(tokens),
                    rank,
                    tokens,
                    begins,
                    acoustic=acoustic[b][n],
                    language=language[b][n],
                    stops=tuple(begin + 1 for begin in begins),
                    confidences=tuple(confidences[b, n, spelled].tolist()),
                )
            )
    return found


def rising_path(attention: Tensor) -> tuple[int, ...]:
    """Give each symbol a frame, none before that of the symbol before, so that the product of attention (U, T) to them is largest.

    >>> rising_path(torch.tensor([[0.1, 0.2, 0.7], [0.9, 0.1, 0.0], [0.1, 0.8, 0.1]]))
    (0, 0, 1)
    """
    if not len(attention):
        return ()
    total, came = torch.zeros(attention.shape[1]), []
    for row in attention.clamp(min=_LEAST).log():
        total, source = total.cummax(0)  # the best frame of the symbol before, at the latest this one
        total = total + row
        came.append(source)
    path = [int(total.argmax())]
    for source in reversed(came[1:]):
        path.append(int(source[path[-1]]))
    return tuple(reversed(path))
