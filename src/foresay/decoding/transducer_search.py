"""Transducer search (RNN-T): greedy with a limit of symbols a frame, and an alignment-length synchronous beam that merges equal prefixes.

Greedy: in each frame, symbols are written until the blank is the likeliest. The beam (ALSD: Saon et al., "Alignment-Length Synchronous
Decoding for RNN Transducer", ICASSP 2020): after i steps all hypotheses have t frames and u symbols with t + u = i. Two with the same
symbols are then at the same node: their probabilities are added, and what is compared was written and read equally much. A beam that holds
everything sums over all alignments of each text.

    rank of a prefix = log p(symbols, frames read) + what a language model adds to its symbols; a blank is not the language model's matter

It knows no network: what scores symbols in a frame after a prefix is a `Joint`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from foresay.contracts.language_models import Fusion
from foresay.contracts.recognition import Encoded, Hypothesis, StablePrefix
from foresay.contracts.transduction import Joint
from foresay.decoding.emissions import refuse_no_chunk
from foresay.errors import at_least

BLANK = 0
NOTHING = -1
"""Behind the last symbol of a hypothesis."""

TextOf: TypeAlias = Callable[[Sequence[int]], str]


class _Written(NamedTuple):
    """Symbols of hypotheses (B, K, L), frames in which they were written, and how sure it was; behind the last one, NOTHING."""

    tokens: Tensor
    frames: Tensor
    confidences: Tensor

    def taken(self, places: Tensor) -> "_Written":
        """Take hypotheses from places (B, K)."""
        return _Written(*(rows.gather(1, places[..., None].expand(-1, -1, rows.shape[2])) for rows in self))

    def added(self, at: Tensor, *values: Tensor) -> "_Written":
        """Write values (B, K) each at a place (B, K) of its row; beyond the row, nothing."""
        new = at[..., None] == torch.arange(self.tokens.shape[2], device=at.device)
        return _Written(*(torch.where(new, value[..., None], rows) for rows, value in zip(self, values, strict=True)))

    def grows_to(self, symbols: Tensor) -> Tensor:
        """Say which hypothesis, of so many `symbols` (B, K), is which other one without its last symbol: (B, K, K), the shorter first."""
        places = torch.arange(self.tokens.shape[2], device=symbols.device)
        shorter = torch.where(places == symbols[..., None] - 1, NOTHING, self.tokens)
        return (self.tokens[:, :, None] == shorter[:, None]).all(-1) & (symbols[:, :, None] + 1 == symbols[:, None])

    def unless(self, where: Tensor, other: "_Written") -> "_Written":
        """Take the other's hypotheses where (B, K) it says so."""
        return _Written(*(torch.where(where[..., None], theirs, own) for theirs, own in zip(other, self, strict=True)))


class _Beam(NamedTuple):
    """K prefixes of B utterances, each (B, K) unless said otherwise."""

    score: Tensor
    """Log p of the symbols and the frames read; -inf where a place is free."""
    symbols: Tensor
    """How many symbols."""
    last: Tensor
    """The last one; the blank, for the empty prefix."""
    bonus: Tensor
    """What the language model has added."""
    language: Tensor
    """Log p by the language model, unweighted."""
    state: Tensor
    """(B, K, S) of the joint network."""
    fused: Tensor
    """The language model's state."""
    following: tuple[Tensor, ...]
    """What the language model adds to each symbol next, its log p, and its state after it, (B, K, V) each; none without one."""
    written: _Written


class _Pool(NamedTuple):
    """The best K hypotheses that have read all frames, each (B, K), the best first."""

    rank: Tensor
    score: Tensor
    language: Tensor
    written: _Written


@torch.no_grad()
def greedy_search(encoded: Encoded, joint: Joint, text_of: TextOf, *, symbols_a_frame: int = 3) -> list[Hypothesis]:
    """Write in each frame what is likeliest, until that is the blank.

    Args:
        encoded: (B, T, D).
        joint: scores symbols.
        text_of: writes symbols as text.
        symbols_a_frame: after so many the blank is taken whatever its score: a network that is not yet trained would write on and on.

    Returns:
        B hypotheses, each with the frames of its symbols; score and acoustic are log p of its one alignment, in nats.

    Raises:
        UserError: the limit is below 1.
    """
    at_least(1, symbols_a_frame=symbols_a_frame)
    frames, lengths = encoded.frames, encoded.lengths.to(encoded.frames.device)
    states, score = joint.start(len(frames)), torch.zeros(len(frames), device=frames.device)
    times, symbols, sure = list[int](), list[Tensor](), list[Tensor]()
    for t in range(int(encoded.lengths.max()) if len(frames) else 0):
        states, gained, written = _write(joint, frames[:, t], states, t < lengths, symbols_a_frame)
        score = score + gained
        for symbol, likely in written:
            times.append(t)
            symbols.append(symbol)
            sure.append(likely)
    rows = torch.stack(symbols, 1).tolist() if symbols else [[]] * len(frames)
    certain = torch.stack(sure, 1).tolist() if sure else [[]] * len(frames)
    return [
        _hypothesis(text_of, total, total, 0.0, [one for one in zip(row, times, likely, strict=True) if one[0] != NOTHING])
        for row, likely, total in zip(rows, certain, score.tolist(), strict=True)
    ]


class TransducerStream:
    """Greedy search of one utterance, chunk by chunk (`SearchStream`). Whatever it has written is certain."""

    def __init__(self, joint: Joint, text_of: TextOf, *, symbols_a_frame: int = 3) -> None:
        """Begin to write; arguments as of `greedy_search`.

        Raises:
            UserError: the limit is below 1.
        """
        at_least(1, symbols_a_frame=symbols_a_frame)
        self._joint, self._text_of, self._most = joint, text_of, symbols_a_frame
        self._state, self._score, self._time = joint.start(1), 0.0, 0
        self._written: list[tuple[int, int, float]] = []
        """Symbols, their frames, and how sure it was."""

    @torch.no_grad()
    def push(self, encoded: Encoded) -> StablePrefix:
        """Go on by the frames of a chunk (1, t, D).

        Raises:
            UserError: it is no chunk of one utterance.
        """
        refuse_no_chunk(encoded)
        live = torch.ones(1, dtype=torch.bool, device=encoded.frames.device)
        for frame in encoded.frames.transpose(0, 1):
            self._state, gained, written = _write(self._joint, frame, self._state, live, self._most)
            self._score += float(gained)
            self._written += [(int(symbol), self._time, float(likely)) for symbol, likely in written]
            self._time += 1
        found = self.finish()
        return StablePrefix(found.text, found.tokens, found.frames)

    def finish(self) -> Hypothesis:
        """Return the hypothesis of the whole."""
        return _hypothesis(self._text_of, self._score, self._score, 0.0, self._written)


def _write(joint: Joint, frame: Tensor, states: Tensor, live: Tensor, most: int) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
    """Write in a frame (B, D), where it is `live` (B,), what is likeliest, until that is the blank.

    Returns:
        States (B, S) after it; log p of all that was taken (B,); symbols (B,), NOTHING where there is none, and how likely each was (B,).
    """
    score, written = torch.zeros(len(frame), device=frame.device), list[tuple[Tensor, Tensor]]()
    while True:
        scores = joint.scores(frame, states)
        best, symbol = (scores if len(written) < most else scores[:, : BLANK + 1]).max(-1)
        score = score + torch.where(live, best, 0.0)
        live = live & (symbol != BLANK)
        if not live.any():
            return states, score, written
        states = torch.where(live[:, None], joint.advance(states, symbol), states)
        written.append((torch.where(live, symbol, NOTHING), best.exp()))


class TransducerBeam:
    """Alignment-length synchronous beam search.

    Args:
        joint: scores symbols.
        beam: K, prefixes kept.
        fusion: a language model, if there is one.
        symbols_a_frame: an utterance has at most this many symbols for each of its frames.

    Raises:
        UserError: beam or limit are below 1.
    """

    def __init__(self, joint: Joint, *, beam: int = 8, fusion: Fusion | None = None, symbols_a_frame: int = 1) -> None:
        at_least(1, beam=beam, symbols_a_frame=symbols_a_frame)
        self.joint, self.beam, self.fusion, self.symbols_a_frame = joint, beam, fusion, symbols_a_frame

    @torch.no_grad()
    def __call__(self, encoded: Encoded, text_of: TextOf, best: int = 1) -> list[list[Hypothesis]]:
        """Search a batch of utterances.

        Args:
            encoded: (B, T, D).
            text_of: writes symbols as text.
            best: hypotheses of each utterance, at most.

        Returns:
            B lists, the best first. `acoustic` is log p of the alignments that the beam has kept; `frames` are those of most of them.
        """
        at_least(1, best=best)
        frames, lengths = encoded.frames, encoded.lengths.to(encoded.frames.device)
        longest = int(encoded.lengths.max()) if len(frames) else 0
        most = self.symbols_a_frame * longest
        beam, pool = self._begin(frames, lengths, most)
        for step in range(longest + most):
            beam, ended = self._step(beam, frames, lengths, step)
            if step + 1 >= int(encoded.lengths.min()):
                pool = self._kept(pool, ended)
                beam = self._without_the_hopeless(beam, pool)
                if not (beam.score > -torch.inf).any():
                    break
        return _found(pool, text_of, best)

    def _begin(self, frames: Tensor, lengths: Tensor, most: int) -> tuple[_Beam, _Pool]:
        """Begin with the empty prefix and K - 1 free places; of an utterance without frames it is the result."""
        size = (len(frames), self.beam)
        number, zero = lengths.new_zeros(size), frames.new_zeros(size, dtype=torch.float32)
        free = torch.full_like(zero, -torch.inf)
        first = free.clone()
        first[:, 0] = 0
        nothing = lengths.new_full((*size, most), NOTHING)
        written = _Written(nothing, nothing, zero.new_zeros(*size, most))
        states = self.joint.start(len(frames) * self.beam)
        fused = number + (self.fusion.start if self.fusion else 0)
        beam = _Beam(
            torch.where(lengths[:, None] > 0, first, free),
            number,
            number + BLANK,
            zero,
            zero,
            states.view(*size, -1),
            fused,
            tuple(part.unflatten(0, size) for part in self._following(number.flatten(), fused.flatten())),
            written,
        )
        done = torch.where(lengths[:, None] > 0, free, first)
        return beam, _Pool(done, done, zero, written)

    def _step(self, beam: _Beam, frames: Tensor, lengths: Tensor, step: int) -> tuple[_Beam, _Beam]:
        """Read a frame or write a symbol: the new beam, and the prefixes that have read all frames (free places elsewhere)."""
        time = step - beam.symbols
        scores = self._scores(beam, frames, time)
        width = scores.shape[2]
        stay, grown = beam.score + scores[..., BLANK], beam.score[..., None] + scores
        grown[..., BLANK] = -torch.inf
        grown = torch.where((beam.symbols >= self.symbols_a_frame * lengths[:, None])[..., None], -torch.inf, grown).flatten(1)
        # What a prefix grows to may be in the beam already, at the same node: its probability is added there.
        live = beam.score > -torch.inf
        known = beam.written.grows_to(beam.symbols) & live[:, :, None] & live[:, None]  # (B, prefix, what it grows to)
        source = torch.where(known.any(1), known.long().argmax(1) * width + beam.last, BLANK)  # place BLANK holds -inf
        incoming = grown.gather(1, source)
        grown = grown.scatter(1, source, -torch.inf)
        sure = scores.flatten(1).gather(1, source).exp()
        joined = beam.written.taken(source // width).added(beam.symbols - 1, beam.last, time + 1, sure)
        read = beam.written.unless(incoming > stay, joined)  # most alignments write the last symbol now
        stay = torch.logaddexp(stay, incoming)
        ending = time == lengths[:, None] - 1
        ended = beam._replace(score=torch.where(ending, stay, -torch.inf), written=read)
        beam = beam._replace(score=torch.where(ending, -torch.inf, stay))

        bonus = (beam.bonus[..., None] + beam.following[0] if self.fusion else beam.bonus[..., None].expand_as(scores)).flatten(1)
        chosen = torch.cat([beam.score + beam.bonus, grown + bonus], 1).topk(self.beam).indices
        return self._moved(beam, chosen, grown, scores, read, step), ended

    def _moved(self, beam: _Beam, chosen: Tensor, grown: Tensor, scores: Tensor, read: _Written, step: int) -> _Beam:
        """Take the chosen (B, K): first those that read a frame, as in `read`, then those that wrote a symbol, log p `grown` (B, K V)."""
        width = scores.shape[2]
        stays, place = chosen < self.beam, (chosen - self.beam).clamp(min=0)
        parents, symbol = torch.where(stays, chosen, place // width), place % width
        score = torch.where(stays, beam.score.gather(1, parents), grown.gather(1, place))
        count, last, bonus, language, fused = (
            row.gather(1, parents) for row in (beam.symbols, beam.last, beam.bonus, beam.language, beam.fused)
        )
        sure = scores.flatten(1).gather(1, place).exp()
        written = beam.written.taken(parents).added(count, symbol, step - count, sure).unless(stays, read.taken(parents))
        states = beam.state.gather(1, parents[..., None].expand(-1, -1, beam.state.shape[2]))
        after = self.joint.advance(states.flatten(0, 1), symbol.flatten()).view_as(states)
        following = tuple(part.gather(1, parents[..., None].expand_as(scores)) for part in beam.following)
        if self.fusion:
            added, said, state = (part.gather(2, symbol[..., None])[..., 0] for part in following)
            bonus, language = torch.where(stays, bonus, bonus + added), torch.where(stays, language, language + said)
            fused = torch.where(stays, fused, state)
            new = ~stays & (score > -torch.inf)
            for rows, asked in zip(following, self._following(symbol[new], fused[new]), strict=True):
                rows[new] = asked
        return _Beam(
            score,
            torch.where(stays, count, count + 1),
            torch.where(stays, last, symbol),
            bonus,
            language,
            torch.where(stays[..., None], states, after),
            fused,
            following,
            written,
        )

    def _scores(self, beam: _Beam, frames: Tensor, time: Tensor) -> Tensor:
        """Score what comes next in the frame that each prefix (B, K) has come to: (B, K, V)."""
        place = time.clamp(0, frames.shape[1] - 1)[..., None].expand(-1, -1, frames.shape[2])
        scores = self.joint.scores(frames.gather(1, place).flatten(0, 1), beam.state.flatten(0, 1))
        return scores.float().unflatten(0, time.shape)

    def _following(self, last: Tensor, states: Tensor) -> tuple[Tensor, ...]:
        """Ask the language model, if there is one, for each symbol after the last one (N,): what it adds, log p, states, (N, V) each."""
        return self.fusion.following(last, states) if self.fusion else ()

    def _kept(self, pool: _Pool, ended: _Beam) -> _Pool:
        """Keep the best K of those that had ended and those that end now, whose sentences the language model ends."""
        rank, language = ended.score + ended.bonus, ended.language
        if self.fusion:
            added, said = (part.view_as(rank).float() for part in self.fusion.end(ended.fused.flatten()))
            rank, language = rank + added, language + said
        ranks, places = torch.cat([pool.rank, rank], 1).topk(self.beam)
        score, language = (torch.cat(pair, 1).gather(1, places) for pair in ((pool.score, ended.score), (pool.language, language)))
        both = _Written(*(torch.cat(pair, 1) for pair in zip(pool.written, ended.written, strict=True)))
        return _Pool(ranks, score, language, both.taken(places))

    def _without_the_hopeless(self, beam: _Beam, pool: _Pool) -> _Beam:
        """End an utterance when all that is in its beam is together less probable than the last one of its pool.

        What a language model may yet add is not known: with one, a beam ends by its number of symbols.
        """
        if self.fusion:
            return beam
        hopeless = beam.score.logsumexp(1, keepdim=True) < pool.score.amin(1, keepdim=True)
        return beam._replace(score=torch.where(hopeless, -torch.inf, beam.score))


def _found(pool: _Pool, text_of: TextOf, best: int) -> list[list[Hypothesis]]:
    """Return at most `best` hypotheses of each utterance."""
    columns = (*(rows[:, :best].tolist() for rows in pool[:3]), *(rows[:, :best].tolist() for rows in pool.written))
    return [
        [
            _hypothesis(text_of, rank, score, said, [one for one in zip(*written, strict=True) if one[0] != NOTHING])
            for rank, score, said, *written in zip(*utterance, strict=True)
            if rank > -torch.inf
        ]
        for utterance in zip(*columns, strict=True)
    ]


def _hypothesis(text_of: TextOf, rank: float, score: float, said: float, written: Sequence[tuple[int, int, float]]) -> Hypothesis:
    """Make a hypothesis of its symbols, each with its frame and how sure it was."""
    tokens, frames, sure = zip(*written, strict=True) if written else ((), (), ())
    stops = tuple(frame + 1 for frame in frames)
    return Hypothesis(text_of(tokens), rank, tokens, frames, acoustic=score, language=said, stops=stops, confidences=sure)
