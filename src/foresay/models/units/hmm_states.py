"""HMM states as units: for each frame the likeliest state of hidden Markov models (GMM-HMM), instead of the nearest cluster center.

Hsu et al., "HuBERT" (arXiv:2106.07447), section II-A: labels to be predicted may come from k-means, or from models with more structure, as
Gaussian mixtures and hidden Markov models are.

    waveform (B, S) --> HMM: log p(frame | state) (B, T, V) --> the likeliest of V states --> units (B, 1, T)

Each frame is labelled by itself: a best path would need the whole utterance, and units are those of any part of it.
"""

import functools
from dataclasses import dataclass

from torch import Tensor

from foresay.contracts import Model, StateRecognizer, Tokenizer
from foresay.fingerprint import of_model


@dataclass(frozen=True)
class HMMStatesSettings:
    """There is nothing to choose: the states are the HMM's."""


class HMMStates(Model, Tokenizer):
    """A recognizer by states, and nothing else."""

    def __init__(self, settings: HMMStatesSettings, encoder: StateRecognizer) -> None:
        """`encoder`: a run of `hmm`, or a hybrid; it is not trained."""
        super().__init__()
        self.settings, self.encoder, self.vocabulary = settings, encoder, len(encoder.topology.stay)
        (self.layer,) = encoder.layer_names

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of the HMM, worked out once."""
        return of_model(self)

    def quantize(self, frames: Tensor) -> Tensor:
        """Return the likeliest states: log-likelihoods (N, V) -> (N, 1) int64."""
        return frames.argmax(-1, keepdim=True)
