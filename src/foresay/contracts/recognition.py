"""Recognition: what turns speech into text, and what a search finds."""

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from foresay.contracts.frames import FeatureExtractor
from foresay.contracts.models import Model


class Encoded(NamedTuple):
    """What a recognizer makes of audio before any search, its one layer."""

    frames: Tensor
    """(B, T, D) float32; beyond an utterance's length they mean nothing."""
    lengths: Tensor
    """(B,) int64 on the CPU, frames."""


class Emissions(Encoded):
    """What a recognizer says of each frame by itself: log-probabilities of its V symbols, the blank first."""

    @property
    def log_probabilities(self) -> Tensor:
        """(B, T, V) float32, normalized over V."""
        return self.frames


@dataclass(frozen=True)
class Hypothesis:
    """A transcript that a search found."""

    text: str
    score: float
    """What it was ranked by, in nats."""
    tokens: tuple[int, ...] = ()
    """Symbols of the recognizer's vocabulary, without blanks."""
    frames: tuple[int, ...] = ()
    """The frame at which each symbol begins, where the search knows it."""
    ends: tuple[int, ...] = ()
    """Of each word the place in `tokens` after its last symbol, where the search is one for words."""
    acoustic: float = 0.0
    """log p of the symbols given the audio, in nats."""
    language: float = 0.0
    """log p of the words, or symbols, by the language model, in nats, before it is weighted."""
    stops: tuple[int, ...] = ()
    """The frame behind the last one of each symbol, of a recognizer without emissions: its words' times follow from both."""
    confidences: tuple[float, ...] = ()
    """0 to 1 for each symbol, of such a recognizer."""


class StablePrefix(NamedTuple):
    """The beginning of a text that no audio to come will change."""

    text: str
    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    """The frame at which each symbol begins."""


class SearchStream(Protocol):
    """The search of one utterance whose frames, such as emissions, come in chunks of any size; how they were cut changes nothing."""

    def push(self, encoded: Encoded) -> StablePrefix:
        """Go on by the frames of a chunk (1, t, D), and return what is certain now: it begins with what was certain before."""

    def finish(self) -> Hypothesis:
        """Return the best hypothesis of the whole."""


class Writing(Protocol):
    """How transcripts are normalized, and spelled in symbols (`text/vocabulary.py`)."""

    def normalized(self, text: str) -> str:
        """Write a transcript as the recognizer writes it: what its text is to be compared with."""

    def missing(self, text: str) -> Mapping[str, int]:
        """Count the symbols of a transcript that the vocabulary lacks."""

    def dropped(self, text: str) -> Mapping[str, int]:
        """Count the characters of a transcript that `normalized` leaves out."""

    def spell(self, text: str) -> list[int]:
        """Return the symbols of a transcript."""

    def text_of(self, tokens: Sequence[int]) -> str:
        """Write symbols, without blanks, as text."""


class Recognizer(Model, FeatureExtractor, ABC):
    """From speech to text. Its one layer is what text is searched in: emissions, likelihoods, or encoded audio."""

    symbols: Sequence[str]
    """The V symbols by their numbers; 0 is the blank."""
    units: Literal["letters", "phones", "bpe"] = "letters"
    normalization: str | None = None
    """The profile of its transcripts (`text/normalization.py`), which is to be that of its language model too; None: there is none."""
    boundary: int | None = None
    """The symbol between words; None: there is none."""
    writing: Writing

    def normalized(self, text: str) -> str:
        """Write a transcript as the recognizer writes it: what its text is to be compared with."""
        return self.writing.normalized(text)

    def missing(self, text: str) -> Mapping[str, int]:
        """Count the symbols of a transcript that the vocabulary lacks."""
        return self.writing.missing(text)

    def dropped(self, text: str) -> Mapping[str, int]:
        """Count the characters of a transcript that `normalized` leaves out."""
        return self.writing.dropped(text)

    def spell(self, text: str) -> list[int]:
        """Return the symbols of a transcript.

        Raises:
            UserError: it has one that the vocabulary lacks.
        """
        return self.writing.spell(text)

    def text_of(self, tokens: Sequence[int]) -> str:
        """Write symbols, without blanks, as text."""
        return self.writing.text_of(tokens)

    def frames_needed(self, text: str) -> int:  # noqa: ARG002 - any number will do, unless a model says otherwise
        """Count the frames that a transcript takes at least, to be learnt or aligned."""
        return 0

    def check_memory(self, text: str, frames: int) -> None:
        """Refuse an utterance of so many frames whose transcript takes more memory to learn from than is allowed; most need no check.

        Raises:
            UserError: it does; the message says how much, and the way out.
        """


class EmittingRecognizer(Recognizer, ABC):
    """A recognizer with a symbol or none in each frame, whatever the others are: its layer is log p (B, T, V), and any search will do."""

    layer_names: tuple[str, ...] = ("emissions",)

    def emissions(self, waveforms: Tensor, lengths: Tensor) -> Emissions:
        """Score the symbols of every frame of waveforms (B, S), of which `lengths` (B,) samples are real: (B, T, V)."""
        frames = self.features(waveforms, lengths)
        (layer,) = self.layer_names
        return Emissions(frames.values[layer].float(), frames.lengths[layer].cpu())
