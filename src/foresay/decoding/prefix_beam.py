"""CTC prefix beam search over symbols, exact: the paths of a prefix are summed, those that end in a blank apart from those that do not.

    rank of a prefix = log p_AM + a log p_LM + b count + bonus of hot words

K prefixes for each of B utterances live in tensors; a frame is a handful of operations on (B, K, V). A prefix is known by a 64-bit mix of
its symbols: that two different ones of a beam agree by chance has a probability of about K^2 / 2^65.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.contracts.language_models import LanguageModel
from foresay.contracts.recognition import Emissions, Encoded, Hypothesis
from foresay.decoding.emissions import BLANK, checked, checked_chunk, padded_with_blanks
from foresay.decoding.fusion import SymbolModel, word_begins
from foresay.decoding.history import NOTHING, History, emitted, mixed
from foresay.decoding.hot_words import HotWords
from foresay.decoding.weights import Weights
from foresay.errors import at_least


class Beam(NamedTuple):
    """K prefixes of B utterances, each (B, K) unless said otherwise."""

    blank: Tensor
    """Log p of the paths that end in a blank."""
    symbol: Tensor
    """Log p of those that end in the last symbol."""
    last: Tensor
    """The last symbol; the blank, for the empty prefix."""
    name: Tensor
    """A mix of all symbols."""
    parent: Tensor
    """The name of the prefix without the last symbol."""
    bonus: Tensor
    """All but log p_AM of the rank."""
    language: Tensor
    """Log p_LM, unweighted."""
    state: Tensor
    """The language model's."""
    hot: Tensor
    """That of the hot words."""
    following: Tensor
    """(B, K, V) log p_LM of each symbol next."""
    onward: Tensor
    """(B, K, V) the language model's state after it."""

    @property
    def total(self) -> Tensor:
        """Log p_AM: (B, K)."""
        return torch.logaddexp(self.blank, self.symbol)

    def without(self, given_up: Tensor) -> "Beam":
        """Free the places (B, K) of some prefixes."""
        return self._replace(blank=self.blank.masked_fill(given_up, -torch.inf), symbol=self.symbol.masked_fill(given_up, -torch.inf))


class PrefixBeam:
    """A search over the symbols of one recognizer.

    Args:
        symbols: V, the blank first.
        beam: K, prefixes kept.
        weights: of the language model, and of the count.
        language_model: over the same symbols, by their names; without one, a is of no account.
        hot_words: compiled for the same symbols.
        boundary: the symbol between words, if there is one. The count is of words then, each from its first symbol on, else of symbols.
        forbidden: symbols that are never emitted, such as those in angle brackets.

    Raises:
        UserError: the beam is empty, or the language model is of another vocabulary.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        beam: int = 50,
        weights: Weights | None = None,
        language_model: LanguageModel | None = None,
        hot_words: HotWords | None = None,
        boundary: int | None = None,
        forbidden: Sequence[int] = (),
    ) -> None:
        at_least(1, beam=beam)
        self.symbols, self.beam, self.forbidden = tuple(symbols), beam, list(forbidden)
        self.weights = weights or Weights()
        self.hot_words = hot_words
        self.language_model = None if language_model is None else SymbolModel(language_model, self.symbols, {BLANK, *forbidden})
        self.counts = self.weights.words * word_begins(len(symbols), boundary)

    def __call__(self, emissions: Emissions, text_of: Callable[[Sequence[int]], str], best: int = 1) -> list[list[Hypothesis]]:
        """Search a batch of utterances.

        Args:
            emissions: (B, T, V).
            text_of: writes symbols as text.
            best: hypotheses of each utterance, at most.

        Returns:
            B lists, the best hypothesis first. `frames` are where most of a prefix's paths have its symbols begin.

        Raises:
            UserError: the emissions have another number of symbols, or are not numbers.
        """
        at_least(1, best=best)
        checked(emissions, len(self.symbols))
        beam, history = self.begin(emissions), History()
        for frame in padded_with_blanks(emissions):
            beam = self.step(beam, frame, history)
        return self.found(beam, history, text_of, best)

    def found(self, beam: Beam, history: History, text_of: Callable[[Sequence[int]], str], best: int) -> list[list[Hypothesis]]:
        """End the sentences, and return at most `best` hypotheses of each utterance, the best first."""
        language, bonus = self._end(beam)
        acoustic = beam.total
        ranks, places = (acoustic + bonus).topk(min(best, self.beam))
        scores, said = acoustic.gather(1, places).tolist(), language.gather(1, places).tolist()
        rows = history.trace(places)
        added = rows[0] if rows else torch.empty(*places.shape, 0)
        return [
            [
                Hypothesis(text_of(tokens), rank, tokens, frames, acoustic=scores[b][n], language=said[b][n])
                for n, rank in enumerate(ranking)
                if rank > -torch.inf
                for tokens, frames in [emitted(added[b, n])]
            ]
            for b, ranking in enumerate(ranks.tolist())
        ]

    def checked(self, chunk: Encoded) -> Emissions:
        """Return a chunk of one utterance (1, t, V) that can be searched.

        Raises:
            UserError: it is none of this vocabulary, or holds what is not a number.
        """
        return checked_chunk(chunk, len(self.symbols))

    def begin(self, emissions: Encoded) -> Beam:
        """Begin with the empty prefix, and K - 1 places that are free."""
        scores = emissions.frames
        free = torch.full((scores.shape[0], self.beam), -torch.inf, device=scores.device, dtype=scores.dtype)
        zero, number = torch.zeros_like(free), torch.zeros_like(free, dtype=torch.int64)
        first = free.clone()
        first[:, 0] = 0
        width = (*free.shape, len(self.symbols) if self.language_model else 0)
        following, onward = zero.new_zeros(width), number.new_zeros(width)
        start = self.language_model.model.start if self.language_model else 0
        if self.language_model and len(scores):
            said, states = self.language_model.following(number.new_full((1,), start))
            following[:], onward[:] = said, states
        self.counts = self.counts.to(scores)
        hot = number
        if self.hot_words:
            hot = torch.full_like(number, self.hot_words.to(scores.device).start)
        return Beam(first, free, number, number + 1, number, zero, zero, number + start, hot, following, onward)

    def step(self, beam: Beam, frame: Tensor, history: History) -> Beam:
        """Go on by one frame (B, V)."""
        frame, width = frame.clone(), frame.shape[1]
        frame[:, self.forbidden] = -torch.inf
        total, own = beam.total, frame.gather(1, beam.last)
        blank, symbol = total + frame[:, BLANK, None], beam.symbol + own
        grown = total[..., None] + frame[:, None]
        grown.scatter_(2, beam.last[..., None], (beam.blank + own)[..., None])  # a repetition needs a blank before it
        grown[..., BLANK] = -torch.inf
        grown = grown.flatten(1)
        # What a prefix grows to may be in the beam already: its paths are added there.
        known = (beam.parent[:, None] == beam.name[..., None]) & (total > -torch.inf)[:, None]  # (B, prefix, what it grows to)
        source = torch.where(known.any(1), known.long().argmax(1) * width + beam.last, BLANK)  # place BLANK holds -inf
        incoming = grown.gather(1, source)
        rejoins = incoming > torch.logaddexp(blank, symbol)  # most of its paths come from its parent now
        symbol = torch.logaddexp(symbol, incoming)
        grown = grown.scatter(1, source, -torch.inf)

        ranks = torch.cat([torch.logaddexp(blank, symbol) + beam.bonus, grown + (beam.bonus[..., None] + self._gain(beam)).flatten(1)], 1)
        chosen = ranks.topk(self.beam).indices
        stays, grows = chosen < self.beam, (chosen - self.beam).clamp(min=0)
        parents, added = torch.where(stays, chosen, grows // width), torch.where(stays, NOTHING, grows % width)
        rejoins = stays & rejoins.gather(1, parents)
        history.append(
            torch.where(rejoins, source.gather(1, parents) // width, parents), torch.where(rejoins, beam.last.gather(1, parents), added)
        )
        blank = torch.where(stays, blank.gather(1, parents), -torch.inf)
        symbol = torch.where(stays, symbol.gather(1, parents), grown.gather(1, grows))
        return self._moved(beam, blank, symbol, parents, added)

    def _moved(self, beam: Beam, blank: Tensor, symbol: Tensor, parents: Tensor, added: Tensor) -> Beam:
        """Take the chosen prefixes from their places (B, K) in the last beam, and append to them what they have `added`."""
        stays, append = added == NOTHING, added.clamp(min=0)
        last, name, language, state, hot = (row.gather(1, parents) for row in (beam.last, beam.name, beam.language, beam.state, beam.hot))
        gain = self.counts[last, append]
        following, onward = beam.following, beam.onward
        if self.language_model:
            place = parents[..., None].expand(-1, -1, following.shape[2])
            following, onward = following.gather(1, place), onward.gather(1, place)
            said = following.gather(2, append[..., None])[..., 0]
            language = torch.where(stays, language, language + said)
            gain = gain + self.weights.language * said
            new = ~stays & (symbol > -torch.inf)
            state = torch.where(stays, state, onward.gather(2, append[..., None])[..., 0])
            following[new], onward[new] = self.language_model.following(state[new])
        if self.hot_words:
            gain = gain + self.hot_words.gain[hot, append]
            hot = torch.where(stays, hot, self.hot_words.next[hot, append])
        return Beam(
            blank,
            symbol,
            torch.where(stays, last, append),
            torch.where(stays, name, mixed(name, append)),
            torch.where(stays, beam.parent.gather(1, parents), name),
            beam.bonus.gather(1, parents) + torch.where(stays, 0.0, gain),
            language,
            state,
            hot,
            following,
            onward,
        )

    def _gain(self, beam: Beam) -> Tensor:
        """Say what each symbol would add to the bonus: (B, K, V)."""
        gain = self.counts[beam.last]
        if self.language_model:
            gain = gain + self.weights.language * beam.following
        if self.hot_words:
            gain = gain + self.hot_words.gain[beam.hot]
        return gain

    def _end(self, beam: Beam) -> tuple[Tensor, Tensor]:
        """End the sentences: (B, K) log p_LM, and all but log p_AM of the rank."""
        language, bonus = beam.language, beam.bonus
        if self.language_model:
            said = self.language_model.end(beam.state.flatten()).view_as(language)
            language, bonus = language + said, bonus + self.weights.language * said
        if self.hot_words:
            bonus = bonus + self.hot_words.final[beam.hot]
        return language, bonus
