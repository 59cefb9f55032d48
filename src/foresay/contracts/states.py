"""Hidden Markov models of symbols, and a recognizer that scores their states in every frame (GMM-HMM, hybrid DNN-HMM)."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from foresay.contracts.frames import FeatureExtractor
from foresay.contracts.recognition import EmittingRecognizer, Recognizer
from foresay.errors import UserError

SILENCES = frozenset({"sil", "SIL", "sp", "SP", "h#", "pau", "epi"})
"""What manifests call silence among their phones (TIMIT, CMUdict, MFA): no phones here, for there may be silence anywhere."""


class Topology(NamedTuple):
    """The states of V symbols, which are passed through from left to right, each for one frame or more. Symbol 0 is silence."""

    states: Sequence[Sequence[int]]
    """Of each symbol the numbers of its states, in order; symbols may share some."""
    stay: Tensor
    """(S,) log p of staying in a state for one more frame, in nats."""
    go: Tensor
    """(S,) log p of going on from it."""


class StateRecognizer(Recognizer, ABC):
    """A recognizer by hidden Markov models: its layer is log p(frame | state) (B, T, S), up to a constant of each frame."""

    layer_names: tuple[str, ...] = ("likelihoods",)
    pronunciations: Mapping[str, tuple[tuple[str, ...], ...]] | None = None
    """Of the words of its own lexicon, in its symbols; None: it has none, and words are spelled letter by letter."""
    scale: float
    """What log-likelihoods are multiplied by in a search; frames that are near each other say much the same."""

    def normalized(self, text: str) -> str:
        """Write a transcript as the recognizer writes it: what its text is to be compared with. Silences among phones are left out."""
        written = super().normalized(text)
        if self.units == "letters" or self.pronunciations:
            return written
        return " ".join(phone for phone in written.split() if phone not in SILENCES)

    def pronounce(self, word: str) -> list[Sequence[int]]:
        """Return the pronunciations of a word, in symbols; a word that its lexicon lacks is spelled, if the symbols are letters.

        Raises:
            UserError: it has none.
        """
        known = self.pronunciations or {}
        if word in known:
            numbers = {symbol: number for number, symbol in enumerate(self.symbols)}
            return [[numbers[symbol] for symbol in one] for one in known[word]]
        if known and self.units == "phones":
            msg = f"the word {word!r} is not in the recognizer's lexicon, so that nobody knows its phones: add it there, or leave it out"
            raise UserError(msg)
        return [self.spell(word)]

    def spell(self, text: str) -> list[int]:
        """Return the symbols of a transcript; there is none between words.

        Raises:
            UserError: it has one that the vocabulary lacks.
        """
        return [symbol for word in self.normalized(text).split() for symbol in self.writing.spell(word)]

    def missing(self, text: str) -> Mapping[str, int]:
        """Count the symbols of a transcript that the vocabulary lacks; of phones, the words that the lexicon lacks, if there is one."""
        known = self.pronunciations or {}
        words = [word for word in self.normalized(text).split() if word not in known]
        if known and self.units == "phones":
            return Counter(words)
        return sum((Counter(self.writing.missing(word)) for word in words), Counter())

    @property
    @abstractmethod
    def topology(self) -> Topology:
        """The states of its symbols, and how long one stays in them."""


def check_encoder(encoder: FeatureExtractor, symbols: Sequence[str]) -> None:
    """Make sure that a recognizer of these symbols can be built on an encoder.

    Raises:
        UserError: there are no symbols, or the encoder is a recognizer of frames.
    """
    if not symbols:
        msg = "model.symbols is empty: `foresay finetune` reads the vocabulary from the transcripts of --corpus"
        raise UserError(msg)
    if isinstance(encoder, EmittingRecognizer | StateRecognizer):
        msg = "the encoder is a recognizer, whose one layer scores symbols or states: name the encoder that it is made of (MODEL#encoder)"
        raise UserError(msg)
