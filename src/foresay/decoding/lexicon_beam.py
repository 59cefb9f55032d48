"""Beam search over the words of a lexicon, with a language model of words: log p_AM + a log p_LM + b words, in nats.

The spellings form a trie. A hypothesis is a history of words, a node of the trie, and a place in the last symbol. In each frame it stays
at its node, or enters the symbol of a child; where a spelling ends the word is scored, as its last symbol is entered, and the node is the
root again. How symbols fill frames is the topology's matter (`moves`): one search serves CTC and hidden Markov models. At a node stands
the look-ahead, the best score at the begin of a sentence of the words below it, which a word gives back when it is complete.

`paths` "max": the score is that of the best path, and of histories that are one state to the language model the best is kept (Viterbi,
token passing). "sum": it is that of all paths that lead to the words, which are kept apart from others to the end: a sum needs about four
times the beam for as good a search.

K hypotheses for each of B utterances live in tensors; a loop runs over frames only. The best 2 K children, by look-ahead, have their words
scored; of all candidates the best 3 K are merged, and K kept.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from foresay.contracts.language_models import LanguageModel
from foresay.contracts.recognition import Emissions, Hypothesis
from foresay.decoding.emissions import BLANK, checked
from foresay.decoding.history import NOTHING, History, emitted, mixed
from foresay.decoding.hot_words import HotPhrases
from foresay.decoding.moves import Moves
from foresay.decoding.trie import Trie
from foresay.decoding.weights import Weights
from foresay.decoding.word_scores import WordScores
from foresay.errors import UserError, at_least

Spellings: TypeAlias = Mapping[str, Sequence[Sequence[int]]]
Paths: TypeAlias = Literal["sum", "max"]
ROOT = 0
_CHILDREN, _CANDIDATES = 2, 3
"""For each hypothesis of the beam: children that are scored, candidates that are merged."""


class Unknown(NamedTuple):
    """Words that the lexicon lacks: whatever its symbols spell between two boundaries."""

    weight: float
    """Nats that each adds beside b, and a log p of an unknown word."""
    text_of: Callable[[Sequence[int]], str]
    """Writes symbols as text."""


class _Beam(NamedTuple):
    """K hypotheses of B utterances, each (B, K)."""

    score: Tensor
    """With the look-ahead of the node."""
    language: Tensor
    """Log p_LM of the words, unweighted."""
    node: Tensor
    place: Tensor
    """In the last symbol, as the topology counts."""
    state: Tensor
    """Of `WordScores`."""
    words: Tensor
    """A mix of the words so far."""


class _Candidates(NamedTuple):
    """What a beam may become, each (B, C)."""

    beam: _Beam
    parent: Tensor
    """The place in the beam before."""
    symbol: Tensor
    """What was added, or `NOTHING`."""
    word: Tensor
    """The word that was completed, or `NOTHING`."""


class LexiconBeam:
    """A search over the words of a lexicon.

    Args:
        spellings: of each word, in symbols, without boundaries; several of a word and several words of one are allowed.
        moves: the topology.
        boundary: the symbol that ends each word, where the recognizer has one; the last word of an utterance may go without it.
        beam: K, hypotheses kept.
        weights: of the language model, and of the number of words.
        language_model: of words, by their names. A word that it lacks is unknown to it.
        hot_words: compiled for the words of `spellings`, in their order.
        unknown: words that the lexicon lacks; None: there are none. Of several at one place, the likeliest is found.
        paths: whether the paths of the same words are summed, or the best one counts.
        threshold: nats below the best candidate of a frame at which others are dropped.

    Raises:
        UserError: the lexicon is empty, or spelled in other symbols, or the language model is of other words.
    """

    def __init__(
        self,
        spellings: Spellings,
        moves: Moves,
        *,
        boundary: int | None = None,
        beam: int = 50,
        weights: Weights | None = None,
        language_model: LanguageModel | None = None,
        hot_words: HotPhrases | None = None,
        unknown: Unknown | None = None,
        paths: Paths = "max",
        threshold: float = math.inf,
    ) -> None:
        at_least(1, beam=beam)
        if not threshold > 0:
            msg = f"the threshold is in nats below the best, above 0, not {threshold}"
            raise UserError(msg)
        if unknown and (boundary is None or paths == "sum"):
            msg = "a word that the lexicon lacks is what stands between two boundaries, on the likeliest path: it takes both"
            raise UserError(msg)
        self.moves, self.boundary, self.beam, self.threshold = moves, boundary, beam, threshold
        self.weights, self.paths = weights or Weights(), paths
        self.by_state = paths == "max" or moves.adds_up_states
        self.vocabulary = tuple(spellings)
        self.unknown = unknown
        self.worth = WordScores(self.vocabulary, self.weights.words, language_model, hot_words, unknown.weight if unknown else 0.0)
        self._build(_spelled(spellings, moves.symbols, boundary))

    def _build(self, spelled: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Lay out the trie, the words at its nodes, and the look-ahead."""
        trie = Trie([spelling for _, spelling in spelled], self.moves.symbols)
        words, ends, self.children = torch.tensor([word for word, _ in spelled]), trie.ends, trie.children
        every = torch.arange(len(self.vocabulary) + 1)
        said, added, _ = self.worth.advance(torch.full_like(every, self.worth.start), every)
        first = self.weights.language * said + added
        self.ahead = trie.highest(first[words])
        if self.unknown and self.boundary is not None:
            self.children = trie.opened(self.boundary)
            words, ends = (torch.cat([known, last]) for known, last in ((words, every[-1:]), (ends, torch.tensor([trie.size + 1]))))
            self.ahead = torch.cat([self.ahead, first[-1:].expand(2)])
        order = ends.sort(stable=True).indices
        self.entries = words[order]
        """(P,) words in the order of the nodes at which they end, and (N + 1,) where each node's begin."""
        self.begin = torch.searchsorted(ends[order], torch.arange(len(self.children) + 1))
        self.most = int((self.begin[1:] - self.begin[:-1]).max())
        self.inner = (self.children > 0).any(1)
        self.ahead[ROOT] = 0
        below = self.ahead[self.children.long()] - self.ahead[:, None]
        self.climb = torch.where(self.children > 0, below, -torch.inf)
        """(N, V): what a step to a child adds but for its emission; -inf where there is none."""

    def __call__(self, emissions: Emissions, best: int = 1) -> list[list[Hypothesis]]:
        """Search a batch of utterances.

        Args:
            emissions: (B, T, V).
            best: hypotheses of each utterance, at most.

        Returns:
            B lists of hypotheses with different words, the best one first. Where no hypothesis of the beam has complete words, the words
            that are complete are returned, and what was begun is left out.

        Raises:
            UserError: the emissions have another number of symbols, or are not numbers.
        """
        at_least(1, best=best)
        checked(emissions, self.moves.scores)
        self._move(emissions.log_probabilities.device)
        beam, history = self._begin(emissions), History()
        lengths = emissions.lengths.tolist()
        for t, frame in enumerate(emissions.log_probabilities.transpose(0, 1).contiguous()):
            found = self._step(beam, frame)
            if t >= min(lengths):
                found = _held(beam, found, [t < length for length in lengths])
            beam = found.beam
            history.append(found.parent, found.symbol, found.word)
        return self._finish(beam, history, best)

    def _begin(self, emissions: Emissions) -> _Beam:
        scores = emissions.log_probabilities
        score = torch.full((scores.shape[0], self.beam), -torch.inf, device=scores.device, dtype=scores.dtype)
        number = torch.zeros_like(score, dtype=torch.int64)
        score[:, 0] = 0
        return _Beam(score, torch.zeros_like(score), number, number + self.moves.start, number + self.worth.start, number)

    def _step(self, beam: _Beam, frame: Tensor) -> _Candidates:
        """Go on by one frame (B, V)."""
        stays = self.moves.stays(frame, beam.place, beam.node == ROOT)
        parts = [_stayed(beam._replace(score=beam.score + score, place=place), added) for score, place, added in stays]
        found = _joined([*parts, *self._children(beam, frame)])
        return self._best(found, found.beam.state if self.by_state else found.beam.words, self.beam, _CANDIDATES * self.beam)

    def _children(self, beam: _Beam, frame: Tensor) -> list[_Candidates]:
        """Go to the best children, and complete their words."""
        grown = self.climb.index_select(0, beam.node.flatten()).view(*beam.node.shape, -1)
        grown += self.moves.enters(frame, beam.place)
        grown += beam.score[..., None]
        score, places = grown.flatten(1).topk(min(_CHILDREN * self.beam, grown[0].numel()), sorted=False)
        parent, symbol = places // grown.shape[2], places % grown.shape[2]
        before = _Beam(*(row.gather(1, parent) for row in beam))
        node = self.children[before.node, symbol].long()
        again = self.moves.repeats(before.place, symbol)
        inner, completes = self.inner[node] & ~again, (score > -torch.inf) & ~(again & (before.node == ROOT))
        before = before._replace(score=score, node=node, place=self.moves.entered(symbol))
        stays_in = before._replace(score=score.masked_fill(~inner, -torch.inf))
        went = _Candidates(stays_in, parent, symbol, torch.full_like(symbol, NOTHING))
        return [went, self._completed(before, completes, parent, symbol)]

    def _completed(self, beam: _Beam, completes: Tensor, parent: Tensor, symbol: Tensor) -> _Candidates:
        """Complete the words that end at the nodes (B, M): a candidate for each of the at most W words of a node, (B, M W)."""
        first = self.begin[beam.node]
        if self.most > 1:
            first = first[..., None] + torch.arange(self.most, device=first.device)  # (B, M, W)
        live = (first < self._several(self.begin[beam.node + 1]).view_as(first)) & self._several(completes).view_as(first)
        words = self.entries[first.flatten(1).clamp(max=len(self.entries) - 1)]
        beam, parent, symbol = _Beam(*map(self._several, beam)), self._several(parent), self._several(symbol)
        at = live.flatten().nonzero()[:, 0]
        word, state = words.flatten()[at], beam.state.flatten()
        said, added, after = self.worth.advance(state[at], word)
        gain = self.weights.language * said + added - self.ahead[beam.node.flatten()[at]]
        score = torch.full_like(beam.score, -torch.inf).flatten()
        complete = beam._replace(
            score=score.index_copy_(0, at, beam.score.flatten()[at] + gain).view_as(words),
            language=beam.language.flatten().index_add(0, at, said).view_as(words),
            node=torch.zeros_like(words),
            state=state.index_copy(0, at, after).view_as(words),
            words=mixed(beam.words, words),
        )
        return _Candidates(complete, parent, symbol, words)

    def _several(self, row: Tensor) -> Tensor:
        """Repeat (B, M) for each word of a node: (B, M W)."""
        return row if self.most == 1 else row.repeat_interleave(self.most, 1)

    def _best(self, candidates: _Candidates, histories: Tensor, count: int, pool: int) -> _Candidates:
        """Merge what has the same history, node and last symbol, of the best `pool`, and keep the best."""
        score, order = candidates.beam.score.topk(min(pool, candidates.word.shape[1]))
        if self.threshold < math.inf:
            score = score.masked_fill(score < score[:, :1] - self.threshold, -torch.inf)
        beam = candidates.beam
        stride = 2 * len(self.ahead) * self.moves.places + 1
        names = (histories * stride + beam.node * self.moves.places + beam.place).gather(1, order)
        names, groups = names.sort(stable=True)  # the best of each group is its first
        score = _merged(score.gather(1, groups), names, self.paths)
        score, kept = score.topk(min(count, score.shape[1]))
        order = order.gather(1, groups.gather(1, kept))
        fields = [row.gather(1, order) for row in (*beam[1:], *candidates[1:])]
        return _Candidates(_Beam(score, *fields[:-3]), *fields[-3:])

    def _finish(self, beam: _Beam, history: History, best: int) -> list[list[Hypothesis]]:
        """End the sentences, and write down the best hypotheses of each utterance."""
        whole = _stayed(beam._replace(score=(beam.score + self.moves.ends(beam.place)).masked_fill(beam.node != ROOT, -torch.inf)))
        if self.boundary is not None and self.moves.open_end:  # the last word may go without its boundary
            node = self.children[beam.node, self.boundary].long()
            score = torch.where(node == ROOT, -torch.inf, beam.score + self.ahead[node] - self.ahead[beam.node])
            at_end = beam._replace(score=score, node=node)
            whole = _joined([whole, self._completed(at_end, score > -torch.inf, whole.parent, whole.symbol)])
        partial = _stayed(beam._replace(score=beam.score - self.ahead[beam.node], node=torch.zeros_like(beam.node)))
        complete = (whole.beam.score > -torch.inf).any(1, keepdim=True)
        whole = whole._replace(beam=whole.beam._replace(score=whole.beam.score.masked_fill(~complete, -torch.inf)))
        partial = partial._replace(beam=partial.beam._replace(score=partial.beam.score.masked_fill(complete, -torch.inf)))
        found = _joined([whole, partial])
        said, added = self.worth.end(found.beam.state)
        ended = found.beam._replace(
            score=found.beam.score + self.weights.language * said + added,
            language=found.beam.language + said,
            place=torch.zeros_like(found.beam.place),
        )
        found = self._best(found._replace(beam=ended), ended.words, best, ended.words.shape[1])
        return self._written(found, history)

    def _written(self, found: _Candidates, history: History) -> list[list[Hypothesis]]:
        scores, said = found.beam.score.tolist(), found.beam.language.tolist()
        last = found.word.cpu()
        rows = history.trace(found.parent)
        symbols, words = rows or (torch.empty(*last.shape, 0), torch.empty(*last.shape, 0))
        results: list[list[Hypothesis]] = []
        for b, ranking in enumerate(scores):
            results.append([])
            for n, score in enumerate(ranking):
                if score > -math.inf:
                    tokens, frames = emitted(symbols[b, n])
                    numbers, _ = emitted(torch.cat([words[b, n], last[b, n : n + 1]]))
                    ends = (symbols[b, n] != NOTHING).cumsum(0)[words[b, n] != NOTHING].tolist()
                    ends += [len(tokens)] * (len(numbers) - len(ends))  # the last word, without its boundary
                    acoustic = score - self.weights.language * said[b][n] - self.worth.added(numbers)
                    places = itertools.pairwise((0, *ends))
                    text = " ".join(self._word(number, tokens[begin:end]) for number, (begin, end) in zip(numbers, places, strict=True))
                    results[-1].append(Hypothesis(text, score, tokens, frames, tuple(ends), acoustic, said[b][n]))
        return results

    def _word(self, number: int, symbols: Sequence[int]) -> str:
        return self.unknown.text_of(symbols) if self.unknown and number == len(self.vocabulary) else self.vocabulary[number]

    def _move(self, device: torch.device) -> None:
        for name in ("children", "entries", "begin", "inner", "ahead", "climb"):
            setattr(self, name, getattr(self, name).to(device))
        self.worth.to(device)
        self.moves.to(device)


def _stayed(beam: _Beam, added: int = NOTHING) -> _Candidates:
    """Hypotheses that stay at their nodes, and have added a symbol at most."""
    nothing = torch.full_like(beam.node, NOTHING)
    parent = torch.arange(beam.node.shape[1], device=nothing.device).expand_as(nothing)
    return _Candidates(beam, parent, torch.full_like(nothing, added), nothing)


def _joined(parts: Sequence[_Candidates]) -> _Candidates:
    beam = _Beam(*(torch.cat(rows, 1) for rows in zip(*(part.beam for part in parts), strict=True)))
    return _Candidates(beam, *(torch.cat(rows, 1) for rows in zip(*(part[1:] for part in parts), strict=True)))


def _held(beam: _Beam, found: _Candidates, active: Sequence[bool]) -> _Candidates:
    """Leave the hypotheses of utterances that have ended as they are."""
    old = _stayed(beam)
    goes_on = torch.tensor(active, device=beam.node.device)[:, None]
    kept = _Beam(*(torch.where(goes_on, new, row) for new, row in zip(found.beam, beam, strict=True)))
    return _Candidates(kept, *(torch.where(goes_on, new, row) for new, row in zip(found[1:], old[1:], strict=True)))


def _merged(score: Tensor, names: Tensor, paths: Paths) -> Tensor:
    """Give the first of equal neighbouring names (B, C) the score of all, which is no lower than any, and the others -inf."""
    first = torch.ones_like(names, dtype=torch.bool)
    first[:, 1:] = names[:, 1:] != names[:, :-1]
    if paths == "sum":
        leader = torch.where(first, torch.arange(names.shape[1], device=names.device), 0).cummax(1).values
        share = (score - score.gather(1, leader)).exp().nan_to_num(0.0)
        score = score + torch.zeros_like(score).scatter_add_(1, leader, share).log()
    return torch.where(first, score, -torch.inf)


def _spelled(spellings: Spellings, symbols: int, boundary: int | None) -> list[tuple[int, tuple[int, ...]]]:
    """List the number of each word with each of its spellings, its boundary included."""
    if not spellings:
        msg = "the lexicon is empty: there is nothing to search for"
        raise UserError(msg)
    edge = () if boundary is None else (boundary,)
    listed = []
    for number, (word, several) in enumerate(spellings.items()):
        for spelling in dict.fromkeys(map(tuple, several)):
            strange = [symbol for symbol in spelling if not BLANK < symbol < symbols]
            if strange or not spelling or boundary in spelling:
                what = f"symbol {strange[0]}" if strange else "the boundary" if spelling else "no symbol"
                msg = f"the word {word!r} is spelled with {what}; a spelling is one or more symbols of 1 to {symbols - 1}, no boundary"
                raise UserError(msg)
            listed.append((number, (*spelling, *edge)))
        if not several:
            msg = f"the word {word!r} has no spelling: give it one, or leave it out"
            raise UserError(msg)
    return listed
