"""What a model promises that is fitted in passes over a corpus, and what a corpus gives it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Literal, Protocol

from torch import Tensor

from foresay.contracts.frames import FeatureExtractor
from foresay.contracts.models import Model


class FitData(Protocol):
    """A corpus as an estimator goes through it: each call is one pass."""

    @property
    def seed(self) -> int:
        """Of all that is drawn."""

    def texts(self) -> Iterable[str]:
        """Go through the transcripts, or texts, of the corpus, in order."""

    def utterances(self, encoder: FeatureExtractor, layer: str, transcript: Literal["text", "phones"]) -> Iterable[tuple[Tensor, str]]:
        """Go through the recordings that have a transcript: frames of a layer (T, D) float32, and the transcript."""

    def frames(self, encoder: FeatureExtractor, layer: str, *, hours: float, most: int) -> Tensor:
        """Draw about `most` frames of a layer, from about so many `hours` of the corpus: (N, D) float32."""


class Estimator(Model, ABC):
    """A model that is fitted in passes over a corpus, without a gradient: k-means, n-grams, hidden Markov models."""

    @abstractmethod
    def fit(self, data: FitData) -> None:
        """Estimate all that the model knows of its data.

        Raises:
            UserError: there is too little of it.
        """
