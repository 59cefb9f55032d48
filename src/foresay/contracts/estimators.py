"""What a model promises that is fitted in passes over a corpus, and what a corpus gives it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from foresay.contracts.frames import FeatureExtractor
from foresay.contracts.models import Model


class Transcribed(NamedTuple):
    """An utterance of a corpus with transcripts."""

    id: str
    frames: Tensor
    """(T, D) float32."""
    transcript: str


class Recorded(NamedTuple):
    """A recording of a corpus."""

    id: str
    speaker: str
    frames: Tensor
    """(T, D) float32."""


class FitData(Protocol):
    """A corpus as an estimator goes through it: each call is one pass."""

    @property
    def seed(self) -> int:
        """Of all that is drawn."""

    def texts(self) -> Iterable[str]:
        """Go through the transcripts, or texts, of the corpus, in order."""

    def utterances(self, encoder: FeatureExtractor, layer: str, transcript: Literal["text", "phones"]) -> Iterable[Transcribed]:
        """Go through the recordings that have a transcript, with their frames of a layer."""

    def speakers(self) -> Sequence[str]:
        """Return the names of those who speak, sorted."""

    def recordings(self, encoder: FeatureExtractor, layer: str, *, hours: float) -> Iterable[Recorded]:
        """Go through the recordings, or as many as last about so many hours, drawn at random, with their frames of a layer."""

    def leave_out(self, name: str, why: str) -> None:
        """Note that nothing can be learnt from the utterance of this id; the run lists it."""

    def note(self, line: str) -> None:
        """Say what the user should know."""

    def passed(self, number: int, count: int, numbers: Mapping[str, float]) -> None:
        """Say and log what is known after pass `number`, from 1, of `count`."""

    def frames(self, encoder: FeatureExtractor, layer: str, *, hours: float, most: int) -> Tensor:
        """Draw about `most` frames of a layer, from about so many `hours` of the corpus: (N, D) float32."""


class Estimator(Model, ABC):
    """A model that is fitted in passes over a corpus, without a gradient: k-means, n-grams, hidden Markov models."""

    reads_recordings: bool = True
    """Whether it learns from more than the manifest's lines; what does not is fitted in a moment, also where a run is rehearsed."""

    @abstractmethod
    def fit(self, data: FitData) -> None:
        """Estimate all that the model knows of its data.

        Raises:
            UserError: there is too little of it.
        """
