"""What every search is to those who use it, whatever it does inside: from emissions to n-best lists; and one that ranks the lists anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from foresay.contracts.recognition import Emissions, LanguageModel
from foresay.decoding.greedy import best_path
from foresay.decoding.prefix_beam import PrefixBeam
from foresay.decoding.rescoring import NBest, Scores, language_scores, rescore
from foresay.decoding.weights import Weights

Search: TypeAlias = Callable[[Emissions, int], NBest]
"""Emissions (B, T, V), and how many hypotheses at most -> B lists, the best first."""
TextOf: TypeAlias = Callable[[Sequence[int]], str]


def greedy(text_of: TextOf) -> Search:
    """Find the best path alone: `text_of` writes symbols as text."""
    return lambda emissions, _: [[found] for found in best_path(emissions, text_of)]


def writing(search: PrefixBeam, text_of: TextOf) -> Search:
    """Let a search over symbols write its hypotheses as text."""
    return lambda emissions, best: search(emissions, text_of, best)


@dataclass(frozen=True)
class Rescored:
    """A search whose n-best lists a second language model ranks anew (`rescoring`)."""

    search: Search
    model: LanguageModel
    weights: Weights
    """Of the model, and what each word adds beside what it adds in the search."""
    width: int
    """Hypotheses of each utterance that are scored."""
    device: str = "cpu"

    def __call__(self, emissions: Emissions, best: int) -> NBest:
        """Search, score, rank anew."""
        found = self.search(emissions, self.width)
        return [ranked[:best] for ranked in rescore(found, self.second(found), self.weights)]

    def second(self, nbest: NBest) -> Scores:
        """Score n-best lists by the second model: log p of each hypothesis, split as the model splits a text."""
        return language_scores(nbest, self.model, lambda hypothesis: self.model.split(hypothesis.text), self.device)
