"""Spelling: what predicts the next symbol of a text, attending to audio, and a recognizer that does so (attention, encoder-decoder)."""

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol, TypeAlias

from torch import Tensor

from foresay.contracts.recognition import Emissions, Encoded, Recognizer

State: TypeAlias = tuple[Tensor, ...]
"""Of a speller, (B, K, …) each."""


class Speller(Protocol):
    """What predicts the next symbol of K texts of each of B utterances, attending to T frames. Symbol 0 is the end, and the begin."""

    def begin(self, beam: int) -> State:
        """Return the state of `beam` empty texts of each utterance."""

    def step(self, state: State, last: Tensor) -> tuple[Tensor, Tensor, State]:
        """Go on by the last symbols (B, K), 0 at the beginning -> log p of the next (B, K, V), attention (B, K, T), and the new state."""


class SpellingWeights(NamedTuple):
    """What else counts in the search (`decoding/attention_beam.py`)."""

    ctc: float = 0.0
    """Share of CTC, 0 to 1."""
    length: float = 0.0
    """Nats that each symbol adds."""
    coverage: float = 0.0
    """Nats that each frame adds that is attended to."""


class SpellingRecognizer(Recognizer, ABC):
    """A recognizer that predicts each symbol from all before it: its layer is encoded audio (B, T, D), which a speller attends to."""

    layer_names: tuple[str, ...] = ("encoded",)
    weights: SpellingWeights = SpellingWeights()

    @abstractmethod
    def speller(self, encoded: Encoded) -> Speller:
        """Attend to encoded audio (B, T, D)."""

    def ctc(self, encoded: Encoded) -> Emissions | None:  # noqa: ARG002 - unless a model has it
        """Score the symbols of every frame of encoded audio by CTC: (B, T, V); None: it has none."""
        return None
