"""HuBERT: masked prediction of k-means labels (hidden units).

Hsu et al., "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units" (arXiv:2106.07447).

    waveform (B, S) --> convolutions --> latents (B, T, C) --> spans masked (57 %) --> Transformer --> (B, T, D) -- masked --> (M, D')
                                                                                                                                 |
    k-means, fitted before: of MFCC, then of a layer of the last iteration --> labels (B, T) -----> softmax of cosines / 0.1 <---+
                                                                                                          |
                                                          loss = cross-entropy + 10 x mean square of the convolutions' output

Clusters of MFCC are poor phones, but what is consistent in them can be predicted from context, and what is not cannot: the features so
learnt have better clusters, and the next iteration learns these.
"""

from dataclasses import dataclass

from foresay.models.representation._masked_prediction import MaskedPrediction, MaskedPredictionSettings


@dataclass(frozen=True)
class HuBERTSettings(MaskedPredictionSettings):
    """HuBERT BASE, second iteration (section IV-B)."""


class HuBERT(MaskedPrediction):
    """The network that wav2vec 2.0 has too, and the loss that WavLM has too (`_masked_transformer.py`, `_masked_prediction.py`)."""

    def __init__(self, settings: HuBERTSettings) -> None:
        super().__init__(settings)
