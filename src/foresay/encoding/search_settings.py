"""Searches by the names of files and runs, and their weights: all in nats, and none has a default."""

from dataclasses import dataclass
from pathlib import Path

from foresay.decoding.weights import Weights
from foresay.errors import UserError, at_least
from foresay.loading import ARPA, locate

BEAM, TOKENS = 50, 500
"""Hypotheses kept, unless it is said how many; of hidden Markov models, each of whose symbols has several states."""


@dataclass(frozen=True)
class SearchSettings:
    """How text is found in what the recognizer emits; without any of these, by the best path."""

    lm: str | None = None
    """Language model of words or of the recognizer's symbols: NAME.arpa, a model folder, a run."""
    lm_weight: float | None = None
    """a: what its log p is multiplied by, in nats."""
    word_weight: float | None = None
    """b: what each word adds, in nats."""
    lexicon: str | None = None
    """Words with their spellings; default: those of the language model, in the recognizer's letters."""
    beam: int | None = None
    """Hypotheses kept; 50 unless it is said, of hidden Markov models 500."""
    hot_words: str | None = None
    """File with a word or a phrase a line, to be preferred."""
    hot_weight: float | None = None
    """Nats for each of their letters."""
    rescore: str | None = None
    """A second language model, such as a Transformer, which ranks the hypotheses of the beam anew."""
    rescore_weight: float | None = None
    """What its log p is multiplied by, in nats."""
    rescore_word_weight: float | None = None
    """What each word adds then, beside the word weight, in nats; nothing, unless it is said."""

    unknown_weight: float | None = None
    """What a word that the lexicon lacks adds, in nats, beside the word weight and log p of an unknown word; without it there are none."""

    def __post_init__(self) -> None:
        if self.beam is not None:
            at_least(1, beam=self.beam)
        for name, needed in (("lm", "lm_weight"), ("lm", "word_weight"), ("hot_words", "hot_weight"), ("rescore", "rescore_weight")):
            if getattr(self, name) is not None and getattr(self, needed) is None:
                raise UserError(_without_weight(name, needed))
        for name, given in (("lm", self.lm_weight), ("hot_words", self.hot_weight), ("rescore", self.rescore_weight)):
            if getattr(self, name) is None and given is not None:
                msg = f"there is a weight of {name.replace('_', ' ')}, and none of these is given: give both, or neither"
                raise UserError(msg)
        if self.rescore is None and self.rescore_word_weight is not None:
            msg = "there is a rescore word weight, and no second language model (--rescore): give both, or neither"
            raise UserError(msg)
        if self.is_greedy and self.word_weight is not None:
            msg = "the best path knows no words, and so no word weight: give a language model, a lexicon or a beam too, or leave it out"
            raise UserError(msg)
        if self.unknown_weight is not None and not (self.lm or self.lexicon):
            msg = "there is an unknown weight, and no words that are known: give a lexicon or a language model of words, or leave it out"
            raise UserError(msg)
        Weights(words=self.unknown_weight or 0.0)
        _ = self.weights, self.second_weights  # or they are no weights

    @property
    def weights(self) -> Weights:
        """Of the search."""
        return Weights(self.lm_weight or 0.0, self.word_weight or 0.0)

    @property
    def second_weights(self) -> Weights:
        """Of the second language model."""
        return Weights(self.rescore_weight or 0.0, self.rescore_word_weight or 0.0)

    @property
    def is_greedy(self) -> bool:
        """Whether it is the best path alone that is asked for."""
        return self.beam is None and not any((self.lm, self.lexicon, self.hot_words, self.rescore))

    @property
    def likeness(self) -> str:
        """What searches have in common, beside the content of their `files`, whose error rates may be compared; not the weights."""
        others = "" if self.unknown_weight is None else ", unknown words"
        return f"beam {0 if self.is_greedy else self.beam or BEAM}, hot words {self.hot_weight}{others}"

    @property
    def files(self) -> list[Path]:
        """List what is read: of a model its description and its weights.

        Raises:
            UserError: a model is not there.
        """
        models = [name for name in (self.lm, self.rescore) if name]
        found = [path for name in models for path in ([Path(name)] if name.endswith(ARPA) else locate(name))]
        return found + [Path(name) for name in (self.lexicon, self.hot_words) if name]


def _without_weight(name: str, needed: str) -> str:
    ways = {
        "lm_weight": "it multiplies log p in nats; published are 0.7 to 1.7 (docs/recognition.md). `foresay lm tune` finds it and the next",
        "word_weight": "in nats, often between -2 and 1. `foresay lm tune` finds it, and --search takes what it found",
        "hot_weight": "nats for each letter of them, above 0; usual are 1 to 5",
        "rescore_weight": "it multiplies log p in nats; published are 0.9 to 1.5. `foresay lm tune --rescore LM` finds it",
    }
    return f"{name.replace('_', ' ')} without {needed.replace('_', ' ')} (--{needed.replace('_', '-')}): {ways[needed]}"
