"""Decoding of hidden Markov models: likelihoods of states in every frame --> words, by token passing over the trie of a lexicon.

Young, Russell and Thornton, "Token passing: a simple conceptual model for connected speech recognition systems" (CUED, 1989).

    THREE  th r iy      [silence] -> th1 th2 th3 -> r1 r2 r3 -> iy1 iy2 iy3 -> [silence] -> next word, by the language model
                                     each state goes on, or stays

It is the search of CTC with another topology (`lexicon_beam`). A hypothesis is a token: a node of the trie, a state of the symbol that
leads there, and the language model's state; of those that have all three alike the best one is kept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from foresay.contracts.language_models import LanguageModel
from foresay.contracts.recognition import Emissions, Encoded, Hypothesis
from foresay.contracts.states import Topology
from foresay.decoding.hot_words import HotPhrases
from foresay.decoding.lexicon_beam import LexiconBeam, Spellings
from foresay.decoding.moves import Moves, Stay
from foresay.decoding.weights import Weights

SILENCE = 0
"""The symbol that stands between words, or does not."""


class StateMoves(Moves):
    """A hidden Markov model of each symbol, its states from left to right; between words, and at both ends, there may be silence.

    A place is a state of a symbol, and one more the start. Frames (B, S) are scores of states, which several symbols may share. All that a
    path passes through counts: each frame, each log p of staying, and each of going on, the last one too.

    Args:
        topology: the states of each symbol.
    """

    def __init__(self, topology: Topology) -> None:
        states, stay, go = topology
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
        self._members = torch.zeros(len(stay), len(states))
        for symbol, chain in enumerate(states):
            self._members[list(chain), symbol] = 1

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

    def shares(self, probabilities: Tensor) -> Tensor:
        """Add up the probabilities of states (B, T, S) to those of symbols: (B, T, V)."""
        return probabilities @ self._members


class StateSearch:
    """A search for the likeliest words of a lexicon.

    Args:
        spellings: of each word, in symbols. Without a lexicon, each symbol is a word of its own, and `text_of` writes them.
        moves: the states of the symbols.
        scale: of the log-likelihoods, which count as if neighbouring frames were independent: 0.1 is usual for a GMM.
        beam: K, tokens kept.
        weights: of the language model, and of the number of words.
        language_model: of words, by their names.
        hot_words: compiled for the words of `spellings`, in their order.
        text_of: writes symbols as text, if words are not to be written by their names.

    Raises:
        UserError: as `LexiconBeam` says.
    """

    def __init__(
        self,
        spellings: Spellings,
        moves: StateMoves,
        *,
        scale: float,
        beam: int = 500,
        weights: Weights | None = None,
        language_model: LanguageModel | None = None,
        hot_words: HotPhrases | None = None,
        text_of: Callable[[Sequence[int]], str] | None = None,
    ) -> None:
        self.moves, self.scale, self.text_of = moves, scale, text_of
        self.search = LexiconBeam(spellings, moves, beam=beam, weights=weights, language_model=language_model, hot_words=hot_words)

    def __call__(self, likelihoods: Encoded, best: int = 1) -> list[list[Hypothesis]]:
        """Search a batch of utterances.

        Args:
            likelihoods: (B, T, S) log p of each frame in each state, up to a constant of the frame.
            best: hypotheses of each utterance, at most.

        Returns:
            B lists, the best one first. `acoustic` is log p of the path, of scaled likelihoods that sum to 1 in each frame; a symbol's
            confidence is the mean probability of its states in its frames, by these.
        """
        scores = (self.scale * likelihoods.frames.float()).log_softmax(-1)
        found = self.search(Emissions(scores, likelihoods.lengths), best)
        shares = self.moves.shares(scores.exp()).cpu()
        return [
            [self._written(_without_silence(one, rows[:length])) for one in hypotheses]
            for hypotheses, rows, length in zip(found, shares, likelihoods.lengths.tolist(), strict=True)
        ]

    def _written(self, hypothesis: Hypothesis) -> Hypothesis:
        return hypothesis if self.text_of is None else replace(hypothesis, text=self.text_of(hypothesis.tokens), ends=())


def _without_silence(hypothesis: Hypothesis, shares: Tensor) -> Hypothesis:
    """Leave out silences, which say where the symbols before them stop; `shares` (T, V): how probable each symbol is in each frame."""
    tokens, edges = hypothesis.tokens, (*hypothesis.frames, len(shares))
    spoken = [n for n, token in enumerate(tokens) if token != SILENCE]
    return replace(
        hypothesis,
        tokens=tuple(tokens[n] for n in spoken),
        frames=tuple(edges[n] for n in spoken),
        stops=tuple(edges[n + 1] for n in spoken),
        confidences=tuple(float(shares[edges[n] : edges[n + 1], tokens[n]].mean()) for n in spoken),
        ends=tuple(sum(n < end for n in spoken) for end in hypothesis.ends),
    )
