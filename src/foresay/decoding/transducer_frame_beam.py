"""Time-synchronous beam search of a transducer (RNN-T): frame by frame, so that what it has found can be certain before the end.

TSD of Saon et al., "Alignment-Length Synchronous Decoding for RNN Transducer" (ICASSP 2020).

    K prefixes --> the blank ---------------------------------------------------------> |
        |                                                                               | equal ones are one, their probabilities added;
        +--> the best K with one symbol more --> the blank ---------------------------> | the best K have read the frame
                 |                                                                      |
                 +--> the best K with two symbols more, and so on --> the blank ------> |

It follows the same alignments as `TransducerBeam`, which compares prefixes that have read and written equally much, and so must wait for
the end: its prefixes of many symbols lie many frames behind.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.contracts.language_models import Fusion
from foresay.contracts.recognition import Encoded, Hypothesis
from foresay.contracts.transduction import Joint
from foresay.decoding.emissions import BLANK, refuse_no_chunk
from foresay.decoding.history import NOTHING, History, emitted, mixed
from foresay.errors import at_least


class FrameBeam(NamedTuple):
    """K prefixes of B utterances, each (B, K) unless said otherwise."""

    total: Tensor
    """Log p of the symbols and the frames read; -inf where a place is free."""
    name: Tensor
    """A mix of all symbols."""
    bonus: Tensor
    """What the language model has added."""
    language: Tensor
    """Log p by the language model, unweighted."""
    state: Tensor
    """(B, K, S) of the joint network."""
    added: Tensor
    """(B, K, V) what the language model adds to each symbol next; without one, V is 0."""
    said: Tensor
    """(B, K, V) its log p."""
    after: Tensor
    """(B, K, V) the language model's state after it."""
    fused: Tensor
    """The language model's state."""
    origin: Tensor
    """The place in the beam before this frame."""
    written: Tensor
    """(B, K, n) symbols written in this frame, and NOTHING."""

    def without(self, given_up: Tensor) -> "FrameBeam":
        """Free the places (B, K) of some prefixes."""
        return self._replace(total=self.total.masked_fill(given_up, -torch.inf))

    def taken(self, places: Tensor) -> "FrameBeam":
        """Take prefixes from places (B, K)."""
        utterance = torch.arange(len(places), device=places.device)[:, None]
        return FrameBeam(*(rows[utterance, places] for rows in self))


class TransducerFrameBeam:
    """Time-synchronous beam search (`FrameSearch`).

    Args:
        joint: scores symbols.
        beam: K, prefixes kept.
        fusion: a language model, if there is one.
        symbols_a_frame: n, a frame has no more. An encoder that does not look ahead may know several letters of a word at once.

    Raises:
        UserError: beam or limit are below 1.
    """

    def __init__(self, joint: Joint, *, beam: int = 8, fusion: Fusion | None = None, symbols_a_frame: int = 8) -> None:
        at_least(1, beam=beam, symbols_a_frame=symbols_a_frame)
        self.joint, self.beam, self.fusion, self.symbols_a_frame = joint, beam, fusion, symbols_a_frame

    def checked(self, chunk: Encoded) -> Encoded:
        """Return a chunk of one utterance (1, t, D).

        Raises:
            UserError: it is none.
        """
        refuse_no_chunk(chunk)
        return chunk

    def begin(self, encoded: Encoded) -> FrameBeam:
        """Begin with the empty prefix, and K - 1 places that are free."""
        size, device = (len(encoded.frames), self.beam), encoded.frames.device
        zero, number = torch.zeros(size, device=device), torch.zeros(size, dtype=torch.int64, device=device)
        total = torch.full_like(zero, -torch.inf)
        total[:, 0] = 0
        fused = number + (self.fusion.start if self.fusion else 0)
        following = self._following(number + BLANK, fused)
        states = self.joint.start(number.numel()).unflatten(0, size)
        written = number.new_zeros(*size, self.symbols_a_frame)
        return FrameBeam(total, number, zero, zero, states, *following, fused, number, written)

    def step(self, beam: FrameBeam, frame: Tensor, history: History) -> FrameBeam:
        """Go on by one frame (B, D)."""
        places = torch.arange(self.beam, device=frame.device).expand_as(beam.name)
        grown = beam._replace(origin=places, written=torch.full_like(beam.written, NOTHING))
        read = []
        for count in range(self.symbols_a_frame + 1):
            scores = self._scores(grown, frame)
            read.append(grown._replace(total=grown.total + scores[..., BLANK]))
            if count == self.symbols_a_frame:
                break
            grown = self._grown(grown, scores, count)
            best = torch.cat([one.total + one.bonus for one in read], 1).topk(self.beam).values
            if ((grown.total + grown.bonus).amax(1) < best[:, -1]).all():  # no symbol more will make it likelier
                break
        every = FrameBeam(*(torch.cat(rows, 1) for rows in zip(*read, strict=True)))
        # Equal prefixes are one: the likeliest stands for all.
        own = torch.where(every.name[:, :, None] == every.name[:, None], every.total[:, None], -torch.inf)  # (B, M, M)
        first = own.argmax(2) == torch.arange(own.shape[2], device=frame.device)
        every = every._replace(total=own.logsumexp(2)).without(~first)
        beam = every.taken((every.total + every.bonus).topk(self.beam).indices)
        history.append(beam.origin, *beam.written.unbind(2))
        return beam

    def found(self, beam: FrameBeam, history: History, text_of: Callable[[Sequence[int]], str], best: int) -> list[list[Hypothesis]]:
        """End the sentences, and return at most `best` hypotheses of each utterance, the best first."""
        rank, language = beam.total + beam.bonus, beam.language
        if self.fusion:
            added, said = (part.view_as(rank).float() for part in self.fusion.end(beam.fused.flatten()))
            rank, language = rank + added, language + said
        ranks, places = rank.topk(min(best, self.beam))
        columns = (ranks.tolist(), beam.total.gather(1, places).tolist(), language.gather(1, places).tolist())
        rows = history.trace(places)
        written = torch.stack(rows, -1) if rows else torch.empty(*places.shape, 0, 0)  # (B, N, T, n)
        return [
            [
                Hypothesis(text_of(tokens), rank, tokens, frames, acoustic=total, language=said)
                for rank, total, said, symbols in zip(*utterance, strict=True)
                if rank > -torch.inf
                for tokens, frames in [emitted(symbols)]
            ]
            for utterance in zip(*columns, written, strict=True)
        ]

    def _grown(self, beam: FrameBeam, scores: Tensor, count: int) -> FrameBeam:
        """Write one symbol more, the first, second, …, by `count`, in this frame: the best K."""
        width = scores.shape[2]
        total = beam.total[..., None] + scores
        total[..., BLANK] = -torch.inf
        bonus = beam.bonus[..., None] + (beam.added if self.fusion else torch.zeros_like(scores))
        chosen = (total + bonus).flatten(1).topk(self.beam).indices
        symbol = chosen % width
        grown = beam.taken(chosen // width)
        grown = grown._replace(
            total=total.flatten(1).gather(1, chosen),
            name=mixed(grown.name, symbol),
            bonus=bonus.flatten(1).gather(1, chosen),
            state=self.joint.advance(grown.state.flatten(0, 1), symbol.flatten()).view_as(grown.state),
            written=grown.written.index_copy(2, torch.tensor([count], device=symbol.device), symbol[..., None]),
        )
        if not self.fusion:
            return grown
        said, fused = (rows.gather(2, symbol[..., None])[..., 0] for rows in (grown.said, grown.after))
        added, each, after = self._following(symbol, fused)
        return grown._replace(language=grown.language + said, fused=fused, added=added, said=each, after=after)

    def _scores(self, beam: FrameBeam, frame: Tensor) -> Tensor:
        """Score what comes next in a frame (B, D): (B, K, V)."""
        frames = frame[:, None].expand(-1, self.beam, -1).flatten(0, 1)
        return self.joint.scores(frames, beam.state.flatten(0, 1)).float().unflatten(0, beam.name.shape)

    def _following(self, last: Tensor, fused: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Ask the language model for each symbol after the last one (B, K): what it adds, log p, states, (B, K, V) each; V is 0 without."""
        if self.fusion is None:
            nothing = fused.new_zeros(*fused.shape, 0)
            return nothing, nothing, nothing
        added, said, after = (rows.unflatten(0, fused.shape) for rows in self.fusion.following(last.flatten(), fused.flatten()))
        return added, said, after
